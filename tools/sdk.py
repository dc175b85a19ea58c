"""Writes the SDK's methods and types from the catalogue, sync and async from one source: `make sdk`.

What is written is checked in, so that an editor and a reader find it; a test holds it against the catalogue.
"""

import re
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from haldir.kernel.secret import Secret
from haldir.operations.catalogue import Operation
from haldir.operations.download import Download
from haldir.operations.everything import OPERATIONS
from haldir.operations.wire import Amount, Cost, JsonObject, Moment, StatusResponse, WholeBody

CLIENT = Path(__file__).parent.parent / "src" / "haldir" / "client"
WIDTH = 112  # Of a docstring's line.

# Published clients are called by position (WIRE.md §11): what stands here comes first, in this order.
ORDER = {
    "log_action": ("session_id", "tool", "action", "cost_usd", "details"),
    "get_audit_trail": ("session_id", "agent_id", "tool", "flagged_only", "limit"),
}
NAMES: dict[Any, str] = {
    Amount: "float",
    Cost: "float",
    Moment: "float | str",
    JsonObject: "dict[str, Any]",
    msgspec.Raw: "Any",
    type(None): "None",
    Any: "Any",
}

SYNC_CHUNKS, ASYNC_CHUNKS = "Iterator[bytes]", "AsyncIterator[bytes]"
HEAD = '''"""{summary} Made from the catalogue by `make sdk`; change that, not this."""
'''
TYPES_HEAD = """
from __future__ import annotations

from typing import Any, Literal, TypedDict
"""
METHODS_HEAD = """
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from haldir.client import types
from haldir.client.exchange import QueryValue, Request, given, reading, segment, writing


class {name}:
    \"\"\"Every public verb of Haldir. What is None is not sent.\"\"\"

    {awaits}def _ask(self, request: Request) -> Any:
        raise NotImplementedError

    def _download(self, path: str, query: Mapping[str, QueryValue]) -> {chunks}:
        raise NotImplementedError
"""

_BRACED = re.compile(r"\{(\w+)\}")


class Parameter(NamedTuple):
    """One argument of a method, and the request's field that it fills."""

    name: str
    field: str
    hint: str
    required: bool


def sources() -> dict[str, str]:
    """Return what is to stand in each file."""
    structs = _Structs()
    sync = "".join(_method(operation, structs, asynchronous=False) for operation in OPERATIONS)
    awaiting = "".join(_method(operation, structs, asynchronous=True) for operation in OPERATIONS)
    texts = {
        "types.py": HEAD.format(summary="What answers look like.") + TYPES_HEAD + structs.typed_dicts(),
        "methods.py": HEAD.format(summary="The verbs, called and waited for.")
        + METHODS_HEAD.format(name="Methods", awaits="", chunks=SYNC_CHUNKS)
        + sync,
        "async_methods.py": HEAD.format(summary="The verbs, to be awaited.")
        + METHODS_HEAD.format(name="AsyncMethods", awaits="async ", chunks=ASYNC_CHUNKS)
        + awaiting,
    }
    return {name: _formatted(text) for name, text in texts.items()}


class _Structs:
    """The structs that answers are made of, each to become a TypedDict."""

    def __init__(self) -> None:
        self._seen: dict[str, type[msgspec.Struct]] = {}

    def name(self, struct: type[msgspec.Struct]) -> str:
        """Return the name of a struct's TypedDict, and remember that it is needed."""
        known = self._seen.setdefault(struct.__name__, struct)
        assert known is struct, f"two structs are called {struct.__name__}"
        return struct.__name__

    def typed_dicts(self) -> str:
        written: dict[str, str] = {}
        while missing := [name for name in self._seen if name not in written]:
            for name in missing:
                written[name] = self._typed_dict(self._seen[name])
        return "".join(written[name] for name in sorted(written))

    def _typed_dict(self, struct: type[msgspec.Struct]) -> str:
        fields = _hints(struct)
        members = "".join(f"    {name}: {_spelled(hint, self)}\n" for name, hint in fields.items())
        partial = ", total=False" if struct.__struct_config__.omit_defaults else ""
        doc = f'    """{_wrapped(struct.__doc__)}"""\n\n' if _own_doc(struct) else ""
        return f"\n\nclass {struct.__name__}(TypedDict{partial}):\n{doc}{members or '    pass' + chr(10)}"


def _method(operation: Operation, structs: _Structs, *, asynchronous: bool) -> str:
    parameters = list(_parameters(operation))
    posts = operation.method in {"POST", "PUT"}
    names = ["self", *(_declared(each) for each in parameters)]
    if posts:
        names += ["*", "idempotency_key: str | None = None"]
    if operation.response is Download:
        chunks = ASYNC_CHUNKS if asynchronous else SYNC_CHUNKS
        query = _query(parameters)
        return (
            f"\n    def {operation.name}({', '.join(names)}) -> {chunks}:\n"
            f'        """{_wrapped(operation.run.__doc__)}"""\n'
            f'        return self._download("{operation.path}", {query})\n'
        )
    answer = _answer(operation, structs)
    prefix, waits = ("async ", "await ") if asynchronous else ("", "")
    request = _request(operation, parameters, posts=posts)
    return (
        f"\n    {prefix}def {operation.name}({', '.join(names)}) -> {answer}:\n"
        f'        """{_wrapped(operation.run.__doc__)}"""\n'
        f"        answer: {answer} = {waits}self._ask({request})\n"
        f"        return answer\n"
    )


def _parameters(operation: Operation) -> Iterator[Parameter]:
    """Yield the arguments: first those of ORDER, then those that must be given, then the rest."""
    if issubclass(operation.request, WholeBody):
        yield Parameter("definition", "", "Mapping[str, Any]", required=True)
        return
    renamed = operation.mcp.renamed if operation.mcp else {}
    omitted = operation.mcp.omitted if operation.mcp else ()
    required = {field.encode_name: field.required for field in msgspec.structs.fields(operation.request)}
    found = [
        Parameter(renamed.get(name, name), name, _spelled(hint, None), required[name])
        for name, hint in _hints(operation.request).items()
        if name not in omitted
    ]
    order = ORDER.get(operation.name, ())
    first = [each for name in order for each in found if each.name == name]
    rest = [each for each in found if each.name not in order]
    if first:
        yield first[0]._replace(required=operation.name == "log_action")
        yield from (each._replace(required=False) for each in first[1:])
    yield from sorted(rest, key=lambda each: not each.required)


def _declared(parameter: Parameter) -> str:
    if parameter.required:
        return f"{parameter.name}: {parameter.hint}"
    optional = parameter.hint if parameter.hint.endswith("None") else f"{parameter.hint} | None"
    return f"{parameter.name}: {optional} = None"


def _request(operation: Operation, parameters: list[Parameter], *, posts: bool) -> str:
    in_path = _BRACED.findall(operation.path)
    path = _BRACED.sub(lambda match: "{segment(" + match[1] + ")}", operation.path)
    literal = f'{"f" if in_path else ""}"{path}"'
    rest = [each for each in parameters if each.field not in in_path]
    if not posts:
        return f'reading("{operation.method}", {literal}{", " + _query(rest) if rest else ""})'
    body = "definition" if issubclass(operation.request, WholeBody) else f"given({_keywords(rest)})"
    return f'writing("{operation.method}", {literal}, {body}, idempotency_key, once=True)'


def _query(parameters: list[Parameter]) -> str:
    return "{" + ", ".join(f'"{each.field}": {each.name}' for each in parameters) + "}"


def _keywords(parameters: list[Parameter]) -> str:
    return ", ".join(f"{each.field}={each.name}" for each in parameters)


def _answer(operation: Operation, structs: _Structs) -> str:
    if issubclass(operation.response, StatusResponse):
        return "dict[str, Any]"
    return f"types.{structs.name(operation.response)}"


def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(struct)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}


def _spelled(hint: Any, structs: _Structs | None) -> str:
    """Return a type as the SDK spells it: JSON's own types, and the names of TypedDicts."""
    if hint in NAMES:
        return NAMES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _spelled(arguments[0], structs)
    if origin is Literal:
        return f"Literal[{', '.join(repr(each) for each in arguments)}]".replace("'", '"')
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(_spelled(each, structs) for each in arguments))
    if origin is Secret:
        return _spelled(arguments[0], structs)
    if origin in (list, tuple):
        return f"{'list' if structs else 'Sequence'}[{_spelled(arguments[0], structs)}]"
    if origin is dict:
        kind = "dict" if structs else "Mapping"
        return f"{kind}[{_spelled(arguments[0], structs)}, {_spelled(arguments[1], structs)}]"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return structs.name(hint) if structs else "Mapping[str, Any]"
    assert hint in (str, int, float, bool), hint
    return str(hint.__name__)


def _own_doc(struct: type[msgspec.Struct]) -> bool:
    return bool(struct.__dict__.get("__doc__"))


def _wrapped(text: str | None) -> str:
    """Return a docstring's first paragraph and what follows it, as it stands."""
    assert text, "every public verb says what it does"
    return re.sub(r"\n[ \t]+", "\n        ", text.strip()).replace("\n        \n", "\n\n")


def _formatted(text: str) -> str:
    """Return the text as the project's formatter has it."""
    ruff = [str(Path(sys.executable).parent / "ruff"), "--config", str(CLIENT.parents[2] / "pyproject.toml")]
    for command in (["check", "--fix-only", "--quiet"], ["format"]):
        done = subprocess.run(
            [ruff[0], *command, *ruff[1:], "--stdin-filename", str(CLIENT / "methods.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for name, text in sources().items():
        (CLIENT / name).write_text(text, encoding="utf-8")
