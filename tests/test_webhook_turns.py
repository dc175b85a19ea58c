"""The laws of retrying: pauses, order, and what each attempt changes, over outcomes that Hypothesis invents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import DAY, HOUR, SECOND, Micros
from haldir.webhooks import postman, sender
from haldir.webhooks.events import Event
from haldir.webhooks.model import WebhookProgress, WebhookRetry
from haldir.webhooks.schedule import ASIDE_ATTEMPTS, ATTEMPTS_MAX, DISABLE_AFTER, PAUSES_SECONDS, pause
from haldir.webhooks.sent import Sent
from haldir.webhooks.turn import Choice, Front, Owed, Probe, Step, after, attempt_of, is_hopeless, may_probe

NOW: Micros = 1_800_000_000 * SECOND
OK, REFUSED, AWAY, GONE = Sent(200), Sent(422), Sent(503), Sent(None)
BEGUN = WebhookProgress(1, "op", 160, delivered_count=4, failed_count=2)
chances = st.floats(0, 1, exclude_max=True)


def event(place: int = 160) -> Event:
    return Event(place, f"evt_{place}", "anomaly", NOW, {})


@pytest.mark.parametrize(
    ("sent", "delivered", "refused"),
    [
        (Sent(200), True, False),
        (Sent(299), True, False),
        (Sent(302), False, False),
        (Sent(400), False, True),
        (Sent(503), False, False),
        (Sent(None), False, False),
        (Sent(250, by="smtp"), True, False),
        (Sent(421, by="smtp"), False, False),
        (Sent(450, by="smtp"), False, False),
        (Sent(500, by="smtp"), False, True),
        (Sent(503, by="smtp"), False, True),
        (Sent(None, by="smtp"), False, False),
    ],
)
def test_what_an_answer_says_of_the_receiver_depends_on_what_it_speaks(
    sent: Sent, *, delivered: bool, refused: bool
) -> None:
    assert (sent.delivered, sent.refused) == (delivered, refused)


@given(st.integers(1, 100), chances)
def test_a_pause_is_from_five_seconds_to_ten_hours(failures: int, chance: float) -> None:
    assert 5 * SECOND <= pause(failures, chance) <= 10 * HOUR
    assert pause(failures, chance) <= pause(failures, 0) * 1.2


@given(st.lists(chances, min_size=ATTEMPTS_MAX - 1, max_size=ATTEMPTS_MAX - 1))
def test_all_attempts_of_an_event_span_two_days_and_less_than_the_endpoint_gets(drawn: list[float]) -> None:
    span = sum(pause(failures, chance) for failures, chance in enumerate(drawn, 1))
    assert 2 * DAY <= span < DISABLE_AFTER


@given(st.integers(1, 100), chances, st.integers(0, 10**9))
def test_a_receiver_can_ask_for_more_time_but_not_for_less_nor_for_ever(
    failures: int, chance: float, asked: int
) -> None:
    planned = pause(failures, chance)
    assert pause(failures, chance, asked) == min(max(planned, asked * SECOND), 10 * HOUR)


def test_an_attempt_takes_fifteen_seconds_at_most_by_http_and_by_smtp() -> None:
    assert (sender.ATTEMPT_SECONDS_MAX, postman.ATTEMPT_SECONDS_MAX) == (15, 15)


def test_the_first_pauses_are_as_documented() -> None:
    assert [pause(n, 0) // SECOND for n in range(1, len(PAUSES_SECONDS) + 2)] == [*PAUSES_SECONDS, PAUSES_SECONDS[-1]]
    assert pause(1, 0.5) == round(5.5 * SECOND)


def test_a_delivered_front_makes_way_and_ends_all_failing() -> None:
    failing = BEGUN.but(attempts=3, failures=3, retry_at=NOW, failing_since=NOW - HOUR)
    step = after(failing, Front(event(176)), OK, NOW, 0)
    assert step == Step(BEGUN.but(place=177, delivered_count=5))


@pytest.mark.parametrize("sent", [REFUSED, AWAY, GONE, Sent(302)])
def test_a_front_that_failed_stays_and_the_endpoint_pauses(sent: Sent) -> None:
    first = after(BEGUN, Front(event()), sent, NOW, 0).progress
    assert first == BEGUN.but(attempts=1, failures=1, retry_at=NOW + 5 * SECOND, failing_since=NOW, failed_count=3)
    later = NOW + HOUR
    second = after(first, Front(event()), sent, later, 0).progress
    assert second == first.but(attempts=2, failures=2, retry_at=later + 30 * SECOND, failed_count=4)


def test_a_front_is_set_aside_when_the_event_after_it_was_taken() -> None:
    refused = BEGUN.but(attempts=3, failures=3, retry_at=NOW + HOUR, failing_since=NOW)
    step = after(refused, Probe(event(192), event(160)), OK, NOW, 0)
    assert step == Step(BEGUN.but(place=193, delivered_count=5), puts=(WebhookRetry(1, 160, 3, NOW + 120 * SECOND),))


def test_a_probe_that_failed_only_counts() -> None:
    refused = BEGUN.but(attempts=3, failures=3, retry_at=NOW + HOUR, failing_since=NOW)
    assert after(refused, Probe(event(192), event(160)), REFUSED, NOW, 0) == Step(refused.but(failed_count=3))


def test_an_owed_event_that_was_taken_is_owed_no_more_and_ends_all_failing() -> None:
    retry = WebhookRetry(1, 16, 4, NOW)
    failing = BEGUN.but(failures=2, retry_at=NOW, failing_since=NOW, attempts=1)
    assert after(failing, Owed(event(16), retry), OK, NOW, 0) == Step(
        BEGUN.but(attempts=1, delivered_count=5), drops=(retry,)
    )


def test_an_owed_event_that_a_healthy_receiver_refuses_makes_nobody_else_wait() -> None:
    retry = WebhookRetry(1, 16, 3, NOW)
    step = after(BEGUN, Owed(event(16), retry), REFUSED, NOW, 0)
    assert step == Step(BEGUN.but(failed_count=3), puts=(WebhookRetry(1, 16, 4, NOW + 600 * SECOND),))


@pytest.mark.parametrize(
    ("progress", "sent"), [(BEGUN, AWAY), (BEGUN, GONE), (BEGUN.but(failures=1, failing_since=NOW), REFUSED)]
)
def test_an_owed_event_that_finds_nobody_pauses_the_endpoint(progress: WebhookProgress, sent: Sent) -> None:
    retry = WebhookRetry(1, 16, 0, NOW)
    step = after(progress, Owed(event(16), retry), sent, NOW, 0)
    assert step.progress.failures == progress.failures + 1
    assert (step.progress.retry_at > NOW, step.progress.failing_since) == (True, NOW)
    assert step.puts == (WebhookRetry(1, 16, 1, NOW + 5 * SECOND),)


def test_an_owed_event_is_given_up_after_its_last_attempt() -> None:
    last = WebhookRetry(1, 16, ATTEMPTS_MAX - 1, NOW)
    assert after(BEGUN, Owed(event(16), last), REFUSED, NOW, 0) == Step(BEGUN.but(failed_count=3), drops=(last,))
    before = last.but(attempts=ATTEMPTS_MAX - 2)
    assert after(BEGUN, Owed(event(16), before), REFUSED, NOW, 0).puts[0].attempts == ATTEMPTS_MAX - 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 301, 307, 399, None])
def test_who_is_away_is_not_probed(status: int | None) -> None:
    assert not may_probe(BEGUN.but(attempts=9), Sent(status))


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 500, 501])
def test_who_refuses_often_enough_is_probed(status: int) -> None:
    assert not may_probe(BEGUN.but(attempts=ASIDE_ATTEMPTS - 1), Sent(status))
    assert may_probe(BEGUN.but(attempts=ASIDE_ATTEMPTS), Sent(status))


def test_only_a_success_is_one() -> None:
    statuses = (199, 200, 204, 299, 300, None)
    assert [status for status in statuses if Sent(status).delivered] == [200, 204, 299]


def test_an_endpoint_is_hopeless_after_five_days_of_nothing_but_failures() -> None:
    assert not is_hopeless(BEGUN, NOW)
    failing = BEGUN.but(failing_since=NOW)
    assert not is_hopeless(failing, NOW + 5 * DAY - 1)
    assert is_hopeless(failing, NOW + 5 * DAY)


def test_attempts_are_counted_for_each_event() -> None:
    progress = BEGUN.but(attempts=2)
    choices: list[Choice] = [Front(event()), Owed(event(16), WebhookRetry(1, 16, 6, NOW)), Probe(event(192), event())]
    assert [attempt_of(choice, progress) for choice in choices] == [3, 7, 1]


@given(st.lists(st.sampled_from([OK, REFUSED, AWAY, GONE]), max_size=60), chances)
def test_whatever_happens_no_event_is_skipped(outcomes: list[Sent], chance: float) -> None:
    """Play an endless queue of events: each is delivered, set aside, or still at the front or behind it."""
    progress, owed, delivered = BEGUN.but(place=0), dict[int, WebhookRetry](), list[int]()

    def play(choice: Choice, sent: Sent) -> Any:
        nonlocal progress
        step = after(progress, choice, sent, NOW, chance)
        progress = step.progress
        owed.update({retry.place: retry for retry in step.puts})
        for retry in step.drops:
            del owed[retry.place]
        if sent.delivered:
            delivered.append(choice.event.place)

    for sent in outcomes:
        front = event(progress.place)
        play(Front(front), sent)
        if may_probe(progress, sent):
            play(Probe(event(front.place + 1), front), OK if len(delivered) % 2 else REFUSED)
    assert sorted([*delivered, *owed]) == list(range(progress.place))
    assert progress.delivered_count == len(delivered) + 4
    assert (progress.failures == 0) == (progress.failing_since is None)
