"""What happens arrives: signed, in order, once where nothing breaks, and at least once where something does."""

import asyncio
import email.utils
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Standard

from haldir.client import WebhookVerificationError, verify_webhook_signature
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import DAY, HOUR, MINUTE, SECOND
from haldir.kernel.errors import InvalidRequest, NotFound, Refused
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.tenants import create_tenant
from haldir.operations.verbs.keys import CreateKeyRequest, create_key
from haldir.operations.verbs.webhook_deliveries import (
    EventsReplayed,
    ListDeliveriesRequest,
    ListEventsRequest,
    ReplayOneRequest,
    ReplayRangeRequest,
    list_deliveries,
    list_events,
    replay_delivery,
    replay_events,
)
from haldir.operations.verbs.webhooks import (
    RotateSecretRequest,
    WebhookNamed,
    disable_webhook,
    enable_webhook,
    remove_webhook,
    rotate_webhook_secret,
)
from haldir.operations.wire import Moment
from haldir.settings import Settings
from haldir.storage.rows import Part
from haldir.vault.keyring import ROOT_KEY_VERSION
from haldir.webhooks.model import WebhookProgress
from haldir.webhooks.outbox import LEASE_SECONDS, Outbox
from haldir.webhooks.sender import Sender
from haldir.workers.deliver import KEPT_DAYS
from haldir.workers.endpoint import ATTEMPTS_A_TURN
from receiver import Delivery, Reply, receiving
from upstreams.serving import free_port
from webhook_scene import Scene, played


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    dsn = Secret(request.getfixturevalue("fresh_postgres_dsn")) if request.param == "postgres" else None
    return Settings(data=tmp_path, database_url=dsn, allow_private=True)


async def parts(scene: Scene) -> list[Part]:
    """Return what is sealed, but for the tenant's own key."""
    found = await scene.ctx.store.load(scene.caller.tenant, Part, (), [()])
    return [part for part in found if isinstance(part, Part) and part.key_version != ROOT_KEY_VERSION]


def statuses(*codes: int) -> Callable[[Delivery], Reply]:
    """Answer with these, one after another, and with the last one for ever."""
    left = list(codes)
    return lambda _delivery: Reply(left.pop(0) if len(left) > 1 else left[0])


def test_an_event_arrives_signed_by_both_schemes_and_is_listed(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            made = await scene.register(receiver)
            key = await create_key(scene.ctx, scene.caller, CreateKeyRequest("ci"))
            await scene.deliver()
            (delivery,) = receiver.came
            assert delivery.body["event"] == delivery.headers["x-haldir-event"] == "key_created"
            assert delivery.body["prefix"] == key.prefix
            assert key.key not in delivery.raw.decode()
            assert delivery.body["event_id"] == delivery.event_id == delivery.headers["x-haldir-webhook-id"]
            assert (delivery.headers["content-type"], delivery.attempt) == ("application/json", 1)
            assert Standard(made.secret).verify(delivery.raw.decode(), delivery.headers) == delivery.body
            headers = delivery.headers["x-haldir-signature"], delivery.headers["x-haldir-timestamp"]
            verify_webhook_signature(delivery.raw, *headers, made.secret)
            with pytest.raises(WebhookVerificationError):
                verify_webhook_signature(delivery.raw, *headers, "whsec_other")
            (attempt,) = await scene.attempts()
            assert (attempt.event_id, attempt.event_type) == (delivery.event_id, "key_created")
            assert (attempt.status_code, attempt.response_excerpt, attempt.error) == (200, "thanks", "")
            assert (attempt.webhook_id, attempt.webhook_url) == (made.webhook_id, receiver.url)
            row = await scene.shown()
            assert (row.fire_count, row.fail_count, row.failing_since) == (1, 0, None)
            await scene.deliver(after=HOUR)
            assert len(receiver.came) == 1

    played(settings, story)


def test_an_endpoint_hears_what_it_asked_for_from_its_registration_on(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.trigger("anomaly")
            await scene.register(receiver, "anomaly")
            wanted = await scene.trigger("anomaly")
            await scene.trigger("key_created")
            only_for_it = await scene.trigger("key_revoked", webhook_id=1)
            await scene.deliver()
            assert receiver.event_ids == [wanted, only_for_it]

    played(settings, story)


def test_a_receiver_that_was_away_for_an_hour_gets_everything_once_and_in_order(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        port = free_port()
        await scene.register(f"http://127.0.0.1:{port}/in")
        told = []
        for _ in range(12):
            told.append(await scene.trigger())
            await scene.pass_by(5 * MINUTE)
        row = await scene.shown()
        assert (row.fire_count, row.failing_since is not None) == (0, True)
        tried = await scene.attempts(limit=500)
        assert {attempt.event_id for attempt in tried} == {told[0]}  # Nothing overtakes what was not delivered.
        assert (tried[0].status_code, tried[0].error) == (
            None,
            "The receiver could not be reached: the connection was refused.",
        )
        with receiving(port) as receiver:
            await scene.pass_by(HOUR)
            assert receiver.event_ids == told
            assert receiver.came[0].attempt == len(tried) + 1
            assert [delivery.attempt for delivery in receiver.came[1:]] == [1] * 11
        row = await scene.shown()
        assert (row.fire_count, row.failing_since) == (12, None)

    played(settings, story)


def test_pauses_grow_and_the_receiver_may_ask_for_a_longer_one(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            receiver.answer = statuses(503)
            await scene.trigger()
            for pause, came in ((0, 1), (5 * SECOND, 1), (SECOND, 2), (32 * SECOND, 2), (SECOND, 3)):
                await scene.deliver(after=pause)
                assert len(receiver.came) == came
            receiver.answer = lambda _delivery: Reply(429, {"Retry-After": "3600"})
            await scene.deliver(after=3 * MINUTE)
            assert len(receiver.came) == 4
            at = email.utils.formatdate((scene.now() + 2 * HOUR) / SECOND, usegmt=True)
            receiver.answer = lambda _delivery: Reply(503, {"Retry-After": at})
            for pause, came in ((HOUR - SECOND, 4), (SECOND, 5), (HOUR - 2 * SECOND, 5), (3 * SECOND, 6)):
                await scene.deliver(after=pause)
                assert len(receiver.came) == came
            receiver.answer = lambda _delivery: Reply(503, {"Retry-After": "9999999"})
            await scene.deliver(after=2 * HOUR)
            await scene.deliver(after=10 * HOUR)
            assert len(receiver.came) == 8  # Nobody can ask for more than the longest pause.

    played(settings, story)


def test_a_redirect_is_a_failure_and_is_not_followed(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver, receiving() as elsewhere:
            await scene.register(receiver)
            receiver.answer = lambda _delivery: Reply(307, {"Location": elsewhere.url})
            await scene.trigger()
            await scene.deliver()
            (attempt,) = await scene.attempts()
            assert (attempt.status_code, "redirects are not followed" in attempt.error) == (307, True)
            assert elsewhere.came == []
            assert (await scene.shown()).fail_count == 1

    played(settings, story)


def test_an_event_that_a_receiver_cannot_digest_holds_the_others_up_for_moments_only(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            bad = await scene.trigger("anomaly")
            rest = [await scene.trigger("key_created") for _ in range(5)]
            receiver.answer = lambda delivery: Reply(422 if delivery.event_id == bad else 200)
            await scene.pass_by(2 * MINUTE, step=10 * SECOND)
            assert [each for each in receiver.event_ids if each != bad] == rest
            assert (await scene.shown()).failing_since is None
            receiver.answer = lambda _delivery: Reply(200)
            await scene.pass_by(HOUR)
            assert receiver.event_ids[-1] == bad
            assert receiver.came[-1].attempt == receiver.event_ids.count(bad) > 3
            assert len(await scene.attempts(event_id=bad)) == receiver.event_ids.count(bad)

    played(settings, story)


def test_an_event_that_was_set_aside_is_given_up_after_two_days(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            bad = await scene.trigger()
            receiver.answer = lambda delivery: Reply(422 if delivery.event_id == bad else 200)
            await scene.trigger("key_created")
            await scene.pass_by(40 * HOUR, step=HOUR)
            before = receiver.event_ids.count(bad)
            await scene.pass_by(5 * DAY, step=HOUR)
            assert receiver.event_ids.count(bad) == 14 > before
            assert (await scene.shown()).active

    played(settings, story)


def test_a_receiver_that_refuses_everything_still_gets_all_in_order_once_it_is_well(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            receiver.answer = statuses(500)
            told = [await scene.trigger() for _ in range(5)]
            await scene.pass_by(HOUR)
            assert set(receiver.event_ids) == set(told[:2])  # The front, and the one that tells whether it is to blame.
            receiver.came.clear()
            receiver.answer = statuses(200)
            await scene.pass_by(HOUR)
            assert receiver.event_ids == told

    played(settings, story)


def test_an_endpoint_that_fails_for_five_days_is_disabled_and_others_hear_of_it(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as well:
            dead = await scene.register(f"http://127.0.0.1:{free_port()}/in", "anomaly")
            await scene.register(well, "webhook_disabled")
            await scene.trigger()
            await scene.pass_by(5 * DAY - HOUR, step=HOUR)
            assert (await scene.shown(dead.webhook_id)).active
            await scene.pass_by(12 * HOUR, step=HOUR)
            row = await scene.shown(dead.webhook_id)
            assert (row.active, row.disabled_reason) == (False, "failing")
            (delivery,) = well.came
            assert {"webhook_id": dead.webhook_id, "reason": "failing"}.items() <= delivery.body.items()
            tried = row.fail_count
            await scene.pass_by(DAY, step=HOUR)
            assert (await scene.shown(dead.webhook_id)).fail_count == tried

    played(settings, story)


def test_a_disabled_endpoint_hears_again_from_its_enabling_on_and_can_be_told_the_rest(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver, "anomaly")
            begin = scene.now()
            await disable_webhook(scene.ctx, scene.caller, WebhookNamed(1))
            missed = await scene.trigger()
            await scene.deliver(after=SECOND)
            assert receiver.came == []
            await enable_webhook(scene.ctx, scene.caller, WebhookNamed(1))
            heard = await scene.trigger()
            await scene.deliver(after=SECOND)
            assert receiver.event_ids == [heard]
            span = ReplayRangeRequest(1, Moment(begin), Moment(scene.now() - SECOND))
            assert await replay_events(scene.ctx, scene.caller, span) == EventsReplayed(1, 1)
            await scene.deliver(after=10 * SECOND)
            assert receiver.event_ids == [heard, missed]

    played(settings, story)


def test_a_removed_endpoint_is_told_nothing_more_and_forgotten(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            await scene.trigger()
            await scene.deliver()
            for _ in range(3):
                await rotate_webhook_secret(scene.ctx, scene.caller, RotateSecretRequest(1, 60))
            assert len(await parts(scene)) == 3  # The URL, and two secrets of four.
            await remove_webhook(scene.ctx, scene.caller, WebhookNamed(1))
            assert await parts(scene) == []
            await scene.trigger()
            await scene.deliver(after=2 * HOUR)
            assert len(receiver.came) == 1
            assert await scene.ctx.store.load(scene.caller.tenant, WebhookProgress, (), [()]) == []
            assert [attempt.webhook_url for attempt in await scene.attempts()] == [""]

    played(settings, story)


def test_what_piled_up_is_delivered_at_once_however_much_it_is(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            told = [await scene.trigger() for _ in range(2 * ATTEMPTS_A_TURN + 1)]
            await scene.deliver()
            assert receiver.event_ids == told

    played(settings, story)


def test_one_slow_endpoint_delays_no_other(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as slow, receiving() as quick:
            go_on = threading.Event()
            slow.answer = lambda _delivery: Reply(200) if go_on.wait(30) else Reply(500)
            await scene.register(slow)
            await scene.register(quick)
            for count in (1, 2, 3):
                await scene.trigger()
                while len(quick.came) < count:
                    await scene.deliverer.round()
                scene._clock.now += 10 * SECOND
            assert len(slow.came) == 1
            go_on.set()
            await scene.deliverer.settled()
            await scene.deliver(after=10 * SECOND)
            assert slow.event_ids == quick.event_ids

    played(settings, story)


def test_while_a_secret_is_rotated_receivers_with_either_secret_take_deliveries(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            made = await scene.register(receiver)
            rotated = await rotate_webhook_secret(scene.ctx, scene.caller, RotateSecretRequest(1, 3600))
            receiver.answer = statuses(500, 200)
            await scene.trigger()
            await scene.deliver()
            await scene.deliver(after=10 * SECOND)
            first, second = receiver.came
            for secret in (made.secret, rotated.secret):
                for delivery in (first, second):
                    Standard(secret).verify(delivery.raw.decode(), delivery.headers)
            for delivery, secret in ((first, rotated.secret), (second, made.secret)):
                ours = delivery.headers["x-haldir-signature"], delivery.headers["x-haldir-timestamp"]
                verify_webhook_signature(delivery.raw, *ours, secret)
                verify_webhook_signature(delivery.raw, *ours, [rotated.secret, made.secret])
            await scene.trigger()
            await scene.deliver(after=HOUR)
            third = receiver.came[-1]
            assert " " not in third.headers["webhook-signature"]
            ours = third.headers["x-haldir-signature"], third.headers["x-haldir-timestamp"]
            verify_webhook_signature(third.raw, *ours, rotated.secret, now=scene.now() / SECOND)

    played(settings, story)


def test_of_an_answer_only_its_beginning_is_read_and_kept(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            receiver.answer = lambda _delivery: Reply(200, {}, b"a\0b\n" + "é".encode() * 5_000_000)
            await scene.trigger()
            await scene.deliver()
            (attempt,) = await scene.attempts()
            assert attempt.status_code == 200
            assert attempt.response_excerpt == "a b " + "é" * 296

    played(settings, story)


def test_an_event_is_replayed_to_the_endpoint_of_an_attempt(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver, receiving() as other:
            await scene.register(receiver)
            await scene.register(other)
            event_id = await scene.trigger()
            await scene.deliver()
            (attempt,) = await scene.attempts(webhook_id=1)
            replayed = await replay_delivery(scene.ctx, scene.caller, ReplayOneRequest(attempt.delivery_id))
            assert replayed == EventsReplayed(1, 1)
            await scene.deliver(after=10 * SECOND)
            assert (receiver.event_ids, other.event_ids) == ([event_id] * 2, [event_id])
            assert receiver.came[0].raw == receiver.came[1].raw
            with pytest.raises(NotFound):
                await replay_delivery(scene.ctx, scene.caller, ReplayOneRequest("dlv_none"))
            await remove_webhook(scene.ctx, scene.caller, WebhookNamed(1))
            with pytest.raises(Refused) as refused:
                await replay_delivery(scene.ctx, scene.caller, ReplayOneRequest(attempt.delivery_id))
            assert refused.value.code == "webhook_not_found"

    played(settings, story)


def test_a_span_is_replayed_in_order_without_what_will_arrive_anyway(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver, "anomaly")
            told, times = [], []
            for _ in range(4):
                scene._clock.now += MINUTE
                times.append(Moment(scene.now()))
                told.append(await scene.trigger())
                await scene.trigger("key_created")
            await scene.deliver()
            coming = await scene.trigger()
            ask = ReplayRangeRequest(1, times[1], times[3])
            assert (await replay_events(scene.ctx, scene.caller, ask)).replayed == 2
            assert (await replay_events(scene.ctx, scene.caller, ReplayRangeRequest(1, times[3]))).replayed == 1
            await scene.deliver(after=10 * SECOND)
            assert sorted(receiver.event_ids[4:]) == sorted([*told[1:], coming])
            assert [each for each in receiver.event_ids[4:] if each != coming] == told[1:]
            with pytest.raises(Refused) as refused:
                await replay_events(scene.ctx, scene.caller, ReplayRangeRequest(9, Moment(0)))
            assert refused.value.code == "webhook_not_found"

    played(settings, story)


def test_replicas_share_the_endpoints_and_send_each_event_once(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            other = scene.another_worker("two")
            told = []
            for _ in range(5):
                told.append(await scene.trigger())
                await asyncio.gather(scene.deliverer.round(), other.round())
                await asyncio.gather(scene.deliverer.settled(), other.settled())
                scene._clock.now += 10 * SECOND
            await scene.deliver()
            assert receiver.event_ids == told
            await other.close()

    played(settings, story)


def test_an_endpoint_that_a_dead_replica_holds_is_served_once_its_lease_is_over(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            await scene.trigger()
            await scene.deliver()
            event_id = await scene.trigger()
            (progress,) = await scene.ctx.store.load(scene.caller.tenant, WebhookProgress, (), [()])
            assert isinstance(progress, WebhookProgress)
            dead = Outbox(scene.ctx.store, "dead")
            assert await dead.lease(scene.caller.tenant, progress, scene.now())
            await scene.deliver(after=(LEASE_SECONDS - 1) * SECOND)
            assert len(receiver.came) == 1
            await scene.deliver(after=10 * SECOND)
            assert receiver.event_ids[1:] == [event_id]

    played(settings, story)


def test_a_worker_that_lost_its_lease_changes_nothing(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            event_id = await scene.trigger()
            thief = Outbox(scene.ctx.store, "thief")
            stolen = threading.Event()
            receiver.answer = lambda _delivery: Reply(200) if stolen.wait(30) else Reply(500)
            await scene.deliverer.round()
            await asyncio.to_thread(receiver.wait_for, 1)
            scene._clock.now += (LEASE_SECONDS + 1) * SECOND
            (progress,) = await scene.ctx.store.load(scene.caller.tenant, WebhookProgress, (), [()])
            assert isinstance(progress, WebhookProgress)
            taken = await thief.lease(scene.caller.tenant, progress, scene.now())
            stolen.set()
            await scene.deliverer.settled()
            assert await scene.ctx.store.load(scene.caller.tenant, WebhookProgress, (), [()]) == [taken]
            assert await scene.attempts() == []
            await scene.deliver(after=(LEASE_SECONDS + 10) * SECOND)
            assert receiver.event_ids == [event_id] * 2  # Twice rather than never, under one id.

    played(settings, story)


def test_an_address_that_upstreams_may_not_have_is_not_reached(settings: Settings) -> None:
    strict = Settings(data=settings.data, database_url=settings.database_url)

    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            with pytest.raises(InvalidRequest):
                await scene.register(receiver)
            await scene.register(f"http://localhost:{receiver.port}/in")  # What a name stands for is seen later.
            await scene.trigger()
            await scene.deliver()
            (attempt,) = await scene.attempts()
            assert attempt.error == "The receiver could not be reached: its address is none that this server may reach."
            assert receiver.came == []

    played(strict, story)


def test_attempts_are_paged_filtered_and_forgotten_after_a_month(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as receiver:
            await scene.register(receiver)
            await scene.register(receiver)
            told = [await scene.trigger() for _ in range(3)]
            await scene.deliver()
            assert len(await scene.attempts()) == 6
            assert [each.webhook_id for each in await scene.attempts(webhook_id=2)] == [2, 2, 2]
            assert {each.event_id for each in await scene.attempts(event_id=told[1])} == {told[1]}
            seen, before = [], ""
            while True:
                page = await list_deliveries(scene.ctx, scene.caller, ListDeliveriesRequest(limit=4, before=before))
                seen += [each.delivery_id for each in page.deliveries]
                if page.next_before is None:
                    break
                before = page.next_before
            assert len(seen) == len(set(seen)) == 6
            assert seen == sorted(seen, reverse=True)
            for limit in (0, 501):
                with pytest.raises(InvalidRequest):
                    await scene.attempts(limit=limit)
            await scene.deliver(after=(KEPT_DAYS - 1) * DAY)
            assert len(await scene.attempts()) == 6
            late = await scene.trigger()
            await scene.deliver(after=DAY + HOUR)
            await scene.deliver(after=HOUR)
            assert [each.event_id for each in await scene.attempts()] == [late, late]

    played(settings, story)


def test_events_can_be_fetched_instead_and_only_those_of_the_tenant(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        async def fetch(caller: Caller, cursor: str) -> tuple[list[str], str]:
            listed = await list_events(scene.ctx, caller, ListEventsRequest(cursor))
            return [event["event_id"] for event in listed.events], listed.cursor

        await scene.trigger()
        none, cursor = await fetch(scene.caller, "")
        assert none == []
        told = [await scene.trigger() for _ in range(130)]
        first, cursor = await fetch(scene.caller, cursor)
        rest, cursor = await fetch(scene.caller, cursor)
        assert first + rest == told
        assert await fetch(scene.caller, cursor) == ([], cursor)
        stranger = (await create_tenant(scene.ctx, scene.ctx.new_op(), "other", "key", ("*",))).tenant
        assert (await fetch(Caller(stranger, CredentialRef("key", "k"), ("*",)), "0"))[0] == []
        with pytest.raises(InvalidRequest):
            await fetch(scene.caller, "later")

    played(settings, story)


def test_a_receiver_that_never_answers_is_left_in_time() -> None:
    async def story() -> None:
        sender = Sender(seconds_max=0.2)
        with receiving() as receiver:
            go_on = threading.Event()
            receiver.answer = lambda _delivery: Reply(200) if go_on.wait(30) else Reply(500)
            sent = await sender.post(Secret(receiver.url), {}, b"{}", 0, allow_private=True)
            assert (sent.status, sent.error) == (None, "There was no answer within 0.2 s.")
            assert 200 <= sent.duration_ms < 5_000
            go_on.set()
        await sender.close()

    asyncio.run(story())
