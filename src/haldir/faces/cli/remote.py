"""Commands that speak REST: where Haldir is, which key to show it, and the options all of them share."""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from haldir.client import Connection
from haldir.client.exchange import Request
from haldir.config_file import SettingsError
from haldir.faces.cli.endings import explained
from haldir.faces.cli.screen import print_json
from haldir.kernel import strict_json
from haldir.kernel.secret import Secret
from haldir.settings import ClientSettings, load_client

Json = dict[str, Any]


class Remote:
    """A Haldir to talk to, and how to show its answers."""

    def __init__(self, connection: Connection, *, as_json: bool) -> None:
        self.get, self.post = connection.get, connection.post
        self.put, self.delete = connection.put, connection.delete
        self.download = connection.download
        self._ask = connection.ask
        self.as_json = as_json

    def send(self, method: str, path: str, tree: Any) -> Json:
        """Send a tree of `kernel.strict_json`, each number by its text."""
        return self._ask(Request(method, path, strict_json.encode(tree)))

    def show(self, answer: Json, human: Callable[[Json], None]) -> None:
        """Print the answer itself with --json, else as `human` does."""
        if self.as_json:
            print_json(answer)
        else:
            human(answer)

    def save(self, chunks: Iterable[bytes], output: Path | None) -> None:
        """Write a download to a file, whole or not at all, or to standard output; with --json say what became of it."""
        if output is None:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            return
        part = output.with_name(f"{output.name}.part")
        try:
            with part.open("wb") as file:
                size_bytes = sum(file.write(chunk) for chunk in chunks)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
        self.show({"file": str(output), "bytes": size_bytes}, lambda _: click.echo(f"{output}: {size_bytes} bytes"))


def speaks_rest(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a Remote to speak to, and the options that find it."""

    @click.option("--data", type=click.Path(path_type=Path), help="Data folder of the Haldir to talk to.")
    @click.option("--url", help="Address of the Haldir to talk to (also HALDIR_BASE_URL).")
    @click.option("--key-file", type=click.Path(path_type=Path), help="File with the key alone (also HALDIR_API_KEY).")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    @functools.wraps(command)
    def run(*, data: Path | None, url: str | None, key_file: Path | None, as_json: bool, **given: Any) -> None:
        with explained(as_json=as_json):
            command(Remote(_connect(data, url, key_file), as_json=as_json), **given)

    return run


def _connect(data: Path | None, url: str | None, key_file: Path | None) -> Connection:
    settings = load_client()
    elsewhere = url or (None if data else settings.base_url)
    login = settings.login if data is None and elsewhere is None else None
    address = elsewhere or (login.url if login else _running(data or settings.default_data))
    if login is not None and key_file is None and settings.api_key is None:
        return connected(address, login.key)
    return connected(address, _credential(key_file, data, settings, at_home=elsewhere is None and login is None))


def connected(address: str, key: Secret[str]) -> Connection:
    """Return a connection to an address that somebody gave. Raises SettingsError if it is none."""
    try:
        return Connection(address, key.reveal())
    except ValueError as error:
        raise SettingsError("The address", f"cannot be used: {error}", "Give --url http://HOST:PORT.") from None


def _running(folder: Path) -> str:
    """Return the address that the server of this folder left there."""
    try:
        return str(json.loads((folder / "server.json").read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "Start one with `haldir up`, or name it with --data DIR or --url URL."
        raise SettingsError(str(folder), "knows of no Haldir that runs", remedy) from None


def _credential(key_file: Path | None, data: Path | None, settings: ClientSettings, *, at_home: bool) -> Secret[str]:
    """Return the key to show; the default folder's own goes only to the server that runs there."""
    if key_file is None and data is None and settings.api_key is not None:
        return settings.api_key
    folder = data or (settings.default_data if at_home else None)
    path = key_file or (folder / "admin.key" if folder else None)
    remedy = "Give --key-file FILE or set HALDIR_API_KEY."
    if path is None:
        raise SettingsError("The key", "is not known for that address", remedy)
    try:
        return Secret(path.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"cannot be read as a key file: {error}", remedy) from None
