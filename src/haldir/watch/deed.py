"""A decision as those see it who count and compare: who did what, and what became of it."""

import msgspec


class Deed(msgspec.Struct, frozen=True):
    """What a decision tells the rules: who (`agent_id` may be unknown), what, and what became of it.

    `acts`: an agent did or tried something, a call, a payment or a report. `tool` is set where it may use it.
    """

    holder: str
    agent_id: str
    acts: bool
    allowed: bool
    tool: str
    spent_micros: int
