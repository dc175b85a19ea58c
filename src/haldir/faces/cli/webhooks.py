"""`haldir webhooks`: who is told what happens, and what became of each delivery."""

import click

from haldir.faces.cli.arguments import Instant, Seconds, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, plain, print_fields, print_table
from haldir.faces.cli.webhook_listen import listen_and_forward

PAGE = 500  # The most that one answer holds.
FORMATS = ("haldir", "slack", "teams")


@click.group()
def webhooks() -> None:
    """Who is told what happens, and what became of each delivery."""


@webhooks.command()
@click.argument("address", metavar="[URL]", default="")
@click.option("--email", default="", help="Send letters to this address, instead of posting to a URL.")
@click.option("--name", default="", help="What to call it.")
@click.option("--events", default="all", show_default=True, help="Names of events, with commas between.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Who reads them there."
)
@click.option("--links", is_flag=True, help="Whoever gets a message may approve or deny by the links in it.")
@speaks_rest
def register(remote: Remote, address: str, *, email: str, name: str, events: str, form: str, links: bool) -> None:
    """Have events sent to URL from here on: for programs (haldir), or for people in Slack or Teams; or by --email."""
    if bool(address) == bool(email):
        raise click.UsageError("Give a URL or --email ADDRESS: one of them.")
    wanted = [each.strip() for each in events.split(",") if each.strip()]
    body = {"url": address, "email": email, "name": name, "events": wanted, "format": form, "links": links}
    remote.show(remote.post("/v1/webhooks", body), _print_made)


@webhooks.command("list")
@speaks_rest
def list_webhooks(remote: Remote) -> None:
    """List the webhooks and how they do."""
    remote.show(remote.get("/v1/webhooks"), _print_webhooks)


@webhooks.command()
@click.argument("webhook_id", type=int)
@speaks_rest
def remove(remote: Remote, webhook_id: int) -> None:
    """Remove a webhook."""
    answer = remote.delete(f"/v1/webhooks/{webhook_id}")
    remote.show(answer, lambda _: click.echo(f"Webhook {webhook_id} is removed."))


@webhooks.command()
@click.argument("webhook_id", type=int)
@speaks_rest
def enable(remote: Remote, webhook_id: int) -> None:
    """Have a disabled webhook hear again, from here on."""
    answer = remote.post(f"/v1/webhooks/{webhook_id}/enable", {})
    remote.show(answer, lambda _: click.echo(f"Webhook {webhook_id} is enabled."))


@webhooks.command()
@click.argument("webhook_id", type=int)
@speaks_rest
def disable(remote: Remote, webhook_id: int) -> None:
    """Deliver nothing more to a webhook until it is enabled."""
    answer = remote.post(f"/v1/webhooks/{webhook_id}/disable", {})
    remote.show(answer, lambda _: click.echo(f"Webhook {webhook_id} is disabled."))


@webhooks.command()
@click.argument("webhook_id", type=int)
@click.option("--grace", type=Seconds(), default="1d", show_default=True, help="How long the old secret signs, too.")
@speaks_rest
def rotate(remote: Remote, webhook_id: int, grace: int) -> None:
    """Give a webhook a new secret."""
    answer = remote.post(f"/v1/webhooks/{webhook_id}/rotate-secret", {"grace_seconds": grace})
    remote.show(answer, _print_rotated)


@webhooks.command()
@click.argument("event")
@click.option("--webhook", "webhook_id", type=int, help="Only for this webhook, whatever it listens to.")
@speaks_rest
def trigger(remote: Remote, event: str, webhook_id: int | None) -> None:
    """Make an EVENT up, to see it arrive."""
    answer = remote.post("/v1/webhooks/trigger", {"event": event, "webhook_id": webhook_id})
    remote.show(answer, lambda made: click.echo(f"{plain(made['event_id'])} is on its way."))


@webhooks.command()
@click.option("--event", "event_id", help="Only attempts to deliver this event.")
@click.option("--webhook", "webhook_id", type=int, help="Only attempts to reach this webhook.")
@click.option("--limit", type=click.IntRange(1, PAGE), default=20, show_default=True)
@speaks_rest
def deliveries(remote: Remote, event_id: str | None, webhook_id: int | None, limit: int) -> None:
    """List attempts to deliver events, newest first."""
    query = {"event_id": event_id, "webhook_id": webhook_id, "limit": limit}
    remote.show(remote.get("/v1/webhooks/deliveries", **query), _print_deliveries)


@webhooks.command()
@click.argument("delivery_id", required=False)
@click.option("--webhook", "webhook_id", type=int, help="Replay to this webhook what it heard in a span of time.")
@click.option("--since", help="Where the span begins: Unix seconds, or ISO 8601 in UTC.", type=Instant())
@click.option("--until", help="Where it ends; now, unless it is given.", type=Instant())
@speaks_rest
def replay(
    remote: Remote, delivery_id: str | None, webhook_id: int | None, since: float | None, until: float | None
) -> None:
    """Deliver again: the event of DELIVERY_ID, or all of a span of time with --webhook and --since."""
    if delivery_id and webhook_id is None and since is None and until is None:
        answer = remote.post(f"/v1/webhooks/deliveries/{quoted(delivery_id)}/replay", {})
    elif not delivery_id and webhook_id is not None and since is not None:
        answer = _replay_span(remote, webhook_id, since, until)
    else:
        raise click.UsageError("Give a DELIVERY_ID, or --webhook and --since.")
    remote.show(answer, lambda done: click.echo(f"{done['replayed']} events are on their way again."))


@webhooks.command()
@click.option("--forward-to", required=True, help="Where to POST each event, such as http://localhost:3000.")
@click.option("--events", default="all", show_default=True, help="Names of events, with commas between.")
@click.option("--once", is_flag=True, help="End after the first events.")
@speaks_rest
def listen(remote: Remote, forward_to: str, events: str, *, once: bool) -> None:
    """Forward events to a program on this machine, until Ctrl-C; for developing a receiver."""
    if not forward_to.startswith(("http://", "https://")):
        raise click.UsageError("--forward-to takes http://… or https://….")
    listen_and_forward(remote, forward_to, [each.strip() for each in events.split(",")], once=once)


def _replay_span(remote: Remote, webhook_id: int, since: float, until: float | None) -> Json:
    """Replay page after page."""
    replayed, beginning = 0, since
    while True:
        body = {"since": beginning, "until": until}
        answer = remote.post(f"/v1/webhooks/{webhook_id}/replay", body)
        replayed += answer["replayed"]
        if answer["next_since"] is None:
            return {**answer, "replayed": replayed}
        beginning = answer["next_since"]


def _print_deliveries(answer: Json) -> None:
    rows = (
        (
            each["delivery_id"],
            moment(each["created_at"]),
            each["event_type"],
            each["event_id"],
            each["webhook_id"],
            each["attempt"],
            each["status_code"],
            each["error"],
        )
        for each in answer["deliveries"]
    )
    columns = ("delivery", "at", "event", "event id", "webhook", "attempt", "status", "error")
    print_table(columns, rows, empty="Nothing was delivered yet.")


def _print_made(made: Json) -> None:
    secret = [("secret", made["secret"])] if made["secret"] else []
    print_fields([("webhook", made["webhook_id"]), ("events", list(made["events"])), *secret])
    click.echo(made["message"])


def _print_rotated(rotated: Json) -> None:
    print_fields([("secret", rotated["secret"]), ("old secret until", moment(rotated["secret_prev_expires_at"]))])
    click.echo(rotated["message"])


def _print_webhooks(answer: Json) -> None:
    rows = (
        (
            each["webhook_id"],
            each["url"],
            each["name"],
            each["events"],
            f"{each['format']}, with links" if each["links"] else each["format"],
            _state(each),
            each["fire_count"],
            each["fail_count"],
        )
        for each in answer["webhooks"]
    )
    columns = ("id", "url", "name", "events", "format", "state", "delivered", "failed")
    print_table(columns, rows, empty="There are no webhooks.")


def _state(webhook: Json) -> str:
    if not webhook["active"]:
        return f"disabled ({webhook['disabled_reason']})"
    return f"failing since {moment(webhook['failing_since'])}" if webhook["failing_since"] else "active"
