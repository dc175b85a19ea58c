"""What became of each mutant, kept while neither the package nor a test changes: a run that broke off goes on."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from mutants.mutant import Mutant
from mutants.scope import PACKAGE, ROOT
from mutants.trials import Verdict

FOLDER = ROOT / ".mutants_cache"


class Verdicts:
    """A file of lines, named by all sources: nothing that changed since is judged by it."""

    def __init__(self, mutants: Iterable[Mutant]) -> None:
        FOLDER.mkdir(exist_ok=True)
        self._path = FOLDER / f"{_digest_of_sources()}.jsonl"
        self._path.touch()
        told = map(json.loads, self._path.read_text(encoding="utf-8").splitlines())
        known = {_key_of(mutant): mutant for mutant in mutants}
        self._found: dict[Mutant, Verdict] = {known[tuple(key)]: verdict for key, verdict in told}

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        self._found[mutant] = verdict
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([_key_of(mutant), verdict]) + "\n")

    def items(self) -> Iterable[tuple[Mutant, Verdict]]:
        return self._found.items()

    def __getitem__(self, mutant: Mutant) -> Verdict:
        return self._found[mutant]

    def __iter__(self) -> Iterator[Mutant]:
        return iter(self._found)

    def __contains__(self, mutant: Mutant) -> bool:
        return mutant in self._found

    def __len__(self) -> int:
        return len(self._found)


def _key_of(mutant: Mutant) -> tuple[str, int, int, str]:
    return mutant.file, mutant.start, mutant.end, mutant.text


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for folder in (PACKAGE, ROOT / "tests"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
