"""Whoever kept a checkpoint finds any change to the log, and is told where."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from haldir.app import open_context
from haldir.gate.model import Agent, ApiKey, Session, Tenant
from haldir.journal.checkpoint import Signer, read_checkpoint
from haldir.journal.command import Command
from haldir.journal.proof import TileAt
from haldir.journal.tree import leaf_hash
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget, Reservation
from haldir.operations.audit_commands import LogAction
from haldir.operations.commands import AnyCommand
from haldir.operations.credentials import credential_refusal
from haldir.operations.observer import Guardian
from haldir.operations.payment_commands import AuthorizePayment
from haldir.operations.session_commands import CreateSession
from haldir.operations.tenants import first_tenant
from haldir.settings import Settings
from haldir.storage.rows import Credential
from haldir.storage.sqlite_reader import SqliteReader
from haldir.watch.replay import Laws, replay_log
from haldir.watch.verify import Finding, LogCheck, Pin, Verification, verify_log

SESSION = "ses_" + "0" * 32
ENTRIES = 600  # Two full bundles and a part of the third.
LAWS = Laws(
    msgspec.json.Decoder(AnyCommand).decode,
    credential_refusal,
    Guardian(),
    (Tenant, ApiKey, Agent, Session, Budget, Reservation, Credential),
)


class Kept(msgspec.Struct, frozen=True):
    """A log on disk, and what somebody wrote down about it."""

    folder: Path
    tenant: TenantId
    verifier_key: str
    pin: Pin

    @property
    def file(self) -> Path:
        return self.folder / "haldir.db"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return asyncio.run(written(tmp_path_factory.mktemp("log")))


@pytest.fixture
def kept(original: Kept, tmp_path: Path) -> Kept:
    """A copy of the log, to be tampered with."""
    shutil.copytree(original.folder, tmp_path / "copy")
    return msgspec.structs.replace(original, folder=tmp_path / "copy")


async def written(folder: Path) -> Kept:
    async with open_context(Settings(data=folder)) as ctx:
        tenant = (await first_tenant(ctx)).tenant
        session = CreateSession(
            op_id=ctx.new_op(),
            session_id=SESSION,
            agent_id="a",
            token_sha256="0" * 64,
            scopes=("spend",),
            limit_micros=50,
        )
        await ctx.journal.apply(tenant, session)
        commands: list[Command] = [
            AuthorizePayment(op_id=ctx.new_op(), payment_id=f"auth_{n}", session_id=SESSION, amount_micros=1)
            if n % 7 == 0
            else LogAction(op_id=ctx.new_op(), session_id=SESSION, action=f"step {n}", tool="t")
            for n in range(ENTRIES - 2)
        ]
        await asyncio.gather(*(ctx.journal.apply(tenant, command) for command in commands))
        head = await ctx.journal.head(tenant)
        signer = Signer(ctx.keyring.origin, ctx.keyring.signing_key)
        pin = Pin(head.size, read_checkpoint(head.checkpoint).root)
        return Kept(folder, tenant, signer.verifier_key(tenant), pin)


def verified(kept: Kept, *pins: Pin) -> Verification:
    async def verify() -> Verification:
        async with SqliteReader(kept.file) as reader:
            return await verify_log(reader, kept.tenant, kept.verifier_key, pins)

    return asyncio.run(verify())


def replayed(kept: Kept) -> list[Finding]:
    async def replay() -> list[Finding]:
        async with SqliteReader(kept.file) as reader:
            return await replay_log(reader, kept.tenant, LAWS)

    return asyncio.run(replay())


def tamper(kept: Kept, *statements: str) -> None:
    connection = apsw.Connection(str(kept.file))
    connection.create_scalar_function("leaf_hash", hashed)
    connection.create_scalar_function("edited", edited)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def hashed(*values: Any) -> Any:
    return leaf_hash(*values)


def edited(*values: Any) -> Any:
    stored, old, new = values
    assert old.encode() in stored
    return stored.replace(old.encode(), new.encode())


def found(verification: Verification) -> list[tuple[str, int | None]]:
    return [(finding.problem, finding.index) for finding in verification.findings]


def test_an_untouched_log_verifies_and_has_the_root_that_was_signed(kept: Kept) -> None:
    verification = verified(kept, kept.pin)
    assert verification == Verification(ENTRIES, kept.pin.root, ())
    assert replayed(kept) == []


REWRITE = "UPDATE entry SET body = edited(body, 'step 10\"', 'step 99\"') WHERE bundle = 0 AND slot = 12"
SWAP = """
UPDATE entry SET slot = CASE slot WHEN 5 THEN 180 ELSE 105 END WHERE bundle = 2 AND slot IN (5, 80);
UPDATE entry SET slot = slot - 100 WHERE bundle = 2 AND slot IN (105, 180)
"""
TAMPERINGS = {
    "a body is edited": (REWRITE, ("entry_altered", 12)),
    "a body is edited with its hash": (
        f"{REWRITE}; UPDATE entry SET leaf = leaf_hash(body) WHERE bundle = 0 AND slot = 12",
        ("tile_altered", 12),
    ),
    "a body is edited with its hash where no tile is full": (
        "UPDATE entry SET body = edited(body, 'step 5', 'step 6') WHERE bundle = 2 AND slot = 3; UPDATE entry SET leaf = leaf_hash(body) WHERE bundle = 2 AND slot = 3",
        ("root_mismatch", None),
    ),
    "a body is garbage": (
        "UPDATE entry SET body = x'00ff', leaf = leaf_hash(x'00ff') WHERE bundle = 1 AND slot = 0",
        ("entry_unreadable", 256),
    ),
    "a hash is edited": ("UPDATE entry SET leaf = zeroblob(32) WHERE bundle = 1 AND slot = 3", ("entry_altered", 259)),
    "two entries change places": (SWAP, ("time_reversed", 518)),
    "an entry is deleted": ("DELETE FROM entry WHERE bundle = 1 AND slot = 1", ("entry_missing", 257)),
    "the end is cut off": ("DELETE FROM entry WHERE bundle = 2 AND slot > 80", ("entry_missing", 593)),
    "a bundle is cut off with the head": (
        "DELETE FROM entry WHERE bundle = 2; UPDATE head SET size = 512",
        ("head_altered", None),
    ),
    "an entry is added": (
        f"INSERT INTO entry SELECT tenant, 2, {ENTRIES - 512}, 'new', leaf, body, kind, session_id, agent_id, tool, flagged, noticed, code FROM entry WHERE bundle = 0 AND slot = 9",
        ("entry_beyond_head", ENTRIES),
    ),
    "the kind is edited": (
        "UPDATE entry SET kind = 'call.admit' WHERE bundle = 0 AND slot = 12",
        ("column_altered", 12),
    ),
    "the session is edited": (
        "UPDATE entry SET session_id = 'ses_x' WHERE bundle = 0 AND slot = 12",
        ("column_altered", 12),
    ),
    "the agent is edited": ("UPDATE entry SET agent_id = '' WHERE bundle = 2 AND slot = 1", ("column_altered", 513)),
    "the tool is edited": ("UPDATE entry SET tool = 'u' WHERE bundle = 0 AND slot = 12", ("column_altered", 12)),
    "the refusal is edited": ("UPDATE entry SET code = 'x' WHERE bundle = 0 AND slot = 12", ("column_altered", 12)),
    "the op_id is edited": ("UPDATE entry SET op_id = 'u' WHERE bundle = 0 AND slot = 12", ("column_altered", 12)),
    "a tile is edited": ("UPDATE tile SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1", ("tile_altered", 256)),
    "a tile is deleted": ("DELETE FROM tile WHERE level = 0 AND n = 1", ("tile_altered", 256)),
    "an upper tile is edited": ("UPDATE tile SET hashes = zeroblob(64) WHERE level = 1", ("tile_altered", None)),
    "the head's time is edited": ("UPDATE head SET written_at = written_at + 1", ("head_altered", None)),
    "the checkpoint is edited": (
        f"UPDATE head SET checkpoint = replace(checkpoint, '{ENTRIES}', '{ENTRIES + 1}')",
        ("checkpoint_invalid", None),
    ),
    "the checkpoint is emptied": ("UPDATE head SET checkpoint = ''", ("checkpoint_invalid", None)),
    "the head is deleted": ("DELETE FROM head", ("entry_beyond_head", 0)),
}


@pytest.mark.parametrize(("statements", "finding"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_tampering_is_found_and_placed(kept: Kept, statements: str, finding: tuple[str, int | None]) -> None:
    tamper(kept, statements)
    assert found(verified(kept))[0] == finding


@pytest.mark.parametrize(
    ("stored", "exact", "problems"),
    [
        (b"a" * 64, True, []),
        (b"a" * 64 + b"b" * 32, False, []),
        (b"a" * 64 + b"b" * 32, True, ["tile_altered"]),
        (b"a" * 32, False, ["tile_altered"]),
        (b"b" * 96, False, ["tile_altered"]),
    ],
)
def test_only_a_log_that_grew_meanwhile_may_have_longer_tiles(
    stored: bytes, *, exact: bool, problems: list[str]
) -> None:
    check = LogCheck()
    check.compare_tiles({TileAt(1, 0): b"a" * 64}, {TileAt(1, 0): stored}, exact=exact)
    assert [finding.problem for finding in check.result().findings] == problems


def test_a_body_older_than_the_one_before_it_is_found(kept: Kept) -> None:
    tamper(kept, "UPDATE entry SET body = edited(body, '\"at\":', '\"at\":-') WHERE bundle = 2 AND slot = 80")
    assert ("time_reversed", 592) in found(verified(kept))


def test_a_log_that_was_rolled_back_as_a_whole_is_found_by_whoever_kept_a_checkpoint(tmp_path: Path) -> None:
    older, newer = asyncio.run(two_states(tmp_path, tmp_path.with_name("older")))
    assert verified(older).findings == ()
    assert found(verified(older, newer.pin)) == [("rolled_back", None)]
    assert verified(newer, older.pin, newer.pin).findings == ()
    other = Pin(older.pin.size, b"\0" * 32)
    assert found(verified(newer, other)) == [("history_altered", None)]


async def two_states(log: Path, older_folder: Path) -> tuple[Kept, Kept]:
    older = await written(log)
    shutil.copytree(log, older_folder)
    async with open_context(Settings(data=log)) as ctx:
        await ctx.journal.apply(older.tenant, LogAction(op_id=ctx.new_op(), session_id=SESSION, action="one more"))
        head = await ctx.journal.head(older.tenant)
    newer = msgspec.structs.replace(older, pin=Pin(head.size, read_checkpoint(head.checkpoint).root))
    return msgspec.structs.replace(older, folder=older_folder), newer


def test_a_log_signed_by_somebody_else_is_not_believed(kept: Kept) -> None:
    name, _, rest = kept.verifier_key.partition("+")
    stranger = msgspec.structs.replace(kept, verifier_key=f"x{name}+{rest}")
    assert [finding.problem for finding in verified(stranger).findings] == ["checkpoint_invalid"]


def test_replay_finds_rows_that_do_not_follow_from_the_log(kept: Kept) -> None:
    tamper(kept, "UPDATE budget SET spent_micros = 0", "DELETE FROM reservation WHERE id = 'auth_7'")
    messages = [finding.message for finding in replayed(kept)]
    assert len(messages) == 2
    assert "of the table budget is not what the log leads to" in messages[0]
    assert "('auth_7',) of the table reservation is missing" in messages[1]
    assert verified(kept).findings == ()  # The log itself is whole.


def test_replay_finds_an_entry_that_the_rules_would_not_have_written(kept: Kept) -> None:
    tamper(
        kept,
        "UPDATE entry SET body = edited(body, '\"allowed\":true', '\"allowed\":false') WHERE bundle = 0 AND slot = 12",
        "UPDATE entry SET body = x'00' WHERE bundle = 1 AND slot = 0",
    )
    assert [(finding.problem, finding.index) for finding in replayed(kept)] == [
        ("decided_otherwise", 12),
        ("not_replayable", 256),
    ]
