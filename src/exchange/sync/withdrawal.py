"""A subscriber's DELETE (RULES R22): its peer's own statements leave the collection, and stay out until posted again.

Nothing is forgotten by it: raw bytes, provenance and the ledger stay. What others said stays listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.policy import Rules
from exchange.store import Store, audiences, listings, statements, withdrawals
from exchange.store.clock import micros, moment
from exchange.store.listings import Listed
from exchange.store.pages import Versions
from exchange.store.statements import Held
from exchange.sync.accept import require
from exchange.sync.listing import Lister


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """How many versions of the asked ones were the peer's own and went, and how many visible ones of others stay."""

    removed: int
    foreign: int


def withdraw(
    store: Store, rules: Rules, *, peer: str, audience: str, stix_id: str, versions: Versions, now: datetime
) -> Withdrawn:
    """Take what `peer` stated about `stix_id`, as far as `versions` asks for it, out of the channel of `audience`.

    What counts is what this audience may see, and what the peer posted there itself though it is still under review.
    Raises StoreBusy when the writer lock is not free, StoreOutdated when the terms have changed.
    """
    with store.writing() as tx:
        require(tx, rules)
        row = audiences.everyone(tx)[audience]
        held = {item.seq: item for item in statements.held(tx, [stix_id]).get(stix_id, ())}
        visible = [
            found
            for found in listings.standing(tx, [stix_id])
            if found.audience == row.number and found.not_after > micros(now)
        ]
        foreign = [found for found in visible if held[found.seq].peer != peer and _asked(found, visible, versions)]
        own = _own(list(held.values()), visible, versions, peer, row.channel)
        if own:
            marks = {withdrawals.EVERY} if versions.every else {item.version for item in own}
            withdrawals.mark(tx, peer, row.channel, stix_id, marks, micros(now))
            Lister(tx, rules, now).relist([stix_id])
        return Withdrawn(removed=len(own), foreign=len(foreign))


_STEP = 200
"""Ids of one transaction (RULES R18)."""


def withdraw_all(
    store: Store, rules: Rules, *, peer: str, audience: str, stix_ids: Sequence[str], now: datetime
) -> int:
    """Take every version of what `peer` stated under these ids out of the channel of `audience`; how many ids went.

    What it has withdrawn already, or never stated, is passed over. Raises StoreBusy and StoreOutdated.
    """
    gone = 0
    for begin in range(0, len(stix_ids), _STEP):
        some = stix_ids[begin : begin + _STEP]
        with store.writing() as tx:
            require(tx, rules)
            channel = audiences.everyone(tx)[audience].channel
            own = [
                stix_id
                for stix_id, items in statements.held(tx, some).items()
                if any(item.peer == peer and channel not in item.withdrawn for item in items)
            ]
            for stix_id in own:
                withdrawals.mark(tx, peer, channel, stix_id, {withdrawals.EVERY}, micros(now))
            if own:
                Lister(tx, rules, now).relist(own)
            gone += len(own)
    return gone


def _own(held: list[Held], visible: list[Listed], versions: Versions, peer: str, channel: str) -> list[Held]:
    """What the peer stated itself of what is asked: listed here, or posted here and not withdrawn yet."""
    listed = {found.seq: found for found in visible}
    asked = {found.version for found in visible if _asked(found, visible, versions)}
    own = []
    for item in held:
        if item.peer != peer or channel in item.withdrawn:
            continue
        if item.seq in listed:
            wanted = _asked(listed[item.seq], visible, versions)
        else:
            # It stands behind the same version of another, or is still under review.
            wanted = item.version in asked or (
                item.posted == channel and (versions.every or item.version in versions.exact)
            )
        if wanted:
            own.append(item)
    return own


def _asked(found: Listed, visible: list[Listed], versions: Versions) -> bool:
    """Whether `match[version]` asks for this one of the `visible` versions (TAXII 2.1 section 3.4.1)."""
    return (
        versions.every
        or (versions.last and found.latest)
        or (versions.first and found.version == min(other.version for other in visible))
        or (found.version or moment(found.added).strftime("%Y-%m-%dT%H:%M:%S.%f")) in versions.exact
    )
