"""`haldir webhooks listen`: events brought to a program on this machine, signed as a webhook would be."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

import click

from haldir.faces.cli.remote import Json, Remote
from haldir.faces.cli.screen import plain
from haldir.kernel.secret import Secret
from haldir.webhooks.signing import PREFIX, SECRET_BYTES, signed_headers

POLL_SECONDS = 1.0
FORWARD_SECONDS_MAX = 15.0  # As long as a delivery may take.


def listen_and_forward(remote: Remote, url: str, events: list[str], *, once: bool) -> None:
    """Hand every event from now on to `url` until Ctrl-C; `once` ends it after the first answer that had some."""
    secret = Secret(PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode())
    cursor = remote.get("/v1/webhooks/events")["cursor"]
    click.echo(f"Signing secret of this run: {secret.reveal()}", err=True)
    click.echo(f"Events from now on go to {plain(url)}.", err=True)
    sys.stderr.flush()
    while True:
        page = remote.get("/v1/webhooks/events", cursor=cursor)
        cursor = page["cursor"]
        for event in page["events"]:
            if "all" in events or event["event"] in events:
                remote.show({**event, "forwarded": _forward(url, event, secret)}, _print_forwarded)
        sys.stdout.flush()
        if once and page["events"]:
            return
        if not page["events"]:
            time.sleep(POLL_SECONDS)


def _forward(url: str, event: Json, secret: Secret[str]) -> str:
    """Return how the program took it."""
    body = json.dumps(event).encode()
    headers = signed_headers(event["event_id"], body, int(time.time()), 1, [secret])
    headers |= {"Content-Type": "application/json", "X-Haldir-Event": event["event"]}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - the user's own URL, checked to be HTTP.
    try:
        with urllib.request.urlopen(request, timeout=FORWARD_SECONDS_MAX) as answer:  # noqa: S310 - as above.
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return f"failed: {getattr(error, 'reason', None) or error}"


def _print_forwarded(event: Json) -> None:
    click.echo(plain(f"{event['event']}  {event['event_id']}  {event['forwarded']}"))
