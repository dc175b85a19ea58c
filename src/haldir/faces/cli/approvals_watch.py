"""`haldir approvals watch`: shows what begins to wait for a person, as it comes, and takes the person's word on it."""

import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

from haldir.client import HaldirAPIError, TurnedDown
from haldir.faces.cli.approval_card import exact, line_of, print_approval
from haldir.faces.cli.arguments import given, quoted
from haldir.faces.cli.keyboard import ENDED, Keyboard, has_person, keyboard
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain
from haldir.kernel import strict_json

PENDING = "/v1/approvals/pending"
PAGE = 50  # Each may bring a megabyte of arguments; the server ends a page early rather than send much more.
WAIT_SECONDS = 20  # One request lasts this long where nothing happens.
KEY_SECONDS = 0.1  # Between two looks whether a key was pressed or something came.
KEYS = "[a]pprove  [d]eny  [s]kip  [q]uit"
QUITS = frozenset({"q", ENDED})


@click.command()
@click.option("--agent", "agent_id", help="Only what this agent asks for.")
@speaks_rest
def watch(remote: Remote, agent_id: str | None) -> None:
    """Show what waits for a decision as it comes, and decide it by a key: a, d, s or q.

    Where nobody sits before it, or with --json, it prints a line for each and goes on until it is stopped.
    """
    watching = Watching(remote, agent_id)
    if remote.as_json or not has_person():
        while True:
            for approval in watching.unseen():
                click.echo(strict_json.encode(approval).decode() if remote.as_json else line_of(approval))
            sys.stdout.flush()
            watching.wait()
    with keyboard() as keys:
        while True:
            for approval in watching.unseen():
                if not _decided(remote, keys, approval["request_id"]):
                    return
            click.echo("Waiting for what comes; q ends it.")
            if not watching.wait(keys):
                return


class Watching:
    """What was seen of what waits, and as of which version."""

    def __init__(self, remote: Remote, agent_id: str | None) -> None:
        self._remote, self._query = remote, {"agent_id": agent_id, "limit": PAGE}
        self._seen: set[str] = set()
        self._version: int | None = None  # None: not everything that waits was looked at yet.

    def unseen(self) -> Iterator[Json]:
        """Yield what waits and was not seen before, page by page, in each the oldest first."""
        began_with, version, cursor = self._version, None, None
        while True:
            page = exact(self._remote, PENDING, cursor=cursor, **self._query)
            version = version or page["version"]
            new = [each for each in page["requests"] if each["request_id"] not in self._seen]
            self._seen.update(each["request_id"] for each in new)
            yield from reversed(new)
            cursor = page["next_cursor"]
            if cursor is None or (not new and began_with is not None):  # What is older than what was seen, was seen.
                break
        self._version = int(version.text)

    def wait(self, keys: Keyboard | None = None) -> bool:
        """Return once what waits may have changed; false if a key ended it."""
        answers: queue.SimpleQueue[Json | HaldirAPIError] = queue.SimpleQueue()
        threading.Thread(target=self._ask, args=(answers,), daemon=True).start()
        while True:
            try:
                answer = answers.get(timeout=KEY_SECONDS)
            except queue.Empty:
                if keys is not None and keys.key(0) in QUITS:
                    return False
                continue
            if isinstance(answer, HaldirAPIError):
                raise answer
            if answer["version"] != self._version:
                return True
            threading.Thread(target=self._ask, args=(answers,), daemon=True).start()

    def _ask(self, answers: "queue.SimpleQueue[Json | HaldirAPIError]") -> None:
        try:
            answers.put(self._remote.get(PENDING, since=self._version, wait=WAIT_SECONDS, limit=1))
        except HaldirAPIError as error:
            answers.put(error)


def _decided(remote: Remote, keys: Keyboard, approval_id: str) -> bool:
    """Show an approval and do what the person says, if it still waits; false if they want to end."""
    where = f"/v1/approvals/{quoted(approval_id)}"
    approval = exact(remote, where)
    if approval["status"] != "pending":
        return True
    click.echo()
    print_approval(approval)
    keys.forget()
    click.echo(KEYS)
    while (key := keys.key()) not in QUITS:
        match key:
            case "a":
                _tell(remote, f"{where}/approve", {})
            case "d":
                with keys.lines():
                    note = click.prompt("Why", default="", show_default=False)
                _tell(remote, f"{where}/deny", given(note=note or None))
            case "s":
                click.echo("Skipped; it still waits.")
            case _:
                click.echo(KEYS)
                continue
        return True
    return False


def _tell(remote: Remote, where: str, body: dict[str, Any]) -> None:
    """Send a decision, and say what became of it; one that counts no more ends nothing."""
    try:
        answer = remote.post(where, body)
    except TurnedDown as refused:
        click.echo(plain(f"It does not count: {refused.message}"))
        return
    if "denied" in answer:
        click.echo("Denied.")
    elif answer["missing"]:
        click.echo(f"Your word counts; {answer['missing']} more must approve.")
    else:
        click.echo("Approved.")
