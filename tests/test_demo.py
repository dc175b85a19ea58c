"""The demo goes as told, and says so when it does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

from haldir.faces.cli.demo.step import Step, Story

STEPS = [
    "tools",
    "free",
    "paid",
    "scope",
    "policy",
    "budget",
    "spent",
    "revoked",
    "log",
    "verify",
    "stop",
    "untouched",
    "tampered",
]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "haldir", "demo", *arguments)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, env={**os.environ, **variables}
    )


def test_the_demo_goes_as_told_and_keeps_away_from_this_users_own_haldir(tmp_path: Path) -> None:
    mine = {
        "XDG_DATA_HOME": str(tmp_path / "mine"),
        "TMPDIR": str(tmp_path),
        "HALDIR_ROOT_KEY": "mine",
        "HALDIR_API_KEY": "mine",
    }
    played = run("--json", **mine)
    assert played.returncode == 0, played.stdout + played.stderr
    document = json.loads(played.stdout)
    assert document["ok"] is True
    assert [step["name"] for step in document["steps"]] == STEPS
    assert all(step["expected"] == step["seen"] for step in document["steps"])
    refused = [entry["code"] for entry in document["log"] if not entry["allowed"]]
    assert refused == ["scope_missing", "policy_denied", "budget_exceeded", "session_revoked"]
    assert list(tmp_path.iterdir()) == []


def test_a_person_reads_every_step_and_the_log(tmp_path: Path) -> None:
    played = run(TMPDIR=str(tmp_path))
    assert played.returncode == 0, played.stdout + played.stderr
    for said in (
        "Ordered The Two Towers for 12.00 USD.",
        "refused, budget_exceeded",
        "session.revoke",
        "verify: ok",
        "fsck: FAILED",
        "All went as told.",
    ):
        assert said in played.stdout
    assert "NOT AS TOLD" not in played.stdout


def test_a_story_with_one_step_otherwise_is_not_as_told() -> None:
    told = Step(name="a", title="a", done="a", expected={"exit": 0}, seen={"exit": 0})
    otherwise = Step(name="b", title="b", done="b", expected={"exit": 0}, seen={"exit": 1})
    assert Story(steps=(told,), log=()).ok
    assert not Story(steps=(told, otherwise), log=()).ok
