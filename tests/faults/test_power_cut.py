"""The power goes: whatever was acknowledged is in the database that is found afterwards, and its log verifies."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.payments import FIRST_INDEX, paying, sound
from faults.power_cut import Image, Mark, Tape, images
from faults.watched_files import watched_files
from haldir.journal.witness import RolledBack
from haldir.settings import Settings
from haldir.storage import sqlite_file
from haldir.storage.sqlite import SqliteEngine
from journal_samples import run_async

IMAGES_PER_RECORDING = 25
WAVES = 40
PAYERS_MAX = 20


@pytest.fixture(autouse=True)
def small_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the WAL start over every few commits, so that cuts find it in all its states."""
    monkeypatch.setattr(sqlite_file, "WAL_BYTES", 128 << 10)
    monkeypatch.setattr(sqlite_file, "WRITER_PRAGMAS", (*sqlite_file.WRITER_PRAGMAS, "wal_autocheckpoint = 60"))


def test_whatever_was_acknowledged_before_the_power_went_is_there_afterwards(tmp_path: Path, recording: int) -> None:
    for folder, image in recorded_images(tmp_path, f"recording {recording}"):
        assert_all_there(folder, image)
        shutil.rmtree(folder)


def test_the_cuts_would_find_commits_that_no_sync_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the test: the same cuts under synchronous=NORMAL, which a database may lose commits with."""
    careless = ("synchronous = NORMAL" if "synchronous" in each else each for each in sqlite_file.WRITER_PRAGMAS)
    monkeypatch.setattr(sqlite_file, "WRITER_PRAGMAS", tuple(careless))
    rolled_back = 0
    for folder, image in recorded_images(tmp_path, "careless"):
        try:
            assert_all_there(folder, image)
        except RolledBack:
            rolled_back += 1
    assert rolled_back > IMAGES_PER_RECORDING / 4


@run_async
async def test_a_cut_at_any_moment_of_the_first_start_leaves_what_the_next_start_can_use(tmp_path: Path) -> None:
    tape: Tape = []
    with watched_files(tape.append):
        engine = await SqliteEngine.open(tmp_path / "haldir.db")
        await engine.put_setting_once("origin", b"first")
        tape.append(Mark({"origin": 0}, ""))
        await engine.close()
    for number, image in enumerate(images({}, tape, IMAGES_PER_RECORDING, random.Random("first start"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        image.restore(folder)
        engine = await SqliteEngine.open(folder / "haldir.db")
        assert await engine.put_setting_once("origin", b"second") in {b"first", b"second"[: 6 * (not image.promised)]}
        await engine.close()


def recorded_images(tmp_path: Path, seed: str) -> Iterator[tuple[Path, Image]]:
    """Record a Haldir at work, and yield what a disk may hold after cuts of its power, each as a data folder."""
    data, tape, chance = tmp_path / "data", Tape(), random.Random(seed)
    asyncio.run(_begin(data))
    begun = {str(data / "haldir.db"): (data / "haldir.db").read_bytes()}
    with watched_files(tape.append):
        asyncio.run(_work(data, tape, chance))
    for number, image in enumerate(images(begun, tape, IMAGES_PER_RECORDING, chance)):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(data / "root.key", folder)
        image.restore(folder)
        yield folder, image


def assert_all_there(folder: Path, image: Image) -> None:
    """Start on what is left; it holds all that was promised, and goes on."""

    async def ask() -> None:
        async with paying(Settings(data=folder)) as pay:
            assert await pay.indexes(list(image.promised)) == image.promised
            assert (await pay("after the cut")).index >= FIRST_INDEX + len(image.promised)
        assert await sound(Settings(data=folder))

    asyncio.run(ask())


async def _begin(data: Path) -> None:
    async with paying(Settings(data=data)):
        pass


async def _work(data: Path, tape: Tape, chance: random.Random) -> None:
    async with paying(Settings(data=data)) as pay:
        for wave in range(WAVES):
            told = await pay.indexes([f"{wave}-{n}" for n in range(chance.randint(1, PAYERS_MAX))])
            tape.append(Mark(told, (await pay.ctx.journal.head(pay.tenant)).checkpoint))
