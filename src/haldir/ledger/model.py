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


ReservationState = Literal["reserved", "posted", "voided"]


class Reservation(Row, frozen=True):
    """Money set aside for one call or payment, which gives it its id; then posted or voided, once."""

    TABLE: ClassVar[Table] = Table("reservation", key=("id",))

    id: str
    session_id: str
    purpose: Literal["call", "payment"]
    currency: str
    micros: int
    created_at: Micros
    state: ReservationState = "reserved"
    posted_micros: int = 0
    resolved_at: Micros | None = None


class Payment(Row, frozen=True):
    """What a payment is, beside its money: that is the reservation of the same id.

    What it was said to be for is sealed in the part `description_digest`.
    """

    TABLE: ClassVar[Table] = Table("payment", key=("id",))

    id: str
    session_id: str
    agent_id: str
    description_digest: str
    created_at: Micros
