"""Proofs as files: what is written is read back, and nothing else is read at all."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.journal.tlog_proof import HASHES_MAX, BadProof, TlogProof, read_proof, write_proof

HASH = b"\x07" * 32
NOTE = "log.example\n8\nBwc=\n\n— log.example AAAA\n"

hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=HASHES_MAX)


@given(st.integers(0, 2**63 - 1), hashes, st.binary(max_size=40))
def test_what_is_written_is_read_back(index: int, path: list[bytes], extra: bytes) -> None:
    proof = TlogProof(index, path, NOTE, extra)
    assert read_proof(write_proof(proof)) == proof


def test_a_proof_is_spelled_as_its_format_says() -> None:
    line = base64.b64encode(HASH).decode()
    whole = write_proof(TlogProof(7, [HASH, HASH], NOTE, b"extra"))
    assert whole == f"c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\nindex 7\n{line}\n{line}\n\n{NOTE}"
    assert write_proof(TlogProof(0, [], NOTE)) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{NOTE}"


LINE = base64.b64encode(HASH).decode() + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTE,
        f"c2sp.org/tlog-proof@v2\nindex 7\n\n{NOTE}",
        f"xc2sp.org/tlog-proof@v1\nindex 7\n\n{NOTE}",
        f"c2sp-org/tlog-proof@v1\nindex 7\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 07\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex -7\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 12345678901234567890\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 7\nextra AAAA\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra \nindex 7\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra A=AA\nindex 7\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 7\nA=AA\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 7\nnot base64\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 7\n{LINE * (HASHES_MAX + 1)}\n{NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 7\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 7\n{NOTE}",
    ],
)
def test_anything_else_is_no_proof(text: str) -> None:
    with pytest.raises(BadProof, match=r"^(this is no tlog-proof of version 1|the proof holds bad base64)$"):
        read_proof(text)


def test_a_path_may_have_as_many_hashes_as_the_largest_log_needs() -> None:
    text = f"c2sp.org/tlog-proof@v1\nindex 7\n{LINE * HASHES_MAX}\n{NOTE}"
    assert read_proof(text).path == [HASH] * HASHES_MAX
