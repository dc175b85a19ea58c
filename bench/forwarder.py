"""The floor under Haldir: its HTTP server, its HTTP client, nothing between: `python bench/forwarder.py PORT URL`.

No credential, no rule, no limit, no record: what it costs is what relaying costs with these two libraries.
"""

import sys
from typing import Any

import aiohttp
import uvicorn


class Forwarder:
    def __init__(self, url: str) -> None:
        self._url = url
        self._client: aiohttp.ClientSession | None = None

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        if self._client is None:  # In the running loop, as aiohttp wants it.
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = (await receive())["body"]
        async with self._client.post(self._url, data=body, headers={"Content-Type": "application/json"}) as answer:
            answered = await answer.read()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answered)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answered})


if __name__ == "__main__":
    uvicorn.run(Forwarder(sys.argv[2]), port=int(sys.argv[1]), log_level="error", lifespan="off", access_log=False)
