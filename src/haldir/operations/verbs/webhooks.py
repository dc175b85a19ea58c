"""Webhooks: register, list, remove, switch off and on, rotate the secret, trigger an event."""

import msgspec

from haldir.journal.command import Command
from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.secret import Secret
from haldir.operations.authenticate import require_scope
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.outcomes import allowed, allowed_result
from haldir.operations.webhooks import (
    KnownWebhook,
    known_webhook,
    new_secret,
    sealed_url,
    shown_url,
    signing_secrets,
    webhooks_of,
)
from haldir.outbound.addresses import check_url
from haldir.webhooks.commands import (
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    RotateWebhookSecret,
    SecretRotated,
    TriggerEvent,
    WebhookRegistered,
)
from haldir.webhooks.events import ALL, EVENTS, FLAGGED
from haldir.webhooks.mail_server import MAILTO, is_address
from haldir.webhooks.model import Format, WebhookProgress

NAME_CHARS_MAX = 128
GRACE_SECONDS = 86_400
GRACE_SECONDS_MIN, GRACE_SECONDS_MAX = 60, 604_800  # WIRE.md §6.
SUBSCRIBABLE = frozenset({*EVENTS, ALL, FLAGGED})
SHOWN_ONCE = "Store this secret now: it is shown once, and signs every delivery."
NOT_SIGNED = "Letters go to this address from here on; they are not signed."
NO_MAIL = "this Haldir sends no letters: its operator has to name a mail server (HALDIR_SMTP_HOST, HALDIR_SMTP_FROM)"
NO_LINKS = "nobody said where others reach this Haldir, so no link would lead here: its operator sets HALDIR_PUBLIC_URL"
ROTATED = "Deliveries bear both signatures until secret_prev_expires_at; give receivers the new secret before."


class RegisterWebhookRequest(msgspec.Struct, frozen=True):
    """Either a `url` or an `email`. `events` are names of events, or `all`.

    `format` is for programs (`haldir`), or for people in Slack or Teams; of an `email` it is `email`. With `links`,
    which need the key scope `approvals:write`, whoever gets a message decides by the links in it.
    """

    url: str = ""
    name: str = ""
    events: list[str] = msgspec.field(default_factory=lambda: [ALL])
    format: Format = "haldir"
    email: str = ""
    links: bool = False


class WebhookMade(msgspec.Struct, frozen=True):
    """`url` begins with `mailto:` if it is a mailbox; then nothing is signed, and there is no `secret`."""

    registered: bool
    webhook_id: int
    url: str
    name: str
    events: tuple[str, ...]
    format: Format
    links: bool
    secret: str
    message: str


class ListWebhooksRequest(msgspec.Struct, frozen=True):
    pass


class WebhookShown(msgspec.Struct, frozen=True):
    """`url` hides what may be a token; `failing_since` is when deliveries began to fail, if they do."""

    webhook_id: int
    url: str
    name: str
    events: tuple[str, ...]
    format: Format
    links: bool
    active: bool
    disabled_reason: str
    fire_count: int
    fail_count: int
    failing_since: float | None
    signed: bool
    created_at: float


class WebhooksListed(msgspec.Struct, frozen=True):
    webhooks: list[WebhookShown]
    count: int


class WebhookNamed(msgspec.Struct, frozen=True):
    webhook_id: int


class WebhookRemoved(msgspec.Struct, frozen=True):
    removed: bool
    webhook_id: int


class WebhookSwitchedTo(msgspec.Struct, frozen=True):
    webhook_id: int
    active: bool


class RotateSecretRequest(msgspec.Struct, frozen=True):
    """For `grace_seconds` deliveries bear the signatures of both secrets."""

    webhook_id: int
    grace_seconds: int = GRACE_SECONDS


class SecretMade(msgspec.Struct, frozen=True):
    webhook_id: int
    secret: str
    secret_prev: str
    secret_prev_expires_at: float
    grace_seconds: int
    message: str


class TriggerRequest(msgspec.Struct, frozen=True):
    """`event` is made up, with `test: true`; for one webhook, or for all that listen to it."""

    event: str
    webhook_id: int | None = None


class EventTriggered(msgspec.Struct, frozen=True):
    triggered: bool
    event: str
    event_id: str


async def register_webhook(ctx: Context, caller: Caller, request: RegisterWebhookRequest) -> WebhookMade:
    """Add an endpoint; it hears what happens from here on. Its secret is shown once."""
    url, how = _where(ctx, request)
    events = _events(request.events)
    if len(request.name) > NAME_CHARS_MAX:
        raise InvalidRequest(f"`name` is at most {NAME_CHARS_MAX} characters", "name")
    if request.links:
        await require_scope(ctx, caller, "approvals:write", "register_webhook")
        if ctx.public_url is None:
            raise InvalidRequest(NO_LINKS, "links")
    op_id = ctx.new_op()
    secret, secret_part = await new_secret(ctx, caller.tenant, op_id)
    url_part = await sealed_url(ctx, caller.tenant, op_id, Secret(url))
    command = RegisterWebhook(
        op_id=op_id,
        asked_by=caller.credential,
        name=request.name,
        events=events,
        url_digest=url_part.digest,
        secret_digest=secret_part.digest,
        format=how,
        links=request.links,
    )
    made = await allowed_result(ctx, caller.tenant, command, WebhookRegistered, [url_part, secret_part])
    shown, message = ("", NOT_SIGNED) if how == "email" else (secret.reveal(), SHOWN_ONCE)
    return WebhookMade(True, made.webhook_id, url, request.name, events, how, request.links, shown, message)


async def list_webhooks(ctx: Context, caller: Caller, _request: ListWebhooksRequest) -> WebhooksListed:
    """List the tenant's endpoints and how deliveries to them go."""
    progress = {row.webhook_id: row for row in await all_rows(ctx, caller.tenant, WebhookProgress)}
    shown = [_shown(known, progress.get(known.webhook.id)) for known in await webhooks_of(ctx, caller.tenant)]
    return WebhooksListed(shown, len(shown))


async def remove_webhook(ctx: Context, caller: Caller, request: WebhookNamed) -> WebhookRemoved:
    """Take an endpoint away; what was not delivered to it is not."""
    command = RemoveWebhook(op_id=ctx.new_op(), asked_by=caller.credential, webhook_id=request.webhook_id)
    await allowed(ctx, caller.tenant, command)
    return WebhookRemoved(removed=True, webhook_id=request.webhook_id)


async def enable_webhook(ctx: Context, caller: Caller, request: WebhookNamed) -> WebhookSwitchedTo:
    """Have a disabled endpoint hear again, from here on; what it missed can be replayed.

    Where its messages have links that decide, that hands out the power to decide, as registering it did.
    """
    linked = {known.webhook.id for known in await webhooks_of(ctx, caller.tenant) if known.webhook.links}
    if request.webhook_id in linked:
        await require_scope(ctx, caller, "approvals:write", "enable_webhook")
    command = EnableWebhook(op_id=ctx.new_op(), asked_by=caller.credential, webhook_id=request.webhook_id)
    return await _switched(ctx, caller, command, request.webhook_id, active=True)


async def disable_webhook(ctx: Context, caller: Caller, request: WebhookNamed) -> WebhookSwitchedTo:
    """Deliver nothing more to an endpoint until it is enabled."""
    command = DisableWebhook(op_id=ctx.new_op(), asked_by=caller.credential, webhook_id=request.webhook_id)
    return await _switched(ctx, caller, command, request.webhook_id, active=False)


async def rotate_webhook_secret(ctx: Context, caller: Caller, request: RotateSecretRequest) -> SecretMade:
    """Give an endpoint a new secret; for a while deliveries are signed with both."""
    if not GRACE_SECONDS_MIN <= request.grace_seconds <= GRACE_SECONDS_MAX:
        rule = f"from {GRACE_SECONDS_MIN} to {GRACE_SECONDS_MAX}"
        raise InvalidRequest(f"`grace_seconds` is {rule}", "grace_seconds")
    op_id = ctx.new_op()
    secret, part = await new_secret(ctx, caller.tenant, op_id)
    command = RotateWebhookSecret(
        op_id=op_id,
        asked_by=caller.credential,
        webhook_id=request.webhook_id,
        secret_digest=part.digest,
        grace_seconds=request.grace_seconds,
    )
    rotated = await allowed_result(ctx, caller.tenant, command, SecretRotated, [part])
    return SecretMade(
        request.webhook_id,
        secret.reveal(),
        await _previous_secret(ctx, caller, request.webhook_id),
        unix_seconds(rotated.previous_until),
        request.grace_seconds,
        ROTATED,
    )


async def trigger_event(ctx: Context, caller: Caller, request: TriggerRequest) -> EventTriggered:
    """Make an event up, so that a developer sees it arrive. It stands in the log like any other."""
    if request.event not in EVENTS:
        raise InvalidRequest(f"`event` is one of {', '.join(EVENTS)}", "event")
    op_id = ctx.new_op()
    command = TriggerEvent(op_id=op_id, asked_by=caller.credential, event=request.event, webhook_id=request.webhook_id)
    await allowed(ctx, caller.tenant, command)
    return EventTriggered(triggered=True, event=request.event, event_id=ids.event_id(op_id, 0))


def _where(ctx: Context, request: RegisterWebhookRequest) -> tuple[str, Format]:
    """Return where the endpoint is, and how it is spoken to."""
    if request.email or request.format == "email":
        return _mailbox(ctx, request), "email"
    return check_url(request.url, allow_private=ctx.allow_private), request.format


def _mailbox(ctx: Context, request: RegisterWebhookRequest) -> str:
    if request.url:
        raise InvalidRequest("`url` and `email` exclude each other", "url")
    if request.format not in {"haldir", "email"}:
        raise InvalidRequest("what goes to an `email` is a letter; leave `format` out", "format")
    if not is_address(request.email):
        raise InvalidRequest("`email` is one plain address in ASCII, such as ops@example.com", "email")
    if ctx.mail is None:
        raise InvalidRequest(NO_MAIL, "email")
    return MAILTO + request.email


def _events(given: list[str]) -> tuple[str, ...]:
    if not given:
        raise InvalidRequest("`events` needs at least one name, or `all`", "events")
    if unknown := next((name for name in given if name not in SUBSCRIBABLE), None):
        raise InvalidRequest(f"{unknown!r} is no event; there are {', '.join(sorted(SUBSCRIBABLE))}", "events")
    return tuple(sorted(set(given)))


def _shown(known: KnownWebhook, progress: WebhookProgress | None) -> WebhookShown:
    webhook = known.webhook
    failing_since = progress.failing_since if progress else None
    return WebhookShown(
        webhook.id,
        shown_url(known.url),
        webhook.name,
        webhook.events,
        webhook.format,
        webhook.links,
        webhook.active,
        webhook.disabled_reason,
        progress.delivered_count if progress else 0,
        progress.failed_count if progress else 0,
        None if failing_since is None else unix_seconds(failing_since),
        signed=webhook.format != "email",
        created_at=unix_seconds(webhook.created_at),
    )


async def _switched(
    ctx: Context, caller: Caller, command: Command, webhook_id: int, *, active: bool
) -> WebhookSwitchedTo:
    await allowed(ctx, caller.tenant, command)
    return WebhookSwitchedTo(webhook_id, active)


async def _previous_secret(ctx: Context, caller: Caller, webhook_id: int) -> str:
    """Return the secret that was replaced, while it still signs."""
    known = await known_webhook(ctx, caller.tenant, webhook_id)
    secrets = await signing_secrets(ctx, caller.tenant, known.webhook, ctx.clock()) if known else []
    return secrets[-1].reveal() if len(secrets) > 1 else ""


OPERATIONS = (
    Operation(
        name="register_webhook",
        method="POST",
        path="/v1/webhooks",
        summary="Register a webhook",
        scope="webhooks:write",
        request=RegisterWebhookRequest,
        response=WebhookMade,
        run=register_webhook,
        status=201,
        refusals=("too_many_webhooks",),
        tag="webhooks",
    ),
    Operation(
        name="list_webhooks",
        method="GET",
        path="/v1/webhooks",
        summary="List webhooks and how they do",
        scope="webhooks:read",
        request=ListWebhooksRequest,
        response=WebhooksListed,
        run=list_webhooks,
        tag="webhooks",
    ),
    Operation(
        name="remove_webhook",
        method="DELETE",
        path="/v1/webhooks/{webhook_id}",
        summary="Remove a webhook",
        scope="webhooks:write",
        request=WebhookNamed,
        response=WebhookRemoved,
        run=remove_webhook,
        refusals=("webhook_not_found",),
        tag="webhooks",
    ),
    Operation(
        name="enable_webhook",
        method="POST",
        path="/v1/webhooks/{webhook_id}/enable",
        summary="Have a disabled webhook hear again",
        scope="webhooks:write",
        request=WebhookNamed,
        response=WebhookSwitchedTo,
        run=enable_webhook,
        refusals=("webhook_not_found",),
        tag="webhooks",
    ),
    Operation(
        name="disable_webhook",
        method="POST",
        path="/v1/webhooks/{webhook_id}/disable",
        summary="Deliver nothing more to a webhook",
        scope="webhooks:write",
        request=WebhookNamed,
        response=WebhookSwitchedTo,
        run=disable_webhook,
        refusals=("webhook_not_found",),
        tag="webhooks",
    ),
    Operation(
        name="rotate_webhook_secret",
        method="POST",
        path="/v1/webhooks/{webhook_id}/rotate-secret",
        summary="Give a webhook a new secret",
        scope="webhooks:write",
        request=RotateSecretRequest,
        response=SecretMade,
        run=rotate_webhook_secret,
        refusals=("webhook_not_found",),
        tag="webhooks",
        from_query=("grace_seconds",),
    ),
    Operation(
        name="trigger_event",
        method="POST",
        path="/v1/webhooks/trigger",
        summary="Make an event up, to see it arrive",
        scope="webhooks:write",
        request=TriggerRequest,
        response=EventTriggered,
        run=trigger_event,
        refusals=("webhook_not_found", "webhook_disabled"),
        tag="webhooks",
    ),
)
