"""What was said of an approval by whoever asked or decided: as it is sealed, and as read from opened parts."""

from collections.abc import Iterator
from typing import Any

import msgspec

from haldir.approvals.model import Approval
from haldir.approvals.rules import held_reason

NOTHING_SAID = msgspec.Raw(b"null")


class AskedWords(msgspec.Struct, frozen=True):
    """What whoever asked said of it, as it is sealed. Values are JSON as it came."""

    reason: str = ""
    details: msgspec.Raw = NOTHING_SAID
    params: msgspec.Raw = NOTHING_SAID


class DeciderWords(msgspec.Struct, frozen=True):
    """What whoever decided said, as it is sealed. The name is a claim; the credential is what counts."""

    note: str = ""
    decided_by: str = ""


def word_parts(approval: Approval) -> Iterator[str]:
    """Name the parts in which it stands; empty where nothing was said."""
    yield from (approval.details_digest, approval.note_digest)
    yield from (vote.note_digest for vote in approval.votes)


def asked_words(approval: Approval, said: dict[str, bytes]) -> AskedWords:
    """Return what whoever asked said, of the parts that were opened; of what rules hold, why, and what is asked for."""
    sealed = said.get(approval.details_digest)
    if approval.effect == "ask":
        return msgspec.json.decode(sealed, type=AskedWords) if sealed else AskedWords()
    reason = reason_for_holding(approval)
    if sealed is None:
        return AskedWords(reason)
    return AskedWords(reason, _of_payment(sealed) if approval.effect == "payment" else msgspec.Raw(sealed))


def decider_words(digest: str, said: dict[str, bytes]) -> DeciderWords:
    """Return what whoever decided said, of the parts that were opened; nothing where it was erased."""
    sealed = said.get(digest)
    return msgspec.json.decode(sealed, type=DeciderWords) if sealed else DeciderWords()


def reason_for_holding(approval: Approval) -> str:
    """Return why rules hold what is asked for."""
    return approval.rule_reason or held_reason(approval.rule_id, approval.rule_kind)


def _of_payment(sealed: bytes) -> msgspec.Raw:
    described: dict[str, Any] = {"description": sealed.decode()}
    return msgspec.Raw(msgspec.json.encode(described))
