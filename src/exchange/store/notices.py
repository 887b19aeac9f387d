"""Recall notices (RULES R8): what was said of which object, and where that stands.

A notice is a statement of our own, of a source and peer that no configuration can name, in no event: no view of MISP
and no decision about what others said ever meets it. Who was told is who has it in their listing; only what a push
target was told, and in which versions, is kept beside it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, literal_column, select, update

from exchange.store import blocks, listings
from exchange.store.prepared import Inserting, Lookup, Query, among
from exchange.store.pushed import SENT
from exchange.store.statements import Held, chunks
from exchange.store.tables import audience, listing, notice, outbox, read, statement
from exchange.store.work import NODE, NOTICES

PEER = NODE
NO_EVENT = 0
OVER = ""
"""In place of an action: the target has the object again."""
ALSO_THERE = listing.c.audience + literal_column("0") == bindparam("number")
"""Written so that SQLite begins with the notices and not with all that the audience reads."""


class Told(NamedTuple):
    """A notice: which statement of ours says it of which object."""

    stix_id: str
    seq: int
    target: int
    """The number of the push target to which alone it is said; 0: it is said to whomever it is listed to."""
    action: str


def any_made(tx: Connection) -> bool:
    """Whether anybody was ever told anything; most stores hold no notice."""
    return _ANY.one(tx) is not None


def about(tx: Connection, stix_ids: Iterable[str]) -> list[Told]:
    """Everything that was ever said of these objects, in no order."""
    return [Told._make(row) for row in _ABOUT.rows(tx, stix_ids)]


_n = notice.c
_ANY = Query(select(_n.seq).limit(1))
_ABOUT = Lookup(select(_n.stix_id, _n.seq, _n.target, _n.action).where(among(_n.stix_id)))


def last_of(told: Iterable[Told]) -> dict[tuple[int, str], Told]:
    """(push target, id) → what it was told last."""
    found: dict[tuple[int, str], Told] = {}
    for each in sorted(told, key=lambda each: each.seq):
        if each.target:
            found[each.target, each.stix_id] = each
    return found


def keep(tx: Connection, rows: Sequence[Told]) -> None:
    """Write down what is said now."""
    Inserting(tx.dialect, notice, Told._fields).many(tx, rows)


def over(tx: Connection, rows: Iterable[Told]) -> None:
    """These targets have the objects again."""
    _ENDS.many(tx, [{"what": row.stix_id, "which": row.seq} for row in rows])


_ENDS = Query(
    update(notice)
    .where(_n.stix_id == bindparam("what"), _n.seq == bindparam("which"))
    .values(action=literal_column(f"'{OVER}'"))
)
_OPEN = Lookup(listings.listed(among(listing.c.seq)))
_OPEN_THERE = Lookup(listings.listed(among(listing.c.seq), ALSO_THERE))
_FEW = 4
"""Audiences up to which each is asked for its rows by itself."""


def open_rows(tx: Connection, seqs: Collection[int], numbers: Collection[int]) -> list[listings.Listed]:
    """Where these notices stand in the listings of the audiences `numbers`."""
    if len(numbers) <= _FEW:
        return [row for number in sorted(numbers) for row in listings.found(_OPEN_THERE, tx, seqs, number=number)]
    return [row for row in listings.found(_OPEN, tx, seqs) if row.audience in numbers]


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
    here = (listing.c.audience == number, listing.c.type == "note", statement.c.source == NOTICES)
    rows = [listings.Listed(*row) for row in tx.execute(listings.listed(*here))]
    bodies = blocks.read(tx, [(row.block, row.start, row.stop) for row in rows])
    return list(zip(rows, bodies, strict=True))


def history(tx: Connection, stix_ids: Collection[str]) -> list[dict[str, Any]]:
    """Every notice that there ever was about these objects, in order: to whom, from when until when."""
    found: list[dict[str, Any]] = []
    for ids in chunks(stix_ids):
        query = (
            select(
                _n.stix_id, statement.c.stix_id.label("note"), statement.c.version, listing.c.added, listing.c.closed,
                audience.c.key, audience.c.channel, audience.c.members, audience.c.number,
            )
            .select_from(notice)
            .join(statement, statement.c.seq == _n.seq)
            .join(listing, listing.c.seq == statement.c.seq)
            .join(audience, audience.c.number == listing.c.audience)
            .where(_n.stix_id.in_(ids))
        )  # fmt: skip
        found += [dict(row) for row in tx.execute(query).mappings()]
    return sorted(found, key=lambda row: (row["added"], row["number"]))


def fetched(tx: Connection, key: str, added: int) -> list[tuple[str, int]]:
    """(account, when) of the first page of each account that held what this audience got at `added`. Read ledger."""
    r = read.c
    query = select(r.account, r.at).where(r.audience == key, r.first <= added, r.last >= added).order_by(r.id)
    first: dict[str, int] = {}
    for account, at in tx.execute(query):
        first.setdefault(account, at)
    return list(first.items())


def readers(tx: Connection, key: str, dates: Iterable[int]) -> dict[int, list[tuple[str, str, int]]]:
    """Date → (peer, account, when) of the first page of each account that held what this audience got then. Read
    ledger.
    """
    wanted = sorted(set(dates))
    if not wanted:
        return {}
    first: dict[tuple[int, str, str], int] = {}
    r = read.c
    query = select(r.peer, r.account, r.first, r.last, r.at).where(
        r.audience == key, r.first <= wanted[-1], r.last >= wanted[0]
    )
    for peer, account, begin, end, at in tx.execute(query):
        for added in wanted[bisect_left(wanted, begin) : bisect_right(wanted, end)]:
            first[added, peer, account] = min(at, first.get((added, peer, account), at))
    found: dict[int, list[tuple[str, str, int]]] = {}
    for (added, peer, account), at in sorted(first.items(), key=lambda each: each[0][1:]):
        found.setdefault(added, []).append((peer, account, at))
    return found
