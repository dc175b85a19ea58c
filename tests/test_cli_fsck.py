"""`haldir fsck`: what it finds in files that somebody changed."""

import json
import shutil
from pathlib import Path

import apsw
import pytest

from harness.commands import CliServer, haldir


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that opened two sessions and was stopped; `before` beside it is what it was in between."""
    folder = tmp_path_factory.mktemp("fsck") / "data"
    with CliServer(folder) as server:
        server.answer("session", "create", "coder", "--budget", "10")
        assert server.stop() == 0
    shutil.copytree(folder, folder.with_name("before"))
    with CliServer(folder) as server:
        server.answer("session", "create", "coder", "--budget", "20")
        assert server.stop() == 0
    return folder


@pytest.fixture
def copy(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy"))


def problems(folder: Path) -> list[tuple[str, str | None]]:
    result = haldir("fsck", "--data", str(folder), "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) in {(0, True), (1, False)}
    return [(finding["problem"], finding["entry_id"]) for finding in report["findings"]]


def change(folder: Path, sql: str) -> None:
    connection = apsw.Connection(str(folder / "haldir.db"))
    connection.execute(sql)
    assert connection.changes()
    connection.close()


def test_an_untouched_store_is_whole_and_stays_as_it_is(stopped: Path) -> None:
    before = (stopped / "haldir.db").read_bytes()
    result = haldir("fsck", "--data", str(stopped))
    assert (result.exit_code, result.stdout) == (0, "fsck: ok, 3 entries in 1 logs\n")
    assert (stopped / "haldir.db").read_bytes() == before


def test_an_edited_entry_is_named(copy: Path) -> None:
    change(
        copy,
        """UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), '"coder"', '"c0der"') AS BLOB) WHERE slot = 1""",
    )
    assert problems(copy)[0] == ("entry_altered", "aud_0000000000000000000001")


def test_a_row_that_the_log_does_not_lead_to_is_named(copy: Path) -> None:
    change(copy, "UPDATE budget SET limit_micros = 1000000000 WHERE limit_micros = 10000000")
    assert problems(copy) == [("row_altered", None)]
    shutil.copy(copy / "haldir.db", copy / "kept.db")
    change(copy, "DELETE FROM session")
    assert {problem for problem, _ in problems(copy)} == {"row_altered"}


def test_a_removed_entry_is_missed(copy: Path) -> None:
    change(copy, "DELETE FROM entry WHERE slot = 1")
    assert problems(copy)[0] == ("entry_missing", "aud_0000000000000000000001")


def test_a_database_rolled_back_is_told_by_the_checkpoint_beside_it(stopped: Path, copy: Path) -> None:
    shutil.copy(stopped.with_name("before") / "haldir.db", copy / "haldir.db")
    assert problems(copy) == [("rolled_back", None)]


def test_a_schema_from_the_future_is_refused(copy: Path) -> None:
    change(copy, "INSERT INTO migration VALUES (9999, '9999_future.sql', 'x', 0)")
    result = haldir("fsck", "--data", str(copy))
    assert result.exit_code == 3
    assert "9999_future.sql" in result.stderr


def test_a_root_key_that_does_not_open_it_is_refused(copy: Path) -> None:
    result = haldir("fsck", "--data", str(copy), env={"HALDIR_ROOT_KEY": "A" * 43 + "="})
    assert result.exit_code == 3
    assert "HALDIR_ROOT_KEY" in result.stderr


def test_no_database_at_all_is_a_wrong_setting(tmp_path: Path) -> None:
    assert haldir("fsck", "--data", str(tmp_path)).exit_code == 2
