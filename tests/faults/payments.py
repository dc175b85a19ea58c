"""A Haldir with one session that pays: what disks and databases are failed under."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from haldir.app import check, open_context
from haldir.journal.command import Outcome
from haldir.journal.journal import TENANT_QUEUE_COMMANDS_MAX
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.payment_commands import AuthorizePayment
from haldir.operations.session_commands import CreateSession
from haldir.operations.tenants import first_tenant
from haldir.settings import Settings

SESSION = "ses"
FIRST_INDEX = 2  # A log begins with its tenant and the session.


class Payer:
    """Pays one micro-unit for each name, once, however often it is asked."""

    def __init__(self, ctx: Context, tenant: TenantId) -> None:
        self.ctx, self.tenant = ctx, tenant

    async def __call__(self, name: str) -> Outcome:
        command = AuthorizePayment(op_id=name, payment_id=f"pay_{name}", session_id=SESSION, amount_micros=1)
        outcome = await self.ctx.journal.apply(self.tenant, command)
        assert outcome.allowed
        return outcome

    async def indexes(self, names: list[str]) -> dict[str, int]:
        """Pay for all of these, as many together as a queue holds; return where the log keeps each."""
        found: dict[str, int] = {}
        for at in range(0, len(names), TENANT_QUEUE_COMMANDS_MAX):
            some = names[at : at + TENANT_QUEUE_COMMANDS_MAX]
            outcomes = await asyncio.gather(*map(self, some))
            found |= {name: outcome.index for name, outcome in zip(some, outcomes, strict=True)}
        return found


@asynccontextmanager
async def paying(settings: Settings) -> AsyncIterator[Payer]:
    """Open a Haldir, made where there is none, as its only payer."""
    settings.data.mkdir(exist_ok=True)
    async with open_context(settings) as ctx:
        tenant = (await first_tenant(ctx)).tenant
        await ctx.journal.apply(tenant, _session())
        yield Payer(ctx, tenant)


async def sound(settings: Settings) -> bool:
    """Tell whether the log of a Haldir that is closed verifies, and the rows are what it leads to."""
    return (await asyncio.to_thread(check, settings)).ok


def _session() -> CreateSession:
    return CreateSession(
        op_id="session", session_id=SESSION, agent_id="agent", token_sha256="0" * 64, scopes=("spend",), ttl_seconds=0
    )
