"""Rotating the tenant's key: everything stays readable, at every moment and on every replica."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from harness.commands import CliServer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

SECRETS = 70  # Three commands' worth.


class Place(NamedTuple):
    data: Path
    dsn: str | None


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    return Place(tmp_path / "data", dsn)


@pytest.fixture
def haldir(place: Place) -> Iterator[Haldir]:
    with running_haldir(place.data, dsn=place.dsn) as haldir:
        yield haldir


def store(haldir: Haldir, name: str, value: str) -> None:
    haldir.rest("POST", "/v1/secrets", {"name": name, "value": value})


def values_of(haldir: Haldir, *names: str) -> list[str]:
    token = haldir.session("read")["token"]
    return [haldir.get(f"/v1/secrets/{name}", key=token).body["value"] for name in names]


def keys_of(haldir: Haldir) -> list[tuple[int, bool, int]]:
    listed = haldir.rest("GET", "/v1/vault/keys")
    assert listed["count"] == len(listed["keys"])
    assert listed["total_secrets"] == sum(key["secrets"] for key in listed["keys"])
    return [(key["version"], key["current"], key["secrets"]) for key in listed["keys"]]


def alter(place: Place, sql: str) -> None:
    """Change the database behind the server's back."""
    if place.dsn is None:  # In a process of its own: a second SQLite in this one would let go of the first one's locks.
        code = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as connection: connection.execute(sys.argv[2])"
        subprocess.run([sys.executable, "-c", code, str(place.data / "haldir.db"), sql], check=True)
        return

    async def execute(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(execute(place.dsn))


def test_all_secrets_are_wrapped_with_the_new_version_and_are_what_they_were(haldir: Haldir) -> None:
    names = [f"s{n:02}" for n in range(SECRETS)]
    for name in names:
        store(haldir, name, f"value of {name}")
    store(haldir, "gone", "x")
    haldir.rest("DELETE", "/v1/secrets/gone")
    haldir.rest("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "before"})
    assert keys_of(haldir) == [(1, True, SECRETS)]
    wanted = {"key_version": 2, "rotated": names, "failed": [], "summary": {"rotated": SECRETS, "failed": 0}}
    assert haldir.rest("POST", "/v1/vault/rotate?dry_run=true") == {"dry_run": True, **wanted}
    assert haldir.rest("POST", "/v1/vault/rotate", {"dry_run": True}) == {"dry_run": True, **wanted}
    assert keys_of(haldir) == [(1, True, SECRETS)]
    assert haldir.rest("POST", "/v1/vault/rotate") == {"dry_run": False, **wanted}
    assert keys_of(haldir) == [(1, False, 0), (2, True, SECRETS)]
    assert values_of(haldir, *names) == [f"value of {name}" for name in names]
    store(haldir, "new", "value of new")
    assert keys_of(haldir) == [(1, False, 0), (2, True, SECRETS + 1)]
    haldir.rest("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "after"})
    policies = haldir.rest("GET", "/v1/proxy/policies")["policies"]
    assert [policy["tool"] for policy in policies] == ["before", "after"]
    entries = haldir.rest("GET", "/v1/audit?kind=all&limit=100")["entries"]
    kinds = [entry["kind"] for entry in entries if entry["kind"].startswith("vault.")]
    assert kinds == ["vault.rewrap"] * 3 + ["vault.rotate"]


def test_secrets_are_readable_and_writable_throughout_and_after_a_restart(place: Place) -> None:
    with running_haldir(place.data, dsn=place.dsn) as haldir:
        names = [f"s{n}" for n in range(40)]
        for name in names:
            store(haldir, name, f"{name} 0")
        token = haldir.session("read")["token"]

        def act(number: int) -> Any:
            name = names[number % len(names)]
            if number % 20 == 0:
                return haldir.post("/v1/vault/rotate").status
            if number % 3 == 0:
                return haldir.post("/v1/secrets", {"name": name, "value": f"{name} {number}"}).status
            answer = haldir.get(f"/v1/secrets/{name}", key=token)
            return answer.status if answer.body["value"].startswith(f"{name} ") else answer.body

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(act, range(120))) == {200, 201}
        before = values_of(haldir, *names)
        assert keys_of(haldir)[-1] == (7, True, 40)
    with running_haldir(place.data, dsn=place.dsn) as haldir:
        assert values_of(haldir, *names) == before
        haldir.rest("POST", "/v1/vault/rotate")
        assert values_of(haldir, *names) == before
    database = ["--database-url", place.dsn] if place.dsn else []
    fsck = [sys.executable, "-m", "haldir", "fsck", "--data", str(place.data), *database]
    assert subprocess.run(fsck, capture_output=True, check=False).returncode == 0


def test_a_secret_that_cannot_be_opened_is_named_and_keeps_no_other_from_being_rotated(
    haldir: Haldir, place: Place
) -> None:
    for name in ("a", "b", "c"):
        store(haldir, name, f"value of {name}")
    swapped = "SELECT digest FROM secret_version WHERE name = 'b'"
    alter(place, f"UPDATE part SET key_version = 7 WHERE digest IN ({swapped})")
    for asked in ("?dry_run=true", ""):
        answer = haldir.post(f"/v1/vault/rotate{asked}")
        assert answer.status == 207
        assert (answer.body["rotated"], answer.body["failed"]) == (["a", "c"], ["b"])
        assert answer.body["summary"] == {"rotated": 2, "failed": 1}
    assert keys_of(haldir) == [(1, False, 1), (2, True, 2)]
    assert values_of(haldir, "a", "c") == ["value of a", "value of c"]
    alter(place, f"UPDATE part SET key_version = 1 WHERE digest IN ({swapped})")
    assert values_of(haldir, "b") == ["value of b"]
    assert haldir.rest("POST", "/v1/vault/rotate")["rotated"] == ["a", "b", "c"]
    assert keys_of(haldir) == [(1, False, 0), (2, False, 0), (3, True, 3)]


def test_only_a_key_with_the_scope_for_it_may_rotate_and_it_is_not_given_by_name(haldir: Haldir) -> None:
    def key(*scopes: str) -> str:
        made: str = haldir.rest("POST", "/v1/keys", {"scopes": scopes})["key"]
        return made

    store(haldir, "a", "x")
    for scopes in (["vault:write", "vault:read"], ["admin:*"]):
        refused = haldir.post("/v1/vault/rotate", key=key(*scopes))
        assert (refused.status, refused.body["required"]) == (403, "vault:rotate")
    named = haldir.post("/v1/keys", {"scopes": ["vault:rotate"]})
    assert (named.status, named.body["code"]) == (400, "invalid_scope")
    assert haldir.post("/v1/vault/rotate", key=haldir.session("*")["token"]).status == 403
    assert haldir.get("/v1/vault/keys", key=key("sessions:read")).status == 403
    assert keys_of(haldir) == [(1, True, 1)]
    assert haldir.post("/v1/vault/rotate", key=key("vault:*")).status == 200
    assert haldir.get("/v1/vault/keys", key=key("vault:read")).body["count"] == 2


def test_a_replica_that_did_not_rotate_opens_and_seals_with_the_new_version(
    fresh_postgres_dsn: str, tmp_path: Path
) -> None:
    with running_haldir(tmp_path / "one", dsn=fresh_postgres_dsn) as one:
        (tmp_path / "two").mkdir()
        for file in ("root.key", "admin.key"):
            shutil.copy(tmp_path / "one" / file, tmp_path / "two" / file)
        with running_haldir(tmp_path / "two", dsn=fresh_postgres_dsn) as two:
            store(one, "a", "value of a")
            assert values_of(two, "a") == ["value of a"]  # So it has the keys at hand, as they are now.
            one.rest("POST", "/v1/vault/rotate")
            assert values_of(two, "a") == ["value of a"]
            one.rest("POST", "/v1/vault/rotate")
            one.rest("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "after"})
            assert [each["tool"] for each in two.rest("GET", "/v1/proxy/policies")["policies"]] == ["after"]
            one.rest("POST", "/v1/vault/rotate")
            store(two, "b", "value of b")
            assert keys_of(one) == [(1, False, 0), (2, False, 0), (3, False, 0), (4, True, 2)]
            assert two.rest("POST", "/v1/vault/rotate")["key_version"] == 5
            assert one.rest("POST", "/v1/vault/rotate")["key_version"] == 6
            assert values_of(one, "a", "b") == values_of(two, "a", "b") == ["value of a", "value of b"]


def test_rotations_that_begin_at_once_each_make_a_version_and_lose_nothing(haldir: Haldir) -> None:
    names = [f"s{n}" for n in range(35)]
    for name in names:
        store(haldir, name, f"value of {name}")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: haldir.post("/v1/vault/rotate"), range(4)))
    assert {answer.status for answer in answers} == {200}
    assert keys_of(haldir)[-1] == (5, True, 35)
    assert values_of(haldir, *names) == [f"value of {name}" for name in names]


def test_the_command_line_rotates_and_tells_which_version_opens_what(tmp_path: Path) -> None:
    with CliServer(tmp_path / "data") as server:
        server.answer("secret", "set", "a", typed=b"x")
        rehearsed = server.run("secret", "rotate", "--dry-run")
        assert rehearsed.stdout == "Nothing is changed. To be wrapped with version 2 of the key: 1 secrets.\n"
        assert server.run("secret", "rotate").stdout == "Wrapped with version 2 of the key: 1 secrets.\n"
        listed = server.run("secret", "keys").stdout.splitlines()
        assert [line.split()[:3] for line in listed if "er" in line or "current" in line][1:] == [
            ["1", "former", "0"],
            ["2", "current", "1"],
        ]
        alter(Place(server.data, None), "UPDATE part SET sealed = zeroblob(80) WHERE key_version = 2")
        failed = server.run("secret", "rotate")
        assert (failed.exit_code, failed.stderr) == (1, "a cannot be opened and is as it was.\n")
