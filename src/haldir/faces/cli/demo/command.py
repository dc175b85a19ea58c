"""`haldir demo`: play the story in a temporary folder; exit 0 only if all of it went as told."""

import asyncio
import importlib
import importlib.util
import tempfile
from pathlib import Path

import click
import msgspec

from haldir.config_file import SettingsError
from haldir.faces.cli.demo.server import DemoFailed
from haldir.faces.cli.demo.step import Decision, Step, Story
from haldir.faces.cli.demo.transcript import Transcript
from haldir.faces.cli.endings import CHECK_FAILED, explained
from haldir.faces.cli.screen import print_json

EXTRA = "Install haldir-guardian with its extra: haldir-guardian[demo]."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: each step, expected and seen.")
def demo(*, as_json: bool) -> None:
    """Show a real MCP client, Haldir and a real MCP server, and what becomes of each call."""
    with explained(as_json=as_json), tempfile.TemporaryDirectory(prefix="haldir-demo-") as folder:
        if importlib.util.find_spec("mcp") is None:
            raise SettingsError("The demo", "needs the official package `mcp`, which is not installed", EXTRA)
        try:
            story = _play(Path(folder), as_json=as_json)
        except DemoFailed as error:
            raise click.ClickException(str(error)) from None
    raise SystemExit(0 if story.ok else CHECK_FAILED)


def _play(folder: Path, *, as_json: bool) -> Story:
    tell = importlib.import_module("haldir.faces.cli.demo.story").tell  # It needs mcp, which may be missing.
    if as_json:
        story: Story = asyncio.run(tell(folder, _ignore_step, _ignore_log))
        print_json({"ok": story.ok, **msgspec.to_builtins(story)})
        return story
    transcript = Transcript()
    transcript.begin(folder)
    story = asyncio.run(tell(folder, transcript.step, transcript.log))
    transcript.end(story)
    return story


def _ignore_step(_step: Step) -> None:
    pass


def _ignore_log(_log: tuple[Decision, ...]) -> None:
    pass
