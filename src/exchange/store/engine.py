"""The engine under the store: SQLite (WAL) or PostgreSQL, transactions, the writer lock, and the sign of change.

One writer at a time: `BEGIN IMMEDIATE` on SQLite, one advisory lock on PostgreSQL taken before anything is read and
held to the commit (RULES R18). A writer that waits over two seconds raises StoreBusy.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from exchange.errors import StoreBusy, StoreError
from exchange.store.tables import read, reads

WAIT = 2.0
"""Seconds that a writer whom somebody waits for waits for the lock (RULES R18)."""
PATIENCE = 30.0
"""Seconds that one waits whom nobody waits for: a pull, a push, a command."""
_POOL = 16
_LOCK = 0x65786368
_SIGNAL = "exchange_changed"


def _pragmas(connection: Any, wait: float) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={int(wait * 1000)}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("exchange_kept", False):
        return  # a kept connection begins and ends by the driver's own words
    writes = connection.get_execution_options().get("exchange_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection, wait: float) -> None:
    if connection.get_execution_options().get("exchange_writes", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(wait * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _make_file(path: Path) -> None:
    """A new database file that the group may write: the two processes run as two users of one group (RULES R29).

    SQLite itself would make it readable only for the group; its -wal and -shm files follow the database's mode.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o660))
    except OSError as error:
        raise StoreError("store.unavailable", detail=f"{path}: {error.strerror}") from error


def _engine(url: str, wait: float) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        else:
            _make_file(Path(parsed.database))
            engine = create_engine(url, pool_size=_POOL, max_overflow=-1)
        event.listen(engine, "connect", lambda connection, _: _pragmas(connection, wait))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(url, pool_pre_ping=True, pool_size=_POOL)
    event.listen(engine, "begin", lambda connection: _begin_postgresql(connection, wait))
    return engine


class Kept:
    """Connections to SQLite that a thread keeps, because to take one from the pool costs more than most reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._own = threading.local()
        self._all: list[weakref.ref[Connection]] = []

    def connection(self) -> Connection:
        """The one of this thread."""
        found: Connection | None = getattr(self._own, "connection", None)
        if found is None or found.closed or found.invalidated:
            found = self._own.connection = self._engine.connect().execution_options(exchange_kept=True)
            self._all = [kept for kept in self._all if kept() is not None] + [weakref.ref(found)]
        return found

    def close(self) -> None:
        """Close those of every thread."""
        for kept in self._all:
            connection = kept()
            if connection is not None:
                connection.close()
        self._all = []


class _Transaction:
    """A transaction on a kept connection; one that reads, inside another of its thread, sees the same state."""

    __slots__ = ("_driver", "_kept", "_store", "_writes")

    def __init__(self, store: Store, kept: Kept, *, writes: bool) -> None:
        self._store, self._kept, self._writes = store, kept, writes
        self._driver: Any = None
        """None: the transaction is that of somebody further out."""

    def __enter__(self) -> Connection:
        try:
            connection = self._kept.connection()
            driver: Any = connection.connection.driver_connection
            if self._writes or not driver.in_transaction:
                driver.execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
                self._driver = driver
        except self._store.failures as error:
            raise self._store.translated(error) from error
        return connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if self._driver is not None:
                if self._writes and error is None:
                    self._driver.execute("COMMIT")
                else:
                    self._driver.rollback()
        except self._store.failures as failure:
            with suppress(*self._store.failures):
                self._driver.rollback()
            raise self._store.translated(failure) from failure
        if isinstance(error, self._store.failures):
            raise self._store.translated(error) from error


class Store:
    """What we hold. `reading` and `writing` give a transaction; the nouns of this room work inside one."""

    def __init__(self, url: str, wait: float = WAIT) -> None:
        self.url = url
        self.wait = wait
        self.engine = _engine(url, wait)
        # SQLite lets waiting writers in by chance; those of one process take turns here first.
        self._writers = threading.Lock()
        self.sqlite = self.engine.dialect.name == "sqlite"
        self.failures: tuple[type[Exception], ...] = (DBAPIError, self.engine.dialect.loaded_dbapi.Error)
        """What the engine raises; everyone above gets it translated."""
        self.memory = memory = self.sqlite and make_url(url).database in (None, "", ":memory:")
        self.commits = 0
        # One connection serves every thread of an in-memory store, so its transactions take turns here.
        self._turn: AbstractContextManager[Any] = threading.RLock() if memory else nullcontext()
        self.read_engine = self.engine if memory or not self.sqlite else _engine(_ledger_url(url), wait)
        self._kept = Kept(self.engine)
        self._kept_ledger = Kept(self.read_engine)

    def reading(self) -> AbstractContextManager[Connection]:
        """A snapshot; nothing may be written in it."""
        if self.sqlite and not self.memory:
            return _Transaction(self, self._kept, writes=False)
        return self._reading()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._turn, self._translated(), self.engine.connect() as plain:
            # On PostgreSQL a writer must not read a snapshot taken before it got the lock, so writers stay at READ
            # COMMITTED (alone, they see one state anyway); readers want one state for all their statements.
            connection = plain if self.sqlite else plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one writer's transaction: all of it is committed, or nothing. Raises StoreBusy after `wait` seconds."""
        with self._next(), self._turn, self._translated(), self.engine.connect() as plain:
            connection = plain.execution_options(exchange_writes=True)
            with connection.begin():
                yield connection
                if not self.sqlite:
                    connection.exec_driver_sql(f"NOTIFY {_SIGNAL}")
            self.commits += 1

    @contextmanager
    def _next(self) -> Iterator[None]:
        if not self._writers.acquire(timeout=self.wait):
            raise StoreBusy("store.busy", seconds=self.wait)
        try:
            yield
        finally:
            self._writers.release()

    def noting(self) -> AbstractContextManager[Connection]:
        """A transaction on the read ledger, which has a file of its own on SQLite (RULES R27)."""
        if self.sqlite and not self.memory:
            return _Transaction(self, self._kept_ledger, writes=True)
        return self._noting()

    @contextmanager
    def _noting(self) -> Iterator[Connection]:
        with self._turn, self._translated(), self.read_engine.connect() as plain:
            connection = plain.execution_options(exchange_writes=self.sqlite)
            with connection.begin():
                yield connection

    def noted(self) -> AbstractContextManager[Connection]:
        """A snapshot of the read ledger."""
        if self.sqlite and not self.memory:
            return _Transaction(self, self._kept_ledger, writes=False)
        return self._reading()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.failures as error:
            raise self.translated(error) from error

    def translated(self, error: BaseException) -> StoreError:
        """An error of the driver in our words."""
        found = getattr(error, "orig", error)
        detail = str(found).splitlines()[0][:200]
        if not isinstance(found, self.engine.dialect.loaded_dbapi.OperationalError):
            return StoreError("store.failed", detail=detail)
        # 55P03 is lock_not_available: PostgreSQL's words for it depend on its language.
        if "locked" in detail or getattr(found, "sqlstate", "") == "55P03":
            return StoreBusy("store.busy", seconds=self.wait)
        return StoreError("store.unavailable", detail=detail)

    def create_reads(self) -> None:
        """Make the read ledger's table where it is not there yet, and what an earlier release's has not."""
        with self._turn, self._translated(), self.read_engine.connect() as plain:
            found = inspect(plain)
            there = {c["name"] for c in found.get_columns(read.name)} if found.has_table(read.name) else set()
            missing = [column for column in read.columns if column.name not in there]
            if not missing:
                return
            plain.rollback()
            with plain.execution_options(exchange_writes=self.sqlite).begin() as transaction:
                tx = transaction.connection
                for column in missing if there else ():
                    kind = column.type.compile(tx.dialect)
                    tx.exec_driver_sql(f"ALTER TABLE {read.name} ADD COLUMN {column.name} {kind}")
                reads.create_all(tx)
                for index in read.indexes if there else ():
                    index.create(tx, checkfirst=True)

    def watch(self) -> Watch:
        """Something that tells, cheaply and often, whether another process has committed (RULES R34)."""
        return Watch(self)

    def close(self) -> None:
        """Close every connection."""
        self._kept.close()
        self._kept_ledger.close()
        self.engine.dispose()
        if self.read_engine is not self.engine:
            self.read_engine.dispose()


def _ledger_url(url: str) -> str:
    path = Path(make_url(url).database or "")
    return make_url(url).set(database=str(path.with_name(path.stem + "-reads" + path.suffix))).render_as_string(False)


class Watch:
    """Whether the store changed since the last look: PRAGMA data_version on SQLite, LISTEN on PostgreSQL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = -1
        self._connection: Any = None
        if not store.memory:
            pooled = store.engine.raw_connection()
            self._connection = pooled.driver_connection
            pooled.detach()
        if not store.sqlite:
            self._connection.autocommit = True
            self._connection.execute(f"LISTEN {_SIGNAL}")

    def changed(self) -> bool:
        """True when something was committed since the last call, and at the first one."""
        try:
            version = self._version()
        except self._store.engine.dialect.loaded_dbapi.Error as error:
            raise StoreError("store.unavailable", detail=str(error).partition("\n")[0][:200]) from error
        moved, self._last = version != self._last, version
        return moved

    def _version(self) -> int:
        if self._store.memory:
            return self._store.commits
        if self._store.sqlite:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        return max(self._last, 0) + len(list(self._connection.notifies(timeout=0)))

    def wait(self, seconds: float) -> bool:
        """Give the others `seconds`, then look."""
        threading.Event().wait(seconds)
        return self.changed()

    def close(self) -> None:
        """Close the connection that watches."""
        if self._connection is not None:
            self._connection.close()
