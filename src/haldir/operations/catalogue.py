"""The catalogue: every public verb declared once. REST, OpenAPI, MCP, the CLI and the docs are its projections."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from haldir.kernel.errors import HaldirError
from haldir.operations.context import Context

Method = Literal["GET", "POST", "PUT", "DELETE"]
Run = Callable[[Context, Any, Any], Awaitable[msgspec.Struct]]  # Context, Caller, an instance of `request`.


Effect = Literal["reads", "adds", "ends"]


class McpTool(msgspec.Struct, frozen=True, kw_only=True):
    """How a verb is offered as one of Haldir's own MCP tools; what it takes and answers is as by REST.

    `aliases` are accepted in a call and never listed, as are `synonyms` of the request's fields. `renamed` are
    fields that MCP clients know by another name, `omitted` those that ask for what is no JSON. `required` must be
    given here though REST has a default for it.
    """

    name: str
    effect: Effect
    aliases: tuple[str, ...] = ()
    renamed: Mapping[str, str] = {}  # Argument by field.
    synonyms: Mapping[str, str] = {}  # Field by argument.
    omitted: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    refusal_answers: bool = False  # A decision against it is an answer to the call, not an error of it.
    stdio_only: bool = False  # Listed only by the bridge to stdio.


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One public verb.

    `request` has one field for each input: those named in braces in `path` come from there, the rest from the
    query (GET, DELETE) or the JSON body; those in `from_query` may stand in the query of a POST, too. `scope` is
    the key scope an API key needs; None means any credential will do. `session` says that a session token or
    agent key may ask too, each confined to its own session. A POST takes an Idempotency-Key unless it is
    `read_only`: then asking twice does no more than asking once.
    """

    name: str
    method: Method
    path: str
    summary: str
    scope: str | None
    request: type[msgspec.Struct]
    response: type[msgspec.Struct]
    run: Run
    status: int = 200
    session: bool = False
    from_query: tuple[str, ...] = ()
    read_only: bool = False
    refusals: tuple[str, ...] = ()  # Codes of decisions against it, out of kernel.errors.REFUSALS.
    tag: str = ""
    files: tuple[str, ...] = ()
    anonymous: bool = False  # May be asked without any credential: `run` is then given None for the caller.
    refusal_extras: Callable[[HaldirError], dict[str, Any]] | None = None  # Members its error bodies have besides.
    mcp: McpTool | None = None  # How it is offered on `/mcp`, if it is.

    @property
    def repeatable(self) -> bool:
        """Tell whether a client may name a request by an Idempotency-Key."""
        return self.method == "POST" and not self.read_only

    @property
    def has_body(self) -> bool:
        """Whether its inputs come as a JSON body, and not in the query."""
        return self.method in {"POST", "PUT"}
