"""Whether a credential of any kind counts, at one instant: those that gate knows, and links that decide. Pure.

A link's power was handed out by the key that made its webhook, and ends with either of them.
"""

from collections.abc import Iterable

from haldir.gate.liveness import chain_needs
from haldir.gate.liveness import credential_refusal as gate_refusal
from haldir.gate.model import Agent, ApiKey
from haldir.journal.command import CredentialRef
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Refusal
from haldir.storage.rows import Find
from haldir.webhooks.model import Webhook

LINK = "link"  # The kind of credential that a link in a webhook's messages is; its id is the webhook's.
ENDED = "The webhook that this link came by is gone or disabled, or gives no such links."


def credential_refusal(rows: WorkingSet, ref: CredentialRef, now: Micros) -> Refusal | None:
    """Return why the credential no longer counts, or None."""
    if ref.kind != LINK:
        return gate_refusal(rows, ref, now)
    webhook = rows.get(Webhook, int(ref.id))
    if webhook is None or not webhook.active or not webhook.links:
        return "link_ended", ENDED
    if gate_refusal(rows, _maker(webhook), now):
        return "link_ended", f"{webhook.made_by}, which answers for the webhook that this link came by, was revoked."
    return None


def credential_needs(rows: WorkingSet, ref: CredentialRef) -> Iterable[Find]:
    """Name the rows that `credential_refusal` looks at."""
    match ref.kind:
        case "key":
            yield ApiKey.at(ref.id)
        case "agent":
            yield Agent.at(ref.id)
        case "session":
            yield from chain_needs(rows, ref.id)
        case "link":
            yield Webhook.at(int(ref.id))
            if webhook := rows.peek(Webhook, int(ref.id)):
                yield from credential_needs(rows, _maker(webhook))


def _maker(webhook: Webhook) -> CredentialRef:
    kind, _, name = webhook.made_by.partition(":")
    return CredentialRef(kind, name)
