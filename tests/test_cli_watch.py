"""`haldir approvals watch` before a real server: at a real terminal by its keys, and line by line where nobody sits."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness.haldir import Haldir
from harness.terminal import Terminal
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving

WAITING = "Waiting for what comes; q ends it."
KEYS = "[a]pprove  [d]eny  [s]kip  [q]uit"


@pytest.fixture
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with (
        serving(sample.app(json_response=True)) as url,
        running_haldir(tmp_path_factory.mktemp("data")) as haldir,
    ):
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


def watch(haldir: Haldir, *options: str) -> list[str]:
    return [sys.executable, "-m", "haldir", "approvals", "watch", "--data", str(haldir.data), *options]


def ask(haldir: Haldir, reason: str, **members: Any) -> str:
    session = haldir.session(agent_id="asker")["session_id"]
    asked = {"session_id": session, "action": "deploy", "reason": reason, **members}
    return str(haldir.rest("POST", "/v1/approvals/request", asked)["request_id"])


def status(haldir: Haldir, approval_id: str) -> tuple[str, str]:
    shown = haldir.rest("GET", f"/v1/approvals/{approval_id}")
    return shown["status"], shown["decision_note"]


def test_what_comes_is_shown_and_decided_by_a_key(haldir: Haldir) -> None:
    with Terminal(*watch(haldir)) as terminal:
        terminal.until(WAITING)
        first = ask(haldir, "it is friday", details={"where": "prod"})
        shown = terminal.until(KEYS)
        for said in (first, "deploy", "asker in ses_", "it is friday", '"where": "prod"', "waits for a word; 59 min"):
            assert said in shown
        terminal.press("a")
        terminal.until("Approved.")
        terminal.until(WAITING)
        second = ask(haldir, "it is late")
        terminal.until(KEYS)
        terminal.press("d")
        terminal.until("Why: ")
        terminal.press("Not now.\n")
        terminal.until("Denied.")
        third = ask(haldir, "it is early")
        terminal.until(KEYS)
        for harmless in ("x", "\x1b[a", "A"):
            terminal.press(harmless)
            terminal.until(KEYS)
        terminal.press("s")
        terminal.until("Skipped; it still waits.")
        terminal.until(WAITING)
        terminal.press("q")
        assert terminal.end() == 0
    assert [status(haldir, each) for each in (first, second, third)] == [
        ("approved", ""),
        ("denied", "Not now."),
        ("pending", ""),
    ]


def test_what_waited_before_is_shown_first_and_q_decides_nothing(haldir: Haldir) -> None:
    waiting = [ask(haldir, f"number {number}") for number in range(2)]
    with Terminal(*watch(haldir)) as terminal:
        assert waiting[0] in terminal.until(KEYS)
        terminal.press("s")
        assert waiting[1] in terminal.until(KEYS)
        terminal.press("q")
        assert terminal.end() == 0
    assert {status(haldir, each)[0] for each in waiting} == {"pending"}


def test_a_key_pressed_twice_says_nothing_of_what_comes_next(haldir: Haldir) -> None:
    waiting = [ask(haldir, f"number {number}") for number in range(2)]
    with Terminal(*watch(haldir)) as terminal:
        terminal.until(KEYS)
        terminal.press("aaa")
        terminal.until("Approved.")
        assert waiting[1] in terminal.until(KEYS)
        terminal.press("q")
        assert terminal.end() == 0
    assert [status(haldir, each)[0] for each in waiting] == ["approved", "pending"]


def test_what_somebody_else_decided_meanwhile_is_told_and_ends_nothing(haldir: Haldir) -> None:
    with Terminal(*watch(haldir)) as terminal:
        approval_id = ask(haldir, "quick")
        terminal.until(KEYS)
        haldir.rest("POST", f"/v1/approvals/{approval_id}/deny")
        terminal.press("a")
        assert "denied" in terminal.until("It does not count: ") + terminal.until("\n")
        terminal.until(WAITING)


def test_a_held_call_is_shown_exactly_with_what_is_new_and_nothing_steers_the_terminal(haldir: Haldir) -> None:
    session = haldir.session("execute", "spend", agent_id="shopper", spend_limit=100)["session_id"]

    def call(arguments: str) -> None:
        body = f'{{"tool": "sample.echo", "session_id": "{session}", "arguments": {arguments}}}'
        assert haldir.post("/v1/proxy/call", body.encode()).status == 200

    call('{"text": "x", "amount": 1}')
    call('{"text": "\\u001b[2Jhidden\\u202e", "amount": 20.0, "big": 12345678901234567890.10}')
    with Terminal(*watch(haldir)) as terminal:
        shown = terminal.until(KEYS)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    for said in (
        "tool_call sample.echo",
        "20.00 USD",
        '"text": "\\u001b[2Jhidden\\u202e"',
        "~ /amount  1 → 20.0",
        "+ /big  12345678901234567890.10",
        '~ /text  "x" → "\\u001b[2Jhidden\\u202e"',
        "(spend_over)",
    ):
        assert said in shown


def test_where_nobody_sits_each_is_a_line(haldir: Haldir) -> None:
    first = ask(haldir, "\x1b[31mred")
    with subprocess.Popen(watch(haldir), stdout=subprocess.PIPE, text=True) as lines:
        assert lines.stdout is not None
        line = lines.stdout.readline()
        assert line.startswith(f"{first}  asker  deploy  0.00 USD")
        assert "\\x1b[31mred" in line
        second = ask(haldir, "later")
        assert lines.stdout.readline().startswith(second)
        lines.kill()


def test_with_json_each_is_a_line_of_json(haldir: Haldir) -> None:
    with subprocess.Popen(watch(haldir, "--json", "--agent", "asker"), stdout=subprocess.PIPE, text=True) as lines:
        assert lines.stdout is not None
        other = haldir.session(agent_id="other")["session_id"]
        haldir.rest("POST", "/v1/approvals/request", {"session_id": other})
        approval_id = ask(haldir, "for a program")
        line = json.loads(lines.stdout.readline())
        lines.kill()
    shown = haldir.rest("GET", f"/v1/approvals/{approval_id}")
    assert {**line, "seconds_left": 0} == {**shown, "seconds_left": 0}
