"""Tables and folded text: nothing is lost, nothing is wider than the window, columns stand under their heads."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.faces.cli.layout import COLUMN_MIN, GAP, folded, table, width
from haldir.faces.cli.screen import plain

CELLS = st.text(max_size=60).map(plain)
# Starts a program in a window of so many columns, and reads what a person would see there.
WINDOW = """
import fcntl, os, pty, struct, sys, termios
child, screen = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
os.write(screen, b"\\n")  # The child has waited for its window.
seen = b""
try:
    while chunk := os.read(screen, 4096):
        seen += chunk
except OSError:
    pass
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
PRINTS = (
    "from haldir.faces.cli.screen import print_table; input(); print_table(('a', 'b'), [('x', 'word ' * 20)], empty='')"
)


def spaceless(text: str) -> str:
    return text.replace(" ", "")


@given(text=CELLS, room=st.integers(2, 80))
def test_folded_text_keeps_every_character_and_fits(text: str, room: int) -> None:
    lines = list(folded(text, room))
    assert all(width(line) <= room for line in lines)
    assert spaceless("".join(lines)) == spaceless(text)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5), room=st.integers(20, 200))
def test_a_table_fits_its_window_and_keeps_every_character(rows: list[tuple[str, str, str]], room: int) -> None:
    assert room >= 3 * COLUMN_MIN + 2 * len(GAP)
    heads, rule, *lines = table(("a", "b", "c"), rows, room)
    assert all(width(line) <= room for line in (heads, rule, *lines))
    told, wanted = spaceless("".join(lines)), spaceless("".join("".join(row) for row in rows))
    assert sorted(told) == sorted(wanted)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("plain", 5), ("日本語", 6), ("ﾊﾟ", 2), ("e\u0301", 1), ("\uff21", 2), ("é", 1), ("\u20dd", 0)],
)
def test_text_is_measured_as_a_terminal_shows_it(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("", 5, [""]),
        ("two words", 9, ["two words"]),
        ("two words", 8, ["two", "words"]),
        ("two  words", 5, ["two", "words"]),
        ("seventeen", 4, ["seve", "ntee", "n"]),
        ("a seventeen", 4, ["a", "seve", "ntee", "n"]),
        ("日本語", 4, ["日本", "語"]),
        ("日本語", 1, ["日", "本", "語"]),
    ],
)
def test_text_is_folded_between_words_where_it_can_be(text: str, room: int, lines: list[str]) -> None:
    assert list(folded(text, room)) == lines


def test_the_widest_column_is_the_one_that_is_folded() -> None:
    rows = [("ses_1", "a long reason, told in words"), ("日本", "short")]
    assert list(table(("session", "reason"), rows, 24)) == [
        "session   reason",
        "------------------------",
        "ses_1     a long reason,",
        "          told in words",
        "日本      short",
    ]


@pytest.mark.parametrize(("columns", "lines"), [(40, 3), (200, 1)])
def test_a_table_is_as_wide_as_the_window(tmp_path: Path, columns: int, lines: int) -> None:
    seen = subprocess.run(
        (sys.executable, "-c", WINDOW, str(columns), PRINTS),
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
    )
    assert seen.stdout.count(b"word") == 20
    assert len([line for line in seen.stdout.splitlines() if b"word" in line]) == lines


def test_nothing_in_a_cell_steers_the_terminal() -> None:
    prints = (
        "from haldir.faces.cli.screen import print_table; print_table(('a',), [('\\x1b[2J\\nx\\u202ey',)], empty='')"
    )
    seen = subprocess.run((sys.executable, "-c", prints), capture_output=True, text=True, check=True)
    assert seen.stdout.splitlines()[-1] == "\\x1b[2J\\nx\\u202ey"
