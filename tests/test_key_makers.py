"""Who made a key, and the last one that may make others, by REST on both engines."""

from pathlib import Path

import pytest

from harness.databases import fresh_database
from harness.threads import running_haldir


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_key_says_who_made_it_and_the_last_that_may_make_others_stays(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if store == "postgres" else None
    with running_haldir(tmp_path, dsn=dsn) as haldir:
        first = haldir.key[:12]
        refused = haldir.delete(f"/v1/keys/{first}")
        assert (refused.status, refused.body["code"]) == (409, "last_admin")
        assert "admin:write" in refused.body["hint"]
        second = haldir.rest("POST", "/v1/keys", {"name": "second", "scopes": ["admin:write"]})["key"]
        made = {each["name"]: each["created_by"] for each in haldir.rest("GET", "/v1/keys")["keys"]}
        assert made == {"admin": "", "second": f"key:{first}"}
        assert haldir.delete(f"/v1/keys/{first}").status == 200
        assert haldir.delete(f"/v1/keys/{second[:12]}", key=second).body["code"] == "last_admin"
