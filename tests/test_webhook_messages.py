"""What people read in Slack and Teams: every event in words, whoever named what in it, within what those take."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.ids import TenantId
from haldir.webhooks.events import EVENTS, FLAGGED, Event
from haldir.webhooks.formats import body_of
from haldir.webhooks.message import LABELS, TITLES, Fact, Link, Message, clean, message_of
from haldir.webhooks.slack import slack_message
from haldir.webhooks.teams import CARD_TYPE, teams_message

TENANT = TenantId("0123456789abcdef")
AT = 1_800_000_000_000_000
TEAMS_BYTES_MAX = 28_000
LINKS = (Link("Open", "https://haldir.example/approvals/apr_1"), Link("Approve…", "https://h.example/a", "primary"))
HOSTILE = "<!channel> & <https://evil.example|Approve> `*x*` [click](https://evil.example)\n# Approved\u202e{{DATE(1)}}"


def event(kind: str = "approval_requested", **fields: Any) -> Event:
    return Event(place=0, id="evt_1", kind=kind, at=AT, fields=fields)


def asked(**fields: Any) -> Event:
    """Return the event of a payment that waits for a person."""
    known: dict[str, Any] = {
        "session_id": "ses_1",
        "agent_id": "coder",
        "upstream": "shop",
        "tool": "order_book",
        "entry_id": "aud_1",
        "asked_by": "session:ses_1",
        "request_id": "apr_1",
        "reason": "The rule apl_1 (spend_over) holds this until a person approves it.",
        "action": "",
        "amount": 1234.5,
        "decision": "",
    }
    return event(**(known | fields))


def slack(told: Event, name: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(told, TENANT, name or told.kind, "slack", LINKS))
    return found


def card(told: Event, name: str = "") -> dict[str, Any]:
    (attachment,) = json.loads(body_of(told, TENANT, name or told.kind, "teams", LINKS))["attachments"]
    assert attachment["contentType"] == CARD_TYPE
    found: dict[str, Any] = attachment["content"]
    return found


def blocks(told: Event) -> dict[str, Any]:
    return {block["type"]: block for block in slack(told)["blocks"]}


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """Return every object of a message that has a text of its own."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_a_request_for_approval_says_who_wants_what_and_where_to_go_on() -> None:
    said = message_of(asked(), "approval_requested", LINKS)
    assert said.title == "A request waits for approval"
    assert said.summary == "A request waits for approval: coder · shop · order_book · 1234.50 USD"
    assert said.facts == (
        Fact("Agent", "coder"),
        Fact("Upstream", "shop"),
        Fact("Tool", "order_book"),
        Fact("Amount", "1234.50 USD"),
        Fact("Reason", "The rule apl_1 (spend_over) holds this until a person approves it."),
        Fact("Approval", "apr_1"),
        Fact("Session", "ses_1"),
    )
    assert said.footer == "evt_1 · 2027-01-15 08:00:00 UTC · session:ses_1"
    assert said.links == LINKS


def test_slack_gets_blocks_and_a_text_for_notifications() -> None:
    whole = slack(asked())
    assert whole["text"] == "A request waits for approval: coder · shop · order_book · 1234.50 USD"
    told = {key: whole[key] for key in ("mrkdwn", "parse", "link_names", "unfurl_links", "unfurl_media")}
    assert told == {
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert [block["type"] for block in whole["blocks"]] == ["header", "section", "actions", "context"]
    found = blocks(asked())
    assert found["header"]["text"] == {"type": "plain_text", "text": "A request waits for approval", "emoji": False}
    assert found["section"]["fields"][0] == {"type": "mrkdwn", "text": "*Agent*\n`coder`", "verbatim": True}
    assert found["actions"]["elements"] == [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": "Open", "emoji": False},
            "url": "https://haldir.example/approvals/apr_1",
            "action_id": "open_0",
        },
        {
            "type": "button",
            "text": {"type": "plain_text", "text": "Approve…", "emoji": False},
            "url": "https://h.example/a",
            "action_id": "open_1",
            "style": "primary",
        },
    ]
    assert "evt_1" in found["context"]["elements"][0]["text"]


def test_teams_gets_an_adaptive_card_in_the_envelope_that_workflows_take() -> None:
    whole = json.loads(body_of(asked(), TENANT, "approval_requested", "teams", LINKS))
    assert (whole["type"], len(whole["attachments"])) == ("message", 1)
    found = card(asked())
    assert (found["type"], found["version"]) == ("AdaptiveCard", "1.4")
    assert found["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json"
    assert found["body"][0]["text"] == "A request waits for approval"
    assert found["body"][1]["inlines"] == [
        {"type": "TextRun", "text": "Agent: ", "weight": "Bolder"},
        {"type": "TextRun", "text": "coder"},
    ]
    assert found["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open", "url": "https://haldir.example/approvals/apr_1"},
        {"type": "Action.OpenUrl", "title": "Approve…", "url": "https://h.example/a", "style": "positive"},
    ]


def test_nobody_who_names_a_thing_writes_links_mentions_or_lines_in_slack() -> None:
    whole = slack(asked(agent_id=HOSTILE, tool=HOSTILE, reason=HOSTILE, asked_by=HOSTILE))
    for each in [{"text": whole["text"]}, *texts(whole["blocks"])]:
        written = each["text"]
        assert "<" not in written
        assert ">" not in written
        assert "\u202e" not in written
        assert written.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&") == 0
    for field in blocks(asked(agent_id=HOSTILE))["section"]["fields"]:
        label, _, value = field["text"].partition("\n")
        assert label.startswith("*")
        assert label.endswith("*")
        assert value[0] == value[-1] == "`"
        assert "`" not in value[1:-1]
        assert "\n" not in value


def test_nobody_who_names_a_thing_writes_markdown_or_dates_in_teams() -> None:
    found = card(asked(agent_id=HOSTILE, tool=HOSTILE, reason=HOSTILE, asked_by=HOSTILE))
    marked = [each["text"] for each in texts(found) if each["type"] == "TextBlock"]
    assert marked == ["A request waits for approval"]  # All else is in text runs, which are shown as they are.
    assert {each["type"] for each in texts(found)} == {"TextBlock", "TextRun"}
    assert found["fallbackText"] == "A request waits for approval"


def test_a_notification_says_what_came_of_it() -> None:
    fields = {"agent_id": "buyer", "request_id": "apr_1", "reason": "key:k decided it: denied."}
    decided = message_of(event("approval_decided", **fields), "approval_decided")
    assert decided.summary == "A request was decided: buyer · key:k decided it: denied."
    changed = message_of(event("policy_changed", change="removed", policy_id="pol_1"), "policy_changed")
    assert changed.summary == "A policy changed: removed"


@pytest.mark.parametrize("kind", [*EVENTS, FLAGGED])
def test_every_event_has_a_title_of_its_own(kind: str) -> None:
    assert message_of(event(kind), kind).title == TITLES[kind]
    assert message_of(event(kind, test=True, message="m"), kind).title == f"Test: {TITLES[kind]}"


def test_an_event_that_nobody_gave_a_title_still_gets_one() -> None:
    assert message_of(event("moon_rose"), "moon_rose").title == "Moon rose"


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        (
            event("policy_changed", change="added", policy_id="pol_1", policy_kind="spend_limit", epoch=3),
            [Fact("Change", "added"), Fact("Policy", "pol_1"), Fact("Kind", "spend_limit")],
        ),
        (
            event("upstream_quarantined", upstream="shop", tools=["buy", "sell"]),
            [Fact("Upstream", "shop"), Fact("Tools", "buy, sell")],
        ),
        (
            event("budget_threshold", subject="ses_1", reason="50 %"),
            [Fact("About", "ses_1"), Fact("Reason", "50 %")],
        ),
        (
            event("policy_changed", change="approval_rule_added", rule_id="apl_1", rule_kind="all"),
            [Fact("Change", "approval_rule_added"), Fact("Rule", "apl_1"), Fact("Kind of rule", "all")],
        ),
        (
            event("policy_changed", change="four_eyes", four_eyes=False),
            [Fact("Change", "four_eyes"), Fact("Four eyes", "off")],
        ),
        (
            event("policy_changed", change="four_eyes", four_eyes=True),
            [Fact("Change", "four_eyes"), Fact("Four eyes", "on")],
        ),
        (
            event("approval_decided", request_id="apr_1", decision="approve", amount=0.000001),
            [Fact("Amount", "0.000001 USD"), Fact("Decision", "approve"), Fact("Approval", "apr_1")],
        ),
        (event("webhook_disabled", webhook_id=3, amount=None), [Fact("Webhook", "3")]),
    ],
)
def test_what_is_told_of_an_event(told: Event, facts: list[Fact]) -> None:
    assert list(message_of(told, told.kind).facts) == facts


def test_text_is_one_line_without_what_is_not_seen_and_not_too_long() -> None:
    assert clean(" a\r\nb\u202ec\u200b  d\0", 99) == "a b c d"
    assert clean("abcdef", 6) == "abcdef"
    assert clean("abcdefg", 6) == "abcde…"


ANYTHING = st.one_of(st.text(max_size=2000), st.sampled_from(["<" * 5000, "&" * 5000, "😀" * 5000, "`\n" * 3000]))


@given(st.dictionaries(st.sampled_from([*LABELS, "asked_by"]), ANYTHING.filter(bool)), st.sampled_from(EVENTS))
def test_whatever_an_event_says_slack_and_teams_take_the_message(fields: dict[str, str], kind: str) -> None:
    """Slack: header 150 characters, a section 10 fields of 2,000, a button 75, 50 blocks. Teams: 28 KB in all."""
    fields.pop("amount", None)
    said = message_of(event(kind, **fields), kind, LINKS)
    whole = slack_message(said)
    assert len(whole["blocks"]) <= 50
    assert len(whole["text"]) <= 4000
    for block in whole["blocks"]:
        assert len(block.get("text", {}).get("text", "")) <= 150
        assert len(block.get("fields", [])) <= 10
        assert all(0 < len(field["text"]) <= 2000 for field in block.get("fields", []))
        assert all(len(each["text"]["text"]) <= 75 for each in block.get("elements", []) if each["type"] == "button")
    assert len(json.dumps(teams_message(said), ensure_ascii=False).encode()) <= TEAMS_BYTES_MAX


def test_a_link_that_slack_would_refuse_is_left_out_and_the_message_goes() -> None:
    long = Link("Open", "https://h.example/" + "a" * 3000)
    said = Message("k", "e", "t", "s", (), (long, LINKS[0]), "f")
    (actions,) = [block for block in slack_message(said)["blocks"] if block["type"] == "actions"]
    assert [each["url"] for each in actions["elements"]] == [LINKS[0].url]
    none = Message("k", "e", "t", "s", (), (long,), "f")
    assert [block["type"] for block in slack_message(none)["blocks"]] == ["header", "context"]
