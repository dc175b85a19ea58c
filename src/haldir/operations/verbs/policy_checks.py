"""Policies before they are in force: what the linter says of them, and the schema by which editors know them."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.policy_changes import NAME, NAME_CHARS_MAX, POLICIES_MAX
from haldir.operations.policy_lint import PlacedFinding, lint_set
from haldir.operations.policy_schema import policy_schema
from haldir.operations.wire import JsonObject, StatusResponse
from haldir.policy.fields import InvalidPolicy, pointer

POLICIES = "policies"
OK = 200


class LintPoliciesRequest(msgspec.Struct, frozen=True):
    """Definitions that are to stand together, with a `name` or without."""

    policies: tuple[JsonObject, ...]


class PolicyFinding(msgspec.Struct, frozen=True):
    """An error cannot mean what it says; a warning may not do what its author thinks.

    `policy` is the name, if there is one, and `pointer` a JSON pointer into the request.
    """

    severity: Literal["error", "warning"]
    policy: str
    pointer: str
    message: str


class PoliciesLinted(msgspec.Struct, frozen=True):
    """`ok`: there are no errors, whatever warnings there are."""

    ok: bool
    findings: list[PolicyFinding]


class PolicySchemaRequest(msgspec.Struct, frozen=True):
    pass


async def lint_policies(ctx: Context, caller: Caller, request: LintPoliciesRequest) -> PoliciesLinted:
    """Say what is wrong or odd with policies, also against the tools that upstreams have. Changes nothing."""
    if len(request.policies) > POLICIES_MAX:
        raise InvalidPolicy(f"These are {len(request.policies)} policies; {POLICIES_MAX} are the most.", "/policies")
    found = shown_findings(request.policies, await lint_set(ctx, caller.tenant, request.policies))
    return PoliciesLinted(all(each.severity != "error" for each in found), found)


async def get_policy_schema(_ctx: Context, _caller: Caller | None, _request: PolicySchemaRequest) -> StatusResponse:
    """Return the JSON Schema of policies, for editors."""
    return StatusResponse(OK, msgspec.Raw(msgspec.json.encode(policy_schema())))


def shown_findings(definitions: Sequence[JsonObject], found: Sequence[PlacedFinding]) -> list[PolicyFinding]:
    """Return findings as they are shown."""
    return [
        PolicyFinding(
            each.severity,
            _name_of(definitions[each.place]),
            pointer(POLICIES, each.place) + each.pointer,
            each.message,
        )
        for each in found
    ]


def _name_of(definition: JsonObject) -> str:
    name = definition.get(NAME, "")
    return name[:NAME_CHARS_MAX] if isinstance(name, str) else ""


OPERATIONS = (
    Operation(
        name="lint_policies",
        method="POST",
        path="/v1/proxy/policies/lint",
        summary="Lint policies",
        scope="proxy:read",
        request=LintPoliciesRequest,
        response=PoliciesLinted,
        run=lint_policies,
        read_only=True,
        tag="policies",
    ),
    Operation(
        name="get_policy_schema",
        method="GET",
        path="/v1/proxy/policies/schema",
        summary="Get the JSON Schema of policies",
        scope=None,
        request=PolicySchemaRequest,
        response=StatusResponse,
        run=get_policy_schema,
        anonymous=True,
        tag="policies",
    ),
)
