"""Sittings: each time that listings were decided and written, by which terms, and what was known then (RULES R17, R27).

One short row for each, and one for each audience whose listing grew: a row of a listing is known by its date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select

from exchange.store.prepared import Query
from exchange.store.tables import dated, followed, listing, sitting, statement

_AT_ONCE = 1_000


class Sitting(NamedTuple):
    """One of them. `at`, `ruled`: µs since 1970."""

    id: int
    at: int
    ruled: int
    terms: int
    upto: int


class Followed(NamedTuple):
    """Terms that the store followed from `at` (µs) on, and the first sitting that may have decided by them."""

    id: int
    at: int
    epoch: str
    terms: str
    sitting: int


class Dates(NamedTuple):
    """What one sitting gave to one audience: the last date, and how many rows. `sitting` 0: older than the records."""

    audience: int
    last: int
    sitting: int
    rows: int


def follow(tx: Connection, epoch: str, terms: str, at: int) -> int:
    """These terms are followed from now on; gives their number."""
    number = 1 + (_TERMS.one(tx) or 0)
    row = {"id": number, "at": at, "epoch": epoch, "terms": terms, "sitting": 1 + (_LAST.one(tx) or 0)}
    tx.execute(insert(followed), row)
    return number


_f, _s, _d = followed.c, sitting.c, dated.c
_TERMS = Query(select(func.max(_f.id)))
_LAST = Query(select(func.max(_s.id)))
_UPTO = Query(select(func.max(statement.c.seq)))
_NEWEST = Query(select(_f.id, _f.epoch).order_by(_f.id.desc()).limit(1))
_ADD = Query(insert(sitting).values({c.name: bindparam(f"b_{c.name}") for c in sitting.columns}))
_DATE = Query(insert(dated).values({c.name: bindparam(f"b_{c.name}") for c in dated.columns}))


def record(
    tx: Connection, epoch: str, terms: Callable[[], str], *, ruled: int, at: int, dates: Mapping[int, tuple[int, int]]
) -> None:
    """Write a sitting down, in its own transaction. `dates`: audience → its last date, and how many rows it got."""
    newest = _NEWEST.run(tx)
    number = newest[0][0] if newest and newest[0][1] == epoch else follow(tx, epoch, terms(), at)
    sat = 1 + (_LAST.one(tx) or 0)
    _ADD.run(tx, b_id=sat, b_at=at, b_ruled=ruled, b_terms=number, b_upto=_UPTO.one(tx) or 0)
    _DATE.many(
        tx,
        [
            {"b_audience": audience, "b_last": last, "b_sitting": sat, "b_count": count}
            for audience, (last, count) in dates.items()
        ],
    )


# --- asking ----------------------------------------------------------------------------------------------------------

_DATES = [_d.audience, _d.last, _d.sitting, _d["count"]]
_SITTING = [_s[name] for name in Sitting._fields]
_NUMBERED = Query(select(*_SITTING).where(_s.id == bindparam("number")))
_AT = Query(select(*_SITTING).where(_s.at == bindparam("moment")).order_by(_s.id))
_LAST_AT = Query(select(_s.at).order_by(_s.id.desc()).limit(1))
_KNOWING = Query(select(func.min(_s.id)).where(_s.upto >= bindparam("seq")))
_BY = Query(select(func.max(_s.id)).where(_s.at <= bindparam("moment")))
_OF_DATE = Query(
    select(*_DATES).where(_d.audience == bindparam("number"), _d.last >= bindparam("date")).order_by(_d.last).limit(1)
)


def numbered(tx: Connection, number: int) -> Sitting | None:
    """The sitting with this number."""
    rows = _NUMBERED.run(tx, number=number)
    return Sitting(*rows[0]) if rows else None


def at(tx: Connection, moment: int) -> list[Sitting]:
    """The sittings at this very instant, in order."""
    return [Sitting(*row) for row in _AT.run(tx, moment=moment)]


def last_by(tx: Connection, moment: int) -> int:
    """The last sitting up to this instant; 0: none."""
    return _BY.one(tx, moment=moment) or 0


def last_at(tx: Connection) -> int:
    """The clock of the last sitting; 0: there was none."""
    return _LAST_AT.one(tx) or 0


def first_knowing(tx: Connection, seq: int) -> int | None:
    """The first sitting that knew this statement; None: none yet."""
    found: int | None = _KNOWING.one(tx, seq=seq)
    return found


def of_date(tx: Connection, audience: int, date: int) -> Dates | None:
    """In which sitting this date of the audience's listing was given; None: in none."""
    rows = _OF_DATE.run(tx, number=audience, date=date)
    return Dates(*rows[0]) if rows else None


def terms(tx: Connection) -> list[Followed]:
    """All that was followed, in order."""
    return [Followed(*row) for row in tx.execute(select(*(_f[name] for name in Followed._fields)).order_by(_f.id))]


def miscounted(tx: Connection, number: int) -> Iterator[tuple[Dates, int]]:
    """Where the listing of this audience holds more or fewer rows than were listed: the sitting, and how many it has.

    A row is never deleted, so each date stands for one row for good.
    """
    before, after = 0, -1
    query = select(*_DATES).where(_d.audience == number, _d.last > bindparam("after"))
    counting = Query(
        select(func.count()).where(
            listing.c.audience == number, listing.c.added > bindparam("low"), listing.c.added <= bindparam("high")
        )
    )
    while rows := tx.execute(query.order_by(_d.last).limit(_AT_ONCE), {"after": after}).all():
        for row in rows:
            dates = Dates(*row)
            found = counting.one(tx, low=before, high=dates.last)
            if dates.sitting and found != dates.rows:
                yield dates, found
            before = after = dates.last


def beyond(tx: Connection, number: int) -> list[int]:
    """The dates in the listing of this audience that are later than any that was given; at most a thousand."""
    last = select(func.coalesce(func.max(_d.last), 0)).where(_d.audience == number).scalar_subquery()
    query = select(listing.c.added).where(listing.c.audience == number, listing.c.added > last)
    return list(tx.execute(query.order_by(listing.c.added).limit(_AT_ONCE)).scalars())
