"""/metrics in Prometheus' own words, for whoever bears the operator's token."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from haldir.kernel.secret import Secret
from harness.haldir import Haldir
from harness.messages import initialize
from harness.threads import running_haldir

TOKEN = "let me watch"


def scraped(haldir: Haldir) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = haldir.get("/metrics", key=TOKEN)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.raw.decode())
    return {(each.name, tuple(each.labels.values())): each.value for family in families for each in family.samples}


def test_requests_decisions_and_the_process_are_measured(tmp_path: Path) -> None:
    with running_haldir(tmp_path, metrics_token=Secret(TOKEN)) as haldir:
        before = scraped(haldir)
        session = haldir.session("read", spend_limit=1)["session_id"]
        paid = [haldir.post("/v1/payments/authorize", {"session_id": session, "amount": n}).status for n in (1, 1)]
        assert paid == [200, 403]
        haldir.get("/v1/keys", key="hld_unknown")
        assert haldir.rpc("/mcp", initialize(), haldir.token("execute")).status == 200
        after = scraped(haldir)

    def grown(name: str, *labels: str) -> float:
        return after[name, labels] - before.get((name, labels), 0)

    assert grown("haldir_http_requests_total", "rest", "POST", "201") == 2
    assert grown("haldir_http_requests_total", "rest", "POST", "403") == 1
    assert grown("haldir_http_requests_total", "rest", "GET", "401") == 1
    assert grown("haldir_http_requests_total", "mcp", "POST", "200") == 1
    assert grown("haldir_http_request_seconds_count", "mcp") == 1
    assert (grown("haldir_decisions_total", "allowed"), grown("haldir_decisions_total", "refused")) == (3, 1)
    assert grown("haldir_batches_total") == 4
    assert (after["haldir_commands_waiting", ()], after["haldir_commands_failed_total", ()]) == (0, 0)
    assert after["process_resident_memory_bytes", ()] > 10_000_000


def test_nobody_else_reads_them_and_they_name_no_tenant(tmp_path: Path) -> None:
    with running_haldir(tmp_path, metrics_token=Secret(TOKEN)) as haldir:
        session = haldir.session("read", agent_id="somebody-known")
        for key in (None, haldir.key, "wrong", TOKEN + "x"):
            assert haldir.get("/metrics", key=key).status == 401
        assert haldir.post("/metrics", key=TOKEN).status == 405
        text = haldir.get("/metrics", key=TOKEN).raw.decode()
        assert "somebody-known" not in text
        assert session["session_id"] not in text


def test_without_a_token_of_the_operator_there_are_none(tmp_path: Path) -> None:
    with running_haldir(tmp_path) as haldir:
        for key in (None, haldir.key, ""):
            answer = haldir.get("/metrics", key=key)
            assert (answer.status, answer.body["code"]) == (503, "metrics_disabled")
