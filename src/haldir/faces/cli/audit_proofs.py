"""`haldir audit`, for those who keep what they were told: the signed head, proofs, exports."""

from pathlib import Path
from typing import Any

import click

from haldir.faces.cli.arguments import quoted
from haldir.faces.cli.audit_filters import asked, narrowed, of_period
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import plain, print_fields


@click.command("tree-head")
@click.option("--checkpoint", is_flag=True, help="Print the signed checkpoint alone, to be kept somewhere else.")
@speaks_rest
def tree_head(remote: Remote, *, checkpoint: bool) -> None:
    """Show the signed head of the log."""
    answer = remote.get("/v1/audit/tree-head")
    remote.show(answer, _print_checkpoint if checkpoint else lambda head: print_fields(head.items()))


@click.command()
@click.argument("entry_id", metavar="ENTRY")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the proof to this file.")
@speaks_rest
def prove(remote: Remote, entry_id: str, output: Path | None) -> None:
    """Print the proof that an entry is in the log; without --json as a file that needs nothing else to be checked."""
    path = f"/v1/audit/inclusion-proof/{quoted(entry_id)}"
    if output is None and remote.as_json:
        remote.show(remote.get(path), lambda _: None)
        return
    remote.save(remote.download(path, format="tlog-proof"), output)


@click.command()
@click.argument("first", type=int)
@click.argument("second", type=int, required=False)
@speaks_rest
def consistency(remote: Remote, first: int, second: int | None) -> None:
    """Print the proof that the log of SECOND entries, by default all, grew out of its FIRST ones."""
    answer = remote.get("/v1/audit/consistency-proof", first=first, second=second)
    remote.show(answer, lambda proof: print_fields(proof.items()))


@click.command()
@narrowed
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--manifest", is_flag=True, help="Only tell what the export would hold.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@speaks_rest
def export(remote: Remote, *, file_format: str, manifest: bool, output: Path | None, **filters: Any) -> None:
    """Export entries, oldest first; the last line of JSONL is the manifest."""
    query = asked(filters)
    if manifest:
        remote.show(remote.get("/v1/audit/export/manifest", **query), lambda told: print_fields(told.items()))
        return
    remote.save(remote.download("/v1/audit/export", format=file_format, **query), output)


@click.command()
@of_period
@click.option("--markdown", is_flag=True, help="Write Markdown, to be read, instead of the JSON that is signed.")
@click.option("--manifest", is_flag=True, help="Only say what the evidence covers, and its digest and signature.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@speaks_rest
def evidence(
    remote: Remote, *, markdown: bool, manifest: bool, output: Path | None, since: str | None, until: str | None
) -> None:
    """Gather the signed evidence of a period, by default of everything until now."""
    if manifest:
        told = remote.get("/v1/compliance/evidence/manifest", since=since, until=until)
        remote.show(told, lambda answer: print_fields(answer.items()))
        return
    file_format = "markdown" if markdown else "json"
    chunks = remote.download("/v1/compliance/evidence", format=file_format, since=since, until=until)
    remote.save(chunks, output)


@click.command()
@speaks_rest
def score(remote: Remote) -> None:
    """Show which criteria of a good setup are met."""
    remote.show(remote.get("/v1/compliance/score"), _print_score)


def _print_score(answer: Json) -> None:
    click.echo(f"score: {answer['score']} of 100")
    for each in answer["criteria"]:
        click.echo(f"  {'met    ' if each['met'] else 'NOT MET'}  {plain(each['name'])}: {plain(each['means'])}")


def _print_checkpoint(head: Json) -> None:
    click.echo(head["checkpoint"], nl=False)
