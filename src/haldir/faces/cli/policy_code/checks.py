"""`haldir policy lint|schema`: what is wrong with policies before they are in force, by file, line and column."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from haldir.faces.cli.endings import CHECK_FAILED
from haldir.faces.cli.policy_code.files import Stated, load_policies
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_json

MEMBER = "/policies/"  # How a pointer to one of the policies begins.


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


def print_findings(placed: Sequence[Json], *, aside: bool = False) -> None:
    """Print findings as compilers do, so that editors find the place; `aside` on standard error."""
    for each in placed:
        click.echo(plain(f"{each['where']}: {each['severity']}: {each['message']}"), err=aside)


def where(stated: Sequence[Stated], pointer: str) -> str | None:
    """Return file, line and column of what a pointer into the request leads to; None if that is no policy."""
    number, slash, rest = pointer.removeprefix(MEMBER).partition("/")
    if not pointer.startswith(MEMBER) or not number.isdecimal() or int(number) >= len(stated):
        return None
    return stated[int(number)].where(slash + rest)
