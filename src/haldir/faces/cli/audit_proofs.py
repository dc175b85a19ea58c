"""`haldir audit`, for those who do not trust the server: its signed head, and proofs out of its log."""

from pathlib import Path

import click

from haldir.faces.cli.arguments import quoted
from haldir.faces.cli.remote import Json, Remote, speaks_rest
from haldir.faces.cli.screen import print_fields


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


def _print_checkpoint(head: Json) -> None:
    click.echo(head["checkpoint"], nl=False)
