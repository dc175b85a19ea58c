"""From a definition to a policy. What cannot be enforced exactly as written is refused, never ignored."""

from typing import Any

import msgspec

from haldir.policy.fields import SHOWN_CHARS, Fields, InvalidPolicy, suggestion
from haldir.policy.kinds.allow_list import AllowList
from haldir.policy.kinds.block_tool import BlockTool
from haldir.policy.kinds.deny_list import DenyList
from haldir.policy.kinds.rate_limit import RateLimit
from haldir.policy.kinds.require_approval import RequireApproval
from haldir.policy.kinds.rule import Rule
from haldir.policy.kinds.spend_limit import SpendLimit
from haldir.policy.kinds.time_window import TimeWindow
from haldir.policy.policy import MODES, Policy

KINDS: dict[str, type[Policy]] = {
    kind.KIND: kind
    for kind in (AllowList, BlockTool, DenyList, RateLimit, RequireApproval, Rule, SpendLimit, TimeWindow)
}


def parse(definition: Any) -> Policy:
    """Return the policy that a tree of `kernel.strict_json` defines. Raises InvalidPolicy, with a JSON pointer."""
    if not isinstance(definition, dict):
        raise InvalidPolicy("A policy is a JSON object.", "")
    if "type" not in definition:
        raise InvalidPolicy(f"A policy needs the field 'type': one of {', '.join(KINDS)}.", "/type")
    kind = definition["type"]
    if not isinstance(kind, str):
        raise InvalidPolicy("'type' must be a string.", "/type")
    if kind not in KINDS:
        raise InvalidPolicy(
            f"There is no kind of policy {kind[:SHOWN_CHARS]!r}{suggestion(kind, KINDS)} Known: {', '.join(KINDS)}.",
            "/type",
        )
    members = {name: value for name, value in definition.items() if name != "type"}
    fields = Fields(kind, KINDS[kind].__struct_encode_fields__, members)
    mode = fields.word("mode", MODES, "enforce")
    policy = KINDS[kind].read(fields)
    return policy if mode == policy.mode else msgspec.structs.replace(policy, mode=mode)
