"""The processes of stdio upstreams: bounded in number, and those of clients that left do not keep others out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from haldir.config_file import OperatorUpstream
from haldir.proxy import nursery
from haldir.proxy.model import UpstreamConfig
from mcp_haldir import Answer, GuardedHaldir, call, guarding, initialize
from upstreams.tiny import shell_command

PATH = "/mcp/stdio"


@pytest.fixture
def haldir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedHaldir]:
    """A Haldir with room for two sessions beside the child that stateless calls share."""
    monkeypatch.setattr(nursery, "CHILDREN_MAX", 3)
    with guarding(tmp_path, OperatorUpstream("stdio", UpstreamConfig(command=shell_command()))) as running:
        token = running.token()
        assert running.post("/mcp", call("stdio__do"), token).json["result"]["isError"] is False
        yield running


def test_a_child_nobody_spoke_with_for_long_makes_room_for_another(
    haldir: GuardedHaldir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "ABANDONED_SECONDS", 0.0)
    token = haldir.token()
    sessions = [opened(haldir, token).headers["mcp-session-id"] for _ in range(4)]
    answers = [haldir.post(PATH, call("do"), token, mcp_session_id=session) for session in sessions]
    assert [answer.status for answer in answers] == [404, 200, 200, 200]  # The shared one went before the first.
    assert haldir.post("/mcp", call("stdio__do"), token).json["result"]["isError"] is False


def test_children_in_use_stay_and_the_next_one_is_refused(haldir: GuardedHaldir) -> None:
    token = haldir.token()
    sessions = [opened(haldir, token).headers["mcp-session-id"] for _ in range(2)]
    refused = opened(haldir, token)
    assert (refused.status, refused.json["error"]["message"]) == (502, "Haldir already runs 3 upstream processes.")
    for session in sessions:
        assert haldir.post(PATH, call("do"), token, mcp_session_id=session).status == 200


def opened(haldir: GuardedHaldir, token: str) -> Answer:
    return haldir.post(PATH, initialize(), token)
