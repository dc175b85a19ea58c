"""When uses of keys are stored: at most once a minute, the latest stays, and what is stored is no longer carried."""

import asyncio

import pytest

from haldir.gate.key_uses import KeyUses
from haldir.gate.model import KeyUse
from haldir.kernel.clock import MINUTE
from haldir.kernel.ids import TenantId
from haldir.storage.memory import MemoryEngine

TENANT = TenantId("0123456789abcdef")
START = 10 * MINUTE


class Shelf:
    """One process's uses beside an engine that keeps them."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner, self._engine = runner, MemoryEngine()
        self.uses = KeyUses()

    def store(self, now: int, *, everything: bool = False) -> None:
        self._runner.run(self.uses.store(self._engine, now, everything=everything))

    def stored(self) -> dict[str, int]:
        found = self._runner.run(self._engine.load(TENANT, KeyUse, KeyUse.TABLE.key, [("a",), ("b",)]))
        return {row.prefix: row.last_used_at for row in found if isinstance(row, KeyUse)}


@pytest.fixture
def shelf(runner: asyncio.Runner) -> Shelf:
    return Shelf(runner)


def test_a_use_is_stored_once_a_minute_and_at_the_end(shelf: Shelf) -> None:
    shelf.uses.saw(TENANT, "a", START)
    shelf.store(START)
    assert shelf.stored() == {"a": START}
    shelf.uses.saw(TENANT, "a", START + 1)
    shelf.store(START + MINUTE - 1)
    assert shelf.stored() == {"a": START}
    shelf.store(START + MINUTE)
    assert shelf.stored() == {"a": START + 1}
    shelf.uses.saw(TENANT, "b", START + MINUTE + 1)
    shelf.store(START + MINUTE + 1)
    assert shelf.stored() == {"a": START + 1}
    shelf.store(START + MINUTE + 1, everything=True)
    assert shelf.stored() == {"a": START + 1, "b": START + MINUTE + 1}


def test_what_is_stored_is_carried_no_longer_and_never_goes_back(shelf: Shelf) -> None:
    assert shelf.uses.last(TENANT, "a") == 0
    shelf.uses.saw(TENANT, "a", START)
    assert shelf.uses.last(TENANT, "a") == START
    shelf.store(START, everything=True)
    assert shelf.uses.last(TENANT, "a") == 0
    shelf.uses.saw(TENANT, "a", START - 5)  # A replica's clock that is behind.
    shelf.store(START, everything=True)
    assert shelf.stored() == {"a": START}
    shelf.uses.saw(TENANT, "b", 0)
    shelf.store(START, everything=True)
    assert shelf.stored() == {"a": START, "b": 0}
