"""Names that sort by time, and credentials that are derived and never stored."""

import hashlib
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from haldir.kernel import ids
from haldir.kernel.ids import OpId

op_ids = st.builds(ids.op_id, st.integers(0, 2**56 - 1), st.binary(min_size=9, max_size=9))
derived = pytest.mark.parametrize(
    ("name", "shape"),
    [
        (ids.session_id, r"ses_[0-9a-f]{32}"),
        (ids.payment_id, r"auth_[A-Za-z0-9_-]{22}"),
        (ids.policy_id, r"pol_[A-Za-z0-9_-]{22}"),
        (ids.call_id, r"call_[A-Za-z0-9_-]{22}"),
    ],
)


@given(st.integers(0, 2**56 - 2), st.binary(min_size=9, max_size=9), st.binary(min_size=9, max_size=9))
def test_a_later_op_id_sorts_after_an_earlier_one(at: int, one: bytes, other: bytes) -> None:
    assert ids.op_id(at, one) < ids.op_id(at + 1, other)
    assert re.fullmatch(r"[0-9a-f]{32}", ids.op_id(at, one))


@derived
def test_ids_sort_as_the_op_ids_they_come_from(name: Callable[[OpId], str], shape: str) -> None:
    @given(st.lists(op_ids, max_size=20))
    def law(ops: list[OpId]) -> None:
        assert [name(op) for op in sorted(ops)] == sorted(name(op) for op in ops)
        assert len({name(op) for op in ops}) == len(set(ops))
        assert all(re.fullmatch(shape, name(op)) for op in ops)

    law()


@derived
@pytest.mark.parametrize("op", ["", "retry-7", "F" * 32, "g" * 32, "f" * 31, "\N{FULLWIDTH DIGIT ZERO}" * 32])
def test_an_op_id_of_another_make_still_gives_an_id_of_the_same_shape(
    name: Callable[[OpId], str], shape: str, op: str
) -> None:
    assert re.fullmatch(shape, name(OpId(op)))


@given(st.integers(0, ids.ENTRY_INDEX_MAX))
@example(2**63 - 1)
def test_an_entry_id_names_its_index(index: int) -> None:
    assert ids.entry_index(ids.entry_id(index)) == index
    assert len(ids.entry_id(index)) == len("aud_") + 22


@pytest.mark.parametrize(
    "name",
    [
        "",
        "aud_",
        "aud_7",
        "aud_" + "\N{ARABIC-INDIC DIGIT ZERO}" * 22,
        "aud_" + "9" * 22,
        f"aud_{2**63:022d}",
        "aud_" + "0" * 22 + "\n",
        "aud_-" + "0" * 21,
    ],
)
def test_what_names_no_entry_that_could_ever_be_has_no_index(name: str) -> None:
    assert ids.entry_index(name) is None


def test_a_credential_is_derived_from_kind_secret_and_op_id() -> None:
    kinds, secrets, ops = ("hld", "hst", "hla"), (b"a" * 32, b"b" * 32), (OpId("1"), OpId("2"))
    minted = [ids.credential(*each) for each in itertools.product(kinds, secrets, ops)]
    assert len(set(minted)) == len(minted)
    assert minted == [ids.credential(*each) for each in itertools.product(kinds, secrets, ops)]
    assert all(re.fullmatch(r"h(ld|st|la)_[A-Za-z0-9_-]{43}", each) for each in minted)


def test_a_tenant_is_named_by_the_hash_of_its_first_key() -> None:
    key = ids.credential("hld", b"k" * 32, OpId("1"))
    assert ids.tenant_id(key) == hashlib.sha256(key.encode()).hexdigest()[:16] == ids.credential_sha256(key)[:16]


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a", True),
        ("files.eu-1_x", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        (".a", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_a_name_is_fit_for_paths_scopes_and_columns(text: str, fit: bool) -> None:  # noqa: FBT001 - a column of the table.
    assert ids.is_name(text) is fit


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a", True),
        ("files_eu-1", True),
        ("x" * 48, True),
        ("x" * 49, False),
        ("", False),
        ("a__b", False),
        ("a.b", False),
        ("a:b", False),
        ("_a", False),
        ("a_", False),
        ("a\n", False),
    ],
)
def test_an_upstreams_name_can_be_told_from_the_tools_name_beside_it(text: str, fit: bool) -> None:  # noqa: FBT001 - a column of the table.
    assert ids.is_upstream_name(text) is fit
