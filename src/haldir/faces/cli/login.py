"""`haldir login` and `haldir logout`: a Haldir elsewhere and its key, remembered for their owner alone."""

import contextlib
import json
import os
from pathlib import Path

import click

from haldir.client import HaldirPermissionError
from haldir.faces.cli.endings import explained
from haldir.faces.cli.remote import connected
from haldir.faces.cli.screen import plain, print_json
from haldir.kernel.secret import Secret
from haldir.settings import load_client

FILE_MODE, FOLDER_MODE = 0o600, 0o700


@click.command()
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def login(url: str, *, as_json: bool) -> None:
    """Have commands speak to the Haldir at URL from now on; asks for the key, or reads it from standard input."""
    key = Secret(click.prompt("Key", hide_input=True, err=True).strip())
    with explained(as_json=as_json):
        connection = connected(url, key)
        with contextlib.suppress(HaldirPermissionError):  # What the key may do, each command will find out.
            connection.get("/v1/usage")
        file = load_client().login_file
        _keep(file, json.dumps({"url": connection.base_url, "key": key.reveal()}))
        if as_json:
            print_json({"url": connection.base_url, "file": str(file)})
        else:
            click.echo(f"Commands speak to {plain(connection.base_url)} from now on; `haldir logout` ends that.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def logout(*, as_json: bool) -> None:
    """Forget the Haldir and the key that `haldir login` remembered."""
    settings = load_client()
    settings.login_file.unlink(missing_ok=True)
    forgotten = settings.login.url if settings.login else None
    if as_json:
        print_json({"forgotten": forgotten})
    else:
        click.echo(f"Forgot {plain(forgotten)}." if forgotten else "There was no login.")


def _keep(file: Path, text: str) -> None:
    """Write a file that only its owner may read, in place of the one before."""
    file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(handle, "w", encoding="utf-8") as written:
        written.write(text)
    new.replace(file)
