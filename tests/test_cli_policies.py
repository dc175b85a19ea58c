"""Policies as code by the command line, on SQLite and on PostgreSQL: apply, look at versions, roll back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haldir.operations.policy_schema import policy_schema
from harness.commands import CliServer, haldir
from harness.databases import fresh_database

FIRST = """
- name: no-rm
  type: block_tool
  tool: rm
- {name: small, type: spend_limit, max: 25.10}
"""
SECOND = """
- name: small
  type: spend_limit
  max: 30
- name: hours
  type: time_window
  start_hour: 8
  end_hour: 18
"""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    database = ("--database-url", dsn) if dsn else ()
    with CliServer(tmp_path_factory.mktemp("data") / "data", *database) as server:
        yield server


@pytest.fixture
def folder(server: CliServer, tmp_path: Path) -> Path:
    """Return a folder for policies, with none in force."""
    (tmp_path / "none.yaml").write_text("[]")
    server.answer("policy", "apply", str(tmp_path / "none.yaml"), "--yes")
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def listed(server: CliServer, *options: str) -> dict[str, Any]:
    policies: list[Any] = server.answer("policy", "list", *options)["policies"]
    return {each["policy_id"]: each for each in policies}


def test_a_folder_is_applied_changed_and_rolled_back(server: CliServer, folder: Path) -> None:
    (folder / "all.yaml").write_text(FIRST)
    applied = server.run("policy", "apply", str(folder), "--yes")
    assert applied.exit_code == 0, applied.stderr
    version = server.answer("policy", "list")["version"]
    assert applied.stdout.splitlines() == [
        "+ no-rm",
        '    block_tool tool="rm"',
        "+ small",
        "    spend_limit max=25.1",
        "2 added, 0 changed, 0 removed, 0 as they are.",
        f"Version {version} is in force.",
    ]
    added = server.answer("policy", "add", "block_tool", "tool=x")["policy_id"]
    (folder / "all.yaml").write_text(SECOND)
    told = server.run("policy", "apply", str(folder), typed=b"y\n")
    assert told.exit_code == 0, told.stderr
    assert "~ small\n    max: 25.1 -> 30.0\n" in told.stdout
    assert f'- no-rm\n    block_tool tool="rm" (removed: it is not in {folder})\n' in told.stdout
    assert f'- {added}\n    block_tool tool="x" (removed: it is not in {folder})\n' in told.stdout
    assert "1 added, 1 changed, 2 removed, 0 as they are." in told.stdout
    assert set(listed(server)) == {"hours", "small"}
    assert listed(server)["small"]["max"] == 30
    assert set(listed(server, "--version", str(version))) == {"no-rm", "small"}
    back = server.run("policy", "rollback", str(version), "--yes")
    assert f"(removed: it is not in version {version})" in back.stdout
    assert listed(server)["small"]["max"] == 25.1
    assert set(listed(server)) == {"no-rm", "small"}
    assert [
        (each["version"], each["restores"]) for each in server.answer("policy", "versions", "--limit", "2")["versions"]
    ] == [(version + 3, version), (version + 2, None)]
    shown = server.run("policies", "versions").stdout
    assert shown.splitlines()[0].split() == ["version", "since", "changed", "by", "put", "removed", "restores"]


def test_nothing_happens_unless_somebody_says_yes(server: CliServer, folder: Path) -> None:
    (folder / "all.yaml").write_text(FIRST)
    before = server.answer("policy", "list")["version"]
    assert server.run("policy", "apply", str(folder), typed=b"n\n").exit_code == 1
    assert server.run("policy", "apply", str(folder)).exit_code == 1
    assert server.run("policy", "apply", str(folder), "--json").exit_code == 2
    dry = server.run("policy", "apply", str(folder), "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[-1]) == (0, f"Nothing was changed: version {before} is in force.")
    assert server.answer("policy", "apply", str(folder), "--dry-run")["dry_run"] is True
    assert server.run("policy", "rollback", "0", "--dry-run").exit_code == 0
    assert server.answer("policy", "list") == {"policies": [], "count": 0, "version": before}


def test_what_is_in_force_already_is_no_new_version_and_asks_nobody(server: CliServer, folder: Path) -> None:
    (folder / "all.yaml").write_text(FIRST)
    version = server.answer("policy", "apply", str(folder), "--yes")["version"]
    again = server.run("policy", "apply", str(folder))
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [
        "0 added, 0 changed, 0 removed, 2 as they are.",
        f"Version {version} is in force.",
    ]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("- {name: a, type: block_tool, tool: x}\n- name: b\n  type: block_tool\n  tol: x\n", "4:3", "no field 'tol'"),
        ("name: a\ntype: time_window\nstart_hour: 8\n\nend_hour: 88\n", "5:1", "from 0 to 24"),
        ("- name: a\n  type: deny_list\n  tools: [x,\n    y z]\n", "4:5", "No tool can be named"),
        ("type: block_tool\ntool: x\n", "1:1", "needs the field 'name'"),
        ("- {name: a, type: block_tool, tool: x}\n- {type: block_tool, tool: y, name: a}\n", "2:31", "Two policies"),
    ],
)
def test_a_refused_policy_is_shown_by_file_line_and_column(
    server: CliServer, folder: Path, text: str, place: str, said: str
) -> None:
    (folder / "0.yaml").write_text("[]")
    file = folder / "bad.yaml"
    file.write_text(text)
    refused = server.run("policy", "apply", str(folder), "--yes")
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"{file}:{place}: ")
    assert said in refused.stderr
    as_json = server.run("policy", "apply", str(folder), "--yes", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["where"]) == (1, f"{file}:{place}")
    assert listed(server) == {}


def test_a_file_that_cannot_be_read_ends_with_2(server: CliServer, folder: Path) -> None:
    assert server.run("policy", "apply", str(folder / "gone"), "--yes").exit_code == 2
    (folder / "bad.yaml").write_text("a: [")
    refused = server.run("policy", "apply", str(folder), "--yes")
    assert refused.exit_code == 2
    assert f"{folder}/bad.yaml:2:1: the file is not YAML" in refused.stderr


def test_findings_are_shown_as_compilers_show_them(server: CliServer, folder: Path) -> None:
    file = folder / "odd.yaml"
    file.write_text("- {name: a, type: block_tool, tool: never_heard_of}\n")
    odd = server.run("policy", "lint", str(folder))
    said = f"{file}:1:31: warning: No connected upstream is known to have a tool 'never_heard_of'."
    assert (odd.exit_code, odd.stdout.splitlines()) == (0, [said, "1 policies, 1 findings."])
    assert server.run("policy", "lint", str(folder), "--strict").exit_code == 1
    assert server.run("policy", "apply", str(folder), "--dry-run").stderr == f"{said}\n"
    file.write_text("- name: a\n  type: rate_limit\n  max_per_minutes: 5\n- {name: b, type: rule}\n")
    wrong = server.run("policy", "lint", str(folder))
    assert wrong.exit_code == 1
    assert [line.partition(": ")[0] for line in wrong.stdout.splitlines()[:2]] == [f"{file}:3:3", f"{file}:4:3"]
    as_json = json.loads(server.run("policy", "lint", str(folder), "--json").stdout)
    assert (as_json["ok"], [each["where"] for each in as_json["findings"]]) == (False, [f"{file}:3:3", f"{file}:4:3"])
    file.write_text("- {name: a, type: spend_limit, max: 9}\n- type: rate_limit\n  max_per_minute: 5\n")
    nameless = server.run("policy", "lint", str(file))
    assert nameless.exit_code == 0
    assert nameless.stdout.startswith(f"{file}:2:3: warning: To be applied, a policy needs the field 'name'")
    file.write_text("- {name: a, type: spend_limit, max: 5}\n")
    fine = server.run("policy", "lint", str(file))
    assert (fine.exit_code, fine.stdout) == (0, "1 policies, 0 findings.\n")


def test_one_policy_is_added_from_a_file_that_knows_where_it_is_wrong(server: CliServer, folder: Path) -> None:
    file = folder / "one.yaml"
    file.write_text("type: spend_limit\nname: exact\nmax: 12.50\n")
    assert server.answer("policy", "add", "--file", str(file))["policy_id"] == "exact"
    assert listed(server)["exact"]["max"] == 12.5
    file.write_text("type: block_tool\ntool: nobody_has_this\n")
    odd = server.run("policy", "add", "--file", str(file))
    assert (odd.exit_code, odd.stderr.partition(": ")[0]) == (0, f"{file}:2:1")
    assert "warning" in odd.stderr
    assert "warning" in server.run("policy", "add", "block_tool", "tool=nobody_has_this").stderr
    for text, code, said in [
        ("type: block_tool\ntol: x\n", 1, f"{file}:2:1: block_tool has no field 'tol'"),
        ("type: block_tool\nname: exact\ntool: x\n", 4, "exists"),
        ("- {type: block_tool, tool: x}\n- {type: block_tool, tool: y}\n", 2, "states 2 policies"),
        ("type: [", 2, f"{file}:2:1: the file is not YAML"),
    ]:
        file.write_text(text)
        refused = server.run("policy", "add", "--file", str(file))
        assert (refused.exit_code, said in refused.stderr) == (code, True), refused.stderr


def test_of_many_warnings_only_some_stand_beside_a_change(server: CliServer, folder: Path) -> None:
    many = "".join(f"- {{name: n{number}, type: block_tool, tool: nobody_has_{number}}}\n" for number in range(30))
    (folder / "many.yaml").write_text(many)
    told = server.run("policy", "apply", str(folder), "--dry-run").stderr.splitlines()
    assert (len(told), told[-1]) == (21, "… and 10 more: `haldir policy lint` shows all.")
    assert len(server.run("policy", "lint", str(folder)).stdout.splitlines()) == 31


def test_the_log_that_holds_versions_is_decided_again_alike(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(FIRST)
    with CliServer(tmp_path / "data") as server:
        server.answer("policy", "add", "block_tool", "tool=x")
        server.answer("policy", "apply", str(tmp_path / "all.yaml"), "--yes")
        server.answer("policy", "rollback", "1", "--yes")
        assert server.stop() == 0
    checked = haldir("fsck", "--data", str(tmp_path / "data"))
    assert (checked.exit_code, checked.stdout.split(",")[0]) == (0, "fsck: ok")


def test_the_schema_is_printed_for_an_editor(server: CliServer) -> None:
    assert json.loads(server.run("policy", "schema").stdout) == policy_schema()


def test_no_version_there_is_not_is_brought_back(server: CliServer) -> None:
    refused = server.run("policy", "rollback", "1000000", "--yes")
    assert (refused.exit_code, "not_found" in refused.stderr) == (4, True)
