"""Anomaly rules: add, list, remove."""

from typing import Any

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import wire_amount
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed
from haldir.operations.wire import WholeBody
from haldir.policy.fields import InvalidPolicy
from haldir.watch.anomaly_rules import AnomalyRule, read_condition
from haldir.watch.commands import AddAnomalyRule, RemoveAnomalyRule
from haldir.watch.model import AnomalyRules


class AddAnomalyRuleRequest(WholeBody, frozen=True):
    """`type`, the fields of that kind, and `quiet_minutes`: docs/anomalies.md lists them."""


class AnomalyRuleAdded(msgspec.Struct, frozen=True):
    added: bool
    type: str
    rule_id: str


class ListAnomalyRulesRequest(msgspec.Struct, frozen=True):
    pass


class AnomalyRulesListed(msgspec.Struct, frozen=True):
    """Each rule is its definition, with `rule_id` and `created_at`."""

    rules: list[dict[str, Any]]
    count: int


class AnomalyRuleNamed(msgspec.Struct, frozen=True):
    rule_id: str


class AnomalyRuleRemoved(msgspec.Struct, frozen=True):
    removed: bool
    rule_id: str


async def add_anomaly_rule(ctx: Context, caller: Caller, request: AddAnomalyRuleRequest) -> AnomalyRuleAdded:
    """Add a rule; it looks at every decision from the next one on. What could never flag is refused."""
    try:
        condition, quiet_minutes = read_condition(request.body, ctx.clock())
    except InvalidPolicy as fault:
        raise InvalidRequest(fault.message, fault.pointer) from fault
    op_id = ctx.new_op()
    rule = AnomalyRule(ids.anomaly_rule_id(op_id), condition, quiet_minutes)
    await allowed(ctx, caller.tenant, AddAnomalyRule(op_id=op_id, asked_by=caller.credential, rule=rule))
    return AnomalyRuleAdded(True, rule.kind, rule.id)


async def list_anomaly_rules(ctx: Context, caller: Caller, _request: ListAnomalyRulesRequest) -> AnomalyRulesListed:
    """List the tenant's rules in the order they were added."""
    standing = await find_row(ctx, caller.tenant, AnomalyRules) or AnomalyRules()
    return AnomalyRulesListed([_shown(rule) for rule in standing.rules], len(standing.rules))


async def remove_anomaly_rule(ctx: Context, caller: Caller, request: AnomalyRuleNamed) -> AnomalyRuleRemoved:
    """Remove a rule; what it flagged stays flagged."""
    command = RemoveAnomalyRule(op_id=ctx.new_op(), asked_by=caller.credential, rule_id=request.rule_id)
    await allowed(ctx, caller.tenant, command)
    return AnomalyRuleRemoved(True, request.rule_id)


def _shown(rule: AnomalyRule) -> dict[str, Any]:
    """Return a rule as it was asked for; the zone's offsets are Haldir's own business."""
    definition = msgspec.to_builtins(rule.condition)
    definition.pop("offsets", None)
    if "at_least_micros" in definition:
        definition["at_least"] = wire_amount(definition.pop("at_least_micros"))
    told = {"rule_id": rule.id, "created_at": unix_seconds(rule.created_at)}
    return {**told, **definition, "quiet_minutes": rule.quiet_minutes}


OPERATIONS = (
    Operation(
        name="add_anomaly_rule",
        method="POST",
        path="/v1/anomalies/rules",
        summary="Add an anomaly rule",
        scope="admin:write",
        request=AddAnomalyRuleRequest,
        response=AnomalyRuleAdded,
        run=add_anomaly_rule,
        status=201,
        refusals=("too_many_rules",),
        tag="anomalies",
    ),
    Operation(
        name="list_anomaly_rules",
        method="GET",
        path="/v1/anomalies/rules",
        summary="List anomaly rules",
        scope="admin:read",
        request=ListAnomalyRulesRequest,
        response=AnomalyRulesListed,
        run=list_anomaly_rules,
        tag="anomalies",
    ),
    Operation(
        name="remove_anomaly_rule",
        method="DELETE",
        path="/v1/anomalies/rules/{rule_id}",
        summary="Remove an anomaly rule",
        scope="admin:write",
        request=AnomalyRuleNamed,
        response=AnomalyRuleRemoved,
        run=remove_anomaly_rule,
        refusals=("anomaly_rule_not_found",),
        tag="anomalies",
    ),
)
