"""Which other facts stand near one: the same value seen, called bad or benign, or only a weak hash in common."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.errors import ContentError
from exchange.model import schema, stix
from exchange.model.stix import StixObject
from exchange.store import around, names, statements
from exchange.sync.shown import Near

MOST = 500
"""Statements with one of the values that are looked at."""
BENIGN = "benign"


def parsed(body: bytes) -> StixObject | None:
    """The object; None: a release before this one took what this one would not."""
    try:
        return stix.parse(body)
    except ContentError:
        return None


def polarity(item: StixObject) -> Any:
    """bad, benign, seen or told: what an object says of the values that it states (see `shown.Fact`)."""
    if item.type == "indicator":
        types = orjson.loads(item.body).get("indicator_types")
        return "benign" if isinstance(types, list) and types and set(types) == {BENIGN} else "bad"
    return "seen" if item.type in schema.observable_types() else "told"


def near_of(tx: Connection, item: StixObject, ids: AbstractSet[str], key: str) -> list[Near]:
    """Other facts that share a value with this one, each once, by what is nearest."""
    shared = around.sharing(tx, [value for _, value in item.values], MOST)
    rows = {(row.stix_id, row.path): row for row in shared if row.stix_id not in ids and row.fact != key}
    sources: dict[str, dict[str, None]] = {}
    for row in shared:
        sources.setdefault(row.stix_id, {})[row.source] = None
    bodies = statements.bodies(tx, [row.seq for row in rows.values()])
    found: dict[str, Near] = {}
    for row in rows.values():
        other = parsed(bodies[row.seq])
        if other is None:
            continue
        near = Near(
            stix_id=row.stix_id, type=row.type, path=row.path, value=row.value, how=_how(item, other, row.path),
            sources=tuple(sources[row.stix_id]),
        )  # fmt: skip
        before = found.get(row.stix_id, near)
        found[row.stix_id] = min(before, near, key=lambda each: _NEAREST.index(each.how))
    return sorted(found.values(), key=lambda each: (_NEAREST.index(each.how), each.stix_id))


_NEAREST = ("benign", "bad", "seen", "part", "elsewhere", "weak_hash")


def _how(item: StixObject, other: StixObject, path: str) -> Any:
    """In which way another fact is near this one, by the value at `path` of the other."""
    if path in names.WEAK and (len(item.values) > 1 or len(other.values) > 1 or item.type == other.type):
        return "weak_hash"
    if path not in {each for each, _ in item.values}:
        return "elsewhere"
    if len(other.values) > 1 and ":hashes." not in path:
        return "part"
    said = polarity(other)
    return said if said in ("bad", "benign", "seen") else "part"
