"""What is decided about payloads: which are kept with a call, who reads one, what is erased."""

import asyncio
from typing import Any

import pytest

from court import Court
from haldir.approvals.model import Approval
from haldir.kernel import ids
from haldir.kernel.ids import OpId
from haldir.operations.payload_commands import (
    ErasePayload,
    ExpirePayloads,
    ReadPayload,
    ReplayPolicies,
    call_of,
    is_payload,
    part_name,
    parts_of,
)
from haldir.operations.payment_commands import AuthorizePayment
from haldir.policy.judgement import Judgement, Pending, RateAbove
from haldir.storage.rows import Part


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """A session `s` that may call the tools of the upstream `shop`."""
    court = Court(runner)
    court.session("s", "execute")
    court.upstream("shop", "buy")
    return court


def test_reading_and_erasing_are_about_the_call_and_erase_nothing_else(court: Court) -> None:
    call = ids.call_id(OpId(court.op()))
    court.admit("s", call_id=call)
    names = [*parts_of(call), "other", *parts_of("call_other"), *parts_of("call_third")]
    court.apply(ReadPayload(op_id=court.op(), call_id="call_other"), [Part(name, 1, b"sealed") for name in names])
    kind, record = court.entry(court.apply(ReadPayload(op_id=court.op(), call_id=call)))
    assert (kind, record.about.session_id, record.about.tool) == ("payload.read", "s", "buy")
    kind, record = court.entry(court.apply(ErasePayload(op_id=court.op(), call_id=call)))
    assert (kind, record.about.session_id, record.about.tool) == ("payload.erase", "s", "buy")
    assert {part.digest for part in court.rows(Part)} == {*names[2:]}
    kind, _ = court.entry(court.apply(ExpirePayloads(op_id=court.op(), calls=("call_other", "call_third"))))
    assert kind == "payload.expire"
    assert {part.digest for part in court.rows(Part)} == {"other"}
    assert court.apply(ErasePayload(op_id=court.op(), call_id=call)).allowed  # Erased twice is erased.
    kind, record = court.entry(court.apply(ReplayPolicies(op_id=court.op(), first=1, end=2)))
    assert (kind, record.allowed) == ("payload.replay", True)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, True),
        ({"judgement": Judgement(0, "p", "No.")}, True),
        ({"fault": ("secret_reference", "No.")}, False),
        ({"judgement": Judgement(1)}, False),
        ({"tool": "none"}, False),
        ({"upstream": "none"}, False),
    ],
    ids=str,
)
def test_what_came_along_is_kept_with_what_is_let_through_and_what_policies_refuse(
    court: Court,
    fields: dict[str, Any],
    kept: bool,  # noqa: FBT001 - pytest hands it over by name.
) -> None:
    court.admit("s", parts=[Part("arguments", 1, b"sealed")], details_digest="arguments", **fields)
    assert [part.digest for part in court.rows(Part)] == ["arguments"] * kept


def test_what_came_along_with_a_call_too_many_is_kept(court: Court) -> None:
    judgement = Judgement(0, pending=(Pending("p", "Slow down.", RateAbove("p", "session", 1)),))
    for name, code in (("first", ""), ("second", "rate_exceeded")):
        parts = [Part(name, 1, b"sealed")]
        assert court.admit("s", parts=parts, details_digest=name, judgement=judgement).code == code
    assert {part.digest for part in court.rows(Part)} == {"first", "second"}


def test_a_held_call_keeps_its_arguments_with_the_call_it_becomes(court: Court) -> None:
    def asked(name: str) -> None:
        part = part_name(name, "arguments")
        court.admit("s", call_id=name, parts=[Part(part, 1, b"sealed")], details_digest=part)

    court.hold_rule("all")
    asked("call_one")
    asked("call_again")
    assert [part.digest for part in court.rows(Part)] == ["call_one.arguments"]
    (waiting,) = court.rows(Approval)
    court.decide(waiting.id)
    asked("call_last")
    assert [part.digest for part in court.rows(Part)] == ["call_last.arguments"]
    (used,) = court.rows(Approval)
    assert (used.details_digest, used.used_by) == ("call_last.arguments", "call_last")


def test_what_an_approver_saw_stays_where_the_released_call_brings_nothing(court: Court) -> None:
    court.hold_rule("all")
    court.admit("s", details_digest="seen", parts=[Part("seen", 1, b"sealed")])
    court.decide(court.rows(Approval)[0].id)
    assert court.admit("s").allowed
    assert ([part.digest for part in court.rows(Part)], court.rows(Approval)[0].details_digest) == (["seen"], "seen")


def test_a_held_payment_keeps_its_words(court: Court) -> None:
    court.session("payer", "spend")
    court.hold_rule("all")
    words = [Part("words", 1, b"sealed")]
    for _ in range(2):
        command = AuthorizePayment(
            op_id=court.op(),
            payment_id=f"pay-{court.op()}",
            session_id="payer",
            amount_micros=1,
            description_digest="words",
        )
        court.apply(command, words)
        for waiting in court.rows(Approval):
            if waiting.state == "pending":
                court.decide(waiting.id)
    assert [part.digest for part in court.rows(Part)] == ["words"]


def test_a_payload_is_named_by_its_call_and_leads_back_to_it() -> None:
    assert list(parts_of("call_x")) == ["call_x.arguments", "call_x.result"]
    assert {call_of(name) for name in parts_of("call_x")} == {"call_x"}


def test_a_call_is_named_by_its_op_id_and_leads_back_to_it() -> None:
    op_id = ids.op_id(1_800_000_000_000_000, b"\xff\x00abcdefg")
    call_id = ids.call_id(op_id)
    assert ids.op_of_call(call_id) == op_id
    assert ids.op_of_call(call_id[:-1] + chr(ord(call_id[-1]) + 1)) is None
    assert ids.op_of_call(ids.session_id(op_id)) is None


def test_a_payload_is_told_from_other_parts_by_its_name() -> None:
    assert all(map(is_payload, parts_of("call_1")))
    assert not is_payload("a" * 64)
    assert not is_payload("hmac-sha256:ab_cd")
