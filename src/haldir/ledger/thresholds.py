"""How far a budget is spent, for those who want to hear of it before it is gone. Pure."""

from haldir.ledger.model import Budget

THRESHOLDS_PERCENT = (50, 80, 100)


def crossed_percent(before: Budget, after: Budget) -> int | None:
    """Return the highest threshold that `after` has reached and `before` had not; None if there is none.

    Only money that is spent counts, not what is set aside: a voided call shall not have alarmed anybody.
    """
    limit = after.limit_micros
    if not limit:
        return None
    for percent in reversed(THRESHOLDS_PERCENT):
        if before.spent_micros * 100 < limit * percent <= after.spent_micros * 100:
            return percent
    return None
