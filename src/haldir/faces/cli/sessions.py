"""`haldir session`: one run of an agent each, with its scopes, its budget and its end."""

import sys

import click

from haldir.faces.cli.arguments import EVERY_TOOL, given, listed, quoted, template
from haldir.faces.cli.endings import CHECK_FAILED
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
@click.option("--roots", is_flag=True, help="Only sessions without a parent.")
@click.option("--all", "everything", is_flag=True, help="Revoked sessions too.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many, newest first.")
@speaks_rest
def list_sessions(remote: Remote, *, agent_id: str | None, roots: bool, everything: bool, limit: int) -> None:
    """List sessions, newest first."""
    query = given(agent_id=agent_id, roots_only=roots or None, include_revoked=everything or None, limit=limit)
    remote.show(remote.get("/v1/sessions", **query), _print_sessions)


@session.command()
@click.argument("session_id")
@speaks_rest
def tree(remote: Remote, session_id: str) -> None:
    """Show a session and all below it, with what each has spent."""
    answer = remote.get(f"/v1/sessions/{quoted(session_id)}/descendants")
    remote.show(answer, lambda shown: _print_tree(shown["root"], 0))


@session.command()
@click.argument("session_id")
@speaks_rest
def revoke(remote: Remote, session_id: str) -> None:
    """End a session and all below it, from the next decision on."""
    remote.show(remote.delete(f"/v1/sessions/{quoted(session_id)}?cascade=true"), _print_revoked)


@session.command()
@click.argument("session_id")
@click.argument("scope")
@speaks_rest
def check(remote: Remote, session_id: str, scope: str) -> None:
    """Ask whether a session has SCOPE; the exit code is 0 if it has, else 1."""
    answer = remote.post(f"/v1/sessions/{quoted(session_id)}/check", {"scope": scope})
    remote.show(answer, lambda _: click.echo("allowed" if answer["allowed"] else "not allowed"))
    if not answer["allowed"]:
        sys.exit(CHECK_FAILED)


def _print_revoked(answer: Json) -> None:
    below = len(answer["cascade_revoked"])
    click.echo(f"Session {plain(answer['session_id'])} is revoked" + (f", and {below} below it." if below else "."))


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


def _print_tree(node: Json, depth: int) -> None:
    state = "revoked" if node["revoked"] else "open"
    click.echo(plain(f"{'  ' * depth}{node['session_id']}  {node['agent_id']}  spent {amount(node['spent'])}  {state}"))
    for child in node["children"]:
        _print_tree(child, depth + 1)


def _print_sessions(answer: Json) -> None:
    rows = (
        (
            each["session_id"],
            each["agent_id"],
            each["scopes"],
            amount(each["spent"]),
            amount(each["spend_limit"]),
            moment(each["created_at"]),
            moment(each["expires_at"]),
            "revoked" if each["revoked"] else "open",
        )
        for each in answer["sessions"]
    )
    columns = ("session", "agent", "scopes", "spent", "budget", "opened", "ends", "state")
    print_table(columns, rows, empty="There are no sessions.")
