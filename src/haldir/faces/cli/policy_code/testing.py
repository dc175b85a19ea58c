"""`haldir policy test`: what policies make of cases, without any server."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from haldir.faces.cli.endings import CHECK_FAILED, explained
from haldir.faces.cli.policy_code.cases import Case, load_cases
from haldir.faces.cli.policy_code.files import BadPolicyFile, case_files, load_policies
from haldir.faces.cli.policy_code.outcome import Outcome, outcome_of
from haldir.faces.cli.screen import plain, print_json
from haldir.operations.policy_changes import Policies, named_policy
from haldir.policy.compile import compile_policies
from haldir.policy.fields import InvalidPolicy, pointer

EXAMPLES = """
\b
# shop.cases.yaml
- name: a refund waits for a person
  call: {upstream: shop, tool: refund, arguments: {amount: 12}, at: "2026-11-25T10:00:00+01:00"}
  expect: hold
  by: refunds
"""


class Tried(NamedTuple):
    """A case and what became of it."""

    case: Case
    outcome: Outcome

    @property
    def ok(self) -> bool:
        asked = self.case.asked
        return (
            self.outcome.verdict == asked.expect
            and (not asked.by or asked.by in self.outcome.by)
            and asked.reason in self.outcome.reason
            and not self.undated
        )

    @property
    def undated(self) -> bool:
        """Whether the outcome depends on the time, and the case does not say when."""
        return self.outcome.timed and self.case.call.at is None


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
    with explained(as_json=as_json):
        policies = _read_policies(path)
        tried = _try_all(policies, load_cases(list(cases) or _cases_beside(path)))
    if as_json:
        print_json({"ok": all(each.ok for each in tried), "cases": [_shown(each) for each in tried]})
    else:
        _print(policies, tried)
    sys.exit(0 if all(each.ok for each in tried) else CHECK_FAILED)


def _cases_beside(path: Path) -> list[Path]:
    found = case_files(path) if path.is_dir() else []
    if not found:
        raise BadPolicyFile(str(path), "there are no cases here; name a file of them with --cases FILE")
    return found


def _read_policies(path: Path) -> Policies:
    found: dict[str, Any] = {}
    for stated in load_policies(path):
        try:
            name, policy = named_policy(stated.definition)
        except InvalidPolicy as fault:
            raise BadPolicyFile(stated.where(fault.pointer), fault.message) from None
        if name in found:
            raise BadPolicyFile(stated.where(pointer("name")), f"Two policies are named {name!r}.")
        found[name] = policy
    return found


def _try_all(policies: Policies, cases: Sequence[Case]) -> list[Tried]:
    compiled = compile_policies(list(policies.items()), epoch=0)
    return [Tried(case, outcome_of(compiled, case)) for case in cases]


def _print(policies: Policies, tried: Sequence[Tried]) -> None:
    failed = [each for each in tried if not each.ok]
    for each in failed:
        for line in _lines(each):
            click.echo(plain(line))
    if unseen := sorted({*policies}.difference(*(each.outcome.by for each in tried))):
        click.echo(plain(f"No case is decided by: {', '.join(unseen)}."))
    click.echo(f"{len(tried)} cases, {len(failed)} failed.")


def _lines(tried: Tried) -> Iterator[str]:
    asked = tried.case.asked
    by = f" by {asked.by}" if asked.by else ""
    because = f", and a reason with {asked.reason!r}" if asked.reason else ""
    yield f"{tried.case.where}: {asked.name}"
    yield f"    expected: {asked.expect}{by}{because}"
    yield f"    got:      {tried.outcome.told}"
    if tried.undated:
        yield "    A policy depends on the time: say when the call is, with `at`."


def _shown(tried: Tried) -> dict[str, Any]:
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
