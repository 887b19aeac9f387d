"""The circuit breaker: a server out of reach is tried by one of a peer's sources or targets at a time, until one gets
through.

It has no state of its own: failures in a row and their reasons stand in the store, so every daemon sees the same. Only
what could try now counts: what is switched off, braked, or has nothing to send must not hold up the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection

from exchange.model.party import Source, Target
from exchange.policy import Rules
from exchange.policy.audience import target_channel
from exchange.store import listings, pushed, sources
from exchange.store.accounts import ALL, brakes
from exchange.store.clock import micros
from exchange.store.sources import Standing

TRIPS = 5
"""Failures in a row to reach the server after which the circuit is open."""
_OUT_OF_REACH = frozenset({"peer.unreachable", "peer.timeout", "peer.tls", "peer.gateway", "peer.proxy", "peer.srv"})
Able = Mapping[str, str]
"""Key of each source and target that could try now → the circuit that it belongs to: a peer's server."""


def able(tx: Connection, rules: Rules, *, outbound: bool) -> Able:
    """What is switched on, not braked, and (a target) has something to send, or to take back."""
    stops = {(row["peer"], row["direction"]) for row in brakes(tx)}
    waiting = listings.pending(tx)
    channels = {audience.channel for audience in rules.audiences if waiting.get(audience.key)}
    channels |= pushed.owed_counts(tx).keys()
    found: dict[str, str] = {}
    for peer in rules.terms.peers.values():
        if not {(peer.id, "in"), (ALL, "in")} & stops:
            found |= {each.key: _circuit(each) for each in peer.sources if each.enabled and each.kind != "file"}
        if outbound and not {(peer.id, "out"), (ALL, "out")} & stops:
            ready = (each for each in peer.targets if each.enabled and target_channel(each.key) in channels)
            found |= {each.key: _circuit(each) for each in ready}
    return found


def is_open(standing: Standing) -> bool:
    """Whether this source or target has not got through for a while."""
    return standing.failures >= TRIPS and _is_out_of_reach(standing)


def may_try(key: str, able_now: Able, standings: Mapping[str, Standing], now: datetime) -> bool:
    """Whether `key` may try its server now: always while the circuit is closed, else only as the one trial (half-open).

    The trial is made by one that failed; those that never failed wait for how it ends.
    """
    circuit = able_now.get(key)
    if circuit is None:
        return False
    kin = [standings[each] for each, other in able_now.items() if other == circuit and each in standings]
    open_ones = [each for each in kin if is_open(each)]
    if not open_ones:
        return True
    if any(each.lease_owner is not None and each.lease_until > micros(now) for each in kin):
        return False
    return key == min(open_ones, key=lambda each: (each.due, each.key)).key


def hurry_others(tx: Connection, peer: str, now: datetime) -> None:
    """The peer can be reached again: what waited for that is due at once."""
    kin = [each for each in sources.standings(tx).values() if each.key.partition("/")[0] == peer]
    sources.hurry(tx, [each.key for each in kin if each.failures and _is_out_of_reach(each)], micros(now))


def _circuit(entry: Source | Target) -> str:
    return f"{entry.peer} {urlsplit(entry.url).netloc.lower() or entry.url}"


def _is_out_of_reach(standing: Standing) -> bool:
    return standing.last_error is not None and json.loads(standing.last_error)["code"] in _OUT_OF_REACH
