"""The demo goes as told, and says so when it does not."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from haldir.faces.cli.demo.step import Step, Story
from haldir.faces.cli.demo.story import tell

STEPS = [
    "start",
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
    "tampered_files",
]
NOBODY = "http://127.0.0.1:9"  # RFC 863: a port that nothing listens on nowadays.
FILE_BLOCKS_MAX = 16  # Of 512 bytes or 1 KiB: a log fits, a database does not.


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
        "http_proxy": NOBODY,
        "ALL_PROXY": NOBODY,
    }
    played = run("--json", **mine)
    assert played.returncode == 0, played.stdout + played.stderr
    document = json.loads(played.stdout)
    assert document["ok"] is True
    assert [step["name"] for step in document["steps"]] == STEPS
    assert all(step["expected"] == step["seen"] for step in document["steps"])
    (whole,) = (step for step in document["steps"] if step["name"] == "verify")
    (forged,) = (step for step in document["steps"] if step["name"] == "tampered")
    assert whole["seen"] == {"verified": True, "entry": None}
    (rewritten,) = (entry["entry_id"] for entry in document["log"] if entry["tool"] == "close_shop")
    assert forged["seen"] == {"verified": False, "entry": rewritten}
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
        "verify: FAILED",
        "fsck: FAILED",
        "All went as told.",
    ):
        assert said in played.stdout
    assert "NOT AS TOLD" not in played.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_what_breaks_the_demo_off_is_its_last_step(tmp_path: Path, *, as_json: bool) -> None:
    limited = f'ulimit -f {FILE_BLOCKS_MAX}; exec "$0" -m haldir demo {"--json" if as_json else ""}'
    played = subprocess.run(
        ("sh", "-c", limited, sys.executable),
        capture_output=True,
        text=True,
        check=False,
        env={"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},  # A limit would cut those files short.
    )
    assert (played.returncode, played.stderr) == (1, "")
    if not as_json:
        assert "NOT AS TOLD" in played.stdout
        assert "Not as told: start." in played.stdout
        return
    document = json.loads(played.stdout)
    assert document["ok"] is False
    (step,) = document["steps"]
    assert (step["name"], step["expected"]) == ("start", {"error": ""})
    assert step["seen"]["error"].startswith("`haldir up` did not start: ")


def test_an_error_nobody_foresaw_is_told_in_one_line(tmp_path: Path) -> None:
    def fall_over(_log: object) -> None:
        raise ExceptionGroup("of tasks", [ValueError("a line\nand another")])

    story = asyncio.run(tell(tmp_path, lambda _step: None, fall_over))
    assert not story.ok
    assert [step.name for step in story.steps] == STEPS[: STEPS.index("log") + 1]
    assert story.steps[-1].seen == {"error": "ValueError: a line"}


def test_a_story_with_one_step_otherwise_is_not_as_told() -> None:
    told = Step(name="a", title="a", done="a", expected={"exit": 0}, seen={"exit": 0})
    otherwise = Step(name="b", title="b", done="b", expected={"exit": 0}, seen={"exit": 1})
    assert Story(steps=(told,), log=()).ok
    assert not Story(steps=(told, otherwise), log=()).ok
