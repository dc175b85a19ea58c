"""A secret's value leaves no trace: not in the database, the log, an error, nor what the server says of itself."""

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from harness.databases import fresh_database
from harness.processes import Up

VALUE = "sk_live_Zx81-the-value-that-nobody-may-see"
FORMS = (VALUE.encode(), base64.b64encode(VALUE.encode())[:-4], VALUE.encode().hex().encode())
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None


def traces(seen: bytes) -> list[bytes]:
    return [form for form in FORMS if form in seen]


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def _rows_of(dsn: str) -> bytes:
    connection = await asyncpg.connect(dsn)
    try:
        tables = [record[0] for record in await connection.fetch(TABLES)]
        rows = [await connection.fetch(f'SELECT * FROM "{table}"') for table in tables]
    finally:
        await connection.close()
    columns = [value for table in rows for record in table for value in record.values()]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in columns)


def live(server: Up) -> list[bytes]:
    """Store, show, refuse and erase; return all answers but the one that was to have the value."""
    session = server.session("read")["session_id"]
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/v1/secrets", {"name": "a", "value": VALUE}),
        ("POST", "/v1/secrets", {"name": "hidden", "value": VALUE, "exposure": "inject"}),
        ("POST", "/v1/secrets", {"name": "gone", "value": VALUE, "scope_required": "other"}),
        ("POST", "/v1/secrets", {"name": "bad/name", "value": VALUE}),
        ("POST", "/v1/secrets", {"name": "long", "value": VALUE * 10_000}),
        ("POST", "/v1/secrets", {"name": "list", "value": [VALUE]}),
        ("POST", "/v1/secrets", {"name": "nul", "value": VALUE + "\0"}),
        ("POST", "/v1/secrets", f'{{"name": "cut", "value": "{VALUE}'.encode()),
        ("POST", "/v1/secrets", f'{{"name": "twice", "value": "{VALUE}", "value": "x"}}'.encode()),
        ("GET", f"/v1/secrets/hidden?session_id={session}", None),
        ("GET", f"/v1/secrets/gone?session_id={session}", None),
        ("GET", "/v1/secrets/a", None),
        ("DELETE", "/v1/secrets/gone", None),
        ("GET", f"/v1/secrets/gone?session_id={session}", None),
        ("GET", "/v1/secrets", None),
        ("POST", "/v1/vault/rotate", None),
    ]
    for _ in range(2):
        assert server.post("/v1/secrets", {"name": "once", "value": VALUE}, idempotency_key="once").status == 201
    answers = [server.ask(method, path, body).raw for method, path, body in asked]
    assert server.get("/v1/secrets/a", x_session_id=session).body["value"] == VALUE
    return [*answers, server.get("/v1/audit?kind=all&limit=1000").raw, server.get("/v1/audit/verify").raw]


def test_the_value_is_in_no_answer_no_file_no_row_and_no_line_of_the_server(tmp_path: Path, dsn: str | None) -> None:
    with Up(tmp_path / "data", *(("--database-url", dsn) if dsn else ())) as server:
        answers = live(server)
        assert traces(b"".join(answers)) == []
        assert traces(everything_in(tmp_path)) == []
        assert server.stop() == 0
        said = server.stderr()
    assert traces(said.encode()) == []
    assert traces(everything_in(tmp_path)) == []
    if dsn:
        stored = asyncio.run(_rows_of(dsn))
        assert b"secret.reveal" in stored
        assert traces(stored) == []
    checked = subprocess.run(
        [sys.executable, "-m", "haldir", "fsck", "--data", str(tmp_path / "data"), "--json"]
        + (["--database-url", dsn] if dsn else []),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["ok"] is True
