"""`allow_list`: every tool that is not listed is forbidden; an empty list forbids all."""

from typing import Any, ClassVar, Self

from haldir.policy.fields import Fields
from haldir.policy.policy import ToolPolicy, shown


class AllowList(ToolPolicy, frozen=True):
    KIND: ClassVar[str] = "allow_list"
    SPARES_NAMED: ClassVar[bool] = True

    tools: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.tools("tools"))

    def fields(self) -> dict[str, Any]:
        return {"tools": list(self.tools)}

    def names(self) -> tuple[str, ...]:
        return self.tools

    def reason(self, policy_id: str, tool: str) -> str:
        return f"Policy {policy_id} (allow_list) does not list the tool {shown(tool)}."
