"""`haldir secret`: values that are kept for tools.

A value comes from a file, a pipe or a prompt, never from the command line, which every process can read.
"""

import sys
from pathlib import Path

import click

from haldir.faces.cli.arguments import given, listed, quoted
from haldir.faces.cli.endings import CHECK_FAILED
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, plain, print_table

VALUE_BYTES_MAX = 64 << 10  # As the server takes them; a file that is larger is another file.


@click.group()
def secret() -> None:
    """Secrets that tools need and agents do not see."""


@secret.command("set", context_settings={"allow_extra_args": True})  # For click would repeat what is too much.
@click.argument("name")
@click.option("--value-file", type=click.Path(path_type=Path), help="File that holds the value, instead of the input.")
@click.option("--scope", help="Scope that a session needs to use it.  [default: read]")
@click.option("--reveal", is_flag=True, help="Show the value to sessions that have the scope, not only its reference.")
@click.option("--bind", "upstreams", multiple=True, help="Upstream that it may be filled in for; repeatable.")
@speaks_rest
def set_secret(
    remote: Remote,
    *,
    name: str,
    value_file: Path | None,
    scope: str | None,
    reveal: bool,
    upstreams: tuple[str, ...],
) -> None:
    """Store the secret NAME, its value from standard input or a file.

    One line break at the end is not part of the value.
    """
    if click.get_current_context().args:
        raise click.UsageError("The value comes from standard input or --value-file: arguments are read by others.")
    body = given(
        name=name,
        value=_value(value_file),
        scope_required=scope,
        exposure="reveal" if reveal else "inject",
        upstreams=listed(upstreams),
    )
    remote.show(remote.post("/v1/secrets", body), _print_stored)


@secret.command()
@click.argument("name")
@click.option("--session", "session_id", help="Session that is to see it; a key names one.")
@speaks_rest
def get(remote: Remote, name: str, session_id: str | None) -> None:
    """Print the value of a secret, or the reference to it if it is only injected. It is recorded."""
    answer = remote.get(f"/v1/secrets/{quoted(name)}", session_id=session_id)
    remote.show(answer, lambda shown: click.echo(shown["value"]))


@secret.command("list")
@speaks_rest
def list_secrets(remote: Remote) -> None:
    """List the secrets, never their values."""
    remote.show(remote.get("/v1/secrets"), _print_secrets)


@secret.command()
@click.argument("name")
@speaks_rest
def delete(remote: Remote, name: str) -> None:
    """Erase a secret, its value and its key."""
    answer = remote.delete(f"/v1/secrets/{quoted(name)}")
    remote.show(answer, lambda _: click.echo(f"Secret {plain(name)} is erased."))


@secret.command()
@speaks_rest
def keys(remote: Remote) -> None:
    """List the versions of the key that wraps the keys of secrets."""
    remote.show(remote.get("/v1/vault/keys"), _print_keys)


@secret.command()
@click.option("--dry-run", is_flag=True, help="Say what would be rotated, and change nothing.")
@speaks_rest
def rotate(remote: Remote, *, dry_run: bool) -> None:
    """Make a new version of the key that wraps the keys of secrets; they stay readable throughout."""
    answer = remote.post("/v1/vault/rotate", {"dry_run": dry_run})
    remote.show(answer, _print_rotation)
    if answer["failed"]:
        sys.exit(CHECK_FAILED)


def _value(file: Path | None) -> str:
    """Return the value from the file, the pipe or the person who types it unseen."""
    if file is not None:
        content = _read(file)
    elif sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, err=True))
    else:
        content = sys.stdin.buffer.read(VALUE_BYTES_MAX + len("\r\n") + 1)
    try:
        return _without_line_break(content.decode())
    except UnicodeDecodeError:
        raise click.UsageError("A value is text in UTF-8.") from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(VALUE_BYTES_MAX + len("\r\n") + 1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _without_line_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _print_stored(answer: Json) -> None:
    click.echo(f"Secret {plain(answer['name'])} is stored, version {answer['version']}.")
    if answer["exposure"] == "inject" and not answer["upstreams"]:
        click.echo("It is bound to no upstream: name one with --bind, or nothing can use it.", err=True)


def _print_secrets(answer: Json) -> None:
    rows = (
        (
            each["name"],
            each["version"],
            each["scope_required"],
            each["exposure"],
            each["upstreams"],
            moment(each["created_at"]),
        )
        for each in answer["details"]
    )
    columns = ("name", "version", "needs the scope", "exposure", "bound to", "since")
    print_table(columns, rows, empty="There are no secrets; `haldir secret set NAME` stores one.")


def _print_keys(answer: Json) -> None:
    rows = (
        (each["version"], "current" if each["current"] else "former", each["secrets"], moment(each["created_at"]))
        for each in answer["keys"]
    )
    print_table(("version", "state", "opens secrets", "since"), rows, empty="There are no keys.")


def _print_rotation(answer: Json) -> None:
    when = "Nothing is changed. To be wrapped" if answer["dry_run"] else "Wrapped"
    click.echo(f"{when} with version {answer['key_version']} of the key: {len(answer['rotated'])} secrets.")
    for name in answer["failed"]:
        click.echo(f"{plain(name)} cannot be opened and is as it was.", err=True)
