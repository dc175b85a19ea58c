"""`haldir verify`: check a proof or an export against what was kept of the log, without a server or a database."""

import sys
from pathlib import Path
from typing import Any

import click

from haldir.config_file import SettingsError
from haldir.faces.cli.endings import CHECK_FAILED, explained
from haldir.faces.cli.screen import plain, print_json
from haldir.journal.checkpoint import Checkpoint
from haldir.journal.tlog_proof import HEADER
from haldir.journal.witness import read_notes
from haldir.kernel.ids import entry_id
from haldir.watch.offline import NotVerified, verified_export, verified_proof


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The checkpoint that was kept."
)
@click.option("--key", "verifier_key", help="For a proof: the log's verifier key, instead of a checkpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(file: Path, checkpoint: Path | None, verifier_key: str | None, *, as_json: bool) -> None:
    """Check FILE, a tlog-proof or a whole export as JSONL (audit export --all), offline."""
    with explained(as_json=as_json):
        try:
            told = _verified(file, checkpoint, verifier_key)
        except NotVerified as error:
            told = {"verified": False, "error": str(error)}
    if as_json:
        print_json(told)
    else:
        click.echo(f"verify: ok, {told['message']}" if told["verified"] else f"verify: FAILED, {plain(told['error'])}")
    if not told["verified"]:
        sys.exit(CHECK_FAILED)


def _verified(file: Path, checkpoint: Path | None, verifier_key: str | None) -> dict[str, Any]:
    kept = [read for read, _ in read_notes(checkpoint)] if checkpoint else []
    with file.open("rb") as opened:
        if opened.read(len(HEADER)) == HEADER.encode():
            return _verified_proof(file, kept, verifier_key)
        if not kept:
            raise SettingsError(str(file), "can be checked only against a checkpoint", "Give --checkpoint FILE.")
        opened.seek(0)
        count = verified_export(opened, kept)
    return {"verified": True, "entries": count, "message": f"{count} entries begin with those of the checkpoint"}


def _verified_proof(file: Path, kept: list[Checkpoint], verifier_key: str | None) -> dict[str, Any]:
    if not kept and not verifier_key:
        remedy = "Give --checkpoint FILE or --key KEY."
        raise SettingsError(str(file), "can be checked only against what was kept", remedy)
    proof = verified_proof(file.read_text(encoding="utf-8", errors="replace"), kept, verifier_key)
    named = entry_id(proof.index)
    return {"verified": True, "entry_id": named, "record": proof.extra.decode(), "message": f"{named} is in the log"}
