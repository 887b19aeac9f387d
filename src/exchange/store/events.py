"""To which MISP event a statement belongs: a creator and a key, under a short number of their own.

The key is fixed when a statement is accepted: the uuid of the event that it names, the id of the report or grouping
that holds it, or a day. Two creators never share an event, whatever key they use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, Dialect, String, bindparam, func, literal_column, or_, select

from exchange.model.stix import CONTAINERS
from exchange.store.prepared import Inserting, Lookup, Query, among
from exchange.store.tables import event, reference, statement


class Place(NamedTuple):
    """One event: whose it is (empty: nobody is named), and by what its parts belong together."""

    creator: str
    key: str


def numbers(tx: Connection, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The numbers of these events, as (creator, key); those not known yet get one, in order.

    The caller holds the writer lock.
    """
    found = {(row[1], row[2]): row[0] for row in _BY_KEY.rows(tx, {key for _, key in places})}
    missing = [place for place in places if place not in found]
    if missing:
        last = _LAST.one(tx) or 0
        new = {place: last + index for index, place in enumerate(missing, 1)}
        _inserting(tx.dialect).many(tx, [(number, *place) for place, number in new.items()])
        found |= new
    return found


_E = event.c
_BY_KEY = Lookup(select(_E.id, _E.creator, _E.key).where(among(_E.key)))
_BY_ID = Lookup(select(_E.id, _E.creator, _E.key).where(among(_E.id)))
_LAST = Query(select(func.max(_E.id)))


@lru_cache(maxsize=4)
def _inserting(dialect: Dialect) -> Inserting:
    return Inserting(dialect, event, ("id", "creator", "key"))


def places(tx: Connection, ids: Collection[int]) -> dict[int, Place]:
    """Number → the event."""
    return {row[0]: Place(row[1], row[2]) for row in _BY_ID.rows(tx, ids)}


def alike(tx: Connection, ids: Collection[int]) -> set[int]:
    """The events that may be one with these: of the same report or grouping, whoever is named as creator."""
    keys: set[str] = set()
    for place in places(tx, ids).values():
        uuid = place.key.partition("--")[2]
        keys |= {place.key, uuid, *names(place.key), *names(uuid)} - {""}
    return {row[0] for row in _BY_KEY.rows(tx, {key for key in keys if not _is_day(key)})}


def names(key: str) -> tuple[str, ...]:
    """The ids that the report or grouping of this event may have."""
    return () if not key or _is_day(key) else (key,) if "--" in key else (f"report--{key}", f"grouping--{key}")


def _is_day(key: str) -> bool:
    return len(key) == len("2026-01-01")


def holders(tx: Connection, source: str, members: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """Member → the report or grouping of the same source that was the first to hold it: its id, and its event's key."""
    found: dict[str, tuple[int, str, str]] = {}
    for target, seq, stix_id, key in _HOLDERS.rows(tx, members, source=source):
        if target not in found or seq < found[target][0]:
            found[target] = (seq, stix_id, key)
    return {target: (stix_id, key) for target, (_, stix_id, key) in found.items()}


_SOURCE = bindparam("source", type_=String)
_HOLDERS = Lookup(
    select(reference.c.target, statement.c.seq, statement.c.stix_id, event.c.key)
    .join(statement, statement.c.seq == reference.c.seq)
    .join(event, event.c.id == statement.c.event)
    .where(among(reference.c.target), reference.c.ends, statement.c.source.concat("") == _SOURCE)
    .where(or_(*(statement.c.type == literal_column(f"'{kind}'") for kind in sorted(CONTAINERS))))
)
