"""What `make conformance` calls a loss: the judge that lets nothing pass must itself be right."""

import pytest

from conformance.comparison import losses
from conformance.suite import Check, Findings


def findings(**statuses: list[str]) -> Findings:
    return Findings(
        conforms=True, statuses={Check("scenario", name): found for name, found in statuses.items()}, said=""
    )


DIRECT = findings(good=["SUCCESS"], thrice=["SUCCESS", "FAILURE", "SUCCESS"], bad=["FAILURE"], unsure=["WARNING"])


def test_the_same_or_better_is_no_loss() -> None:
    better = findings(good=["SUCCESS"], thrice=["SUCCESS"] * 3, bad=["SUCCESS"], unsure=["SUCCESS"], more=["SUCCESS"])
    assert losses(DIRECT, DIRECT) == []
    assert losses(DIRECT, better) == []


@pytest.mark.parametrize(
    ("name", "through"),
    [
        ("good", ["FAILURE"]),
        ("good", ["WARNING"]),
        ("good", ["SKIPPED"]),
        ("good", []),
        ("thrice", ["SUCCESS", "FAILURE", "FAILURE"]),
        ("thrice", ["SUCCESS", "SUCCESS"]),
        ("bad", []),
        ("unsure", ["FAILURE"]),
        ("never_asked_directly", ["FAILURE"]),
    ],
)
def test_a_check_that_is_missing_or_went_worse_is_a_loss(name: str, through: list[str]) -> None:
    worse = Findings(conforms=True, statuses={**DIRECT.statuses, Check("scenario", name): through}, said="")
    assert [loss.check.id for loss in losses(DIRECT, worse)] == [name]
