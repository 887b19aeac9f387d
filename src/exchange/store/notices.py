"""Recall notices (RULES R8): which audience was told that it may no longer have which object, and where that stands.

A notice is a statement of our own, of a source and peer that no configuration can name, in no event: no view of MISP
and no decision about what others said ever meets it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, literal_column, select, update

from exchange.store import blocks, listings
from exchange.store.prepared import Inserting, Lookup, Query, among
from exchange.store.pushed import SENT
from exchange.store.statements import Held, chunks
from exchange.store.tables import audience, listing, notice, outbox, read, statement
from exchange.store.work import NODE, NOTICES

PEER = NODE
NO_EVENT = 0
OVER = ""
"""In place of an action: the object is listed to them again."""


class Told(NamedTuple):
    """What one audience was last told of one object."""

    audience: int
    stix_id: str
    seq: int
    """The statement that says so."""
    action: str


def any_made(tx: Connection) -> bool:
    """Whether anybody was ever told anything; most stores hold no notice."""
    return _ANY.one(tx) is not None


def told(tx: Connection, stix_ids: Collection[str]) -> dict[tuple[int, str], Told]:
    """(audience, id) → what it was last told, of these objects."""
    return {(row[0], row[1]): Told._make(row) for row in _OF.rows(tx, stix_ids)}


_n = notice.c
_ANY = Query(select(_n.audience).limit(1))
_OF = Lookup(select(_n.audience, _n.stix_id, _n.seq, _n.action).where(among(_n.stix_id)))


def keep(tx: Connection, rows: Sequence[Told]) -> None:
    """Write down what they are told now."""
    if not rows:
        return
    known = told(tx, {row.stix_id for row in rows})
    here = (_n.audience == bindparam("who"), _n.stix_id == bindparam("what"))
    old = [row for row in rows if (row.audience, row.stix_id) in known]
    if old:
        values = [{"who": r.audience, "what": r.stix_id, "which": r.seq, "said": r.action} for r in old]
        tx.execute(update(notice).where(*here).values(seq=bindparam("which"), action=bindparam("said")), values)
    new = [row for row in rows if (row.audience, row.stix_id) not in known]
    Inserting(tx.dialect, notice, Told._fields).many(tx, new)


def others(held: Mapping[str, list[Held]]) -> dict[str, list[Held]]:
    """`held` without the ids under which we gave something of our own making, a notice or an altered object: nothing is
    decided of them, whoever hands them back.
    """
    return {stix_id: group for stix_id, group in held.items() if all(item.peer != NODE for item in group)}


def sent(tx: Connection, places: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of these listings of push targets, as (audience, date), the target has, or may have."""
    found: set[tuple[int, int]] = set()
    for some in chunks(places):
        query = select(outbox.c.audience, outbox.c.added).where(
            outbox.c.audience.in_({number for number, _ in some}),
            outbox.c.added.in_({added for _, added in some}),
            SENT,
        )
        found |= {(row[0], row[1]) for row in tx.execute(query)}
    return found


def had(tx: Connection, number: int, channel: str, stix_ids: Collection[str]) -> set[str]:
    """Which of these the push target `channel`, whose audience is `number`, has accepted from us, or may have."""
    found = {stix_id for stix_id, _ in listings.accepted(tx, channel, stix_ids)}
    for ids in chunks(stix_ids):
        query = (
            select(statement.c.stix_id)
            .join(listing, listing.c.seq == statement.c.seq)
            .join(outbox, and_(outbox.c.audience == listing.c.audience, outbox.c.added == listing.c.added))
            # Written so that SQLite begins with the ids and not with all that the target has.
            .where(statement.c.stix_id.in_(ids), (listing.c.audience + literal_column("0")) == number, SENT)
        )
        found |= set(tx.execute(query).scalars())
    return found


def standing(tx: Connection, number: int) -> list[tuple[listings.Listed, bytes]]:
    """Every notice that this audience reads, with its bytes."""
    query = select(statement.c.stix_id).join(notice, notice.c.seq == statement.c.seq).where(_n.audience == number)
    ids = list(tx.execute(query.where(_n.action != OVER)).scalars())
    rows = [row for row in listings.standing(tx, ids) if row.audience == number]
    bodies = blocks.read(tx, [(row.block, row.start, row.stop) for row in rows])
    return list(zip(rows, bodies, strict=True))


def history(tx: Connection, stix_ids: Collection[str]) -> list[dict[str, Any]]:
    """Every notice that there ever was about these objects, in order: to whom, from when until when."""
    found: list[dict[str, Any]] = []
    last = statement.alias("last")
    for ids in chunks(stix_ids):
        query = (
            select(
                _n.stix_id, statement.c.stix_id.label("note"), statement.c.version, listing.c.added, listing.c.closed,
                audience.c.key, audience.c.channel, audience.c.members, audience.c.number,
            )
            .select_from(notice)
            .join(last, last.c.seq == _n.seq)
            .join(statement, statement.c.stix_id == last.c.stix_id)
            .join(listing, listing.c.seq == statement.c.seq)
            .join(audience, audience.c.number == listing.c.audience)
            .where(_n.stix_id.in_(ids), statement.c.source == NOTICES)
        )  # fmt: skip
        found += [dict(row) for row in tx.execute(query).mappings()]
    return sorted(found, key=lambda row: row["added"])


def fetched(tx: Connection, key: str, added: int) -> list[tuple[str, int]]:
    """(account, when) of the first page of each account that held what this audience got at `added`. Read ledger."""
    r = read.c
    query = select(r.account, r.at).where(r.audience == key, r.first <= added, r.last >= added).order_by(r.id)
    first: dict[str, int] = {}
    for account, at in tx.execute(query):
        first.setdefault(account, at)
    return list(first.items())


def readers(tx: Connection, key: str, added: int) -> list[tuple[str, str, int]]:
    """(peer, account, when) of the first page of each account that held what this audience got at `added`. Read
    ledger."""
    r = read.c
    query = select(r.peer, r.account, func.min(r.at)).where(r.audience == key, r.first <= added, r.last >= added)
    return [(row[0], row[1], row[2]) for row in tx.execute(query.group_by(r.peer, r.account).order_by(r.account))]
