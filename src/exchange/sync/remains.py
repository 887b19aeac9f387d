"""What `exchange why` says of what was erased (RULES R33): when, by whom, on what basis, and what the ledgers keep.

Nothing of its content is left to tell. Only who names it gets here, since what is kept is a keyed digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.model import normalise
from exchange.model.schema import every_type
from exchange.store import Store, notices, remains
from exchange.store.clock import moment
from exchange.store.erasures import DONE

_OF_MISP = ("x-misp-attribute", "x-misp-object", "x-misp-galaxy-cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """It stood in one listing, so many rows of it. `until`: when the last of them was closed; None: one stands."""

    channel: str
    members: tuple[str, ...]
    agreements: tuple[str, ...]
    since: datetime
    until: datetime | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of it when we handed it over: accepted, refused, delivered, recalled; so many times."""

    peer: str
    channel: str
    outcome: str
    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An account has fetched a page on which it may have been; `at`: the first."""

    peer: str
    account: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """One erasure, and what the ledgers still say of what was asked."""

    number: int
    state: str
    """erased; approved: it was broken off, and goes on when it is approved again."""
    basis: str
    why: str
    asked_by: str
    asked_at: datetime
    approved_by: str
    erased_at: datetime
    """When it was carried out; of what was broken off, when it was approved."""
    statements: int
    sources: tuple[str, ...]
    received: datetime | None
    """The first of them."""
    stood: tuple[Stood, ...]
    handed: tuple[Handed, ...]
    fetched: tuple[Fetched, ...]


def erased_of(store: Store, asked: str, *, peer: str = "", channel: str = "") -> tuple[Erased, ...]:
    """Every erasure of what was asked, an id, a uuid or a value. `peer`, `channel`: what the ledgers say of these."""
    asked = asked.strip()
    with store.reading() as tx:
        found = [
            (row, remains.given(tx, seqs), remains.stood(tx, seqs), remains.handed(tx, seqs))
            for row, seqs in remains.requests(tx, _names(asked), normalise.forms(asked))
        ]
    return tuple(_erased(store, *each, peer=peer, channel=channel) for each in found)


def _names(asked: str) -> list[str]:
    """What it may have been called: as it is written, or as the uuid of an event or of an object of any type."""
    uuid = asked.lower()
    return [asked, uuid, *(f"{kind}--{uuid}" for kind in (*every_type(), *_OF_MISP))]


def _erased(
    store: Store,
    row: Mapping[str, Any],
    given: Sequence[tuple[str, int]],
    rows: Sequence[Mapping[str, Any]],
    handed: Sequence[Mapping[str, Any]],
    *,
    peer: str,
    channel: str,
) -> Erased:
    """The shape of one; only what concerns this peer and channel, empty: any."""
    here = [each for each in rows if channel in ("", each["channel"]) and (not peer or peer in _members(each))]
    attested = json.loads(row["attestation"]) if row["attestation"] else {}
    done = datetime.fromisoformat(attested["erased_at"]) if row["state"] == DONE else moment(row["approved"])
    return Erased(
        number=row["id"], state=row["state"], basis=row["basis"], why=row["why"], asked_by=row["who"],
        asked_at=moment(row["at"]), approved_by=row["approver"] or "", erased_at=done,
        statements=len(given), sources=tuple(sorted({source for source, _ in given})),
        received=moment(min(at for _, at in given)) if given else None,
        stood=_stood(here),
        handed=_handed([e for e in handed if channel in ("", e["channel"]) and peer in ("", e["peer"])]),
        fetched=tuple(each for each in _fetched(store, here) if peer in ("", each.peer)),
    )  # fmt: skip


def _members(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(json.loads(row["members"]))


def _stood(rows: Sequence[Mapping[str, Any]]) -> tuple[Stood, ...]:
    places: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        places.setdefault(row["key"], []).append(row)
    return tuple(
        Stood(
            channel=some[0]["channel"], members=_members(some[0]),
            agreements=tuple(sorted({row["agreement"] for row in some} - {""})), since=moment(some[0]["added"]),
            until=None if any(row["closed"] is None for row in some) else moment(max(row["closed"] for row in some)),
            count=len(some),
        )
        for some in places.values()
    )  # fmt: skip


def _handed(rows: Sequence[Mapping[str, Any]]) -> tuple[Handed, ...]:
    alike: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        alike.setdefault((row["peer"], row["channel"], row["outcome"]), []).append(row)
    return tuple(
        Handed(
            peer=peer, channel=channel, outcome=outcome, first=moment(min(row["first"] for row in some)),
            last=moment(max(row["last"] for row in some)), count=sum(row["count"] for row in some),
        )
        for (peer, channel, outcome), some in sorted(alike.items())
    )  # fmt: skip


def _fetched(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[Fetched]:
    dates: dict[str, list[int]] = {}
    for row in rows:
        dates.setdefault(row["key"], []).append(row["added"])
    first: dict[tuple[str, str], int] = {}
    with store.noted() as tx:
        for key, added in dates.items():
            for found in notices.readers(tx, key, added).values():
                for peer, account, at in found:
                    first[peer, account] = min(at, first.get((peer, account), at))
    return [Fetched(peer=peer, account=account, at=moment(at)) for (peer, account), at in sorted(first.items())]
