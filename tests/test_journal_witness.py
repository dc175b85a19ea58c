"""Checkpoints: signed notes that anyone can verify, and one kept outside that a rolled-back database meets."""

import asyncio
import base64
import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from haldir.journal import witness as witness_module
from haldir.journal.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    Signer,
    key_id,
    read_checkpoint,
    verify_checkpoint,
    verify_tree_head,
)
from haldir.journal.witness import CheckpointFile, RolledBack, WitnessDamaged
from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.storage.memory import MemoryEngine
from haldir.storage.sqlite import SqliteEngine
from journal_samples import SIGNER, TENANT, Spend, entries_of, journal, run_async, tree_of

OTHER = TenantId("fedcba9876543210")
ROOT = bytes(range(32))


async def grow(folder: Path, *op_ids: str, tenant: TenantId = TENANT) -> None:
    """Start, decide, and stop, as a server would."""
    engine = await SqliteEngine.open(folder / "haldir.db")
    try:
        async with journal(engine, CheckpointFile(folder / "checkpoint")) as log:
            for op_id in op_ids:
                await log.apply(tenant, Spend(op_id=op_id, holder="h", micros=1))
    finally:
        await engine.close()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_checkpoint_is_a_signed_note_over_origin_size_and_root() -> None:
    note = SIGNER.checkpoint(TENANT, 7, ROOT)
    name = f"haldir.example/log/{TENANT}"
    text, _, signature = note.partition("\n\n")
    assert text == f"{name}\n7\n{base64.b64encode(ROOT).decode()}"
    assert signature.startswith(f"— {name} ")
    assert signature.endswith("\n")
    assert verify_checkpoint(note, SIGNER.verifier_key(TENANT)) == Checkpoint(name, 7, ROOT)
    assert read_checkpoint(note).tenant == TENANT


@pytest.mark.parametrize(
    "known",
    [
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_keys_are_named_as_verifiers_of_signed_notes_name_them(known: str) -> None:
    name, hint, encoded = known.split("+", 2)
    assert key_id(name, base64.b64decode(encoded)[1:]).hex() == hint


@given(st.data())
def test_no_changed_byte_of_a_checkpoint_verifies(data: st.DataObject) -> None:
    note = SIGNER.checkpoint(TENANT, 7, ROOT).encode()
    at = data.draw(st.integers(0, len(note) - 1))
    changed = bytearray(note)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        text = changed.decode()
        verified = verify_checkpoint(text, SIGNER.verifier_key(TENANT))
    except (BadCheckpoint, UnicodeDecodeError):
        return
    pytest.fail(f"{text!r} was believed to be {verified}")


def test_a_checkpoint_verifies_only_for_its_own_log_and_key() -> None:
    note = SIGNER.checkpoint(TENANT, 7, ROOT)
    stranger = Signer(SIGNER.origin, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    with pytest.raises(BadCheckpoint, match="of the log"):
        verify_checkpoint(note, SIGNER.verifier_key(OTHER))
    with pytest.raises(BadCheckpoint, match="no valid signature"):
        verify_checkpoint(note, stranger.verifier_key(TENANT))
    cosigned = note + stranger.checkpoint(TENANT, 7, ROOT).split("\n\n")[1]
    assert verify_checkpoint(cosigned, SIGNER.verifier_key(TENANT)).size == 7
    assert verify_checkpoint(cosigned, stranger.verifier_key(TENANT)).size == 7


@pytest.mark.parametrize(
    "text", ["", "a\n", "a\n1\nAAAA\n\n— a AAAA\n", "a\n01\n" + "A" * 44 + "\n\n— a AAAA\n", "a\n1\n~\n\n— a ~\n"]
)
def test_what_is_no_checkpoint_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadCheckpoint):
        read_checkpoint(text)


def verifier_key(name: str, kind: bytes, key: bytes) -> str:
    """Return a key whose hint is right for Ed25519, whatever else is wrong with it."""
    hint = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4].hex()
    return f"{name}+{hint}+{base64.b64encode(kind + key).decode()}"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "name",
        "name+00000000+AAAA",
        SIGNER.verifier_key(TENANT)[:-4],
        SIGNER.verifier_key(TENANT).replace("+", "+0", 1),
        verifier_key(f"haldir.example/log/{TENANT}", b"\x02", SIGNER.public_key),
        verifier_key(f"haldir.example/log/{TENANT}", b"\x01", SIGNER.public_key + b"!"),
        verifier_key(f"haldir.example/log/{TENANT}", b"\x01", SIGNER.public_key[:-1]),
    ],
)
def test_what_is_no_verifier_key_is_said_to_be_none(key: str) -> None:
    with pytest.raises(BadCheckpoint, match="this is no verifier key of an Ed25519 log"):
        verify_checkpoint(SIGNER.checkpoint(TENANT, 7, ROOT), key)


@pytest.mark.parametrize("key", ["name+zz+zz", SIGNER.verifier_key(TENANT) + "~", SIGNER.verifier_key(TENANT) + "\n"])
def test_bad_base64_is_said_to_be_that(key: str) -> None:
    with pytest.raises(BadCheckpoint, match="bad base64"):
        verify_checkpoint(SIGNER.checkpoint(TENANT, 7, ROOT), key)


def test_a_signature_has_one_spelling() -> None:
    note = SIGNER.checkpoint(TENANT, 7, ROOT)
    with pytest.raises(BadCheckpoint, match="bad base64"):
        verify_checkpoint(note[:-10] + "~" + note[-10:], SIGNER.verifier_key(TENANT))


def test_a_wrong_signature_by_the_logs_own_key_is_not_made_good_by_a_right_one() -> None:
    note, other = SIGNER.checkpoint(TENANT, 7, ROOT), SIGNER.checkpoint(TENANT, 8, ROOT)
    text, _, right = note.partition("\n\n")
    wrong = other.partition("\n\n")[2]
    with pytest.raises(BadCheckpoint, match="no valid signature"):
        verify_checkpoint(f"{text}\n\n{wrong}{right}", SIGNER.verifier_key(TENANT))


def test_a_checkpoint_bears_sixteen_signatures_and_no_more() -> None:
    note = SIGNER.checkpoint(TENANT, 7, ROOT)
    others = [f"— witness{n}.example AAAAAAAA\n" for n in range(16)]
    assert verify_checkpoint(note + "".join(others[:15]), SIGNER.verifier_key(TENANT)).size == 7
    with pytest.raises(BadCheckpoint, match="no signed checkpoint"):
        verify_checkpoint(note + "".join(others), SIGNER.verifier_key(TENANT))


@pytest.mark.parametrize("size_bytes", [31, 33])
def test_a_root_is_one_hash(size_bytes: int) -> None:
    with pytest.raises(BadCheckpoint, match="no signed checkpoint"):
        read_checkpoint(SIGNER.checkpoint(TENANT, 7, bytes(size_bytes)))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_an_origin_that_no_note_can_name_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="name of a key"):
        Signer(origin, Ed25519PrivateKey.generate())


def test_tree_heads_are_signed_as_older_clients_verify_them() -> None:
    signature = SIGNER.tree_head(7, ROOT, 1_800_000_000)
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()
    key.verify(signature, f"sth:7:{ROOT.hex()}:1800000000".encode())
    assert verify_tree_head(signature, SIGNER.public_key, 7, ROOT, 1_800_000_000)
    key.verify(SIGNER.document(b'{"a":1}'), b'{"a":1}')
    assert not verify_tree_head(signature, SIGNER.public_key, 8, ROOT, 1_800_000_000)


@run_async
async def test_the_file_of_one_tenant_is_exactly_its_newest_signed_note(tmp_path: Path) -> None:
    engine = MemoryEngine()
    async with journal(engine, CheckpointFile(tmp_path / "checkpoint")) as log:
        for n in range(5):
            await log.apply(TENANT, Spend(op_id=f"a{n}", holder="h", micros=1))
    note = (tmp_path / "checkpoint").read_text()
    tree = tree_of(await entries_of(engine, TENANT))
    assert note == (await log.head(TENANT)).checkpoint
    assert verify_checkpoint(note, SIGNER.verifier_key(TENANT)).root == tree.root()
    assert (tmp_path / "checkpoint").stat().st_mode & 0o777 == 0o600


@run_async
async def test_the_file_holds_one_note_of_each_tenant_and_reads_them_back(tmp_path: Path) -> None:
    for tenant in (TENANT, OTHER, TENANT):
        await grow(tmp_path, "a", f"b{tenant}", tenant=tenant)
    kept = CheckpointFile(tmp_path / "checkpoint")
    assert set(kept.tenants()) == {TENANT, OTHER}
    for tenant in (TENANT, OTHER):
        size, _ = kept.kept(tenant) or (0, b"")
        assert size == 2
    lines = (tmp_path / "checkpoint").read_text().splitlines()
    assert {lines[0], lines[5]} == {f"{SIGNER.origin}/{tenant}" for tenant in (TENANT, OTHER)}
    assert kept.kept(TenantId("nobody")) is None


@run_async
async def test_a_database_that_was_rolled_back_is_refused_until_a_person_decides(tmp_path: Path) -> None:
    await grow(tmp_path, "a", "b")
    shutil.copy(tmp_path / "haldir.db", tmp_path / "backup.db")
    await grow(tmp_path, "c")
    shutil.copy(tmp_path / "haldir.db", tmp_path / "newer.db")
    shutil.copy(tmp_path / "backup.db", tmp_path / "haldir.db")
    for _ in range(2):
        with pytest.raises(RolledBack, match=rf"has 2 entries, but {tmp_path}/checkpoint says it had 3"):
            await grow(tmp_path, "d")
    shutil.copy(tmp_path / "newer.db", tmp_path / "haldir.db")
    await grow(tmp_path, "d")
    shutil.copy(tmp_path / "backup.db", tmp_path / "haldir.db")
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    await grow(tmp_path, "e")


@run_async
async def test_a_database_that_was_deleted_is_noticed_too(tmp_path: Path) -> None:
    await grow(tmp_path, "a")
    (tmp_path / "haldir.db").unlink()
    with pytest.raises(RolledBack):
        await grow(tmp_path, "a")


@run_async
async def test_a_server_does_not_start_on_a_shorter_log_although_nobody_asks_anything(tmp_path: Path) -> None:
    await grow(tmp_path, "a")
    (tmp_path / "haldir.db").unlink()
    with pytest.raises(RolledBack, match="has 0 entries"):
        await grow(tmp_path)


@run_async
async def test_a_journal_takes_nothing_before_it_has_looked_at_what_was_kept(tmp_path: Path) -> None:
    log = journal(MemoryEngine(), CheckpointFile(tmp_path / "checkpoint"))
    with pytest.raises(Unavailable):
        await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))
    async with log:
        assert log.kept(TENANT) is None
        await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))
        assert log.kept(TENANT) == (1, read_checkpoint((await log.head(TENANT)).checkpoint).root)


@run_async
async def test_a_database_replaced_under_a_running_server_is_noticed_by_the_next_decision(tmp_path: Path) -> None:
    engine = MemoryEngine()
    async with journal(engine, CheckpointFile(tmp_path / "checkpoint")) as log:
        for op_id in ("a", "b"):
            await log.apply(TENANT, Spend(op_id=op_id, holder="h", micros=1))
        engine._tables.clear()
        engine._indexes.clear()
        for _ in range(2):
            with pytest.raises(RolledBack):
                await log.apply(TENANT, Spend(op_id="c", holder="h", micros=1))


@run_async
async def test_another_history_of_the_same_length_or_longer_is_not_signed(tmp_path: Path) -> None:
    await grow(tmp_path, "a", "b")
    kept = (tmp_path / "checkpoint").read_text()
    for forged in (("x", "y"), ("x", "y", "z"), tuple(f"x{n}" for n in range(600))):
        (tmp_path / "haldir.db").unlink()
        (tmp_path / "checkpoint").unlink()
        await grow(tmp_path, *forged)
        (tmp_path / "checkpoint").write_text(kept)
        with pytest.raises(RolledBack, match="another history"):
            await grow(tmp_path, "c")
        assert (tmp_path / "checkpoint").read_text() == kept


@run_async
async def test_a_log_that_grew_elsewhere_since_is_believed(tmp_path: Path) -> None:
    """Another replica wrote on; this one's file is older, but the log has grown out of it."""
    await grow(tmp_path, *(f"a{n}" for n in range(300)))
    kept = (tmp_path / "checkpoint").read_text()
    await grow(tmp_path, *(f"b{n}" for n in range(300)))
    (tmp_path / "checkpoint").write_text(kept)
    await grow(tmp_path, "c")
    assert read_checkpoint((tmp_path / "checkpoint").read_text()).size == 601


def test_a_damaged_file_is_named_and_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for damaged in (b"garbage", SIGNER.checkpoint(TENANT, 7, ROOT).encode()[:-90], b"\xff\xfe"):
        path.write_bytes(damaged)
        with pytest.raises(WitnessDamaged, match=str(path)):
            CheckpointFile(path)


@run_async
async def test_a_file_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    witness = CheckpointFile(tmp_path / "missing folder" / "checkpoint")
    async with journal(MemoryEngine(), witness) as log:
        assert (await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))).allowed
    assert {record.message for record in caplog.records} == {"checkpoint_not_kept"}
    (tmp_path / "missing folder").mkdir()
    witness.saw(TENANT, SIGNER.checkpoint(TENANT, 9, ROOT))
    await witness.flush()
    assert CheckpointFile(tmp_path / "missing folder" / "checkpoint").kept(TENANT) == (9, ROOT)


@run_async
async def test_many_heads_become_few_writes_and_the_last_one_is_kept(tmp_path: Path) -> None:
    witness = CheckpointFile(tmp_path / "checkpoint")
    for size in range(1, 500):
        witness.saw(TENANT, SIGNER.checkpoint(TENANT, size, ROOT))
        await asyncio.sleep(0)
    await witness.flush()
    assert CheckpointFile(tmp_path / "checkpoint").kept(TENANT) == (499, ROOT)
    assert names_in(tmp_path) == {"checkpoint"}


@run_async
async def test_nothing_is_written_while_the_file_rests_unless_it_has_to_be(tmp_path: Path) -> None:
    def kept() -> tuple[int, bytes] | None:
        return CheckpointFile(tmp_path / "checkpoint").kept(TENANT)

    async def seen(size: int) -> tuple[int, bytes] | None:
        """Show a head to the witness, and return what the file holds once everything begun by that is done."""
        witness.saw(TENANT, SIGNER.checkpoint(TENANT, size, ROOT))
        for _ in range(10):
            await asyncio.sleep(0)
        return await asyncio.to_thread(kept)

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # One after another.
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(witness_module, "WRITE_PAUSE_SECONDS", 3600)
        witness = CheckpointFile(tmp_path / "checkpoint")
        assert [await seen(size) for size in (1, 2, 3)] == [(1, ROOT)] * 3
        await witness.flush()
    assert kept() == (3, ROOT)


@run_async
async def test_a_head_that_is_seen_while_the_file_rests_is_kept_when_the_rest_is_over(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(witness_module, "WRITE_PAUSE_SECONDS", 0.01)
        witness = CheckpointFile(path)
        async with asyncio.timeout(10):
            for size in (1, 2, 3):
                witness.saw(TENANT, SIGNER.checkpoint(TENANT, size, ROOT))
                while CheckpointFile(path).kept(TENANT) != (size, ROOT):  # noqa: ASYNC110 - no event tells what a file holds.
                    await asyncio.sleep(0)
        await witness.flush()


@run_async
async def test_a_head_that_could_not_be_kept_is_tried_again_after_a_rest_but_not_while_somebody_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "missing folder"
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(witness_module, "WRITE_PAUSE_SECONDS", 0.01)
        witness = CheckpointFile(folder / "checkpoint")
        witness.saw(TENANT, SIGNER.checkpoint(TENANT, 1, ROOT))
        async with asyncio.timeout(10):
            while not caplog.records:  # noqa: ASYNC110 - no event tells that a write failed.
                await asyncio.sleep(0)
            folder.mkdir()
            while CheckpointFile(folder / "checkpoint").kept(TENANT) != (1, ROOT):  # noqa: ASYNC110 - nor what a file holds.
                await asyncio.sleep(0)
            shutil.rmtree(folder)
            for size in (2, 3):
                witness.saw(TENANT, SIGNER.checkpoint(TENANT, size, ROOT))
                await witness.flush()
