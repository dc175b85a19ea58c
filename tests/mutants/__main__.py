"""`make mutants`: break every rule in every small way, and see that a law or test notices.

Ends with 1 unless at least KILLED_PERCENT_MIN of the mutants die and docs/mutants.md explains exactly the rest.
"""

import importlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from mutants.breeding import mutants_of
from mutants.judging import Bench, Survey, convene, first_to_fail
from mutants.mutant import Mutant
from mutants.page import explained, lines_of
from mutants.scope import LONG, PACKAGE, PAGE, files, importers_of, module_of, name_of
from mutants.swapping import import_instead, swap
from mutants.trials import Verdict, aside, tried
from mutants.verdicts import Verdicts

KILLED_PERCENT_MIN = 90
FIRST = ("tests/test_stored_commands.py", "tests/test_journal_format.py")
VERDICTS: tuple[Verdict, ...] = ("killed", "timed out", "survived")
WIDTH_CHARS = 110

Trial = Callable[[], str | None]
Trials = Iterator[tuple[Mutant, Trial]]


class Run:
    """One run over some files: what was bred, who judges, and what became of each mutant."""

    def __init__(self, chosen: Sequence[str], scratch: Path) -> None:
        self._scratch = scratch
        self.sources = {name_of(path): path.read_bytes() for path in files() if not chosen or name_of(path) in chosen}
        self.mutants = [mutant for file, source in self.sources.items() for mutant in mutants_of(file, source)]
        self.verdicts = Verdicts(self.mutants)
        self._survey = self._surveyed()

    def judge(self) -> None:
        """Try every mutant. Those outside functions first: the package must not be imported for them."""
        self._take(self._births())
        convene(Bench(lambda items: self._take(self._exchanges(items))))
        if len(self.verdicts) < len(self.mutants):
            sys.exit("the run broke off; its traceback stands above")

    def survivors(self) -> list[Mutant]:
        return [mutant for mutant in self.mutants if self.verdicts[mutant] == "survived"]

    def _surveyed(self) -> Survey:
        told = self._scratch / "survey.json"

        def survey() -> None:
            survey = Survey()
            convene(survey)
            told.write_text(survey.encoded(), encoding="utf-8")

        aside(survey)
        found = Survey.decoded(told.read_text(encoding="utf-8"))
        if found.failed or not found.seconds:
            sys.exit(f"these fail before anything is broken: {found.failed or 'there are none'}")
        return found

    def _take(self, trials: Trials) -> None:
        for mutant, verdict in tried(trials):
            if mutant.after == mutant.before:
                continue
            self.verdicts.add(mutant, verdict)
            if verdict == "survived":
                sys.stdout.write("\n".join([*lines_of([mutant]), ""]))
            if len(self.verdicts) % 100 == 0:
                sys.stdout.write(f"{len(self.verdicts)} of {len(self.mutants)}\n")

    def _births(self) -> Trials:
        """Mutants of lines that run once, when their module is imported: each in a program that starts."""
        control = Mutant.unchanged(self.mutants[0].file)
        reborn = partial(self._reborn, control, sorted(filter(_is_short, self._survey.seconds)))
        yield control, partial(unharmed, reborn)
        for mutant in self.mutants:
            if not mutant.live and mutant not in self.verdicts:
                tests = self._survey.judges_of_all([mutant.file, *importers_of(mutant.file)])
                yield mutant, partial(self._reborn, mutant, [*filter(_is_short, tests)])

    def _reborn(self, mutant: Mutant, tests: list[str]) -> str | None:
        """Ask first what holds names and defaults alone: that takes no collecting of the others, and runs none of their lines."""
        import_instead(module_of(mutant.file), str(PACKAGE / mutant.file), self._mutated(mutant))
        first = [test for test in self._survey.seconds if test.startswith(FIRST)]
        return self._failing(first) or self._failing(tests)

    def _failing(self, tests: list[str]) -> str | None:
        # A session that ends clears its folder of all sessions: each has one of its own.
        os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(dir=self._scratch)
        failed: list[str | None] = []

        def judge(items: dict[str, pytest.Item]) -> None:
            failed.append(first_to_fail([items[test] for test in tests], self._survey))

        chosen = sorted({test.partition("::")[0] for test in tests})
        try:
            convene(Bench(judge), chosen)
        except BaseException:  # After the verdict: servers that outlived their folder, as not every test was reached.
            if not failed:
                raise
        return failed[0] if failed else "nothing was collected"

    def _exchanges(self, items: dict[str, pytest.Item]) -> Trials:
        """Mutants of functions: exchanged in a fork of a program that has everything imported."""
        control = Mutant.unchanged(self.mutants[0].file)
        yield control, partial(unharmed, partial(first_to_fail, list(items.values()), self._survey))
        for mutant in self.mutants:
            if mutant.live and mutant not in self.verdicts:
                tests = [items[test] for test in self._survey.judges_of(mutant.file, mutant.lines)]
                yield mutant, partial(self._exchanged, mutant, tests)

    def _exchanged(self, mutant: Mutant, tests: list[pytest.Item]) -> str | None:
        swap(importlib.import_module(module_of(mutant.file)), mutant.function, self._mutated(mutant))
        return first_to_fail(tests, self._survey)

    def _mutated(self, mutant: Mutant) -> bytes:
        return mutant.applied(self.sources[mutant.file])


def _is_short(test: str) -> bool:
    return LONG.search(test) is None


def unharmed(control: Trial) -> None:
    """Hold the trial of what nobody changed: a test that fails then depends on its order, or on its luck."""
    failed = control()
    assert failed is None, f"{failed} fails though nothing is broken: it cannot be a judge"


def main(chosen: Sequence[str]) -> int:
    """Judge all files with rules, or the chosen ones; return 0 if the page and the floor hold."""
    with tempfile.TemporaryDirectory(prefix="haldir-mutants-") as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        run = Run(chosen, Path(folder))
        run.judge()
    console = Console(width=WIDTH_CHARS, markup=False, highlight=False, soft_wrap=True)
    console.print(_table(run))
    survived = Counter(mutant.name for mutant in run.survivors())
    stated = explained(PAGE.read_text(encoding="utf-8"))
    named = Counter({name: times for name, times in stated.items() if not chosen or name[0] in chosen})
    for title, names in (
        ("Survivors that docs/mutants.md does not explain:", survived - named),
        ("Named there, but no survivors:", named - survived),
    ):
        if names:
            console.print(title, *lines_of(names.elements()), sep="\n")
    percent = 100 - 100 * sum(survived.values()) / len(run.mutants)
    console.print(f"{percent:.1f} % of {len(run.mutants)} mutants killed; {KILLED_PERCENT_MIN} are required.")
    return 0 if percent >= KILLED_PERCENT_MIN and survived == named else 1


def _table(run: Run) -> Table:
    table = Table("file", "mutants", *VERDICTS)
    rows = {file: Counter[str]() for file in run.sources}
    for mutant, verdict in run.verdicts.items():
        rows[mutant.file][verdict] += 1
    for file, counts in [*rows.items(), ("all", sum(rows.values(), Counter[str]()))]:
        table.add_row(file, *map(str, (counts.total(), *(counts[verdict] for verdict in VERDICTS))))
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
