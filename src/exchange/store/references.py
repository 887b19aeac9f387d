"""References between the statements of one source: what they refer to, what hangs on them, what stands around them.

RULES R10, R11 and R13 work on these; only what the newest versions state counts, and only within one source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, String, bindparam, literal_column, or_, select

from exchange.model.marking import Label
from exchange.model.stix import CONTAINERS
from exchange.store import widenings
from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, among
from exchange.store.statements import Held
from exchange.store.tables import derived, listing, reference, statement

_SOURCE: ColumnElement[str] = bindparam("source", type_=String)
# Written so that SQLite begins with the references and not with all that a source gave.
_SAME = statement.c.source.concat("") == _SOURCE
_REFERRED = Lookup(select(reference.c.target).where(among(reference.c.seq)))
_UNMARKED = Lookup(
    select(statement.c.seq).where(
        statement.c.source == _SOURCE, among(statement.c.stix_id), ~statement.c.marked, ~statement.c.waiting
    )
)
_CONTAINS = [statement.c.type == literal_column(f"'{kind}'") for kind in sorted(CONTAINERS)]
_HOLDING = Lookup(
    select(statement.c.seq)
    .join(reference, reference.c.seq == statement.c.seq)
    .where(among(reference.c.target), reference.c.ends, _SAME, ~statement.c.waiting)
    .where(or_(~statement.c.marked, *_CONTAINS))
)
_LINKS = Lookup(
    select(statement.c.stix_id)
    .join(reference, reference.c.seq == statement.c.seq)
    .where(among(reference.c.target), reference.c.ends, _SAME, statement.c.type == literal_column("'relationship'"))
)
_MINE = (_SAME, statement.c.newest, statement.c.marked)
_REFERRERS = Lookup(
    select(reference.c.target, statement.c.stated)
    .join(statement, statement.c.seq == reference.c.seq)
    # One that states no level may all the same be for a few only (MISP's distribution), and so says how far this goes.
    .where(among(reference.c.target), _SAME, statement.c.newest)
    .distinct()
)
_ENDS = Lookup(
    select(reference.c.seq, statement.c.stated)
    .join(statement, statement.c.stix_id == reference.c.target)
    .where(among(reference.c.seq), reference.c.ends, *_MINE)
)


def referred(tx: Connection, seqs: Iterable[int]) -> set[str]:
    """What these statements refer to."""
    return {row[0] for row in _REFERRED.rows(tx, seqs)}


def links(tx: Connection, source: str, stix_ids: Iterable[str]) -> set[str]:
    """The ids of the relationships of `source` that have one of `stix_ids` as an end."""
    return {row[0] for row in _LINKS.rows(tx, stix_ids, source=source)}


def dependants(tx: Connection, source: str, stix_ids: Collection[str], refs: Collection[str]) -> list[int]:
    """Judged statements of `source` whose worth may change: unmarked ones in `refs`, which something that changed
    refers to or did, and those that have one of `stix_ids`, which changed, as an end or hold it.
    """
    found = _UNMARKED.rows(tx, refs, source=source) + _HOLDING.rows(tx, stix_ids, source=source)
    return sorted({row[0] for row in found})


def bearing(tx: Connection, source: str, marks: Collection[str], *, after: int, upto: int, most: int) -> list[int]:
    """The statements of `source` behind `after` up to `upto` that refer to one of these marks, in order."""
    span = {"source": source, "after": after, "upto": upto, "most": most}
    return sorted({row[0] for row in _BEARING.rows(tx, marks, **span)})[:most]


_BEARING = Lookup(
    select(statement.c.seq)
    .join(reference, reference.c.seq == statement.c.seq)
    .where(among(reference.c.target), _SAME, reference.c.seq > bindparam("after"), reference.c.seq <= bindparam("upto"))
    .order_by(reference.c.seq)
    .limit(bindparam("most"))
)


def audiences_of(tx: Connection, source: str, marks: Collection[str]) -> list[int]:
    """The numbers of the audiences in which any of those stands, as it is, altered or widened."""
    found = {row[0] for row in _SHOWN.rows(tx, marks, source=source)}
    found |= {row[0] for row in _SHOWN_ALTERED.rows(tx, marks, source=source)}
    for some in chunks(marks):
        bearing = select(statement.c.stix_id).select_from(_REFERRING).where(reference.c.target.in_(some))
        found |= widenings.audiences_of(tx, bearing.where(statement.c.source.concat("") == source))
    return sorted(found)


_REFERRING = statement.join(reference, reference.c.seq == statement.c.seq)
_STANDS = (among(reference.c.target), _SAME, listing.c.closed.is_(None))
_SHOWN = Lookup(
    select(listing.c.audience)
    .distinct()
    .select_from(_REFERRING.join(listing, listing.c.seq == statement.c.seq))
    .where(*_STANDS)
)
_SHOWN_ALTERED = Lookup(
    select(listing.c.audience)
    .distinct()
    .select_from(
        _REFERRING.join(derived, derived.c.of == statement.c.seq).join(listing, listing.c.seq == derived.c.seq)
    )
    .where(*_STANDS)
)


@dataclass(slots=True)
class Neighbours:
    """The stated labels around one unmarked statement, within its source (RULES R10)."""

    ends: list[Label]
    referrers: list[Label]


def neighbours(tx: Connection, source: str, subjects: Sequence[Held]) -> dict[int, Neighbours]:
    """Number → the stated labels of its ends and of what refers to it, by the newest versions of the same source."""
    around = {subject.seq: Neighbours([], []) for subject in subjects}
    by_id: dict[str, list[int]] = {}
    for subject in subjects:
        by_id.setdefault(subject.stix_id, []).append(subject.seq)
    for target, stated in _REFERRERS.rows(tx, by_id, source=source):
        for seq in by_id[target]:
            around[seq].referrers.append(Label.from_text(stated))
    for seq, stated in _ENDS.rows(tx, around, source=source):
        around[seq].ends.append(Label.from_text(stated))
    return around
