"""What is broken on purpose, and which tests must notice."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "haldir"
PAGE = ROOT / "docs" / "mutants.md"

# Where rules are kept; what others add there is judged without anybody listing it.
SCOPE = (
    "*/commands.py",
    "*/*_commands.py",
    "approvals/*.py",
    "gate/*.py",
    "ledger/*.py",
    "policy/**/*.py",
    "journal/*.py",
)
SPARED = {"queries.py", "__init__.py"}  # SQL, which no test on these engines can judge; a docstring.

# The tests in memory and on SQLite: some seconds in all. Servers, other processes and PostgreSQL are left out.
JUDGES = (
    "test_*commands.py",
    "test_*decisions*.py",
    "test_anomalies.py",
    "test_approval_changes.py",
    "test_payments.py",
    "test_journal*.py",
    "test_key_uses.py",
    "test_kernel_money.py",
    "test_laws*.py",
    "test_policy_*.py",
    "test_sweep.py",
    "test_tree.py",
    "test_watch_verify.py",
)
SLOW = re.compile("postgres|every_engine_tells_the_same_story")  # It needs both databases and takes seconds.

# The laws that take most of the time. Of a constant, which meets every test if it survives, they are not asked: so it
# may be called a survivor though one of them would notice, never killed though none does.
LONG = re.compile(
    r"test_(laws|policy_interpreted|policy_replay)\.py|test_tree\.py::test_(?!an_empty_log)"
    "|test_a_condition_that_implies_another|test_what_is_never_met|test_no_other_text_is_money"
)


def files() -> list[Path]:
    """Return the files with rules, in one order."""
    found = {path for pattern in SCOPE for path in PACKAGE.glob(pattern)}
    return sorted(path for path in found if path.name not in SPARED)


def judges() -> list[Path]:
    """Return the files with tests, in one order."""
    return sorted({path for pattern in JUDGES for path in (ROOT / "tests").glob(pattern)})


def name_of(path: Path) -> str:
    """Return how a file is called in tables and on the page."""
    return path.relative_to(PACKAGE).as_posix()


def module_of(file: str) -> str:
    return "haldir." + file.removesuffix(".py").replace("/", ".")


def importers_of(file: str) -> list[str]:
    """Return the files that import from a file: what its constants are worth shows there as well."""
    words = f"from {module_of(file)} import "
    return [name_of(path) for path in sorted(PACKAGE.rglob("*.py")) if words in path.read_text(encoding="utf-8")]
