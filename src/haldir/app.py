"""The composition root: builds every part once from the settings, and hands it down by argument."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from haldir.faces import listen
from haldir.faces.body import BODY_SECONDS_MAX
from haldir.faces.cli.doors import Ready
from haldir.faces.faces import Faces
from haldir.journal.checkpoint import Signer
from haldir.journal.journal import Journal
from haldir.journal.witness import CheckpointFile
from haldir.kernel.clock import Clock, Micros
from haldir.operations.books import RequestBook
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context, new_op
from haldir.operations.credentials import credential_refusal
from haldir.operations.everything import OPERATIONS
from haldir.operations.fsck import Report, check_logs, check_schema
from haldir.operations.observer import Guardian
from haldir.operations.operator import sync_operator_upstreams
from haldir.operations.policies import PolicyBook
from haldir.operations.refusals import RefusalLog
from haldir.operations.tenants import first_tenant
from haldir.operations.upstreams import discover_all
from haldir.proxy.pool import UpstreamPool
from haldir.settings import Settings
from haldir.storage.engine import Engine
from haldir.storage.migrate import Dialect
from haldir.storage.postgres import PostgresEngine
from haldir.storage.sqlite import SqliteEngine
from haldir.storage.sqlite_reader import SqliteReader
from haldir.vault.keyring import Keyring
from haldir.vault.root import RootKey, create_root_key_file, root_key_from_file, root_key_from_value
from haldir.workers.deliver import deliver_forever
from haldir.workers.health import watch_upstreams
from haldir.workers.sweep import sweep_forever

ROOT_KEY_VARIABLE = "HALDIR_ROOT_KEY"
HOLDER_BYTES = 8  # Names this process among its replicas.
FOLDER_MODE = 0o700
FILE_MODE = 0o600
DRAIN_SECONDS = 40.0  # As long as the face waits for its last answers: settlements may still be on their way.


def wall_clock() -> Micros:
    return time.time_ns() // 1000


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What every Haldir takes as it stands here; a test may put others in their place."""

    clock: Clock = wall_clock
    operations: Sequence[Operation] = OPERATIONS
    body_seconds_max: float = BODY_SECONDS_MAX


def serve(settings: Settings, on_ready: Callable[[Ready], None], parts: Parts = Parts()) -> int:
    """Run a Haldir until it is told to stop; return its exit code. Raises HaldirError if it cannot start.

    On any thread: `Ready.stop` stops it, and on the main thread a signal does too.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, on_ready, parts))


async def _serve(settings: Settings, on_ready: Callable[[Ready], None], parts: Parts) -> int:
    settings.data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    listening = listen.bind(settings.host, settings.port)
    url = listen.url_of(listening)
    with contextlib.closing(listening):
        async with open_context(settings, parts.clock) as ctx:
            await _prepare(ctx, settings)
            faces = Faces(ctx, settings, url, parts.operations, parts.body_seconds_max)
            async with _working(ctx):
                await listen.serve(
                    faces,
                    listening,
                    on_ready=lambda stop: _announce(settings, url, stop, on_ready),
                    on_stop=faces.close,
                )
    with contextlib.suppress(FileNotFoundError):
        settings.server_file.unlink()
    return 0


def check(settings: Settings) -> Report:
    """Check a store that nobody is writing, and change nothing. Raises HaldirError if it cannot be read."""
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> Report:
    dialect: Dialect = "sqlite" if settings.database_url is None else "postgres"
    async with contextlib.AsyncExitStack() as closing:
        store = _open_to_read(settings)
        closing.push_async_callback(store.close)
        await check_schema(store, dialect)
        root = _given_root_key(settings)
        keyring = await Keyring.reopen(store, root.key, root.source, secrets.token_bytes)
        signer = Signer(keyring.origin, keyring.signing_key)
        return await check_logs(store, signer, CheckpointFile(settings.checkpoint_file))


@contextlib.asynccontextmanager
async def open_context(settings: Settings, clock: Clock = wall_clock) -> AsyncIterator[Context]:
    """Open the store, its keys and its journal; on exit everything acknowledged is durable and all is closed."""
    async with contextlib.AsyncExitStack() as closing:
        store = await _open_store(settings)
        closing.push_async_callback(store.close)
        root = await _root_key(settings, store)
        keyring = await Keyring.open(store, root.key, root.source, secrets.token_bytes)
        signer = Signer(keyring.origin, keyring.signing_key)
        witness = CheckpointFile(settings.checkpoint_file)
        journal = await closing.enter_async_context(
            Journal(store, signer, clock, witness, credential_refusal, observer=Guardian())
        )
        pool = UpstreamPool(clock, settings.child_environment, allow_private=settings.allow_private)
        closing.push_async_callback(pool.close)
        yield Context(
            journal=journal,
            store=store,
            keyring=keyring,
            pool=pool,
            policies=PolicyBook(store, keyring),
            refusals=RefusalLog(journal, clock, lambda: new_op(clock)),
            clock=clock,
            payload_days=settings.payload_days,
            allow_private=settings.allow_private,
            bootstrap_token=settings.bootstrap_token,
            public_url=settings.public_url,
            mail=settings.mail,
            requests=RequestBook(secrets.token_hex(HOLDER_BYTES) if store.shared else ""),
        )


async def _open_store(settings: Settings) -> Engine:
    if settings.database_url is None:
        return await SqliteEngine.open(settings.database_file)
    return await PostgresEngine.open(settings.database_url.reveal())


def _open_to_read(settings: Settings) -> SqliteReader | PostgresEngine:
    if settings.database_url is None:
        return SqliteReader(settings.database_file)
    return PostgresEngine.open_to_read(settings.database_url.reveal())


async def _root_key(settings: Settings, store: Engine) -> RootKey:
    """Return the root key; a new one is made only for a database that was never sealed with another."""
    if settings.root_key is not None or settings.root_key_file.exists() or await Keyring.stands_in(store):
        return _given_root_key(settings)
    return create_root_key_file(settings.root_key_file, secrets.token_bytes)


def _given_root_key(settings: Settings) -> RootKey:
    if settings.root_key is not None:
        return root_key_from_value(settings.root_key.reveal(), ROOT_KEY_VARIABLE)
    return root_key_from_file(settings.root_key_file)


async def _prepare(ctx: Context, settings: Settings) -> None:
    """Make what a Haldir needs before its first request: a tenant, its first key, the operator's upstreams."""
    first = await first_tenant(ctx)
    if not settings.admin_key_file.exists():
        _write_private(settings.admin_key_file, first.key.reveal() + "\n")
    configured = [(each.name, each.config, each.tool_rules) for each in settings.upstreams]
    await sync_operator_upstreams(ctx, first.tenant, configured)


@contextlib.asynccontextmanager
async def _working(ctx: Context) -> AsyncIterator[None]:
    """Run what works unasked, and on the way out let calls under way end and be settled."""
    workers = [
        asyncio.create_task(sweep_forever(ctx)),
        asyncio.create_task(discover_all(ctx)),
        asyncio.create_task(deliver_forever(ctx)),
        asyncio.create_task(watch_upstreams(ctx)),
    ]
    try:
        yield
        if ctx.in_flight:
            await asyncio.wait(ctx.in_flight, timeout=DRAIN_SECONDS)
        await ctx.refusals.flush(everything=True)
        await ctx.key_uses.store(ctx.store, ctx.clock(), everything=True)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _announce(settings: Settings, url: str, stop: listen.Stop, on_ready: Callable[[Ready], None]) -> None:
    _write_private(settings.server_file, msgspec.json.encode({"url": url}).decode())
    on_ready(Ready(url, settings.data, settings.admin_key_file, stop))


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read; after a crash it is the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    new.replace(path)
