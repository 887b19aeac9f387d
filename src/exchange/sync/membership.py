"""To which MISP event a new statement belongs; once said it never changes, so that no event falls apart.

The uuid that our extension names; else what the earlier versions belong to; else the report or grouping of the same
source that holds it, in the same page or known before; else the day on which it was created (of an object that says
none, the day on which we received it). Only what the same source stated is looked at (RULES R14).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from sqlalchemy import Connection

from exchange.model.stix import CONTAINERS, StixObject
from exchange.store import events
from exchange.store.statements import Held, New


def events_of(
    tx: Connection,
    news: Sequence[New],
    known: Mapping[str, Sequence[Held]],
    page: Sequence[StixObject],
    source: str,
    now: datetime,
) -> list[int]:
    """The numbers of the events of `news`. `known`: what is held of their ids; the caller holds the writer lock."""
    keys = _said(news)
    creators = {new.object.id: new.object.creator for new in news if new.object.id not in keys}
    ids = creators.keys()
    if ids:
        keys |= _before(tx, ids & known.keys(), known, source)
        loose = set(ids - keys.keys())
        held = {**_in_page(page, loose), **events.holders(tx, source, loose)}
        for stix_id in loose & held.keys():
            # What names no creator (no observable does) does not join that of another by its own word alone.
            container, key = held[stix_id]
            keys[stix_id] = key if creators[stix_id] else container
    today = now.date().isoformat()
    places = []
    for new in news:
        item = new.object
        # A later version in the same page has the same.
        places.append((item.creator, keys.setdefault(item.id, item.day or today)))
    numbers = events.numbers(tx, dict.fromkeys(places))
    return [numbers[place] for place in places]


def _said(news: Sequence[New]) -> dict[str, str]:
    """What an object itself says; a container without our extension is an event of its own."""
    keys: dict[str, str] = {}
    for new in news:
        item = new.object
        if item.event:
            keys.setdefault(item.id, item.event)
        elif item.type in CONTAINERS:
            keys.setdefault(item.id, item.id)
    return keys


def _before(tx: Connection, ids: Collection[str], known: Mapping[str, Sequence[Held]], source: str) -> dict[str, str]:
    """Id → the key of what this source stated of it before."""
    first: dict[str, int] = {}
    for stix_id in ids:
        for held in known.get(stix_id, ()):
            if held.source == source:
                first.setdefault(stix_id, held.event)
    if not first:
        return {}
    places = events.places(tx, set(first.values()))
    return {stix_id: places[number].key for stix_id, number in first.items() if number in places}


def _in_page(page: Sequence[StixObject], loose: AbstractSet[str]) -> dict[str, tuple[str, str]]:
    """Member → the first container in the page that holds it: its id, and the key of its event."""
    found: dict[str, tuple[str, str]] = {}
    for item in page:
        if item.type in CONTAINERS:
            for member in item.ends & loose:
                found.setdefault(member, (item.id, item.event or item.id))
    return found
