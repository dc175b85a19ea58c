"""A whole server, started, loaded, killed and started again."""

import json
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from harness.processes import SAMPLE, Up

CALLERS = 64
CONNECTIONS = 16


@pytest.fixture(params=["sqlite", "postgres"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Up]:
    """Start a server, always on the same store."""
    options: tuple[str, ...] = ()
    if request.param == "postgres":
        options = ("--database-url", request.getfixturevalue("fresh_postgres_dsn"))
    return lambda *more, **environ: Up(tmp_path / "data", *options, *more, **environ)


def test_up_makes_a_private_folder_and_says_in_one_line_that_it_is_ready(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        assert sorted(up.ready) == ["admin_key_file", "data", "url"]
        made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert {"haldir.db", "checkpoint", "root.key", "admin.key"} <= set(made)
        assert set(made.values()) == {0o600}
        assert Path(up.ready["admin_key_file"]).read_text(encoding="utf-8") == up.key + "\n"
        assert up.rest("GET", "/v1/keys")["keys"][0]["prefix"] == up.key[:12]
        assert up.stop() == 0
        assert up.process.stdout is not None
        assert up.process.stdout.read() == b""


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Up(tmp_path / "data"):
        second = Up(tmp_path / "data")
        assert second.code not in {0, None}
        assert "haldir.db is in use" in second.stderr()
        second.__exit__()


def test_a_taken_port_is_refused_in_plain_words(tmp_path: Path) -> None:
    with Up(tmp_path / "one") as up:
        second = Up(tmp_path / "two", "--port", str(up.port))
        assert second.code not in {0, None}
        assert f"Cannot listen on 127.0.0.1 port {up.port}" in second.stderr()
        second.__exit__()


def test_without_the_root_key_it_was_made_with_a_database_is_not_opened(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    with start() as up:
        up.stop()
    key_file = tmp_path / "data" / "root.key"
    kept = key_file.read_bytes()
    key_file.unlink()
    missing = start()
    assert missing.code not in {0, None}
    assert f"the file {key_file} is missing" in missing.stderr()
    missing.__exit__()
    assert not key_file.exists()
    other = "A" * 43 + "="
    wrong = start(HALDIR_ROOT_KEY=other)
    assert wrong.code not in {0, None}
    said = wrong.stderr()
    assert "the variable HALDIR_ROOT_KEY does not open this database" in said
    assert other not in said
    wrong.__exit__()
    key_file.write_bytes(kept)
    with start() as up:
        assert up.rest("GET", "/v1/keys")["count"] == 1


def test_what_the_operator_no_longer_configures_is_gone_after_a_restart(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--upstream", SAMPLE) as up:
        answer = up.delete("/v1/proxy/upstreams/sample")
        assert (answer.status, answer.body["code"]) == (409, "operator_owned")
        assert up.rest("GET", "/v1/proxy/tools")["count"] > 0
        up.stop()
    with Up(tmp_path / "data") as up:
        assert up.rest("GET", "/v1/proxy/upstreams")["upstreams"] == {}


def test_sigterm_lets_a_call_under_way_finish_and_be_settled(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--upstream", SAMPLE) as up:
        session = up.session(agent_id="a", scopes=["execute"])
        up.rest("GET", "/v1/proxy/tools")
        asked = {"tool": "count", "session_id": session["session_id"], "arguments": {"steps": 4, "pause_seconds": 0.25}}
        with ThreadPoolExecutor(1) as pool:
            answering = pool.submit(up.post, "/v1/proxy/call", asked)
            while up.rest("GET", "/v1/calls?state=open")["count"] == 0:
                assert not answering.done()
            assert up.stop() == 0
            answer = answering.result(30)
        assert (answer.status, answer.body["content"][0]["text"]) == (200, "counted to 4")
    with Up(tmp_path / "data") as up:
        assert [call["tool"] for call in up.rest("GET", "/v1/calls?state=posted")["calls"]] == ["count"]
        assert up.rest("GET", "/v1/calls?state=open")["count"] == 0


def test_a_budget_is_never_overspent_and_never_falls_short(start: Callable[..., Up]) -> None:
    with start() as up:
        session = up.session(agent_id="a", spend_limit=50)
        amounts = [round(0.07 * n, 2) for n in range(1, 4 * CALLERS + 1)]
        answers = list(pay_in_parallel(up, session["session_id"], amounts))
        allowed = round(sum(amount for amount, status, _ in answers if status == 200), 6)
        smallest_refused = min(amount for amount, status, _ in answers if status == 403)
        assert {status for _, status, _ in answers} == {200, 403}
        assert allowed <= 50 < allowed + smallest_refused
        shown = up.rest("GET", f"/v1/sessions/{session['session_id']}")
        assert (shown["spent"], shown["remaining_budget"]) == (allowed, round(50 - allowed, 6))


def test_after_kill_9_every_acknowledged_decision_is_there_and_the_log_verifies(start: Callable[..., Up]) -> None:
    with start() as up:
        session = up.session(agent_id="a", spend_limit=1_000_000)
        acknowledged: list[str] = []
        enough = threading.Event()
        payments = payments_until_it_dies(up, session["session_id"], acknowledged, enough)
        assert enough.wait(60)
        up.kill()
        payments.shutdown(wait=True)
    with start() as up:
        paid = {
            entry["details"]["payment_id"]
            for entry in all_entries(up)
            if entry["kind"] == "payment.authorize" and entry["allowed"]
        }
        assert set(acknowledged) <= paid
        assert up.rest("GET", f"/v1/sessions/{session['session_id']}")["spent"] == len(paid)
        assert up.rest("GET", "/v1/audit/verify")["verified"]


def pay_in_parallel(up: Up, session_id: str, amounts: list[float]) -> Iterator[tuple[float, int, Any]]:
    """Pay all amounts, 64 callers at once over 16 connections at a time."""

    def pay(some: list[float]) -> list[tuple[float, int, Any]]:
        connection = HTTPConnection("127.0.0.1", up.port, timeout=60)
        answers = []
        for amount in some:
            body = json.dumps({"session_id": session_id, "amount": amount})
            connection.request("POST", "/v1/payments/authorize", body, {"Authorization": f"Bearer {up.key}"})
            answer = connection.getresponse()
            answers.append((amount, answer.status, json.loads(answer.read())))
        connection.close()
        return answers

    with ThreadPoolExecutor(CALLERS) as pool:
        for answers in pool.map(pay, [amounts[n::CALLERS] for n in range(CALLERS)]):
            yield from answers


def payments_until_it_dies(
    up: Up, session_id: str, acknowledged: list[str], enough: threading.Event
) -> ThreadPoolExecutor:
    def pay() -> None:
        connection = HTTPConnection("127.0.0.1", up.port, timeout=30)
        body = json.dumps({"session_id": session_id, "amount": 1})
        try:
            while True:
                connection.request("POST", "/v1/payments/authorize", body, {"Authorization": f"Bearer {up.key}"})
                answer = connection.getresponse()
                acknowledged.append(json.loads(answer.read())["authorization_id"])
                if len(acknowledged) >= 300:
                    enough.set()
        except (OSError, HTTPException, ValueError):
            return  # It was killed, perhaps in the middle of an answer.

    pool = ThreadPoolExecutor(CONNECTIONS)
    for _ in range(CONNECTIONS):
        pool.submit(pay)
    return pool


def all_entries(up: Up) -> list[dict[str, Any]]:
    entries, cursor = [], ""
    while True:
        page = up.rest("GET", f"/v1/audit?kind=all&limit=1000{cursor}")
        entries += page["entries"]
        if not page.get("next_cursor"):
            return entries
        cursor = f"&cursor={page['next_cursor']}"
