"""Whoever asks must still count: no command is decided for a credential of any kind once it has ended."""

import asyncio
from collections.abc import Callable

import pytest

from court import Court, key_ref
from haldir.gate.commands import CreateAgent, CreateKey, RevokeAgent, RevokeKey, RevokeSession
from haldir.journal.command import Command, CredentialRef
from haldir.kernel.clock import MINUTE
from haldir.operations.audit_commands import LogAction
from haldir.operations.session_commands import CreateSession
from haldir.proxy.policy_commands import AddPolicy

Ask = Callable[[Court, CredentialRef], Command]

ASKS: dict[str, Ask] = {
    "create a key": lambda court, ref: CreateKey(op_id=court.op(), asked_by=ref, prefix="k9", sha256="k9", name="k", scopes=()),
    "revoke a key": lambda court, ref: RevokeKey(op_id=court.op(), asked_by=ref, prefix="k"),
    "create an agent": lambda court, ref: CreateAgent(op_id=court.op(), asked_by=ref, name="b", sha256="b", scopes=(), limit_micros=None, ttl_seconds=0),
    "end a session": lambda court, ref: RevokeSession(op_id=court.op(), asked_by=ref, session_id="a"),
    "open a session": lambda court, ref: CreateSession(op_id=court.op(), asked_by=ref, session_id="n", agent_id="n", token_sha256="", scopes=()),
    "report an act": lambda court, ref: LogAction(op_id=court.op(), asked_by=ref, session_id="a", action="x"),
    "add a policy": lambda court, ref: AddPolicy(op_id=court.op(), asked_by=ref, policy_id="p", policy_kind="block_tool", definition_digest="d"),
}  # fmt: skip
ENDS: dict[str, tuple[CredentialRef, str]] = {
    "its key was revoked": (key_ref("k"), "key_revoked"),
    "its agent was revoked": (CredentialRef("agent", "bot"), "agent_revoked"),
    "its session was revoked": (CredentialRef("session", "revoked"), "session_revoked"),
    "its session expired": (CredentialRef("session", "short"), "session_expired"),
    "what stood above its session was revoked": (CredentialRef("session", "below"), "session_revoked"),
    "there never was such a session": (CredentialRef("session", "never"), "session_not_found"),
    "there never was such a key": (key_ref("never"), "key_revoked"),
    "there never was such an agent": (CredentialRef("agent", "never"), "agent_not_found"),
    "there is no such kind": (CredentialRef("badge", "k"), "key_revoked"),
}


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """A court in which some credentials have just come to their ends."""
    court = Court(runner)
    for name in ("k", "other"):
        court.apply(CreateKey(op_id=court.op(), prefix=name, sha256=name, name=name, scopes=("*",)))
    court.apply(CreateAgent(op_id=court.op(), name="bot", sha256="bot", scopes=(), limit_micros=None, ttl_seconds=0))
    for name in ("a", "revoked"):
        court.session(name, "read")
    court.session("short", "read", ttl_seconds=60)
    court.session("below", "read", parent="revoked")
    court.apply(RevokeKey(op_id=court.op(), prefix="k"))
    court.apply(RevokeAgent(op_id=court.op(), name="bot"))
    court.apply(RevokeSession(op_id=court.op(), session_id="revoked"))
    court.now += MINUTE
    return court


@pytest.mark.parametrize("asked", ASKS)
@pytest.mark.parametrize("ended", ENDS)
def test_nothing_is_decided_for_who_no_longer_counts(court: Court, asked: str, ended: str) -> None:
    ref, code = ENDS[ended]
    refused = court.apply(ASKS[asked](court, ref))
    assert (refused.allowed, refused.code) == (False, code)


@pytest.mark.parametrize(("prefix", "agent"), [("never", "never"), ("k", "bot")])
def test_what_is_not_there_or_has_ended_is_not_ended_again(court: Court, prefix: str, agent: str) -> None:
    assert court.apply(RevokeKey(op_id=court.op(), prefix=prefix)).code == "key_not_found"
    assert court.apply(RevokeAgent(op_id=court.op(), name=agent)).code == "agent_not_found"
