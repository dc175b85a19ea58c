"""`haldir pay`: money that a session spends by itself, at once or in two steps."""

import click

from haldir.faces.cli.arguments import Amount, given, quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import amount, moment, plain, print_fields, print_table

STATES = ("reserved", "posted", "voided")


@click.group()
def pay() -> None:
    """Payments: authorize, capture, void."""


@pay.command()
@click.argument("session_id")
@click.argument("amount_asked", metavar="AMOUNT", type=Amount())
@click.option("--currency", help="Currency of the amount. [USD]")
@click.option("--description", help="What it is for; kept sealed, never in the log.")
@click.option("--reserve", is_flag=True, help="Only set the amount aside, until it is captured or voided.")
@speaks_rest
def authorize(
    remote: Remote,
    *,
    session_id: str,
    amount_asked: float,
    currency: str | None,
    description: str | None,
    reserve: bool,
) -> None:
    """Spend AMOUNT from the budget of SESSION_ID and every budget above it."""
    body = given(
        session_id=session_id,
        amount=amount_asked,
        currency=currency,
        description=description,
        capture=False if reserve else None,
    )
    remote.show(remote.post("/v1/payments/authorize", body), _print_authorized)


@pay.command()
@click.argument("authorization_id")
@click.option("--amount", "amount_posted", type=Amount(), help="What to spend, if less than was reserved.")
@speaks_rest
def capture(remote: Remote, authorization_id: str, amount_posted: float | None) -> None:
    """Spend what a payment reserved; the rest is given back."""
    answer = remote.post(f"/v1/payments/{quoted(authorization_id)}/capture", given(amount=amount_posted))
    remote.show(answer, _print_resolved)


@pay.command()
@click.argument("authorization_id")
@speaks_rest
def void(remote: Remote, authorization_id: str) -> None:
    """Give back what a payment reserved."""
    remote.show(remote.post(f"/v1/payments/{quoted(authorization_id)}/void", {}), _print_resolved)


@pay.command()
@click.argument("authorization_id")
@speaks_rest
def show(remote: Remote, authorization_id: str) -> None:
    """Show one payment."""
    remote.show(remote.get(f"/v1/payments/{quoted(authorization_id)}"), _print_payment)


@pay.command("list")
@click.option("--session", "session_id", help="Only payments of this session.")
@click.option("--state", type=click.Choice(STATES), help="Only payments in this state.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many, newest first.")
@speaks_rest
def list_payments(remote: Remote, session_id: str | None, state: str | None, limit: int) -> None:
    """List payments, newest first."""
    remote.show(remote.get("/v1/payments", session_id=session_id, state=state, limit=limit), _print_payments)


def _print_authorized(answer: Json) -> None:
    print_fields(
        [
            ("payment", answer["authorization_id"]),
            ("state", answer["state"]),
            ("amount", f"{amount(answer['amount'])} {answer['currency']}"),
            ("left", amount(answer["remaining_budget"])),
        ]
    )


def _print_resolved(answer: Json) -> None:
    click.echo(f"Payment {plain(answer['authorization_id'])} is {answer['state']}: {amount(answer['posted'])} spent.")


def _print_payment(payment: Json) -> None:
    times = ("created_at", "resolved_at")
    print_fields((name, moment(value) if name in times else value) for name, value in payment.items())


def _print_payments(answer: Json) -> None:
    columns = ("payment", "session", "agent", "state", "amount", "spent", "currency", "asked", "for")
    rows = (
        (
            each["authorization_id"],
            each["session_id"],
            each["agent_id"],
            each["state"],
            amount(each["amount"]),
            amount(each["posted"]),
            each["currency"],
            moment(each["created_at"]),
            each["description"],
        )
        for each in answer["payments"]
    )
    print_table(columns, rows, empty="There are no such payments.")
