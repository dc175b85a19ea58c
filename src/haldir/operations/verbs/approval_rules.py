"""What is held for approval: rules, and the setting of four eyes."""

from typing import get_args

import msgspec

from haldir.approvals.commands import (
    AddApprovalRule,
    RemoveApprovalRule,
    RulesChanged,
    SetFourEyes,
)
from haldir.approvals.model import NO_RULES, ApprovalRule, ApprovalRules, RuleKind
from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import wire_amount
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed_result
from haldir.operations.policy_lint import lint_definitions
from haldir.operations.wire import Amount

APPROVERS_MAX = 10  # More people are never found in time.
TOOLS_MAX = 100
TOOL_CHARS_MAX = 256  # An upstream's name and a tool's, with room.
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)


class AddApprovalRuleRequest(msgspec.Struct, frozen=True):
    """`type`: spend_over (`threshold`), tool_blocked (`tools`, each TOOL or UPSTREAM.TOOL), destructive, or all.

    `approvers` is how many must approve. With `four_eyes` none of them may have asked or opened the session.
    """

    type: str = ""
    threshold: Amount | None = None
    tools: list[str] | None = None
    approvers: int = 1
    four_eyes: bool = False


class ApprovalRuleAdded(msgspec.Struct, frozen=True):
    """`version` counts the changes to the tenant's rules: approvals of an older one let nothing through.

    `warnings` name tools that no connected upstream is known to have: of these the rule holds nothing.
    """

    added: bool
    type: str
    rule_id: str
    version: int
    warnings: list[str] = []


class ListApprovalRulesRequest(msgspec.Struct, frozen=True):
    pass


class ApprovalRuleShown(msgspec.Struct, frozen=True):
    rule_id: str
    type: RuleKind
    threshold: float
    tools: tuple[str, ...]
    approvers: int
    four_eyes: bool
    created_by: str
    created_at: float


class ApprovalRulesListed(msgspec.Struct, frozen=True):
    """`four_eyes` is the tenant's setting: it holds for every approval."""

    rules: list[ApprovalRuleShown]
    count: int
    version: int
    four_eyes: bool


class ApprovalRuleNamed(msgspec.Struct, frozen=True):
    rule_id: str


class ApprovalRuleRemoved(msgspec.Struct, frozen=True):
    removed: bool
    rule_id: str
    version: int


class FourEyesRequest(msgspec.Struct, frozen=True):
    four_eyes: bool


class FourEyesSet(msgspec.Struct, frozen=True):
    four_eyes: bool
    version: int


async def add_approval_rule(ctx: Context, caller: Caller, request: AddApprovalRuleRequest) -> ApprovalRuleAdded:
    """Add a rule; what it says is held from the next decision on."""
    kind = _kind(request)
    _check(request)
    op_id = ctx.new_op()
    command = AddApprovalRule(
        op_id=op_id,
        asked_by=caller.credential,
        rule_id=ids.approval_rule_id(op_id),
        rule_kind=kind,
        threshold_micros=int(request.threshold or 0) if kind == "spend_over" else 0,
        tools=tuple(request.tools or ()) if kind == "tool_blocked" else (),
        approvers=request.approvers,
        four_eyes=request.four_eyes,
    )
    changed = await allowed_result(ctx, caller.tenant, command, RulesChanged)
    warnings = await _warnings(ctx, caller, command.tools)
    return ApprovalRuleAdded(True, kind, command.rule_id, changed.version, warnings)


async def list_approval_rules(ctx: Context, caller: Caller, _request: ListApprovalRulesRequest) -> ApprovalRulesListed:
    """List the rules in the order they were added."""
    rules = await find_row(ctx, caller.tenant, ApprovalRules) or NO_RULES
    return ApprovalRulesListed([_shown(rule) for rule in rules.rules], len(rules.rules), rules.version, rules.four_eyes)


async def remove_approval_rule(ctx: Context, caller: Caller, request: ApprovalRuleNamed) -> ApprovalRuleRemoved:
    """Remove a rule; what it alone held passes from the next decision on."""
    command = RemoveApprovalRule(op_id=ctx.new_op(), asked_by=caller.credential, rule_id=request.rule_id)
    changed = await allowed_result(ctx, caller.tenant, command, RulesChanged)
    return ApprovalRuleRemoved(True, request.rule_id, changed.version)


async def set_four_eyes(ctx: Context, caller: Caller, request: FourEyesRequest) -> FourEyesSet:
    """Say whether a key that opened the session or asked may decide as well. It may unless this is on."""
    command = SetFourEyes(op_id=ctx.new_op(), asked_by=caller.credential, four_eyes=request.four_eyes)
    changed = await allowed_result(ctx, caller.tenant, command, RulesChanged)
    return FourEyesSet(request.four_eyes, changed.version)


async def _warnings(ctx: Context, caller: Caller, tools: tuple[str, ...]) -> list[str]:
    """Return what is odd about the names of tools, as the linter of policies has it."""
    if not tools:
        return []
    naming = {"type": "deny_list", "tools": list(tools)}
    return [found.message for found in await lint_definitions(ctx, caller.tenant, [("rule", naming)])]


def _kind(request: AddApprovalRuleRequest) -> RuleKind:
    for kind in KINDS:
        if request.type == kind:
            return kind
    told = f"`type` is {request.type!r}" if request.type else "`type` is missing"
    raise InvalidRequest(
        f"{told}: it is one of {', '.join(KINDS)}. A rule of `tool`, `condition` and `action` is not supported; "
        "write {type: spend_over, threshold} or {type: tool_blocked, tools}",
        "type",
    )


def _check(request: AddApprovalRuleRequest) -> None:
    """Refuse what could never hold anything, or never let anything go."""
    tools = request.tools or []
    if request.type == "tool_blocked" and not 1 <= len(tools) <= TOOLS_MAX:
        raise InvalidRequest(f"a tool_blocked rule names 1 to {TOOLS_MAX} `tools`", "tools")
    if not all(1 <= len(tool) <= TOOL_CHARS_MAX for tool in tools):
        raise InvalidRequest(f"each of `tools` has 1 to {TOOL_CHARS_MAX} characters", "tools")
    if not 1 <= request.approvers <= APPROVERS_MAX:
        raise InvalidRequest(f"`approvers` is 1 to {APPROVERS_MAX}", "approvers")


def _shown(rule: ApprovalRule) -> ApprovalRuleShown:
    return ApprovalRuleShown(
        rule.id,
        rule.kind,
        wire_amount(rule.threshold_micros),
        rule.tools,
        rule.approvers,
        rule.four_eyes,
        rule.created_by,
        unix_seconds(rule.created_at),
    )


OPERATIONS = (
    Operation(
        name="add_approval_rule",
        method="POST",
        path="/v1/approvals/rules",
        summary="Add a rule that holds for approval",
        scope="approvals:write",
        request=AddApprovalRuleRequest,
        response=ApprovalRuleAdded,
        run=add_approval_rule,
        status=201,
        refusals=("too_many_rules",),
        tag="approvals",
    ),
    Operation(
        name="list_approval_rules",
        method="GET",
        path="/v1/approvals/rules",
        summary="List the rules that hold for approval",
        scope="approvals:read",
        request=ListApprovalRulesRequest,
        response=ApprovalRulesListed,
        run=list_approval_rules,
        tag="approvals",
    ),
    Operation(
        name="remove_approval_rule",
        method="DELETE",
        path="/v1/approvals/rules/{rule_id}",
        summary="Remove a rule that holds for approval",
        scope="approvals:write",
        request=ApprovalRuleNamed,
        response=ApprovalRuleRemoved,
        run=remove_approval_rule,
        refusals=("approval_rule_not_found",),
        tag="approvals",
    ),
    Operation(
        name="set_four_eyes",
        method="PUT",
        path="/v1/approvals/settings",
        summary="Say whether approvals need four eyes",
        scope="admin:write",  # Else whoever it binds could lift it.
        request=FourEyesRequest,
        response=FourEyesSet,
        run=set_four_eyes,
        tag="approvals",
    ),
)
