"""`haldir status`, `haldir ready` and `haldir usage`: how a running Haldir does."""

import sys

import click

from haldir.faces.cli.endings import CHECK_FAILED
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, plain, print_table


@click.command()
@speaks_rest
def status(remote: Remote) -> None:
    """Say whether Haldir does its work; the exit code is 0 if it does, else 1."""
    answer = remote.get("/v1/status")
    remote.show(answer, lambda _: _print_checks(f"{answer['service']} {answer['version']}: {answer['status']}", answer))
    if answer["status"] != "ok":
        sys.exit(CHECK_FAILED)


@click.command()
@speaks_rest
def ready(remote: Remote) -> None:
    """Say in a word whether Haldir is ready for requests; the exit code is 0 if it is, else 1."""
    answer = remote.get("/v1/status")
    is_ready = answer["status"] == "ok"
    remote.show({"ready": is_ready}, lambda _: click.echo("ready" if is_ready else "not ready"))
    if not is_ready:
        sys.exit(CHECK_FAILED)


@click.command()
@click.option("--month", help="Year and month, as 2026-11; the present one if not given.")
@speaks_rest
def usage(remote: Remote, month: str | None) -> None:
    """Say how much was done in a month, by day."""
    remote.show(remote.get("/v1/usage", month=month), _print_usage)


def _print_checks(headline: str, answer: Json) -> None:
    click.echo(plain(headline))
    for check in answer["checks"]:
        click.echo(plain(f"  {check['name']}: {check['message']} ({check['duration_ms']:.1f} ms)"))


def _print_usage(answer: Json) -> None:
    columns = ("day", "actions", "refused", "flagged", "spent USD")
    days = [
        (each["day"], each["action_count"], each["refused_count"], each["flagged_count"], amount(each["spent_usd"]))
        for each in answer["days"]
    ]
    total = ("in all", answer["action_count"], answer["refused_count"], answer["flagged_count"])
    rows = [*days, (*total, amount(answer["spent_usd"]))] if days else []
    print_table(columns, rows, empty=f"Nothing was done in {answer['month']}.")
