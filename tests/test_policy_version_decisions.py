"""Each change of the policies is a version of the whole set: what stood in any of them can be told for ever."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from court import START, Court, key_ref
from haldir.journal.command import Outcome
from haldir.kernel.clock import MINUTE
from haldir.proxy.model import PastPolicy, PolicyEpoch, PolicyVersion, StoredPolicy
from haldir.proxy.policy_commands import AddPolicy, PolicyChanged, PutPolicy, RemovePolicy, ReplacePolicies

LATER = START + MINUTE
NAMES = "abcd"


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def add(court: Court, name: str, digest: str = "d", **fields: Any) -> Outcome:
    command = AddPolicy(op_id=court.op(), policy_id=name, policy_kind="block_tool", definition_digest=digest, **fields)
    return court.apply(command)


def remove(court: Court, name: str, **fields: Any) -> Outcome:
    return court.apply(RemovePolicy(op_id=court.op(), policy_id=name, **fields))


def replace(court: Court, expected_epoch: int, puts: str = "", removes: str = "", **fields: Any) -> Outcome:
    fields.setdefault("definitions_digest", "")
    command = ReplacePolicies(
        op_id=court.op(),
        expected_epoch=expected_epoch,
        puts=tuple(PutPolicy(name, "rule") for name in puts),
        removes=tuple(removes),
        **fields,
    )
    return court.apply(command)


def epoch_of(outcome: Outcome) -> int:
    assert outcome.allowed, outcome
    return msgspec.json.decode(outcome.result, type=PolicyChanged).epoch


def refusal(outcome: Outcome) -> tuple[str, str]:
    assert not outcome.allowed
    return outcome.code, outcome.reason


def test_a_set_takes_the_place_of_another_at_once_and_leaves_it_as_past(court: Court) -> None:
    admin = court.key("hld_1")
    add(court, "a", "one", asked_by=admin)
    add(court, "b", "two", asked_by=admin)
    court.now = LATER
    assert epoch_of(replace(court, 2, "bc", "a", definitions_digest="list", asked_by=admin)) == 3
    assert court.rows(StoredPolicy) == [
        StoredPolicy("b", "rule", "list", LATER, 0, 3),
        StoredPolicy("c", "rule", "list", LATER, 1, 3),
    ]
    assert sorted(court.rows(PastPolicy), key=repr) == [
        PastPolicy("a", 1, 3, "block_tool", "one", 0, START),
        PastPolicy("b", 2, 3, "block_tool", "two", 0, START),
    ]
    assert court.rows(PolicyEpoch) == [PolicyEpoch(3)]
    assert court.rows(PolicyVersion) == [
        PolicyVersion(1, START, "key:hld_1", 1, 0),
        PolicyVersion(2, START, "key:hld_1", 1, 0),
        PolicyVersion(3, LATER, "key:hld_1", 2, 1),
    ]


def test_an_older_set_that_is_brought_back_is_a_version_of_its_own_that_says_so(court: Court) -> None:
    add(court, "a", "one")
    replace(court, 1, "b", "a", definitions_digest="list")
    assert epoch_of(replace(court, 2, "a", "b", definitions_digest="one again", restores=1)) == 3
    assert court.rows(StoredPolicy) == [StoredPolicy("a", "rule", "one again", START, 0, 3)]
    assert court.rows(PastPolicy) == [
        PastPolicy("a", 1, 2, "block_tool", "one", 0, START),
        PastPolicy("b", 2, 3, "rule", "list", 0, START),
    ]
    assert court.rows(PolicyVersion)[-1] == PolicyVersion(3, START, "system:", 1, 1, restores=1)


def test_changes_that_were_worked_out_by_another_version_are_refused(court: Court) -> None:
    add(court, "a")
    for expected in (0, 2):
        told = refusal(replace(court, expected, "b", "a", definitions_digest="list"))
        assert told == ("policies_changed", f"The policies are at version 1 by now, not at {expected}.")
    assert refusal(replace(court, 0)) == ("policies_changed", "The policies are at version 1 by now, not at 0.")
    assert [row.id for row in court.rows(StoredPolicy)] == ["a"]
    assert court.rows(PolicyEpoch) == [PolicyEpoch(1)]
    assert court.rows(PastPolicy) == []


def test_a_change_of_nothing_is_no_version(court: Court) -> None:
    assert epoch_of(replace(court, 0)) == 0
    add(court, "a")
    assert epoch_of(replace(court, 1)) == 1
    assert court.rows(PolicyVersion) == [PolicyVersion(1, START, "system:", 1, 0)]


def test_what_there_is_not_cannot_be_removed_and_then_nothing_is_put(court: Court) -> None:
    add(court, "a")
    assert refusal(replace(court, 1, "c", "ab", definitions_digest="list")) == (
        "policy_not_found",
        "There is no policy b.",
    )
    assert refusal(remove(court, "b")) == ("policy_not_found", "There is no policy b.")
    assert [row.id for row in court.rows(StoredPolicy)] == ["a"]


def test_a_policy_that_stands_is_not_added_again_but_one_that_was_removed_may_be(court: Court) -> None:
    add(court, "a", "one")
    assert refusal(add(court, "a", "two")) == ("exists", "A policy a exists already.")
    remove(court, "a")
    assert epoch_of(add(court, "a", "three")) == 3
    assert court.rows(StoredPolicy) == [StoredPolicy("a", "block_tool", "three", START, 0, 3)]
    assert court.rows(PastPolicy) == [PastPolicy("a", 1, 2, "block_tool", "one", 0, START)]


def test_a_policy_takes_little_room_in_an_entry_for_there_may_be_a_thousand() -> None:
    assert msgspec.json.encode(PutPolicy("a", "rule")) == b'["a","rule"]'


def test_a_revoked_key_replaces_nothing(court: Court) -> None:
    assert not replace(court, 0, "a", definitions_digest="list", asked_by=key_ref("nobody")).allowed
    assert court.rows(StoredPolicy) == []


def stood(court: Court, epoch: int) -> dict[str, tuple[str, int]]:
    """Return what stood in a version, as the rows tell it: by name, where its definition is."""
    standing = [row for row in court.rows(StoredPolicy) if row.since_epoch <= epoch]
    past = [row for row in court.rows(PastPolicy) if row.since_epoch <= epoch < row.until_epoch]
    found = {row.id: (row.definition_digest, row.place) for row in standing}
    found |= {row.id: (row.definition_digest, row.place) for row in past}
    assert len(found) == len(standing) + len(past)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(NAMES)),
            st.tuples(st.just("remove"), st.sampled_from(NAMES)),
            st.tuples(st.just("replace"), st.permutations(NAMES), st.integers(0, 4), st.integers(0, 4)),
        ),
        max_size=12,
    )
)
def test_every_version_that_ever_was_can_still_be_told(runner: asyncio.Runner, changes: list[Any]) -> None:
    court = Court(runner)
    now: dict[str, tuple[str, int]] = {}
    history = [now]
    for number, (verb, *what) in enumerate(changes):
        digest = f"d{number}"
        match verb:
            case "add":
                outcome, after = add(court, what[0], digest), now | {what[0]: (digest, 0)}
                assert outcome.allowed == (what[0] not in now)
            case "remove":
                outcome = remove(court, what[0])
                after = {name: said for name, said in now.items() if name != what[0]}
            case _:
                names, puts, kept = what
                put, removed = names[:puts], [name for name in names[puts + kept :] if name in now]
                outcome = replace(court, len(history) - 1, "".join(put), "".join(removed), definitions_digest=digest)
                after = {name: said for name, said in now.items() if name not in removed}
                after |= {name: (digest, place) for place, name in enumerate(put)}
        if outcome.allowed and epoch_of(outcome) == len(history):
            now = after
            history.append(now)
    assert [stood(court, epoch) for epoch in range(len(history))] == history
    assert [row.epoch for row in court.rows(PolicyVersion)] == list(range(1, len(history)))
