"""Letters arrive as events do, on both engines: by a real SMTP server, and by the same rules as everything else."""

import asyncio
import email
import email.utils
import socket
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import DAY, HOUR, MINUTE, SECOND
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.secret import Secret
from haldir.operations.verbs.webhooks import RegisterWebhookRequest, WebhookMade, register_webhook
from haldir.settings import Settings
from haldir.webhooks.events import Event
from haldir.webhooks.letter import letter_of
from haldir.webhooks.mail_server import MailServer, is_address, mail_server
from haldir.webhooks.message import LABELS, Fact, Link, message_of
from haldir.webhooks.postman import Postman
from mail_receiver import PASSWORD, USER, Mailbox, Taken, certificate, knows_password, taking_mail
from upstreams.serving import free_port
from webhook_scene import Scene, played

SENDER, ADDRESS = "haldir@haldir.example", "ops@ops.example"
AT = 1_800_000_000 * SECOND


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    dsn = Secret(request.getfixturevalue("fresh_postgres_dsn")) if request.param == "postgres" else None
    return Settings(data=tmp_path, database_url=dsn, public_url="https://haldir.example")


def readable(port: int) -> MailServer:
    return MailServer(host="127.0.0.1", port=port, security="none", sender=SENDER)


def by_mail(settings: Settings, port: int) -> Settings:
    return msgspec.structs.replace(settings, mail=readable(port))


async def registered(scene: Scene, *events: str) -> WebhookMade:
    request = RegisterWebhookRequest(email=ADDRESS, events=list(events) or ["all"])
    return await register_webhook(scene.ctx, scene.caller, request)


def message_id(event_id: str, webhook_id: int = 1) -> str:
    return f"<{event_id}.{webhook_id}@haldir.example>"


def test_an_event_comes_as_a_letter_and_its_delivery_is_listed(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        made = await registered(scene)
        event_id = await scene.trigger("budget_exhausted")
        await scene.deliver()
        (taken,) = mailbox.came
        assert (taken.sender, taken.recipients) == (SENDER, [ADDRESS])
        letter = taken.letter
        assert (letter["From"], letter["To"]) == (f"Haldir <{SENDER}>", ADDRESS)
        assert (
            letter["Subject"] == "[Haldir] Test: A budget is spent: sample-agent · The budget of ses_sample is spent."
        )
        assert (letter["Message-ID"], letter["Auto-Submitted"]) == (message_id(event_id), "auto-generated")
        assert email.utils.parsedate_to_datetime(letter["Date"]).timestamp() == scene.now() // SECOND
        assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
        assert (made.url, made.format, made.secret) == (f"mailto:{ADDRESS}", "email", "")
        row = await scene.shown()
        assert (row.url, row.format, row.signed, row.fire_count) == (f"mailto:{ADDRESS}", "email", False, 1)
        (attempt,) = await scene.attempts()
        assert (attempt.status_code, attempt.error, attempt.webhook_url) == (250, "", f"mailto:{ADDRESS}")
        log = [entry async for entry in _entries(scene)]
        assert not any(ADDRESS in entry for entry in log)

    with taking_mail() as mailbox:
        played(by_mail(settings, mailbox.port), story)


async def _entries(scene: Scene) -> Any:
    for (body,) in await scene.ctx.store.fetch(
        "SELECT body FROM entry WHERE tenant = :tenant", tenant=scene.caller.tenant
    ):
        yield bytes(body).decode()


def test_a_mail_server_that_was_away_for_an_hour_gets_everything_in_order(settings: Settings) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        await registered(scene)
        told = []
        for _ in range(6):
            told.append(await scene.trigger())
            await scene.pass_by(10 * MINUTE)
        (attempt, *_) = await scene.attempts()
        assert (attempt.status_code, attempt.error) == (
            None,
            "The mail server could not be reached: Connection refused.",
        )
        with taking_mail(port) as mailbox:
            await scene.pass_by(HOUR)
            assert mailbox.ids == [message_id(each) for each in told]

    played(by_mail(settings, port), story)


def test_try_later_is_tried_later_and_holds_the_others_back(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        await registered(scene)
        told = [await scene.trigger() for _ in range(3)]
        mailbox.at_recipient = lambda _address: "450 4.2.0 Greylisted, come again"
        await scene.pass_by(HOUR)
        assert mailbox.came == []
        tried = await scene.attempts(limit=500)
        assert {attempt.event_id for attempt in tried} == {told[0]}
        assert (tried[0].status_code, tried[0].error) == (450, "The mail server answered 450.")
        assert tried[0].response_excerpt == "4.2.0 Greylisted, come again"
        mailbox.at_recipient = lambda _address: "250 OK"
        await scene.pass_by(HOUR)
        assert mailbox.ids == [message_id(each) for each in told]

    with taking_mail() as mailbox:
        played(by_mail(settings, mailbox.port), story)


def test_a_recipient_that_there_is_not_disables_the_endpoint_after_five_days(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        await registered(scene)
        await scene.trigger()
        mailbox.at_recipient = lambda _address: "550 5.1.1 No such user"
        await scene.pass_by(5 * DAY - HOUR, step=HOUR)
        assert (await scene.shown()).active
        await scene.pass_by(12 * HOUR, step=HOUR)
        row = await scene.shown()
        assert (row.active, row.disabled_reason) == (False, "failing")
        (attempt,) = await scene.attempts(limit=1)
        assert (attempt.status_code, attempt.response_excerpt) == (550, "5.1.1 No such user")

    with taking_mail() as mailbox:
        played(by_mail(settings, mailbox.port), story)


def test_a_letter_that_is_not_liked_holds_the_others_up_for_moments_only(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        await registered(scene)
        bad = message_id(await scene.trigger())
        rest = [message_id(await scene.trigger("key_created")) for _ in range(3)]
        mailbox.at_letter = lambda taken: "554 Spam" if taken.letter["Message-ID"] == bad else "250 OK"
        await scene.pass_by(2 * MINUTE, step=10 * SECOND)
        assert mailbox.ids == rest
        mailbox.at_letter = lambda _taken: "250 OK"
        await scene.pass_by(HOUR)
        assert mailbox.ids == [*rest, bad]

    with taking_mail() as mailbox:
        played(by_mail(settings, mailbox.port), story)


def test_a_letter_whose_taking_was_not_heard_comes_again_and_is_known_by_its_id(settings: Settings) -> None:
    async def story(scene: Scene) -> None:
        await registered(scene)
        event_id = await scene.trigger()
        mailbox.at_letter = kept_and_hung_up
        await scene.deliver()
        mailbox.at_letter = lambda _taken: "250 OK"
        await scene.pass_by(MINUTE)
        assert mailbox.ids == [message_id(event_id)] * 2

    def kept_and_hung_up(taken: Taken) -> str:
        mailbox.came.append(taken)
        return "421 Going down"

    with taking_mail() as mailbox:
        played(by_mail(settings, mailbox.port), story)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (RegisterWebhookRequest(email=ADDRESS, url="https://hooks.example"), "url"),
        (RegisterWebhookRequest(email=ADDRESS, format="slack"), "format"),
        (RegisterWebhookRequest(format="email"), "email"),
        (RegisterWebhookRequest(email="ops@a.example, more@b.example"), "email"),
        (RegisterWebhookRequest(email="ops@a.example\r\nBcc: all@b.example"), "email"),
        (RegisterWebhookRequest(url=f"mailto:{ADDRESS}"), "url"),
        (RegisterWebhookRequest(), "url"),
    ],
)
def test_what_is_no_mailbox_is_not_registered(tmp_path: Path, asked: RegisterWebhookRequest, field: str) -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(InvalidRequest) as refused:
            await register_webhook(scene.ctx, scene.caller, asked)
        assert refused.value.field == field

    played(by_mail(Settings(data=tmp_path), 25), story)


def test_without_a_mail_server_a_mailbox_is_refused_and_says_what_is_missing(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(InvalidRequest, match="HALDIR_SMTP_HOST") as refused:
            await registered(scene)
        assert refused.value.field == "email"

    played(Settings(data=tmp_path), story)


def test_letters_wait_where_the_operator_took_the_mail_server_away(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await registered(scene)
        await scene.trigger()

    async def without(scene: Scene) -> None:
        await scene.deliver()
        (attempt,) = await scene.attempts()
        assert attempt.error == "The operator configured no mail server."

    played(by_mail(Settings(data=tmp_path), free_port()), story)
    played(Settings(data=tmp_path), without)


def sent(server: MailServer, seconds_max: float = 10) -> tuple[int | None, str]:
    async def send() -> tuple[int | None, str]:
        postman = Postman(server, seconds_max)
        done = await postman.send(ADDRESS, b"Subject: x\r\n\r\nx\r\n")
        postman.close()
        return done.status, done.error

    return asyncio.run(send())


def protected(mailbox: Mailbox, trusted: Path, **changes: Any) -> MailServer:
    server = MailServer(
        host="127.0.0.1",
        port=mailbox.port,
        security="starttls",
        sender=SENDER,
        user=USER,
        password=Secret(PASSWORD),
        ca_file=str(trusted),
    )
    return msgspec.structs.replace(server, **changes)


def test_with_starttls_and_a_password_the_letter_goes_encrypted_by_who_is_known(tmp_path: Path) -> None:
    known = certificate(tmp_path)
    options: dict[str, Any] = {"tls_context": known.context, "require_starttls": True, "auth_required": True}
    with taking_mail(authenticator=knows_password, **options) as mailbox:
        assert sent(protected(mailbox, known.file)) == (250, "")
        (taken,) = mailbox.came
        assert (taken.encrypted, taken.logged_in) == (True, True)
        refused = sent(protected(mailbox, known.file, password=Secret("wrong")))
        assert refused == (535, "The mail server answered 535.")
        assert sent(protected(mailbox, known.file, password=None))[0] == 530


def test_with_tls_the_line_is_encrypted_from_its_first_byte(tmp_path: Path) -> None:
    known = certificate(tmp_path)
    with taking_mail(ssl_context=known.context) as mailbox:
        assert sent(protected(mailbox, known.file, security="tls", password=None)) == (250, "")
        assert len(mailbox.came) == 1


def test_nothing_goes_in_the_clear_or_to_a_stranger_where_tls_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    known, other = certificate(tmp_path), certificate(tmp_path / "other", "127.0.0.2")
    with taking_mail() as plain:
        assert sent(protected(plain, known.file)) == (
            None,
            "The mail server cannot be used: STARTTLS extension not supported by server.",
        )
        assert plain.came == []
    with taking_mail(tls_context=known.context) as mailbox:
        status, error = sent(protected(mailbox, other.file))
        assert (status, error) == (None, "The mail server could not be reached: its certificate is not trusted.")
    with taking_mail(tls_context=other.context) as elsewhere:
        status, error = sent(protected(elsewhere, other.file))  # Trusted, but for another address.
        assert (status, error) == (None, "The mail server could not be reached: its certificate is not trusted.")
        assert elsewhere.came == []


def test_a_server_that_cannot_log_anybody_in_is_given_no_password(tmp_path: Path) -> None:
    known = certificate(tmp_path)
    with taking_mail(tls_context=known.context, auth_exclude_mechanism=["LOGIN", "PLAIN"]) as mailbox:
        status, error = sent(protected(mailbox, known.file))
        assert (status, mailbox.came) == (None, [])
        assert "cannot be used" in error


@pytest.mark.parametrize("greeting", [b"", b"220 ready\r\n"])
def test_a_mail_server_that_says_no_more_is_left_in_time(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = readable(listening.getsockname()[1])

        async def send() -> None:
            postman = Postman(server, seconds_max=0.3)
            waiting = asyncio.create_task(postman.send(ADDRESS, b"x"))
            line, _ = await asyncio.to_thread(listening.accept)
            with line:
                line.sendall(greeting)
                done = await waiting
            assert done.status is None
            assert done.error in {
                "The mail server took longer than 0.3 s.",
                "The mail server did not answer in time.",
                "The mail server closed the connection without an answer.",
            }
            assert done.duration_ms < 5_000
            postman.close()

        asyncio.run(send())


def test_a_server_that_speaks_something_else_is_no_mail_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = readable(listening.getsockname()[1])

        async def send() -> None:
            postman = Postman(server)
            waiting = asyncio.create_task(postman.send(ADDRESS, b"x"))
            line, _ = await asyncio.to_thread(listening.accept)
            with line:
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                done = await waiting
            assert (done.status, done.error) == (None, "The mail server answered nothing that SMTP knows.")
            postman.close()

        asyncio.run(send())


def read(raw: bytes) -> EmailMessage:
    letter = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(letter, EmailMessage)
    return letter


def parts(letter: EmailMessage) -> list[str]:
    return [str(part.get_content()) for part in letter.iter_parts() if isinstance(part, EmailMessage)]


def test_a_letter_says_the_same_as_text_and_as_html() -> None:
    fields = {"agent_id": "<b>coder</b>", "tool": "résumé", "request_id": "apr_1", "amount": 3.0}
    event = Event(0, "evt_1", "approval_requested", AT, fields)
    said = message_of(event, "approval_requested", [Link("Open", 'https://h.example/a?b="c"&d')])
    text, html = parts(read(letter_of(said, SENDER, ADDRESS, 7, AT)))
    assert text.splitlines() == [
        "A request waits for approval",
        "",
        "Agent: <b>coder</b>",
        "Tool: résumé",
        "Amount: 3.00 USD",
        "Approval: apr_1",
        "",
        'Open: https://h.example/a?b="c"&d',
        "",
        "evt_1 · 2027-01-15 08:00:00 UTC ·",
    ]
    assert "<th>Agent</th><td>&lt;b&gt;coder&lt;/b&gt;</td>" in html
    assert '<a href="https://h.example/a?b=&quot;c&quot;&amp;d">Open</a>' in html


HOSTILE = st.one_of(st.text(max_size=400), st.just("x\r\nBcc: all@evil.example\r\n\r\n.\r\nMAIL FROM:<x>"))


@given(st.dictionaries(st.sampled_from([*LABELS, "asked_by"]), HOSTILE.filter(bool)))
def test_nobody_who_names_a_thing_adds_a_header_or_a_line(fields: dict[str, str]) -> None:
    fields.pop("amount", None)
    said = message_of(Event(0, "evt_1", "anomaly", AT, fields), "anomaly")
    raw = letter_of(said, SENDER, ADDRESS, 1, AT)
    letter = read(raw)
    assert sorted(letter.keys()) == sorted(
        [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Haldir-Event", "X-Haldir-Webhook-Id"),
            *("MIME-Version", "Content-Type"),
        ]
    )
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    text, _ = parts(letter)
    assert len(text.splitlines()) == 4 + len(said.facts)
    assert letter["Subject"].startswith("[Haldir] ")
    again = letter_of(said, SENDER, ADDRESS, 1, AT)
    assert again == raw  # The same, byte for byte.


def test_a_fact_is_one_of_ours() -> None:
    assert Fact("Agent", "x").label in LABELS.values()


@pytest.mark.parametrize(
    "text", ["ops@ops.example", "a.b+c@x-y.example", "root@localhost", f"{'a' * 64}@{'b' * 60}.example"]
)
def test_what_is_an_address(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "ops",
            "@ops.example",
            "ops@",
            "ops@-a.example",
            "o ps@a.example",
            "Ops <ops@a.example>",
            "<ops@a.example>",
        ),
        *("ops@a.example\n", "ops@a.example,b@c.example", "ops@a..example", '"x"@a.example', "öps@a.example"),
        *(f"{'a' * 65}@a.example", "a@" + "b." * 130 + "example"),
    ],
)
def test_what_is_none(text: str) -> None:
    assert not is_address(text)


GIVEN = {"host": "mail.example", "from": SENDER}


@pytest.mark.parametrize(
    ("more", "port", "security"),
    [
        ({}, 587, "starttls"),
        ({"security": "tls"}, 465, "tls"),
        ({"security": "none"}, 25, "none"),
        ({"port": "2525"}, 2525, "starttls"),
    ],
)
def test_a_mail_server_is_read_with_the_port_of_its_kind(more: dict[str, str], port: int, security: str) -> None:
    server = mail_server(GIVEN | more)
    assert (server.host, server.port, server.security, server.sender) == ("mail.example", port, security, SENDER)
    assert (server.user, server.password, server.ca_file) == ("", None, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"host": ""}, "`host`"),
        ({"host": "a b"}, "`host`"),
        ({"from": "Haldir <h@h.example>"}, "`from`"),
        ({"security": "ssl"}, "`security`"),
        ({"port": "0"}, "`port`"),
        ({"port": "70000"}, "`port`"),
        ({"port": "x"}, "`port`"),
        ({"user": "u"}, "go together"),
        ({"password": "p-secret"}, "go together"),
        ({"user": "u", "password": "p-secret", "security": "none"}, "readable"),
        ({"user": "ü", "password": "p-secret"}, "ASCII"),
    ],
)
def test_a_mail_server_that_cannot_be_used_is_refused_without_its_password(more: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        mail_server(GIVEN | more)
    assert "p-secret" not in str(refused.value)


def test_the_password_shows_nowhere() -> None:
    assert PASSWORD not in repr(mail_server(GIVEN | {"user": USER, "password": PASSWORD}))
