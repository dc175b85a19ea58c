"""What the root key opens: for the right key, tenant and part, and for no other."""

import asyncio
import itertools
import os
import re
import traceback
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.gate.model import Tenant
from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.storage.engine import Engine
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import Part
from haldir.storage.sqlite import SqliteEngine
from haldir.vault import keyring as keyring_module
from haldir.vault.keyring import Keyring
from haldir.vault.root import WrongRootKey
from haldir.vault.seal import SealBroken
from haldir.vault.tenant_keys import TenantKeys

ROOT, OTHER_ROOT = Secret(b"r" * 32), Secret(b"s" * 32)
ALICE, BOB = TenantId("a" * 16), TenantId("b" * 16)
OP = OpId("0" * 32)
SOURCE = "the file root.key"


@pytest.fixture
def store(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Engine]:
    engine = runner.run(SqliteEngine.open(tmp_path / "haldir.db"))
    yield engine
    runner.run(engine.close())


def opened(root: Secret[bytes] = ROOT) -> Keyring:
    """Return the keyring of a new deployment."""
    return asyncio.run(Keyring.open(MemoryEngine(), root, SOURCE, os.urandom))


def keys_of(keyring: Keyring, tenant: TenantId = ALICE, op: OpId = OP) -> TenantKeys:
    return keys_from(keyring, keyring.new_data_key(op, tenant), tenant)


def keys_from(keyring: Keyring, data_key: Part, tenant: TenantId = ALICE) -> TenantKeys:
    return TenantKeys(tenant, {1: keyring.data_key_from(data_key, tenant)}, os.urandom)


async def found(engine: Engine, tenant: TenantId, data_key: Part, *more: Part) -> None:
    """Store a tenant and its parts, as the journal would."""

    async def batch() -> None:
        async with engine.transaction(tenant) as transaction:
            await transaction.save(Tenant, [Tenant("someone", data_key.digest, 0)])
            await transaction.save(Part, [data_key, *more])

    await engine.run(batch())


def altered(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_origin_and_signing_key_are_made_once_and_kept_through_restarts(store: Engine, runner: asyncio.Runner) -> None:
    assert not runner.run(Keyring.stands_in(store))
    first = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    assert runner.run(Keyring.stands_in(store))
    again = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    assert again.origin == first.origin
    assert again.signing_key.private_bytes_raw() == first.signing_key.private_bytes_raw()
    assert re.fullmatch(r"haldir-[0-9a-f]{16}\.local", first.origin)


def test_a_reader_opens_what_is_there_and_makes_nothing(store: Engine, runner: asyncio.Runner) -> None:
    with pytest.raises(WrongRootKey):
        runner.run(Keyring.reopen(store, ROOT, SOURCE, os.urandom))
    assert not runner.run(Keyring.stands_in(store))
    made = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    assert runner.run(Keyring.reopen(store, ROOT, SOURCE, os.urandom)).origin == made.origin


def test_replicas_that_start_at_once_share_one_signing_key(store: Engine, runner: asyncio.Runner) -> None:
    async def race() -> list[Keyring]:
        return await asyncio.gather(*(Keyring.open(store, ROOT, SOURCE, os.urandom) for _ in range(8)))

    replicas = runner.run(race())
    assert len({replica.origin for replica in replicas}) == 1
    assert len({replica.signing_key.private_bytes_raw() for replica in replicas}) == 1


def test_the_signing_key_is_not_in_the_database(store: Engine, runner: asyncio.Runner) -> None:
    keyring = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    stored = runner.run(store.setting(keyring_module.SETTING))
    assert stored is not None
    assert keyring.origin.encode() in stored
    for secret in (keyring.signing_key.private_bytes_raw(), ROOT.reveal()):
        assert secret not in stored


def test_a_wrong_root_key_opens_nothing_and_is_told_by_its_source(store: Engine, runner: asyncio.Runner) -> None:
    first = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    with pytest.raises(WrongRootKey, match=r"from the file other\.key does not open this database"):
        runner.run(Keyring.open(store, OTHER_ROOT, "the file other.key", os.urandom))
    assert runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom)).origin == first.origin


@pytest.mark.parametrize(("what", "instead"), [(b"haldir-", b"halbir-"), (b'"signing_key":"', b'"signing_key":"AAAA')])
def test_an_altered_deployment_is_not_opened(what: bytes, instead: bytes, runner: asyncio.Runner) -> None:
    engine = MemoryEngine()
    runner.run(Keyring.open(engine, ROOT, SOURCE, os.urandom))
    engine._settings[keyring_module.SETTING] = engine._settings[keyring_module.SETTING].replace(what, instead)
    with pytest.raises(WrongRootKey):
        runner.run(Keyring.open(engine, ROOT, SOURCE, os.urandom))


def test_a_retry_mints_the_same_credential_and_nothing_else_does() -> None:
    one, same_root, other = opened(), opened(), opened(OTHER_ROOT)
    kinds, ops = ("hld", "hst", "hla"), (OpId("1"), OpId("2"))
    minted = [one.mint(kind, op).reveal() for kind in kinds for op in ops]
    assert minted == [same_root.mint(kind, op).reveal() for kind in kinds for op in ops]
    assert len(set(minted)) == 6
    assert not set(minted) & {other.mint(kind, op).reveal() for kind in kinds for op in ops}


def test_a_retry_makes_the_same_data_key_under_the_same_digest() -> None:
    keyring = opened()
    first, again = keyring.new_data_key(OP, ALICE), keyring.new_data_key(OP, ALICE)
    assert first.digest == again.digest
    assert first.key_version == 0
    sealed = keys_from(keyring, first).seal(b"kept", "policy")
    assert keys_from(keyring, again).open(sealed) == b"kept"
    assert keyring.new_data_key(OpId("1"), ALICE).digest != first.digest


def test_a_data_key_opens_for_its_tenant_only() -> None:
    keyring = opened()
    part = keyring.new_data_key(OP, ALICE)
    with pytest.raises(SealBroken):
        keyring.data_key_from(part, BOB)
    with pytest.raises(SealBroken):
        opened(OTHER_ROOT).data_key_from(part, ALICE)
    with pytest.raises(SealBroken):
        keyring.data_key_from(Part("0" * 64, part.key_version, part.sealed), ALICE)
    with pytest.raises(SealBroken, match="not sealed with the root key"):
        keyring.data_key_from(Part(part.digest, 1, part.sealed), ALICE)


def test_a_tenants_keys_are_found_in_the_store(store: Engine, runner: asyncio.Runner) -> None:
    keyring = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    data_key = keyring.new_data_key(OP, ALICE)
    secret = keys_from(keyring, data_key).seal(b"kept", "policy")
    runner.run(found(store, ALICE, data_key, secret))
    restarted = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    keys = runner.run(restarted.tenant(ALICE))
    assert keys.open(secret) == b"kept"
    assert runner.run(restarted.tenant(ALICE)) is keys


def test_a_data_key_moved_to_another_tenant_does_not_open(store: Engine, runner: asyncio.Runner) -> None:
    keyring = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    runner.run(found(store, BOB, keyring.new_data_key(OP, ALICE)))
    with pytest.raises(SealBroken):
        runner.run(keyring.tenant(BOB))


def test_a_tenant_that_does_not_exist_has_no_keys(store: Engine, runner: asyncio.Runner) -> None:
    keyring = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    with pytest.raises(SealBroken, match=f"data key of tenant {ALICE} is not in the database"):
        runner.run(keyring.tenant(ALICE))


def test_the_tenants_kept_in_memory_are_bounded(
    store: Engine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "TENANTS_CACHED_MAX", 3)
    keyring = runner.run(Keyring.open(store, ROOT, SOURCE, os.urandom))
    tenants = [TenantId(f"{number:016d}") for number in range(5)]
    for tenant in tenants:
        runner.run(found(store, tenant, keyring.new_data_key(OP, tenant)))
    digests = [runner.run(keyring.tenant(tenant)).digest("label", b"") for tenant in tenants]
    assert len(keyring._tenants) == 3
    assert [runner.run(keyring.tenant(tenant)).digest("label", b"") for tenant in tenants] == digests


@given(st.binary(max_size=300), st.text(max_size=10))
def test_a_part_opens_as_what_was_sealed(data: bytes, label: str) -> None:
    keys = keys_of(KEYRING)
    part = keys.seal(data, label)
    assert keys.open(part) == data
    assert part.digest == keys.digest(label, data)
    assert part.key_version == 1
    assert len(data) < 8 or data not in part.sealed


@given(st.data())
def test_an_altered_part_does_not_open(data: st.DataObject) -> None:
    keys = keys_of(KEYRING)
    part = keys.seal(b"what the policy says", "policy")
    place = data.draw(st.integers(0, len(part.sealed) - 1))
    with pytest.raises(SealBroken):
        keys.open(Part(part.digest, part.key_version, altered(part.sealed, place)))
    with pytest.raises(SealBroken):
        keys.open(Part(part.digest, part.key_version, part.sealed[:place]))


def test_a_part_opens_only_as_itself_and_for_its_tenant() -> None:
    keys = keys_of(KEYRING)
    one, other = keys.seal(b"one", "policy"), keys.seal(b"other", "policy")
    with pytest.raises(SealBroken):
        keys.open(Part(other.digest, one.key_version, one.sealed))
    with pytest.raises(SealBroken, match="key version 2"):
        keys.open(Part(one.digest, 2, one.sealed))
    for stranger in (keys_of(KEYRING, BOB), keys_of(KEYRING, ALICE, OpId("1"))):
        with pytest.raises(SealBroken):
            stranger.open(one)


def test_one_data_key_under_two_names_of_tenants_still_keeps_their_parts_apart() -> None:
    data_key = Secret(b"d" * 32)
    part = TenantKeys(ALICE, {1: data_key}, os.urandom).seal(b"x", "policy")
    with pytest.raises(SealBroken):
        TenantKeys(BOB, {1: data_key}, os.urandom).open(part)


def test_a_digest_depends_on_tenant_label_and_data() -> None:
    keyrings = [keys_of(KEYRING), keys_of(KEYRING, op=OpId("1"))]
    digests = [keys.digest(label, data) for keys, label, data in itertools.product(keyrings, ["a", "b"], [b"", b"x"])]
    assert len(set(digests)) == 8
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    assert keyrings[0].digest("a", b"x") == digests[1]


def test_a_box_opens_by_its_label_and_its_owner_only() -> None:
    box = KEYRING.seal_box("mcp", b"upstream session", b"alice")
    assert KEYRING.open_box("mcp", box, b"alice") == b"upstream session"
    assert box != KEYRING.seal_box("mcp", b"upstream session", b"alice")
    for label, bytes_given, aad in [
        ("mcp", box, b"bob"),
        ("task", box, b"alice"),
        ("mcp", altered(box), b"alice"),
        ("mcp", b"", b""),
        ("mcp", box[:20], b"alice"),
    ]:
        with pytest.raises(SealBroken):
            KEYRING.open_box(label, bytes_given, aad)


async def wrong_root() -> None:
    engine = MemoryEngine()
    await Keyring.open(engine, ROOT, SOURCE, os.urandom)
    await Keyring.open(engine, OTHER_ROOT, SOURCE, os.urandom)


async def tampered_part() -> None:
    keys = keys_of(KEYRING)
    part = keys.seal(PLAINTEXT, "policy")
    keys.open(Part(part.digest, part.key_version, altered(part.sealed)))


async def foreign_data_key() -> None:
    KEYRING.data_key_from(KEYRING.new_data_key(OP, ALICE), BOB)


async def failing_entropy() -> None:
    def fail(size: int) -> bytes:
        raise OSError(f"no {size} bytes of entropy")

    data_key = KEYRING.data_key_from(KEYRING.new_data_key(OP, ALICE), ALICE)
    TenantKeys(ALICE, {1: data_key}, fail).seal(b"", "policy")


@pytest.mark.parametrize("failure", [wrong_root, tampered_part, foreign_data_key, failing_entropy])
def test_no_secret_is_in_a_traceback_even_with_the_locals_shown(
    failure: Callable[[], Coroutine[None, None, None]],
) -> None:
    try:
        asyncio.run(failure())
    except (WrongRootKey, SealBroken, OSError) as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    for secret in secrets():
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_no_key_shows_itself() -> None:
    keys = keys_of(KEYRING)
    for shown in (repr(KEYRING), repr(keys), repr(vars(KEYRING)), repr(vars(keys)), repr(KEYRING.mint("hld", OP))):
        for secret in secrets():
            assert repr(secret)[2:-1] not in shown
            assert secret.hex() not in shown


def secrets() -> list[bytes]:
    keys = keys_of(KEYRING)
    data_key = KEYRING.data_key_from(KEYRING.new_data_key(OP, ALICE), ALICE)
    held = [data_key, keys._part_keys[1], keys.wrapping_key(1), KEYRING._mint_key, ROOT, OTHER_ROOT]
    return [secret.reveal() for secret in held] + [
        KEYRING.mint("hld", OP).reveal().encode(),
        KEYRING.signing_key.private_bytes_raw(),
    ]


PLAINTEXT = b"the words of a policy"
KEYRING = opened()
