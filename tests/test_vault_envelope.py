"""A sealed value opens for its tenant, its name, its version and its key, and for nothing else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.storage.rows import Part
from haldir.vault.envelope import WRAPPED_BYTES, open_value, seal_value, secret_digest, wrap_anew
from haldir.vault.reference import is_secret_name, reference
from haldir.vault.seal import SealBroken
from haldir.vault.tenant_keys import TenantKeys

ALICE, BOB = TenantId("a" * 16), TenantId("b" * 16)
FIRST, SECOND, OTHER = (Secret(letter * 32) for letter in (b"1", b"2", b"x"))
OP = OpId("0" * 32)

values = st.text(min_size=1, max_size=200)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,20}", fullmatch=True)


def keys(tenant: TenantId = ALICE, *more: Secret[bytes], first: Secret[bytes] = FIRST) -> TenantKeys:
    return TenantKeys(tenant, dict(enumerate((first, *more), start=1)), os.urandom)


def sealed(value: str, name: str = "n", held: TenantKeys | None = None, op: OpId = OP) -> Part:
    held = held or keys()
    return seal_value(held, name, secret_digest(held, op, name, Secret(value)), Secret(value))


@given(values, names)
def test_what_is_sealed_opens_and_does_not_show(value: str, name: str) -> None:
    part = sealed(value, name)
    assert open_value(keys(), name, part).reveal() == value
    assert part.key_version == 1
    assert len(value.encode()) < 4 or value.encode() not in part.sealed
    assert sealed(value, name).sealed != part.sealed


@given(values, names, names)
def test_it_opens_for_no_other_tenant_name_version_or_key(value: str, name: str, other_name: str) -> None:
    part = sealed(value, name)
    another = sealed(value, name, op=OpId("1" * 32))
    wrong = [
        (keys(BOB), name, part),
        (keys(first=OTHER), name, part),
        (keys(), name, Part(another.digest, 1, part.sealed)),
        (keys(ALICE, SECOND), name, Part(part.digest, 2, part.sealed)),
        (keys(), name, Part(part.digest, 2, part.sealed)),
        (keys(), name, Part(part.digest, 0, part.sealed)),
    ]
    if other_name != name:
        wrong.append((keys(), other_name, part))
    for held, asked, given_part in wrong:
        with pytest.raises(SealBroken):
            open_value(held, asked, given_part)


@given(values, st.data())
def test_an_altered_or_shortened_or_mixed_one_opens_never(value: str, data: st.DataObject) -> None:
    part, same = sealed(value), sealed(value)
    place = data.draw(st.integers(0, len(part.sealed) - 1))
    flipped = bytearray(part.sealed)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    mixed = part.sealed[:WRAPPED_BYTES] + same.sealed[WRAPPED_BYTES:]  # Each value has a data key of its own.
    for broken in (bytes(flipped), part.sealed[:place], part.sealed + b"\0", mixed):
        with pytest.raises(SealBroken):
            open_value(keys(), "n", Part(part.digest, 1, broken))


@given(values)
def test_a_key_wrapped_anew_opens_the_same_value_by_the_new_version_alone(value: str) -> None:
    part = sealed(value)
    both = keys(ALICE, SECOND)
    anew = wrap_anew(both, "n", part)
    assert (anew.digest, anew.key_version) == (part.digest, 2)
    assert anew.sealed[WRAPPED_BYTES:] == part.sealed[WRAPPED_BYTES:]
    assert [open_value(both, "n", each).reveal() for each in (part, anew)] == [value, value]
    assert open_value(keys(ALICE, SECOND, first=OTHER), "n", anew).reveal() == value
    for held in (keys(), keys(ALICE, OTHER)):
        with pytest.raises(SealBroken):
            open_value(held, "n", anew)
    with pytest.raises(SealBroken):
        wrap_anew(both, "other", part)


@given(values, values)
def test_a_version_is_named_alike_for_one_op_and_value_and_never_else(value: str, other: str) -> None:
    named = secret_digest(keys(), OP, "n", Secret(value))
    assert named == secret_digest(keys(ALICE, SECOND), OP, "n", Secret(value))
    unlike = {
        secret_digest(keys(), OpId("1" * 32), "n", Secret(value)),
        secret_digest(keys(), OP, "m", Secret(value)),
        secret_digest(keys(first=OTHER), OP, "n", Secret(value)),
    }
    assert named not in unlike
    assert (named == secret_digest(keys(), OP, "n", Secret(other))) == (value == other)


@given(names)
def test_a_name_is_one_segment_of_a_path_and_its_reference_ends_where_it_ends(name: str) -> None:
    assert is_secret_name(name)
    assert reference(name) == "${secret:" + name + "}"
    assert not set(name) & set("/?#%\\\"'{}$ \n")


@pytest.mark.parametrize("name", ["", ".", "..", "-x", ":x", "@x", "a/b", "a}", "a{", "ä", "a\n", "x" * 129])
def test_anything_else_is_no_name(name: str) -> None:
    assert not is_secret_name(name)
