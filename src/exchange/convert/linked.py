"""MISP objects that may come out as one STIX object, brought together wherever they stand in their event.

A file and its sections may be far apart, and stand in another order in the next node that hands the event on: what is
made of them must not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from exchange.convert.labels import MERGED
from exchange.convert.opening import Raw, Slices


class _Reference(msgspec.Struct):
    referenced_uuid: Any = ""


class _Linked(msgspec.Struct):
    uuid: Any = ""
    name: Any = ""
    ObjectReference: list[_Reference] = []


def together(slices: Slices, most: int) -> Iterator[Slices]:
    """The objects, about `most` at a time; those that belong together in one batch, in an order of their own.

    More than `most` that belong together are cut, for an event may link all of its objects.
    """
    batch: list[Raw] = []
    for group in _groups(slices):
        for start in range(0, len(group), most):
            batch += [slices[number] for number in group[start : start + most]]
            if len(batch) >= most:
                yield batch
                batch = []
    if batch:
        yield batch


def _groups(slices: Slices) -> list[list[int]]:
    """Places of the objects that belong together, in the order in which the first of each stands."""
    uuids: dict[int, str] = {}
    links: list[tuple[int, str]] = []
    for number, raw in enumerate(slices):
        try:
            found = msgspec.json.decode(raw, type=_Linked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # what is wrong with it is told when it is read
        if isinstance(found.name, str) and found.name in MERGED:
            uuids[number] = str(found.uuid).lower()
            links += [(number, str(each.referenced_uuid).lower()) for each in found.ObjectReference]
    places = {uuid: number for number, uuid in uuids.items()}
    parent = list(range(len(slices)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, uuid in links:
        if uuid in places:
            parent[root(number)] = root(places[uuid])
    groups: dict[int, list[int]] = {}
    for number in range(len(slices)):
        groups.setdefault(root(number), []).append(number)
    return [sorted(group, key=lambda number: uuids.get(number, "")) for group in groups.values()]
