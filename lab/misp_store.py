"""What a MISP holds and whom it shows what: events, distribution, deletion, index filters, add and edit."""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

Event = dict[str, Any]
Parameters = Mapping[str, Any]

_AGE = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WITHOUT_CONTENT = ("Attribute", "Object", "EventReport", "ShadowAttribute", "CryptographicKey", "Galaxy")


class RefusedError(Exception):
    """MISP would not do it; `name` and `errors` as it says so."""

    def __init__(self, name: str, errors: Any) -> None:
        super().__init__(name)
        self.name, self.errors = name, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The organisation that asks; a site admin sees everything."""

    uuid: str
    name: str
    site_admin: bool = False

    def may_see(self, part: Mapping[str, Any], owner: str) -> bool:
        """Whether an event, object, attribute or report is shown to this organisation."""
        level = str(part.get("distribution", "5"))
        if self.site_admin or self.uuid == owner or level in "1235":
            return True
        members = part.get("SharingGroup", {}).get("SharingGroupOrg", [])
        return level == "4" and any(member["Organisation"]["uuid"] == self.uuid for member in members)


class Events:
    """The events of an instance, in order of arrival."""

    def __init__(self, events: Iterable[Event], reader: Reader) -> None:
        self.reader = reader
        self._lock = threading.RLock()
        self._held: dict[str, Event] = {}
        for event in events:
            self.put(event)

    def put(self, event: Event) -> None:
        """Hold an event as it stands; one with the same uuid is replaced."""
        with self._lock:
            held = self._held.get(event["uuid"])
            number = held["id"] if held else str(len(self._held) + 1)
            self._held[event["uuid"]] = _completed({**copy.deepcopy(event), "id": number})

    def __getitem__(self, uuid: str) -> Event:
        with self._lock:
            return copy.deepcopy(self._held[uuid])

    def view(self, key: str, parameters: Parameters) -> Event | None:
        """An event by uuid or number, as far as the reader may see it; None as for one that is not there."""
        with self._lock:
            found = self._held.get(key) or next((e for e in self._held.values() if e["id"] == key), None)
        if found is None or not self.reader.may_see(found, found["Orgc"]["uuid"]):
            return None
        return View(self.reader, found["Orgc"]["uuid"], parameters).event(found)

    def search(self, parameters: Parameters) -> list[Event]:
        """The visible events that fit the filters of an index or a restSearch, before paging."""
        with self._lock:
            held = list(self._held.values())
        return [
            event for event in held if self.reader.may_see(event, event["Orgc"]["uuid"]) and _fits(event, parameters)
        ]

    def wanted(self, offered: Iterable[Mapping[str, str]]) -> list[str]:
        """Of the events that a pusher offers, those that are unknown, or locked here and older."""
        uuids = []
        for offer in offered:
            held = self._held.get(offer["uuid"])
            if held is None or (held["locked"] and int(offer["timestamp"]) > int(held["timestamp"])):
                uuids.append(offer["uuid"])
        return uuids

    def add(self, event: Event) -> Event:
        """Take a new event from a pusher; attributes that are not valid go missing without a word, as in MISP."""
        good = [a for a in event.get("Attribute", []) if a.get("type") and a.get("value")]
        if event.get("published") and not (good or event.get("Object")):
            raise RefusedError(
                "Could not add Event",
                {"Event": "Received a published event that was empty. Event add process blocked."},
            )
        # Over Orgc MISP believes the pusher; the owner here is the pusher's own organisation.
        owner = {"id": "2", "name": self.reader.name, "uuid": self.reader.uuid, "local": True}
        arrived = {**event, "Attribute": good, "Org": owner, "Orgc": event.get("Orgc", owner)}
        arrived["publish_timestamp"] = str(int(time.time())) if event.get("published") else "0"
        self.put(arrived)
        return self[event["uuid"]]

    def edit(self, uuid: str, event: Event) -> Event:
        """Take a newer version: parts by part, and only those that are newer than ours."""
        with self._lock:
            held = self._held[uuid]
            if int(event["timestamp"]) <= int(held["timestamp"]):
                raise RefusedError(
                    "Could not edit Event",
                    "Event could not be saved: Event in the request not newer than the local copy.",
                )
            merged = {**held, **{k: v for k, v in event.items() if k not in ("Attribute", "Object", "Tag", "id")}}
            for part in ("Attribute", "Object"):
                merged[part] = _newer(held[part], event.get(part, []))
            merged["Tag"] = _tagged(held.get("Tag", []), event.get("Tag", []))
            merged["publish_timestamp"] = str(int(time.time()))
            self.put(merged)
        return self[uuid]


@dataclass(frozen=True, slots=True)
class View:
    """How one answer shows events: to whom, and with which of the caller's wishes."""

    reader: Reader
    owner: str
    parameters: Parameters

    @classmethod
    def of(cls, reader: Reader, event: Event, parameters: Parameters) -> Self:
        """The view of a reader on one event."""
        return cls(reader, event["Orgc"]["uuid"], parameters)

    def event(self, event: Event) -> Event:
        """The event without what this view leaves out."""
        if self.parameters.get("metadata"):
            return metadata(event)
        shown = self._tags(copy.deepcopy(event))
        for kind in ("Attribute", "Object", "EventReport"):
            shown[kind] = self._parts(shown.get(kind, []))
        for object_ in shown["Object"]:
            object_["Attribute"] = self._parts(object_.get("Attribute", []))
        return shown

    def _parts(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            self._tags(part)
            for part in parts
            if self.reader.may_see(part, self.owner) and self._alive(bool(part.get("deleted")))
        ]

    def _alive(self, deleted: bool) -> bool:
        asked = self.parameters.get("deleted", [])
        wishes = {str(int(w) if isinstance(w, bool) else w) for w in (asked if isinstance(asked, list) else [asked])}
        if wishes & {"2", "only"}:
            return deleted
        return not deleted or "1" in wishes

    def _tags(self, part: dict[str, Any]) -> dict[str, Any]:
        if self.parameters.get("excludeLocalTags") and "Tag" in part:
            part["Tag"] = [tag for tag in part["Tag"] if not tag.get("local")]
        return part


def metadata(event: Event) -> Event:
    """The event without its content."""
    return {key: value for key, value in event.items() if key not in _WITHOUT_CONTENT}


def _completed(event: Event) -> Event:
    # What a stored MISP event always has; the samples and real files leave some of it out.
    count = len(event.get("Attribute", [])) + sum(len(o.get("Attribute", [])) for o in event.get("Object", []))
    usual = {
        "orgc_id": event.get("Orgc", {}).get("id", "1"),
        "org_id": "1",
        "published": False,
        "analysis": "2",
        "threat_level_id": "2",
        "distribution": "3",
        "proposal_email_lock": False,
        "locked": False,
        "publish_timestamp": event.get("timestamp", "0"),
        "sighting_timestamp": "0",
        "sharing_group_id": "0",
        "disable_correlation": False,
        "extends_uuid": "",
        "protected": None,
        "Org": event.get("Orgc", {}),
        "Attribute": [],
        "ShadowAttribute": [],
        "Galaxy": [],
        "Object": [],
        "EventReport": [],
        "CryptographicKey": [],
    }
    return {**usual, **event, "attribute_count": str(count)}


def _newer(held: list[dict[str, Any]], offered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged = {part["uuid"]: part for part in held}
    for part in offered:
        known = merged.get(part["uuid"])
        if known is None or int(part["timestamp"]) > int(known["timestamp"]):
            merged[part["uuid"]] = part
    return list(merged.values())


def _tagged(held: list[dict[str, Any]], offered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tags = {tag["name"]: tag for tag in held}
    for tag in offered:
        if tag.get("deleted"):
            tags.pop(tag["name"], None)
        else:
            tags.setdefault(tag["name"], tag)
    return list(tags.values())


def _fits(event: Event, parameters: Parameters) -> bool:
    content = event["Attribute"] or event["Object"] or event["EventReport"]
    if parameters.get("minimal") and not content:
        return False
    if parameters.get("published") is not None and bool(int(parameters["published"])) != event["published"]:
        return False
    for name in ("timestamp", "publish_timestamp"):
        if parameters.get(name) is not None and not _within(int(event[name]), parameters[name]):
            return False
    uuids = parameters.get("uuid") or parameters.get("eventid")
    if uuids and not {event["uuid"], event["id"]} & set(map(str, _listed(uuids))):
        return False
    orgc = {event["Orgc"]["uuid"], event["Orgc"]["name"]}
    tags = {tag["name"] for tag in event.get("Tag", [])}
    wanted_tags = parameters.get("tag") or parameters.get("tags")
    return _chosen(orgc, parameters.get("org")) and _chosen(tags, wanted_tags)


def _chosen(present: set[str], rule: Any) -> bool:
    words = [str(word) for word in _listed(rule)] if rule else []
    wanted = {word for word in words if not word.startswith("!")}
    unwanted = {word[1:] for word in words if word.startswith("!")}
    return (not wanted or bool(wanted & present)) and not unwanted & present


def _within(value: int, bounds: Any) -> bool:
    low, high = bounds if isinstance(bounds, list) else (bounds, None)
    return (low is None or value >= _instant(low)) and (high is None or value <= _instant(high))


def _instant(text: Any) -> float:
    if age := re.fullmatch(r"(\d+)([smhd])", str(text)):
        return time.time() - int(age[1]) * _AGE[age[2]]
    return float(text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
