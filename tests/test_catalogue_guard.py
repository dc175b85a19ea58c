"""What must hold of every public verb, whichever it is: made from the catalogue, so that no new one escapes.

Least privilege, isolation of tenants, and reachability by REST, SDK and command line.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import haldir.faces.cli
from haldir.gate.scopes import ACTIONS, RESOURCES, key_covers
from haldir.kernel.scopes import ALL
from haldir.operations.catalogue import Operation
from haldir.operations.everything import OPERATIONS
from haldir.operations.wire import WholeBody
from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from upstreams import sample
from upstreams.serving import serving

BRACED = re.compile(r"\{\w+\}")

# A fit value for every input that must be given, by operation and field or by field alone.
SAMPLES: dict[str, Any] = {
    "action": "looked",
    "agent_id": "agent",
    "amount": 1,
    "arguments": {},
    "delivery_id": "dlv_none",
    "entry_id": "aud_0000000000000000000000",
    "event": "session_revoked",
    "first": 1,
    "four_eyes": False,
    "period": "2026-01",
    "scope": "read",
    "sha256": "0" * 64,
    "state": "voided",
    "url": "http://127.0.0.1:9/mcp",
    "value": "v",
    "replay_events.since": 0,
    "replay_policies.since": 0,
    "request_approval.session_id": "",
    "create_agent.name": "new-agent",
    "held": "plain",
    "create_key.name": "new-key",
    "register_webhook.name": "new",
    "add_upstream.name": "new",
    "store_secret.name": "new-secret",
    "policies": [],
    "version": 0,
    "add_policy.body": {"type": "block_tool", "tool": "none"},
    "add_anomaly_rule.body": {"type": "first_use"},
    "add_approval_rule.type": "all",
}
METHODS = {"get": "GET", "post": "POST", "delete": "DELETE", "put": "PUT", "download": "GET"}
# Optional inputs that name a thing, which a stranger might name too.
NAMING = frozenset({"session_id", "parent_session_id", "agent_id", "webhook_id"})


class Tenant(msgspec.Struct):
    """A tenant with one thing of each kind, by the operation's field that names it."""

    key: str
    things: dict[str, Any]


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    with serving(sample.app(json_response=True)) as url:
        yield f"{url}/mcp"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn, allow_private=True) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def alice(server: Haldir, upstream_url: str) -> Tenant:
    return settled(server, upstream_url)


@pytest.fixture(scope="module")
def bob(server: Haldir) -> Tenant:
    key = server.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    return Tenant(key, {"session_id": opened(server, key, "bobs")})


def opened(server: Haldir, key: str, agent: str) -> str:
    body = {"agent_id": agent, "scopes": ["read", "execute", "spend"], "spend_limit": 100}
    session: str = server.post("/v1/sessions", body, key=key).body["session_id"]
    return session


def settled(server: Haldir, upstream_url: str) -> Tenant:
    """Make a tenant that has one of everything."""
    key = server.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]

    def post(path: str, body: Mapping[str, Any]) -> Any:
        answer = server.post(path, dict(body), key=key)
        assert answer.status < 300, (path, answer)
        return answer.body

    session = opened(server, key, "owner")
    post("/v1/agents", {"name": "alices"})
    post("/v1/secrets", {"name": "alices", "value": "very secret"})
    post("/v1/proxy/upstreams", {"name": "alices", "url": upstream_url})
    post("/v1/proxy/call", {"tool": "alices.echo", "arguments": {"text": "x"}, "session_id": session})
    reserved = post("/v1/payments/authorize", {"session_id": session, "amount": 1, "capture": False})
    approval = post("/v1/approvals/request", {"session_id": session, "action": "deploy"})
    approval_rule = post("/v1/approvals/rules", {"type": "spend_over", "threshold": 90})
    return Tenant(
        key,
        {
            "session_id": session,
            "parent_session_id": session,
            "agent_id": "owner",
            "prefix": post("/v1/keys", {"scopes": ["audit:read"]})["prefix"],
            "name": "alices",
            "tool": "echo",
            "authorization_id": reserved["authorization_id"],
            "request_id": approval["request_id"],
            "remove_approval_rule.rule_id": approval_rule["rule_id"],
            "remove_anomaly_rule.rule_id": post("/v1/anomalies/rules", {"type": "first_use"})["rule_id"],
            "get_policy_version.version": 1,
            "roll_back_policies.version": 1,
            "policy_id": post("/v1/proxy/policies", {"type": "block_tool", "tool": "x"})["policy_id"],
            "call_id": server.get("/v1/calls?state=posted", key=key).body["calls"][0]["call_id"],
            "webhook_id": post("/v1/webhooks", {"url": "http://127.0.0.1:9/hook"})["webhook_id"],
        },
    )


def value_of(operation: Operation, field: str, things: Mapping[str, Any]) -> Any:
    for names in (things, SAMPLES):
        for name in (f"{operation.name}.{field}", field):
            if name in names:
                return names[name]
    raise AssertionError(f"a sample is missing for {operation.name}.{field}")


def ask(server: Haldir, operation: Operation, key: str, things: Mapping[str, Any]) -> Answer:
    """Ask for an operation with fit inputs; those that name things are taken from `things`."""
    inputs = {
        field.encode_name: value_of(operation, field.encode_name, things)
        for field in msgspec.structs.fields(operation.request)
        if field.required
        or field.encode_name in NAMING & things.keys()
        or f"{operation.name}.{field.encode_name}" in SAMPLES
    }
    path = BRACED.sub(lambda match: str(inputs.pop(match[0][1:-1])), operation.path)
    if operation.has_body:
        body = inputs["body"] if issubclass(operation.request, WholeBody) else inputs
        return server.ask(operation.method, path, body, key=key)
    query = "&".join(f"{name}={value}" for name, value in inputs.items())
    return server.ask(operation.method, f"{path}?{query}", key=key)


def all_but(scope: str) -> list[str]:
    """Return the broadest key scopes that do not cover this one."""
    every = [f"{resource}:{action}" for resource in sorted(RESOURCES) for action in sorted(ACTIONS - {ALL})]
    return [each for each in every if not key_covers([each], scope)]


def test_a_key_without_the_scope_is_refused_and_an_entry_says_so(server: Haldir, alice: Tenant) -> None:
    for operation in OPERATIONS:
        if operation.scope is None:
            continue
        weak = server.post("/v1/keys", {"scopes": all_but(operation.scope)}, key=alice.key).body
        answer = ask(server, operation, weak["key"], alice.things)
        told = (operation.name, answer.status, answer.body.get("code"), answer.body.get("required"))
        assert told == (operation.name, 403, "insufficient_scope", operation.scope)
        newest = server.get("/v1/audit?kind=refusal.record&limit=1", key=alice.key).body["entries"][0]
        asked = (newest["code"], newest["details"]["operation"], newest["details"]["asked_by"]["id"])
        assert asked == ("insufficient_scope", operation.name, weak["prefix"])


def test_a_session_asks_only_for_what_a_session_may(server: Haldir, alice: Tenant) -> None:
    token = server.post("/v1/sessions", {"agent_id": "own", "scopes": ["*"]}, key=alice.key).body["token"]
    for operation in OPERATIONS:
        if not operation.session and not operation.anonymous:
            answer = ask(server, operation, token, alice.things)
            assert (operation.name, answer.status) == (operation.name, 403)


def test_nobody_without_a_credential_is_answered(server: Haldir, alice: Tenant) -> None:
    for operation in OPERATIONS:
        if not operation.anonymous:
            answer = ask(server, operation, "hld_" + "x" * 43, alice.things)
            assert (operation.name, answer.status) == (operation.name, 401)


def test_another_tenants_things_are_as_if_they_did_not_exist(server: Haldir, alice: Tenant, bob: Tenant) -> None:
    for operation in OPERATIONS:
        named = named_things(operation, alice)
        if not named:
            continue
        size = server.get("/v1/audit/tree-head", key=alice.key).body["tree_size"]
        nothing = {name: unlike(value) for name, value in named.items()}
        foreign = ask(server, operation, bob.key, {**bob.things, **named})
        unknown = ask(server, operation, bob.key, {**bob.things, **nothing})
        assert (operation.name, comparable(foreign, named)) == (operation.name, comparable(unknown, nothing))
        assert "very secret" not in foreign.raw.decode()
        assert server.get("/v1/audit/tree-head", key=alice.key).body["tree_size"] == size, operation.name


def test_an_entrys_number_names_an_entry_of_ones_own_log(server: Haldir, alice: Tenant, bob: Tenant) -> None:
    entry = "aud_0000000000000000000001"
    proofs = [server.get(f"/v1/audit/inclusion-proof/{entry}", key=key).body for key in (alice.key, bob.key)]
    assert proofs[0]["leaf_hash"] != proofs[1]["leaf_hash"]
    assert not {*proofs[0]["audit_path"]} & {*proofs[1]["audit_path"]}


def named_things(operation: Operation, tenant: Tenant) -> dict[str, Any]:
    """Return what the tenant has that this operation can name."""
    fields = [field.encode_name for field in msgspec.structs.fields(operation.request)]
    keyed = {name: name.rpartition(".") for name in tenant.things}
    creates = {f"{operation.name}.{field}" for field in fields} & SAMPLES.keys()
    return {
        name: tenant.things[name]
        for name, (verb, _, field) in keyed.items()
        if field in fields and verb in ("", operation.name) and f"{operation.name}.{field}" not in creates
    }


def unlike(value: Any) -> Any:
    """Return a name of the same kind that nothing bears."""
    if isinstance(value, int):
        return value + 1_000_000
    return f"no-{value}" if "_" not in value else re.sub(r"_.*", lambda match: "_" + "0" * (len(match[0]) - 1), value)


def comparable(answer: Answer, named: Mapping[str, Any]) -> tuple[int, str]:
    """Return an answer without what differs by the names asked for, and by chance."""
    text = json.dumps(answer.body, sort_keys=True)
    for name, value in named.items():
        text = re.sub(rf"(?<!\w){re.escape(str(value))}(?!\w)", f"<{name}>", text)
    return answer.status, re.sub(
        r'"(request_id|timestamp|session_id|token|url|[a-z]+_at)": ("[^"]*"|[0-9.]+)|(call|evt)_[A-Za-z0-9_-]{22}',
        "",
        text,
    )


def asked_by_commands() -> set[tuple[str, str]]:
    """Return the requests in the code of the command line: method and path with its blanks empty.

    A path that stands by itself, to be asked for in several ways, counts for any method.
    """
    found: set[tuple[str, str]] = set()
    for file in Path(haldir.faces.cli.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        direct = {
            node.args[0]: METHODS[node.func.attr]
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.args
            and node.func.attr in METHODS
        }
        for node in ast.walk(tree):
            path = spelled(node) if isinstance(node, ast.expr) else None
            if path and path.startswith("/v1/"):
                methods = [direct[node]] if node in direct else METHODS.values()
                found |= {(method, path.partition("?")[0]) for method in methods}
    return found


def spelled(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(spelled(part) or "{}" for part in parts)
    return None


def test_every_verb_has_a_command() -> None:
    asked = asked_by_commands()
    missing = [
        operation.name for operation in OPERATIONS if (operation.method, BRACED.sub("{}", operation.path)) not in asked
    ]
    assert missing == []
