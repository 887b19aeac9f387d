"""What a reader's request needs of the store, on the hot path: one prepared index scan, one key, one sign of change.

Everything was decided when it was written; a page is a scan of one index, which also says where the bytes stand.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from operator import mul
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

from exchange.store import blocks, prepared, segments
from exchange.store.blocks import Piece
from exchange.store.clock import FOREVER, micros
from exchange.store.engine import Store
from exchange.store.prepared import Prepared
from exchange.store.segments import Segment
from exchange.store.tables import account, listing, secret, statement


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

    @property
    def plain(self) -> bool:
        """Whether it is for all that there is, in its latest version."""
        return not self.ids and not self.types and self.versions == LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A page in order of `added`, which is unique in a listing; `more`: something stands behind it."""

    count: int
    first: int
    """The date of the first of its objects, and of the last; 0 where there is none."""
    last: int
    more: bool
    told: Sequence[int]
    """Numbers that tell every byte of it, within one audience, however it was put together (RULES R14)."""
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


def page(
    tx: Connection, number: int, query: Query, *, most: int = 2**62, known: dict[int, bytes] | None = None
) -> Leaf:
    """At most `query.limit` objects and `most` bytes, but always one, of what the audience `number` reads.

    A question by id also gets what is folded, so that references resolve (RULES R23). `known`: see `blocks.pieces`.
    """
    found = _by_segments(tx, number, query) if query.plain else None
    if found is None or found.size > most:
        found = _Gathered(query.limit)
        found.rows(*_rows(tx, number, query))
        found.cut(most)
    return Leaf(
        count=found.count,
        first=found.first,
        last=found.last,
        more=found.more,
        told=(found.count, found.first, found.last, *(total % segments.PRIME for total in found.totals)),
        pieces=blocks.pieces(tx, found.begins, found.ends, known),
    )


class _Gathered:
    """A page as it is put together, of rows and of segments."""

    def __init__(self, limit: int) -> None:
        self.room = limit
        self.count = self.first = self.last = 0
        self.more = False
        self.dates: list[int] = []
        """Of those that are rows."""
        self._sums = self._squares = 0
        self.begins: list[int] = []
        self.ends: list[int] = []

    @property
    def size(self) -> int:
        """Bytes, with a comma for each span."""
        return sum(self.ends) - sum(self.begins) + len(self.ends)

    def rows(self, added: Sequence[int], begins: Sequence[int], ends: Sequence[int]) -> None:
        """Put rows behind what is there, as far as there is room."""
        count = min(len(added), self.room)
        self.more = self.more or count < len(added)
        self.dates += added[:count]
        self.begins += begins[:count]
        self.ends += ends[:count]
        self._grew(count, added[0] if added else 0, added[count - 1] if count else 0)

    def segment(self, found: Segment) -> None:
        """Put a whole segment there; there is room for it."""
        self._sums += found.sums
        self._squares += found.squares
        self.begins.append(found.begin)
        self.ends.append(found.end)
        self._grew(found.rows, found.first, found.last)

    @property
    def totals(self) -> tuple[int, int]:
        """The sum of all dates, and that of their squares: rows never come back, so no two pages have both."""
        return self._sums + sum(self.dates), self._squares + sum(map(mul, self.dates, self.dates))

    def _grew(self, count: int, first: int, last: int) -> None:
        if count:
            self.first, self.last = self.first or first, last
            self.count += count
            self.room -= count

    def cut(self, most: int) -> None:
        """Leave out what does not fit into `most` bytes, but not the first of all. Only of rows."""
        if self.size > most:
            sizes = accumulate(end - begin + 1 for begin, end in zip(self.begins, self.ends, strict=True))
            count = max(1, sum(size <= most for size in sizes))
            if count < self.count:
                self.count, self.last, self.more = count, self.dates[count - 1], True
                self.dates, self.begins, self.ends = self.dates[:count], self.begins[:count], self.ends[:count]


def _by_segments(tx: Connection, number: int, query: Query) -> _Gathered | None:
    """A plain page, of segments as far as they go. None: row by row it is as quick, or the only way."""
    ahead = segments.ahead(tx, number, query.after, query.limit)
    # Whoever follows gets the end of the last of them.
    if not ahead or ahead[-1].first <= query.after or any(found.not_after <= query.now for found in ahead):
        return None
    page = _Gathered(query.limit)
    # Beyond the last of these there are others, which need not be looked at: these are enough.
    enough = sum(found.rows for found in ahead[1:]) > query.limit
    added, begins, ends = _rows(tx, number, query, loose=True, until=ahead[-1].last if enough else FOREVER)
    at = 0
    for found in ahead:
        upto = bisect_left(added, found.first)
        if at < len(added) and upto < bisect_left(added, found.last):
            return None  # a row that the segment should hold
        page.rows(added[at:upto], begins[at:upto], ends[at:upto])
        at = upto
        if found.first > query.after and found.rows <= page.room:
            page.segment(found)
        elif page.room:
            page.rows(*_rows(tx, number, query, after=max(query.after, found.first - 1), until=found.last))
        else:
            page.more = True
        if page.more:
            return page
    page.rows(added[at:], begins[at:], ends[at:])
    return page


def _rows(
    tx: Connection, number: int, query: Query, *, after: int | None = None, until: int = FOREVER, loose: bool = False
) -> tuple[list[int], list[int], list[int]]:
    """Dates and spans of at most `limit` + 1 rows. `loose`: only of those that stand in no segment."""
    texts = _found(tx, number, query, places=True, after=after, until=until, loose=loose)[0]
    added, begins, ends = (orjson.loads(f"[{text or ''}]") for text in texts)
    if added != sorted(added):  # an engine that puts them together in another order than it was told to
        rows = sorted(zip(added, begins, ends, strict=True))
        added, begins, ends = (list(column) for column in zip(*rows, strict=True))
    return added, begins, ends


def index(tx: Connection, number: int, query: Query) -> Index:
    """The same without the objects."""
    rows = _found(tx, number, query, places=False)
    entries = list(map(Entry._make, rows[: query.limit]))
    return Index(entries=entries, more=len(rows) > query.limit)


def _found(
    tx: Connection,
    number: int,
    query: Query,
    *,
    places: bool,
    after: int | None = None,
    until: int = FOREVER,
    loose: bool = False,
) -> Sequence[Any]:
    asked = query.versions
    own = [micros(found) for text in asked.exact if (found := _whole(text)) is not None]
    shape = (asked.first, asked.last, asked.every, len(asked.exact), len(own))
    scan = _scan(tx.dialect, places, len(query.ids), len(query.types), shape, loose)
    values: dict[str, Any] = {
        "number": number, "now": query.now, "most": query.limit + 1,
        "after": query.after if after is None else after, "until": until,
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
OPEN = listing.c.closed.is_(None)
LATEST = text("listing.latest")
IN_FRONT = text("NOT listing.folded")
_LOOSE = text("NOT listing.sealed")


_Shape = tuple[bool, bool, bool, int, int]
"""Of a `Versions`: first, last, every, how many exact ones, and how many of these a `date_added` could be."""
_LAST: _Shape = (False, True, False, 0, 0)


@lru_cache(maxsize=256)
def _scan(dialect: Dialect, places: bool, ids: int, types: int, versions: _Shape, loose: bool) -> Prepared:
    """The statement for one shape of question."""
    row = listing.c
    # By id, the index on ids must be worth more than the order: `+ 0` keeps SQLite from walking the whole audience.
    audience = row.audience + literal_column("0") if ids else row.audience
    conditions: list[Any] = [
        audience == bindparam("number"), OPEN, row.added > bindparam("after"), row.added <= bindparam("until"),
        row.not_after > bindparam("now"),
    ]  # fmt: skip
    if loose:
        conditions.append(_LOOSE)
    conditions.append(statement.c.stix_id.in_(_binds("id", ids)) if ids else IN_FRONT)
    if types:
        conditions.append(row.type.in_(_binds("type", types)))
    every = versions[2]
    if not every:
        conditions.append(LATEST if versions == _LAST else or_(*_asked_for(versions)))
    plain = places and not ids and (every or versions == _LAST)
    columns = [row.added, *_SPAN] if places else [row.added, *_NAMED]
    origin = listing if plain else listing.join(statement, statement.c.seq == row.seq)
    query: Select[Any] = select(*columns).select_from(origin).where(*conditions)
    query = query.order_by(row.added).limit(bindparam("most"))
    scan = Prepared(dialect, _in_one_row(query) if places else query)
    if dialect.name == "sqlite" and versions == _LAST and not ids:
        # The index holds nothing but what is in front; SQLite would rather walk past all that is closed or folded.
        index = "ix_listing_loose" if loose else "ix_listing_page"
        scan.sql = scan.sql.replace("FROM listing", f"FROM listing INDEXED BY {index}", 1)
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
    wanted: list[Any] = [LATEST] if last else []
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
