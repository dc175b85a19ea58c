"""Policies: add, list, remove."""

from typing import Any

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed_result
from haldir.operations.policies import read_policies, read_snapshot
from haldir.operations.policy_changes import NAME, RESERVED, split_name
from haldir.operations.policy_lint import lint_definitions
from haldir.operations.wire import WholeBody
from haldir.policy.fields import InvalidPolicy
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.proxy.model import PastPolicy, StoredPolicy
from haldir.proxy.policy_commands import AddPolicy, PolicyChanged, RemovePolicy


class AddPolicyRequest(WholeBody, frozen=True):
    """`type`, and the fields of that kind: docs/policies.md lists them. With `name` the policy goes by that name."""


class PolicyWarning(msgspec.Struct, frozen=True):
    """What a policy that stands may not do as its author thinks; `pointer` leads to where it says so."""

    pointer: str
    message: str


class PolicyAdded(msgspec.Struct, frozen=True):
    """`version` counts the changes to the tenant's policies; entries name the one that decided."""

    added: bool
    type: str
    policy_id: str
    version: int
    warnings: list[PolicyWarning]


class ListPoliciesRequest(msgspec.Struct, frozen=True):
    pass


class PoliciesListed(msgspec.Struct, frozen=True):
    """Each policy is its definition, with `policy_id` and `created_at`; `policy_id` is its name, where it has one."""

    policies: list[dict[str, Any]]
    count: int
    version: int


class PolicyNamed(msgspec.Struct, frozen=True):
    policy_id: str


class PolicyRemoved(msgspec.Struct, frozen=True):
    removed: bool
    policy_id: str
    version: int


async def add_policy(ctx: Context, caller: Caller, request: AddPolicyRequest) -> PolicyAdded:
    """Add a policy; it holds from the next decision on. What could never fire is refused."""
    name, definition = split_name(request.body)
    policy = parse(definition)
    op_id = ctx.new_op()
    policy_id = name or ids.policy_id(op_id)
    warnings = await _warnings(ctx, caller, policy_id, policy)
    part = (await ctx.keyring.tenant(caller.tenant)).seal(policy.encoded(), "policy")
    command = AddPolicy(
        op_id=op_id,
        asked_by=caller.credential,
        policy_id=policy_id,
        policy_kind=policy.KIND,
        definition_digest=part.digest,
    )
    changed = await allowed_result(ctx, caller.tenant, command, PolicyChanged, [part])
    ctx.policies.forget(caller.tenant)
    return PolicyAdded(True, policy.KIND, command.policy_id, changed.epoch, warnings)


async def list_policies(ctx: Context, caller: Caller, _request: ListPoliciesRequest) -> PoliciesListed:
    """List the tenant's policies in the order they were added, and the version that they are."""
    epoch, found = await read_snapshot(ctx.store, ctx.keyring, caller.tenant)
    return PoliciesListed([shown_policy(stored, policy) for stored, policy in found], len(found), epoch)


async def remove_policy(ctx: Context, caller: Caller, request: PolicyNamed) -> PolicyRemoved:
    """Remove a policy; it holds until the decision before this one."""
    command = RemovePolicy(op_id=ctx.new_op(), asked_by=caller.credential, policy_id=request.policy_id)
    changed = await allowed_result(ctx, caller.tenant, command, PolicyChanged)
    ctx.policies.forget(caller.tenant)
    return PolicyRemoved(True, request.policy_id, changed.epoch)


def shown_policy(stored: StoredPolicy | PastPolicy, policy: Policy) -> dict[str, Any]:
    """Return a policy as it is listed, each number by its own text."""
    named = {} if stored.id.startswith(RESERVED) else {NAME: stored.id}
    known = {"policy_id": stored.id, "created_at": unix_seconds(stored.created_at)}
    return {**known, **named, **msgspec.json.decode(policy.encoded(), type=dict[str, msgspec.Raw])}


async def _warnings(ctx: Context, caller: Caller, policy_id: str, policy: Policy) -> list[PolicyWarning]:
    """Return what is odd with a policy beside those that stand. Raises InvalidPolicy if it is more than odd."""
    standing = await read_policies(ctx.store, ctx.keyring, caller.tenant)
    definitions = [*((stored.id, each.definition()) for stored, each in standing), (policy_id, policy.definition())]
    found = await lint_definitions(ctx, caller.tenant, definitions, frozenset({policy_id}))
    for finding in found:
        if finding.severity == "error":
            raise InvalidPolicy(finding.message, finding.pointer)
    return [PolicyWarning(each.pointer, each.message) for each in found]


OPERATIONS = (
    Operation(
        name="add_policy",
        method="POST",
        path="/v1/proxy/policies",
        summary="Add a policy",
        scope="proxy:write",
        request=AddPolicyRequest,
        response=PolicyAdded,
        run=add_policy,
        status=201,
        refusals=("exists",),
        tag="policies",
    ),
    Operation(
        name="list_policies",
        method="GET",
        path="/v1/proxy/policies",
        summary="List policies",
        scope="proxy:read",
        request=ListPoliciesRequest,
        response=PoliciesListed,
        run=list_policies,
        tag="policies",
    ),
    Operation(
        name="remove_policy",
        method="DELETE",
        path="/v1/proxy/policies/{policy_id}",
        summary="Remove a policy",
        scope="proxy:write",
        request=PolicyNamed,
        response=PolicyRemoved,
        run=remove_policy,
        refusals=("policy_not_found",),
        tag="policies",
    ),
)
