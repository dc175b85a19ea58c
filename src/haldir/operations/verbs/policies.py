"""Policies: add, list, remove."""

from typing import Any

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed_result
from haldir.operations.policies import read_policies
from haldir.operations.wire import WholeBody
from haldir.policy.parse import parse
from haldir.proxy.commands import AddPolicy, PolicyChanged, RemovePolicy


class AddPolicyRequest(WholeBody, frozen=True):
    """`type`, and the fields of that kind: docs/policies.md lists them."""


class PolicyAdded(msgspec.Struct, frozen=True):
    """`epoch` counts the changes to the tenant's policies; entries name the one that decided."""

    added: bool
    type: str
    policy_id: str
    epoch: int


class ListPoliciesRequest(msgspec.Struct, frozen=True):
    pass


class PoliciesListed(msgspec.Struct, frozen=True):
    """Each policy is its definition, with `policy_id` and `created_at`."""

    policies: list[dict[str, Any]]
    count: int


class PolicyNamed(msgspec.Struct, frozen=True):
    policy_id: str


class PolicyRemoved(msgspec.Struct, frozen=True):
    removed: bool
    policy_id: str
    epoch: int


async def add_policy(ctx: Context, caller: Caller, request: AddPolicyRequest) -> PolicyAdded:
    """Add a policy; it holds from the next decision on. What could never fire is refused."""
    policy = parse(request.body)
    op_id = ctx.new_op()
    part = (await ctx.keyring.tenant(caller.tenant)).seal(policy.encoded(), "policy")
    command = AddPolicy(
        op_id=op_id,
        asked_by=caller.credential,
        policy_id=ids.policy_id(op_id),
        policy_kind=policy.KIND,
        definition_digest=part.digest,
    )
    changed = await allowed_result(ctx, caller.tenant, command, PolicyChanged, [part])
    ctx.policies.forget(caller.tenant)
    return PolicyAdded(True, policy.KIND, command.policy_id, changed.epoch)


async def list_policies(ctx: Context, caller: Caller, _request: ListPoliciesRequest) -> PoliciesListed:
    """List the tenant's policies in the order they were added."""
    found = await read_policies(ctx.store, ctx.keyring, caller.tenant)
    policies = [
        {
            "policy_id": stored.id,
            "created_at": unix_seconds(stored.created_at),
            **msgspec.json.decode(policy.encoded()),
        }
        for stored, policy in found
    ]
    return PoliciesListed(policies, len(policies))


async def remove_policy(ctx: Context, caller: Caller, request: PolicyNamed) -> PolicyRemoved:
    """Remove a policy; it holds until the decision before this one."""
    command = RemovePolicy(op_id=ctx.new_op(), asked_by=caller.credential, policy_id=request.policy_id)
    changed = await allowed_result(ctx, caller.tenant, command, PolicyChanged)
    ctx.policies.forget(caller.tenant)
    return PolicyRemoved(True, request.policy_id, changed.epoch)


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
