"""Haldir's own tools as the 1.x client of the official SDK finds them, on `/mcp` and through `haldir-mcp`."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.haldir import Haldir
from harness.piped import PROGRAM
from harness.threads import running_haldir
from outside.places import OLD_PYTHON

OLD_CLIENT = Path(__file__).parent / "old_client.py"
OLD_CLIENT_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with running_haldir(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.mark.parametrize("door", ["http", "pipes"])
def test_a_client_of_old_lists_calls_and_is_refused(haldir: Haldir, door: str) -> None:
    session = haldir.session("read", spend_limit=5)["session_id"]
    tools, opened, paid, over, wrong, prompt = ask(
        haldir,
        door,
        ("list_tools",),
        ("call_tool", "createSession", {"agent_id": "old"}),
        ("call_tool", "haldir_authorize_payment", {"session_id": session, "amount": 2}),
        ("call_tool", "authorizePayment", {"session_id": session, "amount": 20}),
        ("call_tool", "getSession", {"session_id": "ses_none"}),
        ("get_prompt", "budget-check", {"session_id": session}),
    )
    names = [tool["name"] for tool in tools["tools"]]
    assert names[:4] == ["createSession", "getSession", "revokeSession", "checkPermission"]
    assert ("haldir_get_tree_head" in names) is (door == "pipes")
    assert document(opened)["agent_id"] == "old"
    assert (document(paid)["remaining_budget"], paid["structuredContent"]) == (3, document(paid))
    assert (over["isError"], document(over)["authorized"]) == (False, False)
    assert (wrong["isError"], document(wrong)["code"]) == (True, "not_found")
    assert session in prompt["messages"][0]["content"]["text"]


def ask(haldir: Haldir, door: str, *steps: tuple[Any, ...]) -> list[Any]:
    server: dict[str, Any] = {"url": f"{haldir.url}/mcp", "token": haldir.key}
    if door == "pipes":
        server = {"command": PROGRAM, "env": {"HALDIR_API_KEY": haldir.key, "HALDIR_BASE_URL": haldir.url}}
    ended = subprocess.run(
        [OLD_PYTHON, OLD_CLIENT],
        input=json.dumps({**server, "steps": steps}),
        capture_output=True,
        text=True,
        timeout=OLD_CLIENT_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results: list[Any] = json.loads(ended.stdout)
    return results


def document(result: Any) -> Any:
    return json.loads(result["content"][0]["text"])
