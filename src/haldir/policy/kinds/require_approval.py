"""`require_approval`: calls are held until people approve them: of some tools, by some agents, over some amount."""

from typing import Any, ClassVar, Self

from haldir.kernel.money import format_amount
from haldir.kernel.strict_json import Number
from haldir.policy.conditional import APPROVERS_MAX, ConditionalPolicy, Strike
from haldir.policy.conditions.names import AgentIs, ToolIs
from haldir.policy.conditions.node import All, Node
from haldir.policy.conditions.usage import PriceIs
from haldir.policy.fields import Fields, InvalidPolicy
from haldir.policy.judgement import Terms

AGENTS_MAX = 1000


class RequireApproval(ConditionalPolicy, frozen=True):
    """Each field narrows what is held; with none of them every call is. `amount_over` looks at a call's price."""

    KIND: ClassVar[str] = "require_approval"

    tools: tuple[str, ...]
    agents: tuple[str, ...]
    amount_over: int | None
    approvers: int
    four_eyes: bool

    @classmethod
    def read(cls, fields: Fields) -> Self:
        tools = fields.tools("tools") if "tools" in fields else ()
        if "tools" in fields and not tools:
            raise InvalidPolicy("An empty list of tools can never hold anything; leave it out to mean all.", "/tools")
        agents = fields.texts("agents", AGENTS_MAX) if "agents" in fields else ()
        amount_over = fields.micros("amount_over") if "amount_over" in fields else None
        approvers = fields.whole("approvers", 1, APPROVERS_MAX, 1)
        return cls(tools, agents, amount_over, approvers, fields.flag("four_eyes"))

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"approvers": Number(str(self.approvers)), "four_eyes": self.four_eyes}
        if self.tools:
            found["tools"] = list(self.tools)
        if self.agents:
            found["agents"] = list(self.agents)
        if self.amount_over is not None:
            found["amount_over"] = Number(format_amount(self.amount_over))
        return found

    def condition(self) -> Node | None:
        nodes: list[Node] = []
        if self.tools:
            nodes.append(ToolIs(self.tools))
        if self.agents:
            nodes.append(AgentIs(self.agents))
        if self.amount_over is not None:
            nodes.append(PriceIs((("gt", self.amount_over),)))
        return All(tuple(nodes)) if nodes else None

    def strike(self, policy_id: str) -> Strike:
        reason = f"Policy {policy_id} (require_approval) holds this until it is approved."
        return Strike("hold", reason, Terms(self.approvers, self.four_eyes))
