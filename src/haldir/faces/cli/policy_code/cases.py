"""Cases that test policies: a call, what was counted before it, and what shall become of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from haldir.faces.cli.policy_code.files import BadPolicyFile, Stated, load_stated
from haldir.kernel.clock import DAY, Micros
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import BadAmount, parse_amount
from haldir.kernel.strict_json import Number
from haldir.operations.wire import Amount, JsonObject, Moment, decode_request
from haldir.policy.fields import pointer, suggestion

S = TypeVar("S", bound=msgspec.Struct)

CASES_MAX = 10_000
SOME_THURSDAY: Micros = 20_454 * DAY + DAY // 2  # 2026-01-01, noon in UTC: when a call is that does not say.
COUNT_CHARS_MAX = 18

Expected = Literal["allow", "deny", "hold"]


class CallAsked(msgspec.Struct, frozen=True):
    """The call, and what it costs. `calls` and `spend` are what was let through before it, within any window.

    Each is a number for all policies, or numbers by the policy that counts.
    """

    upstream: str
    tool: str
    arguments: JsonObject = JsonObject()
    session: str = "session"
    agent: str = "agent"
    scopes: tuple[str, ...] = ("execute",)
    at: Moment | None = None
    price: Amount = Amount(0)
    calls: Any = None
    spend: Any = None


class CaseAsked(msgspec.Struct, frozen=True):
    """`by` is the policy that decides; `reason` a part of what the caller is told."""

    name: str
    call: JsonObject
    expect: Expected
    by: str = ""
    reason: str = ""


class Counted(NamedTuple):
    """What was counted before a call: for policies by name, and for all others."""

    by_policy: Mapping[str, int]
    otherwise: int = 0

    def of(self, policy: str) -> int:
        return self.by_policy.get(policy, self.otherwise)


class Case(NamedTuple):
    """One case, and where it stands."""

    where: str
    asked: CaseAsked
    call: CallAsked
    calls: Counted
    spent_micros: Counted

    @property
    def at(self) -> Micros:
        return SOME_THURSDAY if self.call.at is None else self.call.at


def load_cases(paths: list[Path]) -> list[Case]:
    """Return the cases of these files. Raises BadPolicyFile."""
    cases = [_case(stated) for path in paths for stated in load_stated(path)]
    if not cases:
        raise BadPolicyFile(", ".join(map(str, paths)), "there is no case here, so nothing is tested")
    if len(cases) > CASES_MAX:
        raise BadPolicyFile(str(paths[0]), f"there are more than {CASES_MAX} cases")
    return cases


def _case(stated: Stated) -> Case:
    asked = _read(stated, CaseAsked, stated.definition, "")
    call = _read(stated, CallAsked, asked.call, "/call")
    calls = _counted(stated, call.calls, "/call/calls", _count)
    spent_micros = _counted(stated, call.spend, "/call/spend", parse_amount)
    return Case(stated.where(), asked, call, calls, spent_micros)


def _read(stated: Stated, kind: type[S], members: dict[str, Any], at: str) -> S:
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in members:
        if name not in known:
            raise BadPolicyFile(stated.where(at + pointer(name)), f"there is no {name!r} here{suggestion(name, known)}")
    try:
        return decode_request(kind, members, {})
    except InvalidRequest as fault:
        field = (fault.field or "").partition(".")[0].partition("[")[0]
        raise BadPolicyFile(stated.where(at + pointer(field)), fault.message) from None


def _counted(stated: Stated, value: Any, at: str, read: Any) -> Counted:
    match value:
        case None:
            return Counted({})
        case dict():
            return Counted({name: _number(stated, item, at + pointer(name), read) for name, item in value.items()})
    return Counted({}, _number(stated, value, at, read))


def _number(stated: Stated, value: Any, at: str, read: Any) -> int:
    try:
        found: int = read(value.text if isinstance(value, Number) else "")
    except BadAmount as fault:
        raise BadPolicyFile(stated.where(at), f"this {fault}") from None
    return found


def _count(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) <= COUNT_CHARS_MAX):
        raise BadAmount("must be a whole number that is not negative")
    return int(text)
