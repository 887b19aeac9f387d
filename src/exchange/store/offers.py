"""What stood where, when: by the ledgers and the listings, whose rows are only closed (RULES R27)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, literal_column, or_, select

from exchange.store.columns import chunks
from exchange.store.tables import audience, derived, ledger, listing, member, read, statement

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A row of a listing, with what it shows."""

    stix_id: str
    version: str
    type: str
    agreement: str
    folded: bool
    seq: int = 0
    """Of the statement."""
    original: str = ""
    """Of what was altered for them, the id of which it was made; told by `seen` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the listing of the audience `audience` (its key), as it stood at `at`; in µs, both ends included."""

    audience: str
    first: int
    last: int
    at: int


def given(
    tx: Connection, span: Span, *, ids: Collection[str] = (), types: Collection[str] = (), latest: bool = True
) -> Iterator[Place]:
    """What stood there then, in order. `latest`: only the newest version of the most authoritative chain of each id."""
    row, s = listing.c, statement.c
    # Dates may be up to a second ahead of the clock (R20), so what the page held may be dated after it.
    stood = [or_(row.closed.is_(None), row.closed > span.at), row.not_after > span.at]
    wanted: list[ColumnElement[bool]] = [row.added.between(span.first, span.last), *stood]
    if ids:
        wanted.append(s.stix_id.in_(sorted(ids)))
    if types:
        wanted.append(row.type.in_(sorted(types)))
    if latest:
        wanted.append(_newest(max(span.at, span.last)))
    query = (
        select(s.stix_id, s.version, row.type, row.agreement, row.folded, row.seq)
        .select_from(listing.join(statement, s.seq == row.seq).join(audience, audience.c.number == row.audience))
        .where(audience.c.key == span.audience, *wanted)
        .order_by(row.added)
    )
    for stix_id, version, kind, agreement, folded, seq in tx.execute(query):
        yield Place(stix_id=stix_id, version=version, type=kind, agreement=agreement, folded=bool(folded), seq=seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One listing that an object had; `closed` None: it stands."""

    stix_id: str
    channel: str
    members: tuple[str, ...]
    added: int
    closed: int | None
    version: str
    type: str
    agreement: str
    seq: int
    """Of the statement."""


def offered(tx: Connection, stix_ids: Collection[str]) -> Iterator[Offer]:
    """Every listing that these objects ever had, oldest first; of many ids, some at a time."""
    row = listing.c
    for ids in chunks(stix_ids):
        query = (
            select(
                statement.c.stix_id, audience.c.channel, audience.c.members, row.added, row.closed,
                statement.c.version, row.type, row.agreement, row.seq,
            )
            .select_from(listing.join(statement, statement.c.seq == row.seq))
            .join(audience, audience.c.number == row.audience)
            .where(statement.c.stix_id.in_(ids))
            .order_by(row.added)
        )  # fmt: skip
        for stix_id, channel, members, added, closed, version, kind, agreement, seq in tx.execute(query):
            yield Offer(
                stix_id=stix_id, channel=channel, members=_names(members), added=added, closed=closed, version=version,
                type=kind, agreement=agreement, seq=seq,
            )  # fmt: skip


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def places(tx: Connection, stix_ids: Collection[str]) -> dict[str, list[tuple[int, int | None]]]:
    """Audience → (added, closed) of every listing that these objects ever had there, in order."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    for ids in chunks(stix_ids):
        query = (
            select(audience.c.key, listing.c.added, listing.c.closed)
            .select_from(listing.join(statement, statement.c.seq == listing.c.seq))
            .join(audience, audience.c.number == listing.c.audience)
            .where(statement.c.stix_id.in_(ids))
        )
        for key, added, closed in tx.execute(query):
            found.setdefault(key, []).append((added, closed))
    return {key: sorted(spans, key=lambda span: span[0]) for key, spans in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a partner could see of one kind in one place: how many objects of a type under a label."""

    channel: str
    type: str
    label: str
    """As `Label.to_text` writes it."""
    count: int


def visible(tx: Connection, peer: str, at: int) -> list[Seen]:
    """What `peer` could see at `at` (µs), counted; of each object the version that a plain request got."""
    row = listing.c
    query = (
        select(audience.c.channel, row.type, row.label, func.count())
        .select_from(listing.join(statement, statement.c.seq == row.seq))
        .join(audience, audience.c.number == row.audience)
        .where(audience.c.number.in_(_belonged(peer, at)), *_stood(at), ~row.folded, _newest(at))
        .group_by(audience.c.channel, row.type, row.label)
        .order_by(audience.c.channel, row.type, row.label)
    )
    return [Seen(channel=a, type=b, label=c, count=d) for a, b, c, d in tx.execute(query)]


def seen(tx: Connection, peer: str, at: int, channel: str = "") -> Iterator[tuple[str, Place]]:
    """(channel, object) of everything that `peer` could see at `at`, in order of listing."""
    row = listing.c
    where = [audience.c.channel == channel] if channel else []
    query = (
        select(
            audience.c.channel,
            statement.c.stix_id,
            statement.c.version,
            row.type,
            row.agreement,
            row.folded,
            derived.c.stix_id,
        )
        .select_from(listing.join(statement, statement.c.seq == row.seq))
        .outerjoin(derived, derived.c.seq == row.seq)
        .join(audience, audience.c.number == row.audience)
        .where(audience.c.number.in_(_belonged(peer, at)), *where, *_stood(at), ~row.folded, _newest(at))
        .order_by(audience.c.channel, row.added)
    )
    for place, stix_id, version, kind, agreement, folded, original in tx.execute(query):
        yield (
            place,
            Place(
                stix_id=stix_id, version=version, type=kind, agreement=agreement, folded=bool(folded),
                original=original or "",
            ),
        )  # fmt: skip


def _belonged(peer: str, at: int) -> Select[Any]:
    """The audiences to which the partner belonged then."""
    there = or_(member.c.until.is_(None), member.c.until > at)
    return select(member.c.audience).where(member.c.peer == peer, member.c.since <= at, there)


def _stood(at: int) -> list[ColumnElement[bool]]:
    row = listing.c
    return [row.added <= at, or_(row.closed.is_(None), row.closed > at), row.not_after > at]


def _newest(at: int) -> ColumnElement[bool]:
    """No better version of the object stood there then."""
    row, other, newer = listing.c, listing.alias("other"), statement.alias("newer")
    better = or_(other.c.rank > row.rank, and_(other.c.rank == row.rank, newer.c.version > statement.c.version))
    return (
        ~select(literal_column("1"))
        .select_from(newer.join(other, other.c.seq == newer.c.seq))
        .where(
            newer.c.stix_id == statement.c.stix_id, other.c.audience + literal_column("0") == row.audience, better,
            other.c.added <= at, or_(other.c.closed.is_(None), other.c.closed > at),
        )
        .exists()
    )  # fmt: skip


def handed(
    tx: Connection, *, peer: str = "", since: int | None = None, until: int | None = None, stix_ids: Sequence[str] = ()
) -> Iterator[RowMapping]:
    """Rows of the ledger, in order; `stix_ids`: only of these, at most a thousand."""
    where = _between(ledger.c.at, since, until)
    where += [ledger.c.peer == peer] if peer else []
    where += [ledger.c.stix_id.in_(stix_ids)] if stix_ids else []
    after = 0
    while rows := tx.execute(
        select(ledger).where(ledger.c.id > after, *where).order_by(ledger.c.id).limit(_AT_ONCE)
    ).all():
        yield from (row._mapping for row in rows)
        after = rows[-1].id


def fetched(
    tx: Connection,
    *,
    after: int = 0,
    peer: str = "",
    since: int | None = None,
    until: int | None = None,
    audience: str = "",
    between: tuple[int, int] | None = None,
) -> Sequence[RowMapping]:
    """The next thousand rows of the read ledger behind the number `after`, in order. `tx`: of `Store.noted`.

    `audience`: only what was read there; `between`: only pages that reach into these dates, both included.
    """
    where = _between(read.c.at, since, until)
    where += [read.c.peer == peer] if peer else []
    where += [read.c.audience == audience] if audience else []
    where += [] if between is None else [read.c.first <= between[1], read.c.last >= between[0]]
    query = select(read).where(read.c.id > after, *where).order_by(read.c.id).limit(_AT_ONCE)
    return [row._mapping for row in tx.execute(query)]


def _between(column: ColumnElement[int], since: int | None, until: int | None) -> list[ColumnElement[bool]]:
    return [*([] if since is None else [column >= since]), *([] if until is None else [column < until])]
