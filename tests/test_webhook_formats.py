"""Messages for people arrive as events do, on both engines: in the format that was asked for, and by the same rules."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook as Standard

from haldir.kernel.clock import DAY, HOUR, SECOND
from haldir.kernel.secret import Secret
from haldir.operations.verbs.approvals import DecideRequest, RequestApprovalRequest, approve_request, request_approval
from haldir.operations.verbs.sessions import CreateSessionRequest, create_session
from haldir.operations.verbs.webhook_deliveries import ReplayOneRequest, replay_delivery
from haldir.settings import Settings
from receiver import Delivery, Reply, receiving
from webhook_scene import Scene, played

PUBLIC_URL = "https://haldir.example"


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    dsn = Secret(request.getfixturevalue("fresh_postgres_dsn")) if request.param == "postgres" else None
    return Settings(data=tmp_path, database_url=dsn, allow_private=True, public_url=PUBLIC_URL)


async def asked(scene: Scene) -> str:
    """Have a session ask for approval; return the id."""
    session = await create_session(scene.ctx, scene.caller, CreateSessionRequest(agent_id="coder"))
    request = RequestApprovalRequest(session_id=session.session_id, tool="order_book", action="buy", reason="please")
    return (await request_approval(scene.ctx, scene.caller, request)).request_id


def slack_like(delivery: Delivery) -> Reply:
    """Answer as Slack does: "ok" to a message it can show."""
    shown = delivery.body.get("text") and delivery.body.get("blocks")
    return Reply(200, {}, b"ok") if shown else Reply(400, {}, b"invalid_payload")


def urls(body: Any) -> list[str]:
    """Return where the buttons of a message lead, of Slack's or Teams'."""
    if "attachments" in body:
        return [each["url"] for each in body["attachments"][0]["content"]["actions"]]
    return [each["url"] for block in body["blocks"] if block["type"] == "actions" for each in block["elements"]]


def test_each_endpoint_is_told_in_its_own_format_and_people_are_led_to_the_approval(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as program, receiving() as channel, receiving() as team:
            await scene.register(program)
            made = await scene.register(channel, format="slack")
            await scene.register(team, format="teams")
            channel.answer = slack_like
            approval_id = await asked(scene)
            await approve_request(scene.ctx, scene.caller, DecideRequest(approval_id))
            await scene.deliver()
            assert [each.body["event"] for each in program.came] == ["approval_requested", "approval_decided"]
            assert program.event_ids == channel.event_ids == team.event_ids
            for delivery in (*channel.came, *team.came):
                assert urls(delivery.body) == [f"{PUBLIC_URL}/approvals/{approval_id}"]
                assert "please" not in delivery.raw.decode()  # What was said of it is sealed, and read in Haldir.
            assert channel.came[0].body["text"] == "A request waits for approval: coder · order_book · buy"
            assert Standard(made.secret).verify(channel.came[0].raw.decode(), channel.came[0].headers)
            row = await scene.shown(made.webhook_id)
            assert (made.format, row.format, row.fire_count, row.failing_since) == ("slack", "slack", 2, None)

    played(settings, story)


def test_without_a_public_url_nobody_is_led_astray(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as channel:
            await scene.register(channel, format="slack")
            await asked(scene)
            await scene.deliver()
            assert urls(channel.came[0].body) == []

    played(msgspec.structs.replace(settings, public_url=None), story)


def test_a_message_is_replayed_as_it_was_sent(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as channel:
            await scene.register(channel, format="slack")
            event_id = await scene.trigger("budget_exhausted")
            await scene.deliver()
            (attempt,) = await scene.attempts()
            await replay_delivery(scene.ctx, scene.caller, ReplayOneRequest(attempt.delivery_id))
            await scene.deliver(after=10 * SECOND)
            assert channel.event_ids == [event_id, event_id]
            assert channel.came[0].raw == channel.came[1].raw
            assert (
                json.loads(channel.came[0].raw)["text"]
                == "Test: A budget is spent: sample-agent · The budget of ses_sample is spent."
            )

    played(settings, story)


def test_a_channel_that_slack_no_longer_has_is_disabled_by_the_rules_for_all(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        with receiving() as gone:
            made = await scene.register(gone, format="slack")
            gone.answer = lambda _delivery: Reply(404, {}, b"no_service")
            await scene.trigger()
            await scene.trigger()
            await scene.pass_by(5 * DAY - HOUR, step=HOUR)
            assert (await scene.shown(made.webhook_id)).active
            (attempt, *_) = await scene.attempts(limit=1)
            assert (attempt.status_code, attempt.response_excerpt) == (404, "no_service")
            await scene.pass_by(12 * HOUR, step=HOUR)
            row = await scene.shown(made.webhook_id)
            assert (row.active, row.disabled_reason) == (False, "failing")

    played(settings, story)
