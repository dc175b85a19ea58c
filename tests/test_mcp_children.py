"""The processes of stdio upstreams: bounded in number, and those of clients that left do not keep others out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from haldir.proxy import child, nursery
from harness.answers import Answer
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import call, initialize
from harness.threads import running_haldir, stdio_upstream
from upstreams.tiny import shell_command

PATH = "/mcp/stdio"


@pytest.fixture
def haldir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Haldir]:
    """A Haldir with room for two sessions beside the child that stateless calls share."""
    monkeypatch.setattr(nursery, "CHILDREN_MAX", 3)
    with running_haldir(tmp_path, stdio_upstream("stdio", *shell_command())) as running:
        token = running.token()
        assert running.rpc("/mcp", call("stdio__do"), token).body["result"]["isError"] is False
        yield running


def test_a_child_nobody_spoke_with_for_long_makes_room_for_another(
    haldir: Haldir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "ABANDONED_SECONDS", 0.0)
    token = haldir.token()
    sessions = [opened(haldir, token).headers["mcp-session-id"] for _ in range(4)]
    answers = [haldir.rpc(PATH, call("do"), token, mcp_session_id=session) for session in sessions]
    assert [answer.status for answer in answers] == [404, 200, 200, 200]  # The shared one went before the first.
    assert haldir.rpc("/mcp", call("stdio__do"), token).body["result"]["isError"] is False


def test_children_in_use_stay_and_the_next_one_is_refused(haldir: Haldir) -> None:
    token = haldir.token()
    sessions = [opened(haldir, token).headers["mcp-session-id"] for _ in range(2)]
    refused = opened(haldir, token)
    assert (refused.status, refused.body["error"]["message"]) == (502, "Haldir already runs 3 upstream processes.")
    for session in sessions:
        assert haldir.rpc(PATH, call("do"), token, mcp_session_id=session).status == 200


def test_the_last_words_of_a_child_that_dies_are_logged_and_told_to_no_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo noise $i >&2; i=$((i+1)); done; echo the secret reason >&2; exit 3"
    dying = stdio_upstream("dying", "/bin/sh", "-c", script, deadline_seconds=5)
    with running_haldir(tmp_path, dying) as haldir:
        answer = haldir.rpc("/mcp/dying", initialize(), haldir.token())
        assert (answer.status, b"has exited" in answer.raw) == (502, True)
        assert b"secret" not in answer.raw
        found = eventually(lambda: [each for each in caplog.records if each.message == "upstream_process_died"])
    event = found[0].__dict__["event"]
    assert (event["command"], event["status"]) == ("/bin/sh", 3)
    assert event["stderr"].endswith("the secret reason")
    assert len(event["stderr"]) <= child.STDERR_BYTES_KEPT


def opened(haldir: Haldir, token: str) -> Answer:
    return haldir.rpc(PATH, initialize(), token)
