"""What a reader's request needs of the store, on the hot path: one prepared index scan, one key, one sign of change.

Everything was decided when it was written; a page is a scan of one index, which also says where the bytes stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
)

from exchange.store import blocks, prepared
from exchange.store.blocks import Piece
from exchange.store.clock import micros
from exchange.store.engine import Store
from exchange.store.prepared import Inserting, Prepared
from exchange.store.tables import account, listing, read, secret, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Which versions of an object are asked for (TAXII 2.1 section 3.4.1, `match[version]`); what any part names."""

    first: bool = False
    last: bool = False
    every: bool = False
    exact: frozenset[str] = frozenset()
    """Instants as `model.stix.instant` writes them; an object without a version of its own has its date added."""


LAST = Versions(last=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A subscriber's question to one listing: `after` and `now` in µs; empty filters mean all."""

    after: int = -1
    now: int
    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    versions: Versions = LAST
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A page in order of `added`, which is unique in a listing; `more`: something stands behind it."""

    added: Sequence[int]
    more: bool
    pieces: Sequence[Piece]
    """The objects: joined by commas, exactly what is served between the brackets."""


class Entry(NamedTuple):
    """One version in an index; `version` is empty for an object that has none of its own."""

    added: int
    stix_id: str
    version: str
    precision: int
    """How many digits its fraction has where the object writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A page of a manifest or of versions, in order of `added`; `more`: something stands behind it."""

    entries: Sequence[Entry]
    more: bool


def page(tx: Connection, number: int, query: Query, *, most: int = 2**62) -> Leaf:
    """At most `query.limit` objects and `most` bytes, but always one, of what the audience `number` reads.

    A question by id also gets what is folded, so that references resolve (RULES R23).
    """
    added, begins, ends = (_numbers(text) for text in _found(tx, number, query, places=True)[0])
    if added != sorted(added):  # an engine that puts them together in another order than it was told to
        rows = sorted(zip(added, begins, ends, strict=True))
        added, begins, ends = (list(column) for column in zip(*rows, strict=True))
    count = min(len(added), query.limit)
    if sum(ends) - sum(begins) + count > most:
        count = _fitting(begins[:count], ends, most)
    pieces = blocks.pieces(tx, begins[:count], ends[:count])
    return Leaf(added=added[:count], more=len(added) > count, pieces=pieces)


def _numbers(text: str | None) -> list[int]:
    found: list[int] = orjson.loads(f"[{text or ''}]")
    return found


def _fitting(begins: Sequence[int], ends: Sequence[int], most: int) -> int:
    """How many of these fit into `most` bytes with a comma each; the first one always does."""
    sizes = accumulate(end - begin + 1 for begin, end in zip(begins, ends, strict=False))
    return max(1, sum(size <= most for size in sizes))


def index(tx: Connection, number: int, query: Query) -> Index:
    """The same without the objects."""
    rows = _found(tx, number, query, places=False)
    entries = list(map(Entry._make, rows[: query.limit]))
    return Index(entries=entries, more=len(rows) > query.limit)


def _found(tx: Connection, number: int, query: Query, *, places: bool) -> Sequence[Any]:
    asked = query.versions
    own = [micros(found) for text in asked.exact if (found := _whole(text)) is not None]
    shape = (asked.first, asked.last, asked.every, len(asked.exact), len(own))
    scan = _scan(tx.dialect, places, len(query.ids), len(query.types), shape)
    values: dict[str, Any] = {
        "number": number, "now": query.now, "after": query.after, "most": query.limit + 1,
        **_named("id", query.ids), **_named("type", query.types), **_named("exact", asked.exact),
        **_named("own", own),
    }  # fmt: skip
    return scan.run(tx, values)


def _named(name: str, values: Any) -> dict[str, Any]:
    return {f"{name}_{i}": value for i, value in enumerate(values)}


def _whole(version: str) -> datetime | None:
    """The instant of a version, if it is one that a `date_added` could be: of whole microseconds."""
    if len(version) != len("2026-01-01T00:00:00.000000"):
        return None
    try:
        return datetime.fromisoformat(version + "+00:00")
    except ValueError:  # a leap second
        return None


# Written as the partial indexes are: SQLite does not see that `latest = 1` implies `latest`, and would not use them.
_OPEN = listing.c.closed.is_(None)
_LATEST = text("listing.latest")
_IN_FRONT = text("NOT listing.folded")


_Shape = tuple[bool, bool, bool, int, int]
"""Of a `Versions`: first, last, every, how many exact ones, and how many of these a `date_added` could be."""
_LAST: _Shape = (False, True, False, 0, 0)


@lru_cache(maxsize=256)
def _scan(dialect: Dialect, places: bool, ids: int, types: int, versions: _Shape) -> Prepared:
    """The statement for one shape of question."""
    row = listing.c
    # By id, the index on ids must be worth more than the order: `+ 0` keeps SQLite from walking the whole audience.
    audience = row.audience + literal_column("0") if ids else row.audience
    conditions: list[Any] = [
        audience == bindparam("number"), _OPEN, row.added > bindparam("after"), row.not_after > bindparam("now"),
    ]  # fmt: skip
    conditions.append(statement.c.stix_id.in_(_binds("id", ids)) if ids else _IN_FRONT)
    if types:
        conditions.append(row.type.in_(_binds("type", types)))
    every = versions[2]
    if not every:
        conditions.append(_LATEST if versions == _LAST else or_(*_asked_for(versions)))
    plain = places and not ids and (every or versions == _LAST)
    columns = [row.added, *_SPAN] if places else [row.added, *_NAMED]
    origin = listing if plain else listing.join(statement, statement.c.seq == row.seq)
    query: Select[Any] = select(*columns).select_from(origin).where(*conditions)
    query = query.order_by(row.added).limit(bindparam("most"))
    scan = Prepared(dialect, _in_one_row(query) if places else query)
    if dialect.name == "sqlite" and versions == _LAST and not ids:
        # The index holds nothing but what is in front; SQLite would rather walk past all that is closed or folded.
        scan.sql = scan.sql.replace("FROM listing", "FROM listing INDEXED BY ix_listing_page", 1)
    return scan


_SPAN = [
    (listing.c.block * blocks.WIDTH + listing.c.start).label("begin"),
    (listing.c.block * blocks.WIDTH + listing.c.stop).label("end"),
]


def _in_one_row(query: Select[Any]) -> Select[Any]:
    """Each column as one text of numbers with commas: the driver takes longer for a row than the engine for ten."""
    comma: Any = literal_column("','")
    texts: list[Any] = [func.aggregate_strings(cast(each, String), comma) for each in query.subquery("page").c]
    return select(*texts)


_NAMED = [statement.c.stix_id, statement.c.version, statement.c.precision]


def _binds(name: str, count: int) -> list[Any]:
    return [bindparam(f"{name}_{i}") for i in range(count)]


def _asked_for(versions: _Shape) -> list[ColumnElement[bool]]:
    """Any of these makes a row one that was asked for."""
    first, last, _, exact, own = versions
    wanted: list[Any] = [_LATEST] if last else []
    if first:
        other, older = listing.alias(), statement.alias()
        wanted.append(
            ~select(literal_column("1"))
            .select_from(older.join(other, other.c.seq == older.c.seq))
            .where(
                older.c.stix_id == statement.c.stix_id, older.c.version < statement.c.version,
                # `+ 0`, so that SQLite begins with the versions of this object and not with the whole audience.
                other.c.audience + literal_column("0") == bindparam("number"),
                other.c.closed.is_(None),
                other.c.not_after > bindparam("now"),
            )
            .exists()
        )  # fmt: skip
    if exact:
        wanted.append(statement.c.version.in_(_binds("exact", exact)))
    if own:
        wanted.append((statement.c.version == literal_column("''")) & listing.c.added.in_(_binds("own", own)))
    return wanted


@lru_cache(maxsize=8)
def _noting(dialect: Dialect, columns: tuple[str, ...]) -> Inserting:
    return Inserting(dialect, read, columns)


def note_reads(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the read ledger, one for each page that held something (RULES R27)."""
    if rows:
        columns = tuple(rows[0])
        _noting(tx.dialect, columns).many(tx, [tuple(row[name] for name in columns) for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a secret opens: an account of a peer, until `not_after` (None: until revoked)."""

    account: str
    peer: str
    not_after: int | None


def key_of(tx: Connection, digest: str) -> Key | None:
    """The live account whose secret has this SHA-256; the caller looks at `not_after`."""
    rows = _KEY.run(tx, digest=digest)
    return Key(account=rows[0][0], peer=rows[0][1], not_after=rows[0][2]) if rows else None


_KEY = prepared.Query(
    select(account.c.name, account.c.peer, secret.c.not_after)
    .join(secret, secret.c.account == account.c.name)
    .where(secret.c.hash == bindparam("digest"), account.c.revoked.is_(None))
)


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


def shown(tx: Connection, number: int, now: int) -> Sequence[Shown]:
    """Everything that the audience reads at `now`, in order of `added`."""
    row = listing.c
    query = (
        select(
            row.added, statement.c.stix_id, statement.c.version, statement.c.creator, row.label,
            row.block, row.start, row.stop,
        )
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == number, _OPEN, _LATEST, _IN_FRONT, row.not_after > now)
        .order_by(row.added)
    )  # fmt: skip
    rows = tx.execute(query).all()
    bodies = blocks.read(tx, [found[5:] for found in rows])
    return [
        Shown(added=at, stix_id=stix_id, version=version, creator=creator, label=label, body=body)
        for (at, stix_id, version, creator, label, *_), body in zip(rows, bodies, strict=True)
    ]


def last_closed(tx: Connection, number: int, now: int) -> Mapping[str, int]:
    """Creator → when something of its was last taken from this audience, by closing or by the end of an agreement."""
    row = listing.c
    since = func.max(func.coalesce(row.closed, row.not_after)).label("since")
    query = (
        select(statement.c.creator, since)
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == number, ~row.folded, or_(row.closed.is_not(None), row.not_after <= now))
        .group_by(statement.c.creator)
    )
    return {row.creator: int(row.since) for row in tx.execute(query)}


def mark(tx: Connection, number: int, now: int) -> tuple[int, ...]:
    """Changes whenever what the audience reads changes: rows added, closed, unfolded, or out of force."""
    row = listing.c
    query = select(
        func.count(), func.coalesce(func.max(row.added), 0), func.coalesce(func.sum(row.added % 2_147_483_647), 0)
    ).where(row.audience == number, _OPEN, _LATEST, _IN_FRONT, row.not_after > now)
    gone = select(func.coalesce(func.max(row.closed), 0)).where(row.audience == number, row.closed.is_not(None))
    return (*(int(value) for value in tx.execute(query).one()), int(tx.execute(gone).scalar_one()))
