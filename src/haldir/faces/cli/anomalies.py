"""`haldir anomaly`: rules that flag what is out of the ordinary."""

import json

import click

from haldir.faces.cli.arguments import JsonFile, quoted
from haldir.faces.cli.policies import defined_by, definition
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_table

# \b tells click to leave the lines as they are.
EXAMPLES = """
\b
haldir anomaly add spend_spike factor=5 at_least=20
haldir anomaly add call_rate max_per_minute=60
haldir anomaly add refusal_burst max_per_minute=10 quiet_minutes=15
haldir anomaly add first_use learning_hours=48
haldir anomaly add off_hours start_hour=7 end_hour=20 zone=Europe/Berlin weekdays=mon,tue,wed,thu,fri
"""


@click.group()
def anomaly() -> None:
    """Rules that flag what is out of the ordinary."""


@anomaly.command(epilog=EXAMPLES)
@defined_by("The rule as JSON.", JsonFile())
@speaks_rest
def add(remote: Remote, kind: str | None, members: tuple[str, ...], file: Json | None) -> None:
    """Add a rule: its KIND and its MEMBERS as NAME=VALUE, or a file."""
    answer = remote.post("/v1/anomalies/rules", definition(kind, members, file))
    remote.show(answer, lambda added: click.echo(f"Rule {plain(added['rule_id'])} looks on from now."))


@anomaly.command("list")
@speaks_rest
def list_rules(remote: Remote) -> None:
    """List the rules."""
    remote.show(remote.get("/v1/anomalies/rules"), _print_rules)


@anomaly.command()
@click.argument("rule_id")
@speaks_rest
def remove(remote: Remote, rule_id: str) -> None:
    """Remove a rule; what it flagged stays flagged."""
    answer = remote.delete(f"/v1/anomalies/rules/{quoted(rule_id)}")
    remote.show(answer, lambda _: click.echo(f"Rule {plain(rule_id)} is removed."))


def _print_rules(answer: Json) -> None:
    known = ("rule_id", "type", "created_at")
    rows = (
        (
            each["rule_id"],
            each["type"],
            " ".join(f"{name}={json.dumps(value)}" for name, value in each.items() if name not in known),
        )
        for each in answer["rules"]
    )
    print_table(("rule", "kind", "what it flags"), rows, empty="There are no anomaly rules: nothing is flagged.")
