"""Pages that take long to make, since arguments may have a megabyte: whoever asks for something else does not wait."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haldir.app import wall_clock
from harness.haldir import Haldir
from harness.person import Person
from harness.threads import running_haldir
from receiver import receiving
from upstreams import sample
from upstreams.serving import serving

PUBLIC_URL = "https://haldir.example"
LINK = re.compile(rf"{PUBLIC_URL}(/approve/[A-Za-z0-9_-]+)")
LARGE = json.dumps({"text": "", "amount": 20, "numbers": [1] * 300_000}, separators=(",", ":"))


class Clock:
    """Tells the time, and how long the thread that asked for it first, which runs the event loop, has worked."""

    def __init__(self) -> None:
        self._loop: int | None = None

    def __call__(self) -> int:
        self._loop = self._loop or time.pthread_getcpuclockid(threading.get_ident())
        return wall_clock()

    def loop_seconds(self) -> float:
        assert self._loop is not None
        return time.clock_gettime(self._loop)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def haldir(tmp_path: Path, clock: Clock) -> Iterator[Haldir]:
    """A Haldir with the upstream `sample`, where calls over 10 are held."""
    with (
        serving(sample.app(json_response=True)) as url,
        running_haldir(tmp_path / "data", clock=clock, public_url=PUBLIC_URL) as haldir,
    ):
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


def held(haldir: Haldir) -> tuple[str, str]:
    """Have a large call held; return the paths of its page, and of the one behind its link."""
    session = haldir.session("execute", "spend", spend_limit=1000)
    body = f'{{"tool": "sample.echo", "session_id": "{session["session_id"]}", "arguments": {LARGE}}}'
    with receiving() as channel:
        haldir.rest("POST", "/v1/webhooks", {"url": channel.url, "events": ["approval_requested"], "links": True})
        answer = haldir.post("/v1/proxy/call", body.encode())
        channel.wait_for(1)
        approval_id = json.loads(answer.body["content"][0]["text"])["request_id"]
        return f"/approvals/{approval_id}", LINK.findall(channel.came[0].raw.decode())[0]


def test_a_large_page_is_made_beside_the_loop_that_answers_everybody(haldir: Haldir, clock: Clock) -> None:
    person = Person(haldir)
    person.sign_in(haldir.key)
    # Work is counted, not time: that depends on what else the machine does.
    for path in held(haldir):
        everything, on_the_loop = time.process_time(), clock.loop_seconds()
        assert person.get(path).status == 200
        everything, on_the_loop = time.process_time() - everything, clock.loop_seconds() - on_the_loop
        assert on_the_loop < everything / 2
