"""`haldir demo`: play the story in a temporary folder; exit 0 only if all of it went as told."""

import asyncio
import importlib
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import msgspec

from haldir.config_file import SettingsError
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
        story = _play(Path(folder), as_json=as_json)
    raise SystemExit(0 if story.ok else CHECK_FAILED)


def _play(folder: Path, *, as_json: bool) -> Story:
    tell = _story_teller()
    if as_json:
        story = asyncio.run(tell(folder, _ignore_step, _ignore_log))
        print_json({"ok": story.ok, **msgspec.to_builtins(story)})
        return story
    transcript = Transcript()
    transcript.begin(folder)
    story = asyncio.run(tell(folder, transcript.step, transcript.log))
    transcript.end(story)
    return story


def _story_teller() -> Callable[..., Coroutine[Any, Any, Story]]:
    try:
        teller: Callable[..., Coroutine[Any, Any, Story]] = importlib.import_module("haldir.faces.cli.demo.story").tell
    except ImportError as error:
        raise SettingsError("The demo", f"needs the official package `mcp`: {error}", EXTRA) from None
    return teller


def _ignore_step(_step: Step) -> None:
    pass


def _ignore_log(_log: tuple[Decision, ...]) -> None:
    pass
