"""`haldir overview` and `haldir metrics`: what goes on, what waits for a person, what is wrong."""

import time

import click

from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_fields

WATCH_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Show it anew every two seconds, until Ctrl-C.")
@speaks_rest
def overview(remote: Remote, *, watch: bool) -> None:
    """Show the tenant at a glance."""
    remote.show(remote.get("/v1/admin/overview"), _print_overview)
    while watch:
        time.sleep(WATCH_SECONDS)
        answer = remote.get("/v1/admin/overview")
        remote.show(answer, _print_anew)


@click.command()
@speaks_rest
def metrics(remote: Remote) -> None:
    """Count what the tenant has and did."""
    remote.show(remote.get("/v1/metrics"), lambda answer: print_fields(answer.items()))


def _print_anew(answer: Json) -> None:
    click.clear()
    _print_overview(answer)


def _print_overview(answer: Json) -> None:
    today = answer["today"]
    print_fields(
        [
            ("at", moment(answer["generated_at"])),
            ("sessions open", answer["active_sessions"]),
            ("approvals waiting", answer["pending_approvals"]),
            ("today", f"{today['actions']} actions, {today['refused']} refused, {today['flagged']} flagged"),
            ("spent today", f"{amount(today['spent_usd'])} USD"),
            ("spent this month", f"{amount(answer['month_spent_usd'])} USD"),
            ("webhooks", f"{answer['webhooks_active']} active, {answer['webhooks_disabled']} disabled"),
            ("busiest tools", _counted(answer["top_tools"])),
            ("busiest agents", _counted(answer["top_agents"])),
            ("log", f"{answer['log']['entries']} entries, root {answer['log']['root_hash'][:16]}"),
        ]
    )
    for name, seen in answer["upstreams"].items():
        click.echo(plain(f"upstream {name}: {'healthy' if seen['healthy'] else seen['error']}"))
    for entry in answer["flagged"]:
        click.echo(plain(f"flagged {moment(entry['timestamp'])}: {entry['flag_reason']}"))


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "-"
