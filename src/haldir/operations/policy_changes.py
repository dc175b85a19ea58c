"""From one set of policies to another: what each is called, what changes, and the command that changes it all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from haldir.kernel import ids, strict_json
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.ids import OpId
from haldir.policy.fields import SHOWN_CHARS, InvalidPolicy, pointer
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.proxy.policy_commands import PutPolicy, ReplacePolicies
from haldir.storage.rows import Part
from haldir.vault.tenant_keys import TenantKeys

NAME = "name"
POLICIES_MAX = 1000  # Of a tenant that states them as a set; more than a person keeps in view.
PATTERNS_MAX = 200  # Of one set: compiled they fill some ten megabytes.
NAME_CHARS_MAX = 64
NAMELESS = "To be applied, a policy needs the field 'name': by it later versions know it."
RESERVED = "pol_"  # What policies without a name are called by.
CHANGE_BYTES_MAX = 48 << 10  # Names and kinds in one command: its entry must stay under 64 KiB.

Policies = Mapping[str, Policy]  # By what each is called.


class PolicyChange(msgspec.Struct, frozen=True):
    """What becomes of one policy: its definition before and after, null where there is none."""

    policy_id: str
    change: Literal["added", "changed", "removed"]
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class Replacement(NamedTuple):
    """The command that makes one set another, and the definitions that travel beside it."""

    command: ReplacePolicies
    parts: Sequence[Part]


def named_policies(definitions: Sequence[dict[str, Any]]) -> dict[str, Policy]:
    """Return the policies by their names, each its own. Raises InvalidPolicy with a pointer that begins at the list."""
    if len(definitions) > POLICIES_MAX:
        raise InvalidPolicy(f"These are {len(definitions)} policies; {POLICIES_MAX} are the most.", "")
    check_patterns(definitions)
    found: dict[str, Policy] = {}
    for place, definition in enumerate(definitions):
        try:
            name, policy = named_policy(definition)
        except InvalidPolicy as fault:
            raise InvalidPolicy(fault.message, pointer(place) + fault.pointer) from None
        if name in found:
            raise InvalidPolicy(f"Two policies are named {name!r}.", pointer(place, NAME))
        found[name] = policy
    return found


def check_patterns(definitions: Sequence[dict[str, Any]]) -> None:
    """Refuse more patterns than are worth their memory, before one is compiled. Raises InvalidPolicy."""
    patterns = sum(map(_patterns_in, definitions))
    if patterns > PATTERNS_MAX:
        raise InvalidPolicy(f"These policies have {patterns} patterns (`matches`); {PATTERNS_MAX} are the most.", "")


def _patterns_in(value: Any) -> int:
    match value:
        case dict():
            return ("matches" in value) + sum(map(_patterns_in, value.values()))
        case list() | tuple():
            return sum(map(_patterns_in, value))
    return 0


def named_policy(definition: dict[str, Any]) -> tuple[str, Policy]:
    """Return a policy and its name. Raises InvalidPolicy."""
    if NAME not in definition:
        raise InvalidPolicy(NAMELESS, pointer(NAME))
    name, rest = split_name(definition)
    return name, parse(rest)


def split_name(definition: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name that a definition has, "" for none, and the rest of it. Raises InvalidPolicy for a bad name."""
    rest = {member: value for member, value in definition.items() if member != NAME}
    if NAME not in definition:
        return "", rest
    name = definition[NAME]
    if not isinstance(name, str):
        raise InvalidPolicy("'name' must be a string.", pointer(NAME))
    if len(name) > NAME_CHARS_MAX or not ids.is_name(name) or name.startswith(RESERVED):
        raise InvalidPolicy(
            f"A policy cannot be named {name[:SHOWN_CHARS]!r}: write 1 to {NAME_CHARS_MAX} letters, digits, '.', '_' "
            f"and '-', a letter or digit first, and not {RESERVED!r}.",
            pointer(NAME),
        )
    return name, rest


def digest_of(keys: TenantKeys, policies: Policies) -> str:
    """Return what a whole set is named by in the log: one digest, in whatever order and spelling it is stated."""
    return keys.digest("policies", strict_json.encode({name: each.definition() for name, each in policies.items()}))


def changes_between(before: Policies, after: Policies) -> Iterator[PolicyChange]:
    """Yield what changes from one set to the other, by name."""
    for name in sorted({*before, *after}):
        was, becomes = _definition(before, name), _definition(after, name)
        if was is None:
            yield PolicyChange(name, "added", None, becomes)
        elif becomes is None:
            yield PolicyChange(name, "removed", was, None)
        elif was != becomes:
            yield PolicyChange(name, "changed", was, becomes)


def replacement(
    op_id: OpId, keys: TenantKeys, changes: Sequence[PolicyChange], after: Policies, **fields: Any
) -> Replacement:
    """Return what carries out these changes, out of which `after` comes. Raises InvalidRequest if they are too many."""
    puts = [PutPolicy(each.policy_id, after[each.policy_id].KIND) for each in changes if each.after is not None]
    removes = [each.policy_id for each in changes if each.after is None]
    if len(msgspec.json.encode((puts, removes))) > CHANGE_BYTES_MAX:
        raise InvalidRequest("These are too many changes at once: put some policies first, and the rest after them.")
    definitions = strict_json.encode([after[put.id].definition() for put in puts])
    part = keys.seal(definitions, "policy") if puts else None
    command = ReplacePolicies(
        op_id=op_id,
        definitions_digest=part.digest if part else "",
        puts=tuple(puts),
        removes=tuple(removes),
        **fields,
    )
    return Replacement(command, [part] if part else [])


def _definition(policies: Policies, name: str) -> msgspec.Raw | None:
    policy = policies.get(name)
    return None if policy is None else msgspec.Raw(policy.encoded())
