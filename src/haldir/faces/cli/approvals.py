"""`haldir approvals`: what waits for a person, a person's word on it, and the rules that hold."""

from typing import Any

import click

from haldir.faces.cli.approval_card import exact, print_approval, print_history
from haldir.faces.cli.approvals_watch import watch
from haldir.faces.cli.arguments import Amount, Seconds, given, listed, parse_member, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_table
from haldir.kernel import strict_json

KINDS = ("spend_over", "tool_blocked", "destructive", "all")


@click.group()
def approvals() -> None:
    """What waits for a person, and the rules that hold it."""


approvals.add_command(watch)


@approvals.command("list")
@click.option("--agent", "agent_id", help="Only what this agent asked for.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many, newest first.")
@speaks_rest
def list_pending(remote: Remote, agent_id: str | None, limit: int) -> None:
    """List what waits for a decision, newest first."""
    remote.show(remote.get("/v1/approvals/pending", agent_id=agent_id, limit=limit), _print_pending)


@approvals.command()
@click.argument("approval_id")
@click.option("--wait", type=click.IntRange(0, 30), help="Seconds to wait for a decision.")
@speaks_rest
def show(remote: Remote, approval_id: str, wait: int | None) -> None:
    """Show one approval: what it is for, how it stands, and its history with the entries of the log."""
    approval = exact(remote, f"/v1/approvals/{quoted(approval_id)}", wait=wait)
    told = exact(remote, f"/v1/approvals/{quoted(approval_id)}/history")
    if remote.as_json:
        click.echo(strict_json.encode({**approval, "history": told["history"]}).decode())
    else:
        print_approval(approval)
        print_history(told)


@approvals.command()
@click.argument("approval_id")
@click.option("--note", help="Why; kept sealed, never in the log.")
@speaks_rest
def approve(remote: Remote, approval_id: str, note: str | None) -> None:
    """Let exactly this through, once."""
    answer = remote.post(f"/v1/approvals/{quoted(approval_id)}/approve", given(note=note))
    remote.show(answer, _print_approved)


@approvals.command()
@click.argument("approval_id")
@click.option("--note", help="Why not; kept sealed, never in the log.")
@speaks_rest
def deny(remote: Remote, approval_id: str, note: str | None) -> None:
    """Decide against it."""
    answer = remote.post(f"/v1/approvals/{quoted(approval_id)}/deny", given(note=note))
    remote.show(answer, lambda _: click.echo(f"Approval {plain(approval_id)} is denied."))


@approvals.command()
@click.argument("session_id")
@click.argument("action")
@click.option("--tool", help="The tool that it is about.")
@click.option("--amount", "amount_asked", type=Amount(), help="The money that it is about.")
@click.option("--reason", help="Why; kept sealed, never in the log.")
@click.option("--detail", "details", multiple=True, metavar="NAME=VALUE", help="What else an approver must see.")
@click.option("--ttl", type=Seconds(), help="How long it may wait: 90, 15m, 8h, 2d; 0 for a week. [1h]")
@speaks_rest
def request(
    remote: Remote,
    *,
    session_id: str,
    action: str,
    tool: str | None,
    amount_asked: float | None,
    reason: str | None,
    details: tuple[str, ...],
    ttl: int | None,
) -> None:
    """Ask for approval of ACTION in SESSION_ID. The answer lets nothing through by itself."""
    members: dict[str, Any] = dict(map(parse_member, details))
    body = given(session_id=session_id, action=action, tool=tool, amount=amount_asked, reason=reason, ttl=ttl)
    answer = remote.post("/v1/approvals/request", body | ({"details": members} if members else {}))
    remote.show(answer, lambda asked: click.echo(asked["request_id"]))


@approvals.command("four-eyes")
@click.argument("setting", type=click.Choice(["on", "off"]))
@speaks_rest
def four_eyes(remote: Remote, setting: str) -> None:
    """Say whether a key that asked or opened the session may decide; with `on` it may not."""
    answer = remote.put("/v1/approvals/settings", {"four_eyes": setting == "on"})
    remote.show(answer, lambda _: click.echo(f"Four eyes are {setting}."))


@approvals.group()
def rules() -> None:
    """Rules: what is held for approval."""


@rules.command("add")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--threshold", type=Amount(), help="With spend_over: hold what costs more than this. [0]")
@click.option("--tools", multiple=True, help="With tool_blocked: the tools, each TOOL or UPSTREAM.TOOL.")
@click.option("--approvers", type=click.IntRange(1, 10), help="How many must approve. [1]")
@click.option("--four-eyes", "separate", is_flag=True, help="None of them may have asked or opened the session.")
@speaks_rest
def add_rule(
    remote: Remote,
    *,
    kind: str,
    threshold: float | None,
    tools: tuple[str, ...],
    approvers: int | None,
    separate: bool,
) -> None:
    """Hold what this rule says, from the next decision on."""
    body = given(
        type=kind, threshold=threshold, tools=listed(tools), approvers=approvers, four_eyes=True if separate else None
    )
    answer = remote.post("/v1/approvals/rules", body)
    remote.show(answer, _print_added)


@rules.command("list")
@speaks_rest
def list_rules(remote: Remote) -> None:
    """List the rules that hold."""
    remote.show(remote.get("/v1/approvals/rules"), _print_rules)


@rules.command("remove")
@click.argument("rule_id")
@speaks_rest
def remove_rule(remote: Remote, rule_id: str) -> None:
    """Hold no longer what this rule said."""
    answer = remote.delete(f"/v1/approvals/rules/{quoted(rule_id)}")
    remote.show(answer, lambda _: click.echo(f"Rule {plain(rule_id)} is removed."))


def _print_approved(answer: Json) -> None:
    approval_id = plain(answer["request_id"])
    if answer["missing"]:
        click.echo(f"Your word counts for {approval_id}; {answer['missing']} more must approve.")
    else:
        click.echo(f"Approval {approval_id} is given.")


def _print_pending(answer: Json) -> None:
    columns = ("approval", "agent", "action", "tool", "amount", "reason", "asked", "expires")
    rows = (
        (
            each["request_id"],
            each["agent_id"],
            each["action"],
            each["tool"],
            f"{amount(each['amount'])} {each['currency']}",
            each["reason"],
            moment(each["created_at"]),
            moment(each["expires_at"]),
        )
        for each in answer["requests"]
    )
    print_table(columns, rows, empty="Nothing waits for approval.")


def _print_added(added: Any) -> None:
    for warning in added["warnings"]:
        click.echo(f"Warning: {plain(warning)}", err=True)
    click.echo(added["rule_id"])


def _print_rules(answer: Json) -> None:
    columns = ("rule", "type", "threshold", "tools", "approvers", "four eyes", "added by")
    rows = (
        (
            each["rule_id"],
            each["type"],
            amount(each["threshold"]),
            each["tools"],
            each["approvers"],
            each["four_eyes"] or answer["four_eyes"],
            each["created_by"],
        )
        for each in answer["rules"]
    )
    print_table(columns, rows, empty="Nothing is held for approval.")
