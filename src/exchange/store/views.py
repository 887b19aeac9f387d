"""What an audience reads, all of it at once: what a MISP feed is made of (RULES R26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from exchange.store import blocks
from exchange.store.pages import IN_FRONT, LATEST, OPEN
from exchange.store.tables import listing, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an audience reads now, with the named creator: what a feed is made of."""

    added: int
    stix_id: str
    version: str
    creator: str
    label: str
    """What it is judged under, as `Label.to_text` writes it."""
    body: bytes


def shown(tx: Connection, number: int, now: int) -> Sequence[Shown]:
    """Everything that the audience reads at `now`, in order of `added`."""
    row = listing.c
    query = (
        select(
            row.added, statement.c.stix_id, statement.c.version, statement.c.creator, row.label,
            row.block, row.start, row.stop,
        )
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == number, OPEN, LATEST, IN_FRONT, row.not_after > now)
        .order_by(row.added)
    )  # fmt: skip
    rows = tx.execute(query).all()
    bodies = blocks.read(tx, [found[5:] for found in rows])
    return [
        Shown(added=at, stix_id=stix_id, version=version, creator=creator, label=label, body=body)
        for (at, stix_id, version, creator, label, *_), body in zip(rows, bodies, strict=True)
    ]


def last_closed(tx: Connection, number: int, now: int) -> Mapping[str, int]:
    """Creator → when something of its was last taken from this audience, by closing or by the end of an agreement."""
    row = listing.c
    since = func.max(func.coalesce(row.closed, row.not_after)).label("since")
    query = (
        select(statement.c.creator, since)
        .join(statement, statement.c.seq == row.seq)
        .where(row.audience == number, ~row.folded, or_(row.closed.is_not(None), row.not_after <= now))
        .group_by(statement.c.creator)
    )
    return {row.creator: int(row.since) for row in tx.execute(query)}


def mark(tx: Connection, number: int, now: int) -> tuple[int, ...]:
    """Changes whenever what the audience reads changes: rows added, closed, unfolded, or out of force."""
    row = listing.c
    query = select(
        func.count(), func.coalesce(func.max(row.added), 0), func.coalesce(func.sum(row.added % 2_147_483_647), 0)
    ).where(row.audience == number, OPEN, LATEST, IN_FRONT, row.not_after > now)
    gone = select(func.coalesce(func.max(row.closed), 0)).where(row.audience == number, row.closed.is_not(None))
    return (*(int(value) for value in tx.execute(query).one()), int(tx.execute(gone).scalar_one()))
