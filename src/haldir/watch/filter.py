"""Which entries somebody wants, and which stretch of the log they are looked for in."""

import msgspec

from haldir.watch.reading import LoggedEntry

EVERY_KIND = "all"
END = 2**63 - 1  # Above the index of any entry.

_BOUND = frozenset({"session_id", "agent_id", "tool", "kind"})


class EntryFilter(msgspec.Struct, frozen=True):
    """Which entries are wanted; "" and None are any.

    `kind` "" is what GET /v1/audit lists by default: actions and tool calls, but flagged and refused entries of
    every kind where those are asked for.
    """

    kind: str = ""
    session_id: str = ""
    agent_id: str = ""
    tool: str = ""
    flagged: bool = False
    allowed: bool | None = None

    @property
    def conditions(self) -> list[str]:
        """Name what narrows the log, first what leaves the fewest entries."""
        by_default = not self.kind and not self.flagged and self.allowed is not False
        asked = {
            "session_id": bool(self.session_id),
            "flagged": self.flagged,
            "refused": self.allowed is False,
            "agent_id": bool(self.agent_id),
            "tool": bool(self.tool),
            "kind": self.kind not in {"", EVERY_KIND},
            "listed": by_default,
            "allowed": self.allowed is True,
        }
        return [name for name, wanted in asked.items() if wanted]

    @property
    def named(self) -> dict[str, str]:
        """Return what was asked for, by name, as a query spells it."""
        verdicts = {"flagged": "true" if self.flagged else "", "allowed": _spelled(self.allowed)}
        asked = {name: getattr(self, name) for name in sorted(_BOUND)} | verdicts
        return {name: text for name, text in asked.items() if text}

    def values_of(self, *conditions: str) -> dict[str, str]:
        """Return what these conditions compare with."""
        return {name: getattr(self, name) for name in conditions if name in _BOUND}


class Span(msgspec.Struct, frozen=True):
    """A stretch of the log: the entries from index `first` on, up to but without `end`."""

    first: int = 0
    end: int = END

    def as_far_as(self, index: int, *, oldest_first: bool) -> "Span":
        """Return the part of it that whoever reads in this order has read at `index`."""
        return Span(self.first, index + 1) if oldest_first else Span(index, self.end)

    def beyond(self, read: "Span", *, oldest_first: bool) -> "Span | None":
        """Return what is left after the part that was read; None if nothing is."""
        rest = Span(read.end, self.end) if oldest_first else Span(self.first, read.first)
        return rest if rest.first < rest.end else None


class EntryPage(msgspec.Struct, frozen=True):
    """Some entries in order, and the stretch that was not looked at yet; None where nothing is left."""

    entries: list[LoggedEntry]
    rest: Span | None


def _spelled(verdict: bool | None) -> str:  # noqa: FBT001 - a value, no switch.
    return "" if verdict is None else str(verdict).lower()
