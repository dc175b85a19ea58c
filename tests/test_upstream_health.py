"""An upstream that fails again and again is said to, once, and so is its recovery."""

import asyncio
from pathlib import Path

import pytest

from haldir.app import open_context
from haldir.journal.command import CredentialRef
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.tenants import first_tenant
from haldir.operations.upstreams import upstreams_of
from haldir.operations.verbs.upstreams import AddUpstreamRequest, add_upstream
from haldir.operations.verbs.webhook_deliveries import ListEventsRequest, list_events
from haldir.settings import Settings
from haldir.workers.health import Told, note_health
from upstreams import sample
from upstreams.serving import free_port, serving


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    dsn = Secret(request.getfixturevalue("fresh_postgres_dsn")) if request.param == "postgres" else None
    return Settings(data=tmp_path, database_url=dsn, allow_private=True)


def test_three_failures_in_a_row_and_the_recovery_are_events(settings: Settings) -> None:
    async def story() -> None:
        async with open_context(settings) as ctx:
            first = await first_tenant(ctx)
            caller = Caller(first.tenant, CredentialRef("key", first.key.reveal()[:12]), ("*",))
            port, told = free_port(), Told()
            await add_upstream(ctx, caller, AddUpstreamRequest("shop", f"http://127.0.0.1:{port}/mcp"))

            async def look() -> list[str]:
                await note_health(ctx, told)
                page = await list_events(ctx, caller, ListEventsRequest("0"))
                return [event["event"] for event in page.events]

            async def ask() -> None:
                known = (await upstreams_of(ctx, caller.tenant))["shop"]
                await ctx.pool.list_tools(caller.tenant, known.upstream, known.config)

            assert await look() == []
            for expected in ([], ["upstream_unhealthy"], ["upstream_unhealthy"]):
                with pytest.raises(Exception, match="could not be reached"):
                    await ask()
                assert await look() == expected
            told.clear()  # As after a restart, or on another replica.
            assert await look() == ["upstream_unhealthy"]
            with serving(sample.app(json_response=True), port):
                await ask()
                assert await look() == ["upstream_unhealthy", "upstream_recovered"]
                assert await look() == ["upstream_unhealthy", "upstream_recovered"]

    asyncio.run(story())
