"""The circuit breaker: a peer out of reach is tried by one of its sources or targets at a time, until one gets through.

It has no state of its own: failures in a row and their reasons stand in the store, so every daemon sees the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from exchange.store import sources
from exchange.store.clock import micros
from exchange.store.sources import Standing

TRIPS = 5
"""Failures in a row to reach the peer after which the circuit is open."""
_OUT_OF_REACH = frozenset({"peer.unreachable", "peer.timeout", "peer.tls", "peer.gateway", "peer.proxy"})


def is_open(standing: Standing) -> bool:
    """Whether this source or target has not got through for a while."""
    return standing.failures >= TRIPS and _is_out_of_reach(standing)


def may_try(key: str, standings: Mapping[str, Standing], now: datetime) -> bool:
    """Whether `key` may try its peer now: always while the circuit is closed, else only as the one trial (half-open).

    The trial is made by the one that failed; those that never failed wait for how it ends.
    """
    kin = [each for each in standings.values() if each.key.partition("/")[0] == key.partition("/")[0]]
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


def _is_out_of_reach(standing: Standing) -> bool:
    return standing.last_error is not None and json.loads(standing.last_error)["code"] in _OUT_OF_REACH
