"""The style and the scripts of the pages, out of the package: a browser fetches nothing from anywhere else."""

import hashlib
from importlib.resources import files
from typing import final

import msgspec

KINDS = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8"}
STYLE, SCRIPT = "haldir.css", "haldir.js"
HASH_CHARS = 12  # A browser keeps a file for ever, so a file that changed needs another name.


class Asset(msgspec.Struct, frozen=True):
    body: bytes
    kind: bytes


@final
class Assets:
    """The files, by the names under which pages point to them."""

    def __init__(self) -> None:
        self._files: dict[str, Asset] = {}
        self.style, self.script = self._add(STYLE), self._add(SCRIPT)

    def get(self, name: str) -> Asset | None:
        return self._files.get(name)

    def _add(self, file: str) -> str:
        body = files(__package__).joinpath("assets", file).read_bytes()
        stem, _, ending = file.partition(".")
        name = f"{stem}.{hashlib.sha256(body).hexdigest()[:HASH_CHARS]}.{ending}"
        self._files[name] = Asset(body, KINDS[ending])
        return f"/assets/{name}"
