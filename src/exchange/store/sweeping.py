"""After an erasure: nothing of what was deleted stays in freed pages, in the journal or in dead rows (RULES R33)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, make_url

from exchange.store.columns import metadata
from exchange.store.engine import Store
from exchange.store.written import read

_PIECE = 1 << 20


@contextmanager
def overwriting(tx: Connection) -> Iterator[None]:
    """What is deleted inside is overwritten with zeros (SQLite's secure_delete); elsewhere `sweep` does it later."""
    if tx.dialect.name != "sqlite":
        yield
        return
    before = tx.exec_driver_sql("PRAGMA secure_delete").scalar()
    tx.exec_driver_sql("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        tx.exec_driver_sql(f"PRAGMA secure_delete = {before}")


def sweep(store: Store, needles: Collection[str], wait: Callable[[float], object]) -> list[str]:
    """Empty the journal and free the dead rows; what was done, in words of the engine. `wait`: takes seconds.

    SQLite: the journal is written back and cut to nothing; where a file still holds one of `needles`, it is written
    anew (VACUUM). PostgreSQL: VACUUM of every table.
    """
    if not store.sqlite:
        return [_vacuum_tables(store.engine)]
    done = []
    for engine in dict.fromkeys((store.engine, store.read_engine)):
        done.append(_checkpoint(engine, wait))
        if not store.memory and _file_holds(engine, needles):
            with engine.connect() as plain:
                plain.connection.driver_connection.execute("VACUUM")  # type: ignore[union-attr]
            done += ["VACUUM", _checkpoint(engine, wait)]
    return done


_TRIES = 20


def _checkpoint(engine: Engine, wait: Callable[[float], object]) -> str:
    """Readers may hold the journal for a moment."""
    for _ in range(_TRIES):
        with engine.connect() as plain:
            busy, _, _ = plain.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # type: ignore[union-attr]
        if not busy:
            return "wal_checkpoint(TRUNCATE)"
        wait(0.1)
    return "wal_checkpoint: busy"


def files(store: Store) -> list[Path]:
    """The files of a store on SQLite, those that there are; none of one in memory or elsewhere."""
    if not store.sqlite or store.memory:
        return []
    paths = [Path(make_url(str(engine.url)).database or "") for engine in (store.engine, store.read_engine)]
    named = [path.with_name(path.name + end) for path in paths for end in ("", "-wal", "-journal")]
    return [path for path in dict.fromkeys(named) if path.is_file()]


def _file_holds(engine: Engine, needles: Collection[str]) -> bool:
    path = Path(engine.url.database or "")
    return any(holds(each, needles) for each in (path, path.with_name(path.name + "-wal")) if each.is_file())


def holds(path: Path, needles: Collection[str]) -> bool:
    """Whether one of these words stands in this file as it is; a piece in memory at a time."""
    wanted = [needle.encode() for needle in needles]
    overlap = max(map(len, wanted), default=1) - 1
    with path.open("rb") as stream:
        kept = b""
        while piece := stream.read(_PIECE):
            body = kept + piece
            if any(each in body for each in wanted):
                return True
            kept = body[-overlap:] if overlap else b""
    return False


def _vacuum_tables(engine: Engine) -> str:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
        for name in sorted({*metadata.tables, read.name}):
            plain.exec_driver_sql(f'VACUUM "{name}"')
    return "VACUUM"
