"""Which entries of the log are events, and what is told of them: one pure function of an entry.

An event says only what its entry says, so no argument, result, secret or free text can be in it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from haldir.journal.command import ANOMALY, Notice, Record
from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.ids import TenantId, entry_id, event_id
from haldir.kernel.money import wire_amount
from haldir.webhooks.samples import sample_of

EVENTS_PER_ENTRY = 16  # Places an entry takes; the notices of one entry are a handful.
ALL = "all"
APPROVAL = "approval_"  # What events about approvals begin with.
FLAGGED = "flagged"  # WIRE.md §6: another name under which anomalies may be asked for.
SOURCE = "haldir"

Fields = dict[str, Any]


class Event(msgspec.Struct, frozen=True):
    """Something that happened, at its place in the order of all events; `only_for` names one endpoint, if any."""

    place: int
    id: str
    kind: str
    at: Micros
    fields: Fields
    only_for: int | None = None

    def heard_as(self, webhook_id: int, wanted: tuple[str, ...]) -> str | None:
        """Return under which name an endpoint that wants these events hears of it, or None if it does not."""
        if self.only_for is not None:
            return self.kind if self.only_for == webhook_id else None
        if ALL in wanted or self.kind in wanted:
            return self.kind
        return FLAGGED if self.kind == ANOMALY and FLAGGED in wanted else None

    def payload(self, tenant: TenantId, name: str) -> Fields:
        """Return what is sent (WIRE.md §6)."""
        said = {name: value for name, value in self.fields.items() if value not in ("", None)}
        envelope = {"event": name, "event_id": self.id, "timestamp": unix_seconds(self.at), "source": SOURCE}
        return {**said, "tenant_id": tenant, **envelope}


def first_place(index: int) -> int:
    """Return the place of an entry's first event."""
    return index * EVENTS_PER_ENTRY


def index_of(place: int) -> int:
    """Return the index of the entry that an event comes from."""
    return place // EVENTS_PER_ENTRY


def events_of(index: int, body: bytes) -> list[Event]:
    """Return the events that an entry is."""
    record = msgspec.json.decode(body, type=Record)
    asked = msgspec.json.decode(record.command, type=_Asked)
    found = [*_from_command(asked, record), *(_from_notice(asked, notice) for notice in record.notices)][
        :EVENTS_PER_ENTRY
    ]
    about = {**msgspec.structs.asdict(record.about), "entry_id": entry_id(index), "asked_by": str(asked.asked_by)}
    return [
        Event(
            place=first_place(index) + number,
            id=event_id(asked.op_id, number),
            kind=kind,
            at=record.at,
            fields={**about, **fields},
            only_for=asked.webhook_id if kind == asked.event else None,
        )
        for number, (kind, fields) in enumerate(found)
    ]


class _By(msgspec.Struct, frozen=True):
    kind: str = "system"
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class _Charge(msgspec.Struct, frozen=True):
    """What a tool call costs."""

    micros: int | None = None


class _Asked(msgspec.Struct, frozen=True):
    """What events tell of a command."""

    kind: str
    op_id: str
    asked_by: _By = _By()
    policy_id: str = ""
    policy_kind: str = ""
    puts: tuple[Any, ...] = ()
    removes: tuple[Any, ...] = ()
    restores: int = 0
    rule_id: str = ""
    rule_kind: str = ""
    four_eyes: bool = False
    prefix: str = ""
    name: str = ""
    reason: str = ""
    webhook_id: int | None = None
    event: str = ""
    action: str = ""
    verdict: str = ""
    healthy: bool = False
    amount_micros: int | None = None
    charge: _Charge = _Charge()


class _Result(msgspec.Struct, frozen=True):
    """What events tell of what a decision came to."""

    epoch: int | None = None
    quarantined: tuple[str, ...] = ()
    changed: bool = True


Told = tuple[str, Fields]
Teller = Callable[[_Asked, _Result], Told | None]


def _policy_added(asked: _Asked, result: _Result) -> Told:
    said = {"change": "added", "policy_id": asked.policy_id, "policy_kind": asked.policy_kind}
    return "policy_changed", {**said, "epoch": result.epoch}


def _policy_removed(asked: _Asked, result: _Result) -> Told:
    return "policy_changed", {"change": "removed", "policy_id": asked.policy_id, "epoch": result.epoch}


def _policies_replaced(asked: _Asked, result: _Result) -> Told | None:
    if not asked.puts and not asked.removes:
        return None
    return "policy_changed", {"change": "restored" if asked.restores else "replaced", "epoch": result.epoch}


def _approval_rule_added(asked: _Asked, _result: _Result) -> Told:
    return "policy_changed", {"change": "approval_rule_added", "rule_id": asked.rule_id, "rule_kind": asked.rule_kind}


def _approval_rule_removed(asked: _Asked, _result: _Result) -> Told:
    return "policy_changed", {"change": "approval_rule_removed", "rule_id": asked.rule_id}


def _four_eyes_set(asked: _Asked, _result: _Result) -> Told:
    return "policy_changed", {"change": "four_eyes", "four_eyes": asked.four_eyes}


def _tools_observed(_asked: _Asked, result: _Result) -> Told | None:
    return ("upstream_quarantined", {"tools": list(result.quarantined)}) if result.quarantined else None


def _upstream_health(asked: _Asked, result: _Result) -> Told | None:
    if not result.changed:
        return None
    return "upstream_recovered" if asked.healthy else "upstream_unhealthy", {"reason": asked.reason}


def _webhook_disabled(asked: _Asked, result: _Result) -> Told | None:
    if not result.changed:
        return None
    return "webhook_disabled", {"webhook_id": asked.webhook_id, "reason": asked.reason or "asked"}


def _triggered(asked: _Asked, _result: _Result) -> Told:
    return asked.event, sample_of(asked.event)


_TELLERS: dict[str, Teller] = {
    "session.revoke": lambda _asked, _result: ("session_revoked", {}),
    "agent.revoke": lambda _asked, _result: ("agent_revoked", {}),
    "policy.add": _policy_added,
    "policy.remove": _policy_removed,
    "policy.replace": _policies_replaced,
    "approval.rule.add": _approval_rule_added,
    "approval.rule.remove": _approval_rule_removed,
    "approval.four_eyes": _four_eyes_set,
    "key.create": lambda asked, _result: ("key_created", {"prefix": asked.prefix, "name": asked.name}),
    "key.revoke": lambda asked, _result: ("key_revoked", {"prefix": asked.prefix}),
    "tools.observe": _tools_observed,
    "upstream.health": _upstream_health,
    "webhook.disable": _webhook_disabled,
    "webhook.trigger": _triggered,
}

# What may be listened to, besides all of it; an anomaly may be asked for as `flagged`, too.
EVENTS = (
    ANOMALY,
    "agent_revoked",
    "approval_decided",
    "approval_expired",
    "approval_requested",
    "budget_exhausted",
    "budget_threshold",
    "key_created",
    "key_revoked",
    "policy_changed",
    "session_revoked",
    "upstream_quarantined",
    "upstream_recovered",
    "upstream_unhealthy",
    "webhook_disabled",
)


def _from_command(asked: _Asked, record: Record) -> Iterator[Told]:
    """Yield what an allowed command is to others; a refused one is nothing."""
    tell = _TELLERS.get(asked.kind)
    if tell is not None and record.allowed:
        result = msgspec.json.decode(record.result, type=_Result | None) or _Result()
        if (told := tell(asked, result)) is not None:
            yield told


def _from_notice(asked: _Asked, notice: Notice) -> Told:
    if not notice.kind.startswith(APPROVAL):
        return notice.kind, {"subject": notice.about, "reason": notice.reason}
    micros = asked.charge.micros if asked.amount_micros is None else asked.amount_micros
    amount = None if micros is None else wire_amount(micros)
    return notice.kind, {
        "request_id": notice.about,
        "reason": notice.reason,
        "action": asked.action,
        "amount": amount,
        "decision": asked.verdict,
    }
