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


def one_of(*words: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(words) | st.lists(st.sampled_from(words), unique=True, min_size=1)


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda drawn: {name: value for part in drawn for name, value in part.items()})


numbers = st.sampled_from(["0", "1", "1.00", "2", "3", "0.1", "1e0", "1000000"]).map(Number)
scalars = st.sampled_from(["a", "b", "aa", Number("1"), Number("1.0"), Number("2"), Number("0.1"), True, False])
values = scalars | st.none() | st.lists(scalars, max_size=3)
items = st.lists(st.fixed_dictionaries({}, optional={"p": numbers | values}), max_size=3)
arguments = st.fixed_dictionaries({}, optional={"x": values, "y": scalars, "items": items})
ORDER_OPS = ("gt", "ge", "lt", "le")
few = whole(0, 4)


def operators(number: st.SearchStrategy[Any], *names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), number, min_size=1, max_size=2)


argument_tests = (
    operators(numbers, *ORDER_OPS)
    | operators(scalars, "eq", "ne", "contains")
    | fixed("in", st.lists(scalars, min_size=1, max_size=3))
    | fixed("matches", st.sampled_from(["^a", "b$", "a.", "A"]))
    | fixed("length", operators(few, *ORDER_OPS, "eq", "ne"))
    | fixed("exists", st.booleans())
)
meters = joined(
    fixed("per", st.sampled_from(["session", "agent", "tenant"])),
    fixed("within_seconds", st.sampled_from([Number("1"), Number("60"), Number("90"), Number("3600")])),
    member("tools", st.lists(st.sampled_from(["pay", "bank.pay", "read", "other"]), unique=True, min_size=1)),
)
leaves = (
    fixed("tool", one_of("pay", "bank.*", "files.read", "*a*", "read"))
    | fixed("upstream", one_of("bank", "f*"))
    | fixed("agent", one_of("agent_1", "agent_*", "agent_2"))
    | fixed("session", one_of("ses_1", "ses_2"))
    | fixed("scope", one_of("execute:bank", "admin", "execute"))
    | joined(fixed("argument", st.sampled_from(["/x", "/y", "/items", "/items/0/p", ""])), argument_tests)
    | joined(fixed("sum", st.sampled_from(["/items/*/p", "/x/*"])), operators(numbers, *ORDER_OPS, "eq", "ne"))
    | fixed("time", joined(hours, member("weekdays", st.lists(st.sampled_from(DAYS), unique=True, min_size=1))))
    | fixed("time", joined(fixed("dates", st.sampled_from(["2026-06-01/2026-12-31", ["2027-01-15"]]))))
    | joined(fixed("spend", st.just({"per": "call"})), operators(amounts, *ORDER_OPS))
)
counted = joined(fixed("calls", meters), operators(few, *ORDER_OPS)) | joined(
    fixed("spend", meters), operators(amounts, *ORDER_OPS)
)


def trees(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: (
            fixed("all", st.lists(inner, min_size=1, max_size=3))
            | fixed("any", st.lists(inner, min_size=1, max_size=3))
            | fixed("not", inner)
        ),
        max_leaves=6,
    )


modes = member("mode", st.sampled_from(["enforce", "shadow"]))


def rules_on(
    leaf: st.SearchStrategy[Any], effects: tuple[str, ...], *more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    effect, reason = fixed("effect", st.sampled_from(effects)), fixed("reason", st.just("No."))
    return kind("rule", effect, reason, fixed("when", trees(leaf)), *more)


rules = (
    rules_on(leaves | counted, ("deny", "hold"), modes)
    | rules_on(leaves, ("allow",), modes)
    | kind("rule", fixed("effect", st.sampled_from(["allow", "deny", "hold"])), fixed("reason", st.just("No.")), modes)
)
requirements = kind(
    "require_approval",
    member("tools", st.lists(tool_names, unique=True, min_size=1, max_size=3)),
    member("agents", st.lists(st.sampled_from(["agent_1", "agent_*"]), unique=True, min_size=1)),
    member("amount_over", amounts),
    member("approvers", whole(1, 10)),
    modes,
)
all_definitions = rules | requirements | joined(definitions, modes)
asked_calls = st.builds(
    Facts,
    st.sampled_from(UPSTREAMS),
    st.sampled_from(TOOLS),
    arguments,
    st.sampled_from(["ses_1", "ses_2"]),
    st.sampled_from(["agent_1", "agent_2"]),
    st.integers(instant("2026-01-01T00:00"), instant("2027-01-01T00:00")),
    st.lists(st.sampled_from(["execute", "execute:bank", "*", "admin:x", "admin"]), max_size=2).map(tuple),
    st.integers(0, 30_000_000) | st.none(),
)
