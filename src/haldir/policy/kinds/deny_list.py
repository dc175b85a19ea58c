"""`deny_list`: the tools listed are forbidden."""

from typing import Any, ClassVar, Self

from haldir.policy.fields import Fields, InvalidPolicy
from haldir.policy.policy import ToolPolicy, shown


class DenyList(ToolPolicy, frozen=True):
    KIND: ClassVar[str] = "deny_list"

    tools: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        tools = fields.tools("tools")
        if not tools:
            raise InvalidPolicy("An empty deny_list can never deny anything.", "/tools")
        return cls(tools)

    def fields(self) -> dict[str, Any]:
        return {"tools": list(self.tools)}

    def names(self) -> tuple[str, ...]:
        return self.tools

    def reason(self, policy_id: str, tool: str) -> str:
        return f"Policy {policy_id} (deny_list) denies the tool {shown(tool)}."
