"""`make mutants` itself: what it changes, what it leaves alone, and that its verdicts and its page can be trusted."""

import importlib.util
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from mutants.breeding import mutants_of
from mutants.page import explained, lines_of
from mutants.scope import files, name_of
from mutants.swapping import swap
from mutants.trials import tried


def mutations(*lines: str) -> list[str]:
    """Return what the last of these lines may become."""
    source = "\n".join(lines)
    return [mutant.after for mutant in mutants_of("f.py", source.encode()) if mutant.before == lines[-1].strip()]


@pytest.mark.parametrize(
    ("line", "mutated"),
    [
        ("x = a < b", ["x = a <= b", "x = a >= b"]),
        ("x = a == b", ["x = a != b"]),
        ("x = a is not None", ["x = a is None"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = a and b", ["x = True and b", "x = a or b", "x = a and True"]),
        ("x = (a or b) and c", ["x = (False or b) and c", "x = (True) and c", "x = (a and b) and c", "x = (a or False) and c", "x = (a or b) or c", "x = (a or b) and True"]),
        ("x = not a", ["x = a"]),
        ("x = a + b * c", ["x = a - b * c", "x = a + b // c"]),
        ("x = a >> 1", ["x = a << 1", "x = a >> 2"]),
        ("x += y", ["pass", "x -= y"]),
        ("x = True", ["x = False"]),
        ('x = "posted"', ['x = "posted_"']),
        ('x = b"k"', ["x = b'k_'"]),
        ("x = min(a)", ["x = max(a)"]),
        ("x = [a for a in b if c(a)]", ["x = [a for a in b if not (c(a))]"]),
        ("x = a if b(c) else d", ["x = a if not (b(c)) else d"]),
        ("if refusal := a(b): return refusal", ["if False: return refusal", "if not (refusal := a(b)): return refusal", "if refusal := a(b): return None"]),
        ("return f(x)", ["return None"]),
        ("f(x)", ["pass"]),
        ("raise Wrong(x)", ["pass"]),
        ("yield f(x)", ["yield from ()"]),
    ],
)  # fmt: skip
def test_a_line_is_changed_in_each_small_way(line: str, mutated: list[str]) -> None:
    assert mutations("def f(a, b, c, d, x, y):", f"    {line}") == mutated


def test_a_function_that_tells_something_tells_the_contrary() -> None:
    assert mutations("def f(x) -> bool:", "    return g(x)") == ["return not (g(x))"]


@pytest.mark.parametrize(
    "line",
    [
        '"""A docstring."""',
        "assert x > 1",
        'x: Literal["a"] | None = None',
        'raise Wrong("A sentence for people.")',
        'raise Wrong(f"no {x + 1}")',
        '_log.error("event", 1)',
        "raise NotImplementedError",
    ],
)
def test_what_only_people_and_type_checkers_read_is_left_alone(line: str) -> None:
    assert set(mutations("def f(x):", f"    {line}")) <= {"pass"}


def test_constants_fields_and_defaults_are_changed_as_well_though_they_run_once() -> None:
    source = b'LIMIT = 8\nclass Row(Base, frozen=True, tag="row"):\n    micros: int = 0\n    def f(self, n=3):\n        return n\n'
    found = [(each.function, each.live, each.after) for each in mutants_of("f.py", source)]
    assert found == [
        ("", False, "LIMIT = 9"),
        ("Row", False, 'class Row(Base, frozen=True, tag="row_"):'),
        ("Row", False, "micros: int = 1"),
        ("Row", False, "def f(self, n=4):"),
        ("Row.f", True, "return None"),
    ]


def test_every_command_is_in_scope_and_every_mutant_of_the_rules_compiles() -> None:
    names = [name_of(path) for path in files()]
    assert {
        "gate/commands.py",
        "proxy/commands.py",
        "operations/call_commands.py",
        "policy/kinds/rate_limit.py",
    } <= set(names)
    assert not [name for name in names if name.endswith("queries.py")]


def test_a_function_behind_any_decorator_is_exchanged_where_it_stands(tmp_path: Path) -> None:
    source = (
        "import functools\n"
        "class Row:\n"
        "    @property\n    def free(self): return 1\n"
        "    @classmethod\n    def made(cls): return 1\n"
        "@functools.cache\ndef cached(): return 1\n"
        "def outer():\n    def inner(): return 1\n    return inner\n"
    )
    (tmp_path / "rules.py").write_text(source)
    spec = importlib.util.spec_from_file_location("rules", tmp_path / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    for mutant in mutants_of("rules.py", source.encode()):
        if mutant.after.endswith("return 2"):
            swap(rules, mutant.function, mutant.applied(source.encode()))
    assert [rules.Row().free, rules.Row.made(), rules.cached(), rules.outer()()] == [2, 2, 2, 2]


def test_a_trial_ends_as_its_process_does() -> None:
    def endless() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.01)
        while True:
            pass

    trials = {"fails": lambda: "test_x", "passes": lambda: None, "endless": endless}
    assert dict(tried(trials.items())) == {"fails": "killed", "passes": "survived", "endless": "timed out"}


def test_a_trial_that_could_not_be_held_is_no_verdict() -> None:
    with pytest.raises(RuntimeError, match="exits could not be tried"):
        dict(tried({"exits": lambda: sys.exit(7)}.items()))


def test_the_page_names_survivors_as_the_run_does() -> None:
    names = [
        ("a.py", "f", "x = 1", "x = 2"),
        ("a.py", "f", "x = 1", "y = 1"),
        ("a.py", "", "N = 1", "N = 2"),
        ("b.py", "A.g", "x = 1", "x = 2"),
    ]
    twice = [*names, names[-1]]
    page = "\n".join(
        ["# Page", "", "Why.", "", "```diff", *lines_of(twice), "```", "", "More.", "```", "- no", "+ block", "```", ""]
    )
    assert explained(page) == Counter(twice)
