"""What every answer has in common: ids, headers, one shape of error, and a limit for those who ask too much."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from haldir.app import open_context, wall_clock
from haldir.config_file import SettingsError
from haldir.faces.body import ClientGone
from haldir.faces.cli.events import JsonLines
from haldir.faces.listen import CannotListen
from haldir.faces.mcp.faults import RpcFault
from haldir.kernel.clock import MINUTE, Micros
from haldir.kernel.errors import REFUSALS, HaldirError, Refused, TryLater, Unavailable, UpstreamError
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.everything import OPERATIONS
from haldir.operations.health import Readiness, readiness
from haldir.operations.wire import StatusResponse
from haldir.settings import Settings
from haldir.storage.migrate import SchemaError
from haldir.storage.sqlite_reader import SqliteReader
from haldir.vault.root import MissingRootKey, RootKeyError, WrongRootKey
from harness.haldir import Haldir
from harness.threads import running_haldir

ORIGIN = "https://console.example"


class Nothing(msgspec.Struct, frozen=True):
    pass


class Which(msgspec.Struct, frozen=True):
    which: str


async def go_wrong(_ctx: Context, _caller: Caller, request: Which) -> msgspec.Struct:
    match request.which:
        case "fault":
            raise ZeroDivisionError("the secret is hunter2")
        case "down":
            raise Unavailable("The store does not answer.")
        case "status":
            return StatusResponse(418, msgspec.Raw(b'{"error": "short and stout"}'))
        case "empty":
            return StatusResponse(418, msgspec.Raw(b"{}"))
    raise Refused(request.which, "The reason.", call_id="call_1")


GO_WRONG = Operation(
    name="go_wrong",
    method="GET",
    path="/v1/wrong/{which}",
    summary="Go wrong",
    scope=None,
    request=Which,
    response=Nothing,
    run=go_wrong,
)


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    operations = (*OPERATIONS, GO_WRONG)
    data = tmp_path_factory.mktemp("data")
    with running_haldir(data, operations=operations, allowed_origins=(ORIGIN,)) as haldir:
        yield haldir


@pytest.mark.parametrize("path", ["/healthz", "/v1/keys", "/nowhere", "/v1/wrong/fault", "/v1/wrong/down"])
def test_every_answer_bears_an_id_and_the_security_headers(haldir: Haldir, path: str) -> None:
    headers = haldir.get(path).headers
    assert len(headers["x-request-id"]) == 32
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" in headers
    assert "permissions-policy" in headers
    assert headers["content-type"] == "application/json"


def test_a_clients_request_id_comes_back_if_it_is_fit_for_a_header(haldir: Haldir) -> None:
    def told(request_id: str) -> tuple[str, str]:
        answer = haldir.get("/nowhere", x_request_id=request_id)
        return answer.headers["x-request-id"], answer.body["request_id"]

    assert told("abc-DEF_1.2:3") == ("abc-DEF_1.2:3", "abc-DEF_1.2:3")
    assert told("x" * 64) == ("x" * 64, "x" * 64)
    for unfit in ("x" * 65, "a b", "<script>", "é"):
        inside, outside = told(unfit)
        assert inside == outside != unfit


def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405_that_names_the_right_ones(haldir: Haldir) -> None:
    missing = haldir.get("/v1/nothing")
    assert (missing.status, missing.body["code"]) == (404, "not_found")
    wrong = haldir.ask("PUT", "/v1/sessions", {})
    assert (wrong.status, wrong.body["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD, OPTIONS, POST",
    )
    assert haldir.ask("DELETE", "/healthz").headers["allow"] == "GET, HEAD, OPTIONS"


def test_head_is_get_without_a_body_and_options_names_the_methods(haldir: Haldir) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", haldir.port)
    for _ in range(2):  # The second shows that the first left the connection in order.
        connection.request("HEAD", "/v1/keys", headers={"Authorization": f"Bearer {haldir.key}"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
        assert int(response.headers["content-length"]) > 2
    connection.close()
    options = haldir.ask("OPTIONS", "/v1/keys", key=None)
    assert (options.status, options.headers["allow"]) == (200, "GET, HEAD, OPTIONS, POST")


def test_only_a_named_origin_may_read_answers(haldir: Haldir) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    allowed = haldir.ask("OPTIONS", "/v1/keys", key=None, **preflight)
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Session-ID" in allowed.headers["access-control-allow-headers"]
    stranger = haldir.ask("OPTIONS", "/v1/keys", key=None, **{**preflight, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
    assert stranger.headers["vary"] == "Origin"
    assert haldir.get("/nowhere", origin=ORIGIN).headers["access-control-allow-origin"] == ORIGIN


def test_a_page_of_a_named_origin_may_name_its_requests_and_read_what_is_told_of_them(haldir: Haldir) -> None:
    headers = haldir.get("/v1/keys", origin=ORIGIN).headers
    assert "Idempotency-Key" in headers["access-control-allow-headers"]
    exposed = headers["access-control-expose-headers"]
    assert {"Idempotency-Replayed", "Retry-After", "X-Request-ID", "X-RateLimit-Remaining"} <= set(exposed.split(", "))


def test_every_error_that_an_answer_can_bear_says_what_would_help() -> None:
    kinds = [kind for kind in errors_below(HaldirError) if kind.__module__.startswith("haldir.")]
    assert [kind.__name__ for kind in kinds if not kind.hint and kind not in HINTED_OTHERWISE] == []
    assert [code for code, kind in REFUSALS.items() if not kind.hint] == []


# These say it in their sentence, for the operator who starts Haldir; or each with what it is about; or nobody reads it.
HINTED_OTHERWISE = {
    Refused,
    UpstreamError,
    TryLater,
    ClientGone,
    RpcFault,
    CannotListen,
    RootKeyError,
    MissingRootKey,
    WrongRootKey,
    SettingsError,
    SchemaError,
}


def errors_below(kind: type[HaldirError]) -> list[type[HaldirError]]:
    found: list[type[HaldirError]] = []
    for each in kind.__subclasses__():
        found += [each, *errors_below(each)]
    return found


def test_a_fault_is_a_500_that_tells_nothing_and_a_log_line_that_tells_where(
    haldir: Haldir, caplog: pytest.LogCaptureFixture
) -> None:
    answer = haldir.get("/v1/wrong/fault")
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    said = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert answer.body["request_id"] in said
    assert "ZeroDivisionError" in said
    assert "go_wrong" in said
    assert "hunter2" not in said + json.dumps(answer.body)
    assert haldir.get("/healthz").status == 200


def test_a_store_that_fails_is_a_503_with_retry_after(haldir: Haldir) -> None:
    answer = haldir.get("/v1/wrong/down")
    assert (answer.status, answer.body["code"], answer.body["retry_after"]) == (503, "unavailable", 1)
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_has_its_status_code_reason_and_hint(haldir: Haldir, refusal: str) -> None:
    answer = haldir.get(f"/v1/wrong/{refusal}")
    assert answer.status == REFUSALS[refusal].status
    assert answer.body == {
        "error": "The reason.",
        "code": refusal,
        "request_id": answer.headers["x-request-id"],
        "hint": REFUSALS[refusal].hint,
        "call_id": "call_1",
    }
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)


@pytest.mark.parametrize(("which", "rest"), [("status", {"error": "short and stout"}), ("empty", {})])
def test_an_operation_may_choose_its_status_and_an_error_gets_the_request_id(
    haldir: Haldir, which: str, rest: dict[str, Any]
) -> None:
    answer = haldir.get(f"/v1/wrong/{which}")
    assert (answer.status, answer.body) == (418, {"request_id": answer.headers["x-request-id"], **rest})


def test_no_credential_is_asked_for_by_health_index_and_description(haldir: Haldir) -> None:
    health = haldir.get("/healthz", key=None).body
    assert (health["status"], health["service"], health["alive"]) == ("ok", "haldir", True)
    assert haldir.get("/livez", key=None).status == 200
    ready = haldir.get("/readyz", key=None)
    assert (ready.status, ready.body["ready"]) == (200, True)
    assert [(check["name"], check["ok"]) for check in ready.body["checks"]] == [("store", True), ("journal", True)]
    paths = {each["path"] for each in haldir.get("/v1", key=None).body["operations"]}
    assert paths == {operation.path for operation in (*OPERATIONS, GO_WRONG)}


def test_a_request_limit_counts_each_credential_by_itself(tmp_path: Path) -> None:
    with running_haldir(tmp_path, rate_limit_per_minute=50) as haldir:
        other = haldir.post("/v1/keys", {"name": "other"})
        assert (other.headers["x-ratelimit-limit"], other.headers["x-ratelimit-resource"]) == ("50", "minute")
        answers = [haldir.get("/v1/keys") for _ in range(100)]
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.status for answer in answers} == {200, 429}  # Even if a minute ended in between.
        last = refused[-1]
        assert last.body["code"] == "rate_limit_exceeded"
        assert 1 <= last.body["retry_after"] <= 60
        assert int(last.headers["retry-after"]) == last.body["retry_after"]
        assert {name: last.body[name] for name in ("limit", "tier", "resource")} == {
            "limit": 50,
            "tier": "free",
            "resource": "minute",
        }
        assert last.body["hint"]
        told = {name: last.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "used", "resource")}
        assert told == {"limit": "50", "remaining": "0", "used": "50", "resource": "minute"}
        assert last.headers["x-ratelimit-reset-after"] == str(last.body["retry_after"])
        assert int(last.headers["x-ratelimit-reset"]) % 60 == 0
        assert not [name for name in last.headers if name.startswith("x-ratelimit-monthly")]
        assert haldir.get("/v1/keys", key=other.body["key"]).status == 200
        assert haldir.get("/healthz").status == 200


def test_a_limit_of_requests_leaves_a_name_free_and_counts_what_is_only_answered_again(tmp_path: Path) -> None:
    clock = StandingClock()
    with running_haldir(tmp_path, rate_limit_per_minute=3, clock=clock) as haldir:
        told = [haldir.post("/v1/keys", {}, idempotency_key="k") for _ in range(4)]
        assert [answer.status for answer in told] == [201, 201, 201, 429]
        assert [answer.headers["x-ratelimit-remaining"] for answer in told] == ["2", "1", "0", "0"]
        assert haldir.post("/v1/keys", {}, idempotency_key="other").status == 429
        clock.now += MINUTE
        assert haldir.post("/v1/keys", {"name": "other"}, idempotency_key="other").status == 201
        assert haldir.post("/v1/keys", {}, idempotency_key="k").body == told[0].body


class StandingClock:
    """A clock that stands at the beginning of a minute until the test moves it."""

    def __init__(self) -> None:
        self.now: Micros = (wall_clock() // MINUTE + 1) * MINUTE

    def __call__(self) -> Micros:
        return self.now


def test_without_a_limit_there_are_no_limit_headers(haldir: Haldir) -> None:
    assert not [name for name in haldir.get("/v1/keys").headers if name.startswith("x-ratelimit")]


def test_a_haldir_whose_store_is_gone_is_not_ready(tmp_path: Path) -> None:
    async def found() -> Readiness:
        async with open_context(Settings(data=tmp_path)) as ctx, SqliteReader(tmp_path / "gone.db") as gone:
            return await readiness(msgspec.structs.replace(ctx, store=gone))

    checked = asyncio.run(found())
    assert not checked.ready
    assert [(check.name, check.ok, check.message) for check in checked.checks] == [
        ("store", False, "unavailable"),
        ("journal", False, "unavailable"),
    ]
