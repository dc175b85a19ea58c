"""Keys at the journal's door: the last one that may make others stays, and a key says who made it."""

import asyncio

import pytest

from court import Court, key_ref
from haldir.gate.commands import CreateKey, RevokeKey
from haldir.gate.model import ApiKey
from haldir.journal.command import SYSTEM, CredentialRef, Outcome


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def make(court: Court, prefix: str, *scopes: str, by: CredentialRef = SYSTEM) -> CredentialRef:
    command = CreateKey(
        op_id=court.op(), asked_by=by, prefix=prefix, sha256=prefix, name=prefix, scopes=scopes or ("*",)
    )
    assert court.apply(command).allowed
    return key_ref(prefix)


def revoke(court: Court, prefix: str) -> Outcome:
    return court.apply(RevokeKey(op_id=court.op(), prefix=prefix))


@pytest.mark.parametrize("scope", ["*", "admin:*", "admin:write"])
def test_the_last_key_that_may_make_keys_stays(court: Court, scope: str) -> None:
    make(court, "one", scope)
    make(court, "narrow", "admin:read", "approvals:*")
    refused = revoke(court, "one")
    assert (refused.allowed, refused.code) == (False, "last_admin")
    assert refused.reason == "one is the last key that may make keys; without it nobody gets in."
    make(court, "two", scope)
    assert revoke(court, "one").allowed
    assert revoke(court, "two").code == "last_admin", "what is revoked makes no keys"
    assert revoke(court, "narrow").allowed


def test_a_key_says_who_made_it(court: Court) -> None:
    one = make(court, "one")
    make(court, "two", by=one)
    rows = [court.row(ApiKey, prefix) for prefix in ("one", "two")]
    assert [row and row.created_by for row in rows] == ["system:", "key:one"]
