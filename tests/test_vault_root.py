"""The root key comes from outside, is made once, and is never shown: only where it should have been."""

import base64
import os
from pathlib import Path

import pytest

from haldir.vault.root import (
    MalformedRootKey,
    MissingRootKey,
    RootKeyError,
    create_root_key_file,
    root_key_from_file,
    root_key_from_value,
)

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


def fixed(size: int) -> bytes:
    return KEY[:size]


def test_a_new_key_file_is_its_owners_alone_and_holds_the_key(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    made = create_root_key_file(path, fixed)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == TEXT + "\n"
    assert made.key.reveal() == KEY
    assert root_key_from_file(path).key.reveal() == KEY
    assert str(path) in made.source


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    create_root_key_file(path, fixed)
    with pytest.raises(FileExistsError):
        create_root_key_file(path, os.urandom)
    assert root_key_from_file(path).key.reveal() == KEY


def test_the_environments_value_is_read_with_its_variables_name() -> None:
    key = root_key_from_value(f" {TEXT}\n", "HALDIR_ROOT_KEY")
    assert (key.key.reveal(), key.source) == (KEY, "the variable HALDIR_ROOT_KEY")


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(value: str | None) -> None:
    with pytest.raises(MissingRootKey, match="the variable HALDIR_ROOT_KEY is not set"):
        root_key_from_value(value, "HALDIR_ROOT_KEY")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingRootKey, match=f"the file {tmp_path}/root.key is missing"):
        root_key_from_file(tmp_path / "root.key")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(MissingRootKey, match=f"cannot be read from the file {tmp_path}: Is a directory"):
        root_key_from_file(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "not base64 at all!",
        TEXT[:-1],
        TEXT + TEXT,
        base64.b64encode(KEY[:31]).decode(),
        base64.b64encode(KEY + b"x").decode(),
        KEY.hex(),
        "é" * 44,
        "A" * 100_000,
    ],
)
def test_what_is_no_key_is_refused_by_source_and_not_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_text(text)
    with pytest.raises(MalformedRootKey) as refusal:
        root_key_from_file(path)
    assert str(path) in refusal.value.message
    assert not text.strip() or text[:20] not in refusal.value.message
    assert len(refusal.value.message) < 200 + len(str(path))
    if text:
        with pytest.raises(RootKeyError, match="HALDIR_ROOT_KEY"):
            root_key_from_value(text, "HALDIR_ROOT_KEY")


def test_a_root_key_hides_itself() -> None:
    shown = repr(root_key_from_value(TEXT, "HALDIR_ROOT_KEY"))
    assert "Secret(***)" in shown
    assert TEXT not in shown
