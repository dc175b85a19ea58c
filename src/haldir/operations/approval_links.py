"""Where people go on from a message about an approval: to its page, or by a link that decides.

Whoever holds such a link decides, so webhooks give them only if they were made to. A link is sealed, so that it can be
neither made nor altered outside, and says for which approval, by which webhook, which way, and until when. It is no
secret that is stored: what it may still do is decided under the log head each time.
"""

import base64
import binascii

import msgspec

from haldir.approvals.model import Approval
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.operations.approval_commands import Verdict
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.credentials import LINK
from haldir.operations.living import find_row
from haldir.vault.seal import SealBroken
from haldir.webhooks.events import APPROVAL, Event
from haldir.webhooks.message import Link
from haldir.webhooks.model import Webhook
from haldir.webhooks.samples import TEST

PATH = "/approve/"
ASKED = "approval_requested"
LABEL = "approval.link"
BOUND_TO = LABEL.encode()
TOKEN_CHARS_MAX = 512  # Ours have about 150.


class DecidingLink(msgspec.Struct, frozen=True, array_like=True):
    """What a link may do: once, for one approval, one way, until the approval would have expired."""

    tenant: TenantId
    approval_id: str
    webhook_id: int
    verdict: Verdict
    expires_at: Micros


async def links_for(ctx: Context, tenant: TenantId, webhook: Webhook, event: Event) -> tuple[Link, ...]:
    """Return the links of a message; none where nobody said at which URL others reach this Haldir.

    Those of a sample look as they do in a real one, and lead to an approval that there is not.
    """
    approval_id = event.fields.get("request_id")
    if ctx.public_url is None or not event.kind.startswith(APPROVAL) or not approval_id:
        return ()
    opening = Link("Open", f"{ctx.public_url}/approvals/{approval_id}")
    if not webhook.links or event.kind != ASKED:
        return (opening,)
    expires_at = event.at if event.fields.get(TEST) else await _open_until(ctx, tenant, approval_id)
    if expires_at is None:  # It was decided before this could be delivered.
        return (opening,)
    verdicts: tuple[Verdict, ...] = ("approve", "deny")
    approving, denying = (
        _url(ctx, DecidingLink(tenant, approval_id, webhook.id, verdict, expires_at)) for verdict in verdicts
    )
    return (Link("Approve…", approving, "primary"), Link("Deny…", denying, "danger"), opening)


def link_of(ctx: Context, token: str) -> DecidingLink | None:
    """Return what a token stands for, if it is one of ours; anybody may send any text."""
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    try:
        box = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(ctx.keyring.open_box(LABEL, box, BOUND_TO), type=DecidingLink)
    except (binascii.Error, SealBroken, msgspec.DecodeError):
        return None


async def caller_by(ctx: Context, link: DecidingLink) -> Caller:
    """Return as whom a link decides: itself, answered for by the key that made its webhook, which never changes."""
    webhook = await find_row(ctx, link.tenant, Webhook, link.webhook_id)
    made_by = webhook.made_by if webhook else ""
    return Caller(link.tenant, CredentialRef(LINK, str(link.webhook_id)), answers_for=made_by)


async def _open_until(ctx: Context, tenant: TenantId, approval_id: str) -> Micros | None:
    """Return until when an approval can be decided; None if it no longer can."""
    approval = await find_row(ctx, tenant, Approval, approval_id)
    return approval.expires_at if approval and approval.status(ctx.clock()) == "pending" else None


def _url(ctx: Context, link: DecidingLink) -> str:
    box = ctx.keyring.seal_box(LABEL, msgspec.msgpack.encode(link), BOUND_TO)
    return f"{ctx.public_url}{PATH}{base64.urlsafe_b64encode(box).decode().rstrip('=')}"
