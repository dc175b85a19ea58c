"""Who is alive, read freshly from the store: for answers that change nothing.

The same rules as under the log head (gate.liveness), over rows as they are committed now.
"""

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from haldir.gate.liveness import chain_needs, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import CredentialRef
from haldir.journal.working_set import WorkingSet
from haldir.kernel.errors import Refusal, Refused
from haldir.kernel.ids import TenantId
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.credentials import credential_needs, credential_refusal
from haldir.storage.rows import Find, Row, Scalar

R = TypeVar("R", bound=Row)


async def living_session(ctx: Context, caller: Caller, session_id: str) -> Session:
    """Return a session whose whole chain is alive, for a caller that is. Raises Refused."""
    rows = await _loaded(ctx, caller.tenant, caller.credential, session_id)
    now = ctx.clock()
    if refusal := credential_refusal(rows, caller.credential, now) or session_refusal(rows, session_id, now):
        raise Refused(*refusal)
    return rows.the(Session, session_id)


async def require_alive(ctx: Context, caller: Caller, operation: str) -> None:
    """Refuse a caller whose credential no longer counts, as the store has it now, and record that. Raises Refused."""
    if refusal := await dead_credential(ctx, caller):
        await ctx.refusals.record(caller, operation, *refusal)
        raise Refused(*refusal)


async def dead_credential(ctx: Context, caller: Caller) -> Refusal | None:
    """Return why a caller's credential no longer counts, as the store has it now, or None."""
    rows = await _loaded(ctx, caller.tenant, caller.credential, None)
    return credential_refusal(rows, caller.credential, ctx.clock())


async def find_row(ctx: Context, tenant: TenantId, row_type: type[R], *key: Scalar) -> R | None:
    """Return one committed row by its key."""
    for row in await ctx.store.load(tenant, row_type, row_type.TABLE.key, [key]):
        assert isinstance(row, row_type)
        return row
    return None


async def all_rows(ctx: Context, tenant: TenantId, row_type: type[R]) -> list[R]:
    """Return all committed rows of a table that is small by nature: keys, agents, upstreams, policies."""
    return [row for row in await ctx.store.load(tenant, row_type, (), [()]) if isinstance(row, row_type)]


async def _loaded(ctx: Context, tenant: TenantId, ref: CredentialRef, session_id: str | None) -> WorkingSet:
    """Load what liveness looks at, in rounds: a session names its ancestors."""
    rows = WorkingSet()
    while missing := list(rows.missing(dict.fromkeys(_needs(rows, ref, session_id)))):
        loads = [ctx.store.load(tenant, find.row_type, find.columns, [find.values]) for find in missing]
        for find, found in zip(missing, await asyncio.gather(*loads), strict=True):
            rows.adopt([find], found)
    return rows


def _needs(rows: WorkingSet, ref: CredentialRef, session_id: str | None) -> Iterable[Find]:
    yield from credential_needs(rows, ref)
    if session_id is not None:
        yield from chain_needs(rows, session_id)
