"""`block_tool`: one tool is forbidden."""

from typing import Any, ClassVar, Self

from haldir.policy.fields import Fields
from haldir.policy.policy import ToolPolicy, shown


class BlockTool(ToolPolicy, frozen=True):
    KIND: ClassVar[str] = "block_tool"

    tool: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.tool("tool"))

    def fields(self) -> dict[str, Any]:
        return {"tool": self.tool}

    def names(self) -> tuple[str, ...]:
        return (self.tool,)

    def reason(self, policy_id: str, tool: str) -> str:
        return f"Policy {policy_id} (block_tool) blocks the tool {shown(tool)}."
