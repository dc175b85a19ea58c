"""Commands on webhooks: the endpoints themselves. That a delivery was made is no command, or it would be an event."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from haldir.journal.command import Command, Decision, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Micros
from haldir.storage.rows import Find
from haldir.webhooks.model import Format, Webhook, WebhookCount

WEBHOOKS_MAX = 50  # Of one tenant; each is served by itself, so that the slow ones delay nobody.

Reason = Literal["asked", "failing"]


class WebhookRegistered(msgspec.Struct, frozen=True):
    webhook_id: int


class RegisterWebhook(Command, frozen=True, tag="webhook.register"):
    """Add an endpoint; it hears what happens from here on."""

    name: str
    events: tuple[str, ...]
    url_digest: str
    secret_digest: str
    format: Format = "haldir"
    links: bool = False

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield WebhookCount.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        count = rows.get(WebhookCount) or WebhookCount()
        if count.standing >= WEBHOOKS_MAX:
            return deny("too_many_webhooks", f"There are {WEBHOOKS_MAX} webhooks, which is as many as there may be.")
        number = count.last_id + 1
        webhook = Webhook(
            number,
            self.name,
            self.events,
            self.url_digest,
            self.secret_digest,
            None,
            None,
            now,
            self.op_id,
            format=self.format,
            links=self.links,
            made_by=str(self.asked_by),
        )
        return allow(webhook, WebhookCount(number, count.standing + 1), result=WebhookRegistered(number))


class RemoveWebhook(Command, frozen=True, tag="webhook.remove"):
    """Take an endpoint away; what was not delivered to it is not."""

    webhook_id: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Webhook.at(self.webhook_id)
        yield WebhookCount.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        webhook = rows.get(Webhook, self.webhook_id)
        if webhook is None:
            return _unknown(self.webhook_id)
        count = rows.the(WebhookCount)
        return allow(
            count.but(standing=count.standing - 1),
            drops=(webhook,),
            erases=(webhook.url_digest, *webhook.secrets_kept()),
        )


class SecretRotated(msgspec.Struct, frozen=True):
    previous_until: Micros


class RotateWebhookSecret(Command, frozen=True, tag="webhook.rotate"):
    """Give an endpoint a new secret; for a while deliveries are signed with both."""

    webhook_id: int
    secret_digest: str
    grace_seconds: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Webhook.at(self.webhook_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        webhook = rows.get(Webhook, self.webhook_id)
        if webhook is None:
            return _unknown(self.webhook_id)
        until = now + self.grace_seconds * SECOND
        rotated = webhook.but(
            secret_digest=self.secret_digest,
            previous_secret_digest=webhook.secret_digest,
            previous_until=until,
        )
        gone = webhook.secrets_kept()[1:]  # Two secrets are kept, never three.
        return allow(rotated, erases=gone, result=SecretRotated(until))


class WebhookSwitched(msgspec.Struct, frozen=True):
    """Whether anything changed by it."""

    changed: bool


class EnableWebhook(Command, frozen=True, tag="webhook.enable"):
    """Have a disabled endpoint hear again, from here on; what it missed can be replayed."""

    webhook_id: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Webhook.at(self.webhook_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        webhook = rows.get(Webhook, self.webhook_id)
        if webhook is None:
            return _unknown(self.webhook_id)
        if webhook.active:
            return allow(result=WebhookSwitched(changed=False))
        enabled = webhook.but(disabled_at=None, disabled_reason="", since_op=self.op_id)
        return allow(enabled, result=WebhookSwitched(changed=True))


class DisableWebhook(Command, frozen=True, tag="webhook.disable"):
    """Deliver nothing more to an endpoint until it is enabled."""

    webhook_id: int
    reason: Reason = "asked"

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Webhook.at(self.webhook_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        webhook = rows.get(Webhook, self.webhook_id)
        if webhook is None:
            return _unknown(self.webhook_id)
        if not webhook.active:
            return allow(result=WebhookSwitched(changed=False))
        return allow(webhook.but(disabled_at=now, disabled_reason=self.reason), result=WebhookSwitched(changed=True))


class TriggerEvent(Command, frozen=True, tag="webhook.trigger"):
    """Make an event up, so that developers see one arrive: for one endpoint, or for all that listen to it."""

    event: str
    webhook_id: int | None = None

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        if self.webhook_id is not None:
            yield Webhook.at(self.webhook_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return _heard(rows, self.webhook_id) if self.webhook_id is not None else allow()


class ReplayEvents(Command, frozen=True, tag="webhook.replay"):
    """Have an endpoint told again of what it may have missed; the events themselves stand in the log."""

    webhook_id: int
    event_count: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Webhook.at(self.webhook_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return _heard(rows, self.webhook_id)


def _heard(rows: WorkingSet, webhook_id: int) -> Decision:
    """Allow what an endpoint will hear of: one that stands, and is not disabled."""
    webhook = rows.get(Webhook, webhook_id)
    if webhook is None:
        return _unknown(webhook_id)
    if not webhook.active:
        return deny("webhook_disabled", f"The webhook {webhook_id} is disabled: nothing would be delivered.")
    return allow()


def _unknown(webhook_id: int) -> Decision:
    return deny("webhook_not_found", f"There is no webhook {webhook_id}.")
