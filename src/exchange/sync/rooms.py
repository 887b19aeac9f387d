"""Around a trace: how the audience stands, who may read there, what waits for a target, and which pages held it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from exchange.policy import Audience, Rules
from exchange.policy.audience import target_channel
from exchange.store import Store, accounts, notices, sources, traces
from exchange.store.audiences import AudienceRow
from exchange.store.clock import micros, moment
from exchange.sync import accounting
from exchange.sync.overview import state_of
from exchange.sync.traced import Fetch, Parcel, Recall, Room, Traced

_PAGES = 20
"""Pages of which it is asked again what they held."""


def room_of(tx: Connection, audience: Audience, place: AudienceRow | None, peer: str, now: datetime) -> Room:
    """How an audience stands; `peer`: only this one's accounts are named."""
    ends = None if place is None or place.ends is None else moment(place.ends)
    asked = (peer,) if peer else audience.members
    known = [row for row in accounts.accounts(tx) if row["peer"] in asked] if not audience.pushes else []
    brake = next((found for each in asked if (found := accounts.braked(tx, each, "out")) is not None), None)
    return Room(
        key=audience.key,
        channel=audience.channel,
        members=audience.members,
        agreements=tuple(sorted(audience.agreements)),
        ceiling=audience.ceiling.label,
        state=_state(place, ends, now),
        ends=ends,
        accounts=tuple(row["name"] for row in known if row["revoked"] is None),
        revoked=tuple(row["name"] for row in known if row["revoked"] is not None),
        paused="" if brake is None else f"{brake['who']}: {brake['why']}",
        last_fetch=None,
    )


def _state(place: AudienceRow | None, ends: datetime | None, now: datetime) -> str:
    if place is None or place.retired:
        return "absent"
    if ends is not None and ends <= now:
        return "ended"
    return "open" if place.open else "shut"


def fetched(store: Store, rooms: Sequence[Room], peer: str) -> list[Room]:
    """The same rooms, each with the last page that was given of it."""
    with store.noted() as tx:
        last = [traces.last_read(tx, room.key, peer) for room in rooms]
    return [
        replace(room, last_fetch=None if row is None else _fetch(row, exact=True))
        for room, row in zip(rooms, last, strict=True)
    ]


def _fetch(row: Mapping[str, Any] | RowMapping, *, exact: bool) -> Fetch:
    return Fetch(account=row["account"], peer=row["peer"], at=moment(row["at"]), query=row["query"], exact=exact)


def parcel_of(
    tx: Connection,
    rules: Rules,
    audience: Audience,
    place: AudienceRow | None,
    rows: Sequence[Mapping[str, Any]],
    now: datetime,
) -> Parcel | None:
    """What waits in the outbox for the newest of these rows, or what last became of it."""
    if not audience.pushes or place is None or not rows:
        return None
    found = traces.parcel(tx, place.number, rows[-1]["added"])
    target = next(
        each
        for member in audience.members
        for each in rules.terms.peers[member].targets
        if target_channel(each.key) == audience.channel
    )
    if found is None:
        return None
    standing = sources.standings(tx).get(target.key)
    closed = rules.terms.peers[target.peer].closed_until(now) is not None
    paused = accounts.braked(tx, target.peer, "out") is not None
    waits = found["state"] == "pending" and standing is not None and target.enabled and not paused
    return Parcel(
        state=found["state"],
        attempts=found["attempts"],
        message=found["message"],
        status=found["status"],
        due=moment(max(standing.due, micros(now))) if waits and standing is not None else None,
        target="paused" if paused else state_of(target, standing, closed=closed),
    )


def recalls_of(tx: Connection, stix_ids: Collection[str], key: str) -> tuple[Recall, ...]:
    """What this audience was told of it: that it may no longer have it."""
    return tuple(
        Recall(
            note=row["note"],
            since=moment(row["added"]),
            until=None if row["closed"] is None else moment(row["closed"]),
            fetched=(),
        )
        for row in notices.history(tx, stix_ids)
        if row["key"] == key
    )


def with_fetches(store: Store, made: Traced, key: str, peer: str) -> Traced:
    """The same trace, with the pages that held it, the first and the newest, and who fetched its recall notices."""
    count = 0
    rows: dict[int, Mapping[str, Any]] = {}
    stood: dict[int, set[tuple[str, str]]] = {}
    with store.noted() as tx:
        for stay in made.stays:
            until = None if stay.until is None else micros(stay.until)
            found = traces.fetches(tx, key, micros(stay.since), until, peer, _PAGES)
            count += found.count
            pages = [*([] if found.first is None else [found.first]), *found.newest]
            for row in pages:
                rows[int(row["id"])] = dict(row)
                stood.setdefault(int(row["id"]), set()).add((stay.stix_id, stay.version))
        told = [notices.fetched(tx, key, micros(each.since)) for each in made.recalls]
    held = [
        _fetch(row, exact=exact)
        for number, row in sorted(rows.items())
        if (exact := _held(store, row, stood[number])) is not None
    ]
    recalls = tuple(
        replace(each, fetched=tuple((account, moment(at)) for account, at in accounts_))
        for each, accounts_ in zip(made.recalls, told, strict=True)
    )
    return replace(made, fetches=count, fetched=tuple(held), recalls=recalls)


def _held(store: Store, row: Mapping[str, Any], names: Collection[tuple[str, str]]) -> bool | None:
    """Whether this page held it, by (id, version): True: so it did; False: it may have, or been cut before; None: it
    did not.
    """
    given = list(accounting.given(store, row))
    if not any((place.stix_id, place.version) in names for place in given):
        return None
    return bool(len(given) == row["count"])
