"""An event that is handed to a MISP: what of it goes into `add` or `edit`, in parts that one call can carry.

Attributes are never unpacked, only cut apart, so an event of 150,000 of them costs little more than its bytes. MISP
keeps what a later edit does not name (reference misp.md §2.3), so parts add up to the whole; each needs a timestamp
greater than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from exchange.errors import ContentError
from exchange.peers.documents import is_uuid

MOST = 5000
"""Attributes of one call: MISP takes seven seconds for them."""
LARGEST = 16 * 1024 * 1024
"""Bytes of one call, attachments among them."""
AHEAD = 240
"""Seconds by which the timestamp of a part may be ahead of the clock: from five minutes on it would be held."""
_APART = ("Sighting", "ShadowAttribute", "Note", "Opinion", "Relationship", "GalaxyCluster")
_LOCAL = frozenset({"id", "org_id", "orgc_id", "Org", "user_id", "attribute_count", "locked", "timestamp", "published"})
"""What is the sender's own, or is written for each part."""
_MOST_STAMP = 2**33


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An attribute or an object: its bytes, how many attributes it is, and how many of them are not deleted."""

    kind: str
    raw: msgspec.Raw
    weight: int
    live: int
    refers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event on its way; `apart` is what travels by calls of its own."""

    uuid: str
    timestamp: int
    published: bool
    frame: Mapping[str, msgspec.Raw]
    items: Sequence[Item]
    reports: bytes
    """The list of event reports; empty: there are none."""
    apart: Mapping[str, Sequence[bytes]]

    @property
    def live(self) -> int:
        """How many attributes are not deleted."""
        return sum(item.live for item in self.items)

    def parts(self, most: int) -> list[Sequence[Item]]:
        """The items in at least one part; objects that refer to others come last, when those are there."""
        ordered = sorted(self.items, key=lambda item: (item.kind == "Object", item.refers))
        found: list[list[Item]] = [[]]
        weight = size = 0
        for item in ordered:
            length = memoryview(item.raw).nbytes
            if found[-1] and (weight + item.weight > most or size + length > LARGEST):
                found.append([])
                weight = size = 0
            found[-1].append(item)
            weight, size = weight + item.weight, size + length
        return list(found)

    def body(self, items: Sequence[Item], stamp: int, *, final: bool, reports: bool) -> bytes:
        """What is posted: `locked`, because it came from elsewhere, and published only with its last part."""
        fields: list[Any] = [b'"locked":1,"timestamp":"%d","published":%s' % (stamp, _flag(final and self.published))]
        for name, raw in self.frame.items():
            fields += [b",", orjson.dumps(name), b":", raw]
        for kind in ("Attribute", "Object"):
            raws = [item.raw for item in items if item.kind == kind]
            if raws:
                fields += [b',"', kind.encode(), b'":[', b",".join(raws), b"]"]
        if final and reports and self.reports:
            fields += [b',"EventReport":', self.reports]
        return b"".join([b'{"Event":{', *fields, b"}}"])


def stamps(event: Event, count: int, there: int | None, now: int) -> list[int]:
    """Strictly rising timestamps for `count` parts, greater than the peer's (`there`) and ending, if it can be, in the
    event's own; fewer than `count` when there is no room before AHEAD of the clock."""
    first = event.timestamp - count + 1
    if there is not None and first <= there:
        first = there + 1
    last = min(first + count - 1, max(event.timestamp, now + AHEAD))
    return list(range(first, last + 1))


def opened(body: bytes) -> Event:
    """The event in `{"Event": …}`; raises ContentError when there is none."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, dict[str, msgspec.Raw]])["Event"]
        items = [*_attributes(fields.get("Attribute")), *_objects(fields.get("Object"))]
        apart = {name: [r for r in map(bytes, _listed(fields.get(name))) if r.startswith(b"{")] for name in _APART}
        uuid, stamp = _value(fields.get("uuid")), int(_value(fields.get("timestamp")))
        published = _value(fields.get("published")) in (True, 1, "1")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError) as error:
        raise ContentError("misp.not_an_event", detail=str(error)[:200]) from None
    if not is_uuid(uuid) or not 0 < stamp < _MOST_STAMP:
        raise ContentError("misp.not_an_event", detail=str(uuid)[:80])
    held = {"Attribute", "Object", "EventReport", *_APART, *_LOCAL}
    reports = bytes(fields["EventReport"]) if _listed(fields.get("EventReport")) else b""
    return Event(
        uuid=uuid.lower(),
        timestamp=stamp,
        published=published,
        frame={name: raw for name, raw in fields.items() if name not in held},
        items=items,
        reports=reports,
        apart=apart,
    )


class _Attribute(msgspec.Struct):
    deleted: Any = False


class _Object(msgspec.Struct):
    deleted: Any = False
    Attribute: list[_Attribute] = []
    ObjectReference: list[Any] = []


def _attributes(raw: msgspec.Raw | None) -> Iterator[Item]:
    for each in _listed(raw):
        dead = _gone(msgspec.json.decode(each, type=_Attribute))
        yield Item(kind="Attribute", raw=each, weight=1, live=0 if dead else 1)


def _objects(raw: msgspec.Raw | None) -> Iterator[Item]:
    for each in _listed(raw):
        found = msgspec.json.decode(each, type=_Object)
        live = 0 if _gone(found) else sum(not _gone(attribute) for attribute in found.Attribute)
        weight = max(1, len(found.Attribute))
        yield Item(kind="Object", raw=each, weight=weight, live=live, refers=bool(found.ObjectReference))


def _gone(entity: Any) -> bool:
    return entity.deleted in (True, 1, "1")


def _listed(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    return [] if raw is None else msgspec.json.decode(raw, type=list[msgspec.Raw] | None) or []


def _value(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def _flag(value: bool) -> bytes:
    return b"true" if value else b"false"
