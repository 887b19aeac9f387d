"""What is measured: a running server with one collection, how it is reached and filled, and where it keeps things."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.round import account, free_port, run_exchange
from lab.target_files import LOAD, numbered, write

from benchmarks.client import Address, Asker, Line
from benchmarks.content import Content
from benchmarks.postgresql import cluster

LIMIT = 1_000
"""Objects of a page that every server is asked for."""
NEWS = 5
"""Objects that a poll with news brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers."""

    name: str
    address: Address
    path: str
    """Of the collection, with its slash: `objects/` and `manifest/` stand below it."""
    auth: tuple[str, str] | None = field(default=None, repr=False)
    pids: tuple[int, ...] = ()
    """The roots of its process trees, its database's among them."""
    size: Callable[[], int] | None = None
    """Bytes of its store on disk."""
    load: Callable[[Content, int], str] | None = None
    """Fills it in a quicker way than by POST; gives the date of the last object."""
    marks: tuple[str, str] | None = None
    """For pages that were made beforehand: the `added_after` of a poll with news and of one without. Takes no POST."""

    @property
    def asker(self) -> Asker:
        """Writes requests for it."""
        return Asker(address=self.address, auth=self.auth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A server that can be started in an empty folder, for so many objects of this content."""

    start: Callable[[Path, Content, int], AbstractContextManager[Server]]
    least: int = 0
    """It takes part in no smaller size unless somebody says so."""
    most: int = 10_000_000
    """More objects than this would take it hours."""
    usual: bool = True
    """Whether it takes part when nobody says which should."""


@contextmanager
def exchange(folder: Path, _content: Content, _count: int) -> Iterator[Server]:
    """This server on SQLite: accounts, rights, decisions, gate, ledger, synchronous=FULL."""
    store = folder / "store"
    store.mkdir()
    with _exchange(folder, f"sqlite:///{store}/exchange.db", "exchange", lambda: weigh(store), ()) as server:
        yield server


@contextmanager
def exchange_on_postgresql(folder: Path, _content: Content, _count: int) -> Iterator[Server]:
    """The same on PostgreSQL."""
    with (
        cluster(folder / "pg") as database,
        _exchange(folder, database.url("psycopg"), "exchange-pg", database.size, (database.pid,)) as server,
    ):
        yield server


@contextmanager
def _exchange(
    folder: Path, store: str, name: str, size: Callable[[], int], more_pids: tuple[int, ...]
) -> Iterator[Server]:
    port = free_port()
    config = write(folder / "etc", LOAD, ["load"], port=port, store=store)
    auth = account(config, "load")
    with run_exchange(config, port, folder / "exchange.log") as child:
        server = Server(
            name=name,
            address=("127.0.0.1", port),
            path=f"/api/collections/{numbered(1)}/",
            auth=auth,
            pids=(child.pid, *more_pids),
            size=size,
        )
        child.wait_until(lambda: answers(server))  # its terms are adopted by then
        yield server


def answers(server: Server) -> bool:
    """Whether a page of its collection can be had."""
    try:
        with Line(server.address, timeout=30) as line:
            return line.ask(server.asker.get(f"{server.path}objects/?limit=1")).status == 200
    except OSError:
        return False


def weigh(folder: Path) -> int:
    """Bytes of the SQLite files in `folder`, what their logs hold included."""
    for file in folder.glob("*.db"):
        with closing(sqlite3.connect(file, timeout=30)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
