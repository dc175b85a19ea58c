"""`haldir policy lint|schema`: what is wrong with policies before they are in force, by file, line and column."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from haldir.client import HaldirAPIError
from haldir.faces.cli.endings import CHECK_FAILED
from haldir.faces.cli.policy_code.files import BadPolicyFile, Stated, load_policies, load_stated
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_json

MEMBER = "/policies/"  # How a pointer to one of the policies begins.


WARNINGS_SHOWN = 20  # Beside a change; `lint` shows all.


class StatedFile(click.ParamType[Stated]):
    """A file that states one policy, as YAML or JSON."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Stated:
        try:
            stated = list(load_stated(Path(value)))
        except BadPolicyFile as fault:
            self.fail(fault.message, param, ctx)
        if len(stated) != 1:
            self.fail(f"{value} states {len(stated)} policies; `haldir policy apply` takes several.", param, ctx)
        return stated[0]


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Let warnings fail, too.")
@speaks_rest
def lint(remote: Remote, path: Path, *, strict: bool) -> None:
    """Say what is wrong or odd with the policies of a file or folder. Ends with 1 if something is wrong."""
    stated = load_policies(path)
    body = {"policies": [each.definition for each in stated]}
    told = remote.send("POST", "/v1/proxy/policies/lint", body)
    placed = [{**each, "where": where(stated, each["pointer"]) or str(path)} for each in told["findings"]]
    if remote.as_json:
        print_json({**told, "findings": placed})
    else:
        print_findings(placed)
        click.echo(f"{len(stated)} policies, {len(placed)} findings.")
    sys.exit(CHECK_FAILED if not told["ok"] or (strict and placed) else 0)


@click.command()
@speaks_rest
def schema(remote: Remote) -> None:
    """Print the JSON Schema of policies, by which editors complete and check them."""
    print_json(remote.get("/v1/proxy/policies/schema"))


def print_findings(placed: Sequence[Json]) -> None:
    """Print findings as compilers do, so that editors find the place."""
    for each in placed:
        click.echo(_line(each))


def warn(placed: Sequence[Json]) -> None:
    """Print the first findings on standard error, beside what else there is to say."""
    for each in placed[:WARNINGS_SHOWN]:
        click.echo(_line(each), err=True)
    if len(placed) > WARNINGS_SHOWN:
        more = len(placed) - WARNINGS_SHOWN
        click.echo(f"… and {more} more: `haldir policy lint` shows all.", err=True)


def fail_at(remote: Remote, error: HaldirAPIError, place: str | None) -> None:
    """Say where in a file a refusal strikes, and end; one that strikes nowhere is left to the caller."""
    if place is None:
        return
    if remote.as_json:
        print_json({"code": error.code, "error": error.message, "where": place, "field": error.body.get("field", "")})
    else:
        click.echo(plain(f"{place}: {error.message}"), err=True)
    sys.exit(CHECK_FAILED)


def where(stated: Sequence[Stated], pointer: str) -> str | None:
    """Return file, line and column of what a pointer into the request leads to; None if that is no policy."""
    number, slash, rest = pointer.removeprefix(MEMBER).partition("/")
    if not pointer.startswith(MEMBER) or not number.isdecimal() or int(number) >= len(stated):
        return None
    return stated[int(number)].where(slash + rest)


def _line(finding: Json) -> str:
    return plain(f"{finding['where']}: {finding['severity']}: {finding['message']}")
