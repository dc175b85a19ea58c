"""The demo as a person reads it."""

from pathlib import Path

import click

from haldir.faces.cli.demo.step import Decision, Step, Story
from haldir.faces.cli.layout import folded
from haldir.faces.cli.screen import plain, print_table, room

PIPE_COLUMNS = 110
INTRODUCTION = (
    "A bookshop's MCP server (stdio) stands behind Haldir, an agent with the official MCP client in front of it. "
    "The agent's session may find and order books and ask for refunds, and may spend 20 USD. "
    "A policy blocks refunds. Haldir keeps its data in"
)


class Transcript:
    """Prints each step as it happens."""

    def __init__(self) -> None:
        self._room = room(PIPE_COLUMNS)
        self._count = 0

    def begin(self, folder: Path) -> None:
        click.secho("\nhaldir demo", bold=True)
        self._folded("", plain(f"{INTRODUCTION} {folder}."))
        click.echo()

    def step(self, step: Step) -> None:
        self._count += 1
        mark = click.style("as told", fg="green") if step.ok else click.style("NOT AS TOLD", fg="red", bold=True)
        click.echo(f"{click.style(f'{self._count:>2}. {plain(step.title)}', bold=True)}  {mark}")
        self._indented("▶", step.done)
        refusal = step.seen.get("refusal") or ""
        for line in step.told.splitlines():
            self._indented("◀", f"refused, {refusal}: {line}" if refusal else line, _colour(step))
        if not step.ok:
            self._indented(" ", f"expected {step.expected}, saw {step.seen}", "red")

    def log(self, entries: tuple[Decision, ...]) -> None:
        rows = (
            (entry.entry_id[-4:], entry.kind, entry.tool, entry.code or "allowed", entry.reason) for entry in entries
        )
        click.echo("\nThe log, oldest first:")
        print_table(("entry", "command", "tool", "verdict", "reason"), rows, empty="The log is empty.")

    def end(self, story: Story) -> None:
        failed = [step.name for step in story.steps if not step.ok]
        if failed:
            click.secho(f"\nNot as told: {', '.join(failed)}.", fg="red", bold=True)
        else:
            click.echo(f"\n{click.style('All went as told.', fg='green')} Next: `haldir up`; the README shows how.")

    def _indented(self, sign: str, line: str, colour: str | None = None) -> None:
        self._folded(f"    {sign} ", plain(line), colour)

    def _folded(self, before: str, line: str, colour: str | None = None) -> None:
        for part in folded(line, self._room - len(before)):
            click.echo(before + click.style(part, fg=colour))
            before = " " * len(before)


def _colour(step: Step) -> str:
    refused = step.seen.get("refusal") or step.seen.get("exit") or step.seen.get("entry")
    return "yellow" if refused else "green"
