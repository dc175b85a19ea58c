"""A receiver of webhooks as fast as one can be: `python bench/receiver.py PORT`.

A POST is taken; a GET is answered with the times at which the events of that path came, in seconds, as JSON.
"""

import json
import sys
import time
from collections import defaultdict
from typing import Any

import uvicorn

came: dict[str, list[float]] = defaultdict(list)


async def receiver(scope: Any, receive: Any, send: Any) -> None:
    answered = b""
    if scope["method"] == "POST":
        while (await receive())["more_body"]:
            pass
        came[scope["path"]].append(time.monotonic())
    else:
        answered = json.dumps(came[scope["path"]]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answered)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answered})


if __name__ == "__main__":
    uvicorn.run(receiver, port=int(sys.argv[1]), log_level="error", lifespan="off", access_log=False)
