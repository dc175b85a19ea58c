"""Who asks for an approval and on whose behalf: names of keys, and the sessions above the one that asks."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from haldir.approvals.model import Approval
from haldir.gate.model import Session
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.key_names import key_names


class PartyShown(msgspec.Struct, frozen=True):
    """A credential that has a part in something. `name` is what its key or, of a link, its webhook is called, if so."""

    credential: str
    name: str


class Parties(msgspec.Struct, frozen=True):
    """Names by the credentials that stand in approvals, and sessions by id."""

    names: dict[str, str]
    lineages: dict[str, tuple[str, ...]]

    def party(self, credential: str) -> PartyShown:
        return PartyShown(credential, self.names.get(credential, ""))


async def parties_of(ctx: Context, tenant: TenantId, approvals: Sequence[Approval]) -> Parties:
    """Return who has a part in these approvals, as it is committed now."""
    names, sessions = await asyncio.gather(
        key_names(ctx, tenant, _credentials(approvals)),
        ctx.store.load(tenant, Session, Session.TABLE.key, [(each,) for each in {row.session_id for row in approvals}]),
    )
    return Parties(
        names,
        {row.id: row.lineage for row in sessions if isinstance(row, Session)},
    )


def _credentials(approvals: Iterable[Approval]) -> set[str]:
    """Return who asked, opened sessions, approved or denied."""
    return {
        credential
        for row in approvals
        for credential in (row.asked_by, row.decided_by, *row.openers, *(vote.by for vote in row.votes))
    }
