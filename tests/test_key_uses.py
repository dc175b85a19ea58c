"""When a key was last used: seen at once, and kept over a restart."""

from pathlib import Path

import pytest

from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

START = 1_800_000_000
SECOND = 1_000_000


class Hand:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START * SECOND

    def __call__(self) -> int:
        return self.now


def last_used(haldir: Haldir) -> dict[str, float | None]:
    return {each["name"]: each["last_used"] for each in haldir.get("/v1/keys").body["keys"]}


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_keys_last_use_is_told_at_once_and_kept_over_a_restart(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if store == "postgres" else None
    hand = Hand()
    with running_haldir(tmp_path, dsn=dsn, clock=hand) as haldir:
        key = haldir.post("/v1/keys", {"name": "ci", "scopes": ["audit:read"]}).body["key"]
        haldir.post("/v1/keys", {"name": "unused"})
        assert last_used(haldir) == {"admin": START, "ci": None, "unused": None}
        hand.now += 90 * SECOND
        assert haldir.get("/v1/audit", key=key).status == 200
        hand.now += 5 * SECOND
        assert last_used(haldir) == {"admin": START + 95, "ci": START + 90, "unused": None}
    hand.now += 100 * SECOND
    with running_haldir(tmp_path, dsn=dsn, clock=hand) as haldir:
        assert last_used(haldir) == {"admin": START + 195, "ci": START + 90, "unused": None}
