"""What a MISP target has of ours: the events handed to it, what it has of each object, and what is to be taken back.

An event keeps the uuid under which the target first got it, and goes under a greater timestamp each time (misp.md
section 2.3). What was sent, or may have been, and is withdrawn since is *owed* a recall (RULES R8) until that is done.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from exchange.store import blocks, ledgers
from exchange.store.derived import GIVEN_BY, GIVER
from exchange.store.listings import AGAIN, Parcel
from exchange.store.prepared import Lookup, among
from exchange.store.statements import chunks
from exchange.store.tables import audience, listing, outbox, pushed, statement

UNDER_WAY = "push.under_way"
"""Beside a parcel: it is being sent, so the target may have it though it never said so."""
_LISTED = and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added)
_RECALL = text("outbox.state = 'recall'")
SENT = or_(
    outbox.c.state == "accepted",
    and_(
        outbox.c.state == "pending",
        or_(outbox.c.attempts > 0, outbox.c.message == UNDER_WAY, outbox.c.message == AGAIN),
    ),
)
"""What the target has, as far as we can know."""


class Pushed(NamedTuple):
    """One event as a target last got it."""

    uuid: str
    timestamp: int
    """Seconds."""
    frame: Mapping[str, Any]
    """Of what the event was then: orgc_uuid, orgc_name, date, distribution."""


def known(tx: Connection, channel: str, events: Iterable[int]) -> dict[int, Pushed]:
    """Number → the event, of those that the target `channel` was handed before; below 0: what stands beside it."""
    p = pushed.c
    return {
        row.event: Pushed(row.uuid, row.timestamp, json.loads(row.frame))
        for some in chunks(events)
        for row in tx.execute(select(pushed).where(p.channel == channel, p.event.in_(some)))
    }


def under(tx: Connection, channel: str, uuids: Iterable[str]) -> dict[str, set[int]]:
    """uuid → the numbers of the events that the target was handed under it."""
    p = pushed.c
    found: dict[str, set[int]] = {}
    for some in chunks(uuids):
        for row in tx.execute(select(p.uuid, p.event).where(p.channel == channel, p.uuid.in_(some))):
            found.setdefault(row.uuid, set()).add(row.event)
    return found


def reserve(tx: Connection, channel: str, events: Mapping[int, Pushed], leaving: Sequence[Parcel]) -> None:
    """These events are about to be sent, with these parcels in them: whatever comes back, or does not, they may be
    there."""
    p = pushed.c
    for some in chunks(events):
        tx.execute(delete(pushed).where(p.channel == channel, p.event.in_(some)))
    if events:
        tx.execute(
            insert(pushed),
            [
                {
                    "channel": channel, "event": number, "uuid": event.uuid, "timestamp": event.timestamp,
                    "frame": json.dumps(dict(event.frame)),
                }
                for number, event in events.items()
            ],
        )  # fmt: skip
    if leaving:
        tx.execute(
            update(outbox)
            .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("at"))
            .where(outbox.c.state == "pending", outbox.c.message != AGAIN)
            .values(message=UNDER_WAY),
            [{"who": parcel.audience, "at": parcel.added} for parcel in leaving],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Had:
    """What the target last got of one object."""

    version: str
    label: str
    """What it was judged under, as `Label.to_text` writes it."""
    recalled: bool
    body: bytes


def had(tx: Connection, channel: str, stix_ids: Iterable[str]) -> dict[str, Had]:
    """Id → the last that the target accepted of it."""
    last: dict[str, Any] = {}
    numbers = list(tx.execute(select(audience.c.number).where(audience.c.channel == channel)).scalars())
    for ids in chunks(stix_ids):
        query = (
            select(
                statement.c.stix_id, statement.c.version, listing.c.label, outbox.c.state, outbox.c.added,
                listing.c.block, listing.c.start, listing.c.stop,
            )
            .join(listing, listing.c.seq == statement.c.seq)
            .join(outbox, _LISTED)
            # Written so that SQLite begins with the ids and not with all that the target has.
            .where(statement.c.stix_id.in_(ids), (listing.c.audience + literal_column("0")).in_(numbers))
            .where(or_(outbox.c.state.concat("").in_(["accepted", "recall", "recalled"]), outbox.c.message == AGAIN))
        )  # fmt: skip
        for row in tx.execute(query):
            if row.stix_id not in last or row.added > last[row.stix_id].added:
                last[row.stix_id] = row
    bodies = blocks.read(tx, [row[-3:] for row in last.values()])
    return {
        row.stix_id: Had(version=row.version, label=row.label, recalled=row.state == "recalled", body=body)
        for row, body in zip(last.values(), bodies, strict=True)
    }


class Stands(NamedTuple):
    """Where a parcel's statement belongs, and what it is judged under."""

    event: int
    source: str
    type: str
    label: str
    peer: str
    rank: int


def stands(tx: Connection, parcels: Sequence[Parcel]) -> dict[tuple[int, int], Stands]:
    """(audience, date) of these parcels → what is needed to put them into events."""
    found = {}
    for some in chunks(parcels):
        places = {(parcel.audience, parcel.added) for parcel in some}
        query = (
            select(
                listing.c.audience, listing.c.added, statement.c.event, GIVEN_BY, statement.c.type,
                listing.c.label, GIVER, listing.c.rank,
            )
            .join(statement, statement.c.seq == listing.c.seq)
            .where(listing.c.audience.in_({who for who, _ in places}), listing.c.added.in_({at for _, at in places}))
        )  # fmt: skip
        found.update({(row[0], row[1]): Stands(*row[2:]) for row in tx.execute(query)})
    return found


class Claim(NamedTuple):
    """What was the first to leave for a target under a uuid: of which event, given by whom, with which rank."""

    event: int
    peer: str
    rank: int


_CARRIERS = ("indicator", "observed-data", "x-misp-attribute", "x-misp-object")


def claims(tx: Connection, channel: str, uuids: Iterable[str]) -> dict[str, Claim]:
    """uuid of an attribute or object → who has it at the target, or will, of those that more than one has stated."""
    stated: dict[str, set[tuple[int, str]]] = {}
    ids = [f"{kind}--{uuid}" for uuid in uuids for kind in _CARRIERS]
    for stix_id, number, peer in _STATED.rows(tx, ids):
        stated.setdefault(stix_id.partition("--")[2], set()).add((number, peer))
    shared = [f"{kind}--{uuid}" for uuid, found in stated.items() if len(found) > 1 for kind in _CARRIERS]
    first: dict[str, Claim] = {}
    for some in chunks(shared):
        query = (
            select(statement.c.stix_id, statement.c.event, GIVER.label("giver"), listing.c.rank)
            .join(listing, listing.c.seq == statement.c.seq)
            .join(outbox, _LISTED)
            .join(audience, audience.c.number == outbox.c.audience)
            .where(statement.c.stix_id.in_(some), audience.c.channel == channel)
            .where(outbox.c.state.in_(["pending", "accepted", "recall", "recalled"]))
        )
        for row in tx.execute(query.order_by(outbox.c.added)):
            first.setdefault(row.stix_id.partition("--")[2], Claim(row.event, row.giver, row.rank))
    return first


_STATED = Lookup(select(statement.c.stix_id, statement.c.event, GIVER).where(among(statement.c.stix_id)))


def more_of(tx: Connection, number: int, events: Iterable[int], after: int) -> set[int]:
    """Which of these events have parcels that wait for the audience `number` behind the date `after`."""
    query = (
        select(statement.c.event)
        .select_from(outbox)
        .join(listing, _LISTED)
        .join(statement, statement.c.seq == listing.c.seq)
        .where(outbox.c.audience == number, outbox.c.added > after, text("outbox.state = 'pending'"))
    )
    return {each for each in events if tx.execute(query.where(statement.c.event == each).limit(1)).first() is not None}


# --- recall ----------------------------------------------------------------------------------------------------------


class Owed(NamedTuple):
    """What a target has and may no longer have."""

    audience: int
    added: int
    seq: int
    stix_id: str
    version: str
    agreement: str
    event: int
    label: str
    """What it was judged under when it was sent."""
    peer: str
    rank: int
    attempts: int
    """How often it was tried to send it, or to recall it."""
    body: bytes


def owe(tx: Connection, places: Sequence[tuple[int, int]]) -> None:
    """What was sent of these listings, (audience, date), is to be recalled. Asked before they are closed."""
    if places:
        tx.execute(
            update(outbox)
            .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("at"), SENT)
            .values(state="recall"),
            [{"who": who, "at": at} for who, at in places],
        )


def owe_retired(tx: Connection, channels: Collection[str]) -> None:
    """The same of all that stands in audiences of these channels which the terms no longer make."""
    gone = select(audience.c.number).where(audience.c.retired, audience.c.channel.in_(list(channels)))
    still = exists().where(_LISTED, listing.c.closed.is_(None))
    tx.execute(update(outbox).where(outbox.c.audience.in_(gone), SENT, still).values(state="recall"))


def any_owed(tx: Connection) -> bool:
    """Whether anything waits to be recalled from anybody."""
    return tx.execute(select(outbox.c.added).where(_RECALL).limit(1)).first() is not None


def owed_counts(tx: Connection) -> dict[str, int]:
    """Channel → how much is to be recalled from it."""
    query = select(audience.c.channel, func.count()).join(outbox, outbox.c.audience == audience.c.number)
    return {row[0]: row[1] for row in tx.execute(query.where(_RECALL).group_by(audience.c.channel))}


def owed(tx: Connection, channel: str, most: int, *, after: tuple[int, int] = (-1, -1)) -> list[Owed]:
    """What is to be recalled from the target, behind (audience, date); nothing while its terms are being decided."""
    mine = select(audience.c.number).where(audience.c.channel == channel)
    shut = exists().where(audience.c.channel == channel, ~audience.c.retired, ~audience.c.open)
    columns = (
        statement.c.seq, statement.c.stix_id, statement.c.version, listing.c.agreement, statement.c.event,
        listing.c.label, GIVER, listing.c.rank, outbox.c.attempts,
    )  # fmt: skip
    query = (
        select(outbox.c.audience, outbox.c.added, *columns, listing.c.block, listing.c.start, listing.c.stop)
        .join(listing, _LISTED)
        .join(statement, statement.c.seq == listing.c.seq)
        .where(_RECALL, outbox.c.audience.in_(mine), ~shut)
        .where(or_(outbox.c.audience > after[0], and_(outbox.c.audience == after[0], outbox.c.added > after[1])))
        .order_by(outbox.c.audience, outbox.c.added)
        .limit(most)
    )
    rows = tx.execute(query).all()
    bodies = blocks.read(tx, [row[-3:] for row in rows])
    return [Owed._make((*row[:-3], body)) for row, body in zip(rows, bodies, strict=True)]


def still_listed(tx: Connection, key: str, stix_ids: Iterable[str]) -> set[str]:
    """Which of these the audience `key` may still have in some version: a newer one takes the place of what it has."""
    return {
        stix_id
        for ids in chunks(stix_ids)
        for stix_id in tx.execute(
            select(statement.c.stix_id)
            .join(listing, listing.c.seq == statement.c.seq)
            .join(audience, audience.c.number == listing.c.audience)
            .where(statement.c.stix_id.in_(ids), audience.c.key == key, listing.c.closed.is_(None))
        ).scalars()
    }


def settle_owed(tx: Connection, rows: Sequence[tuple[Owed, str, str]], *, peer: str, channel: str, now: int) -> None:
    """What became of recalls, (state, message): recalled, refused; accepted: it may stay; recall: it is tried again."""
    if not rows:
        return
    tx.execute(
        update(outbox)
        .where(outbox.c.audience == bindparam("who"), outbox.c.added == bindparam("at"), outbox.c.state == "recall")
        .values(state=bindparam("became"), message=bindparam("said"), attempts=outbox.c.attempts + 1),
        [{"who": row.audience, "at": row.added, "became": state, "said": said[:500]} for row, state, said in rows],
    )
    entries = [
        {
            "at": now, "peer": peer, "channel": channel, "seq": row.seq, "stix_id": row.stix_id,
            "version": row.version, "agreement": row.agreement, "outcome": state,
        }
        for row, state, _ in rows
        if state in ("recalled", "refused")
    ]  # fmt: skip
    if entries:
        ledgers.hand(tx, entries)
