"""`haldir key`: API keys of people and services; agents have keys of their own (`haldir agent`)."""

import click

from haldir.faces.cli.arguments import HELD, HELD_HELP, given, listed, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, plain, print_table


@click.group()
def key() -> None:
    """API keys of people and services."""


@key.command()
@click.option("--name", help="What the key is for.")
@click.option("--scopes", multiple=True, help="What the key may do, such as audit:read; at most what yours may.")
@click.option("--held", type=HELD, help=HELD_HELP)
@speaks_rest
def create(remote: Remote, name: str | None, scopes: tuple[str, ...], held: str | None) -> None:
    """Create an API key and print it, once."""
    remote.show(remote.post("/v1/keys", given(name=name, scopes=listed(scopes), held=held)), _print_key)


@key.command("list")
@speaks_rest
def list_keys(remote: Remote) -> None:
    """List the keys, newest first."""
    remote.show(remote.get("/v1/keys"), _print_keys)


@key.command("held")
@click.argument("prefix")
@click.argument("setting", type=HELD)
@speaks_rest
def set_held(remote: Remote, prefix: str, setting: str) -> None:
    """Say how an MCP call that waits for a person comes back to the key that begins with PREFIX."""
    answer = remote.put(f"/v1/keys/{quoted(prefix)}/held", {"held": setting})
    remote.show(answer, lambda _: click.echo(f"Held calls of key {plain(prefix)} come back as {setting}."))


@key.command()
@click.argument("prefix")
@speaks_rest
def revoke(remote: Remote, prefix: str) -> None:
    """Revoke the key that begins with PREFIX, its first 12 characters."""
    answer = remote.delete(f"/v1/keys/{quoted(prefix)}")
    remote.show(answer, lambda _: click.echo(f"Key {plain(prefix)} is revoked."))


def _print_key(answer: Json) -> None:
    click.echo(answer["key"])
    click.echo("This is the key. It is shown only now.", err=True)


def _print_keys(answer: Json) -> None:
    rows = (
        (
            each["prefix"],
            each["name"],
            each["scopes"],
            moment(each["created_at"]),
            moment(each["last_used"]),
            "revoked" if each["revoked"] else "active",
            each["held"],
        )
        for each in answer["keys"]
    )
    print_table(("prefix", "name", "scopes", "created", "last used", "state", "held"), rows, empty="There are no keys.")
