"""Age: who was told that something was seen, which rows are due, and whose end is to be told again.

What an object's age rests on are the sightings, and the opinions that deny it, which stand in the same listing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Select, bindparam, delete, exists, func, insert, literal_column, select

from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import heard, listing, reference, renewal, statement

TELLING = ("sighting", "opinion")
"""The types of what says that something was seen, or that it is none."""
MOST = 100
"""Sightings, and as many opinions, of one object by one peer that count for an audience: those with the latest
versions. Of each peer, so that nobody drowns what the others saw.
"""
_l, _r, _s = listing.c, reference.c, statement.c
_tells = _s.type.in_([literal_column(f"'{kind}'") for kind in TELLING])


class Told(NamedTuple):
    """One sighting or opinion of `target`, as it stands in the listing of an audience."""

    target: str
    audience: int
    seq: int
    type: str
    peer: str
    received: int
    block: int
    start: int
    stop: int


class Heard(NamedTuple):
    """What the tellings about `target` up to the statement `upto` say together."""

    target: str
    upto: int
    told: str
    """JSON, of whoever makes it."""


def sums(tx: Connection, targets: Iterable[str]) -> list[Heard]:
    """What is kept of these, where their tellings are many."""
    return [Heard(*row) for row in _SUMS.rows(tx, targets)]


def keep(tx: Connection, sums: Iterable[Heard]) -> None:
    """Keep these in place of what was kept of the same objects."""
    for each in sums:
        _DROP.run(tx, target=each.target)
        _KEEP.run(tx, **each._asdict())


def lose_all(tx: Connection) -> None:
    """Under other terms others may be told other things."""
    tx.execute(delete(heard))


def lose(tx: Connection, seqs: Iterable[int]) -> None:
    """These tellings came, went or changed where they were counted already: what they are about is read anew."""
    _LOSE.rows(tx, seqs)


_h = heard.c
_SUMS = Lookup(select(_h.target, _h.upto, _h.told).where(among(_h.target)))
_DROP = Query(delete(heard).where(_h.target == bindparam("target")))
_KEEP = Query(insert(heard).values({name: bindparam(name) for name in Heard._fields}))
_LOSE = Lookup(
    delete(heard).where(
        _h.target.in_(select(_r.target).where(among(_r.seq), _r.ends, _r.seq <= _h.upto).correlate(heard))
    )
)


def told(tx: Connection, targets: Iterable[str]) -> list[Told]:
    """What each audience is told of these objects, besides what is kept of them; what is revoked tells nothing."""
    return [Told(*row) for row in _TOLD.rows(tx, targets)]


_ranked = (
    select(
        _r.target, _l.audience, _s.seq, _s.type, _s.peer, _s.received, _s.block, _s.start, _s.stop,
        func.row_number()
        .over(partition_by=(_r.target, _l.audience, _s.type, _s.peer), order_by=(_s.version.desc(), _s.seq.desc()))
        .label("place"),
    )
    .select_from(
        reference.outerjoin(heard, _h.target == _r.target)
        .join(statement, _s.seq == _r.seq)
        .join(listing, _l.seq == _s.seq)
    )
    .where(among(_r.target), _r.ends, _r.seq > func.coalesce(_h.upto, 0))
    .where(_tells, ~_s.revoked, _l.closed.is_(None), _l.latest)
    .subquery()
)  # fmt: skip
_TOLD = Lookup(select(*(_ranked.c[name] for name in Told._fields)).where(_ranked.c.place <= MOST))


def seen_twins(tx: Connection, facts: Iterable[str]) -> list[tuple[str, str]]:
    """(fact, id) of whatever states one of `facts` and of which somebody said something."""
    return [(fact, stix_id) for fact, stix_id in _SEEN_TWINS.rows(tx, facts)]


_by = statement.alias("by")
_SEEN_TWINS = Lookup(
    select(_s.fact, _s.stix_id)
    .where(among(_s.fact), _s.fact.is_not(None), _s.newest)
    .where(
        exists().where(
            _r.target == _s.stix_id, _r.ends, _by.c.seq == _r.seq,
            _by.c.type.in_([literal_column(f"'{kind}'") for kind in TELLING]),
        )
    )
    .distinct()
)  # fmt: skip

_DUE = (_l.closed.is_(None), _l.expires.is_not(None), _l.expires <= bindparam("now", type_=BigInteger))


class Due(NamedTuple):
    """A row that expires."""

    audience: int
    added: int
    stix_id: str


def due(tx: Connection, now: int, most: int) -> list[Due]:
    """The rows that expire by `now`, in the order in which they do."""
    return [Due(*row) for row in _DUES.run(tx, now=now, most=most)]


_DUES = Query(
    select(_l.audience, _l.added, _s.stix_id)
    .join(statement, _s.seq == _l.seq)
    .where(*_DUE)
    .order_by(_l.expires)
    .limit(bindparam("most"))
)


def any_due(tx: Connection, now: int) -> bool:
    """Whether a row expires by `now`, or the end of something is to be told again."""
    return _ANY_DUE.one(tx, now=now) is not None or _ANY_OWED.one(tx) is not None


_ANY_DUE = Query(select(_l.added).where(*_DUE).limit(1))
_ANY_OWED = Query(select(renewal.c.seq).limit(1))


def owed(tx: Connection, most: int) -> list[tuple[int, str]]:
    """(number, id) of statements whose end is to be told again, oldest first."""
    return [(row[0], row[1]) for row in _OWED.run(tx, most=most)]


_OWED = Query(
    select(renewal.c.seq, _s.stix_id)
    .join(statement, _s.seq == renewal.c.seq)
    .order_by(renewal.c.seq)
    .limit(bindparam("most"))
)


def settle(tx: Connection, seqs: Collection[int]) -> None:
    """Their ends have been told."""
    tx.execute(delete(renewal).where(renewal.c.seq.in_(list(seqs))))


def owe_seen(tx: Connection, seqs: Iterable[int]) -> None:
    """What these sightings and opinions are about, and its twins: their ends are to be told again."""
    given = list(seqs)
    _OWE_ABOUT.rows(tx, given)
    # Fact by fact: a thousand sightings of the thousand twins of one fact are about one.
    owe_facts(tx, {row[0] for row in _FACTS_ABOUT.rows(tx, given)})


def owe_facts(tx: Connection, facts: Iterable[str]) -> None:
    """The same of whatever states one of `facts`."""
    _OWE_FACTS.rows(tx, facts)


_twin, _waits = statement.alias("twin"), renewal.alias("waits")


def _owing(found: Select[tuple[int]]) -> Lookup:
    once = found.where(_twin.c.newest, ~exists().where(_waits.c.seq == _twin.c.seq)).distinct()
    return Lookup(insert(renewal).from_select(["seq"], once))


_ABOUT = (among(_r.seq), _r.ends)
_OWE_ABOUT = _owing(select(_twin.c.seq).join(reference, _r.target == _twin.c.stix_id).where(*_ABOUT))
_FACTS_ABOUT = Lookup(
    select(_s.fact).join(reference, _r.target == _s.stix_id).where(*_ABOUT, _s.fact.is_not(None)).distinct()
)
_OWE_FACTS = _owing(select(_twin.c.seq).where(among(_twin.c.fact), _twin.c.fact.is_not(None)))
