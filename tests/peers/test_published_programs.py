"""The programs that came with the published client 0.4.2: its command line, and its MCP server for pipes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.haldir import Haldir
from harness.threads import running_haldir
from outside.places import OLD_PYTHON, PUBLISHED
from peers.published import PROGRAM_SECONDS_MAX, command, environment
from upstreams import sample
from upstreams.serving import serving

OLD_CLIENT = Path(__file__).parent / "old_client.py"


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with running_haldir(tmp_path_factory.mktemp("data"), allow_private=True) as running:
        yield running


@pytest.fixture
def session(haldir: Haldir) -> str:
    session: str = haldir.session("read", "spend", "execute", spend_limit=20)["session_id"]
    return session


def test_its_commands_about_sessions_secrets_and_payments(haldir: Haldir, tmp_path: Path) -> None:
    opened = said(haldir, tmp_path, "session", "create", "--agent", "cli", "--scopes", "read,spend", "--budget", "20")
    session = next(word for word in opened.split() if word.startswith("ses_"))
    said(haldir, tmp_path, "secret", "store", "CLI", "kept")
    assert "kept" in said(haldir, tmp_path, "secret", "get", "CLI", "--session", session)
    assert "CLI" in said(haldir, tmp_path, "secret", "list")
    said(haldir, tmp_path, "secret", "delete", "CLI")
    said(haldir, tmp_path, "session", "check", session, "--scope", "read")
    said(haldir, tmp_path, "pay", "authorize", session, "2.5")
    assert "There is no secret 'CLI'" in failed(haldir, tmp_path, "secret", "get", "CLI", "--session", session)
    assert "has 17.50 left" in failed(haldir, tmp_path, "pay", "authorize", session, "100")
    assert "$17.50" in said(haldir, tmp_path, "session", "get", session)
    said(haldir, tmp_path, "session", "revoke", session)
    failed(haldir, tmp_path, "session", "get", session)


def test_its_commands_about_the_log(haldir: Haldir, tmp_path: Path, session: str) -> None:
    details = ("--tool", "browser", "--action", "look", "--cost", "0.25", "--details", '{"page": 1}')
    logged = said(haldir, tmp_path, "audit", "log", session, *details)
    entry = next(word for word in logged.split() if word.startswith("aud_"))
    proof = tmp_path / "proof.json"
    assert "browser" in said(haldir, tmp_path, "audit", "trail", "--session", session)
    assert "0.25" in said(haldir, tmp_path, "audit", "spend", "--session", session)
    said(haldir, tmp_path, "audit", "prove", entry, "--out", str(proof))
    said(haldir, tmp_path, "audit", "verify-proof", str(proof))
    proof.write_text(json.dumps(json.loads(proof.read_text()) | {"leaf_hash": "00" * 32}), encoding="utf-8")
    failed(haldir, tmp_path, "audit", "verify-proof", str(proof))
    size = json.loads(said(haldir, tmp_path, "audit", "tree-head", "--json"))["tree_size"]
    said(haldir, tmp_path, "audit", "consistency", "1", str(size))
    assert json.loads(said(haldir, tmp_path, "audit", "verify", "--json"))["verified"] is True
    rows = said(haldir, tmp_path, "audit", "export", "--session", session).splitlines()
    assert [json.loads(row).get("entry_id") for row in rows] == [entry, None]
    assert entry in said(haldir, tmp_path, "audit", "export", "--format", "csv")


def test_its_commands_about_tools(haldir: Haldir, tmp_path: Path, session: str) -> None:
    with serving(sample.app(json_response=True)) as url:
        # Its `proxy register` takes the upstream's address for Haldir's.
        assert haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})["healthy"]
        assert "echo" in said(haldir, tmp_path, "proxy", "tools")
        call = ("proxy", "call", "echo", "--args", '{"text": "mellon"}', "--session", session)
        assert "mellon" in said(haldir, tmp_path, *call)
        said(haldir, tmp_path, "proxy", "policy", "add", "--type", "block_tool", "--tool", "echo")
        assert "mellon" not in command(haldir, tmp_path, *call).stdout


def test_its_commands_about_keys_webhooks_and_health(haldir: Haldir, tmp_path: Path) -> None:
    made = said(haldir, tmp_path, "keys", "create", "--name", "from-cli", "--scopes", "audit:read")
    prefix = next(word for word in made.split() if word.startswith("hld_"))[:12]
    assert prefix in said(haldir, tmp_path, "keys", "list")
    said(haldir, tmp_path, "keys", "revoke", prefix, "--yes")
    webhook = str(haldir.rest("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/in"})["webhook_id"])
    assert "whsec_" in said(haldir, tmp_path, "webhooks", "rotate", webhook, "--grace-seconds", "60")
    said(haldir, tmp_path, "webhooks", "deliveries")
    assert json.loads(said(haldir, tmp_path, "status", "--json"))["status"] == "ok"
    assert json.loads(said(haldir, tmp_path, "ready", "--json"))["ready"] is True
    assert "total_sessions" in said(haldir, tmp_path, "metrics")
    evidence = said(haldir, tmp_path, "compliance", "evidence", "--format", "json")
    assert json.loads(evidence)["audit"]["verified"] is True


@pytest.mark.parametrize("program", [["haldir-mcp"], ["haldir", "mcp", "serve"]], ids=" ".join)
def test_its_mcp_server_does_all_its_tools_with_ours_behind(haldir: Haldir, session: str, program: list[str]) -> None:
    entry = haldir.rest("POST", "/v1/audit", {"session_id": session, "action": "look"})["entry_id"]
    approval = haldir.rest("POST", "/v1/approvals/request", {"session_id": session, "action": "deploy"})["request_id"]
    calls: dict[str, tuple[dict[str, Any], str]] = {  # What is given, and what the answer must have.
        "create_session": ({"agent_id": "piped", "scopes": ["read"], "spend_limit": 5}, "session_id"),
        "get_session": ({"session_id": session}, "remaining_budget"),
        "check_permission": ({"session_id": session, "scope": "read"}, "allowed"),
        "store_secret": ({"name": "PIPED", "value": "kept"}, "stored"),
        "get_secret": ({"name": "PIPED", "session_id": session}, "value"),
        "list_secrets": ({}, "secrets"),
        "log_audit_action": ({"session_id": session, "tool": "t", "action": "a", "details": {"x": 1}}, "entry_id"),
        "query_audit_trail": ({"session_id": session, "flagged": False, "limit": 5}, "entries"),
        "get_spend": ({"session_id": session}, "total_usd"),
        "verify_audit_chain": ({}, "verified"),
        "get_tree_head": ({}, "root_hash"),
        "get_inclusion_proof": ({"entry_id": entry}, "audit_path"),
        "get_consistency_proof": ({"first": 1, "second": 2}, "consistency_path"),
        "request_approval": ({"session_id": session, "action": "a", "reason": "r", "ttl": 60}, "request_id"),
        "get_approval_status": ({"request_id": approval}, "status"),
        "compliance_score": ({}, "score"),
        "build_evidence_pack": ({}, "signature"),
        "authorize_payment": ({"session_id": session, "amount": 2.5}, "authorization_id"),
        "revoke_session": ({"session_id": session}, "revoked"),
    }
    steps = [["call_tool", f"haldir_{name}", arguments] for name, (arguments, _) in calls.items()]
    tools, *answers = ask(haldir, program, [["list_tools"], *steps])
    assert {tool["name"] for tool in tools["tools"]} == {f"haldir_{name}" for name in calls}
    missing = {
        name: text(answer)
        for (name, (_, member)), answer in zip(calls.items(), answers, strict=True)
        if f'"{member}"' not in text(answer)
    }
    assert missing == {}


def test_what_its_mcp_server_asked_for_the_same_key_may_approve(haldir: Haldir, session: str) -> None:
    program = ["haldir-mcp"]
    asked = {"session_id": session, "action": "deploy", "reason": "it is Friday", "ttl": 60}
    [made] = ask(haldir, program, [["call_tool", "haldir_request_approval", asked]])
    approval = json.loads(text(made))["request_id"]
    look = ["call_tool", "haldir_get_approval_status", {"request_id": approval}]
    [before] = ask(haldir, program, [look])
    haldir.rest("POST", f"/v1/approvals/{approval}/approve")
    [after] = ask(haldir, program, [look])
    assert [json.loads(text(each))["status"] for each in (before, after)] == ["pending", "approved"]


def said(haldir: Haldir, home: Path, *arguments: str) -> str:
    """Run a command that must succeed; return what it said."""
    ended = command(haldir, home, *arguments)
    assert ended.returncode == 0, (arguments, ended.stdout, ended.stderr)
    return ended.stdout


def failed(haldir: Haldir, home: Path, *arguments: str) -> str:
    """Run a command that must fail; return what it said."""
    ended = command(haldir, home, *arguments)
    assert ended.returncode != 0, (arguments, ended.stdout)
    return ended.stdout + ended.stderr


def ask(haldir: Haldir, program: list[str], steps: list[Any]) -> list[Any]:
    server = {"command": str(PUBLISHED / program[0]), "args": program[1:], "env": environment(haldir)}
    ended = subprocess.run(
        [OLD_PYTHON, OLD_CLIENT],
        input=json.dumps({**server, "steps": steps}),
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results: list[Any] = json.loads(ended.stdout)
    return results


def text(result: Any) -> str:
    said: str = result["content"][0]["text"]
    return said
