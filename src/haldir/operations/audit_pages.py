"""Entries as the wire shows them (WIRE.md §4), with what was sealed beside them opened."""

from collections.abc import Sequence

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.ids import TenantId
from haldir.kernel.money import wire_amount
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit
from haldir.operations.context import Context
from haldir.operations.sealed_parts import opened_parts
from haldir.proxy.model import Call
from haldir.watch.reading import LoggedEntry

DETAILS_AT_ONCE = 64  # Entries whose details are opened together: 4 MiB at most.
PAGE_DETAILS_BYTES_MAX = 4 << 20  # A page ends early rather than hold much more.

ACTION = LogAction.__struct_config__.tag
TOOL_CALL = Admit.__struct_config__.tag
NOTHING = msgspec.Raw(b"{}")


class EntryShown(msgspec.Struct, frozen=True):
    """One entry. `entry_hash` and `prev_hash` are leaf hashes; `details` of what Haldir did is its command.

    `policy_version` is the version of the policies by which a tool call was judged, null for what they do not judge.
    `remarks`: what policies in shadow mode would have done, and which rule names the call as allowed.
    """

    entry_id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    action: str
    kind: str
    allowed: bool
    code: str
    reason: str
    call_id: str | None
    cost_usd: float
    flagged: bool
    flag_reason: str
    timestamp: float
    details: msgspec.Raw
    prev_hash: str
    entry_hash: str
    policy_version: int | None
    remarks: list[str]


async def shown_entries(ctx: Context, tenant: TenantId, entries: Sequence[LoggedEntry]) -> list[EntryShown]:
    """Return the entries as they are shown; fewer of them if their details would fill more than a page."""
    prices = await _prices(ctx, tenant, entries)
    shown: list[EntryShown] = []
    size = 0
    for start in range(0, len(entries), DETAILS_AT_ONCE):
        some = entries[start : start + DETAILS_AT_ONCE]
        details = await _opened_details(ctx, tenant, some)
        shown += [_shown(entry, details, prices) for entry in some]
        size += sum(len(entry.details) for entry in shown[start:])
        if size > PAGE_DETAILS_BYTES_MAX:
            break
    return shown


def _shown(entry: LoggedEntry, details: dict[str, bytes], prices: dict[str, int]) -> EntryShown:
    record, asked = entry.record, entry.asked
    about = record.about
    cost_micros = asked.cost_micros if asked.kind == ACTION else prices.get(asked.call_id, 0)
    return EntryShown(
        entry_id=ids.entry_id(entry.index),
        session_id=about.session_id,
        agent_id=about.agent_id,
        upstream=about.upstream,
        tool=about.tool,
        action=_action(entry),
        kind=asked.kind,
        allowed=record.allowed,
        code=record.code,
        reason=record.reason,
        call_id=asked.call_id or None,
        cost_usd=wire_amount(cost_micros),
        flagged=bool(record.flags),
        flag_reason=" ".join(record.flags),
        timestamp=unix_seconds(record.at),
        details=_details(entry, details),
        prev_hash=entry.previous_leaf.hex(),
        entry_hash=entry.leaf.hex(),
        policy_version=asked.policy_version,
        remarks=[remark.reason for remark in record.remarks],
    )


def _action(entry: LoggedEntry) -> str:
    if entry.asked.kind == ACTION:
        return entry.asked.action
    return "tool_call" if entry.asked.kind == TOOL_CALL else entry.asked.kind


def _details(entry: LoggedEntry, opened: dict[str, bytes]) -> msgspec.Raw:
    if entry.asked.kind != ACTION:
        return entry.record.command
    if not entry.asked.details_digest:
        return NOTHING
    return msgspec.Raw(opened.get(entry.asked.details_digest, b"null"))  # Erased, or not to be opened any more.


async def _prices(ctx: Context, tenant: TenantId, entries: Sequence[LoggedEntry]) -> dict[str, int]:
    """Return what the admitted calls among the entries were to cost."""
    admitted = [(entry.asked.call_id,) for entry in entries if entry.asked.kind == TOOL_CALL and entry.record.allowed]
    found = await ctx.store.load(tenant, Call, ("id",), admitted) if admitted else ()
    return {call.id: call.price_micros for call in found if isinstance(call, Call)}


async def _opened_details(ctx: Context, tenant: TenantId, entries: Sequence[LoggedEntry]) -> dict[str, bytes]:
    return await opened_parts(ctx, tenant, (each.asked.details_digest for each in entries if each.asked.kind == ACTION))
