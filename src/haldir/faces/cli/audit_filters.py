"""The options by which commands name the entries they are about, and the question they become."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def of_period(command: F) -> F:
    """Add the options of a period."""
    for option in (
        click.option("--until", help="Only what is older: a date, a date and time (UTC), or Unix seconds."),
        click.option("--since", help="Only what is not older: as --until."),
    ):
        command = option(command)
    return command


def narrowed(command: F) -> F:
    """Add the options that narrow the log."""
    for option in (
        click.option(
            "--all", "every_kind", is_flag=True, help="Every kind of command, not only actions and tool calls."
        ),
        click.option("--kind", help="Only commands of this kind, such as session.create."),
        click.option("--refused", is_flag=True, help="Only what was refused, of every kind unless --kind is given."),
        click.option("--flagged", is_flag=True, help="Only what an anomaly rule flagged, of every kind as well."),
        click.option("--tool", help="Only entries about this tool."),
        click.option("--agent", "agent_id", help="Only entries about this agent."),
        click.option("--session", "session_id", help="Only entries about this session."),
    ):
        command = option(command)
    return of_period(command)


def asked(options: dict[str, Any]) -> dict[str, str | None]:
    """Return the query that these options stand for."""
    every_kind, refused, flagged = (options.pop(name) for name in ("every_kind", "refused", "flagged"))
    kind = options.pop("kind") or ("all" if every_kind else None)
    verdicts = {"allowed": "false" if refused else None, "flagged": "true" if flagged else None}
    return {**options, **verdicts, "kind": kind}
