"""The command line against a real server."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from haldir.faces.cli.main import root
from harness.commands import CliServer, haldir

ESCAPE = "\x1b[2J"
LIFE_SECONDS = 3600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    shop = f"shop={sys.executable} -m haldir.faces.cli.demo.bookshop"
    with CliServer(tmp_path_factory.mktemp("cli") / "data", "--upstream", shop) as server:
        yield server


def leaves(command: click.Command, name: str = "haldir") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        assert found is not None
        yield from leaves(found, f"{name} {inner}")


def test_every_command_is_documented_and_can_print_json() -> None:
    for name, command in leaves(root):
        assert command.help, name
        if name == "haldir mcp serve":  # It speaks MCP.
            continue
        assert "--json" in [option for parameter in command.params for option in parameter.opts], name


def test_an_agent_is_made_listed_and_revoked_and_its_key_is_printed_once(server: CliServer) -> None:
    made = server.run("agent", "create", "coder", "--scopes", "execute:shop,read", "--budget", "2.50", "--ttl", "8h")
    assert made.exit_code == 0
    assert made.stdout.startswith("hla_")
    assert made.stdout.count("\n") == 1
    (agent,) = [each for each in server.answer("agent", "list")["agents"] if each["name"] == "coder"]
    assert (agent["spend_limit"], agent["ttl"], agent["revoked"]) == (2.5, 8 * LIFE_SECONDS, False)
    assert {"execute:shop", "read"} <= set(agent["scopes"])
    assert made.stdout.strip() not in server.run("agent", "list").stdout
    assert server.run("agent", "revoke", "coder").exit_code == 0
    again = server.run("agent", "revoke", "coder")
    assert (again.exit_code, "agent_not_found" in again.stderr) == (4, True)


def test_how_held_calls_come_back_is_said_with_a_key_or_an_agent_or_later(server: CliServer) -> None:
    key = server.run("key", "create", "--name", "ci", "--held", "stream").stdout.strip()
    (shown,) = [each for each in server.answer("key", "list")["keys"] if each["prefix"] == key[:12]]
    assert shown["held"] == "stream"
    assert "come back as plain" in server.run("key", "held", key[:12], "plain").stdout
    (line,) = [line for line in server.run("key", "list").stdout.splitlines() if key[:12] in line]
    assert line.split()[-1] == "plain"
    assert server.run("agent", "create", "asker", "--held", "input").exit_code == 0
    (agent,) = [each for each in server.answer("agent", "list")["agents"] if each["name"] == "asker"]
    assert agent["held"] == "input"
    assert "come back as auto" in server.run("agent", "held", "asker", "auto").stdout
    assert server.run("agent", "held", "nobody", "auto").exit_code == 4
    assert server.run("agent", "held", "asker", "loud").exit_code == 2


def test_a_session_can_be_opened_shown_and_revoked(server: CliServer) -> None:
    opened = server.answer("session", "create", "runner", "--budget", "0.000001", "--ttl", "15m")
    assert opened["token"].startswith("hst_")
    shown = server.answer("session", "show", opened["session_id"])
    assert (shown["spend_limit"], shown["spent"], shown["remaining_budget"]) == (0.000001, 0, 0.000001)
    assert opened["session_id"] in server.run("session", "list", "--agent", "runner").stdout
    assert server.run("session", "revoke", opened["session_id"]).exit_code == 0
    assert server.run("session", "show", opened["session_id"]).exit_code == 4


def test_a_payment_is_authorized_captured_and_voided(server: CliServer) -> None:
    session = server.answer("session", "create", "buyer", "--budget", "10")["session_id"]
    made = server.answer("pay", "authorize", session, "6.50", "--description", "shoes", "--reserve")
    assert (made["state"], made["remaining_budget"]) == ("reserved", 3.5)
    payment = made["authorization_id"]
    assert "4.00 spent" in server.run("pay", "capture", payment, "--amount", "4").stdout
    again = server.run("pay", "void", payment)
    assert (again.exit_code, "payment_not_open" in again.stderr) == (4, True)
    assert server.answer("pay", "show", payment)["description"] == "shoes"
    spent = server.run("pay", "authorize", session, "1")
    assert (spent.exit_code, "posted" in spent.stdout, "5.00" in spent.stdout) == (0, True, True)
    other = server.answer("pay", "authorize", session, "2", "--reserve")["authorization_id"]
    assert server.answer("pay", "void", other)["state"] == "voided"
    listed = server.answer("pay", "list", "--session", session)["payments"]
    assert [each["state"] for each in listed] == ["voided", "posted", "posted"]
    assert "shoes" in server.run("pay", "list", "--session", session, "--state", "posted").stdout


def test_a_payment_is_held_by_a_rule_approved_and_paid_once(server: CliServer) -> None:
    session = server.answer("session", "create", "holder", "--budget", "1000")["session_id"]
    rule = server.run("approvals", "rules", "add", "spend_over", "--threshold", "100").stdout.strip()
    assert rule in server.run("approvals", "rules", "list").stdout
    held = server.run("pay", "authorize", session, "120", "--description", "a chair")
    assert (held.exit_code, "approval_required" in held.stderr) == (4, True)
    (waiting,) = server.answer("approvals", "list", "--agent", "holder")["requests"]
    assert waiting["request_id"] in server.run("approvals", "list").stdout
    assert "a chair" in server.run("approvals", "show", waiting["request_id"]).stdout
    assert "is given" in server.run("approvals", "approve", waiting["request_id"], "--note", "fine").stdout
    assert server.run("pay", "authorize", session, "120", "--description", "a chair").exit_code == 0
    assert server.run("pay", "authorize", session, "120", "--description", "a chair").exit_code == 4
    assert server.run("approvals", "rules", "remove", rule).exit_code == 0
    assert server.answer("approvals", "rules", "list")["count"] == 0


def test_a_person_is_asked_and_answers(server: CliServer) -> None:
    session = server.answer("session", "create", "asker")["session_id"]
    asked = (
        "approvals",
        "request",
        session,
        "deploy",
        "--reason",
        "it is friday",
        "--detail",
        "build=7",
        "--ttl",
        "15m",
    )
    approval = server.run(*asked).stdout.strip()
    shown = server.answer("approvals", "show", approval, "--wait", "0")
    assert (shown["action"], shown["reason"], shown["details"]) == ("deploy", "it is friday", {"build": 7})
    assert server.run("approvals", "deny", approval, "--note", "that is why").exit_code == 0
    assert server.answer("approvals", "show", approval)["decision_note"] == "that is why"
    assert server.run("approvals", "approve", approval).exit_code == 4
    assert "on" in server.run("approvals", "four-eyes", "on").stdout
    assert server.answer("approvals", "four-eyes", "off")["four_eyes"] is False


def test_what_an_agent_calls_itself_cannot_steer_the_terminal(server: CliServer) -> None:
    server.answer("session", "create", f"evil{ESCAPE}")
    for command in (("session", "list"), ("audit", "tail", "--all")):
        shown = server.run(*command).stdout
        assert ESCAPE not in shown
        assert "evil\\x1b[2J" in shown


def test_a_narrow_key_does_only_what_it_may(server: CliServer, tmp_path: Path) -> None:
    made = server.run("key", "create", "--name", "auditor", "--scopes", "audit:read")
    key_file = tmp_path / "key"
    key_file.write_text(made.stdout)
    auditing = server.run("audit", "verify", "--key-file", str(key_file))
    refused = server.run("agent", "create", "x", "--key-file", str(key_file), "--json")
    assert auditing.exit_code == 0
    assert refused.exit_code == 4
    assert json.loads(refused.stderr)["code"] == "insufficient_scope"
    prefix = made.stdout[:12]
    assert prefix in server.run("key", "list").stdout
    assert server.run("key", "revoke", prefix).exit_code == 0
    assert server.run("audit", "verify", "--key-file", str(key_file)).exit_code == 4


@pytest.mark.parametrize(
    ("members", "definition"),
    [
        (("block_tool", "tool=7"), {"error": "invalid_policy"}),
        (("block_tool", "tool=x"), {"type": "block_tool", "tool": "x"}),
        (("deny_list", "tools=x"), {"type": "deny_list", "tools": ["x"]}),
        (("deny_list", "tools=x,bank.y"), {"type": "deny_list", "tools": ["x", "bank.y"]}),
        (("spend_limit", "max=0.25"), {"type": "spend_limit", "max": 0.25}),
        (
            ("rate_limit", "max_per_minute=30", "per=agent"),
            {"type": "rate_limit", "max_per_minute": 30, "per": "agent"},
        ),
        (("require_approval", "agents=a,b"), {"type": "require_approval", "agents": ["a", "b"]}),
        (("rate_limit", "max_per_minutes=30"), {"error": "invalid_policy"}),
        (("nonsense",), {"error": "invalid_policy"}),
    ],
)
def test_policies_are_given_as_words(
    server: CliServer, members: tuple[str, ...], definition: dict[str, object]
) -> None:
    added = server.run("policy", "add", *members, "--json")
    if error := definition.get("error"):
        assert (added.exit_code, json.loads(added.stderr)["code"]) == (4, error)
        return
    policy_id = json.loads(added.stdout)["policy_id"]
    (listed,) = [each for each in server.answer("policy", "list")["policies"] if each["policy_id"] == policy_id]
    assert {name: listed[name] for name in definition} == definition
    assert server.run("policy", "remove", policy_id).exit_code == 0
    assert server.run("policy", "remove", policy_id).exit_code == 4


def test_what_a_shadow_would_have_done_stands_beneath_the_call_in_the_audit_trail(
    server: CliServer, tmp_path: Path
) -> None:
    (tmp_path / "asked.json").write_text('{"query": "trees"}')
    added = server.answer("policy", "add", "block_tool", "tool=find_books", "mode=shadow")
    opened = server.answer("session", "create", "shadowed", "--scopes", "execute:shop")
    asked = (
        "call",
        "tool",
        "shop.find_books",
        "--arguments",
        str(tmp_path / "asked.json"),
        "--session",
        opened["session_id"],
    )
    assert server.run(*asked).exit_code == 0
    trail = server.run("audit", "query", "--session", opened["session_id"]).stdout
    assert f"In shadow mode: Policy {added['policy_id']} (block_tool) blocks the tool 'find_books'." in trail
    assert server.run("policy", "remove", added["policy_id"]).exit_code == 0


def test_a_policy_may_come_from_a_file(server: CliServer, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"type": "allow_list", "tools": ["x"]}')
    assert server.run("policy", "add", "--file", str(file)).exit_code == 0
    (policy,) = server.answer("policy", "list")["policies"]
    server.answer("policy", "remove", policy["policy_id"])
    file.write_text("[]")
    assert server.run("policy", "add", "--file", str(file)).exit_code == 2
    assert server.run("policy", "add").exit_code == 2


def test_upstreams_and_the_scopes_of_their_tools_are_listed(server: CliServer) -> None:
    assert server.answer("upstream", "list")["upstreams"]["shop"]["operator"] is True
    tools = {tool["name"]: tool["scope"] for tool in server.answer("upstream", "tools")["tools"]}
    assert tools["find_books"] == "execute:shop:find_books"
    assert "execute:shop:refund" in server.run("upstream", "tools").stdout


def test_an_upstream_on_a_private_address_is_not_for_callers_to_add(server: CliServer) -> None:
    assert server.run("upstream", "add", "inside", "http://127.0.0.1:9/mcp").exit_code == 4
    assert server.run("upstream", "remove", "shop").exit_code == 4


def test_the_log_is_shown_oldest_first_and_verifies(server: CliServer) -> None:
    server.answer("session", "create", "logged")
    lines = [
        json.loads(line)
        for line in server.run("audit", "tail", "--all", "--limit", "1000", "--json").stdout.splitlines()
    ]
    assert [line["entry_id"] for line in lines] == sorted(line["entry_id"] for line in lines)
    assert lines[0]["kind"] == "tenant.create"
    assert server.run("audit", "tail", "--all", "--limit", "0").stdout == ""
    assert server.answer("audit", "verify")["verified"] is True
    assert server.run("audit", "verify").stdout.startswith("verify: ok, ")


def test_the_log_is_searched_by_what_its_entries_say(server: CliServer) -> None:
    opened = server.answer("session", "create", "searched")
    server.run("pay", "authorize", opened["session_id"], "3")
    lines = server.run("audit", "query", "--refused", "--agent", "searched", "--json").stdout.splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["spend_not_allowed"]
    assert server.run("audit", "query", "--session", opened["session_id"]).stdout == ""
    everything = server.run("audit", "query", "--session", opened["session_id"], "--all", "--limit", "1")
    assert "refused spend_not_allowed" in everything.stdout
    assert everything.stdout.count("\n") == 1
    assert server.run("audit", "query", "--all", "--until", "2020-01-01").stdout == ""
    assert server.run("audit", "query", "--since", "yesterday").exit_code == 4


def test_the_log_is_exported_to_a_file_or_to_whoever_reads_on(server: CliServer, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    told = server.answer("audit", "export", "--all", "--output", str(file))
    assert told == {"file": str(file), "bytes": file.stat().st_size}
    manifest = json.loads(file.read_text().splitlines()[-1])
    assert manifest == server.answer("audit", "export", "--all", "--manifest")
    table = server.run("audit", "export", "--format", "csv", "--all").stdout
    assert table.startswith("entry_id,timestamp,")
    assert server.run("audit", "export", "--since", "x", "--output", str(tmp_path / "none")).exit_code == 4
    assert not list(tmp_path.glob("none*"))


def test_evidence_is_written_as_json_and_as_markdown(server: CliServer, tmp_path: Path) -> None:
    pack = json.loads(server.run("audit", "evidence").stdout)
    assert (pack["audit"]["verified"], pack["period"]["since"][:4]) == (True, "1970")
    file = tmp_path / "evidence.md"
    assert server.run("audit", "evidence", "--markdown", "-o", str(file)).exit_code == 0
    assert file.read_text().startswith("# Evidence for tenant ")
    assert server.run("audit", "evidence", "--until", "2999-01-01").exit_code == 4
    assert "log_signed" in server.run("audit", "score").stdout


def test_what_actions_cost_is_told_by_tool(server: CliServer) -> None:
    assert server.answer("audit", "spend", "--agent", "nobody")["action_count"] == 0
    assert "all 0 actions" in server.run("audit", "spend", "--session", "ses_x").stdout


def test_proofs_and_the_signed_head_are_there_to_be_kept(server: CliServer, tmp_path: Path) -> None:
    head = server.answer("audit", "tree-head")
    kept = server.run("audit", "tree-head", "--checkpoint").stdout
    assert kept.startswith(head["verifier_key"].partition("+")[0])
    entry = f"aud_{0:022d}"
    proof = server.answer("audit", "prove", entry)
    assert (proof["leaf_index"], len(proof["audit_path"]) > 0) == (0, True)
    printed = server.run("audit", "prove", entry).stdout
    assert printed.startswith("c2sp.org/tlog-proof@v1\n")
    file = tmp_path / "entry.tlog-proof"
    assert server.answer("audit", "prove", entry, "--output", str(file)) == {
        "file": str(file),
        "bytes": len(printed.encode()),
    }
    assert file.read_text().splitlines()[:3] == printed.splitlines()[:3]
    assert server.run("audit", "prove", "aud_1").exit_code == 4
    grown = server.answer("audit", "consistency", "1", "2")
    assert (grown["first_size"], grown["second_size"]) == (1, 2)
    assert server.run("audit", "consistency", "0").exit_code == 4


def test_following_the_log_prints_what_is_added(server: CliServer) -> None:
    command = (
        sys.executable,
        "-u",
        "-m",
        "haldir",
        "audit",
        "tail",
        "--follow",
        "--all",
        "--limit",
        "1",
        "--json",
        "--data",
        str(server.data),
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        opened = server.answer("session", "create", "followed")
        second = json.loads(following.stdout.readline())
        following.terminate()
    assert second["entry_id"] > first["entry_id"]
    assert (second["kind"], second["session_id"]) == ("session.create", opened["session_id"])


def test_calls_that_need_a_person_are_listed_and_unknown_ones_said_to_be(server: CliServer) -> None:
    assert server.answer("call", "list")["calls"] == []
    assert server.run("call", "show", "call_x").exit_code == 4
    assert server.run("call", "resolve", "call_x", "void").exit_code == 4
    assert server.run("call", "resolve", "call_x", "maybe").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("agent", "create", "x", "--budget", "-1"),
        ("agent", "create", "x", "--budget", "NaN"),
        ("agent", "create", "x", "--budget", "1e999999999"),
        ("agent", "create", "x", "--budget", "9999999999999.999999"),
        ("agent", "create", "x", "--ttl", "1.5h"),
        ("agent", "create", "x", "--ttl", "-1"),
        ("agent", "create"),
        ("agents",),
        ("session", "list", "--limit", "0"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_asked(
    server: CliServer, arguments: tuple[str, ...]
) -> None:
    assert server.run(*arguments).exit_code == 2


def test_nobody_at_the_address_is_told_apart_from_a_refusal(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("hld_x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    result = haldir("agent", "list", "--url", f"http://127.0.0.1:{port}", "--key-file", str(key_file))
    assert result.exit_code == 3
    assert result.stderr.startswith("haldir: unreachable: ")
    assert haldir("agent", "list", "--url", "ftp://x", "--key-file", str(key_file)).exit_code == 2


def test_commands_find_the_server_in_the_default_folder_or_the_environment(server: CliServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "haldir").symlink_to(server.data)
    key = (server.data / "admin.key").read_text().strip()
    assert haldir("agent", "list", env={"XDG_DATA_HOME": str(home)}).exit_code == 0
    assert haldir("agent", "list", env={"XDG_DATA_HOME": str(tmp_path)}).exit_code == 2
    assert haldir("agent", "list", env={"HALDIR_BASE_URL": server.url, "HALDIR_API_KEY": key}).exit_code == 0


def test_the_key_of_the_default_folder_is_not_shown_to_another_address(server: CliServer, tmp_path: Path) -> None:
    (tmp_path / "haldir").symlink_to(server.data)
    result = haldir("agent", "list", "--url", server.url, env={"XDG_DATA_HOME": str(tmp_path)})
    assert result.exit_code == 2
    assert "--key-file" in result.stderr


def test_a_setting_nobody_knows_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "haldir.toml").write_text("allow_privat = true\n")
    refused = CliServer(tmp_path)
    assert refused.code == 2
    assert "allow_privat " in json.loads(refused.stderr())["error"]


def test_what_a_server_has_to_say_goes_to_standard_error_as_json(tmp_path: Path) -> None:
    with CliServer(tmp_path / "data") as server:
        (server.data / "checkpoint").rename(server.data / "moved")
        (server.data / "checkpoint").mkdir()
        server.answer("session", "create", "x")
        assert server.stop() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == b""
        events = [json.loads(line) for line in server.stderr().splitlines()]
    assert ("error", "checkpoint_not_kept") in {(event["level"], event["event"]) for event in events}


@pytest.mark.parametrize("command", [("audit", "tail", "--all", "--limit", "1000"), ("session", "list")])
def test_a_command_whose_output_nobody_reads_on_ends_quietly(server: CliServer, command: tuple[str, ...]) -> None:
    server.answer("session", "create", "much")
    reader, writer = os.pipe()
    os.close(reader)
    arguments = (sys.executable, "-m", "haldir", *command, "--data", str(server.data))
    ended = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_database_that_is_not_postgresql_is_a_wrong_setting_and_its_password_is_not_repeated(tmp_path: Path) -> None:
    refused = CliServer(tmp_path / "data", "--database-url", "mysql://u:secret@h/d")
    assert refused.code == 2
    said = json.loads(refused.stderr())
    assert said["code"] == "settings_invalid"
    assert "postgresql://" in said["error"]
    assert "secret" not in said["error"]


def test_the_list_of_upstreams_says_why_one_is_not_healthy(tmp_path: Path) -> None:
    with CliServer(tmp_path / "data", "--upstream", "gone=http://127.0.0.1:9/mcp") as server:
        server.answer("upstream", "tools")
        error = server.answer("upstream", "list")["upstreams"]["gone"]["error"]
        assert error
        assert error in server.run("upstream", "list").stdout
