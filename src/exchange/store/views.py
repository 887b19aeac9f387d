"""What an audience reads, grouped into MISP events (RULES R26): counted, and fetched event by event.

Here a *group* is (number of the event, beside): what somebody says beside the peer that leads an event, or beside the
owner of an object (rank below 0), is never put into the event that others know. The leader is the owner of the creator;
if nobody owns it, who gave this audience something of the event first (RULES R5, R14). A listing row is *shown* while
it is open, in its latest version, in front and in force; what was shown once and is no more is *gone*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from exchange.store import blocks, derived, tables
from exchange.store.columns import Stamp
from exchange.store.derived import CREATOR, GIVEN_BY, GIVER
from exchange.store.pages import IN_FRONT, LATEST, OPEN
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import event, listing, statement

Group = tuple[int, bool]
"""Number of the event in the store; whether it holds what others say beside who leads it."""
Strand = tuple[int, str, bool]
"""Number of the event; who gave what is meant; whether that is beside the owner of the object."""
_AT_ONCE = 500


class Tally(NamedTuple):
    """The rows of one group under one label and agreement: those that are shown, or the others."""

    event: int
    peer: str
    beside: bool
    """Beside the owner of the object."""
    shown: bool
    label: str
    listed: int
    """How many rows."""
    attributes: int
    """How many MISP attributes they may be."""
    notes: int
    first: int
    """The earliest date at which any of them was listed."""
    last: int
    """When the last of them was listed; of the others, when the last of them went, or 0."""
    until: int
    """When the first of them lapses."""
    ahead: bool
    """Whether any of them was listed before the date of its own version."""
    agreement: str
    """Under which they are, or were, listed."""


class Row(NamedTuple):
    """One listing row of an event, with what is needed to make its parts."""

    seq: int
    added: int
    stix_id: str
    type: str
    rank: int
    label: str
    closed: int | None
    not_after: int
    latest: bool
    folded: bool
    block: int
    start: int
    stop: int
    peer: str
    creator: str
    agreement: str

    def shown(self, now: int) -> bool:
        """Whether the audience reads it at `now`."""
        return self.closed is None and bool(self.latest) and not self.folded and self.not_after > now

    def gone(self, now: int) -> int:
        """Since when it is no longer to be read; 0: it is open and in force."""
        if self.closed is not None:
            return self.closed
        return self.not_after if self.not_after <= now else 0

    @property
    def place(self) -> tuple[int, int, int]:
        return self.block, self.start, self.stop


_l, _s = listing.c, statement.c
_MINE = _l.audience == bindparam("number")
# Written so that SQLite begins with the statements and not with all that the audience reads.
ALSO_MINE = _l.audience + literal_column("0") == bindparam("number")
SHOWN = and_(OPEN, LATEST, IN_FRONT, _l.not_after > bindparam("now", type_=BigInteger))
_JOINED = listing.join(statement, _s.seq == _l.seq)


def _tallies(*conditions: ColumnElement[bool]) -> Any:
    shows = case((SHOWN, 1), else_=0).label("shows")
    went = case((_l.folded, 0), (SHOWN, _l.added), else_=func.coalesce(_l.closed, _over))
    notes = case((_s.type == literal_column("'note'"), 1), else_=0)
    beside = case((_l.rank < 0, 1), else_=0).label("beside")
    early = case((_s.version >= Stamp(_l.added), 1), else_=0)
    return (
        select(
            _s.event, GIVER, beside, shows, _l.label, func.count(), func.sum(_s.attributes), func.sum(notes),
            func.min(_l.added), func.max(went), func.min(_l.not_after), func.max(early),
            _l.agreement,
        )
        .select_from(_JOINED)
        .where(_s.type != literal_column("'sighting'"), _IN_EVENT, *conditions)
        .group_by(_s.event, GIVER, beside, shows, _l.label, _l.agreement)
    )  # fmt: skip


_IN_EVENT = _s.event != literal_column("0")
"""Recall notices are in none: who reads over MISP has its tombstones."""
_over = case((_l.not_after <= bindparam("now", type_=BigInteger), _l.not_after), else_=0)
_ALL = Query(_tallies(_MINE))
_SOME = Lookup(_tallies(ALSO_MINE, among(_s.event)))


def tallies(tx: Connection, number: int, now: int, events: Collection[int] | None = None) -> list[Tally]:
    """What the audience `number` reads at `now`, counted; `events`: only of these. Sightings are not counted."""
    rows = _ALL.run(tx, number=number, now=now) if events is None else _SOME.rows(tx, events, number=number, now=now)
    return [Tally._make(row) for row in rows]


class Mark(NamedTuple):
    """Where a listing stands: what comes later is listed behind `added`, or makes `closings` more."""

    added: int
    closings: int
    closed: int
    """When the last of them was, and how many were just then."""
    same: int

    def covers(self, other: Mark) -> bool:
        """Whether nothing stands in `other` that does not stand here."""
        return other.added <= self.added and other.closings <= self.closings


def mark(tx: Connection, number: int) -> Mark:
    """Changes with every row that is listed or closed."""
    ((closings, closed),) = _CLOSINGS.run(tx, number=number)
    same = _SAME.one(tx, number=number, closed=closed) if closings else 0
    return Mark(_LAST.one(tx, number=number) or 0, closings, closed or 0, same)


_CLOSED = text("listing.closed IS NOT NULL")
_LAST = Query(select(_l.added).where(_MINE).order_by(_l.added.desc()).limit(1))
_CLOSINGS = Query(select(func.count(), func.max(_l.closed)).where(_MINE, _CLOSED))
_SAME = Query(select(func.count()).where(_MINE, _CLOSED, _l.closed == bindparam("closed")))


def changed(tx: Connection, number: int, before: Mark, after: Mark, most: int) -> set[str] | None:
    """The ids of what was listed or closed between two marks; None: too much, or the clock stepped back meanwhile."""
    begun = _BEGUN.run(tx, number=number, since=before.added, most=most)
    expected = after.closings - before.closings + before.same
    ended = _ENDED.run(tx, number=number, since=before.closed, most=expected + 1)
    if len(begun) == most or expected > most or len(ended) != expected:
        return None
    return {row[0] for row in (*begun, *ended)}


_BEGUN = Query(
    select(_s.stix_id)
    .select_from(_JOINED)
    .where(_MINE, _l.added > bindparam("since"))
    .order_by(_l.added)
    .limit(bindparam("most"))
)
_ENDED = Query(
    select(_s.stix_id)
    .select_from(_JOINED)
    .where(_MINE, _CLOSED, _l.closed >= bindparam("since"))
    .limit(bindparam("most"))
)


def events_of(tx: Connection, number: int, stix_ids: Iterable[str]) -> dict[str, list[Strand]]:
    """Id → where it stands or stood for this audience; last where its latest version does, and was listed last.

    The number of an event would tell which of them was heard of first, by whomever (RULES R14).
    """
    found: dict[str, list[tuple[bool, int, Strand]]] = {}
    for stix_id, number_of, peer, rank, stands, added in _EVENTS_OF.rows(tx, stix_ids, number=number):
        found.setdefault(stix_id, []).append((bool(stands), added, (number_of, peer, rank < 0)))
    return {stix_id: [strand for _, _, strand in sorted(each)] for stix_id, each in found.items()}


_STANDS = func.max(case((and_(OPEN, LATEST), 1), else_=0))
_EVENTS_OF = Lookup(
    select(_s.stix_id, _s.event, GIVER, _l.rank, _STANDS, func.max(_l.added))
    .select_from(_JOINED)
    .where(among(_s.stix_id), ALSO_MINE, _IN_EVENT)
    .group_by(_s.stix_id, _s.event, GIVER, _l.rank)
)


class Found(NamedTuple):
    """A row with its bytes."""

    row: Row
    body: bytes


ROW = [
    _s.seq, _l.added, _s.stix_id, _s.type, _l.rank, _l.label, _l.closed, _l.not_after, _l.latest, _l.folded, _l.block,
    _l.start, _l.stop, GIVER, CREATOR, _l.agreement,
]  # fmt: skip
"""The columns of a `Row`."""


def frames(tx: Connection, number: int, now: int, leads: Mapping[int, str]) -> Iterator[tuple[int, int, Found]]:
    """The report or grouping that stands for each of these events: of who leads it, and of the two the one that came
    first (RULES R5); shown, or the newest that was. With the event's number, and when one was first listed.

    `leads`: number of the event → the peer that leads it; empty: whoever gave it.
    """
    altered = derived.any_made(tx)
    for begin in range(0, len(wanted := sorted(leads)), _AT_ONCE):
        found = _FRAMES.rows(tx, wanted[begin : begin + _AT_ONCE], number=number)
        if altered:
            found += _ALTERED_FRAMES.rows(tx, wanted[begin : begin + _AT_ONCE], number=number)
        rows = [(of, Row._make(fields)) for of, *fields in found]
        mine = [(of, row) for of, row in rows if not row.folded and row.rank >= 0 and leads[of] in ("", row.peer)]
        since: dict[tuple[int, str], int] = {}
        for of, row in mine:
            since[of, row.stix_id] = min(row.added, since.get((of, row.stix_id), row.added))
        best: dict[int, tuple[Any, ...]] = {}
        for of, row in mine:
            worth = (row.shown(now), row.rank, -since[of, row.stix_id], row.added)
            if of not in best or worth > best[of][0]:
                best[of] = (worth, row)
        kept = [(of, row) for of, (_, row) in best.items()]
        bodies = blocks.read(tx, [row.place for _, row in kept])
        begun: dict[int, int] = {}
        for (of, _), added in since.items():
            begun[of] = min(added, begun.get(of, added))
        yield from ((of, begun[of], Found(row, body)) for (of, row), body in zip(kept, bodies, strict=True))


def _is_frame(stix_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether it is the report or grouping of the event."""
    return or_(
        stix_id == event.c.key,
        stix_id == literal_column("'report--'", String).concat(event.c.key),
        stix_id == literal_column("'grouping--'", String).concat(event.c.key),
    )


_FRAMES = Lookup(
    select(_s.event, *ROW)
    .select_from(statement.join(event, event.c.id == _s.event).join(listing, _l.seq == _s.seq))
    .where(among(_s.event), ALSO_MINE)
    .where(_is_frame(_s.stix_id))
)
_d = tables.derived.c
_ALTERED_FRAMES = Lookup(
    select(_s.event, *ROW)
    .select_from(
        event.join(tables.derived, _is_frame(_d.stix_id))
        .join(statement, and_(_s.seq == _d.seq, _s.event == event.c.id))
        .join(listing, _l.seq == _s.seq)
    )
    .where(among(event.c.id), ALSO_MINE)
)


def early(tx: Connection, number: int, now: int, frames: Mapping[int, Sequence[str]]) -> set[int]:
    """Which of these events wait for their frame: a source of what is shown of them has given it, and it is not judged.

    `frames`: number of the event → the ids that its frame may have.
    """
    of_id: dict[str, list[int]] = {}
    for number_of, ids in frames.items():
        for stix_id in ids:
            of_id.setdefault(stix_id, []).append(number_of)
    return {
        number_of
        for stix_id, source in _WAITING.rows(tx, of_id)
        for number_of in of_id[stix_id]
        if _SHOWS.one(tx, number=number, now=now, event=number_of, source=source) is not None
    }


_WAITING = Lookup(select(_s.stix_id, _s.source).where(among(_s.stix_id), text("statement.waiting")))
_SHOWS = Query(
    select(_s.seq)
    .select_from(statement.join(listing, _l.seq == _s.seq))
    .where(
        _s.event == bindparam("event"),
        GIVEN_BY.element.concat("") == bindparam("source", type_=String),
        ALSO_MINE,
        SHOWN,
    )
    .limit(1)
)


def rows(tx: Connection, number: int, event_number: int) -> Iterator[Sequence[Row]]:
    """Every listing row of an event, open and closed, in the order in which the statements came, a few at a time."""
    after = (-1, -1)
    while found := _ROWS.run(tx, event=event_number, number=number, seq=after[0], added=after[1], most=_AT_ONCE):
        batch = [Row._make(row) for row in found]
        yield batch
        after = batch[-1].seq, batch[-1].added


_ROWS = Query(
    select(*ROW)
    .select_from(statement.join(listing, _l.seq == _s.seq))
    .where(_s.event == bindparam("event"), _s.seq >= bindparam("seq"), ALSO_MINE)
    .where(tuple_(_s.seq, _l.added) > tuple_(bindparam("seq"), bindparam("added")))
    .order_by(_s.seq, _l.added)
    .limit(bindparam("most"))
)


def rows_of(tx: Connection, number: int, event_number: int, stix_ids: Collection[str]) -> Iterator[Sequence[Row]]:
    """The same of these ids alone, without looking at any other row of the event."""
    mine = [row for row in _HISTORIES.rows(tx, stix_ids, number=number) if row[0] == event_number]
    mine.sort(key=lambda row: (row[1], row[2]))
    for begin in range(0, len(mine), _AT_ONCE):
        yield [Row._make(row[1:]) for row in mine[begin : begin + _AT_ONCE]]


def bodies(tx: Connection, rows: Sequence[Row]) -> list[bytes]:
    """The bytes of these rows."""
    return blocks.read(tx, [row.place for row in rows])


def histories(tx: Connection, number: int, stix_ids: Iterable[str]) -> dict[str, list[Row]]:
    """Id → every row that it ever had for this audience, in order of date."""
    found: dict[str, list[Row]] = {}
    for _, *fields in _HISTORIES.rows(tx, dict.fromkeys(stix_ids), number=number):
        row = Row._make(fields)
        found.setdefault(row.stix_id, []).append(row)
    for each in found.values():
        each.sort(key=lambda row: row.added)
    return found


_HISTORIES = Lookup(
    select(_s.event, *ROW).select_from(statement.join(listing, _l.seq == _s.seq)).where(among(_s.stix_id), ALSO_MINE)
)


def shown(tx: Connection, number: int, now: int, stix_ids: Iterable[str]) -> list[Found]:
    """What the audience reads of these ids."""
    found = [Row._make(row) for row in _BY_ID.rows(tx, stix_ids, number=number, now=now)]
    return [Found(row, body) for row, body in zip(found, bodies(tx, found), strict=True)]


_BY_ID = Lookup(
    select(*ROW).select_from(statement.join(listing, _l.seq == _s.seq)).where(among(_s.stix_id), ALSO_MINE, SHOWN)
)


def but(tx: Connection, number: int, now: int, types: Collection[str]) -> Iterator[Sequence[Found]]:
    """All that the audience reads but these types, in order of date, a few at a time."""
    after = -1
    query = _but(tuple(sorted(types)))
    while found := query.run(tx, number=number, now=now, added=after, most=_AT_ONCE):
        batch = [Row._make(row) for row in found]
        yield [Found(row, body) for row, body in zip(batch, bodies(tx, batch), strict=True)]
        after = batch[-1].added


@lru_cache(maxsize=16)
def _but(types: tuple[str, ...]) -> Query:
    kinds: list[Any] = [literal_column(f"'{kind}'") for kind in types]
    query = select(*ROW).select_from(_JOINED).where(_MINE, SHOWN, _l.type.not_in(kinds), _IN_EVENT)
    return Query(query.where(_l.added > bindparam("added")).order_by(_l.added).limit(bindparam("most")))
