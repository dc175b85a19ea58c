"""Proofs at the REST door, held against a tree that is built from the entries by the RFC's own definition."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from haldir.journal.checkpoint import verify_checkpoint
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from merkle import audit_path, consistency_path, tree_hash

ENTRIES = 300  # More than a tile holds.


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        session = haldir.session()["session_id"]
        for number in range(ENTRIES):
            haldir.rest("POST", "/v1/audit", {"session_id": session, "action": f"step {number}"})
        yield haldir


@pytest.fixture(scope="module")
def leaves(haldir: Haldir) -> list[bytes]:
    entries = haldir.rest("GET", "/v1/audit?kind=all&limit=1000")["entries"]
    return [bytes.fromhex(entry["entry_hash"]) for entry in reversed(entries)]


def unhexed(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in hashes]


def test_every_entry_has_the_path_that_the_rfc_defines(haldir: Haldir, leaves: list[bytes]) -> None:
    root = tree_hash(leaves).hex()
    for index in (*range(0, len(leaves), 23), 255, 256, 257, len(leaves) - 1):
        proof = haldir.rest("GET", f"/v1/audit/inclusion-proof/aud_{index:022d}")
        assert unhexed(proof["audit_path"]) == audit_path(index, leaves)
        shown = (proof["algorithm"], proof["leaf_index"], proof["leaf_hash"], proof["tree_size"], proof["root_hash"])
        assert shown == ("RFC6962-SHA256", index, leaves[index].hex(), len(leaves), root)
        assert (proof["sth"]["tree_size"], proof["sth"]["root_hash"]) == (len(leaves), root)


def test_any_two_sizes_have_the_proof_that_the_rfc_defines(haldir: Haldir, leaves: list[bytes]) -> None:
    for first, second in ((1, 2), (1, 300), (3, 7), (4, 8), (100, 256), (255, 257), (256, 301), (257, 301), (300, 301)):
        proof = haldir.rest("GET", f"/v1/audit/consistency-proof?first={first}&second={second}")
        assert unhexed(proof["consistency_path"]) == consistency_path(first, leaves[:second])
        assert (proof["first_size"], proof["second_size"]) == (first, second)
        assert proof["first_root"] == tree_hash(leaves[:first]).hex()
        assert proof["second_root"] == tree_hash(leaves[:second]).hex()
    present = haldir.rest("GET", "/v1/audit/consistency-proof?first=17")
    assert present["second_size"] == len(leaves)
    assert haldir.rest("GET", "/v1/audit/consistency-proof?first=17&second=17")["consistency_path"] == []


def test_a_tlog_proof_file_leads_from_the_entry_in_it_to_a_signed_head(haldir: Haldir, leaves: list[bytes]) -> None:
    head = haldir.rest("GET", "/v1/audit/tree-head")
    answer = haldir.get(f"/v1/audit/inclusion-proof/aud_{260:022d}?format=tlog-proof")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"] == f'attachment; filename="aud_{260:022d}.tlog-proof"'
    proof, _, checkpoint = answer.raw.decode().partition("\n\n")
    header, extra, index, *path = proof.split("\n")
    assert (header, index) == ("c2sp.org/tlog-proof@v1", "index 260")
    body = base64.b64decode(extra.removeprefix("extra "))
    assert hashlib.sha256(b"\0" + body).digest() == leaves[260]
    assert [base64.b64decode(line) for line in path] == audit_path(260, leaves)
    note = verify_checkpoint(checkpoint, head["verifier_key"])
    assert (note.size, note.root) == (len(leaves), tree_hash(leaves))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("inclusion-proof/aud_0000000000000000009999", 404, "not_found"),
        ("inclusion-proof/aud_9999999999999999999999", 404, "not_found"),
        ("inclusion-proof/aud_1", 404, "not_found"),
        ("inclusion-proof/aud_0000000000000000000001?format=xml", 400, "invalid_format"),
        ("consistency-proof?first=0", 400, "invalid_range"),
        ("consistency-proof?first=-1", 400, "invalid_range"),
        ("consistency-proof?first=5&second=4", 400, "invalid_range"),
        ("consistency-proof?first=1&second=99999", 400, "invalid_range"),
        ("consistency-proof", 400, "invalid_request"),
        ("consistency-proof?first=x", 400, "invalid_request"),
    ],
)
def test_what_cannot_be_proven_is_said_to_be_so(haldir: Haldir, path: str, status: int, code: str) -> None:
    answer = haldir.get(f"/v1/audit/{path}")
    assert (answer.status, answer.body["code"]) == (status, code)


def test_proofs_are_of_the_callers_own_log(haldir: Haldir) -> None:
    made: Any = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body
    assert haldir.get(f"/v1/audit/inclusion-proof/aud_{200:022d}", key=made["key"]).status == 404
    assert haldir.get("/v1/audit/consistency-proof?first=2", key=made["key"]).status == 400
