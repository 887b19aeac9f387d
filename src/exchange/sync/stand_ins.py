"""Under which attribute of an event a sighting goes, where another stands there for the one of which it is told.

Of twins one attribute stands in an event: the one in front (RULES R23), or the first that says a value, for MISP holds
no second one. What is told of the others goes with it, else no MISP would take it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.convert import parts
from exchange.model.marking import Label
from exchange.store import sighted, statements
from exchange.store.sighted import Seen
from exchange.sync.view import EventRow, View

_AT_ONCE = 500
Placed = tuple[Seen, Callable[[str], str]]
"""A sighting, and what gives the uuid of the attribute under which it goes from that of which it is told."""


def told(tx: Connection, view: View, by_number: Mapping[int, Sequence[EventRow]], now: int) -> Iterator[Placed]:
    """The sightings of what stands in these events, each with its place."""
    found = sighted.sightings(tx, view.number, now, by_number, folds=view.folds)
    while some := list(islice(found, _AT_ONCE)):
        first = sighted.twins(tx, view.number, now, {seen.target for seen in some if seen.target == seen.front})
        pairs = {(seen.target, first.get(seen.front, seen.front)) for seen in some}
        stand_ins = {seq for pair in pairs if pair[0] != pair[1] for seq in pair}
        read = {seq: _attributes(body) for seq, body in statements.bodies(tx, stand_ins).items()}
        for seen in some:
            front = first.get(seen.front, seen.front)
            if front == seen.target:
                yield seen, _itself
            else:
                yield seen, _standing(read[seen.target], read[front], folded=seen.target != seen.front)


def _itself(uuid: str) -> str:
    return uuid


def _attributes(body: bytes) -> dict[str, tuple[str, str, str]]:
    """Uuid → (type, category, value) of the attributes for which an object stands, those in MISP objects too."""
    found = {}
    for part in parts(orjson.loads(body), Label())[0]:
        inside: Sequence[Mapping[str, Any]] = part.body.get("Attribute") or ()
        for each in [part.body] if part.kind == "attribute" else inside if part.kind == "object" else ():
            if each.get("deleted") is not True:
                found[str(each["uuid"])] = str(each["type"]), str(each.get("category")), str(each["value"])
    return found


def _standing(
    target: Mapping[str, tuple[str, str, str]], front: Mapping[str, tuple[str, str, str]], *, folded: bool
) -> Callable[[str], str]:
    """`folded`: the target is not there, so what comes nearest stands for it; else only what says just the same."""

    def place(uuid: str) -> str:
        own = target.get(uuid)
        same = next((each for each, said in front.items() if said == own), "")
        if not folded or same:
            return same or uuid
        alike = next((each for each, said in front.items() if own and (said[0], said[2]) == (own[0], own[2])), "")
        return alike or next(iter(front), uuid)

    return place
