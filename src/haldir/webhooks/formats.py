"""What is posted to an endpoint for an event, in the format it was registered with. Pure."""

from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec

from haldir.kernel.ids import TenantId
from haldir.webhooks.events import Event
from haldir.webhooks.message import Link, message_of
from haldir.webhooks.slack import slack_message
from haldir.webhooks.teams import teams_message

FIELDS = {"primary": "approve_url", "danger": "deny_url"}  # WIRE.md §5 names them.

Posted = Literal["haldir", "slack", "teams"]


def body_of(event: Event, tenant: TenantId, name: str, how: Posted, links: Sequence[Link]) -> bytes:
    """Return the JSON that is posted: the event for programs (WIRE.md §6), or a message for people.

    `name` is what the endpoint calls the event, `links` where people go on from it.
    """
    match how:
        case "haldir":
            deciding = {FIELDS[link.style]: link.url for link in links if link.style in FIELDS}
            return msgspec.json.encode(event.payload(tenant, name) | deciding)
        case "slack":
            return msgspec.json.encode(slack_message(message_of(event, name, links)))
        case "teams":
            return msgspec.json.encode(teams_message(message_of(event, name, links)))
    assert_never(how)
