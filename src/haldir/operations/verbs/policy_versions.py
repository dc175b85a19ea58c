"""Policies as one set: put all of it at once, look at its versions, bring one back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows, find_row
from haldir.operations.outcomes import allowed_result
from haldir.operations.policies import opened_policies, policy_epoch, read_snapshot
from haldir.operations.policy_changes import (
    Policies,
    PolicyChange,
    changes_between,
    digest_of,
    named_policies,
    replacement,
)
from haldir.operations.policy_lint import lint_set
from haldir.operations.verbs.policies import shown_policy
from haldir.operations.verbs.policy_checks import POLICIES, PolicyFinding, shown_findings
from haldir.operations.wire import INT_MAX, JsonObject
from haldir.policy.fields import InvalidPolicy, pointer
from haldir.policy.policy import Policy
from haldir.proxy.model import PastPolicy, PolicyVersion, StoredPolicy
from haldir.proxy.policy_commands import PolicyChanged
from haldir.proxy.queries import past_policies, policy_versions

PAGE_DEFAULT = 100
PAGE_MAX = 500

Standing = StoredPolicy | PastPolicy


class ReplacePoliciesRequest(msgspec.Struct, frozen=True):
    """All policies there shall be, each with its `name`. `expected_version`: refuse if they are at another one.

    With `dry_run` nothing changes: the answer says what would.
    """

    policies: tuple[JsonObject, ...]
    expected_version: int | None = None
    dry_run: bool = False


class RollBackRequest(msgspec.Struct, frozen=True):
    """`version`: whose policies shall be in force again, as a new version; 0 is none at all."""

    version: int
    expected_version: int | None = None
    dry_run: bool = False


class PoliciesReplaced(msgspec.Struct, frozen=True):
    """`version` is the one in force now; a dry run, or a set without a change, leaves it as it was.

    `findings` is what is odd with these policies, though nothing is wrong.
    """

    version: int
    changes: list[PolicyChange]
    unchanged: int
    dry_run: bool
    findings: list[PolicyFinding] = []


class ListVersionsRequest(msgspec.Struct, frozen=True):
    """`before`: the version below which to go on."""

    limit: int = PAGE_DEFAULT
    before: int = INT_MAX


class PolicyVersionShown(msgspec.Struct, frozen=True):
    """One change of the set. `restores` is the version it brought back; null for none."""

    version: int
    changed_at: float
    changed_by: str
    put: int
    removed: int
    restores: int | None


class PolicyVersionsListed(msgspec.Struct, frozen=True):
    versions: list[PolicyVersionShown]
    current: int
    count: int
    next_before: int | None


class PolicyVersionNamed(msgspec.Struct, frozen=True):
    version: int


class PoliciesOfVersion(msgspec.Struct, frozen=True):
    """The policies as they were in one version. `digest` names them as a whole, as the entry of a replay does."""

    version: int
    policies: list[dict[str, Any]]
    count: int
    digest: str


async def replace_policies(ctx: Context, caller: Caller, request: ReplacePoliciesRequest) -> PoliciesReplaced:
    """Make the tenant's policies exactly these, all at once; those that are not among them are removed."""
    try:
        after = await asyncio.to_thread(named_policies, request.policies)  # A thousand take a second.
    except InvalidPolicy as fault:
        raise InvalidPolicy(fault.message, pointer(POLICIES) + fault.pointer) from None
    found = shown_findings(request.policies, await lint_set(ctx, caller.tenant, request.policies))
    if wrong := next((each for each in found if each.severity == "error"), None):
        raise InvalidPolicy(wrong.message, wrong.pointer)
    return await _replaced(ctx, caller, after, request, findings=found)


async def roll_back_policies(ctx: Context, caller: Caller, request: RollBackRequest) -> PoliciesReplaced:
    """Put the policies of an older version in force again, as a new version."""
    after = {row.id: policy for row, policy in await _of_version(ctx, caller, request.version)}
    return await _replaced(ctx, caller, after, request, restores=request.version)


async def list_policy_versions(ctx: Context, caller: Caller, request: ListVersionsRequest) -> PolicyVersionsListed:
    """List the versions of the tenant's policies, newest first."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"limit is 1 to {PAGE_MAX}", "limit")
    rows = await policy_versions(ctx.store, caller.tenant, request.before, request.limit)
    more = len(rows) == request.limit and rows[-1].epoch > 1
    current = await policy_epoch(ctx.store, caller.tenant)
    return PolicyVersionsListed([_shown(row) for row in rows], current, len(rows), rows[-1].epoch if more else None)


async def get_policy_version(ctx: Context, caller: Caller, request: PolicyVersionNamed) -> PoliciesOfVersion:
    """Show the policies as they were in one version."""
    found = await _of_version(ctx, caller, request.version)
    policies = [shown_policy(row, policy) for row, policy in found]
    digest = digest_of(await ctx.keyring.tenant(caller.tenant), {row.id: policy for row, policy in found})
    return PoliciesOfVersion(request.version, policies, len(policies), digest)


async def _replaced(
    ctx: Context,
    caller: Caller,
    after: Policies,
    request: ReplacePoliciesRequest | RollBackRequest,
    *,
    restores: int = 0,
    findings: Sequence[PolicyFinding] = (),
) -> PoliciesReplaced:
    epoch, stored = await read_snapshot(ctx.store, ctx.keyring, caller.tenant)
    before = {row.id: policy for row, policy in stored}
    changes = list(changes_between(before, after))
    unchanged = sum(name in before for name in after) - sum(change.change == "changed" for change in changes)
    if request.dry_run:
        return PoliciesReplaced(epoch, changes, unchanged, dry_run=True, findings=list(findings))
    replaced = replacement(
        ctx.new_op(),
        await ctx.keyring.tenant(caller.tenant),
        changes,
        after,
        asked_by=caller.credential,
        expected_epoch=epoch if request.expected_version is None else request.expected_version,
        restores=restores,
    )
    changed = await allowed_result(ctx, caller.tenant, replaced.command, PolicyChanged, replaced.parts)
    ctx.policies.forget(caller.tenant)
    return PoliciesReplaced(changed.epoch, changes, unchanged, dry_run=False, findings=list(findings))


async def _of_version(ctx: Context, caller: Caller, version: int) -> list[tuple[Standing, Policy]]:
    """Return what stood in a version: rows and what they say, by name. Raises NotFound if there is no such version."""
    if version and await find_row(ctx, caller.tenant, PolicyVersion, version) is None:
        raise NotFound("There is no such version of the policies.")
    standing = [row for row in await all_rows(ctx, caller.tenant, StoredPolicy) if row.since_epoch <= version]
    # What ended after the first look is in the second one: nothing of the version is missed, and its row counts once.
    found: dict[str, Standing] = {row.id: row for row in standing}
    found |= {row.id: row for row in await past_policies(ctx.store, caller.tenant, version)}
    rows = [found[name] for name in sorted(found)]
    return list(zip(rows, await opened_policies(ctx.store, ctx.keyring, caller.tenant, rows), strict=True))


def _shown(row: PolicyVersion) -> PolicyVersionShown:
    return PolicyVersionShown(
        version=row.epoch,
        changed_at=unix_seconds(row.changed_at),
        changed_by=row.changed_by,
        put=row.put_count,
        removed=row.removed_count,
        restores=row.restores or None,
    )


OPERATIONS = (
    Operation(
        name="replace_policies",
        method="PUT",
        path="/v1/proxy/policies",
        summary="Replace all policies",
        scope="proxy:write",
        request=ReplacePoliciesRequest,
        response=PoliciesReplaced,
        run=replace_policies,
        refusals=("policies_changed",),
        tag="policies",
    ),
    Operation(
        name="list_policy_versions",
        method="GET",
        path="/v1/proxy/policies/versions",
        summary="List the versions of the policies",
        scope="proxy:read",
        request=ListVersionsRequest,
        response=PolicyVersionsListed,
        run=list_policy_versions,
        tag="policies",
    ),
    Operation(
        name="get_policy_version",
        method="GET",
        path="/v1/proxy/policies/versions/{version}",
        summary="Get the policies of one version",
        scope="proxy:read",
        request=PolicyVersionNamed,
        response=PoliciesOfVersion,
        run=get_policy_version,
        tag="policies",
    ),
    Operation(
        name="roll_back_policies",
        method="POST",
        path="/v1/proxy/policies/rollback",
        summary="Roll the policies back",
        scope="proxy:write",
        request=RollBackRequest,
        response=PoliciesReplaced,
        run=roll_back_policies,
        refusals=("policies_changed",),
        tag="policies",
    ),
)
