"""Whom the objects of a source say was attacked: the recipients of a message, and what else something targeted.

What one statement said stays said, whatever its later versions say: who was a recipient once was attacked. Each source
speaks for its own statements alone (RULES R14).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, String, bindparam, func, insert, literal_column, or_, select

from exchange.model.personal import SPEAKING
from exchange.store import widenings
from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import derived, listing, statement, trait, victim
from exchange.store.work import ERASED, NODE

_s = statement.c
_SOURCE: ColumnElement[str] = bindparam("source", type_=String)
_SAME = _s.source.concat("") == _SOURCE
_ANY = Query(select(victim.c.seq).limit(1))
_KEEP = Query(insert(victim))
_SAID = Lookup(select(victim.c.target, victim.c.seq).where(among(victim.c.target), victim.c.source == _SOURCE))
_UNTOLD = Lookup(
    select(_s.seq)
    .join(trait, trait.c.seq == _s.seq, isouter=True)
    .where(among(_s.stix_id), _SAME, or_(trait.c.seq.is_(None), ~trait.c.victim))
)
_OF = Lookup(
    select(_s.seq)
    .where(among(_s.stix_id), _SAME, _s.seq > bindparam("after"), _s.seq <= bindparam("upto"))
    .order_by(_s.seq)
    .limit(bindparam("most"))
)
_NEXT = (
    select(_s.seq)
    .where(_s.seq > bindparam("after"), _s.seq <= bindparam("upto"))
    .order_by(_s.seq)
    .limit(bindparam("most"))
)
_GIVEN = _NEXT.where(_s.type != literal_column(f"'{ERASED}'"))
_OF_SOURCE = Query(_GIVEN.where(_SAME))
_OF_ALL = Query(_GIVEN.where(_s.peer.concat("") != literal_column(f"'{NODE}'")))
_SPEAKING = Query(_NEXT.where(_SAME, or_(*(_s.type == literal_column(f"'{kind}'") for kind in sorted(SPEAKING)))))
_STANDS = (among(_s.stix_id), _SAME, listing.c.closed.is_(None))
_STANDING = Lookup(
    select(listing.c.audience).distinct().select_from(statement.join(listing, listing.c.seq == _s.seq)).where(*_STANDS)
)
_STANDING_ALTERED = Lookup(
    select(listing.c.audience)
    .distinct()
    .select_from(statement.join(derived, derived.c.of == _s.seq).join(listing, listing.c.seq == derived.c.seq))
    .where(*_STANDS)
)


NOT_TAKEN = 0
"""In place of the statement, where what said so was set aside."""


def keep(tx: Connection, source: str, said: Mapping[int, Collection[str]]) -> None:
    """Write down whom these statements of `source` name, beside those of whom it is written down."""
    targets = {ref for refs in said.values() for ref in refs}
    if not targets:
        return
    known = {(target, seq) for target, seq in _SAID.rows(tx, targets, source=source)}
    rows = sorted((ref, seq) for seq, refs in said.items() for ref in refs if (ref, seq) not in known)
    _KEEP.many(tx, [{"target": ref, "source": source, "seq": seq} for ref, seq in rows])


def named(tx: Connection, source: str, stix_ids: Iterable[str]) -> set[str]:
    """Those of these ids that `source` says are a victim's."""
    if _ANY.one(tx) is None:
        return set()
    return {row[0] for row in _SAID.rows(tx, stix_ids, source=source)}


def speakers(tx: Connection, source: str, stix_id: str, most: int) -> list[str]:
    """The ids of the objects of `source` that say that this one is a victim's, the first ones first."""
    said = select(_s.stix_id, func.min(_s.seq)).join(victim, victim.c.seq == _s.seq).group_by(_s.stix_id)
    said = said.where(victim.c.target == stix_id, victim.c.source == source).order_by(func.min(_s.seq)).limit(most)
    return list(tx.execute(said).scalars())


def untold(tx: Connection, source: str, stix_ids: Iterable[str]) -> list[int]:
    """The statements of `source` about these ids of which is not written down that they are a victim's, in order."""
    return sorted({row[0] for row in _UNTOLD.rows(tx, stix_ids, source=source)})


def about(tx: Connection, source: str, stix_ids: Iterable[str], *, after: int, upto: int, most: int) -> list[int]:
    """The statements of `source` about these ids behind `after` up to `upto`, in order."""
    rows = _OF.rows(tx, stix_ids, source=source, after=after, upto=upto, most=most)
    return sorted({row[0] for row in rows})[:most]


def speaking(tx: Connection, source: str, *, after: int, upto: int, most: int) -> list[int]:
    """The statements of `source` behind `after` up to `upto` that may name a victim, in order."""
    return [row[0] for row in _SPEAKING.run(tx, source=source, after=after, upto=upto, most=most)]


def of_source(tx: Connection, source: str, *, after: int, upto: int, most: int) -> list[int]:
    """The statements of `source` (empty: of every one but our own) behind `after` up to `upto`, in order."""
    if not source:
        return [row[0] for row in _OF_ALL.run(tx, after=after, upto=upto, most=most)]
    return [row[0] for row in _OF_SOURCE.run(tx, source=source, after=after, upto=upto, most=most)]


def audiences_of(tx: Connection, source: str, stix_ids: Collection[str]) -> list[int]:
    """The numbers of the audiences in which any of those stands, as its source stated it, altered or widened."""
    found = {row[0] for row in _STANDING.rows(tx, stix_ids, source=source)}
    found |= {row[0] for row in _STANDING_ALTERED.rows(tx, stix_ids, source=source)}
    for some in chunks(stix_ids):
        found |= widenings.audiences_of(tx, select(_s.stix_id).where(_s.stix_id.in_(some), _s.source == source))
    return sorted(found)
