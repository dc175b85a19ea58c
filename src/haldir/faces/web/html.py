"""HTML made of elements: text is always text, so that nothing an agent writes can become markup.

There is no way to put in markup as a string.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeAlias

import msgspec

Node: TypeAlias = "Element | str | Sequence[Node] | None"
Value: TypeAlias = str | int | bool | None

VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
RAW = frozenset({"script", "style"})  # What stands in them is no text: they may only be empty.

_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Element(msgspec.Struct, frozen=True):
    """One element; its children are elements and text. `str` of it is its markup."""

    tag: str
    attributes: tuple[tuple[str, str | None], ...]
    children: tuple["Element | str", ...]

    def __str__(self) -> str:
        return "".join(_pieces(self))


def h(tag: str, *children: Node, **attributes: Value) -> Element:
    """Return an element. In names of attributes `_` stands for a dash, and one at the end is dropped (`class_`).

    True is an attribute without a value; False and None are none.
    """
    inside = tuple(_flat(children))
    assert _NAME.fullmatch(tag)
    assert not inside or tag not in VOID | RAW
    return Element(tag, tuple(_given(attributes)), inside)


def document(root: Element) -> bytes:
    """Return a whole page."""
    return f"<!doctype html>\n{root}\n".encode()


def _given(attributes: dict[str, Value]) -> Iterator[tuple[str, str | None]]:
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        dashed = name.removesuffix("_").replace("_", "-")
        assert _NAME.fullmatch(dashed)
        assert not dashed.startswith("on")
        yield dashed, None if value is True else str(value)


def _flat(nodes: Sequence[Node]) -> Iterator[Element | str]:
    for node in nodes:
        if isinstance(node, Element | str):
            yield node
        elif node is not None:
            yield from _flat(node)


def _pieces(node: Element | str) -> Iterator[str]:
    if isinstance(node, str):
        yield escape(node, quote=False)
        return
    yield f"<{node.tag}"
    for name, value in node.attributes:
        yield f" {name}" if value is None else f' {name}="{escape(value)}"'
    yield ">"
    for child in node.children:
        yield from _pieces(child)
    if node.tag not in VOID:
        yield f"</{node.tag}>"
