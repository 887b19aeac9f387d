"""What stands around a fact: who states it, what refers to it, what shares a value with it; for `exchange show`.

Every query is bounded: what there is beyond is counted, as far as counting is bounded too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from exchange.store.columns import CHUNK, chunks, indexed
from exchange.store.tables import alias, audience, event, listing, observable, reference, review, statement
from exchange.store.work import NODE

_s = statement.c


def stating(tx: Connection, fact: str, most: int) -> tuple[list[str], int]:
    """The ids under which a fact is stated, the oldest first, at most `most`; and how many statements state it."""
    mine = _s.fact == fact
    ids = select(_s.stix_id).where(mine).group_by(_s.stix_id).order_by(func.min(_s.seq)).limit(most)
    count = tx.execute(select(func.count()).where(mine)).scalar_one()
    return list(tx.execute(ids).scalars()), int(count)


def known_by(tx: Connection, foreign: Iterable[str], most: int) -> list[str]:
    """The ids of what a source says is known by one of these foreign ids."""
    found: list[str] = []
    for some in chunks(dict.fromkeys(foreign)):
        query = select(_s.stix_id).join(alias, alias.c.seq == _s.seq).where(alias.c.alias.in_(some), _s.newest)
        found += tx.execute(query.distinct().limit(most)).scalars()
    return found


def named(tx: Connection, seqs: Iterable[int]) -> dict[int, list[str]]:
    """Number → the foreign ids by which its source says that its object is known."""
    found: dict[int, list[str]] = {}
    for some in chunks(seqs):
        for seq, foreign in tx.execute(select(alias.c.seq, alias.c.alias).where(alias.c.seq.in_(some))):
            found.setdefault(seq, []).append(foreign)
    return found


class Sharing(NamedTuple):
    """A statement of something else that states one of the same values."""

    value: str
    path: str
    seq: int
    stix_id: str
    type: str
    source: str
    fact: str | None


def sharing(tx: Connection, values: Collection[str], most: int) -> list[Sharing]:
    """What states one of `values`, newest words only, oldest first; at most about `most`."""
    found: list[Sharing] = []
    for some in chunks(dict.fromkeys(map(indexed, values))):
        o = observable.c
        query = select(o.value, o.path, _s.seq, _s.stix_id, _s.type, _s.source, _s.fact)
        query = query.join(statement, _s.seq == o.seq).where(o.value.in_(some), _s.newest).order_by(_s.seq).limit(most)
        found += [Sharing._make(row) for row in tx.execute(query)]
    return found


class Referring(NamedTuple):
    """A statement that refers to something."""

    target: str
    seq: int
    stix_id: str
    type: str
    source: str


def referring(tx: Connection, stix_ids: Iterable[str], most: int) -> tuple[list[Referring], bool]:
    """The newest statements that refer to `stix_ids`, at most `most` references of each looked at, the newest first;
    and whether there are more. What we made ourselves of such statements says nothing more."""
    found: list[Referring] = []
    more = False
    for target in dict.fromkeys(stix_ids):
        r = reference.c
        some = select(r.target, r.seq).where(r.target == target).order_by(r.seq.desc()).limit(most + 1).subquery()
        query = select(some.c.target, _s.seq, _s.stix_id, _s.type, _s.source, _s.newest & (_s.peer != NODE))
        rows = tx.execute(query.join(statement, _s.seq == some.c.seq).order_by(_s.seq.desc())).all()
        more = more or len(rows) > most
        found += [Referring._make(row[:-1]) for row in rows[:most] if row[-1]]
    return found, more


class Beside(NamedTuple):
    """What the row of a statement says beside what deciding needs."""

    document: int | None
    """Of which MISP event it was made."""
    doubt: str


def beside(tx: Connection, seqs: Iterable[int]) -> dict[int, Beside]:
    """Number → that."""
    found: dict[int, Beside] = {}
    for some in chunks(seqs):
        query = select(_s.seq, _s.document, _s.doubt).where(_s.seq.in_(some))
        found |= {row[0]: Beside(row[1], row[2]) for row in tx.execute(query)}
    return found


def reviews(tx: Connection, stix_ids: Iterable[str], most: int) -> list[Mapping[str, Any]]:
    """What people decided of these after a look, the latest first."""
    found: list[Mapping[str, Any]] = []
    for some in chunks(stix_ids):
        query = select(review).where(review.c.stix_id.in_(some)).order_by(review.c.id.desc()).limit(most)
        found += [dict(row) for row in tx.execute(query).mappings()]
    return found


def with_uuid(tx: Connection, kinds: Iterable[str], uuid: str, most: int) -> list[str]:
    """The ids with this uuid: of `kinds` at once; if there is none, of whatever kind, which reads all ids."""
    query = select(_s.stix_id).distinct().limit(most)
    for some in chunks([f"{kind}--{uuid}" for kind in kinds], CHUNK):
        found = list(tx.execute(query.where(_s.stix_id.in_(some))).scalars())
        if found:
            return found
    return list(tx.execute(query.where(_s.stix_id.like(f"%--{uuid}"))).scalars())


class Part(NamedTuple):
    """How much of an event one source gave, of one type and under one label."""

    creator: str
    source: str
    type: str
    label: str | None
    members: int
    attributes: int
    """How many MISP attributes they may be."""
    first: int
    last: int
    """When the first and the last of it were received."""
    revoked: int


def event_numbers(tx: Connection, key: str) -> list[int]:
    """The numbers of the events with this key, whoever their creator is."""
    return list(tx.execute(select(event.c.id).where(event.c.key == key)).scalars())


def event_parts(tx: Connection, numbers: Collection[int]) -> list[Part]:
    """What belongs to these events, counted; newest versions only."""
    query = (
        select(
            event.c.creator, _s.source, _s.type, _s.label, func.count(), func.sum(_s.attributes),
            func.min(_s.received), func.max(_s.received), func.count().filter(_s.revoked),
        )
        .join(event, event.c.id == _s.event)
        .where(_s.event.in_(list(numbers)), _s.newest)
        .group_by(event.c.creator, _s.source, _s.type, _s.label)
    )  # fmt: skip
    return [Part._make((*row[:4], *map(int, row[4:]))) for row in tx.execute(query)]


def event_members(tx: Connection, numbers: Collection[int], most: int) -> Sequence[int]:
    """The first statements of these events."""
    query = select(_s.seq).where(_s.event.in_(list(numbers)), _s.newest).order_by(_s.seq).limit(most)
    return list(tx.execute(query).scalars())


def event_listings(tx: Connection, numbers: Collection[int]) -> list[tuple[str, int, int, int]]:
    """(channel, how many stand there, how many of these are folded, since when), of these events."""
    query = (
        select(
            audience.c.channel, func.count(), func.count().filter(listing.c.folded), func.min(listing.c.added)
        )
        .select_from(statement)
        .join(listing, listing.c.seq == _s.seq)
        .join(audience, audience.c.number == listing.c.audience)
        .where(_s.event.in_(list(numbers)), listing.c.closed.is_(None), listing.c.latest)
        .group_by(audience.c.number, audience.c.channel)
        .order_by(audience.c.channel)
    )  # fmt: skip
    return [(row[0], int(row[1]), int(row[2]), int(row[3])) for row in tx.execute(query)]
