"""`haldir policy apply|versions|rollback`: the files of a folder are the policies, and each change is a version."""

from pathlib import Path
from typing import Any

import click

from haldir.client import HaldirAPIError
from haldir.faces.cli.policy_code.changes import print_changes
from haldir.faces.cli.policy_code.checks import fail_at, warn, where
from haldir.faces.cli.policy_code.files import load_policies
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import moment, print_json, print_table


def says_yes(command: Any) -> Any:
    """Give a command the options of one that shows what it would change first, and asks."""
    command = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")(command)
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@says_yes
@speaks_rest
def apply(remote: Remote, path: Path, *, yes: bool, dry_run: bool) -> None:
    """Make the policies what a file, or the files of a folder, say: *.yaml, *.yml and *.json.

    What is in force and not in the files is removed. All of it happens at once, as one new version, or not at all.
    """
    stated = load_policies(path)
    body = {"policies": [each.definition for each in stated]}

    def ask(**members: Any) -> Json:
        try:
            told = remote.send("PUT", "/v1/proxy/policies", {**body, **members})
        except HaldirAPIError as error:
            fail_at(remote, error, where(stated, error.body.get("field", "")))
            raise
        findings = [{**each, "where": where(stated, each["pointer"])} for each in told["findings"]]
        return {**told, "findings": findings}

    _change(remote, ask, f"it is not in {path}", yes=yes, dry_run=dry_run)


@click.command()
@click.argument("version", type=click.IntRange(min=0))
@says_yes
@speaks_rest
def rollback(remote: Remote, version: int, *, yes: bool, dry_run: bool) -> None:
    """Put the policies of an older VERSION in force again, as a new version; 0 is none at all."""

    def ask(**members: Any) -> Json:
        return remote.post("/v1/proxy/policies/rollback", {"version": version, **members})

    _change(remote, ask, f"it is not in version {version}", yes=yes, dry_run=dry_run)


@click.command()
@click.option("--limit", default=20, show_default=True, help="How many.")
@speaks_rest
def versions(remote: Remote, limit: int) -> None:
    """List the versions of the policies, newest first."""
    remote.show(remote.get("/v1/proxy/policies/versions", limit=limit), _print_versions)


def _change(remote: Remote, ask: Any, gone_because: str, *, yes: bool, dry_run: bool) -> None:
    """Show what would change, have a person say yes, and change it from exactly that version."""
    if remote.as_json and not yes and not dry_run:
        raise click.UsageError("With --json nobody is asked: give --yes or --dry-run.")
    told = ask(dry_run=True)
    if not remote.as_json:
        warn(told["findings"])
        print_changes(told, gone_because=gone_because)
    if told["changes"] and not dry_run:
        if not yes:
            click.confirm("Put these policies in force?", abort=True)
        told = ask(expected_version=told["version"])
    if remote.as_json:
        print_json(told)
    elif dry_run:
        click.echo(f"Nothing was changed: version {told['version']} is in force.")
    else:
        click.echo(f"Version {told['version']} is in force.")


def _print_versions(answer: Json) -> None:
    rows = (
        (
            each["version"],
            moment(each["changed_at"]),
            each["changed_by"],
            each["put"],
            each["removed"],
            each["restores"],
        )
        for each in answer["versions"]
    )
    columns = ("version", "since", "changed by", "put", "removed", "restores")
    print_table(columns, rows, empty="The policies were never changed.")
