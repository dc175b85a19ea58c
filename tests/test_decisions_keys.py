"""Keys at the journal's door: the last one that may make others stays, and a key is no other pair of eyes than its maker's."""

import asyncio

import pytest

from court import Court, key_ref, told
from haldir.approvals.holds import Held
from haldir.gate.commands import CreateKey, RevokeKey
from haldir.gate.makers import MAKERS_MAX
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


def held(court: Court, asked_by: CredentialRef) -> str:
    """Have a payment held that takes four eyes; its session was opened by nobody in particular."""
    court.session("s", "spend")
    court.hold_rule("all", four_eyes=True)
    return str(told(court.pay("s", 1, asked_by=asked_by), Held).approval_id)


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_with_four_eyes_a_key_that_the_asker_made_is_the_asker_too(court: Court, verdict: str) -> None:
    root = make(court, "root")
    asker = make(court, "asker", by=root)
    child = make(court, "child", by=asker)
    grandchild = make(court, "grandchild", by=child)
    approval_id = held(court, asker)
    for same in (child, grandchild):
        refused = court.decide(approval_id, verdict, same)
        reason = f"Who made {same} asked for this or opened its session; somebody else must decide."
        assert (refused.code, refused.reason) == ("four_eyes", reason)
    assert court.decide(approval_id, verdict, root).allowed, "who made the asker is somebody else"


def test_with_four_eyes_a_key_made_by_who_opened_the_session_does_not_decide(court: Court) -> None:
    opener, other = make(court, "opener"), make(court, "other")
    child = make(court, "child", by=opener)
    court.session("s", "spend", asked_by=opener)
    court.hold_rule("all", four_eyes=True)
    approval_id = str(told(court.pay("s", 1, asked_by=CredentialRef("session", "s")), Held).approval_id)
    assert court.decide(approval_id, by=child).code == "four_eyes"
    assert court.decide(approval_id, by=other).allowed


def test_without_four_eyes_a_key_that_the_asker_made_may_decide(court: Court) -> None:
    asker = make(court, "asker")
    court.session("s", "spend")
    court.hold_rule("all")
    approval_id = str(told(court.pay("s", 1, asked_by=asker), Held).approval_id)
    assert court.decide(approval_id, by=make(court, "child", by=asker)).allowed


def test_of_a_key_behind_too_many_keys_nobody_can_tell_whose_it_is(court: Court) -> None:
    last = make(court, "k0")
    for number in range(1, MAKERS_MAX):
        last = make(court, f"k{number}", by=last)
    beyond = make(court, "beyond", by=last)
    approval_id = held(court, make(court, "asker"))
    assert court.decide(approval_id, by=beyond).code == "four_eyes"
    assert court.decide(approval_id, by=last).allowed
