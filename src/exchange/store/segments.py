"""Segments: runs of a listing whose bytes stand side by side, so that a page is read in twenty rows, not in a thousand.

A segment covers every row that a plain page shows from its first date to its last. It is made when its rows are listed,
and split in the transaction that closes or hides one of them (RULES R24); what stands in none is read row by row.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, false, func, insert, select, update

from exchange.store.blocks import WIDTH
from exchange.store.clock import FOREVER
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import listing, segment

if TYPE_CHECKING:
    from exchange.store.listings import Listed

LEAST = 8
"""Rows of the smallest segment: below it, to look for a segment costs as much as it saves."""
PIECE = 4
"""Rows of the smallest piece that is left of one: to write a row as one that stands alone costs as much as a piece."""
PRIME = 2**61 - 1
_AT_ONCE = 24


class Segment(NamedTuple):
    """One segment: its first and last date, its rows, the span of its bytes, and until when all of it may be read."""

    first: int
    last: int
    rows: int
    begin: int
    end: int
    not_after: int
    sums: int
    squares: int
    """The sum of its dates, and that of their squares, both by PRIME: with others', they tell a page."""


def keep(tx: Connection, rows: Sequence[tuple[Listed, int]]) -> set[tuple[int, int]]:
    """Make the segments of rows that are about to be listed, each audience's in order of date.

    Gives what stands in them, as (audience, date).
    """
    made: list[tuple[int, Segment]] = []
    sealed: set[tuple[int, int]] = set()
    for begin, stop in _runs(rows):
        some = rows[begin:stop]
        (head, _), (tail, _) = some[0], some[-1]
        dates = [added for _, added in some]
        term = min(row.not_after for row, _ in some)
        made.append((head.audience, _made((head.block, head.start), (tail.block, tail.stop), dates, term)))
        sealed.update((head.audience, added) for added in dates)
    for audience, found in made:
        _KEEP.run(tx, audience=audience, **found._asdict())
    return sealed


def _made(begin: Sequence[int], end: Sequence[int], dates: Sequence[int], term: int) -> Segment:
    """The segment of the rows at `dates`; `begin` and `end`: (block, byte)."""
    span = (begin[0] * WIDTH + begin[1], end[0] * WIDTH + end[1])
    totals = (sum(dates) % PRIME, sum(map(mul, dates, dates)) % PRIME)
    return Segment(dates[0], dates[-1], len(dates), *span, term, *totals)


_KEEP = Query(insert(segment))


def _runs(rows: Sequence[tuple[Listed, int]]) -> Iterable[tuple[int, int]]:
    """Where in `rows` enough of them stand side by side that a plain page shows: (first, behind the last)."""
    begin = 0
    before: Listed | None = None
    for index, (row, _) in enumerate(rows):
        plain = row.latest and not row.folded
        goes_on = (
            before is not None
            and plain
            and row.start == before.stop + 1
            and row.block == before.block
            and row.audience == before.audience
        )
        if not goes_on:
            if index - begin >= LEAST and before is not None:
                yield begin, index
            begin = index
        before = row if plain else None
        if not plain:
            begin = index + 1
    if before is not None and len(rows) - begin >= LEAST:
        yield begin, len(rows)


def ahead(tx: Connection, audience: int, after: int, rows: int) -> list[Segment]:
    """The segments that reach beyond `after`, in order: enough of them for so many rows, or all that there are."""
    found: list[Segment] = []
    most = min(_AT_ONCE, 2 + rows // LEAST)
    while True:
        more = [Segment._make(row) for row in _AHEAD.run(tx, audience=audience, after=after, most=most)]
        found += more
        # The first may lie behind in part, however large it is, so it does not count.
        if len(more) < most or sum(each.rows for each in found[1:]) > rows:
            return found
        after, most = more[-1].last, most * 2


_s = segment.c
_AHEAD = Query(
    select(_s.first, _s.last, _s.rows, _s.begin, _s.end, _s.not_after, _s.sums, _s.squares)
    .where(_s.audience == bindparam("audience"), _s.last > bindparam("after"))
    .order_by(_s.last)
    .limit(bindparam("most"))
)


def _covering(tx: Connection, audience: int, added: int) -> Segment | None:
    """The segment in whose range this date lies."""
    rows = _AHEAD.run(tx, audience=audience, after=added - 1, most=1)
    found = Segment._make(rows[0]) if rows else None
    return found if found is not None and found.first <= added else None


def dissolve(tx: Connection, places: Iterable[tuple[int, int]]) -> None:
    """These rows, as (audience, date), are closed or hidden in this transaction: of what stood beside them, what is
    still enough side by side is a segment of its own, and the rest is read row by row.
    """
    gone: dict[int, list[int]] = {}
    for audience, added in sorted(places):
        gone.setdefault(audience, []).append(added)
    for audience, dates in gone.items():
        after = -1
        for added in dates:
            if added <= after:
                continue
            rows = _AHEAD.run(tx, audience=audience, after=added - 1, most=1)
            found = Segment._make(rows[0]) if rows else None
            # Up to where there is none, or none any more.
            after = FOREVER if found is None else found.last if found.first <= added else found.first - 1
            if found is not None and found.first <= added:
                _split(tx, audience, found, dates)


def _split(tx: Connection, audience: int, whole: Segment, gone: Sequence[int]) -> None:
    """In place of `whole`: what is left of it without the rows at the dates `gone`, which are in order."""
    rows = _INSIDE.run(tx, whose=audience, since=whole.first, until=whole.last)
    _DROP.run(tx, whose=audience, at=whole.last)
    runs: list[list[Any]] = [[]]
    for row in rows:
        before = runs[-1][-1] if runs[-1] else row
        # Rows of one run stand side by side, and nothing that goes stands between them.
        if row is not before and (row[1], row[2], _behind(gone, row[0])) != (
            before[1], before[3] + 1, _behind(gone, before[0]),
        ):  # fmt: skip
            runs.append([])
        runs[-1].append(row)
    loose: list[int] = []
    for run in runs:
        dates = [row[0] for row in run]
        if len(run) < PIECE:
            loose += dates
            continue
        made = _made(run[0][1:3], run[-1][1:4:2], dates, min(row[4] for row in run))
        _KEEP.run(tx, audience=audience, **made._asdict())
    if loose:
        _UNSEAL.rows(tx, loose, whose=audience)


def _behind(gone: Sequence[int], added: int) -> tuple[int, int]:
    """How many dates of `gone` lie before this one, without it and with it."""
    return bisect_left(gone, added), bisect_right(gone, added)


_here = and_(
    listing.c.audience == bindparam("whose"),
    listing.c.added >= bindparam("since"),
    listing.c.added <= bindparam("until"),
    listing.c.sealed,
)
_INSIDE = Query(
    select(listing.c.added, listing.c.block, listing.c.start, listing.c.stop, listing.c.not_after)
    .where(_here, listing.c.closed.is_(None))
    .order_by(listing.c.added)
)
_UNSEAL = Lookup(
    update(listing).where(listing.c.audience == bindparam("whose"), among(listing.c.added)).values(sealed=false())
)
_DROP = Query(delete(segment).where(_s.audience == bindparam("whose"), _s.last == bindparam("at")))
_SHORTEST = Query(select(func.min(listing.c.not_after)).where(_here))
_SEALED = Query(
    select(listing.c.added)
    .where(listing.c.audience == bindparam("whose"), listing.c.added == bindparam("at"))
    .where(listing.c.sealed)
)
_TERM = Query(
    update(segment)
    .where(_s.audience == bindparam("whose"), _s.last == bindparam("at"))
    .values(not_after=bindparam("term"))
)


def adjusted(tx: Connection, shown: Iterable[tuple[int, int]]) -> None:
    """After these rows, which a plain page shows, got other terms: until when their segments may be read.

    A row that stands in the range of a segment and not in it was hidden until now: that segment dissolves.
    """
    terms: dict[tuple[int, Segment], None] = {}
    for audience, added in sorted(shown):
        found = _covering(tx, audience, added)
        if found is not None and _SEALED.one(tx, whose=audience, at=added) is None:
            dissolve(tx, [(audience, added)])
            terms.pop((audience, found), None)
        elif found is not None:
            terms[audience, found] = None
    for audience, found in terms:
        term = _SHORTEST.one(tx, whose=audience, since=found.first, until=found.last)
        _TERM.run(tx, whose=audience, at=found.last, term=term)
