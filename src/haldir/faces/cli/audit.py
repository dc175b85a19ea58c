"""`haldir audit`: the log as it grows, and whether it is whole."""

import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from haldir.faces.cli.arguments import Amount, JsonFile, given
from haldir.faces.cli.audit_filters import asked, narrowed
from haldir.faces.cli.audit_proofs import consistency, evidence, export, prove, score, tree_head
from haldir.faces.cli.endings import CHECK_FAILED
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_table

POLL_SECONDS = 1.0
PAGE = 1_000  # The most that one answer holds.


@click.group()
def audit() -> None:
    """The log: read it, verify it."""


@audit.command()
@click.option("--limit", type=click.IntRange(0, PAGE), default=20, show_default=True, help="How many to begin with.")
@click.option("--session", "session_id", help="Only entries about this session.")
@click.option("--agent", "agent_id", help="Only entries about this agent.")
@click.option("--all", "every_kind", is_flag=True, help="Every command, not only actions and tool calls.")
@click.option("--follow", "-f", is_flag=True, help="Go on as entries are added, until Ctrl-C.")
@speaks_rest
def tail(
    remote: Remote, *, limit: int, session_id: str | None, agent_id: str | None, every_kind: bool, follow: bool
) -> None:
    """Print the newest entries, oldest first; with --json one entry a line."""
    query = {"session_id": session_id, "agent_id": agent_id, "kind": "all" if every_kind else None}
    newest = remote.get("/v1/audit", limit=max(limit, 1), **query)["entries"]  # One even for 0: where we stand.
    seen = newest[0]["entry_id"] if newest else ""
    for entry in reversed(newest[:limit]):
        remote.show(entry, _print_entry)
    while follow:
        sys.stdout.flush()
        time.sleep(POLL_SECONDS)
        for entry in _since(remote, query, seen):
            seen = entry["entry_id"]
            remote.show(entry, _print_entry)


@audit.command()
@narrowed
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@speaks_rest
def query(remote: Remote, *, limit: int, **filters: Any) -> None:
    """Print the newest entries that meet all conditions, newest first; with --json one entry a line."""
    for entry in itertools.islice(_backwards(remote, asked(filters), min(limit, PAGE)), limit):
        remote.show(entry, _print_entry)


@audit.command()
@click.option("--session", "session_id", help="Only what this session reported.")
@click.option("--agent", "agent_id", help="Only what this agent reported.")
@speaks_rest
def spend(remote: Remote, *, session_id: str | None, agent_id: str | None) -> None:
    """Show what actions were reported to have cost, by tool."""
    remote.show(remote.get("/v1/audit/spend", session_id=session_id, agent_id=agent_id), _print_spend)


@audit.command("log")
@click.argument("session_id")
@click.argument("action")
@click.option("--tool", default="", help="With which tool.")
@click.option("--cost", type=Amount(), help="What it cost, in USD.")
@click.option("--details", type=JsonFile(), help="A file with more, as a JSON object.")
@speaks_rest
def log_action(
    remote: Remote, *, session_id: str, action: str, tool: str, cost: float | None, details: Json | None
) -> None:
    """Report that SESSION_ID did ACTION."""
    body = given(session_id=session_id, action=action, tool=tool, cost_usd=cost, details=details)
    remote.show(remote.post("/v1/audit", body), _print_logged)


@audit.command()
@speaks_rest
def verify(remote: Remote) -> None:
    """Have the server recompute its whole log; `haldir fsck` does so without a server."""
    answer = remote.get("/v1/audit/verify")
    remote.show(answer, _print_verdict)
    if not answer["verified"]:
        sys.exit(CHECK_FAILED)


for command in (tree_head, prove, consistency, export, evidence, score):
    audit.add_command(command)


def _since(remote: Remote, query: dict[str, str | None], seen: str) -> list[Json]:
    """Return the entries after `seen`, oldest first. Entry ids sort as the log does."""
    fresh = itertools.takewhile(lambda entry: entry["entry_id"] > seen, _backwards(remote, query, PAGE))
    return list(fresh)[::-1]


def _backwards(remote: Remote, query: dict[str, str | None], page_size: int) -> Iterator[Json]:
    cursor: Any = None
    while True:
        page = remote.get("/v1/audit", limit=page_size, cursor=cursor, **query)
        yield from page["entries"]
        cursor = page.get("next_cursor")
        if not cursor:
            return


def _print_entry(entry: Json) -> None:
    """Print one entry on one line: when, what, who, and how it was decided."""
    tool = ".".join(filter(None, (entry["upstream"], entry["tool"])))
    cost = f" {amount(entry['cost_usd'])} USD" if entry["cost_usd"] else ""
    verdict = "allowed" if entry["allowed"] else f"refused {entry['code']}: {entry['reason']}"
    by = f"  by policies {entry['policy_version']}" if entry["policy_version"] else ""
    flag = f"  FLAGGED: {entry['flag_reason']}" if entry["flagged"] else ""
    what = " ".join(filter(None, (entry["action"], tool)))
    who = " ".join(filter(None, (entry["agent_id"], entry["session_id"])))
    number = int(entry["entry_id"].removeprefix("aud_"))
    click.echo(plain(f"{number:>6}  {moment(entry['timestamp'])}  {what}{cost}  {who}  {verdict}{by}{flag}"))
    for remark in entry["remarks"]:
        click.echo(plain(f"{'':>6}  {remark}"))


def _print_spend(answer: Json) -> None:
    rows = [(tool, amount(cost)) for tool, cost in answer["by_tool"].items()]
    more = [("...", "")] if answer["tools_left_out"] else []
    total = (f"all {answer['action_count']} actions", amount(answer["total_usd"]))
    print_table(("tool", "USD"), [*rows, *more, total], empty="")


def _print_logged(answer: Json) -> None:
    flagged = f", flagged: {answer['flag_reason']}" if answer["flagged"] else ""
    click.echo(plain(f"{answer['entry_id']}{flagged}"))


def _print_verdict(answer: Json) -> None:
    if answer["verified"]:
        click.echo(f"verify: ok, {answer['entries_checked']} entries")
        return
    click.echo(f"verify: FAILED, {answer['entries_checked']} entries read")
    for finding in answer["findings"]:
        click.echo(f"  {plain(finding['problem'])}: {plain(finding['message'])}")
