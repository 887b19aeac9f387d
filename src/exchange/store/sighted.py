"""Sightings that an audience reads of what stands in its events, whoever saw it.

What is folded is not in an event itself, but the one in front of it is, which states the same fact: there the sightings
of both stand. (Where twins are listed, MISP holds one attribute of a value for an event: `twins` are told by it.)

A sighting of MISP is a STIX sighting, or where it says the contrary an opinion, or a note. Which opinions and notes are
one is not to be seen without reading them: each is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, case, func, literal_column, or_, select

from exchange.store import blocks
from exchange.store.derived import GIVER, any_made
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import derived, listing, reference, statement
from exchange.store.views import ALSO_MINE, SHOWN, Found, Row, Strand, bodies

_AT_ONCE = 500
_l, _s = listing.c, statement.c
_about, _told = statement.alias("about"), listing.alias("told")
_PAIRS = (
    _told.join(_about, _about.c.seq == _told.c.seq)
    .join(reference, and_(reference.c.seq == _told.c.seq, reference.c.ends))
    .join(statement, _s.stix_id == reference.c.target)
    .join(listing, _l.seq == _s.seq)
)
_behind, _folded = statement.alias("behind"), listing.alias("folded")
_FOLDED = (
    _told.join(_about, _about.c.seq == _told.c.seq)
    .join(reference, and_(reference.c.seq == _told.c.seq, reference.c.ends))
    .join(_behind, _behind.c.stix_id == reference.c.target)
    .join(
        _folded,
        and_(_folded.c.seq == _behind.c.seq, _folded.c.audience == _told.c.audience, _folded.c.folded,
             _folded.c.closed.is_(None)),
    )
    .join(listing, and_(_l.fact == _folded.c.fact, _l.audience == _folded.c.audience))
    .join(statement, _s.seq == _l.seq)
)  # fmt: skip
_d = derived.c
_ALTERED = (
    _told.join(_about, _about.c.seq == _told.c.seq)
    .join(reference, and_(reference.c.seq == _told.c.seq, reference.c.ends))
    .join(derived, _d.stix_id == reference.c.target)
    .join(statement, _s.seq == _d.seq)
    .join(listing, _l.seq == _s.seq)
)
_ALL = (_PAIRS, _FOLDED, _ALTERED)
_BESIDE = case((_l.rank < 0, 1), else_=0).label("beside")
_WHEN = func.coalesce(_told.c.closed, _told.c.added)
_MINE = _told.c.audience == bindparam("number")
# What is in no event is told of nothing that stands in one.
_ITS = and_(_MINE, _about.c.event != literal_column("0"))
_IS_SIGHTING = _told.c.type == literal_column("'sighting'")
_MAY_BE = or_(_told.c.type == literal_column("'opinion'"), _told.c.type == literal_column("'note'"))


def any_sighting(tx: Connection, number: int) -> bool:
    """Whether anything was ever listed to this audience that may be a sighting."""
    return any(query.one(tx, number=number) is not None for query in _ANY)


_ANY = [Query(select(_told.c.added).where(_MINE, each).limit(1)) for each in (_IS_SIGHTING, _MAY_BE)]


def sighted(
    tx: Connection,
    number: int,
    now: int,
    known: MutableMapping[int, bool],
    is_one: Callable[[bytes], bool],
    *,
    folds: bool,
) -> Mapping[Strand, int]:
    """Strand → when the last sighting of anything shown in it was listed to this audience, or taken from it.

    `known`: number of a statement → whether that opinion or note is one; `is_one` tells it of the bytes of others.
    `folds`: whether anything may be folded here.
    """
    found: dict[Strand, int] = {}
    perhaps: list[Any] = []
    for joined in _places(tx, folds=folds):
        for event, peer, beside, when in _SIGHTED[joined].run(tx, number=number, now=now):
            strand = event, peer, bool(beside)
            found[strand] = max(found.get(strand, 0), when)
        perhaps += _PERHAPS[joined].run(tx, number=number, now=now)
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


def _places(tx: Connection, *, folds: bool) -> tuple[Any, ...]:
    """Where it may stand what was seen: by itself, behind another, or in another form."""
    return (_PAIRS, *((_FOLDED,) if folds else ()), *((_ALTERED,) if any_made(tx) else ()))


_SIGHTED = {
    places: Query(
        select(_s.event, GIVER, _BESIDE, func.max(_WHEN))
        .select_from(places)
        .where(_ITS, _IS_SIGHTING, ALSO_MINE, SHOWN)
        .group_by(_s.event, GIVER, _BESIDE)
    )
    for places in _ALL
}
_PERHAPS = {
    places: Query(
        select(_s.event, GIVER, _BESIDE, _WHEN, _told.c.seq, _told.c.block, _told.c.start, _told.c.stop)
        .select_from(places)
        .where(_ITS, _MAY_BE, ALSO_MINE, SHOWN)
    )
    for places in _ALL
}


class Seen(NamedTuple):
    """What may be a sighting, and of what."""

    strand: Strand
    """Of what stands in the event."""
    found: Found
    target: int
    """The statement of which it is told."""
    front: int
    """The one that stands in the event: the same, that in front of it, or what was made of it."""


def sightings(tx: Connection, number: int, now: int, events: Collection[int], *, folds: bool) -> Iterator[Seen]:
    """What may be a sighting, and the audience reads, of anything it reads in these events, or that is folded there.

    The events in the order given: that of their numbers would tell which was heard of first, by whomever (RULES R14).
    """
    wanted, places = list(events), _places(tx, folds=folds)
    for begin in range(0, len(wanted), _AT_ONCE):
        some, found = wanted[begin : begin + _AT_ONCE], []
        for joined in places:
            found += _SIGHTINGS[joined].rows(tx, some, number=number, now=now)
        found.sort(key=lambda row: row[_ADDED])
        for at in range(0, len(found), _AT_ONCE):
            few = found[at : at + _AT_ONCE]
            rows = [Row._make(row[5:]) for row in few]
            for row, told, body in zip(few, rows, bodies(tx, rows), strict=True):
                yield Seen((row[0], row[1], bool(row[2])), Found(told, body), row[3], row[4])


_OF_LISTING = frozenset({"added", "rank", "label", "closed", "not_after", "latest", "folded", "block", "start", "stop",
                         "agreement"})  # fmt: skip
_ADDED = 5 + Row._fields.index("added")


def _sightings(places: Any, target: ColumnElement[int]) -> Lookup:
    shown = (_told.c[name] if name in _OF_LISTING else _about.c[name] for name in Row._fields)
    return Lookup(
        select(_s.event, GIVER, _BESIDE, target, _s.seq.label("front"), *shown)
        .select_from(places)
        .where(
            _ITS, or_(_IS_SIGHTING, _MAY_BE), ALSO_MINE, SHOWN, among(_s.event), _told.c.closed.is_(None),
            _told.c.latest, ~_told.c.folded, _told.c.not_after > bindparam("now", type_=BigInteger),
        )
        .order_by(_told.c.added)
    )  # fmt: skip


_SIGHTINGS = {
    _PAIRS: _sightings(_PAIRS, _s.seq),
    _FOLDED: _sightings(_FOLDED, _behind.c.seq),
    _ALTERED: _sightings(_ALTERED, _d.of),
}
_first, _earlier = statement.alias("first"), listing.alias("earlier")
_TWINS = Lookup(
    select(_s.seq, _earlier.c.seq)
    .select_from(
        statement.join(listing, _l.seq == _s.seq)
        .join(_first, and_(_first.c.fact == _s.fact, _first.c.event == _s.event))
        .join(_earlier, and_(_earlier.c.seq == _first.c.seq, _earlier.c.audience == _l.audience))
    )
    .where(
        among(_s.seq), ALSO_MINE, SHOWN, _earlier.c.added < _l.added, _earlier.c.closed.is_(None), _earlier.c.latest,
        ~_earlier.c.folded, _earlier.c.not_after > bindparam("now", type_=BigInteger),
    )
    .order_by(_earlier.c.added)
)  # fmt: skip


def twins(tx: Connection, number: int, now: int, seqs: Collection[int]) -> Mapping[int, int]:
    """Statement → the first before it that states the same fact in the same event, of what this audience reads."""
    found: dict[int, int] = {}
    for seq, first in _TWINS.rows(tx, sorted(seqs), number=number, now=now):
        found.setdefault(seq, first)
    return found
