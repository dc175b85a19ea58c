"""`haldir up`: start a server, and say where it is and what to try."""

import shlex
from pathlib import Path

import click

from haldir.faces.cli.doors import Doors, Ready
from haldir.faces.cli.endings import explained
from haldir.faces.cli.events import write_events_to_standard_error
from haldir.faces.cli.screen import print_json
from haldir.settings import HOST, PORT, Asked, Settings, load, load_client


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder; made when missing. [$XDG_DATA_HOME/haldir]")
@click.option("--host", help=f"Address to listen on. [{HOST}]")
@click.option("--port", type=click.IntRange(0, 65_535), help=f"Port to listen on; 0 takes a free one. [{PORT}]")
@click.option("--database-url", help="PostgreSQL instead of SQLite (also HALDIR_DATABASE_URL, which hides a password).")
@click.option("--upstream", "upstreams", multiple=True, metavar="NAME=URL|COMMAND", help="An MCP server to guard.")
@click.option("--allow-private", is_flag=True, default=None, help="Let upstreams added by API be on private addresses.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once it listens.")
@click.pass_obj
def up(
    doors: Doors,
    *,
    data: Path | None,
    host: str | None,
    port: int | None,
    database_url: str | None,
    upstreams: tuple[str, ...],
    allow_private: bool | None,
    as_json: bool,
) -> None:
    """Start Haldir and listen until SIGTERM or Ctrl-C, then let calls in flight finish."""
    asked = Asked(
        data=data,
        host=host,
        port=port,
        database_url=database_url,
        allow_private=allow_private,
        upstreams=upstreams,
    )
    write_events_to_standard_error()
    with explained(as_json=as_json):
        settings = load(asked)
        code = doors.serve(settings, lambda ready: _announce(ready, settings, as_json=as_json))
    raise SystemExit(code)


def _announce(ready: Ready, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": ready.url, "data": str(ready.data), "admin_key_file": str(ready.admin_key_file)})
        return
    here = "" if ready.data == load_client().default_data else f" --data {shlex.quote(str(ready.data))}"
    click.echo(f"Haldir listens on {ready.url}")
    click.echo(f"  data       {ready.data}")
    click.echo(f"  admin key  {ready.admin_key_file}")
    click.echo(f"  approvals  {settings.public_url or ready.url}/approvals (in a browser)")
    for upstream in settings.upstreams:
        click.echo(f"  upstream   {ready.url}/mcp/{upstream.name}")
    click.echo("\nTry in another terminal:")
    if not settings.upstreams:
        click.echo(f"  haldir upstream add NAME URL{here}")
    click.echo(f"  haldir agent create my-agent --budget 5{here}")
    click.echo(f"  haldir audit tail --follow{here}")
