"""What a child process inherits: enough to find and run programs, and nobody's secrets."""

from collections.abc import Mapping

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SHELL", "SYSTEMROOT")


def minimal_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a child may inherit: never Haldir's own variables, nor anybody's credentials."""
    return {name: environment[name] for name in INHERITED if name in environment}
