"""Calls and policies to judge: samples, and strategies that draw them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from haldir.kernel import strict_json
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.strict_json import Number
from haldir.policy.compile import PolicySet, compile_policies
from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement
from haldir.policy.parse import parse
from haldir.policy.policy import Policy

UPSTREAMS = ("files", "bank", "files.eu")
TOOLS = ("read", "pay", "eu.read", "files.read", "other")
NAMES = sorted({*TOOLS, *(f"{upstream}.{tool}" for upstream in UPSTREAMS for tool in TOOLS)} - {"other"})
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def policy(text: str) -> Policy:
    return parse(strict_json.decode(text.encode()))


def instant(local: str, zone: str = "UTC") -> Micros:
    return round(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def call(tool: str = "pay", upstream: str = "bank", at: Micros = 0, **arguments: Any) -> Facts:
    return Facts(upstream, tool, arguments, "ses_1", "agent_1", at)


def only(text: str) -> PolicySet:
    return compile_policies([("pol_x", policy(text))], 1)


def judged(text: str, facts: Facts) -> Judgement:
    return only(text).judge(facts)


def member(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | value.map(lambda drawn: {name: drawn})


def whole(least: int, most: int) -> st.SearchStrategy[Number]:
    return st.integers(least, most).map(lambda number: Number(str(number)))


def kind(name: str, *fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*fields).map(
        lambda drawn: {"type": name} | {key: value for part in drawn for key, value in part.items()}
    )


def fixed(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return value.map(lambda drawn: {name: drawn})


amounts = st.integers(0, 30_000_000).map(lambda micros: Number(f"{micros // 10**6}.{micros % 10**6:06d}"))
tool_names = st.sampled_from(NAMES)
hours = (
    st.tuples(st.integers(0, 23), st.integers(0, 24))
    .filter(lambda pair: pair[0] != pair[1] and pair != (0, 24))
    .map(lambda pair: {"start_hour": Number(str(pair[0])), "end_hour": Number(str(pair[1]))})
)
time_windows = kind(
    "time_window",
    hours,
    member("zone", st.sampled_from(ZONES)),
    member("weekdays", st.lists(st.sampled_from(DAYS), unique=True, min_size=1)),
)
tool_definitions = (
    kind("block_tool", fixed("tool", tool_names))
    | kind("deny_list", fixed("tools", st.lists(tool_names, unique=True, min_size=1, max_size=4)))
    | kind("allow_list", fixed("tools", st.lists(tool_names, unique=True, max_size=12)))
)
definitions = (
    tool_definitions
    | kind("spend_limit", fixed("max", amounts))
    | kind(
        "rate_limit",
        fixed("max_per_minute", whole(1, 1_000_000)),
        member("per", st.sampled_from(["session", "agent", "tenant"])),
    )
    | time_windows
)
calls = st.builds(
    Facts,
    st.sampled_from(UPSTREAMS),
    st.sampled_from(TOOLS),
    member("amount", amounts | st.sampled_from([None, True, "12", Number("-1"), Number("1e309"), [], {}])),
    st.just("ses_1"),
    st.just("agent_1"),
    st.integers(instant("2026-01-01T00:00"), instant("2027-01-01T00:00")),
)
