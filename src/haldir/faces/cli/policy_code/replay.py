"""`haldir policy replay`: which calls of the past a candidate set of policies would have decided otherwise."""

import time
from pathlib import Path
from typing import Any

import click

from haldir.client import HaldirAPIError
from haldir.faces.cli.arguments import Instant, Seconds
from haldir.faces.cli.policy_code.checks import fail_at, where
from haldir.faces.cli.policy_code.files import load_policies
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, plain, print_table


class Since(click.ParamType[float]):
    """A point in time, or how long ago: 24h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if str(value)[-1:] in {"s", "m", "h", "d"}:
            return time.time() - Seconds().convert(value, param, ctx)
        return Instant().convert(value, param, ctx)


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--since", type=Since(), default="24h", show_default=True, help="24h, 7d, or a point in time.")
@click.option("--until", type=Instant(), help="A point in time; now, if not given.")
@speaks_rest
def replay(remote: Remote, path: Path | None, since: float, until: float | None) -> None:
    """Show which recorded calls the policies of PATH, a file or a folder, would have decided otherwise.

    Without PATH it is the policies in force. Nothing is changed; it is recorded that you looked.
    """
    stated = load_policies(path) if path else []
    body: Json = {"since": since, **({"until": until} if until is not None else {})}
    if path:
        body["policies"] = [each.definition for each in stated]
    try:
        remote.show(_all_pages(remote, body), _print_replayed)
    except HaldirAPIError as error:
        fail_at(remote, error, where(stated, error.body.get("field", "")))
        raise


def _all_pages(remote: Remote, body: Json) -> Json:
    """Go through all pages; return them as one."""
    told: Json = {"flips": [], "replayed": 0, "not_replayed": [], "refused_otherwise": {}}
    cursor: str | None = ""
    while cursor is not None:
        page = remote.send("POST", "/v1/proxy/policies/replay", {**body, "cursor": cursor})
        told["flips"] += page["flips"]
        told["not_replayed"] += page["not_replayed"]
        told["replayed"] += page["replayed"]
        for code, count in page["refused_otherwise"].items():
            told["refused_otherwise"][code] = told["refused_otherwise"].get(code, 0) + count
        cursor, told["candidate_digest"] = page["next_cursor"], page["candidate_digest"]
    return told


def _print_replayed(told: Json) -> None:
    rows = (
        (
            each["call_id"],
            moment(each["at"]),
            each["agent_id"],
            each["tool"],
            f"{each['was']['effect']} -> {each['would_be']['effect']}",
            each["would_be"]["policy_id"] or each["was"]["policy_id"],
            each["would_be"]["reason"] or each["was"]["reason"],
        )
        for each in told["flips"]
    )
    columns = ("call", "when", "agent", "tool", "verdict", "policy", "why")
    print_table(columns, rows, empty="No verdict would have been another one.")
    flips, lacking, otherwise = len(told["flips"]), told["not_replayed"], told["refused_otherwise"]
    click.echo(f"{told['replayed']} calls replayed, {flips} would have been decided otherwise.")
    if otherwise:
        named = ", ".join(f"{code} {count}" for code, count in sorted(otherwise.items()))
        click.echo(plain(f"{sum(otherwise.values())} were refused for other reasons: {named}."))
    if lacking:
        click.echo(f"{len(lacking)} could not be replayed, for a policy asks for arguments that are gone:")
        for each in lacking:
            click.echo(plain(f"  {each['call_id']} {moment(each['at'])} {each['tool']}: {each['why']}"))
