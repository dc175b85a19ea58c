"""Files that hold policies: one file, or all of a folder, each a policy or a list of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from haldir.config_file import SettingsError
from haldir.faces.cli.policy_code.document import Document, Place, Unreadable
from haldir.faces.cli.policy_code.json_document import read_json
from haldir.kernel.errors import HaldirError

FILE_BYTES_MAX = 1 << 20  # What the server takes in one request.
FILES_MAX = 1000  # As many as there may be policies.
SUFFIXES = (".yaml", ".yml", ".json")
CASES = ".cases"  # NAME.cases.yaml holds the cases that test policies, not policies.


class BadPolicyFile(SettingsError):
    """A file cannot be read as policies; the message begins with file, line and column."""

    code = "policy_file_invalid"
    hint = "Correct the file at that place; docs/policies.md says what may stand in it."

    def __init__(self, where: str, message: str) -> None:
        HaldirError.__init__(self, f"{where}: {message}")


class Stated(NamedTuple):
    """A definition as a file states it: where, and under which pointer of the file."""

    path: Path
    document: Document
    pointer: str
    definition: Any

    def where(self, pointer: str = "") -> str:
        """Return file, line and column of what a pointer into the definition leads to."""
        return located(self.path, self.document.place(self.pointer + pointer))


def load_policies(path: Path) -> list[Stated]:
    """Return what a file, or the files of a folder and the folders in it, state. Raises BadPolicyFile.

    Hidden files and folders are left out, and so are files of cases.
    """
    files = _files_of(path) if path.is_dir() else [path]
    if not files:
        raise BadPolicyFile(str(path), f"there are no files here that end in {', '.join(SUFFIXES)}")
    if len(files) > FILES_MAX:
        raise BadPolicyFile(str(path), f"there are more than {FILES_MAX} files here")
    return [stated for file in files for stated in load_stated(file)]


def case_files(folder: Path) -> list[Path]:
    """Return the files of cases in a folder and the folders in it."""
    return [path for path in _documents_of(folder) if path.stem.endswith(CASES)]


def load_stated(path: Path) -> Iterator[Stated]:
    """Yield what one file states: a mapping, or a list of them. Raises BadPolicyFile."""
    document = load_document(path)
    listed = isinstance(document.tree, list)
    for at, definition in enumerate(document.tree if listed else [document.tree]):
        stated = Stated(path, document, f"/{at}" if listed else "", definition)
        if not isinstance(definition, dict):
            raise BadPolicyFile(stated.where(), "this must be a mapping")
        yield stated


def load_document(path: Path) -> Document:
    """Read one file, as JSON if its name says so, else as YAML. Raises BadPolicyFile."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadPolicyFile(str(path), f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise BadPolicyFile(str(path), f"is larger than {FILE_BYTES_MAX} bytes")
    try:
        if path.suffix == ".json":
            return read_json(content)
        from haldir.faces.cli.policy_code.yaml_document import read_yaml  # noqa: PLC0415 - PyYAML is slow to load.

        return read_yaml(content)
    except Unreadable as fault:
        raise BadPolicyFile(located(path, fault.place), fault.message) from None


def located(path: Path, place: Place) -> str:
    return f"{path}:{place.line}:{place.column}"


def _files_of(folder: Path) -> list[Path]:
    return [path for path in _documents_of(folder) if not path.stem.endswith(CASES)]


def _documents_of(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
