"""`haldir agent`: named workloads and the keys that their clients' configuration holds."""

import click

from haldir.faces.cli.arguments import EVERY_TOOL, HELD, HELD_HELP, given, listed, quoted, template
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_table


@click.group()
def agent() -> None:
    """Agents and their keys."""


@agent.command()
@click.argument("name")
@template
@click.option("--held", type=HELD, help=HELD_HELP)
@speaks_rest
def create(
    remote: Remote, *, name: str, scopes: tuple[str, ...], budget: float | None, ttl: int | None, held: str | None
) -> None:
    """Create an agent and print its key, once.

    Its sessions are opened with these scopes, this budget and this life.
    """
    body = given(name=name, scopes=listed(scopes) or [EVERY_TOOL], spend_limit=budget, ttl=ttl, held=held)
    remote.show(remote.post("/v1/agents", body), _print_key)


@agent.command("list")
@speaks_rest
def list_agents(remote: Remote) -> None:
    """List the agents."""
    remote.show(remote.get("/v1/agents"), _print_agents)


@agent.command("held")
@click.argument("name")
@click.argument("setting", type=HELD)
@speaks_rest
def set_held(remote: Remote, name: str, setting: str) -> None:
    """Say how an MCP call that waits for a person comes back to an agent."""
    answer = remote.put(f"/v1/agents/{quoted(name)}/held", {"held": setting})
    remote.show(answer, lambda _: click.echo(f"Held calls of agent {plain(name)} come back as {setting}."))


@agent.command()
@click.argument("name")
@speaks_rest
def revoke(remote: Remote, name: str) -> None:
    """Revoke an agent: its key and every session that bears its name."""
    remote.show(remote.delete(f"/v1/agents/{quoted(name)}"), lambda _: click.echo(f"Agent {plain(name)} is revoked."))


def _print_key(answer: Json) -> None:
    click.echo(answer["key"])
    click.echo("This is the agent's key. It is shown only now: put it in the client's configuration.", err=True)


def _print_agents(answer: Json) -> None:
    columns = ("name", "scopes", "budget", "ttl", "created", "state", "session", "held")
    rows = (
        (
            each["name"],
            each["scopes"],
            amount(each["spend_limit"]),
            f"{each['ttl']} s" if each["ttl"] else "until revoked",
            moment(each["created_at"]),
            "revoked" if each["revoked"] else "active",
            each["session_id"],
            each["held"],
        )
        for each in answer["agents"]
    )
    print_table(columns, rows, empty="There are no agents; `haldir agent create NAME` makes one.")
