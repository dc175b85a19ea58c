"""Who asks for an approval and on whose behalf: names of keys, and the sessions above the one that asks."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from haldir.approvals.model import Approval
from haldir.gate.model import ApiKey, Session
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context

KEY = "key:"


class PartyShown(msgspec.Struct, frozen=True):
    """A credential that has a part in something. `name` is what its key is called, if it is a key and has a name."""

    credential: str
    name: str


class Parties(msgspec.Struct, frozen=True):
    """Keys by the credentials that stand in approvals, and sessions by id."""

    names: dict[str, str]
    lineages: dict[str, tuple[str, ...]]

    def party(self, credential: str) -> PartyShown:
        return PartyShown(credential, self.names.get(credential, ""))


async def parties_of(ctx: Context, tenant: TenantId, approvals: Sequence[Approval]) -> Parties:
    """Return who has a part in these approvals, as it is committed now."""
    keys, sessions = await asyncio.gather(
        ctx.store.load(tenant, ApiKey, ApiKey.TABLE.key, [(prefix,) for prefix in _key_prefixes(approvals)]),
        ctx.store.load(tenant, Session, Session.TABLE.key, [(each,) for each in {row.session_id for row in approvals}]),
    )
    return Parties(
        {f"{KEY}{row.prefix}": row.name for row in keys if isinstance(row, ApiKey)},
        {row.id: row.lineage for row in sessions if isinstance(row, Session)},
    )


def _key_prefixes(approvals: Iterable[Approval]) -> set[str]:
    """Return the keys that asked, opened sessions, or approved."""
    credentials = {
        credential
        for row in approvals
        for credential in (row.asked_by, row.decided_by, *row.openers, *(vote.by for vote in row.votes))
    }
    return {credential.removeprefix(KEY) for credential in credentials if credential.startswith(KEY)}
