"""Calls what standard input names, one call a line, on the published client 0.4.2, in whose environment it runs.

The first line is `[door, url, key]`, answered by the client's methods; then each is `[name, [argument…], {named…}]`, of
a method or of one of the package's functions, answered by `{"returned": …}` or `{"raised": …, "status": …, "body": …}`.
"""

import asyncio
import importlib
import inspect
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

sdk = importlib.import_module("sdk")  # By its name: it is in that environment only.


async def answer_lines(door: str, url: str, key: str) -> None:
    async with AsyncExitStack() as stack:
        if door == "async":
            client = await stack.enter_async_context(sdk.HaldirAsyncClient(key, url))
        else:
            client = stack.enter_context(sdk.HaldirClient(key, url))
        say([name for name, _ in inspect.getmembers(client, callable) if not name.startswith("_")])
        for line in sys.stdin:
            name, arguments, named = json.loads(line)
            say(await answer(getattr(client, name, None) or getattr(sdk, name), arguments, named))


async def answer(function: Any, arguments: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    try:
        result = function(*arguments, **named)
        return {"returned": await result if inspect.isawaitable(result) else result}
    except sdk.HaldirAPIError as error:
        return {"raised": type(error).__name__, "status": error.status_code, "body": error.body}
    except sdk.WebhookVerificationError as error:
        return {"raised": type(error).__name__, "status": 0, "body": {}}


def say(document: Any) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(answer_lines(*json.loads(sys.stdin.readline())))
