"""`haldir login` remembers a Haldir and its key, and shows the key to nobody else."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from haldir.__main__ import DOORS
from haldir.faces.cli.main import root
from harness.commands import CliServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    with CliServer(tmp_path_factory.mktemp("server")) as server:
        yield server


class Home:
    """A user's home, with nothing in it but what commands leave."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config" / "haldir" / "login.json"
        self._env = {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
            "HALDIR_API_KEY": None,
            "HALDIR_BASE_URL": None,
        }

    def run(self, *arguments: str, given: str | None = None, **env: str) -> Result:
        return CliRunner().invoke(
            root, arguments, obj=DOORS, input=given, env={**self._env, **env}, catch_exceptions=False
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_after_a_login_commands_speak_to_that_haldir_until_the_logout(server: CliServer, home: Home) -> None:
    assert home.run("key", "list").exit_code == 2
    told = home.run("login", server.url, given=f"{server.key}\n")
    assert (told.exit_code, server.key in told.output) == (0, False)
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert json.loads(home.run("key", "list", "--json").stdout)["keys"][0]["name"] == "admin"
    assert home.run("logout").stdout == f"Forgot {server.url}.\n"
    assert not home.file.exists()
    assert home.run("key", "list").exit_code == 2
    assert home.run("logout").stdout == "There was no login.\n"


def test_a_key_that_may_do_little_logs_in_and_one_that_is_none_does_not(server: CliServer, home: Home) -> None:
    weak = server.post("/v1/keys", {"scopes": ["sessions:read"]}).body["key"]
    assert home.run("login", server.url, given=f"{weak}\n").exit_code == 0
    assert home.run("session", "list").exit_code == 0
    assert home.run("login", server.url, given="hld_wrong\n").exit_code == 4
    assert json.loads(home.file.read_text())["key"] == weak
    assert home.run("login", "nowhere", given="k\n").exit_code == 2
    assert home.run("login", "http://127.0.0.1:9", given="k\n").exit_code == 3


def test_the_key_of_a_login_goes_to_its_own_address_only(server: CliServer, home: Home) -> None:
    assert home.run("login", server.url, given=f"{server.key}\n").exit_code == 0
    assert "The key is not known for that address" in home.run("key", "list", "--url", server.url).output
    assert home.run("key", "list", HALDIR_BASE_URL=server.url).exit_code == 2
    assert home.run("key", "list", HALDIR_BASE_URL=server.url, HALDIR_API_KEY=server.key).exit_code == 0
    assert home.run("key", "list", HALDIR_API_KEY="hld_wrong").exit_code == 4
    assert home.run("key", "list", "--data", str(server.data)).exit_code == 0
