"""Sightings that an audience reads of what stands in its events, whoever saw it.

A sighting of MISP is a STIX sighting, or where it says the contrary an opinion, or a note. Which opinions and notes are
one is not to be seen without reading them: each is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, func, literal_column, or_, select

from exchange.store import blocks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import listing, reference, statement
from exchange.store.views import ALSO_MINE, ROW, SHOWN, Found, Row, Strand, bodies

_AT_ONCE = 500
_l, _s = listing.c, statement.c
_about, _told = statement.alias("about"), listing.alias("told")
_PAIRS = (
    _told.join(_about, _about.c.seq == _told.c.seq)
    .join(reference, and_(reference.c.seq == _told.c.seq, reference.c.ends))
    .join(statement, _s.stix_id == reference.c.target)
    .join(listing, _l.seq == _s.seq)
)
_BESIDE = case((_l.rank < 0, 1), else_=0).label("beside")
_WHEN = func.coalesce(_told.c.closed, _told.c.added)
_ITS = _told.c.audience == bindparam("number")
_IS_SIGHTING = _told.c.type == literal_column("'sighting'")
_MAY_BE = or_(_told.c.type == literal_column("'opinion'"), _told.c.type == literal_column("'note'"))


def any_sighting(tx: Connection, number: int) -> bool:
    """Whether anything was ever listed to this audience that may be a sighting."""
    return any(query.one(tx, number=number) is not None for query in _ANY)


_ANY = [Query(select(_told.c.added).where(_ITS, each).limit(1)) for each in (_IS_SIGHTING, _MAY_BE)]


def sighted(
    tx: Connection, number: int, now: int, known: MutableMapping[int, bool], is_one: Callable[[bytes], bool]
) -> Mapping[Strand, int]:
    """Strand → when the last sighting of anything shown in it was listed to this audience, or taken from it.

    `known`: number of a statement → whether that opinion or note is one; `is_one` tells it of the bytes of others.
    """
    seen = _SIGHTED.run(tx, number=number, now=now)
    found: dict[Strand, int] = {(event, peer, bool(beside)): when for event, peer, beside, when in seen}
    perhaps = _PERHAPS.run(tx, number=number, now=now)
    new = {row[4]: (row[5], row[6], row[7]) for row in perhaps if row[4] not in known}
    places = sorted(new.items(), key=lambda item: item[1])
    for begin in range(0, len(places), _AT_ONCE):
        some = places[begin : begin + _AT_ONCE]
        for (seq, _), body in zip(some, blocks.read(tx, [place for _, place in some]), strict=True):
            known[seq] = is_one(body)
    for event, peer, beside, when, seq, *_ in perhaps:
        if known[seq]:
            strand = event, peer, bool(beside)
            found[strand] = max(found.get(strand, 0), when)
    return found


_SIGHTED = Query(
    select(_s.event, _s.peer, _BESIDE, func.max(_WHEN))
    .select_from(_PAIRS)
    .where(_ITS, _IS_SIGHTING, ALSO_MINE, SHOWN)
    .group_by(_s.event, _s.peer, _BESIDE)
)
_PERHAPS = Query(
    select(_s.event, _s.peer, _BESIDE, _WHEN, _told.c.seq, _told.c.block, _told.c.start, _told.c.stop)
    .select_from(_PAIRS)
    .where(_ITS, _MAY_BE, ALSO_MINE, SHOWN)
)


def sightings(tx: Connection, number: int, now: int, events: Collection[int]) -> Iterator[tuple[Strand, Found]]:
    """What may be a sighting, and the audience reads, of anything it reads in these events; with the strand of that."""
    for begin in range(0, len(wanted := sorted(events)), _AT_ONCE):
        found = _SIGHTINGS.rows(tx, wanted[begin : begin + _AT_ONCE], number=number, now=now)
        for at in range(0, len(found), _AT_ONCE):
            some = [((row[0], row[1], bool(row[2])), Row._make(row[3:])) for row in found[at : at + _AT_ONCE]]
            read = bodies(tx, [row for _, row in some])
            yield from ((strand, Found(row, body)) for (strand, row), body in zip(some, read, strict=True))


_SIGHTINGS = Lookup(
    select(_s.event, _s.peer, _BESIDE, *(_about.c[c.name] if c.table is statement else _told.c[c.name] for c in ROW))
    .select_from(_PAIRS)
    .where(
        _ITS, or_(_IS_SIGHTING, _MAY_BE), ALSO_MINE, SHOWN, among(_s.event), _told.c.closed.is_(None), _told.c.latest,
        ~_told.c.folded, _told.c.not_after > bindparam("now", type_=BigInteger),
    )
    .order_by(_told.c.added)
)  # fmt: skip
