"""`haldir call`: tool calls, and a person's word on those whose outcome is not known."""

import json

import click

from haldir.faces.cli.arguments import Amount, JsonFile, given, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_fields, print_table

ABSENT = {
    "erased": "erased",
    "too_large": "too large to be kept; the log has its digest",
    "not_kept": "there is none, or it was not kept",
}
STATES = ("open", "posted", "voided", "indeterminate")


@click.group()
def call() -> None:
    """Tool calls, and those whose outcome is unknown."""


@call.command("tool")
@click.argument("tool")
@click.option("--session", "session_id", required=True, help="Session to act in.")
@click.option("--arguments", type=JsonFile(), help="A file with the tool's arguments, as a JSON object.")
@speaks_rest
def call_tool(remote: Remote, *, tool: str, session_id: str, arguments: Json | None) -> None:
    """Call TOOL, named as UPSTREAM.TOOL, and print what it answers."""
    body = {"tool": tool, "session_id": session_id, "arguments": arguments or {}}
    remote.show(remote.post("/v1/proxy/call", body), _print_result)


@call.command("list")
@click.option("--state", type=click.Choice(STATES), default="indeterminate", show_default=True)
@speaks_rest
def list_calls(remote: Remote, state: str) -> None:
    """List calls, by default those that a person has to resolve."""
    remote.show(remote.get("/v1/calls", state=state), _print_calls)


@call.command()
@click.argument("call_id")
@click.option("--payload", is_flag=True, help="Show its arguments and its result instead, which is recorded.")
@speaks_rest
def show(remote: Remote, call_id: str, *, payload: bool) -> None:
    """Show one call and how it ended, or what it came with and was answered."""
    if payload:
        remote.show(remote.get(f"/v1/calls/{quoted(call_id)}/payload"), _print_payload)
    else:
        remote.show(remote.get(f"/v1/calls/{quoted(call_id)}"), _print_call)


@call.command()
@click.argument("call_id")
@speaks_rest
def erase(remote: Remote, call_id: str) -> None:
    """Erase the arguments and the result of one call for good; its entries stay in the log."""
    answer = remote.delete(f"/v1/calls/{quoted(call_id)}/payload")
    remote.show(answer, lambda _: click.echo(f"Arguments and result of {plain(call_id)} are erased."))


@call.command()
@click.argument("call_id")
@click.argument("verdict", type=click.Choice(["post", "void"]))
@click.option("--amount", "amount_posted", type=Amount(), help="What it cost, if less than was reserved.")
@speaks_rest
def resolve(remote: Remote, call_id: str, verdict: str, amount_posted: float | None) -> None:
    """Say how an indeterminate call ended: post if it took effect, void if it did not."""
    answer = remote.post(f"/v1/calls/{quoted(call_id)}/resolve", given(state=verdict, amount=amount_posted))
    remote.show(answer, lambda _: click.echo(f"Call {plain(call_id)} is resolved: {verdict}."))


def _print_result(answer: Json) -> None:
    for block in answer["content"]:
        click.echo(plain(block["text"]) if block.get("type") == "text" else json.dumps(block))


def _print_calls(answer: Json) -> None:
    columns = ("call", "session", "agent", "upstream", "tool", "state", "price", "admitted", "error")
    rows = (
        (
            each["call_id"],
            each["session_id"],
            each["agent_id"],
            each["upstream"],
            each["tool"],
            each["state"],
            amount(each["price"]),
            moment(each["admitted_at"]),
            each["error"],
        )
        for each in answer["calls"]
    )
    print_table(columns, rows, empty="There are no such calls.")


def _print_call(call: Json) -> None:
    times = ("admitted_at", "deadline_at", "settled_at")
    print_fields((name, moment(value) if name in times else value) for name, value in call.items())


def _print_payload(payload: Json) -> None:
    for name in ("arguments", "result"):
        state = payload[f"{name}_state"]
        click.echo(f"{name}: {json.dumps(payload[name], indent=2) if state == 'kept' else ABSENT[state]}")
