"""What an attempt changes: pure steps from one state of an endpoint's deliveries to the next.

An endpoint is served in order. Its front is the first event not delivered; nothing overtakes it, but see `Probe`.
"""

import msgspec

from haldir.kernel.clock import Micros
from haldir.webhooks.events import Event
from haldir.webhooks.model import WebhookProgress, WebhookRetry
from haldir.webhooks.schedule import ASIDE_ATTEMPTS, ATTEMPTS_MAX, DISABLE_AFTER, pause
from haldir.webhooks.sent import Sent


class Front(msgspec.Struct, frozen=True):
    """The first event that was not delivered."""

    event: Event


class Probe(msgspec.Struct, frozen=True):
    """The event after a front that was refused often: if it is taken, the receiver is well and the front set aside."""

    event: Event
    front: Event


class Owed(msgspec.Struct, frozen=True):
    """An event owed out of order."""

    event: Event
    retry: WebhookRetry


Choice = Front | Probe | Owed


class Step(msgspec.Struct, frozen=True):
    """What an attempt changes beside the list of attempts."""

    progress: WebhookProgress
    puts: tuple[WebhookRetry, ...] = ()
    drops: tuple[WebhookRetry, ...] = ()


def attempt_of(choice: Choice, progress: WebhookProgress) -> int:
    """Return which attempt this is."""
    match choice:
        case Front():
            return progress.attempts + 1
        case Owed(retry=retry):
            return retry.attempts + 1
        case Probe():
            return 1


def after(progress: WebhookProgress, choice: Choice, sent: Sent, now: Micros, chance: float) -> Step:
    """Return what follows from an attempt."""
    if sent.delivered:
        return _delivered(progress, choice, now, chance)
    failed = progress.but(failed_count=progress.failed_count + 1)
    match choice:
        case Front():
            return Step(_paused(failed.but(attempts=progress.attempts + 1), sent, now, chance))
        case Probe():
            return Step(failed)
        case Owed(retry=retry):
            again = retry.but(
                attempts=retry.attempts + 1, retry_at=now + pause(retry.attempts + 1, chance, sent.retry_after_seconds)
            )
            healthy = sent.refused and not progress.failures  # It dislikes this event; others need not wait.
            then = failed if healthy else _paused(failed, sent, now, chance)
            return Step(then, drops=(retry,)) if again.attempts >= ATTEMPTS_MAX else Step(then, puts=(again,))


def may_probe(progress: WebhookProgress, sent: Sent) -> bool:
    """Tell whether, the front having failed like this, the event after it may be tried."""
    return sent.refused and progress.attempts >= ASIDE_ATTEMPTS


def is_hopeless(progress: WebhookProgress, now: Micros) -> bool:
    """Tell whether an endpoint has failed for so long that it is to be disabled."""
    return progress.failing_since is not None and now - progress.failing_since >= DISABLE_AFTER


def _delivered(progress: WebhookProgress, choice: Choice, now: Micros, chance: float) -> Step:
    well = progress.but(failures=0, failing_since=None, retry_at=0, delivered_count=progress.delivered_count + 1)
    match choice:
        case Front(event=event):
            return Step(well.but(place=event.place + 1, attempts=0))
        case Owed(retry=retry):
            return Step(well, drops=(retry,))
        case Probe(event=event, front=front):
            retry_at = now + pause(progress.attempts, chance)
            aside = WebhookRetry(progress.webhook_id, front.place, progress.attempts, retry_at)
            return Step(well.but(place=event.place + 1, attempts=0), puts=(aside,))


def _paused(failed: WebhookProgress, sent: Sent, now: Micros, chance: float) -> WebhookProgress:
    return failed.but(
        failures=failed.failures + 1,
        retry_at=now + pause(failed.failures + 1, chance, sent.retry_after_seconds),
        failing_since=now if failed.failing_since is None else failed.failing_since,
    )
