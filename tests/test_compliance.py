"""Evidence: true, signed, and the same to the byte whatever happened since."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from haldir.journal.checkpoint import verify_checkpoint
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from merkle import consistency_path

NASTY = "eve|<script>*x*"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def period(haldir: Haldir) -> str:
    """A period in which a little of everything happened, as a query; something happened before it, and after."""
    haldir.rest("POST", "/v1/agents", {"name": "early"})
    since = time.time()
    act(haldir)
    until = time.time()
    time.sleep(0.001)  # So that what follows is later, whatever the clock's steps are.
    haldir.rest("POST", "/v1/agents", {"name": "late"})
    haldir.rest("DELETE", "/v1/agents/early")
    return f"since={since:.6f}&until={until:.6f}"


def act(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=10, agent_id=NASTY)["session_id"]
    for tool, cost in (("mail", 0.25), ("mail", "0.000001"), ("", 2)):
        haldir.rest("POST", "/v1/audit", {"session_id": session, "action": "did", "tool": tool, "cost_usd": cost})
    pay = {"session_id": session, "amount": 3}
    haldir.rest("POST", "/v1/payments/authorize", {**pay, "capture": True})
    reserved = haldir.rest("POST", "/v1/payments/authorize", {**pay, "capture": False})
    haldir.rest("POST", f"/v1/payments/{reserved['authorization_id']}/capture", {"amount": 0.5})
    assert haldir.post("/v1/payments/authorize", {**pay, "amount": 100}).status == 403
    haldir.rest("POST", "/v1/keys", {"name": "auditor", "scopes": ["audit:read"]})
    haldir.rest("POST", "/v1/anomalies/rules", {"type": "first_use"})
    haldir.rest("DELETE", f"/v1/sessions/{session}")


def evidence(haldir: Haldir, query: str) -> dict[str, Any]:
    found: dict[str, Any] = haldir.rest("GET", f"/v1/compliance/evidence?{query}")
    return found


def test_a_pack_tells_what_happened_in_its_period_and_nothing_else(haldir: Haldir, period: str) -> None:
    pack = evidence(haldir, period)
    assert [agent["name"] for agent in pack["identity"]["agents"]] == ["early"]
    assert pack["identity"]["agents"][0]["revoked_at"] is None  # Revoked since, which the period cannot know.
    assert [key["name"] for key in pack["identity"]["keys"]][-1] == "auditor"
    assert (pack["identity"]["sessions_opened"], pack["identity"]["sessions_revoked"]) == (1, 1)
    assert pack["access"]["allowed"]["action.log"] == 3
    assert pack["access"]["refusals_by_code"] == {"budget_exceeded": 1}
    assert pack["access"]["entries"] == sum(sum(pack["access"][verdict].values()) for verdict in ("allowed", "refused"))
    assert pack["spend"] == {
        "reported": "2.250001",
        "reported_by_tool": {"mail": "0.250001"},
        "spent_on_calls": {"USD": "0.00"},
        "spent_on_payments": {"USD": "3.50"},
    }
    assert (pack["alerting"]["anomaly_rules"], pack["alerting"]["webhooks"]) == (1, 0)
    assert pack["encryption"]["tenant_key_versions"] == 1


def test_the_log_of_a_pack_is_signed_and_proven_to_have_grown(haldir: Haldir, period: str) -> None:
    audit = evidence(haldir, period)["audit"]
    entries = haldir.rest("GET", "/v1/audit?kind=all&limit=1000")["entries"]
    leaves = [bytes.fromhex(entry["entry_hash"]) for entry in reversed(entries)]
    grown = audit["consistency"]
    note = verify_checkpoint(audit["checkpoint"], audit["verifier_key"])
    assert (note.size, note.root.hex()) == (audit["tree_size"], audit["root_hash"])
    assert grown["second_size"] == audit["tree_size"] < len(leaves)
    path = consistency_path(grown["first_size"], leaves[: grown["second_size"]])
    assert grown["path"] == [each.hex() for each in path]
    assert (audit["verified"], audit["faults"]) == (True, [])


def test_the_signature_is_over_the_json_that_anyone_can_write(haldir: Haldir, period: str) -> None:
    pack = evidence(haldir, period)
    signature = pack.pop("signature")
    canonical = json.dumps(pack, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert signature["sha256"] == hashlib.sha256(canonical).hexdigest()
    assert signature["key_id"] == haldir.rest("GET", "/v1/audit/tree-head")["key_id"]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
    key.verify(bytes.fromhex(signature["signature"]), canonical)


@pytest.mark.parametrize("rest", ["", "&format=markdown"])
def test_a_period_that_is_over_has_the_same_bytes_each_time(haldir: Haldir, period: str, rest: str) -> None:
    before = haldir.get(f"/v1/compliance/evidence?{period}{rest}").raw
    act(haldir)
    assert haldir.get(f"/v1/compliance/evidence?{period}{rest}").raw == before


def test_a_manifest_holds_the_digest_of_every_section(haldir: Haldir, period: str) -> None:
    pack = evidence(haldir, period)
    manifest = haldir.rest("GET", f"/v1/compliance/evidence/manifest?{period}")
    digests = {
        name: hashlib.sha256(
            json.dumps(pack[name], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()
        for name in ("identity", "access", "encryption", "audit", "spend", "approvals", "alerting")
    }
    assert {section["name"]: section["sha256"] for section in manifest["sections"]} == digests
    assert manifest["signature"] == pack["signature"]
    assert manifest["period"] == pack["period"]


def test_markdown_is_for_people_and_nobodys_name_is_markup_in_it(haldir: Haldir) -> None:
    haldir.rest("POST", "/v1/keys", {"name": NASTY, "scopes": ["audit:read"]})
    answer = haldir.get("/v1/compliance/evidence?format=markdown")
    text = answer.raw.decode()
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.startswith("# Evidence for tenant ")
    assert "## Identity\n" in text
    assert r"eve\|\<script\>\*x\*" in text
    assert "<script>" not in text


def test_a_pack_without_a_period_is_of_everything_until_now(haldir: Haldir) -> None:
    size = haldir.rest("GET", "/v1/audit/tree-head")["tree_size"]
    pack = evidence(haldir, "")
    assert (pack["period"]["since"], pack["audit"]["tree_size"]) == ("1970-01-01T00:00:00.000000Z", size)
    assert (pack["access"]["entries"], pack["audit"]["consistency"]) == (size, None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("until=2999-01-01", "invalid_range"),
        ("since=2026-01-02&until=2026-01-01", "invalid_range"),
        ("format=pdf", "invalid_format"),
    ],
)
def test_a_period_that_is_not_over_has_no_evidence_yet(haldir: Haldir, query: str, code: str) -> None:
    answer = haldir.get(f"/v1/compliance/evidence?{query}")
    assert (answer.status, answer.body["code"]) == (400, code)


def test_evidence_is_of_the_callers_own_tenant(haldir: Haldir) -> None:
    made: Any = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body
    pack = haldir.get("/v1/compliance/evidence", key=made["key"]).body
    assert [key["name"] for key in pack["identity"]["keys"]] == ["other"]
    assert (pack["access"]["entries"], pack["audit"]["tree_size"]) == (1, 1)


def test_the_score_counts_named_criteria_that_are_met(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_haldir(tmp_path_factory.mktemp("data")) as haldir:

        def met() -> set[str]:
            answer = haldir.rest("GET", "/v1/compliance/score")
            names = {each["name"] for each in answer["criteria"] if each["met"]}
            assert answer["score"] == 100 * len(names) // len(answer["criteria"])
            return names

        haldir.session()
        before = met()
        assert before == {"log_signed", "head_kept", "keys_narrow", "tools_accepted", "outcomes_known"}
        haldir.rest("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "x"})
        haldir.rest("POST", "/v1/anomalies/rules", {"type": "first_use"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "all"})
        haldir.rest("POST", "/v1/keys", {"name": "second", "scopes": ["*"]})
        assert met() == before - {"keys_narrow"} | {"policies", "anomaly_rules", "approvals"}
