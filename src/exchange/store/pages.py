"""What a reader's request needs of the store, on the hot path: one prepared index scan, one key, one sign of change.

The SQL is SQLAlchemy's, one text for both engines, but it is compiled once and handed to the driver: building and
binding it anew costs twenty times what SQLite needs to answer (R35).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, func, insert, literal_column, or_, select, text

from exchange.errors import StoreError
from exchange.store.engine import Store
from exchange.store.tables import account, listing, read, secret, statement

STEP = 1001
"""Rows fetched at a time, so that a bound on bytes holds whatever the driver buffers: a usual page and one more."""


class Entry(NamedTuple):
    """One row of a page; `body` is empty when only the manifest was asked for."""

    added: int
    stix_id: str
    version: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A subscriber's question to one listing: `after` and `now` in µs; empty filters mean all."""

    after: int = -1
    now: int
    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A page in order of `added`; `more`: something stands behind it."""

    entries: Sequence[Entry]
    more: bool


def page(tx: Connection, key: str, query: Query, *, bodies: bool = True, most: int = 2**62) -> Leaf:
    """At most `query.limit` entries and about `most` bytes, but always one: one index scan that joins stored bytes.

    A question by id also gets what is folded, so that references resolve (RULES R23).
    """
    entries: list[Entry] = []
    size, after = 0, query.after
    sql, names, constants = _scan(tx.dialect, bodies, len(query.ids), len(query.types))
    values: dict[str, Any] = {**constants, "key": key, "now": query.now}
    values |= {f"id_{i}": value for i, value in enumerate(query.ids)}
    values |= {f"type_{i}": value for i, value in enumerate(query.types)}
    while True:
        wanted = min(STEP, query.limit + 1 - len(entries))
        rows = _run(tx, sql, names, values | {"after": after, "most": wanted})
        if size + sum(len(row[-1]) for row in rows) > most:
            return _cut(entries, rows, most - size, query.limit)
        entries += map(Entry._make, rows)
        if len(entries) > query.limit:
            return Leaf(entries=entries[: query.limit], more=True)
        if len(rows) < wanted:
            return Leaf(entries=entries, more=False)
        size += sum(len(row[-1]) for row in rows)
        after = entries[-1].added


def _cut(entries: list[Entry], rows: Sequence[Any], room: int, limit: int) -> Leaf:
    for row in rows:
        room -= len(row[-1])
        if entries and (room < 0 or len(entries) == limit):
            return Leaf(entries=entries, more=True)
        entries.append(Entry._make(row))
    return Leaf(entries=entries, more=False)


# Written as the partial indexes are: SQLite does not see that `latest = 1` implies `latest`, and would not use them.
_OPEN = (listing.c.closed.is_(None), text("listing.latest"))
_IN_FRONT = text("NOT listing.folded")


def _scan_query(bodies: bool, ids: int, types: int) -> Select[Any]:
    row = listing.c
    # By id, the index on ids must be worth more than the order: `+ 0` keeps SQLite from walking the whole audience.
    added = row.added + literal_column("0") if ids else row.added
    conditions: list[Any] = [
        row.audience == bindparam("key"), *_OPEN, added > bindparam("after"), row.not_after > bindparam("now"),
    ]  # fmt: skip
    conditions.append(or_(*(row.stix_id == bindparam(f"id_{i}") for i in range(ids))) if ids else _IN_FRONT)
    if types:
        conditions.append(or_(*(row.type == bindparam(f"type_{i}") for i in range(types))))
    columns: list[Any] = [row.added, row.stix_id, row.version]
    origin: Any = listing
    if not bodies:
        columns.append(literal_column("''"))
    else:
        columns.append(statement.c.body)
        origin = listing.join(statement, statement.c.seq == row.seq)
    return select(*columns).select_from(origin).where(and_(*conditions)).order_by(added).limit(bindparam("most"))


@lru_cache(maxsize=64)
def _scan(dialect: Dialect, bodies: bool, ids: int, types: int) -> tuple[str, Sequence[str] | None, Mapping[str, Any]]:
    """The SQL of one shape of question, the names of its values in order (None: the driver takes names), constants."""
    compiled = _scan_query(bodies, ids, types).compile(dialect=dialect)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), getattr(compiled, "positiontup", None), constants


@lru_cache(maxsize=8)
def _noting(dialect: Dialect, columns: tuple[str, ...]) -> tuple[str, Sequence[str] | None]:
    compiled = insert(read).compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), getattr(compiled, "positiontup", None)


def note_read(tx: Connection, values: Mapping[str, Any]) -> None:
    """One row in the read ledger, for a page that held something (RULES R27)."""
    sql, names = _noting(tx.dialect, tuple(values))
    _run(tx, sql, names, values)


def _run(tx: Connection, sql: str, names: Sequence[str] | None, values: Mapping[str, Any]) -> Sequence[Any]:
    """Execute on the driver's own connection, inside this transaction; its errors become ours."""
    driver: Any = tx.connection.driver_connection
    try:
        cursor = driver.execute(sql, values if names is None else [values[name] for name in names])
        return list(cursor.fetchall()) if cursor.description else ()
    except _driver_error(tx) as error:
        raise StoreError("store.failed", detail=str(error).splitlines()[0][:200]) from error


def _driver_error(tx: Connection) -> type[Exception]:
    kind: type[Exception] = tx.dialect.loaded_dbapi.Error
    return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a secret opens: an account of a peer, until `not_after` (None: until revoked)."""

    account: str
    peer: str
    not_after: int | None


def key_of(tx: Connection, digest: str) -> Key | None:
    """The live account whose secret has this SHA-256; the caller looks at `not_after`."""
    query = (
        select(account.c.name, account.c.peer, secret.c.not_after)
        .join(secret, secret.c.account == account.c.name)
        .where(secret.c.hash == digest, account.c.revoked.is_(None))
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else Key(account=row.name, peer=row.peer, not_after=row.not_after)


def sign(store: Store, tx: Connection) -> tuple[int, int] | None:
    """Equal for two transactions on one connection only if nothing was committed between their snapshots.

    None: this engine gives no such sign (PostgreSQL), so nothing may be remembered. On SQLite `data_version` tells the
    commits of others, and our own count those of this process.
    """
    if not store.sqlite:
        return None
    driver: Any = tx.connection.driver_connection
    return int(driver.execute("PRAGMA data_version").fetchone()[0]), store.commits


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an audience reads now, with the named creator: what a feed is made of."""

    added: int
    stix_id: str
    version: str
    creator: str
    label: str
    """What it is judged under, as `Label.to_text` writes it."""
    body: bytes


def shown(tx: Connection, key: str, now: int) -> Sequence[Shown]:
    """Everything that the audience reads at `now`, in order of `added`."""
    row = listing.c
    query = (
        select(row.added, row.stix_id, row.version, statement.c.creator, row.label, statement.c.body)
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == key, *_OPEN, _IN_FRONT, row.not_after > now)
        .order_by(row.added)
    )
    return [
        Shown(**{**found._mapping, "label": found.label or "", "body": bytes(found.body)})
        for found in tx.execute(query)
    ]


def last_closed(tx: Connection, key: str, now: int) -> Mapping[str, int]:
    """Creator → when something of its was last taken from this audience, by closing or by the end of an agreement."""
    row = listing.c
    since = func.max(func.coalesce(row.closed, row.not_after)).label("since")
    query = (
        select(statement.c.creator, since)
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == key, ~row.folded, or_(row.closed.is_not(None), row.not_after <= now))
        .group_by(statement.c.creator)
    )
    return {row.creator: int(row.since) for row in tx.execute(query)}


def mark(tx: Connection, key: str, now: int) -> tuple[int, ...]:
    """Changes whenever what the audience reads changes: rows added, closed, unfolded, or out of force."""
    row = listing.c
    query = select(
        func.count(), func.coalesce(func.max(row.added), 0), func.coalesce(func.sum(row.added % 2_147_483_647), 0)
    ).where(row.audience == key, *_OPEN, _IN_FRONT, row.not_after > now)
    gone = select(func.coalesce(func.max(row.closed), 0)).where(row.audience == key, row.closed.is_not(None))
    return (*(int(value) for value in tx.execute(query).one()), int(tx.execute(gone).scalar_one()))
