"""Which events are not yet what they will be: their frame is held, and judged when the drain that brings it is done.

A container waits for what it holds (RULES R13), and its members do not wait for it. Where a reader asks, it sees the
event grow; who is pushed to would get the members in an event of ours first, and MISP takes no attribute into a second
one (MISP/MISP#7410).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from exchange.model.stix import CONTAINERS
from exchange.store import events, sources, statements
from exchange.store.pushed import Stands


def unframed(tx: Connection, stands: Iterable[Stands], now: int) -> set[int]:
    """The numbers of those of these events whose frame is to come."""
    whose: dict[int, set[str]] = {}
    for stand in stands:
        whose.setdefault(stand.event, set()).add(stand.source)
    frames = {number: _frames(place.key) for number, place in events.places(tx, list(whose)).items()}
    held = statements.held(tx, {each for ids in frames.values() for each in ids})
    standings = sources.standings(tx)
    at_work = {key for key, standing in standings.items() if standing.lease_until > now}
    early = set()
    for number, ids in frames.items():
        known = [each for stix_id in ids for each in held.get(stix_id, ()) if each.source in whose[number]]
        if any(each.waiting for each in known) or (ids and not known and whose[number] & at_work):
            early.add(number)
    return early


def _frames(key: str) -> list[str]:
    """The ids that the frame of the event with this key may have; a day has none."""
    if "--" in key:
        return [key]
    return [f"{kind}--{key}" for kind in sorted(CONTAINERS)] if len(key) == _UUID else []


_UUID = 36
"""Characters of one."""
