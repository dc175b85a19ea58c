"""Money that cannot be overspent, as rows: budgets, and what is set aside from them."""

from typing import ClassVar, Literal

from haldir.kernel.clock import Micros
from haldir.kernel.money import CURRENCY
from haldir.storage.rows import Row, Table


class Budget(Row, frozen=True):
    """What `holder` (a session id) may spend. `limit_micros` None is no limit of its own; 0 is nothing at all."""

    TABLE: ClassVar[Table] = Table("budget", key=("holder",))

    holder: str
    limit_micros: int | None
    currency: str = CURRENCY
    reserved_micros: int = 0
    spent_micros: int = 0

    @property
    def free_micros(self) -> int | None:
        if self.limit_micros is None:
            return None
        return self.limit_micros - self.spent_micros - self.reserved_micros


class Reservation(Row, frozen=True):
    """Money set aside for one call or payment, which gives it its id; then posted or voided, once."""

    TABLE: ClassVar[Table] = Table("reservation", key=("id",))

    id: str
    session_id: str
    purpose: Literal["call", "payment"]
    currency: str
    micros: int
    created_at: Micros
    state: Literal["reserved", "posted", "voided"] = "reserved"
    posted_micros: int = 0
    resolved_at: Micros | None = None
