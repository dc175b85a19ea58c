"""The SQLite file: private, of one process, durable; and clear words when it cannot be had."""

import asyncio
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from haldir.journal.checkpoint import verify_checkpoint
from haldir.kernel.errors import Unavailable
from haldir.storage.rows import Part
from haldir.storage.sqlite import SqliteEngine
from haldir.storage.sqlite_file import FileInUse
from haldir.storage.sqlite_reader import SqliteReader
from journal_samples import SIGNER, TENANT, Erase, Spend, entries_of, journal, run_async, tree_of

WRITER = """
import asyncio, sys
from pathlib import Path
from journal_samples import TENANT, Spend, journal
from haldir.storage.sqlite import SqliteEngine

async def write(path):
    engine = await SqliteEngine.open(path)
    async with journal(engine) as log:
        async def caller(name):
            for n in range(10**6):
                await log.apply(TENANT, Spend(op_id=f"{name}-{n}", holder=f"h{name}", micros=1, limit_micros=10**9))
                print(f"{name}-{n}", flush=True)
        await asyncio.gather(*(caller(name) for name in range(16)))

asyncio.run(write(Path(sys.argv[1])))
"""


def python(code: str, *args: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *args], stdout=subprocess.PIPE, text=True, env=environment
    )


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@run_async
async def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    (tmp_path / "haldir.db").touch(mode=0o644)
    engine = await SqliteEngine.open(tmp_path / "haldir.db")
    async with journal(engine) as log:
        await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))
        modes = modes_in(tmp_path)
    assert {"haldir.db", "haldir.db-wal", "haldir.db-shm", "haldir.db.lock"} == set(modes)
    assert set(modes.values()) == {0o600}
    await engine.close()


@run_async
async def test_a_commit_is_never_less_than_durable(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "haldir.db")

    async def pragmas() -> dict[str, object]:
        async with engine.transaction(TENANT) as transaction:
            names = ("journal_mode", "synchronous", "mmap_size")
            return {name: transaction.connection.execute(f"PRAGMA {name}").get for name in names}

    assert await engine.run(pragmas()) == {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0}
    assert (tmp_path / "haldir.db-wal").stat().st_size >= 8 << 20
    await engine.close()


@run_async
async def test_a_second_process_is_told_which_process_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "haldir.db"
    engine = await SqliteEngine.open(path)
    code = """
    import asyncio, sys
    from pathlib import Path
    from haldir.storage.sqlite import SqliteEngine
    from haldir.storage.sqlite_file import FileInUse
    try:
        asyncio.run(SqliteEngine.open(Path(sys.argv[1])))
    except FileInUse as error:
        print(error)
    """
    second = python(code, str(path))
    said, _ = await asyncio.to_thread(second.communicate)
    assert said == f"{path} is in use by the process {os.getpid()}.\n"
    with pytest.raises(FileInUse):
        await SqliteEngine.open(path)
    await engine.close()
    await (await SqliteEngine.open(path)).close()


@run_async
async def test_others_may_read_while_a_server_writes(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "haldir.db")
    async with journal(engine) as log, SqliteReader(tmp_path / "haldir.db") as reader:
        for n in range(3):
            await log.apply(TENANT, Spend(op_id=f"op{n}", holder="h", micros=1))
            assert len(await entries_of(reader, TENANT)) == n + 1
        with pytest.raises(Unavailable) as raised:
            await reader.fetch("DELETE FROM entry")
        assert isinstance(raised.value.__cause__, apsw.ReadOnlyError)
    await engine.close()


@run_async
async def test_a_file_that_cannot_be_a_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "haldir.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Unavailable, match=str(path)):
        await SqliteEngine.open(path)
    path.unlink()
    await (await SqliteEngine.open(path)).close()


@run_async
async def test_a_store_that_is_locked_from_outside_is_unavailable_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "haldir.db"
    engine = await SqliteEngine.open(path)
    intruder = apsw.Connection(str(path))
    async with journal(engine) as log:
        await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await log.apply(TENANT, Spend(op_id="b", holder="h", micros=1))
        intruder.execute("ROLLBACK")
        assert (await log.apply(TENANT, Spend(op_id="b", holder="h", micros=1))).index == 1
    intruder.close()
    await engine.close()


def test_whatever_was_acknowledged_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    """kill -9 while sixteen callers write; three times, on the same file."""
    path, acknowledged = tmp_path / "haldir.db", set[str]()
    for rounds in range(1, 4):
        writer = python(WRITER.replace('f"{name}-{n}"', f'f"{rounds}-{{name}}-{{n}}"'), str(path))
        assert writer.stdout is not None
        acknowledged |= {writer.stdout.readline().strip() for _ in range(400)}
        writer.kill()
        acknowledged |= {line.strip() for line in writer.stdout if line.endswith("\n")}
        writer.wait()
        asyncio.run(_verify(path, acknowledged))
    assert len(acknowledged) >= 1200


async def _verify(path: Path, acknowledged: set[str]) -> None:
    started = asyncio.get_running_loop().time()
    engine = await SqliteEngine.open(path)
    assert asyncio.get_running_loop().time() - started < 2
    entries = await entries_of(engine, TENANT)
    assert acknowledged <= {entry.op_id for entry in entries}
    tree = tree_of(entries)
    async with journal(engine) as log:
        head = await log.head(TENANT)
        signed = verify_checkpoint(head.checkpoint, SIGNER.verifier_key(TENANT))
        assert (signed.size, signed.root) == (tree.size, tree.root())
        assert (await log.apply(TENANT, Spend(op_id=f"after {tree.size}", holder="h", micros=1))).index == tree.size
    await engine.close()


@pytest.mark.parametrize("size_bytes", [60, 60_000])
@run_async
async def test_nothing_of_an_erased_part_is_left_in_the_database_file(tmp_path: Path, size_bytes: int) -> None:
    mark = b"sealed words"
    erased = Part("d1", 1, mark * (size_bytes // len(mark)))
    engine = await SqliteEngine.open(tmp_path / "haldir.db")
    async with journal(engine) as log:
        for n in range(20):
            await log.apply(TENANT, Spend(op_id=f"a{n}", holder="h", micros=1), [Part(f"k{n}", 1, bytes(5_000))])
        await log.apply(TENANT, Spend(op_id="b", holder="h", micros=1), [erased])
    await engine.close()  # Moves all that the WAL has into the file.
    assert mark in (tmp_path / "haldir.db").read_bytes()
    engine = await SqliteEngine.open(tmp_path / "haldir.db")
    async with journal(engine) as log:
        await log.apply(TENANT, Erase(op_id="c", digests=("d1",)))
    await engine.close()
    assert mark not in (tmp_path / "haldir.db").read_bytes()
