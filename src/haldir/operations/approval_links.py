"""Where people go on from a message about an approval."""

from haldir.operations.context import Context
from haldir.webhooks.events import APPROVAL, Event
from haldir.webhooks.message import Link


def links_for(ctx: Context, event: Event) -> tuple[Link, ...]:
    """Return the links of a message; none where nobody said at which URL others reach this Haldir."""
    approval_id = event.fields.get("request_id")
    if ctx.public_url is None or not event.kind.startswith(APPROVAL) or not approval_id:
        return ()
    return (Link("Open", f"{ctx.public_url}/approvals/{approval_id}"),)
