"""MISP entities → the JSON of one event, as a server or a feed hands it out (reference misp.md sections 1.6 and 3).

What goes in was released one by one; here it becomes one document: each uuid and each (type, category, value) once,
for MISP drops the second in silence; each attribute under a distribution no wider than its own label; what was taken
away as a tombstone without its value. Gathered, the document lies compressed, so an event of 150,000 attributes fits
into a few megabytes until it is read piece by piece.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from exchange.convert.gathering import Buffer, Joined, rank
from exchange.convert.part import INHERIT, Part, said_by_marking, stone
from exchange.model.marking import Label, Reach, Tlp, of_tags, says

Flavour = Literal["sync", "feed", "push"]
_WIDEST: Mapping[Flavour, Mapping[Tlp, int]] = {
    # Whoever pulls makes 1 of 2, and 0 of 1; whoever is pushed to or reads a feed takes it as it stands.
    "sync": {Tlp.CLEAR: 3, Tlp.GREEN: 2},
    "push": {Tlp.CLEAR: 3, Tlp.GREEN: 1},
    "feed": {Tlp.CLEAR: 3, Tlp.GREEN: 1},
}
_ELSE: Mapping[Flavour, int] = {"sync": 1, "push": 0, "feed": 0}
_REACH = {Reach.ALL: 3, Reach.CONNECTED: 2, Reach.COMMUNITY: 1, Reach.NODE: 0}


def distribution(label: Label, flavour: Flavour) -> int:
    """How far MISP may let go what stands under `label`; a sharing group is never named."""
    # Whom a sharing group or PFC's list leaves out, the receiver cannot know: it goes no further there.
    few = label.orgs is not None or label.for_the_list
    level = None if few else label.level(listed=False)
    widest = _ELSE[flavour] if level is None else _WIDEST[flavour].get(level, _ELSE[flavour])
    reach = _REACH[label.reach]
    # Who pulls makes 1 of 2; who is pushed to, or reads a feed, takes it as it stands.
    return min(widest, 1 if reach == 2 and flavour != "sync" else reach)


_FURTHEST = 3


def apart(part: Part, label: Label, flavour: Flavour, within: int = _FURTHEST) -> dict[str, Any] | None:
    """The body of a cluster, note, opinion, relationship or proposal that travels by a call of its own.

    It goes no further than its label, and than its event where that is known (`within`, a distribution). None: it is
    held, for no tag can stand on it, so it says nothing but a distribution; a proposal says not even that.
    """
    if rank(label) > Tlp.GREEN or label.pap is not None or label.iep or label.unknown or label.bound:
        return None
    under = distribution(label, flavour)
    if part.kind == "proposal":
        return dict(part.body) if under >= within or within == _FURTHEST else None
    reach = {"distribution": str(min(under, within))}
    body = {name: _placeless(value) for name, value in part.body.items()} | reach
    relations = body.get("GalaxyClusterRelation")
    if isinstance(relations, list):
        body["GalaxyClusterRelation"] = [{**each, **reach} for each in relations if isinstance(each, dict)]
    return body


def _placeless(value: Any) -> Any:
    """Without the distributions and sharing groups in it: they were those of the creator's own instance."""
    if isinstance(value, list):
        return [_placeless(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _placeless(inner) for name, inner in value.items() if name not in _PLACES}


_PLACES = frozenset({"distribution", "sharing_group_id", "SharingGroup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is said of the event itself."""

    uuid: str
    info: str
    date: str
    timestamp: int
    threat_level_id: str
    analysis: str
    extends_uuid: str
    distribution: int
    level: int
    """Rank of its TLP: what is stricter says so itself."""
    orgc: Mapping[str, str]
    tags: tuple[Mapping[str, Any], ...]

    def fields(self) -> dict[str, Any]:
        """MISP's own, without what is in it."""
        stamp = str(self.timestamp)
        return {
            "uuid": self.uuid, "info": self.info, "date": self.date, "timestamp": stamp, "publish_timestamp": stamp,
            "published": True, "analysis": self.analysis, "threat_level_id": self.threat_level_id,
            "distribution": str(self.distribution), "sharing_group_id": "0", "extends_uuid": self.extends_uuid,
            "locked": True, "Orgc": dict(self.orgc), "Tag": [dict(tag) for tag in self.tags],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When an audience got, and lost, what a part was made of; seconds."""

    listed: int
    gone: int = 0
    """0: it is there."""
    closings: int = 0
    """How often it was taken from this audience so far: what comes again must be newer than its tombstone."""

    def stamp(self, own: int) -> int:
        """The timestamp under which it is shown: its creator's `own` (0: none), as long as nothing came between."""
        if self.gone:
            return max(own, self.gone) + max(1, 2 * self.closings - 1)
        if self.closings:
            return max(own, self.listed) + 2 * self.closings
        return own or self.listed


@dataclass(slots=True)
class _Past:
    """An attribute inside an object, as the versions of the object had it until now."""

    body: Mapping[str, Any]
    """As the last version that held it."""
    there: bool = True
    since: int = 0
    """From when on it must be dated, whatever its creator says: it came again, or changed under the same date."""

    def now(self, body: Mapping[str, Any], listed: int) -> _Past:
        """The same in the next version, which holds it."""
        before, dated = ({**each, "timestamp": ""} for each in (self.body, body))
        newer = int(body.get("timestamp") or 0) > int(self.body.get("timestamp") or 0)
        renewed = not self.there or (before != dated and not newer)
        return _Past(body, since=listed + 1 if renewed else self.since)

    def stone(self, stamp: int) -> dict[str, Any]:
        """Its end."""
        return stone(self.body, max(stamp, int(self.body.get("timestamp") or 0) + 1, self.since + 1))


class Draft:
    """An event while it is put together. Parts in an order that does not change; each is judged by `passes`.

    `mint` gives a uuid for what cannot keep its own.
    """

    def __init__(
        self, frame: Frame, flavour: Flavour, *, mint: Callable[[str], str], passes: Callable[[bytes], bool]
    ) -> None:
        self.frame = frame
        self.flavour: Flavour = flavour
        self.lost = Counter[str]()
        self.attributes = 0
        self.stopped: list[str] = []
        """uuids of what the gate refused."""
        self._mint, self._passes = mint, passes
        self._used: set[int] = set()
        self._places: dict[int, tuple[int, Times]] = {}
        """Digest of (type, category, value) → which attribute of the event says it, and since when."""
        self._ended: dict[int, int] = {}
        """The same → from when on another attribute must be dated that takes the place of one that is gone."""
        self._joined: dict[int, Joined] = {}
        self._buffers = {name: Buffer() for name in _SECTIONS}
        self._tombs: list[tuple[str, int, bytes]] = []
        self._tags: dict[str, Mapping[str, Any]] = {}
        self._sightings: dict[str, list[Mapping[str, Any]]] = {}
        self._earlier: dict[str, dict[str, _Past]] = {}
        """Object → the attributes that versions of it hold or held, by uuid."""

    @property
    def objects(self) -> int:
        """How many there are."""
        return self._buffers["Object"].count

    @property
    def reports(self) -> int:
        """How many there are."""
        return self._buffers["EventReport"].count

    def sight(self, sightings: Mapping[str, list[Mapping[str, Any]]]) -> None:
        """Sightings that go inside, by the uuid of their attribute; before anything is taken."""
        self._sightings = dict(sightings)

    def recall(self, part: Part, listed: int) -> None:
        """An earlier version of what is taken later, and when it was listed; earlier ones first.

        What an object no longer holds is told to be deleted, and what it holds anew is told under a newer date.
        """
        if part.kind != "object":
            return
        known = self._earlier.setdefault(part.uuid, {})
        inner = {each["uuid"]: each for each in part.body.get("Attribute") or ()}
        for uuid, each in inner.items():
            known[uuid] = known[uuid].now(each, listed) if uuid in known else _Past(each)
        for uuid, past in known.items():
            past.there = uuid in inner

    def take(self, part: Part, label: Label, times: Times) -> None:
        """Put one part in, under its label."""
        if label.level(listed=True) is None:
            self.lost["convert.label_not_carried"] += 1
        elif part.kind == "tag":
            self._tag(part, label)
        elif part.kind not in _TAKEN:
            return  # it travels by a call of its own
        elif times.gone or part.body.get("deleted") is True:
            self._bury(part, times)
        elif part.kind == "attribute":
            self._attribute(part, label, times)
        elif part.kind == "object":
            self._object(part, label, times)
        else:
            self._report(part, label, times)

    def _under(self, label: Label) -> str:
        """The distribution of a part: the event's, or less."""
        own = distribution(label, self.flavour)
        return INHERIT if own >= self.frame.distribution and rank(label) <= self.frame.level else str(own)

    def _own_uuid(self, uuid: str, text: str) -> str:
        """`uuid`, if nothing in the event has it yet; it is in use from now on."""
        number = _number(uuid)
        if number is None or number in self._used:
            self.lost["convert.uuid_again" if number is not None else "convert.uuid"] += 1
            uuid = self._mint(f"{uuid}|{text}")
            number = UUID(uuid).int
        self._used.add(number)
        return uuid

    def _attribute(self, part: Part, label: Label, times: Times) -> None:
        body = part.body
        key = _key(body)
        known = self._places.get(key)
        if known is not None:
            self._join(part, label, times, *known)
            return
        body["uuid"] = self._own_uuid(part.uuid, f"{body['type']}|{body['value']}")
        body["timestamp"] = str(times.stamp(part.timestamp))
        body["distribution"] = self._under(label)
        if self._sightings and part.uuid in self._sightings:
            body["Sighting"] = self._sightings.pop(part.uuid)
        if self._put("Attribute", body):
            self._places[key] = self._buffers["Attribute"].count - 1, times
            self.attributes += 1

    def _join(self, part: Part, label: Label, times: Times, number: int, since: Times) -> None:
        """Another that says the same: one stands for both, and who has this one under its own uuid drops it."""
        own, before = times.stamp(part.timestamp), self._joined.get(number, Joined())
        self._joined[number] = before.joined(part.body, label, max(own, times.listed), self._under(label))
        stamp = max(own, since.listed) + 4 * since.closings + 1
        self._tomb(part, {name: part.body[name] for name in ("type", "category")}, stamp)
        self.lost["convert.joined"] += 1

    def _object(self, part: Part, label: Label, times: Times) -> None:
        body = part.body
        changed = part.uuid in self._earlier
        if changed:
            self.recall(part, times.listed)
        known = self._earlier.pop(part.uuid, {})
        body["uuid"] = self._own_uuid(part.uuid, "object")
        body["distribution"] = self._under(label)
        inner = body.get("Attribute") or []
        for each in inner:
            since = known[each["uuid"]].since if changed else 0
            each["timestamp"] = str(max(times.stamp(int(each.get("timestamp") or 0)), since))
            each["uuid"] = self._own_uuid(each["uuid"], f"{each['type']}|{each['value']}")
            if self._sightings and each["uuid"] in self._sightings:
                each["Sighting"] = self._sightings.pop(each["uuid"])
        stamp = max(times.listed, times.stamp(part.timestamp))
        gone = [past.stone(stamp) for past in known.values() if not past.there]
        body["Attribute"] = [*inner, *gone]
        # MISP looks at nothing inside of an object that it knows unless the object itself is newer.
        own = stamp if changed else times.stamp(part.timestamp)
        body["timestamp"] = str(max([own, *(int(each["timestamp"]) for each in body["Attribute"])]))
        if self._put("Object", body):
            self.attributes += len(inner)

    def _report(self, part: Part, label: Label, times: Times) -> None:
        if not says(of_tags(tag["name"] for tag in self.frame.tags), label):
            self.lost["convert.label_not_carried"] += 1  # a report has no tags that could say it
            return
        body = part.body
        body["uuid"] = self._own_uuid(part.uuid, "report")
        body["timestamp"] = str(times.stamp(part.timestamp))
        body["distribution"] = self._under(label)
        self._put("EventReport", body)

    def _tag(self, part: Part, label: Label) -> None:
        if not says(of_tags(tag["name"] for tag in self.frame.tags), label):
            self.lost["convert.label_not_carried"] += 1
            return
        for tag in part.body["Tag"]:
            if not said_by_marking(tag["name"]):
                self._tags.setdefault(tag["name"], tag)

    def _bury(self, part: Part, times: Times) -> None:
        """Its end, without what it said: who never had it can make nothing of it."""
        stamp = times.stamp(part.timestamp)
        body: dict[str, Any] = {}
        if part.kind == "attribute":
            body = {name: part.body[name] for name in ("type", "category") if name in part.body}
            if "value" in part.body:
                key = _key(part.body)
                ended = max(part.timestamp, times.gone) + 4 * max(1, times.closings) - 1
                self._ended[key] = max(self._ended.get(key, 0), ended)
        elif part.kind == "object":
            inner = {each["uuid"]: each for each in part.body.get("Attribute") or ()}
            before = {uuid: past.body for uuid, past in self._earlier.pop(part.uuid, {}).items()}
            stones = [
                stone(each, max(stamp, times.stamp(int(each.get("timestamp") or 0))))
                for each in (before | inner).values()
            ]
            body["Attribute"] = stones
            stamp = max([stamp, *(int(each["timestamp"]) for each in stones)])
        self._tomb(part, body, stamp)

    def _tomb(self, part: Part, body: Mapping[str, Any], stamp: int) -> None:
        number = _number(part.uuid)
        if number is not None:
            whole = {"uuid": part.uuid, **body, "deleted": True, "timestamp": str(stamp)}
            self._tombs.append((_SECTION_OF[part.kind], number, orjson.dumps(whole)))

    def _put(self, section: str, body: Mapping[str, Any]) -> bool:
        piece = orjson.dumps(body)
        if not self._passes(piece):
            self.stopped.append(str(body["uuid"]))
            return False
        self._buffers[section].add(piece)
        return True

    def bodies(self, section: str) -> Iterator[dict[str, Any]]:
        """What stands in `Attribute`, `Object` or `EventReport`, one by one, without what is gone."""
        for chunk in self._section(section, self._buffers[section], gone=False):
            yield from orjson.loads(b"[" + chunk + b"]")

    def pieces(self, *, gone: bool = True) -> Iterator[bytes]:
        """The JSON of `{"Event": …}`, with tombstones of what is gone or without. Nothing may be taken any more."""
        fields = self.frame.fields()
        listed = {tag["name"] for tag in fields["Tag"]}
        fields["Tag"] += [dict(tag) for name, tag in self._tags.items() if name not in listed]
        yield b'{"Event":' + orjson.dumps(fields)[:-1]
        for section, buffer in self._buffers.items():
            comma = b',"' + section.encode() + b'":['
            for piece in self._section(section, buffer, gone=gone):
                yield comma + piece
                comma = b","
            yield b"]" if comma == b"," else comma + b"]"
        yield b"}}"

    def _section(self, section: str, buffer: Buffer, *, gone: bool) -> Iterator[bytes]:
        """Tombstones first: MISP takes no second attribute of one value while the first is not deleted."""
        tombs = [piece for of, number, piece in self._tombs if of == section and number not in self._used]
        if tombs and gone:
            yield b",".join(tombs)
        joined = self._changed() if section == "Attribute" else {}
        for first, count, chunk in buffer.chunks():
            here = [number for number in range(first, first + count) if number in joined] if joined else []
            yield self._rejoined(chunk, first, {number: joined[number] for number in here}) if here else chunk

    def _changed(self) -> Mapping[int, Joined]:
        """Attributes of which more is to be said than when they were taken."""
        changed = dict(self._joined)
        for key, ended in self._ended.items():
            if key in self._places:
                number = self._places[key][0]
                changed[number] = changed.get(number, Joined()).after(ended)
        return changed

    def _rejoined(self, chunk: bytes, first: int, joined: Mapping[int, Joined]) -> bytes:
        """The same attributes, with what else was said of some of them."""
        bodies = orjson.loads(b"[" + chunk + b"]")
        for number, more in joined.items():
            changed = more.onto(bodies[number - first])
            if self._passes(orjson.dumps(changed)):
                bodies[number - first] = changed
        return b",".join(orjson.dumps(body) for body in bodies)


_SECTIONS = ("Attribute", "Object", "EventReport")
_SECTION_OF = {"attribute": "Attribute", "object": "Object", "report": "EventReport"}
_TAKEN = frozenset(_SECTION_OF)


def _key(body: Mapping[str, Any]) -> int:
    return hash((body["type"], body.get("category"), body["value"]))


def _number(uuid: str) -> int | None:
    try:
        return UUID(uuid).int
    except ValueError:
        return None
