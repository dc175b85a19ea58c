"""Haldir's own tools: the operations of the catalogue that are marked for MCP, with the schemas REST has for them.

No name of theirs has the joint of `upstream__tool`, so nothing an upstream offers can stand in for one of them.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, final

import msgspec
from msgspec import Raw

from haldir.faces.mcp.joined_names import JOINT
from haldir.faces.schemas import Schema, input_schema, let_null_be_absence
from haldir.operations.authenticate import may_ask
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Effect, McpTool, Operation
from haldir.operations.wire import decode_request
from haldir.proxy import message as rpc

SESSION = "session_id"  # Who acts in a session need not name it.
HINTS: dict[Effect, dict[str, bool]] = {
    "reads": {"readOnlyHint": True},
    "adds": {"readOnlyHint": False, "destructiveHint": False},
    "ends": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True},
}


class OwnTool(msgspec.Struct, frozen=True):
    """One of them. `alone` is its definition for who acts in no session, `in_session` for who does."""

    operation: Operation
    mcp: McpTool
    required: tuple[str, ...]
    alone: Raw
    in_session: Raw

    def request(self, arguments: Mapping[str, Any], caller: Caller) -> msgspec.Struct:
        """Return the request that a call's arguments stand for. Raises InvalidRequest."""
        fields = {argument: field for field, argument in self.mcp.renamed.items()} | dict(self.mcp.synonyms)
        members = {fields.get(name, name): value for name, value in arguments.items() if name not in self.mcp.omitted}
        if SESSION in self.required and members.get(SESSION) is None and caller.session_id is not None:
            members[SESSION] = caller.session_id
        return decode_request(self.operation.request, members, {})


@final
class OwnTools:
    """All of them, by name and alias."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._listed = [own_tool(each, each.mcp) for each in operations if each.mcp is not None]
        self._named = {name: tool for tool in self._listed for name in (tool.mcp.name, *tool.mcp.aliases)}
        assert not any(JOINT in name for name in self._named)

    def named(self, name: str) -> OwnTool | None:
        return self._named.get(name)

    def offered(self, caller: Caller, *, over_stdio: bool) -> list[Raw]:
        """Return the definitions of what this caller may ask, in the order of the catalogue."""
        return [
            tool.alone if caller.session_id is None else tool.in_session
            for tool in self._listed
            if may_ask(caller, tool.operation) and (over_stdio or not tool.mcp.stdio_only)
        ]

    def offers(self, name: str, caller: Caller) -> bool:
        """Tell whether a tool is among what this caller may ask."""
        tool = self.named(name)
        return tool is not None and may_ask(caller, tool.operation)

    def definitions(self) -> list[dict[str, Any]]:
        """Return the definitions that `/mcp` lists to who may do everything."""
        return [msgspec.json.decode(tool.alone) for tool in self._listed if not tool.mcp.stdio_only]

    def names(self) -> list[str]:
        """Return the names that `/mcp` lists to who may do everything."""
        return [tool.mcp.name for tool in self._listed if not tool.mcp.stdio_only]


def own_tool(operation: Operation, mcp: McpTool) -> OwnTool:
    """Return an operation as a tool."""
    taken = input_schema(operation.request)
    if operation.has_body:
        let_null_be_absence(taken)
    schema = _adapted(taken, mcp)
    required = tuple(dict.fromkeys((*mcp.required, *schema["required"])))
    in_session = tuple(name for name in required if name != SESSION)
    return OwnTool(
        operation,
        mcp,
        required,
        _definition(operation, mcp, schema, required),
        _definition(operation, mcp, schema, in_session),
    )


def _definition(operation: Operation, mcp: McpTool, schema: Schema, required: tuple[str, ...]) -> Raw:
    definition = {
        "name": mcp.name,
        "title": operation.summary,
        "description": inspect.getdoc(operation.run) or operation.summary,
        "inputSchema": schema | {"required": required},
        "annotations": {"title": operation.summary, **HINTS[mcp.effect], "openWorldHint": False},
    }
    return rpc.raw(definition)


def _adapted(schema: Schema, mcp: McpTool) -> Schema:
    offered = {name: each for name, each in schema["properties"].items() if name not in mcp.omitted}
    properties = {mcp.renamed.get(name, name): each for name, each in offered.items()}
    required = [mcp.renamed.get(name, name) for name in schema["required"]]
    return schema | {"properties": properties, "required": required}
