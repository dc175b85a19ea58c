"""`haldir fsck`: check a database that stands still, without trusting a server to do it."""

import sys
from pathlib import Path
from typing import Any

import click

from haldir.config_file import SettingsError
from haldir.faces.cli.doors import Doors
from haldir.faces.cli.endings import CHECK_FAILED, explained
from haldir.faces.cli.screen import plain, print_json
from haldir.kernel.ids import entry_id
from haldir.operations.fsck import Report
from haldir.settings import Asked, load


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder to check.")
@click.option("--database-url", help="PostgreSQL database to check (also HALDIR_DATABASE_URL).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def fsck(doors: Doors, *, data: Path | None, database_url: str | None, as_json: bool) -> None:
    """Check the schema, every entry, hash and signature, the kept checkpoint, and the rows against the log.

    Nothing is changed. Stop the server first: what moves while it is read looks wrong.
    """
    with explained(as_json=as_json):
        settings = load(Asked(data=data, database_url=database_url))
        if settings.database_url is None and not settings.database_file.exists():
            raise SettingsError(str(settings.database_file), "is not there", "Name the data folder with --data DIR.")
        report = doors.check(settings)
    if as_json:
        print_json(_document(report))
    else:
        _print_report(report)
    sys.exit(0 if report.ok else CHECK_FAILED)


def _document(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "entries_checked": report.entries_checked,
        "findings": [
            {
                "tenant": log.tenant,
                "entry_id": None if finding.index is None else entry_id(finding.index),
                "problem": finding.problem,
                "message": finding.message,
            }
            for log in report.logs
            for finding in log.findings
        ],
    }


def _print_report(report: Report) -> None:
    verdict = "ok" if report.ok else "FAILED"
    click.echo(f"fsck: {verdict}, {report.entries_checked} entries in {len(report.logs)} logs")
    for log in report.logs:
        for finding in log.findings:
            click.echo(f"  {log.tenant}  {finding.problem}: {plain(finding.message)}")
