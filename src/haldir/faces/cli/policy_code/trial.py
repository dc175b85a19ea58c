"""Cases tried against the policies of files: all that `haldir policy test` does but to print it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from haldir.faces.cli.policy_code.cases import Case, load_cases
from haldir.faces.cli.policy_code.files import BadPolicyFile, case_files, load_policies
from haldir.faces.cli.policy_code.outcome import Outcome, outcome_of
from haldir.operations.policy_changes import named_policy
from haldir.policy.compile import compile_policies
from haldir.policy.fields import InvalidPolicy, pointer
from haldir.policy.policy import Policy


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


class Trial(NamedTuple):
    """All cases that were tried, and the policies that decided none of them."""

    tried: list[Tried]
    idle: list[str]

    @property
    def failed(self) -> list[Tried]:
        return [each for each in self.tried if not each.ok]


def try_cases(path: Path, cases: Sequence[Path]) -> Trial:
    """Try the cases of these files, or those beside the policies, on the policies of a path. Raises BadPolicyFile."""
    policies = _read_policies(path)
    compiled = compile_policies(list(policies.items()), epoch=0)
    tried = [Tried(case, outcome_of(compiled, case)) for case in load_cases(list(cases) or _cases_beside(path))]
    return Trial(tried, sorted({*policies}.difference(*(each.outcome.by for each in tried))))


def _cases_beside(path: Path) -> list[Path]:
    found = case_files(path) if path.is_dir() else []
    if not found:
        raise BadPolicyFile(str(path), "there are no cases here; name a file of them with --cases FILE")
    return found


def _read_policies(path: Path) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for stated in load_policies(path):
        try:
            name, policy = named_policy(stated.definition)
        except InvalidPolicy as fault:
            raise BadPolicyFile(stated.where(fault.pointer), fault.message) from None
        if name in found:
            raise BadPolicyFile(stated.where(pointer("name")), f"Two policies are named {name!r}.")
        found[name] = policy
    return found
