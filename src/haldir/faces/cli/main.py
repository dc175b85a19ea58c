"""The command line's root. A command is loaded when it is called, so that `haldir --help` takes under 150 ms."""

import importlib
import os
import sys
from typing import Any

import click

from haldir.faces.cli.doors import Doors

# What each command is called, where it stands, and what the overview says of it.
COMMANDS = {
    "up": ("haldir.faces.cli.up:up", "Start Haldir and listen."),
    "demo": ("haldir.faces.cli.demo.command:demo", "Show Haldir between an MCP client and an MCP server."),
    "agent": ("haldir.faces.cli.agents:agent", "Agents and their keys."),
    "session": ("haldir.faces.cli.sessions:session", "Sessions: one run of an agent each."),
    "key": ("haldir.faces.cli.keys:key", "API keys of people and services."),
    "upstream": ("haldir.faces.cli.upstreams:upstream", "MCP servers behind Haldir."),
    "policy": ("haldir.faces.cli.policies:policy", "Rules on tool calls."),
    "anomaly": ("haldir.faces.cli.anomalies:anomaly", "Rules that flag what is out of the ordinary."),
    "secret": ("haldir.faces.cli.secrets:secret", "Secrets that tools need and agents do not see."),
    "audit": ("haldir.faces.cli.audit:audit", "The log: read it, verify it."),
    "call": ("haldir.faces.cli.calls:call", "Tool calls, and those whose outcome is unknown."),
    "pay": ("haldir.faces.cli.payments:pay", "Payments: authorize, capture, void."),
    "webhooks": ("haldir.faces.cli.webhooks:webhooks", "Who is told what happens, and each delivery."),
    "usage": ("haldir.faces.cli.server:usage", "How much was done in a month."),
    "overview": ("haldir.faces.cli.overview:overview", "The tenant at a glance."),
    "metrics": ("haldir.faces.cli.overview:metrics", "What the tenant has and did, counted."),
    "login": ("haldir.faces.cli.login:login", "Remember a Haldir elsewhere, and the key to show it."),
    "logout": ("haldir.faces.cli.login:logout", "Forget it again."),
    "status": ("haldir.faces.cli.server:status", "Whether Haldir does its work."),
    "ready": ("haldir.faces.cli.server:ready", "Whether Haldir is ready for requests."),
    "approvals": ("haldir.faces.cli.approvals:approvals", "What waits for a person, and the rules that hold it."),
    "mcp": ("haldir.faces.cli.mcp:mcp", "Haldir as an MCP server over standard input and output."),
    "verify": ("haldir.faces.cli.verify:verify", "Check a proof or an export against a kept checkpoint, offline."),
    "fsck": ("haldir.faces.cli.fsck:fsck", "Check a database that stands still, without a server."),
}
ALIASES = {"policies": "policy"}  # Other names of commands, for those who expect them.
READER_GONE = 141  # As a shell says of a program that was ended by SIGPIPE.
EPILOG = (
    "Exit codes: 0 done; 1 a check failed; 2 the command line or a setting is wrong; "
    "3 Haldir cannot be reached or cannot answer; 4 Haldir said no."
)


class LazyGroup(click.Group):
    """Finds its commands in COMMANDS and imports only the one that is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if found is None:
            return None
        module, _, name = found[0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # Whoever read the output has read enough, as `head` does.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Or Python would remark on it at its end.
            sys.exit(READER_GONE)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="haldir-guardian", prog_name="haldir")
def root() -> None:
    """Haldir: the guardian between AI agents and the tools they call."""


def main(doors: Doors) -> None:
    """Run the command line and exit."""
    root(obj=doors)
