"""`haldir session`: one run of an agent each, with its scopes, its budget and its end."""

import click

from haldir.faces.cli.arguments import EVERY_TOOL, given, listed, quoted, template
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_fields, print_table


@click.group()
def session() -> None:
    """Sessions: one run of an agent each."""


@session.command()
@click.argument("agent_id")
@template
@click.option("--parent", help="Session to open it under; it can only narrow what that one may do.")
@speaks_rest
def create(
    remote: Remote, *, agent_id: str, scopes: tuple[str, ...], budget: float | None, ttl: int | None, parent: str | None
) -> None:
    """Open a session for AGENT_ID and print its token, once."""
    body = given(
        agent_id=agent_id, scopes=listed(scopes) or [EVERY_TOOL], spend_limit=budget, ttl=ttl, parent_session_id=parent
    )
    remote.show(remote.post("/v1/sessions", body), _print_token)


@session.command()
@click.argument("session_id")
@speaks_rest
def show(remote: Remote, session_id: str) -> None:
    """Show a living session: its scopes and what it has left."""
    remote.show(remote.get(f"/v1/sessions/{quoted(session_id)}"), _print_session)


@session.command("list")
@click.option("--agent", "agent_id", help="Only sessions of this agent.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many, newest first.")
@speaks_rest
def list_sessions(remote: Remote, agent_id: str | None, limit: int) -> None:
    """List sessions, newest first."""
    remote.show(remote.get("/v1/sessions", agent_id=agent_id, limit=limit), _print_sessions)


@session.command()
@click.argument("session_id")
@speaks_rest
def revoke(remote: Remote, session_id: str) -> None:
    """End a session and all below it, from the next decision on."""
    answer = remote.delete(f"/v1/sessions/{quoted(session_id)}")
    remote.show(answer, lambda _: click.echo(f"Session {plain(session_id)} is revoked."))


def _print_token(answer: Json) -> None:
    print_fields([("session", answer["session_id"]), ("token", answer["token"])])
    click.echo("The token is shown only now: whoever bears it acts in this session.", err=True)


def _print_session(answer: Json) -> None:
    print_fields(
        [
            ("session", answer["session_id"]),
            ("agent", answer["agent_id"]),
            ("scopes", answer["scopes"]),
            ("budget", amount(answer["spend_limit"])),
            ("spent", amount(answer["spent"])),
            ("left", amount(answer["remaining_budget"])),
            ("opened", moment(answer["created_at"])),
            ("ends", moment(answer["expires_at"])),
        ]
    )


def _print_sessions(answer: Json) -> None:
    rows = (
        (
            each["session_id"],
            each["agent_id"],
            each["scopes"],
            moment(each["created_at"]),
            moment(each["expires_at"]),
            "revoked" if each["revoked"] else "open",
        )
        for each in answer["sessions"]
    )
    columns = ("session", "agent", "scopes", "opened", "ends", "state")
    print_table(columns, rows, empty="There are no sessions.")
