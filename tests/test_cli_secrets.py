"""`haldir secret` against a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import CliServer, haldir

VALUE = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    with CliServer(tmp_path_factory.mktemp("cli") / "data") as server:
        yield server


def shown(server: CliServer, name: str) -> str:
    session: str = server.answer("session", "create", "reader", "--scopes", "read,pay")["session_id"]
    value: str = server.answer("secret", "get", name, "--session", session)["value"]
    return value


def test_a_secret_from_a_pipe_is_injected_unless_it_is_to_be_revealed(server: CliServer) -> None:
    stored = server.run("secret", "set", "STRIPE", "--bind", "shop", typed=f"{VALUE}\n".encode())
    assert (stored.exit_code, stored.stdout, stored.stderr) == (0, "Secret STRIPE is stored, version 1.\n", "")
    assert shown(server, "STRIPE") == "${secret:STRIPE}"
    again = server.answer("secret", "set", "STRIPE", "--reveal", "--scope", "pay", typed=VALUE.encode())
    assert (again["version"], again["exposure"], again["scope_required"]) == (2, "reveal", "pay")
    assert shown(server, "STRIPE") == VALUE


@pytest.mark.parametrize(
    ("content", "value"),
    [("v", "v"), ("v\n", "v"), ("v\r\n", "v"), ("v\n\n", "v\n"), ("v\r", "v\r"), (" v ", " v "), ("a\nb\n", "a\nb")],
)
def test_one_line_break_at_the_end_is_no_part_of_a_value(
    server: CliServer, tmp_path: Path, content: str, value: str
) -> None:
    file = tmp_path / "value"
    file.write_bytes(content.encode())
    for source in (("--value-file", str(file)), ()):
        server.answer("secret", "set", "line", "--reveal", *source, typed=b"" if source else content.encode())
        assert shown(server, "line") == value


def test_a_value_is_printed_alone(server: CliServer) -> None:
    server.answer("secret", "set", "alone", "--reveal", typed=VALUE.encode())
    session = server.answer("session", "create", "reader", "--scopes", "read")["session_id"]
    assert server.run("secret", "get", "alone", "--session", session).stdout == f"{VALUE}\n"
    unnamed = server.run("secret", "get", "alone")
    assert (unnamed.exit_code, "name it in the header X-Session-ID" in unnamed.stderr) == (4, True)


def test_secrets_are_listed_and_erased(server: CliServer) -> None:
    server.answer("secret", "set", "kept", "--bind", "shop,files", typed=VALUE.encode())
    listed = server.run("secret", "list")
    assert listed.exit_code == 0
    row = next(line for line in listed.stdout.splitlines() if "kept" in line)
    assert row.split()[:6] == ["kept", "1", "read", "inject", "files,", "shop"]
    assert VALUE not in listed.stdout
    assert server.run("secret", "delete", "kept").stdout == "Secret kept is erased.\n"
    again = server.run("secret", "delete", "kept")
    assert again.exit_code == 4
    assert "secret_not_found: There is no secret 'kept'. List the secrets" in again.stderr


def test_a_secret_that_nothing_can_use_is_remarked_on(server: CliServer) -> None:
    stored = server.run("secret", "set", "idle", typed=VALUE.encode())
    assert stored.exit_code == 0
    assert stored.stderr == "It is bound to no upstream: name one with --bind, or nothing can use it.\n"


def test_what_is_no_value_is_told_without_repeating_it(server: CliServer, tmp_path: Path) -> None:
    missing = server.run("secret", "set", "x", "--value-file", str(tmp_path / "none"))
    assert (missing.exit_code, "none cannot be read: No such file" in missing.stderr) == (2, True)
    binary = server.run("secret", "set", "x", typed=VALUE.encode() + b"\xff")
    assert (binary.exit_code, "A value is text in UTF-8." in binary.stderr) == (2, True)
    for typed in (b"", b"\n", VALUE.encode() * 2049):
        refused = server.run("secret", "set", "x", typed=typed)
        assert (refused.exit_code, "a value is 1 to 65536 bytes" in refused.stderr) == (4, True)
        assert VALUE not in refused.stderr
    assert VALUE not in binary.stderr


def test_a_value_is_never_an_argument(server: CliServer) -> None:
    refused = server.run("secret", "set", "NAME", VALUE)
    assert (refused.exit_code, "comes from standard input or --value-file" in refused.stderr) == (2, True)
    assert VALUE not in refused.stderr
    assert "--value" not in haldir("secret", "set", "--help").stdout.replace("--value-file", "")
