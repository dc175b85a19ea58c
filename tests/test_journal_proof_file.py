"""A proof as a file: written to the letter of C2SP tlog-proof, and read back no other way."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.journal.tlog_proof import BadProof, TlogProof, read_proof, write_proof

HASHES = [bytes([n]) * 32 for n in range(3)]
ENCODED = [base64.b64encode(each).decode() for each in HASHES]
NOTE = "example.com/log\n7\nAAAA\n\n— example.com/log BBBB\n"
PLAIN = f"c2sp.org/tlog-proof@v1\nindex 5\n{ENCODED[0]}\n{ENCODED[1]}\n\n{NOTE}"
WITH_EXTRA = f"c2sp.org/tlog-proof@v1\nextra aGludA==\nindex 0\n\n{NOTE}"

proofs = st.builds(
    TlogProof,
    st.integers(0, 10**19 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.just(NOTE),
    st.binary(max_size=40),
)


@pytest.mark.parametrize(
    ("proof", "text"),
    [(TlogProof(5, HASHES[:2], NOTE), PLAIN), (TlogProof(0, [], NOTE, b"hint"), WITH_EXTRA)],
)
def test_a_proof_is_written_line_by_line(proof: TlogProof, text: str) -> None:
    assert write_proof(proof) == text
    assert read_proof(text) == proof


@given(proofs)
def test_a_proof_is_read_back_as_it_was_written(proof: TlogProof) -> None:
    assert read_proof(write_proof(proof)) == proof


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no tlog-proof"),
        (PLAIN.replace("@v1", "@v2"), "no tlog-proof"),
        (PLAIN.replace("index 5", "index 05"), "no tlog-proof"),
        (PLAIN.replace("index 5", "index -5"), "no tlog-proof"),
        (PLAIN.replace(f"\n{ENCODED[1]}", f"\n{ENCODED[1]}" * 63), "no tlog-proof"),
        (PLAIN.removesuffix(NOTE), "no tlog-proof"),
        (PLAIN.replace(ENCODED[0], ENCODED[0] + "="), "bad base64"),
        (PLAIN.replace(ENCODED[0], "AAAAA"), "bad base64"),
        (WITH_EXTRA.replace("aGludA==", "aGlud==="), "bad base64"),
        (WITH_EXTRA.replace("aGludA==", "aGludA==A"), "bad base64"),
    ],
)
def test_what_is_no_proof_is_said_to_be_none(text: str, why: str) -> None:
    with pytest.raises(BadProof, match=why):
        read_proof(text)
