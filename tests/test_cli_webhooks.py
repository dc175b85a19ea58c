"""`haldir webhooks` against a real server and a real receiver."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Standard

from harness.commands import CliServer
from harness.eventually import eventually
from mail_receiver import taking_mail
from receiver import receiving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    with CliServer(tmp_path_factory.mktemp("cli") / "data", "--allow-private") as server:
        yield server


def test_a_webhook_is_registered_tried_out_looked_at_and_removed(server: CliServer) -> None:
    with receiving() as receiver:
        made = server.answer("webhooks", "register", receiver.url, "--name", "dev", "--events", "anomaly,key_created")
        number = str(made["webhook_id"])
        event_id = server.answer("webhooks", "trigger", "anomaly")["event_id"]
        (attempt,) = eventually(lambda: server.answer("webhooks", "deliveries", "--event", event_id)["deliveries"])
        assert receiver.event_ids == [event_id]
        shown = server.run("webhooks", "deliveries").stdout
        assert (event_id in shown, "200" in shown) == (True, True)
        listed = server.run("webhooks", "list").stdout
        assert (receiver.url in listed, "active" in listed, made["secret"] in listed) == (True, True, False)
        replayed = server.run("webhooks", "replay", attempt["delivery_id"])
        assert replayed.stdout == "1 events are on their way again.\n"
        span = server.run("webhooks", "replay", "--webhook", number, "--since", "2026-01-01")
        assert span.stdout == "1 events are on their way again.\n"
        receiver.wait_for(2)
        rotated = server.run("webhooks", "rotate", number, "--grace", "1h").stdout
        assert "whsec_" in rotated
        assert server.run("webhooks", "disable", number).exit_code == 0
        assert "disabled (asked)" in server.run("webhooks", "list").stdout
        refused = server.run("webhooks", "trigger", "anomaly", "--webhook", number)
        assert (refused.exit_code, "webhook_disabled" in refused.stderr) == (4, True)
        assert server.run("webhooks", "enable", number).exit_code == 0
        assert server.run("webhooks", "remove", number).exit_code == 0
        assert server.run("webhooks", "list").stdout == "There are no webhooks.\n"


def test_people_are_told_in_their_format_or_by_letter(tmp_path: Path) -> None:
    with taking_mail() as mailbox, receiving() as channel:
        (tmp_path / "data").mkdir()
        smtp = f'host = "127.0.0.1"\nport = {mailbox.port}\nsecurity = "none"\nfrom = "haldir@haldir.example"\n'
        (tmp_path / "data" / "haldir.toml").write_text(f"[smtp]\n{smtp}")
        with CliServer(tmp_path / "data", "--allow-private") as server:
            refused = server.run("webhooks", "register", channel.url, "--links")  # Where would they lead?
            assert ("HALDIR_PUBLIC_URL" in refused.stderr, refused.exit_code > 0) == (True, True)
            assert server.run("webhooks", "register").exit_code == 2
            assert server.run("webhooks", "register", channel.url, "--email", "a@b.example").exit_code == 2
            assert server.run("webhooks", "register", channel.url, "--format", "fax").exit_code == 2
            server.answer("webhooks", "register", channel.url, "--format", "slack")
            made = server.run("webhooks", "register", "--email", "ops@ops.example").stdout
            assert ("not signed" in made, "secret" in made) == (True, False)
            listed = server.run("webhooks", "list").stdout
            assert ("mailto:ops@ops.example" in listed, "slack" in listed, "email" in listed) == (True, True, True)
            server.answer("webhooks", "trigger", "anomaly")
            (letter,) = eventually(lambda: mailbox.came)
            channel.wait_for(1)
            subject = " ".join(letter.letter["Subject"].split())  # Folded, it may get a space more.
            assert subject == f"[Haldir] {channel.came[0].body['text']}"


@pytest.mark.parametrize(
    "arguments", [[], ["--webhook", "1"], ["dlv_1", "--webhook", "1"], ["--since", "soon", "--webhook", "1"]]
)
def test_a_replay_needs_a_delivery_or_a_span(server: CliServer, arguments: list[str]) -> None:
    assert server.run("webhooks", "replay", *arguments).exit_code == 2


def test_a_developer_listens_and_events_come_to_the_program_signed(server: CliServer) -> None:
    with receiving() as program:
        command = [
            sys.executable,
            "-m",
            "haldir",
            "webhooks",
            "listen",
            "--forward-to",
            program.url,
            "--once",
            "--json",
        ]
        with subprocess.Popen(
            [*command, "--events", "anomaly", "--data", str(server.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as listener:
            assert listener.stderr is not None
            assert listener.stdout is not None
            secret = listener.stderr.readline().decode().rpartition(" ")[2].strip()
            listener.stderr.readline()  # From here on it listens.
            event_id = server.answer("webhooks", "trigger", "anomaly")["event_id"]
            forwarded = json.loads(listener.stdout.readline())
            assert listener.wait(30) == 0
        (delivery,) = program.came
        assert (delivery.event_id, forwarded["event_id"], forwarded["forwarded"]) == (event_id, event_id, "200")
        assert Standard(secret).verify(delivery.raw.decode(), delivery.headers)["event"] == "anomaly"
