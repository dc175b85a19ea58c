"""The command that shows a secret: what a session may see (gate) meets what there is to see (vault)."""

from collections.abc import Iterable

import msgspec

from haldir.gate.liveness import chain_needs, foreign_refusal, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import STALE, Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.scopes import covers
from haldir.storage.rows import Find
from haldir.vault.commands import secret_needs, standing_version, unknown_secret
from haldir.vault.model import Exposure, StoredSecret


class SecretRevealed(msgspec.Struct, frozen=True):
    """What was shown: the value of this version, or with `inject` only the reference to it."""

    version: int
    exposure: Exposure


class RevealSecret(Command, frozen=True, tag="secret.reveal"):
    """Let a session see a secret. `value_digest` is the version that the asker has at hand, sealed; "" is none."""

    name: str
    session_id: str = ""
    value_digest: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from secret_needs(rows, self.name)
        yield from chain_needs(rows, self.session_id)

    def subject(self) -> Subject:
        return Subject(self.session_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        version = standing_version(rows, self.name)
        if version is None:
            return deny(*unknown_secret(self.name), self.subject())
        if refusal := session_refusal(rows, self.session_id, now):
            return deny(*refusal, self.subject())
        session = rows.the(Session, self.session_id)
        if refusal := foreign_refusal(self.asked_by, session):
            return deny(*refusal, self.subject())
        about = Subject(session.id, session.agent_id)
        secret = rows.the(StoredSecret, self.name)
        if not covers(session.scopes, secret.scope_required):
            reason = f"The secret {self.name!r} needs the scope {secret.scope_required!r}, which this session lacks."
            return deny("scope_missing", reason, about)
        if version.digest != self.value_digest:
            return STALE
        return allow(about=about, result=SecretRevealed(version.version, secret.exposure))
