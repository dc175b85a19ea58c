"""How much one policy may say: the largest is taken, and what is one larger is refused where it stands."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from haldir.kernel import strict_json
from haldir.policy.fields import InvalidPolicy
from haldir.policy.parse import parse


def rule(condition: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"type": "rule", "effect": "deny", "reason": "so", "when": condition, **further}


def days(count: int) -> list[str]:
    return [str(date(2026, 1, 1) + timedelta(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("most", "of", "place"),
    [
        (1000, lambda count: rule({"argument": "/a", "in": list(range(count))}), "/when/in"),
        (10**9, lambda count: rule({"argument": "/a", "length": {"gt": count}}), "/when/length/gt"),
        (10**9, lambda count: rule({"calls": {"per": "agent", "within_seconds": 60}, "gt": count}), "/when/gt"),
        (366, lambda count: rule({"time": {"dates": days(count)}}), "/when/time/dates"),
        (300, lambda count: rule({"scope": ["s" * count]}), "/when/scope/0"),
        (300, lambda count: rule({"tool": ["a"]}, reason="r" * count), "/reason"),
        (257, lambda count: rule({"agent": ["a" * count]}), "/when/agent/0"),
        (257, lambda count: {"type": "block_tool", "tool": "t" * count}, "/tool"),
        (1000, lambda count: {"type": "require_approval", "agents": [f"a{number}" for number in range(count)]}, "/agents"),
    ],
    ids=["values", "length", "calls", "dates", "scope", "reason", "agent", "tool", "agents"],
)  # fmt: skip
def test_the_largest_is_taken_and_what_is_one_larger_is_refused(
    most: int, of: Callable[[int], dict[str, Any]], place: str
) -> None:
    parse(strict_json.decode(json.dumps(of(most)).encode()))
    with pytest.raises(InvalidPolicy) as refused:
        parse(strict_json.decode(json.dumps(of(most + 1)).encode()))
    assert refused.value.pointer == place
