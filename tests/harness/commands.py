"""Commands as the shell would run them, and a real `haldir up` that they speak to."""

import json
import os
from typing import Any

from click.testing import CliRunner, Result

from haldir.__main__ import DOORS
from haldir.faces.cli.main import root
from harness.processes import Up


class CliServer(Up):
    """A running server, and commands that find it by its folder."""

    def run(self, *arguments: str, typed: bytes = b"") -> Result:
        return haldir(*arguments, "--data", str(self.data), typed=typed)

    def answer(self, *arguments: str, typed: bytes = b"") -> Any:
        """Run a command that must succeed; return its JSON."""
        result = self.run(*arguments, "--json", typed=typed)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


def haldir(*arguments: str, env: dict[str, str] | None = None, typed: bytes = b"") -> Result:
    """Run a command with no settings but those given; `typed` is its standard input."""
    clean = {name: None for name in os.environ if name.startswith("HALDIR_")}
    return CliRunner().invoke(root, arguments, typed, env={**clean, **(env or {})}, obj=DOORS, catch_exceptions=False)
