"""What may be changed in a line: each operator yields (node, its new text), or (start, end, new text) of bytes.

Texts for people need no mutants: of strings only single words are changed, which are codes and names.
"""

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "|"),
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}

_WORD = re.compile(r"[a-z0-9_:.*]*")


class Change(NamedTuple):
    """Bytes `start` to `end` become `text`."""

    start: int
    end: int
    text: str


class Text:
    """A source by the places of its nodes: lines and columns in bytes, as `ast` counts them."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self.start(node) : self.end(node)].decode()

    def instead(self, node: ast.expr | ast.stmt, text: str) -> Change:
        return Change(self.start(node), self.end(node), text)

    def between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Change:
        """Change the operator between two operands, wherever parentheses and line ends leave it."""
        start, end = self.end(left), self.start(right)
        gap = self.source[start:end].decode()
        at = start + len(gap[: gap.index(old)].encode())
        return Change(at, at + len(old.encode()), new)


Operator = Callable[[Text, ast.AST, ast.AST], Iterator[Change]]
"""Called with the text, a node and the function around it."""


def comparison(text: Text, node: ast.AST, _around: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
            old, others = COMPARISONS[type(op)]
            for new in others:
                yield text.between(left, right, old, new)


def boolean(text: Text, node: ast.AST, _around: ast.AST) -> Iterator[Change]:
    """Swap `and` and `or`, and leave out each condition of several."""
    if isinstance(node, ast.BoolOp):
        old, new, neutral = ("and", "or", "True") if isinstance(node.op, ast.And) else ("or", "and", "False")
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield text.between(left, right, old, new)
        for value in node.values:
            yield text.instead(value, neutral)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield text.instead(node, text.of(node.operand))


def arithmetic(text: Text, node: ast.AST, around: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp) and not _is_type_union(node, around):
        yield text.between(node.left, node.right, *ARITHMETIC[type(node.op)])
    elif isinstance(node, ast.AugAssign):
        old, new = ARITHMETIC[type(node.op)]
        start, end = text.end(node.target), text.start(node.value)
        yield Change(start, end, text.source[start:end].decode().replace(old, new, 1))


def constant(text: Text, node: ast.AST, _around: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Constant(value=bool(value)):
            yield text.instead(node, str(not value))
        case ast.Constant(value=int(value) | float(value)):
            yield text.instead(node, str(value + 1))
        case ast.Constant(value=str(value)) if _WORD.fullmatch(value):
            yield text.instead(node, f'"{value}_"')
        case ast.Constant(value=bytes(value)):
            yield text.instead(node, repr(value + b"_"))


def negation(text: Text, node: ast.AST, _around: ast.AST) -> Iterator[Change]:
    """Turn conditions round, unless that is what another operator makes of them; let a guard never strike."""
    tests = [node.test] if isinstance(node, ast.If | ast.While | ast.IfExp) else []
    if isinstance(node, ast.comprehension):
        tests = node.ifs
    for test in tests:
        if not (isinstance(test, ast.Compare) and len(test.ops) == 1) and not isinstance(test, ast.UnaryOp):
            yield text.instead(test, f"not ({text.of(test)})")
    if isinstance(node, ast.If) and not node.orelse:
        yield text.instead(node.test, "False")


def returned(text: Text, node: ast.AST, around: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            return  # As a constant it is changed already.
        told = isinstance(around, FUNCTIONS) and isinstance(around.returns, ast.Name) and around.returns.id == "bool"
        yield text.instead(node.value, f"not ({text.of(node.value)})" if told else "None")


def removed(text: Text, node: ast.AST, around: ast.AST) -> Iterator[Change]:
    """Leave statements out. Where that only leaves a name unbound it would be no test of anything."""
    match node:
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield text.instead(node, "yield from ()")  # What yields must go on to.
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Delete(targets=[ast.Subscript() | ast.Attribute()]):
            yield text.instead(node, "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield text.instead(node, "pass")
        case ast.Assign(targets=[target]) if isinstance(around, FUNCTIONS) and _is_bound_again(target, around):
            yield text.instead(node, "pass")
        case ast.Break():
            yield text.instead(node, "continue")
        case ast.Continue():
            yield text.instead(node, "break")


def twin(text: Text, node: ast.AST, _around: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TWINS:
        yield text.instead(node.func, TWINS[node.func.id])


OPERATORS: tuple[Operator, ...] = (comparison, boolean, arithmetic, constant, negation, returned, removed, twin)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_type_union(node: ast.BinOp, around: ast.AST) -> bool:
    return isinstance(node.op, ast.BitOr) and not isinstance(around, FUNCTIONS)


def _is_bound_again(target: ast.expr, around: ast.AST) -> bool:
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    bound = [node.id for node in ast.walk(around) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return any(bound.count(name) > 1 for name in names)
