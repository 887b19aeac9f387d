"""A MISP event made ready for misp-stix: what must not leave is taken out, ids and times are put right.

Nothing disappears unsaid: what is deleted or cannot be named ends in `skipped` or `rejected`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import RFC_4122, UUID, uuid5

import orjson

from exchange.convert.labels import clusters, listed, own, truth
from exchange.errors import ContentError
from exchange.model.envelope import Rejected, Skipped

MINTED = UUID("5b0f1d8e-6f0a-5c58-9a53-7d9c2f6c1d10")
"""Namespace of the uuids that replace malformed or missing ones: UUIDv5 of `EVENT-UUID/TEXT`, where TEXT is what stood
in the uuid's place, or type and value where nothing did. All of it is part of the event (RULES R15)."""

DEEPEST = 64
_UUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_UUID_NAMES = frozenset(
    {"uuid", "referenced_uuid", "source_uuid", "object_uuid", "attribute_uuid", "event_uuid", "related_object_uuid"}
)
# Proposals, correlations and warnings are no content of the event.
_DROPPED = (
    "ShadowAttribute",
    "RelatedEvent",
    "Feed",
    "Server",
    "warnings",
    "CryptographicKey",
    "Relationship",
)
_NESTED = ("EventReport", "Note", "Opinion", "Sighting")
_CHOICES = {"threat_level_id": ("1", "2", "3", "4"), "analysis": ("0", "1", "2")}
_LAST_SECOND = 253_402_300_799


@dataclass(slots=True, kw_only=True)
class Prepared:
    """An event ready for conversion, and what was left out of it."""

    event: dict[str, Any]
    skipped: list[Skipped] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def prepare(event: dict[str, Any], *, internal: bool, now: datetime) -> Prepared:
    """`event` put right, in place. Raises ContentError when its frame is broken."""
    _check_depth(event)
    _name_event(event)
    _mend_uuids(event, lambda text: minted(event["uuid"], text))
    event["timestamp"] = str(_event_time(event, now))
    _mend_frame(event)
    prepared = Prepared(event=event)
    work = _Work(prepared=prepared, internal=internal, seen={event["uuid"]})
    event["Attribute"] = work.attributes(event)
    event["Object"] = work.objects(event)
    work.tidy(event)
    return prepared


def minted(event_uuid: str, text: str) -> str:
    """The uuid that stands for a malformed or missing one."""
    return str(uuid5(MINTED, f"{event_uuid}/{text}"))


@dataclass(slots=True, kw_only=True)
class _Work:
    prepared: Prepared
    internal: bool
    seen: set[str]

    def attributes(self, parent: dict[str, Any]) -> list[dict[str, Any]]:
        """The live attributes of an event or object."""
        return [a for a in listed(parent, "Attribute") if self._takes_attribute(a)]

    def objects(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """The live objects that still have an attribute."""
        return [entity for entity in listed(event, "Object") if self._takes_object(entity)]

    def _takes_attribute(self, attribute: dict[str, Any]) -> bool:
        if truth(attribute.get("deleted")):
            return self._skip(attribute, "misp.deleted")
        raw = orjson.dumps(attribute)
        if not (attribute.get("uuid") or self._mint(attribute)):
            return self._reject(attribute, raw, "misp.no_uuid")
        return self._once(attribute, raw) and self._timed(attribute, raw)

    def _takes_object(self, entity: dict[str, Any]) -> bool:
        raw = orjson.dumps(entity)
        if truth(entity.get("deleted")):
            for attribute in listed(entity, "Attribute"):
                self._skip(attribute, "misp.deleted")
            return self._skip(entity, "misp.deleted")
        entity["Attribute"] = self.attributes(entity)
        if not entity["Attribute"]:
            return self._skip(entity, "misp.empty_object")
        if not entity.get("uuid"):
            entity["uuid"] = minted(self.prepared.event["uuid"], entity["Attribute"][0]["uuid"])
        if not (self._once(entity, raw) and self._timed(entity, raw)):
            for attribute in entity["Attribute"]:
                self._reject(attribute, orjson.dumps(attribute), "misp.broken_object")
            return False
        return True

    def _mint(self, attribute: dict[str, Any]) -> bool:
        """A uuid from type and value; not where they are less public than the event that will name it (R15)."""
        if own(self.prepared.event, internal=self.internal).join(own(attribute, internal=self.internal)) != own(
            self.prepared.event, internal=self.internal
        ):
            return False
        attribute["uuid"] = minted(self.prepared.event["uuid"], f"{attribute.get('type')}/{attribute.get('value')}")
        return True

    def _once(self, entity: dict[str, Any], raw: bytes) -> bool:
        if entity["uuid"] in self.seen:
            return self._reject(entity, raw, "misp.repeated_uuid")
        self.seen.add(entity["uuid"])
        return True

    def _timed(self, entity: dict[str, Any], raw: bytes) -> bool:
        """An entity without a time has its event's; one with an impossible time cannot be versioned."""
        value = entity.get("timestamp")
        if value in (None, "", 0, "0"):
            entity["timestamp"] = self.prepared.event["timestamp"]
            return True
        seconds = _seconds(value)
        if seconds is None:
            return self._reject(entity, raw, "misp.bad_timestamp")
        entity["timestamp"] = str(seconds)
        return True

    def _skip(self, entity: Mapping[str, Any], code: str) -> bool:
        fields = {"event": self.prepared.event["uuid"]}
        self.prepared.skipped.append(Skipped(id=str(entity.get("uuid") or ""), code=code, fields=fields))
        return False

    def _reject(self, entity: Mapping[str, Any], raw: bytes, code: str) -> bool:
        fields = {"event": self.prepared.event["uuid"]}
        self.prepared.rejected.append(Rejected(raw=raw, code=code, fields=fields, id=str(entity.get("uuid") or "")))
        return False

    def tidy(self, entity: dict[str, Any]) -> None:
        """Take out what is not content or must not travel, here and in everything inside."""
        for name in _DROPPED:
            entity.pop(name, None)
        for name in _NESTED:
            if name in entity:
                entity[name] = [inner for inner in listed(entity, name) if self._takes_nested(inner)]
        _name_clusters(entity)
        for name in ("Attribute", "Object", *_NESTED):
            for inner in listed(entity, name):
                self.tidy(inner)

    def _takes_nested(self, inner: dict[str, Any]) -> bool:
        if truth(inner.get("deleted")):
            return self._skip(inner, "misp.deleted")
        if not inner.get("uuid"):
            return self._skip(inner, "misp.no_uuid")
        return True


def _name_clusters(entity: dict[str, Any]) -> None:
    """A galaxy cluster without a uuid (older MISP) gets one from its type and value, the same in every event."""
    for galaxy in listed(entity, "Galaxy"):
        named = [c for c in listed(galaxy, "GalaxyCluster") if c.get("uuid") or c.get("value")]
        for cluster in named:
            kind = cluster.get("type") or galaxy.get("type")
            cluster["uuid"] = cluster.get("uuid") or str(uuid5(MINTED, f"galaxy/{kind}/{cluster['value']}"))
        galaxy["GalaxyCluster"] = named


def strip(entity: dict[str, Any]) -> None:
    """Take out what has done its work in the labels, here and inside: distribution, sharing groups, tags and
    clusters that stay here.

    PyMISP refuses a whole event for a distribution that it finds odd.
    """
    for name in ("distribution", "sharing_group_id", "SharingGroup"):
        entity.pop(name, None)
    if "Tag" in entity:
        entity["Tag"] = [tag for tag in listed(entity, "Tag") if _travels(tag)]
    for galaxy in listed(entity, "Galaxy"):
        galaxy["GalaxyCluster"] = [c for c in listed(galaxy, "GalaxyCluster") if not truth(c.get("local"))]
    if "Galaxy" in entity:
        entity["Galaxy"] = [galaxy for galaxy in listed(entity, "Galaxy") if galaxy["GalaxyCluster"]]
    for cluster in clusters(entity):
        strip(cluster)
    for name in ("Attribute", "Object", *_NESTED):
        for inner in listed(entity, name):
            strip(inner)


def _travels(tag: Mapping[str, Any]) -> bool:
    kept = tag.get("exportable")
    return not truth(tag.get("local")) and (kept is None or truth(kept)) and bool(tag.get("name"))


def _mend_frame(event: dict[str, Any]) -> None:
    """Drop what PyMISP refuses a whole event for, where it is nothing but an ornament."""
    for name, allowed in _CHOICES.items():
        if name in event and str(event[name]) not in allowed:
            del event[name]
    for name in ("publish_timestamp", "sighting_timestamp"):
        if name in event and _seconds(event[name]) is None:
            del event[name]
    if "date" in event and _day(event["date"]) is None:
        del event["date"]
    for name in ("Orgc", "Org"):
        if not isinstance(event.get(name), dict):
            event.pop(name, None)


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ContentError("content.depth", limit=DEEPEST)
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, depth + 1)


def _name_event(event: dict[str, Any]) -> None:
    text = str(event.get("uuid") or "").lower()
    if not well_formed(text):
        creator = event.get("Orgc")
        owner = str(creator.get("uuid") or "") if isinstance(creator, dict) else ""
        text = minted(owner, text or f"{event.get('date')}/{event.get('info')}")
    event["uuid"] = text


def well_formed(text: str) -> bool:
    """Whether `text` is a uuid that STIX allows, in lower case."""
    return _UUID.match(text) is not None and UUID(text).variant == RFC_4122


def _mend_uuids(value: Any, mint: Callable[[str], str]) -> None:
    """Lower case for every uuid; another in place of what is none, the same wherever the same text stands."""
    if isinstance(value, list):
        for inner in value:
            _mend_uuids(inner, mint)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in _UUID_NAMES and inner:
                text = str(inner).lower()
                value[name] = text if well_formed(text) else mint(str(inner))
            elif isinstance(inner, dict | list):
                _mend_uuids(inner, mint)


def _seconds(value: Any) -> int | None:
    try:
        seconds = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= _LAST_SECOND else None


def _event_time(event: Mapping[str, Any], now: datetime) -> int:
    """When the event was last changed; without a usable timestamp: published, else its date, else now."""
    for name in ("timestamp", "publish_timestamp"):
        seconds = _seconds(event.get(name))
        if seconds is not None:
            return seconds
    day = _day(event.get("date"))
    return int((day or now).timestamp())


def _day(value: Any) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
