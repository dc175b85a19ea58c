"""All mutants of a file, in the order of its lines. What says nothing to a program is left alone."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from mutants.mutant import Mutant
from mutants.operators import FUNCTIONS, OPERATORS, Change, Text

SILENT = {"_log", "re", "TypeVar", "cast"}  # Words for people, patterns, and what only a type checker reads.
STRUCTURE = {"frozen", "kw_only", "eq"}  # How a struct is made, which mypy and the tests of others hold.


class Place(NamedTuple):
    """A node, the nearest function around it, the outermost one and the classes by name, and its statement."""

    node: ast.AST
    around: ast.AST
    function: str
    classes: tuple[str, ...]
    statement: ast.AST
    live: bool

    def inside(self, child: ast.AST) -> "Place":
        """Return the place of a child of this node."""
        place = self._replace(node=child, statement=child if isinstance(child, ast.stmt) else self.statement)
        if isinstance(self.node, ast.ClassDef) and not self.function:
            return place._replace(classes=(*self.classes, self.node.name))
        if isinstance(self.node, FUNCTIONS) and any(child is part for part in self.node.body):
            if self.function:
                return place._replace(around=self.node)
            name = ".".join((*self.classes, self.node.name))
            return place._replace(around=self.node, function=name, live=not _needs_its_class(self.node))
        return place


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """Return the mutants of one file that Python accepts."""
    tree, text = ast.parse(source), Text(source)
    found: dict[Change, Mutant] = {}
    for place in _places(Place(tree, tree, "", (), tree, live=False)):
        for operator in OPERATORS:
            for change in operator(text, place.node, place.around):
                found.setdefault(change, _mutant(file, text, place, change))
    bred = sorted(found.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.text))
    return [mutant for mutant in bred if _compiles(mutant.applied(source))]


def _places(at: Place) -> Iterator[Place]:
    for child in _children(at.node):
        place = at.inside(child)
        yield place
        yield from _places(place)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children that decide anything: no annotations, decorators, assertions, texts or docstrings."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_silent(child):
                yield child


def _is_silent(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.JoinedStr() | ast.Expr(value=ast.Constant()):
            return True
        case ast.keyword(arg=name) if name in STRUCTURE:
            return True
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
        case ast.Raise(exc=ast.Name(id="NotImplementedError")):
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
            return name in SILENT
    return False


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _needs_its_class(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(function))


def _mutant(file: str, text: Text, place: Place, change: Change) -> Mutant:
    row = text.source.count(b"\n", 0, change.start)
    begin = text.source.rfind(b"\n", 0, change.start) + 1
    last = text.source.count(b"\n", 0, change.end)
    first = getattr(place.statement, "lineno", row + 1)
    changed = text.source[begin : change.start] + change.text.encode() + text.source[change.end :]
    return Mutant(
        file,
        place.function or ".".join(place.classes),
        place.live,
        range(min(first, row + 1), last + 2),
        *change,
        before=text.source.splitlines()[row].decode().strip(),
        after=changed.splitlines()[0].decode().strip(),
    )
