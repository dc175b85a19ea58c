"""Reserve, post, void: the arithmetic of budgets along a chain of sessions. Pure; money is int micro-units."""

from collections.abc import Iterator, Sequence

from haldir.journal.working_set import WorkingSet
from haldir.kernel.errors import Refusal
from haldir.kernel.money import format_amount
from haldir.ledger.model import Budget, Reservation
from haldir.storage.rows import Find


def budgets_of(rows: WorkingSet, holders: Sequence[str]) -> list[Budget]:
    """Return the budgets of a chain of sessions, nearest first."""
    return [rows.the(Budget, holder) for holder in holders]


def budget_needs(holders: Sequence[str]) -> Iterator[Find]:
    for holder in holders:
        yield Budget.at(holder)


def free_micros(budgets: Sequence[Budget]) -> int | None:
    """Return what the tightest of the budgets has left; None if none has a limit."""
    return min((budget.free_micros for budget in budgets if budget.free_micros is not None), default=None)


def spend_refusal(budgets: Sequence[Budget], micros: int, currency: str) -> Refusal | None:
    """Return why this much may not be spent on all of the budgets, or None."""
    if budgets[0].limit_micros == 0 and micros:
        return "spend_not_allowed", "This session may not spend money."
    for budget in budgets:
        if budget.currency != currency:
            return "currency_mismatch", f"The budget of {budget.holder} is in {budget.currency}, not {currency}."
        if budget.free_micros is not None and micros > budget.free_micros:
            asked, left = format_amount(micros), format_amount(budget.free_micros)
            return "budget_exceeded", f"This costs {asked} {currency}; the budget of {budget.holder} has {left} left."
    return None


def reserved(budgets: Sequence[Budget], micros: int) -> tuple[Budget, ...]:
    """Return the budgets with this much set aside on each."""
    return tuple(budget.but(reserved_micros=budget.reserved_micros + micros) for budget in budgets)


def resolved(budgets: Sequence[Budget], reservation: Reservation, posted_micros: int) -> tuple[Budget, ...]:
    """Return the budgets with a reservation lifted and `posted_micros` of it (at most all) spent."""
    assert reservation.state == "reserved"
    assert 0 <= posted_micros <= reservation.micros
    return tuple(
        budget.but(
            reserved_micros=budget.reserved_micros - reservation.micros,
            spent_micros=budget.spent_micros + posted_micros,
        )
        for budget in budgets
    )


def resolution(reservation: Reservation, posted_micros: int, now: int) -> Reservation:
    """Return the reservation as it stands once resolved: posted if anything was spent or nothing was asked."""
    state = "posted" if posted_micros or not reservation.micros else "voided"
    return reservation.but(state=state, posted_micros=posted_micros, resolved_at=now)
