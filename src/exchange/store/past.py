"""What a decision rested on, with the sitting from which it held: what is read here is put together in `sync.replay`.

Everything is read for some hundred ids at a time; of one id with more around it than MOST nothing is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, String, bindparam, func, literal, select, text

from exchange.model.marking import Label
from exchange.store.aliases import FOR_ITSELF
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import (
    alias,
    approval,
    audience,
    former,
    ledger,
    lifted,
    listing,
    reference,
    statement,
    withdrawal,
)
from exchange.store.work import NOTICES

MOST = 50_000
"""Neighbours of a few hundred ids."""
STILL = 2**62
"""Later than any sitting."""


class Mark(NamedTuple):
    """A mark of withdrawal, and for which sittings it holds."""

    peer: str
    channel: str
    version: str
    since: int
    until: int


class Near(NamedTuple):
    """A statement of the same source around one that has no marks of its own, or holds others."""

    end: bool
    """The one refers to it as an end, or holds it; else it refers to the one."""
    seq: int
    stix_id: str
    version: str
    stated: Label


class Version(NamedTuple):
    """One of the versions that a source gave of one id."""

    version: str
    seq: int
    received: int
    newest: bool


class Row(NamedTuple):
    """A row of a listing, as it stands now or was closed."""

    audience: int
    added: int
    seq: int
    type: str
    label: str
    agreement: str
    not_after: int
    closed: int | None
    closed_code: str | None
    expires: int | None


class Handed(NamedTuple):
    """A row of the ledger about something that somebody took from us."""

    id: int
    at: int
    peer: str
    channel: str
    seq: int
    stix_id: str
    version: str
    agreement: str


_l, _s, _w, _r = listing.c, statement.c, withdrawal.c, reference.c
_ROWS = Lookup(select(*(_l[name] for name in Row._fields)).where(among(_l.seq)))
_FORMER = Lookup(select(former.c.seq, former.c.what, former.c.value, former.c.until).where(among(former.c.seq)))
_STANDING = Lookup(
    select(_w.stix_id, _w.peer, _w.channel, _w.version, _w.sitting, literal(STILL)).where(among(_w.stix_id))
)
_GONE = Lookup(
    select(
        lifted.c.stix_id, lifted.c.peer, lifted.c.channel, lifted.c.version, lifted.c.since, lifted.c.until
    ).where(among(lifted.c.stix_id))
)  # fmt: skip
_WORDS = Lookup(select(approval.c.id, approval.c.sitting).where(among(approval.c.stix_id)))
_GIVERS = Lookup(
    select(alias.c.seq, statement.c.seq, statement.c.peer)
    .select_from(alias.join(statement, statement.c.stix_id == alias.c.alias))
    .where(among(alias.c.seq), FOR_ITSELF)
)
_OF_DOCUMENTS = Lookup(select(_s.seq).where(among(_s.seq), _s.document.is_not(None)))
_SOURCE: ColumnElement[str] = bindparam("source", type_=String)
_SAME = _s.source.concat("") == _SOURCE
_REFERRERS = Lookup(
    select(_r.target, _s.seq, _s.stix_id, _s.version, _s.stated)
    .join(statement, _s.seq == _r.seq)
    .where(among(_r.target), _SAME)
    .limit(MOST + 1)
)
_ENDS = Lookup(
    select(_r.seq, _s.seq, _s.stix_id, _s.version, _s.stated)
    .join(statement, _s.stix_id == _r.target)
    .where(among(_r.seq), _r.ends, _SAME)
    .limit(MOST + 1)
)
_CHAINS = Lookup(select(_s.stix_id, _s.version, _s.seq, _s.received, _s.newest).where(among(_s.stix_id), _SAME))


def rows(tx: Connection, seqs: Iterable[int]) -> list[Row]:
    """Every row that these statements ever had in a listing, oldest first."""
    return sorted((Row(*row) for row in _ROWS.rows(tx, seqs)), key=lambda row: (row.audience, row.added))


def changed(tx: Connection, seqs: Iterable[int]) -> dict[int, dict[str, list[tuple[int, str]]]]:
    """Number → what → (the first sitting for which it no longer held, what stood there), in order."""
    found: dict[int, dict[str, list[tuple[int, str]]]] = {}
    for seq, what, value, until in _FORMER.rows(tx, seqs):
        found.setdefault(seq, {}).setdefault(what, []).append((until, value))
    for whats in found.values():
        for said in whats.values():
            said.sort(key=lambda pair: pair[0])
    return found


def marks(tx: Connection, stix_ids: Collection[str]) -> dict[str, list[Mark]]:
    """Id → every mark of withdrawal that it ever had."""
    found: dict[str, list[Mark]] = {}
    for stix_id, *mark in (*_STANDING.rows(tx, stix_ids), *_GONE.rows(tx, stix_ids)):
        found.setdefault(stix_id, []).append(Mark(*mark))
    return found


def words(tx: Connection, stix_ids: Iterable[str]) -> dict[int, int]:
    """Number of an approval → the first sitting that knew it, of all that persons said of these ids."""
    return dict(map(tuple, _WORDS.rows(tx, stix_ids)))


def givers(tx: Connection, seqs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
    """Number → (statement, peer) of all that was given under another id which it says is its own too."""
    found: dict[int, list[tuple[int, str]]] = {}
    for seq, other, peer in _GIVERS.rows(tx, seqs):
        found.setdefault(seq, []).append((other, peer))
    return found


def of_documents(tx: Connection, seqs: Iterable[int]) -> set[int]:
    """Those of these statements that were made of something else than a STIX object."""
    return {row[0] for row in _OF_DOCUMENTS.rows(tx, seqs)}


def around(tx: Connection, source: str, ids: dict[str, list[int]]) -> dict[int, list[Near]] | None:
    """Number → all that ever stood around these statements of `source`; `ids`: id → its statements.

    None: there is more of it than is read at once.
    """
    found: dict[int, list[Near]] = {}
    referring = _REFERRERS.rows(tx, ids, source=source)
    ends = _ENDS.rows(tx, [seq for seqs in ids.values() for seq in seqs], source=source)
    if max(len(referring), len(ends)) > MOST:
        return None
    for target, *near in referring:
        for seq in ids[target]:
            found.setdefault(seq, []).append(_near(near, end=False))
    for seq, *near in ends:
        found.setdefault(seq, []).append(_near(near, end=True))
    return found


def _near(row: Sequence[Any], *, end: bool) -> Near:
    seq, stix_id, version, stated = row
    return Near(end, seq, stix_id, version, Label.from_text(stated))


def chains(tx: Connection, source: str, stix_ids: Iterable[str]) -> dict[str, list[Version]]:
    """Id → all that `source` said under it."""
    found: dict[str, list[Version]] = {}
    for stix_id, *version in _CHAINS.rows(tx, stix_ids, source=source):
        found.setdefault(stix_id, []).append(Version(*version))
    return found


# --- what is gone through --------------------------------------------------------------------------------------------

_IDS = Query(
    select(_s.seq, _s.stix_id)
    .where(_s.seq > bindparam("after"), _s.source != NOTICES)
    .order_by(_s.seq)
    .limit(bindparam("most"))
)
_TAKEN = text("ledger.outcome IN ('accepted', 'delivered')")
_HANDED = Lookup(select(*(ledger.c[name] for name in Handed._fields)).where(among(ledger.c.stix_id), _TAKEN))


def ids(tx: Connection, after: int, most: int) -> list[tuple[int, str]]:
    """(number, id) of the next statements behind `after`, but for our own notices."""
    return [(row[0], row[1]) for row in _IDS.run(tx, after=after, most=most)]


def handed(tx: Connection, stix_ids: Iterable[str]) -> list[Handed]:
    """What the ledger says that partners took from us under these ids."""
    return [Handed(*row) for row in _HANDED.rows(tx, stix_ids)]


def nowhere(tx: Connection, most: int) -> list[Handed]:
    """What the ledger says that partners took, and that was never listed to them, in that very version."""
    there = (
        select(_l.seq)
        .join(statement, _s.seq == _l.seq)
        .join(audience, audience.c.number == _l.audience)
        .where(
            _l.seq == ledger.c.seq, audience.c.channel == ledger.c.channel, _s.stix_id == ledger.c.stix_id,
            _l.added <= ledger.c.at + 1_000_000,
        )
    )  # fmt: skip
    query = select(*(ledger.c[name] for name in Handed._fields)).where(_TAKEN, ledger.c.stix_id != "", ~there.exists())
    return [Handed(*row) for row in tx.execute(query.order_by(ledger.c.id).limit(most))]


def nameless(tx: Connection) -> int:
    """How many rows of the ledger are about something that was erased."""
    query = select(func.count()).select_from(ledger).where(ledger.c.stix_id == "")
    return int(tx.execute(query).scalar_one())
