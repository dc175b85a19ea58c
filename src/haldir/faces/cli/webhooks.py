"""`haldir webhooks`: who is told what happens, and what became of each delivery."""

import click

from haldir.faces.cli.arguments import Seconds
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, plain, print_fields, print_table


@click.group()
def webhooks() -> None:
    """Who is told what happens, and what became of each delivery."""


@webhooks.command()
@click.argument("url")
@click.option("--name", default="", help="What to call it.")
@click.option("--events", default="all", show_default=True, help="Names of events, with commas between.")
@speaks_rest
def register(remote: Remote, url: str, name: str, events: str) -> None:
    """Have events sent to URL from here on."""
    body = {"url": url, "name": name, "events": [each.strip() for each in events.split(",") if each.strip()]}
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


def _print_made(made: Json) -> None:
    print_fields([("webhook", made["webhook_id"]), ("events", list(made["events"])), ("secret", made["secret"])])
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
            _state(each),
            each["fire_count"],
            each["fail_count"],
        )
        for each in answer["webhooks"]
    )
    columns = ("id", "url", "name", "events", "state", "delivered", "failed")
    print_table(columns, rows, empty="There are no webhooks.")


def _state(webhook: Json) -> str:
    if not webhook["active"]:
        return f"disabled ({webhook['disabled_reason']})"
    return f"failing since {moment(webhook['failing_since'])}" if webhook["failing_since"] else "active"
