"""Listings: what stands in which (collection, audience), since when. Rows are closed with a reason, never deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    TextClause,
    and_,
    bindparam,
    delete,
    false,
    func,
    literal_column,
    select,
    text,
    update,
)

from exchange.store import blocks, ledgers, segments
from exchange.store.prepared import Inserting, Lookup, Query, among, truths
from exchange.store.statements import Held, chunks
from exchange.store.tables import audience, ledger, listing, outbox, segment, statement
from exchange.store.work import NOTICES


class Listed(msgspec.Struct, frozen=True, gc=False):
    """One listing row with what it shows of its statement `seq`; `audience` is the number of the audience."""

    audience: int
    added: int
    seq: int
    type: str
    rank: int
    label: str
    """What it is judged under, as `Label.to_text` writes it."""
    latest: bool
    folded: bool
    agreement: str
    not_after: int
    fact: str | None
    """Under which it folds for this audience; None: never, or it is no latest version."""
    block: int
    start: int
    stop: int
    expires: int | None
    """When it is too old for this audience; None: never."""
    stix_id: str
    version: str


_Name = tuple[str, str]
"""(id, version)."""
_OF_STATEMENT = ("stix_id", "version")
_OWN = tuple(name for name in Listed.__struct_fields__ if name not in _OF_STATEMENT)
_LISTED = [*(listing.c[name] for name in _OWN), *(statement.c[name] for name in _OF_STATEMENT)]
_OPEN = listing.c.closed.is_(None)


def listed(*conditions: ColumnElement[bool] | TextClause) -> Select[Any]:
    """The open rows for which `conditions` hold."""
    joined = statement.join(listing, listing.c.seq == statement.c.seq)
    return select(*_LISTED).select_from(joined).where(_OPEN, *conditions)


_STANDING = Lookup(listed(among(statement.c.stix_id)))


def standing(tx: Connection, stix_ids: Iterable[str]) -> list[Listed]:
    """Every open row about `stix_ids`, of all audiences."""
    return found(_STANDING, tx, stix_ids)


def of_statements(tx: Connection, held: Mapping[int, Held]) -> list[Listed]:
    """Every open row of these statements, by number, of all audiences."""
    rows = _OF_STATEMENTS.rows(tx, held)
    names = {seq: (item.stix_id, item.version) for seq, item in held.items()}
    return [Listed(*(*row, *names[row[_SEQ]])) for row in rows]


_OF_STATEMENTS = Lookup(select(*(listing.c[name] for name in _OWN)).where(among(listing.c.seq), _OPEN))
_SEQ = _OWN.index("seq")


def found(lookup: Lookup, tx: Connection, wanted: Iterable[Any], **values: Any) -> list[Listed]:
    """What a Lookup over `listed` finds."""
    return [Listed(*row) for row in lookup.rows(tx, wanted, **values)]


def begin(tx: Connection, rows: Sequence[tuple[Listed, int]]) -> None:
    """List these, each from its date on: to change the record first would cost as much as to write it."""
    truth = truths(tx.dialect)
    sealed = segments.keep(tx, rows)
    columns: list[tuple[Any, ...]] = [
        (
            row.audience, added, row.seq, row.type, row.rank, row.label, truth(row.latest), truth(row.folded),
            row.agreement, row.not_after, row.block, row.start, row.stop, truth((row.audience, added) in sealed),
        )
        for row, added in rows
    ]  # fmt: skip
    seldom = [name for name in _SELDOM if any(getattr(row, name) is not None for row, _ in rows)]
    if seldom:  # None costs SQLite's driver a search too
        more = [[getattr(row, name) for name in seldom] for row, _ in rows]
        columns = [(*values, *others) for values, others in zip(columns, more, strict=True)]
    _inserting(tx.dialect, "listing", (*_BEGUN, *seldom)).many(tx, columns)


_SELDOM = ("fact", "expires")
_BEGUN = (*(name for name in _OWN if name not in _SELDOM), "sealed")


@lru_cache(maxsize=8)
def _inserting(dialect: Dialect, table: str, columns: tuple[str, ...]) -> Inserting:
    return Inserting(dialect, listing if table == "listing" else outbox, columns)


def close(tx: Connection, rows: Sequence[tuple[Listed, str]], now: int) -> None:
    """Close these with the time and a reason code; what waits in an outbox for them is withdrawn."""
    if not rows:
        return
    places: dict[tuple[int, str], list[int]] = {}
    for row, code in rows:
        places.setdefault((row.audience, code), []).append(row.added)
    # Closed first, so that what goes is not taken out of its segment only to be closed.
    for (who, code), dates in places.items():
        _CLOSE.rows(tx, dates, who=who, code=code, moment=now)
    segments.dissolve(tx, [(row.audience, row.added) for row, _ in rows])
    waits = {who for who in {row.audience for row, _ in rows} if _WAITS.one(tx, who=who) is not None}
    _WITHDRAW.many(
        tx, [{"who": row.audience, "at": row.added, "code": code} for row, code in rows if row.audience in waits]
    )


_CLOSE = Lookup(
    update(listing)
    .where(listing.c.audience == bindparam("who"), among(listing.c.added))
    .values(closed=bindparam("moment", type_=BigInteger), closed_code=bindparam("code"), latest=false(), sealed=false())
)
_PENDING = text("outbox.state = 'pending'")
_WAITS = Query(select(outbox.c.added).where(outbox.c.audience == bindparam("who"), _PENDING).limit(1))
_WITHDRAW = Query(
    update(outbox)
    .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("at"), _PENDING)
    .values(state=literal_column("'withdrawn'"), message=bindparam("code"), status=literal_column("''"))
)


def adjust(tx: Connection, stay: Mapping[_Name, Listed], before: Mapping[_Name, Listed]) -> bool:
    """Write what has changed of rows that stay, by name as they are and as they were; whether any has."""
    changed = [(row, before.get(name)) for name, row in stay.items() if row != before.get(name)]
    rows = []
    for row, was in changed:
        if was is not None and replace(was, expires=row.expires) == row:
            _EXPIRE.run(tx, whose=row.audience, at=row.added, end=row.expires)  # nothing that is read depends on it
        else:
            rows.append(row)
    if rows:
        segments.dissolve(tx, [(row.audience, row.added) for row in rows if row.folded or not row.latest])
        names = ("latest", "folded", "rank", "label", "agreement", "not_after", "fact", "expires")
        tx.execute(
            update(listing)
            .where(listing.c.audience == bindparam("b_audience"), listing.c.added == bindparam("b_added"))
            .values({name: bindparam(f"b_{name}") for name in names}),
            [{f"b_{name}": getattr(row, name) for name in ("audience", "added", *names)} for row in rows],
        )
        segments.adjusted(tx, [(row.audience, row.added) for row in rows if row.latest and not row.folded])
    return bool(rows)


_EXPIRE = Query(
    update(listing)
    .where(listing.c.audience == bindparam("whose"), listing.c.added == bindparam("at"))
    .values(expires=bindparam("end", type_=BigInteger))
)


def close_retired(tx: Connection, number: int, after: int, most: int, now: int) -> int | None:
    """Close what stands in an audience that the terms no longer make, behind the date `after`: of at most so many rows.

    The date up to which nothing stands any more; None: nothing stands at all.
    """
    dates: list[int] = [row[0] for row in _BEHIND.run(tx, who=number, after=after, most=most)]
    if not dates:
        return None
    here = (listing.c.audience == number, listing.c.added > after, listing.c.added <= dates[-1])
    tx.execute(delete(segment).where(segment.c.audience == number))
    tx.execute(
        update(listing)
        .where(*here, listing.c.closed.is_(None))
        .values(closed=now, closed_code="audience.retired", latest=False)
    )
    waiting = update(outbox).where(outbox.c.audience == number, outbox.c.added > after, outbox.c.added <= dates[-1])
    tx.execute(waiting.where(outbox.c.state == "pending").values(state="withdrawn", status=""))
    return dates[-1]


_BEHIND = Query(
    select(listing.c.added)
    .where(listing.c.audience == bindparam("who"), listing.c.added > bindparam("after"))
    .order_by(listing.c.added)
    .limit(bindparam("most"))
)


def history(tx: Connection, seqs: Collection[int]) -> Sequence[Mapping[str, Any]]:
    """Every listing that these statements ever had, open and closed, for `exchange why`."""
    query = (
        select(listing, audience.c.key, audience.c.channel, audience.c.members)
        .join(audience, audience.c.number == listing.c.audience)
        .where(listing.c.seq.in_(list(seqs)))
        .order_by(listing.c.added)
    )
    return [dict(row) for row in tx.execute(query).mappings()]


AGAIN = "reconcile.lost_there"
"""What stands beside a parcel that the peer had accepted and no longer lists."""


def hand_over(tx: Connection, places: Sequence[tuple[int, int]]) -> None:
    """Put listings of push targets, (audience, added), into the outbox, in the transaction that lists them."""
    columns = ("audience", "added", "state", "attempts", "message")
    _inserting(tx.dialect, "outbox", columns).many(tx, [(number, added, "pending", 0, "") for number, added in places])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One outbox entry with what is needed to send it."""

    audience: int
    added: int
    seq: int
    stix_id: str
    version: str
    agreement: str
    attempts: int
    again: bool
    """The peer had accepted it, and has lost it since."""
    body: bytes
    status: str = ""
    """Where the peer says what becomes of it, while it says *pending*; empty: nowhere."""
    notice: bool = False
    """It is a recall notice of ours."""


def parcels(tx: Connection, key: str, now: int, most: int, *, after: int = -1, fresh: bool = False) -> list[Parcel]:
    """What waits for the target whose audience is `key`, oldest first; only what is still listed and in force.

    `fresh`: only what was never offered.
    """
    query = (
        select(
            outbox.c.audience, outbox.c.added, listing.c.seq, statement.c.stix_id, statement.c.version,
            listing.c.agreement, outbox.c.attempts, outbox.c.message, outbox.c.status,
            statement.c.source, listing.c.block, listing.c.start, listing.c.stop,
        )
        .select_from(audience)
        .join(outbox, outbox.c.audience == audience.c.number)
        .join(listing, and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added))
        .join(statement, statement.c.seq == listing.c.seq)
        .where(
            audience.c.key == key, audience.c.open, text("outbox.state = 'pending'"), outbox.c.added > after,
            _OPEN, listing.c.not_after > now, *([outbox.c.attempts == 0] if fresh else []),
        )
        .order_by(outbox.c.added)
        .limit(most)
    )  # fmt: skip
    rows = tx.execute(query).all()
    bodies = blocks.read(tx, [row[-3:] for row in rows])
    return [
        Parcel(
            audience=row.audience, added=row.added, seq=row.seq, stix_id=row.stix_id, version=row.version,
            agreement=row.agreement, attempts=row.attempts, again=row.message == AGAIN, body=body,
            status=row.status, notice=row.source == NOTICES,
        )
        for row, body in zip(rows, bodies, strict=True)
    ]  # fmt: skip


def settle(tx: Connection, outcomes: Sequence[tuple[Parcel, str, str]], *, peer: str, channel: str, now: int) -> None:
    """Write what became of parcels (state, message) to the outbox, and what was handed over to the ledger.

    The status of a parcel is kept for as long as it is pending.
    """
    if not outcomes:
        return
    tx.execute(
        update(outbox)
        # What was withdrawn while it was on its way stays withdrawn.
        .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("when"), outbox.c.state == "pending")
        .values(
            state=bindparam("became"),
            message=bindparam("said"),
            status=bindparam("asked"),
            attempts=outbox.c.attempts + 1,
        ),
        [
            {
                "who": parcel.audience,
                "when": parcel.added,
                "became": state,
                "said": _said(parcel, state, message),
                "asked": parcel.status if state == "pending" else "",
            }
            for parcel, state, message in outcomes
        ],
    )
    entries = [
        {
            "at": now, "peer": peer, "channel": channel, "seq": parcel.seq, "stix_id": parcel.stix_id,
            "version": parcel.version, "agreement": parcel.agreement, "outcome": state,
        }
        for parcel, state, _ in outcomes
        if state in ("accepted", "refused", "delivered")
    ]  # fmt: skip
    if entries:
        ledgers.hand(tx, entries)


def _said(parcel: Parcel, state: str, message: str) -> str:
    """What stands beside the parcel: that it goes again, until it is settled."""
    return AGAIN if parcel.again and state == "pending" else message[:500]


def accepted(tx: Connection, channel: str, stix_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of these ids that the target has accepted, and not deleted for us since, by the ledger."""
    found: set[tuple[str, str]] = set()
    for ids in chunks(stix_ids):
        query = select(ledger.c.stix_id, ledger.c.version, ledger.c.outcome).where(
            ledger.c.channel == channel, ledger.c.outcome.in_(["accepted", "recalled"]), ledger.c.stix_id.in_(ids)
        )
        for stix_id, version, outcome in tx.execute(query.order_by(ledger.c.id)):
            (found.add if outcome == "accepted" else found.discard)((stix_id, version))
    return found


def pending(tx: Connection) -> dict[str, int]:
    """Audience key → how many parcels wait."""
    query = select(audience.c.key, func.count()).join(outbox, outbox.c.audience == audience.c.number)
    query = query.where(text("outbox.state = 'pending'")).group_by(audience.c.key)
    return {row[0]: row[1] for row in tx.execute(query)}


def followed(tx: Connection) -> dict[str, int]:
    """Audience key → how many of the parcels that wait are with the peer, which has not decided yet."""
    query = select(audience.c.key, func.count()).join(outbox, outbox.c.audience == audience.c.number)
    query = query.where(text("outbox.status <> ''")).group_by(audience.c.key)
    return {row[0]: row[1] for row in tx.execute(query)}


def deliveries(tx: Connection, stix_ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
    """What the ledger says of these objects: to whom they were handed, and what became of parcels that were not."""
    handed = select(ledger).where(ledger.c.stix_id.in_(list(stix_ids))).order_by(ledger.c.id)
    parked = (
        select(
            outbox.c.state,
            outbox.c.message,
            outbox.c.attempts,
            outbox.c.status,
            statement.c.stix_id,
            statement.c.version,
            audience.c.channel,
        )
        .join(listing, and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added))
        .join(statement, statement.c.seq == listing.c.seq)
        .join(audience, audience.c.number == outbox.c.audience)
        .where(statement.c.stix_id.in_(list(stix_ids)), outbox.c.state != "accepted")
    )
    return [dict(row) for query in (handed, parked) for row in tx.execute(query).mappings()]
