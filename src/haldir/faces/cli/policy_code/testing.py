"""`haldir policy test`: what policies make of cases, without any server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haldir.faces.cli.endings import CHECK_FAILED, explained
from haldir.faces.cli.screen import plain, print_json

if TYPE_CHECKING:  # Only names here: the other commands on policies must not load what judges them.
    from haldir.faces.cli.policy_code.trial import Trial, Tried

EXAMPLES = """
\b
# shop.cases.yaml
- name: a refund waits for a person
  call: {upstream: shop, tool: refund, arguments: {amount: 12}, at: "2026-11-25T10:00:00+01:00"}
  expect: hold
  by: refunds
"""


@click.command(name="test", epilog=EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--cases", "cases", multiple=True, type=click.Path(path_type=Path), help="A file of cases. [*.cases.yaml in PATH]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome of every case as JSON.")
def run_cases(path: Path, cases: tuple[Path, ...], *, as_json: bool) -> None:
    """Test the policies of a file or folder by cases: calls, and what shall become of them. Needs no server.

    Ends with 1 if a case fails, and with 2 if a file cannot be read.
    """
    from haldir.faces.cli.policy_code.trial import try_cases  # noqa: PLC0415 - as above.

    with explained(as_json=as_json):
        trial = try_cases(path, cases)
    if as_json:
        print_json({"ok": not trial.failed, "cases": [_shown(each) for each in trial.tried]})
    else:
        _print(trial)
    sys.exit(CHECK_FAILED if trial.failed else 0)


def _print(trial: "Trial") -> None:
    for each in trial.failed:
        for line in _lines(each):
            click.echo(plain(line))
    if trial.idle:
        click.echo(plain(f"No case is decided by: {', '.join(trial.idle)}."))
    click.echo(f"{len(trial.tried)} cases, {len(trial.failed)} failed.")


def _lines(tried: "Tried") -> Iterator[str]:
    asked = tried.case.asked
    by = f" by {asked.by}" if asked.by else ""
    because = f", and a reason with {asked.reason!r}" if asked.reason else ""
    yield f"{tried.case.where}: {asked.name}"
    yield f"    expected: {asked.expect}{by}{because}"
    yield f"    got:      {tried.outcome.told}"
    if tried.undated:
        yield "    A policy depends on the time: say when the call is, with `at`."


def _shown(tried: "Tried") -> dict[str, Any]:
    asked, outcome = tried.case.asked, tried.outcome
    expected = {"verdict": asked.expect, "by": asked.by, "reason": asked.reason}
    got = {"verdict": outcome.verdict, "by": list(outcome.by), "reason": outcome.reason}
    return {
        "name": asked.name,
        "where": tried.case.where,
        "ok": tried.ok,
        "expected": {name: said for name, said in expected.items() if said},
        "got": got,
        "undated": tried.undated,
    }
