"""The demo as a person reads it."""

from pathlib import Path

from rich.markup import escape
from rich.text import Text

from haldir.faces.cli.demo.step import Decision, Step, Story
from haldir.faces.cli.screen import console, plain, print_table

PIPE_COLUMNS = 110
INDENT = 6
INTRODUCTION = (
    "A bookshop's MCP server (stdio) stands behind Haldir, an agent with the official MCP client in front of it. "
    "The agent's session may find and order books and ask for refunds, and may spend 20 USD. "
    "A policy blocks refunds. Haldir keeps its data in"
)


class Transcript:
    """Prints each step as it happens."""

    def __init__(self) -> None:
        self._console = console(PIPE_COLUMNS)
        self._count = 0

    def begin(self, folder: Path) -> None:
        self._console.print("\n[bold]haldir demo[/bold]")
        self._console.print(f"{INTRODUCTION} {escape(str(folder))}.\n")

    def step(self, step: Step) -> None:
        self._count += 1
        mark = "[green]as told[/green]" if step.ok else "[bold red]NOT AS TOLD[/bold red]"
        self._console.print(f"[bold]{self._count:>2}. {escape(step.title)}[/bold]  {mark}")
        self._indented("▶", step.done, "")
        refusal = step.seen.get("refusal") or ""
        for line in step.told.splitlines():
            self._indented("◀", f"refused, {refusal}: {line}" if refusal else line, _style(step))
        if not step.ok:
            self._indented(" ", f"expected {step.expected}, saw {step.seen}", "red")

    def log(self, entries: tuple[Decision, ...]) -> None:
        rows = (
            (entry.entry_id[-4:], entry.kind, entry.tool, entry.code or "allowed", entry.reason) for entry in entries
        )
        self._console.print("\nThe log, oldest first:")
        print_table(("entry", "command", "tool", "verdict", "reason"), rows, empty="The log is empty.")

    def end(self, story: Story) -> None:
        failed = [step.name for step in story.steps if not step.ok]
        if failed:
            self._console.print(f"\n[bold red]Not as told: {', '.join(failed)}.[/bold red]")
        else:
            self._console.print("\n[green]All went as told.[/green] Next: `haldir up`; the README shows how.")

    def _indented(self, sign: str, line: str, style: str) -> None:
        for part in Text(plain(line), style=style).wrap(self._console, self._console.width - INDENT):
            self._console.print(Text(f"    {sign} ").append_text(part), overflow="ignore", crop=False)
            sign = " "


def _style(step: Step) -> str:
    refused = step.seen.get("refusal") or step.seen.get("exit") or step.seen.get("entry")
    return "yellow" if refused else "green"
