"""Faults between Haldir and an upstream: each ends in a clear answer within its deadline, and no neighbour notices."""

import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults import fault_proxy
from faults.fault_proxy import Harm, harming
from harness.haldir import Haldir
from harness.messages import call
from harness.processes import Up
from upstreams import raw
from upstreams.raw import RawUpstream, raw_upstream

DEADLINE_SECONDS = 2.0
LATE_SECONDS_MAX = 2.0  # For forty answers at once, on a machine that is busy otherwise.
MEMORY_BYTES_MAX = 100 << 20  # Of forty calls at once, two of which bring an answer as large as one may be.
NEIGHBOURS = 4
ROUNDS_MAX = 3
NEIGHBOURS_P95_SECONDS_MAX = 1.0


class Case(NamedTuple):
    harm: Harm
    sentence: str
    state: str = "indeterminate"


CASES = {
    "reset_before": Case(fault_proxy.reset_before, "without an answer"),
    "reset_after": Case(fault_proxy.reset_after, "without an answer"),
    "reset_midway": Case(fault_proxy.reset_midway, "midway"),
    "truncate": Case(fault_proxy.truncate, "midway"),
    "truncate_head": Case(fault_proxy.truncate_head, "without an answer"),
    "truncate_stream": Case(fault_proxy.truncate_stream, "midway"),
    "drip": Case(fault_proxy.drip, "within 2 s"),
    "drip_stream": Case(fault_proxy.drip_stream, "within 2 s"),
    "delay": Case(fault_proxy.delay, "within 2 s"),
    "wrong_id": Case(fault_proxy.wrong_id, "not an MCP message"),
    "wrong_id_in_stream": Case(fault_proxy.wrong_id_in_stream, "its answer"),
    "gzip_bomb": Case(fault_proxy.gzip_bomb, "compressed"),
    "gzip_bomb_unnamed": Case(fault_proxy.gzip_bomb_unnamed, "not an MCP message"),
    "gzip_bomb_in_transfer": Case(fault_proxy.gzip_bomb_in_transfer, ""),
    "endless_stream": Case(fault_proxy.endless_stream, ""),
    "endless_comments": Case(fault_proxy.endless_comments, "within 2 s"),
    "endless_line": Case(fault_proxy.endless_line, "too large"),
    "endless_head": Case(fault_proxy.endless_head, "without an answer"),
    "endless_hints": Case(fault_proxy.endless_hints, "within 2 s"),
    "redirect": Case(fault_proxy.redirect, "redirected", "voided"),
    "redirect_to_a_get": Case(fault_proxy.redirect_to_a_get, "redirected", "voided"),
}


class Faulty:
    """One Haldir in front of one upstream per fault, each behind a proxy of its own, and of one that is well."""

    def __init__(self, up: Up, upstreams: dict[str, RawUpstream], proxies: dict[str, RawUpstream]) -> None:
        self.haldir, self.upstreams, self.proxies = up, upstreams, proxies

    def peak_bytes(self) -> int:
        """Return the most memory that the server ever had."""
        status = Path(f"/proc/{self.haldir.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) << 10


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    fault_proxy.bomb()
    with ExitStack() as running:
        upstreams = {name: running.enter_context(raw_upstream(raw.honest)) for name in CASES}
        proxies = {
            name: running.enter_context(raw_upstream(harming(CASES[name].harm, upstreams[name]))) for name in CASES
        }
        well = running.enter_context(raw_upstream(raw.honest))
        data = tmp_path_factory.mktemp("faulty")
        known = {name: proxy.url for name, proxy in proxies.items()} | {"well": well.url}
        (data / "haldir.toml").write_text("".join(itertools.starmap(config, known.items())), encoding="utf-8")
        yield Faulty(running.enter_context(Up(data)), upstreams, proxies)


def test_each_fault_is_a_clear_answer_in_time_never_silently_paid_for_and_no_neighbour_notices(faulty: Faulty) -> None:
    """All faults at once, on both doors, while others call an upstream that is well.

    A machine that is busy otherwise may spoil one round for the neighbours; what the faults do to them spoils all.
    """
    before = faulty.peak_bytes()
    p95_seconds = [NEIGHBOURS_P95_SECONDS_MAX]
    while min(p95_seconds) >= NEIGHBOURS_P95_SECONDS_MAX and len(p95_seconds) <= ROUNDS_MAX:
        p95_seconds.append(statistics.quantiles(all_faults_at_once(faulty), n=20)[-1])
    assert min(p95_seconds) < NEIGHBOURS_P95_SECONDS_MAX, p95_seconds
    assert faulty.peak_bytes() - before < MEMORY_BYTES_MAX


def test_once_the_fault_is_over_calls_go_through_as_if_nothing_had_been(faulty: Faulty) -> None:
    token = faulty.haldir.token()
    for kind, proxy in faulty.proxies.items():
        proxy.on_call = raw.honest
        assert faulty.haldir.rpc(f"/mcp/{kind}", call("do"), token).message["result"]["isError"] is False


def all_faults_at_once(faulty: Faulty) -> list[float]:
    """Call behind every fault; return how long the calls of the neighbours took meanwhile."""
    over = threading.Event()
    asked = [(kind, path) for kind in CASES for path in ("/mcp/{}", "/mcp")]
    with ThreadPoolExecutor(NEIGHBOURS) as neighbours, ThreadPoolExecutor(len(asked)) as callers:
        waiting = [neighbours.submit(call_the_well_one, faulty.haldir, over) for _ in range(NEIGHBOURS)]
        try:
            answers = list(callers.map(lambda each: ask(faulty.haldir, *each), asked))
        finally:
            over.set()
    for (kind, _), answer in zip(asked, answers, strict=True):
        assert_clear(faulty, kind, answer)
    return [seconds for some in waiting for seconds in some.result()]


def config(name: str, url: str) -> str:
    return f'[upstreams.{name}]\nurl = "{url}"\ndeadline_seconds = {DEADLINE_SECONDS}\n'


class Heard(NamedTuple):
    session_id: str
    said: Any
    seconds: float


def ask(haldir: Haldir, kind: str, path: str) -> Heard:
    """Call the tool behind a fault in a session of its own; return what its error says, and how long that took."""
    session = haldir.session("execute", "spend", spend_limit=10)
    tool = "do" if "{}" in path else f"{kind}__do"
    started = time.monotonic()
    answer = haldir.rpc(path.format(kind), call(tool, amount=1), session["token"])
    seconds = time.monotonic() - started
    assert (answer.status, answer.message["id"], answer.message["result"]["isError"]) == (200, 1, True)
    return Heard(session["session_id"], json.loads(answer.message["result"]["content"][0]["text"]), seconds)


def assert_clear(faulty: Faulty, kind: str, heard: Heard) -> None:
    said, case = heard.said, CASES[kind]
    assert said["code"] == "upstream_error", kind
    assert case.sentence in said["error"], kind
    assert heard.seconds < DEADLINE_SECONDS + LATE_SECONDS_MAX, kind
    assert faulty.haldir.rest("GET", f"/v1/calls/{said['call_id']}")["state"] == case.state, kind
    shown = faulty.haldir.rest("GET", f"/v1/sessions/{heard.session_id}")
    assert (shown["spent"], shown["remaining_budget"]) == (0.0, 10.0 if case.state == "voided" else 9.0), kind
    if case.state == "voided":
        assert faulty.upstreams[kind].calls == 0, kind


def call_the_well_one(haldir: Haldir, over: threading.Event) -> list[float]:
    """Call an upstream that is well until it is over; return how long each call took."""
    token, seconds = haldir.token(), []
    while not over.is_set():
        started = time.monotonic()
        assert haldir.rpc("/mcp/well", call("do"), token).message["result"]["isError"] is False
        seconds.append(time.monotonic() - started)
    return seconds
