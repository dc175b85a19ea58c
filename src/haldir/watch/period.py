"""What happened in a period, counted out of its entries: the matter of evidence. Pure, and exact."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from haldir.journal.command import ANOMALY, Notice, Subject
from haldir.kernel.clock import Micros

ACTION, REFUSAL = "action.log", "refusal.record"


class Said(msgspec.Struct, frozen=True):
    """What counting needs of a command."""

    kind: str
    cost_micros: int = 0
    count: int = 1
    call_id: str = ""
    payment_id: str = ""


class Line(msgspec.Struct, frozen=True):
    """What counting needs of an entry."""

    at: Micros
    allowed: bool
    command: Said
    code: str = ""
    about: Subject = Subject()
    notices: tuple[Notice, ...] = ()

    @property
    def money_id(self) -> str:
        """Name the call or payment whose money this may have moved."""
        return self.command.call_id or self.command.payment_id if self.allowed else ""


class Posted(msgspec.Struct, frozen=True):
    """Money that was spent: for a `call` or a `payment`, when."""

    purpose: str
    currency: str
    micros: int
    at: Micros


class PeriodTally:
    """Takes in the entries of a period."""

    def __init__(self) -> None:
        self.entries = self.flagged = 0
        self.allowed: Counter[str] = Counter()  # By kind.
        self.refused: Counter[str] = Counter()  # By kind.
        self.codes: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()  # By kind.
        self.reported_micros: Counter[str] = Counter()  # By tool.
        self.posted_micros: Counter[tuple[str, str]] = Counter()  # By purpose and currency.

    def take(self, lines: Iterable[Line], posted: Mapping[str, Posted]) -> None:
        """Count entries; `posted` is the money that was spent for those who may have moved some."""
        for line in lines:
            self._count(line)
            money = posted.get(line.money_id)
            if money is not None and money.at == line.at:  # The very entry that spent it.
                self.posted_micros[money.purpose, money.currency] += money.micros

    def _count(self, line: Line) -> None:
        self.entries += 1
        kind = line.command.kind
        self.notices.update(notice.kind for notice in line.notices)
        self.flagged += any(notice.kind == ANOMALY for notice in line.notices)
        if not line.allowed:
            times = line.command.count if kind == REFUSAL else 1
            self.refused[kind] += times
            self.codes[line.code] += times
            return
        self.allowed[kind] += 1
        if kind == ACTION:
            self.reported_micros[line.about.tool] += line.command.cost_micros


decode_line = msgspec.json.Decoder(Line).decode
