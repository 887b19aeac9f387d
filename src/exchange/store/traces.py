"""What `exchange why` asks of the store about a statement in a listing: its neighbours, its rows, who fetched it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, func, or_, select

from exchange.model.marking import Label
from exchange.store.statements import Held
from exchange.store.tables import listing, member, outbox, read, reference, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A marked object of the same source, from which a label may have come (RULES R10, R13)."""

    role: str
    """end: this object connects or comments on it, or contains it; referrer: it refers to this object."""
    stix_id: str
    label: Label
    """What it states itself."""


def near(tx: Connection, held: Held, most: int) -> tuple[list[Near], int]:
    """The marked ends and referrers of a statement within its source, at most `most` of each; how many there are."""
    mine = (statement.c.source == held.source, statement.c.newest, statement.c.marked)
    ends = (
        select(statement.c.stix_id, statement.c.stated)
        .join(reference, reference.c.target == statement.c.stix_id)
        .where(reference.c.seq == held.seq, reference.c.ends, *mine)
    )
    referrers = (
        select(statement.c.stix_id, statement.c.stated)
        .join(reference, reference.c.seq == statement.c.seq)
        .where(reference.c.target == held.stix_id, *mine)
    )
    found, count = [], 0
    for role, query in (("end", ends), ("referrer", referrers)):
        count += tx.execute(select(func.count()).select_from(query.subquery())).scalar() or 0
        rows = tx.execute(query.order_by(statement.c.stix_id).limit(most))
        found += [Near(role=role, stix_id=row[0], label=Label.from_text(row[1])) for row in rows]
    return found, count


def rows(tx: Connection, numbers: Collection[int], seqs: Sequence[int]) -> list[Mapping[str, Any]]:
    """Every row that these statements ever had in the listings of these audiences, oldest first."""
    query = (
        select(listing)
        .where(listing.c.seq.in_(list(seqs)), listing.c.audience.in_(list(numbers)))
        .order_by(listing.c.added)
    )
    return [dict(row) for row in tx.execute(query).mappings()]


def versions(tx: Connection, number: int, stix_id: str) -> set[str]:
    """The versions of an object that stand in the listing of an audience."""
    query = (
        select(statement.c.version)
        .join(listing, listing.c.seq == statement.c.seq)
        .where(statement.c.stix_id == stix_id, listing.c.audience == number, listing.c.closed.is_(None))
    )
    return set(tx.execute(query).scalars())


def parcel(tx: Connection, number: int, added: int) -> RowMapping | None:
    """The outbox entry of a row of a push target: state, attempts, message, status."""
    row = tx.execute(select(outbox).where(outbox.c.audience == number, outbox.c.added == added)).first()
    return None if row is None else row._mapping


def was_member(tx: Connection, number: int, peer: str, at: int) -> bool:
    """Whether the peer belonged to the audience at `at` (µs)."""
    there = or_(member.c.until.is_(None), member.c.until > at)
    query = select(member.c.id).where(member.c.audience == number, member.c.peer == peer, member.c.since <= at, there)
    return tx.execute(query.limit(1)).first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetches:
    """The pages that may have held one row: how many, and the first and the newest of them as read-ledger rows."""

    count: int
    first: RowMapping | None
    newest: Sequence[RowMapping]


def fetches(tx: Connection, key: str, added: int, closed: int | None, peer: str, most: int) -> Fetches:
    """Pages over the date `added` of the audience `key`, while the row stood there. `tx`: of `Store.noted`."""
    where = [read.c.audience == key, read.c.first <= added, read.c.last >= added]
    where += [] if closed is None else [read.c.at < closed]
    where += [read.c.peer == peer] if peer else []
    first = tx.execute(select(read).where(*where).order_by(read.c.id).limit(1)).first()
    newest = tx.execute(select(read).where(*where).order_by(read.c.id.desc()).limit(most)).all()
    return Fetches(
        count=tx.execute(select(func.count()).select_from(read).where(*where)).scalar() or 0,
        first=None if first is None else first._mapping,
        newest=[row._mapping for row in newest],
    )


def last_read(tx: Connection, key: str, peer: str) -> RowMapping | None:
    """The last page that an account of `peer` was given of this audience's listing. `tx`: of `Store.noted`."""
    where = [read.c.audience == key, *([read.c.peer == peer] if peer else [])]
    row = tx.execute(select(read).where(*where).order_by(read.c.id.desc()).limit(1)).first()
    return None if row is None else row._mapping
