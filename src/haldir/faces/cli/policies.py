"""`haldir policy`: rules on tool calls."""

import json
from collections.abc import Callable
from typing import Any

import click

from haldir.client import HaldirAPIError
from haldir.faces.cli.arguments import parse_member, quoted
from haldir.faces.cli.policy_code.apply import apply, rollback, versions
from haldir.faces.cli.policy_code.checks import StatedFile, fail_at, lint, schema, warn
from haldir.faces.cli.policy_code.files import Stated
from haldir.faces.cli.policy_code.replay import replay
from haldir.faces.cli.policy_code.testing import run_cases
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_table

LISTS = ("agents", "tools", "weekdays")  # Members that are lists even when only one thing is given.

# \b tells click to leave the lines as they are.
EXAMPLES = """
\b
haldir policy add block_tool tool=delete_account
haldir policy add allow_list tools=search,read_page
haldir policy add deny_list tools=transfer,close_account
haldir policy add spend_limit max=25
haldir policy add rate_limit max_per_minute=30
haldir policy add time_window start_hour=8 end_hour=18 zone=Europe/Berlin
haldir policy add block_tool tool=delete_account name=no-deleting
"""


@click.group()
def policy() -> None:
    """Rules on tool calls."""


for command in (apply, replay, versions, rollback, lint, run_cases, schema):
    policy.add_command(command)


def defined_by(what: str, file: click.ParamType[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the arguments that `definition` makes a definition of."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        command = click.option("--file", "file", type=file, help=what)(command)
        command = click.argument("members", nargs=-1)(command)
        return click.argument("kind", required=False)(command)

    return decorate


@policy.command(epilog=EXAMPLES)
@defined_by("The policy as YAML or JSON.", StatedFile())
@speaks_rest
def add(remote: Remote, kind: str | None, members: tuple[str, ...], file: Stated | None) -> None:
    """Add a policy: its KIND and its MEMBERS as NAME=VALUE, or a file."""
    stated = definition(kind, members, file.definition if file else None)
    try:
        answer = remote.send("POST", "/v1/proxy/policies", stated)
    except HaldirAPIError as error:
        pointer = error.body.get("field", "")
        fail_at(remote, error, file.where(pointer) if file and pointer.startswith("/") else None)
        raise
    if not remote.as_json:
        where = {each["pointer"]: file.where(each["pointer"]) if file else "policy" for each in answer["warnings"]}
        warn([{**each, "severity": "warning", "where": where[each["pointer"]]} for each in answer["warnings"]])
    remote.show(answer, lambda added: click.echo(f"Policy {plain(added['policy_id'])} is in force."))


@policy.command("list")
@click.option("--version", type=click.IntRange(min=0), help="Those of an older version instead.")
@speaks_rest
def list_policies(remote: Remote, version: int | None) -> None:
    """List the policies in force."""
    if version is None:
        remote.show(remote.get("/v1/proxy/policies"), _print_policies)
    else:
        remote.show(remote.get(f"/v1/proxy/policies/versions/{version}"), _print_policies)


@policy.command()
@click.argument("policy_id")
@speaks_rest
def remove(remote: Remote, policy_id: str) -> None:
    """Remove a policy."""
    answer = remote.delete(f"/v1/proxy/policies/{quoted(policy_id)}")
    remote.show(answer, lambda _: click.echo(f"Policy {plain(policy_id)} is removed."))


def definition(kind: str | None, members: tuple[str, ...], file: Json | None) -> Json:
    """Return the definition that a KIND with MEMBERS, or else a file, stands for."""
    if (kind is None) == (file is None):
        raise click.UsageError("Give a KIND and its members, or --file.")
    if file is not None:
        return file
    defined: dict[str, Any] = {"type": kind}
    for text in members:
        name, value = parse_member(text)
        defined[name] = value.split(",") if name in LISTS and isinstance(value, str) else value
    return defined


def _print_policies(answer: Json) -> None:
    known = ("policy_id", "name", "type", "created_at")
    rows = (
        (
            each["policy_id"],
            each["type"],
            " ".join(f"{name}={json.dumps(value)}" for name, value in each.items() if name not in known),
        )
        for each in answer["policies"]
    )
    print_table(("policy", "kind", "rule"), rows, empty="There are no policies: calls are allowed within scopes.")
