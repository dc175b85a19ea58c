"""`haldir verify`: what was exported and proven, held against a checkpoint that was kept, with no server in sight."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.commands import CliServer, haldir


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, an export, a later one, and proofs; their server is gone."""
    folder = tmp_path_factory.mktemp("kept")
    with CliServer(tmp_path_factory.mktemp("data") / "data") as server:
        for number in range(5):
            server.answer("session", "create", f"agent{number}")
        server.run("audit", "export", "--all", "-o", str(folder / "log.jsonl"))
        server.run("audit", "prove", f"aud_{3:022d}", "-o", str(folder / "old.tlog-proof"))
        server.answer("session", "create", "after")
        server.run("audit", "prove", f"aud_{3:022d}", "-o", str(folder / "entry.tlog-proof"))
        head = server.answer("audit", "tree-head")
        (folder / "key").write_text(head["verifier_key"])
        (folder / "checkpoint").write_text(server.run("audit", "tree-head", "--checkpoint").stdout)
        server.answer("session", "create", "later still")
        server.run("audit", "export", "--all", "-o", str(folder / "longer.jsonl"))
    return folder


def verified(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    result = haldir("verify", *map(str, arguments), "--json")
    return result.exit_code, json.loads(result.stdout or result.stderr)


def test_an_export_that_begins_with_the_kept_entries_verifies(kept: Path) -> None:
    code, told = verified(kept / "longer.jsonl", "--checkpoint", kept / "checkpoint")
    count = len((kept / "longer.jsonl").read_text().splitlines()) - 1
    assert (code, told["verified"], told["entries"]) == (0, True, count)
    shown = haldir("verify", str(kept / "longer.jsonl"), "--checkpoint", str(kept / "checkpoint")).stdout
    assert shown.startswith("verify: ok, ")


def test_an_export_from_before_the_checkpoint_cannot_hold_all_of_it(kept: Path) -> None:
    code, told = verified(kept / "log.jsonl", "--checkpoint", kept / "checkpoint")
    assert (code, told["verified"]) == (1, False)
    assert "ends after" in told["error"]


Rows = list[dict[str, Any]]
FORGERIES: dict[str, Callable[[Rows], Any]] = {
    "a record is changed": lambda rows: rows[3].update(record=rows[3]["record"].replace("agent", "angel")),
    "an entry is shown otherwise": lambda rows: rows[3].update(agent_id="angel"),
    "a refusal is shown as allowed": lambda rows: rows[3].update(allowed=not rows[3]["allowed"]),
    "another version of the policies": lambda rows: rows[3].update(policy_version=7),
    "a time is shown otherwise": lambda rows: rows[3].update(timestamp=rows[3]["timestamp"] + 1),
    "an entry is left out": lambda rows: rows.pop(3),
    "the first entry is left out": lambda rows: rows.pop(0),
    "an entry is there twice": lambda rows: rows.insert(3, rows[3]),
    "two entries change places": lambda rows: rows.insert(3, rows.pop(4)),
    "the hash is another": lambda rows: rows[3].update(entry_hash="00" * 32),
    "the record is no record": lambda rows: rows[3].update(record="{}"),
    "it is somebody else's": lambda rows: [row.update(tenant_id="0" * 16) for row in rows],
    "nothing is left": lambda rows: rows.clear(),
    "both record and what is shown are changed": lambda rows: rows[3].update(
        record=rows[3]["record"].replace(rows[3]["agent_id"], "angel"), agent_id="angel"
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_export_is_found(kept: Path, tmp_path: Path, forgery: str) -> None:
    *rows, manifest = [json.loads(line) for line in (kept / "longer.jsonl").read_text().splitlines()]
    FORGERIES[forgery](rows)
    forged = tmp_path / "forged.jsonl"
    forged.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in [*rows, manifest]))
    code, told = verified(forged, "--checkpoint", kept / "checkpoint")
    assert (code, told["verified"]) == (1, False), told


def test_a_proof_verifies_under_the_kept_head_or_a_signed_one(kept: Path) -> None:
    key = (kept / "key").read_text()
    for proof, against in (
        ("entry", ("--checkpoint", kept / "checkpoint")),
        ("entry", ("--key", key)),
        ("old", ("--key", key)),
        ("entry", ("--key", key, "--checkpoint", kept / "checkpoint")),
    ):
        code, told = verified(kept / f"{proof}.tlog-proof", *against)
        assert (code, told["entry_id"]) == (0, f"aud_{3:022d}")
        assert json.loads(told["record"])["about"]["agent_id"]


def test_a_proof_under_another_head_or_of_another_entry_does_not(kept: Path, tmp_path: Path) -> None:
    code, told = verified(kept / "old.tlog-proof", "--checkpoint", kept / "checkpoint")
    assert (code, told["verified"]) == (1, False)
    text = (kept / "entry.tlog-proof").read_text()
    lines = text.splitlines()
    forged = tmp_path / "forged.tlog-proof"
    for wrong in (
        text.replace("index 3", "index 2"),
        text.replace(lines[3], lines[4]),
        text.replace(lines[1], f"extra {lines[1][-8:]}"),
        text.replace(lines[1] + "\n", ""),
        text[:-10],
        "c2sp.org/tlog-proof@v1\n",
    ):
        forged.write_text(wrong)
        assert verified(forged, "--key", (kept / "key").read_text())[0] == 1, wrong


def test_without_anything_that_was_kept_nothing_can_be_checked(kept: Path, tmp_path: Path) -> None:
    assert verified(kept / "longer.jsonl")[0] == 2
    assert verified(kept / "entry.tlog-proof")[0] == 2
    (tmp_path / "broken").write_text("nonsense")
    assert verified(kept / "longer.jsonl", "--checkpoint", tmp_path / "broken")[0] == 3
    (tmp_path / "noise").write_bytes(b"\xff\xfe\n")
    assert verified(tmp_path / "noise", "--checkpoint", kept / "checkpoint")[0] == 1
