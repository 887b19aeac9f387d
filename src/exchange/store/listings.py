"""Listings: what stands in which (collection, audience), since when. Rows are closed with a reason, never deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, or_, select, text, update

from exchange.store.statements import chunks
from exchange.store.tables import audience, ledger, listing, outbox, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One listing row; `seq` is the statement that it shows."""

    audience: str
    added: int
    seq: int
    stix_id: str
    type: str
    version: str
    fact: str
    rank: int
    label: str
    """What it is judged under, as `Label.to_text` writes it."""
    latest: bool
    folded: bool
    agreement: str
    not_after: int

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The record in `row`."""
        return cls(**row._mapping)


_LISTED = [listing.c[name] for name in Listed.__dataclass_fields__]


def standing(tx: Connection, stix_ids: Iterable[str]) -> list[Listed]:
    """Every open row about `stix_ids`, of all audiences."""
    return [
        Listed.of(row)
        for ids in chunks(stix_ids)
        for row in tx.execute(select(*_LISTED).where(listing.c.stix_id.in_(ids), listing.c.closed.is_(None)))
    ]


def of_facts(tx: Connection, audiences: Collection[str], facts: Iterable[str]) -> list[Listed]:
    """Every open row that states one of `facts` to one of `audiences`, oldest first."""
    found = [
        Listed.of(row)
        for keys in chunks(facts)
        for row in tx.execute(
            select(*_LISTED).where(
                listing.c.audience.in_(audiences), listing.c.fact.in_(keys), listing.c.closed.is_(None)
            )
        )
    ]
    return sorted(found, key=lambda row: row.added)


def begin(tx: Connection, rows: Sequence[Listed]) -> None:
    """List these."""
    if rows:
        tx.execute(
            insert(listing),
            [
                {
                    **{name: getattr(row, name) for name in Listed.__dataclass_fields__},
                    "closed": None,
                    "closed_code": None,
                }
                for row in rows
            ],
        )


def close(tx: Connection, rows: Sequence[tuple[Listed, str]], now: int) -> None:
    """Close these with the time and a reason code; what waits in an outbox for them is withdrawn."""
    if not rows:
        return
    values = [{"who": row.audience, "at": row.added, "code": code} for row, code in rows]
    tx.execute(
        update(listing)
        .where(listing.c.audience == bindparam("who"), listing.c.added == bindparam("at"))
        .values(closed=now, closed_code=bindparam("code"), latest=False),
        values,
    )
    tx.execute(
        update(outbox)
        .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("at"), outbox.c.state == "pending")
        .values(state="withdrawn", message=bindparam("code")),
        values,
    )


def adjust(tx: Connection, rows: Sequence[Listed]) -> None:
    """Write what may change of rows that stay where they are."""
    if rows:
        names = ("latest", "folded", "rank", "label", "agreement", "not_after")
        tx.execute(
            update(listing)
            .where(listing.c.audience == bindparam("b_audience"), listing.c.added == bindparam("b_added"))
            .values({name: bindparam(f"b_{name}") for name in names}),
            [{f"b_{name}": getattr(row, name) for name in ("audience", "added", *names)} for row in rows],
        )


def close_retired(tx: Connection, now: int) -> None:
    """Close what stands in audiences that the terms no longer make."""
    gone = select(audience.c.key).where(audience.c.retired)
    tx.execute(
        update(listing)
        .where(listing.c.audience.in_(gone), listing.c.closed.is_(None))
        .values(closed=now, closed_code="audience.retired", latest=False)
    )
    tx.execute(update(outbox).where(outbox.c.audience.in_(gone), outbox.c.state == "pending").values(state="withdrawn"))


def history(tx: Connection, seqs: Collection[int]) -> Sequence[Mapping[str, Any]]:
    """Every listing that these statements ever had, open and closed, for `exchange why`."""
    query = (
        select(listing, audience.c.channel, audience.c.members)
        .join(audience, audience.c.key == listing.c.audience)
        .where(listing.c.seq.in_(list(seqs)))
        .order_by(listing.c.added)
    )
    return [dict(row) for row in tx.execute(query).mappings()]


def hand_over(tx: Connection, rows: Sequence[Listed]) -> None:
    """Put listings of push targets into the outbox, in the transaction that lists them."""
    if rows:
        tx.execute(
            insert(outbox),
            [
                {"audience": row.audience, "added": row.added, "state": "pending", "attempts": 0, "message": ""}
                for row in rows
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One outbox entry with what is needed to send it."""

    audience: str
    added: int
    seq: int
    stix_id: str
    version: str
    agreement: str
    attempts: int
    body: bytes


def parcels(tx: Connection, key: str, now: int, most: int, *, after: int = -1) -> list[Parcel]:
    """What waits for the target whose audience is `key`, oldest first; only what is still listed and in force."""
    query = (
        select(
            listing.c.audience, listing.c.added, listing.c.seq, listing.c.stix_id, listing.c.version,
            listing.c.agreement, outbox.c.attempts, statement.c.body,
        )
        .select_from(outbox)
        .join(listing, and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added))
        .join(statement, statement.c.seq == listing.c.seq)
        .join(audience, audience.c.key == outbox.c.audience)
        .where(
            outbox.c.audience == key, text("outbox.state = 'pending'"), outbox.c.added > after,
            listing.c.closed.is_(None), listing.c.not_after > now, audience.c.open,
        )
        .order_by(outbox.c.added)
        .limit(most)
    )  # fmt: skip
    return [Parcel(**{**row._mapping, "body": bytes(row.body)}) for row in tx.execute(query)]


def settle(tx: Connection, outcomes: Sequence[tuple[Parcel, str, str]], *, peer: str, channel: str, now: int) -> None:
    """Write what became of parcels (state, message) to the outbox, and what was handed over to the ledger."""
    if not outcomes:
        return
    tx.execute(
        update(outbox)
        # What was withdrawn while it was on its way stays withdrawn.
        .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("when"), outbox.c.state == "pending")
        .values(state=bindparam("became"), message=bindparam("said"), attempts=outbox.c.attempts + 1),
        [
            {"who": parcel.audience, "when": parcel.added, "became": state, "said": message[:500]}
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
        tx.execute(insert(ledger), entries)


def accepted(tx: Connection, channel: str, stix_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of these ids that the target `channel` has accepted before, by the ledger."""
    return {
        (row.stix_id, row.version)
        for ids in chunks(stix_ids)
        for row in tx.execute(
            select(ledger.c.stix_id, ledger.c.version).where(
                ledger.c.channel == channel, ledger.c.outcome == "accepted", ledger.c.stix_id.in_(ids)
            )
        )
    }


def pending(tx: Connection) -> dict[str, int]:
    """Audience key → how many parcels wait."""
    query = select(outbox.c.audience, func.count()).where(text("outbox.state = 'pending'"))
    return {row[0]: row[1] for row in tx.execute(query.group_by(outbox.c.audience))}


def deliveries(tx: Connection, stix_ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
    """What the ledger says of these objects: to whom they were handed, and what became of parcels that were not."""
    handed = select(ledger).where(ledger.c.stix_id.in_(list(stix_ids))).order_by(ledger.c.id)
    parked = (
        select(
            outbox.c.state,
            outbox.c.message,
            outbox.c.attempts,
            listing.c.stix_id,
            listing.c.version,
            audience.c.channel,
        )
        .join(listing, and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added))
        .join(audience, audience.c.key == outbox.c.audience)
        .where(listing.c.stix_id.in_(list(stix_ids)), or_(outbox.c.state != "accepted"))
    )
    return [dict(row) for query in (handed, parked) for row in tx.execute(query).mappings()]
