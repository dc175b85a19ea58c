"""`haldir upstream`: the MCP servers behind Haldir, except those that run a command: they are given to `haldir up`."""

import click

from haldir.faces.cli.arguments import JsonFile, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_table


@click.group()
def upstream() -> None:
    """MCP servers behind Haldir."""


@upstream.command()
@click.argument("name")
@click.argument("address", metavar="URL")
@click.option(
    "--file", "file", type=JsonFile(), help="JSON with headers, tools and deadline_seconds, as the README shows."
)
@speaks_rest
def add(remote: Remote, name: str, address: str, file: Json | None) -> None:
    """Put the MCP server at URL behind Haldir, where clients find it at /mcp/NAME."""
    remote.show(remote.post("/v1/proxy/upstreams", {**(file or {}), "name": name, "url": address}), _print_added)


@upstream.command("list")
@speaks_rest
def list_upstreams(remote: Remote) -> None:
    """List the upstreams and how they are."""
    remote.show(remote.get("/v1/proxy/upstreams"), _print_upstreams)


@upstream.command()
@click.argument("name")
@speaks_rest
def remove(remote: Remote, name: str) -> None:
    """Take an upstream away."""
    answer = remote.delete(f"/v1/proxy/upstreams/{quoted(name)}")
    remote.show(answer, lambda _: click.echo(f"Upstream {plain(name)} is removed."))


@upstream.command()
@speaks_rest
def tools(remote: Remote) -> None:
    """List the tools of all upstreams and the scope that each needs."""
    remote.show(remote.get("/v1/proxy/tools"), _print_tools)


@upstream.command()
@click.argument("name")
@click.argument("tool")
@click.argument("sha256")
@speaks_rest
def accept(remote: Remote, name: str, tool: str, sha256: str) -> None:
    """Accept the changed definition of a quarantined TOOL, by the SHA256 that `tools` showed."""
    answer = remote.post(f"/v1/proxy/upstreams/{quoted(name)}/tools/{quoted(tool)}/accept", {"sha256": sha256})
    remote.show(answer, lambda _: click.echo(f"Tool {plain(tool)} of {plain(name)} is accepted."))


def _print_added(answer: Json) -> None:
    if answer["healthy"]:
        click.echo(f"Upstream {plain(answer['name'])} offers {plain(', '.join(answer['tool_names']))}.")
    else:
        reason = plain(str(answer.get("error", "it did not answer")))
        click.echo(f"Upstream {plain(answer['name'])} is registered, but cannot be used yet: {reason}", err=True)


def _print_upstreams(answer: Json) -> None:
    rows = (
        (
            name,
            each["url"] or each["transport"],
            "operator" if each["operator"] else "api",
            _state(each),
            each["tools"],
            each["total_calls"],
            each["total_errors"],
        )
        for name, each in answer["upstreams"].items()
    )
    columns = ("name", "address", "added by", "state", "tools", "calls", "errors")
    print_table(columns, rows, empty="There are no upstreams; `haldir upstream add NAME URL` adds one.")


def _state(upstream: Json) -> str:
    if not upstream["healthy"]:
        return str(upstream["error"] or "did not answer its last call")
    return "healthy" if upstream["last_check"] else "not asked yet"


def _print_tools(answer: Json) -> None:
    rows = (
        (
            each["upstream"],
            each["name"],
            each["scope"],
            f"quarantined, now {each['sha256']}" if each["quarantined"] else "offered",
            each["description"].partition("\n")[0],
        )
        for each in answer["tools"]
    )
    print_table(("upstream", "tool", "needs the scope", "state", "description"), rows, empty="There are no tools.")
