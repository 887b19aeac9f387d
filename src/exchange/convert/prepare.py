"""A MISP event made ready for conversion: what must not leave is taken out, ids and times are put right.

Nothing disappears unsaid: what is deleted or cannot be named ends in `skipped` or `rejected`. Entities are taken one by
one, so that an event need not be in memory as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from exchange.convert import forms
from exchange.convert.labels import clusters, groups_in, listed, own, truth
from exchange.convert.opening import check_depth
from exchange.errors import ContentError
from exchange.model.envelope import Rejected, Skipped
from exchange.model.marking import Label

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
"""A uuid that STIX allows (RFC 4122), in lower case."""
_UUID_NAMES = frozenset(
    {"uuid", "referenced_uuid", "source_uuid", "object_uuid", "attribute_uuid", "event_uuid", "related_object_uuid"}
)
_AROUND = ("Galaxy", "Sighting", "Note", "Opinion", "Relationship", "ShadowAttribute", "EventReport")
"""What may stand in an attribute and have uuids of its own."""
# Correlations and warnings are no content of the event.
_DROPPED = ("RelatedEvent", "Feed", "Server", "warnings", "CryptographicKey")
_NESTED = ("EventReport", "Note", "Opinion", "Sighting", "Relationship", "ShadowAttribute")
_STATING = ("Tag", "SharingGroup", "Orgc", "Org")
_CHOICES = {"threat_level_id": ("1", "2", "3", "4"), "analysis": ("0", "1", "2")}
MOST_REFUSED = 10_000
"""Parts of one event that may be set aside one by one."""
_LAST_SECOND = 253_402_300_799
_USUAL_TIME = re.compile(r"[1-9][0-9]{0,10}\Z").match
"""Seconds as MISP writes them; what else may be meant by a time is looked at more closely."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """An event whose frame is ready for conversion, and what was left out of it and of the entities taken since."""

    event: dict[str, Any]
    internal: bool
    drafts: bool
    """Whether what says that it is not published waits until it is."""
    label: Label
    """The event's own."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """What of the event says how strict it is, as it was before anything was taken out."""
    skipped: list[Skipped] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    refused: int = 0
    """How much of it could not be taken so far."""

    def attributes(self, parent: dict[str, Any]) -> list[dict[str, Any]]:
        """The live attributes of an event or object."""
        return [a for a in listed(parent, "Attribute") if self.takes_attribute(a)]

    def takes_attribute(self, attribute: dict[str, Any], *, alone: bool | None = None) -> bool:
        """Put right an attribute, in place; False: it is left out, and the reason noted.

        `alone`: what `stands_alone` says of it, where that is known.
        """
        uuid = attribute.get("uuid")
        if alone is None:
            alone = stands_alone(attribute)
        if not (alone and type(uuid) is str and _UUID.match(uuid)):
            _mend_uuids(attribute, self._renamed)
        deleted = attribute.get("deleted")
        if deleted and truth(deleted):
            return self._skip(attribute, "misp.deleted")
        if not (attribute.get("uuid") or self._mint(attribute)):
            return self._reject(attribute, "misp.no_uuid")
        if not (self._once(attribute) and self._timed(attribute)):
            return False
        if not (alone and attribute.keys().isdisjoint(_DROPPED)):
            self.tidy(attribute)
        return True

    def takes_object(self, entity: dict[str, Any]) -> bool:
        """The same for an object; one without a live attribute is left out."""
        self.mend(entity)
        if truth(entity.get("deleted")):
            for attribute in listed(entity, "Attribute"):
                self._skip(attribute, "misp.deleted")
            return self._skip(entity, "misp.deleted")
        entity["Attribute"] = self.attributes(entity)
        if not entity["Attribute"]:
            return self._skip(entity, "misp.empty_object")
        if not entity.get("uuid"):
            entity["uuid"] = minted(self.event["uuid"], entity["Attribute"][0]["uuid"])
        if not (self._once(entity) and self._timed(entity)):
            for attribute in entity["Attribute"]:
                self._reject(attribute, "misp.broken_object")
            return False
        self.tidy(entity)
        return True

    def mend(self, entity: dict[str, Any]) -> None:
        """Give an entity and all inside well-formed uuids; each that is given anew is noted."""
        uuid = entity.get("uuid")
        whole = isinstance(uuid, str) and _UUID.match(uuid) is not None
        if whole and stands_alone(entity):
            return
        _mend_uuids(entity, self._renamed)

    def renamed(self, text: str) -> str:
        """The uuid under which an entity that others call `text` is known here."""
        return text.lower() if well_formed(text.lower()) else minted(self.event["uuid"], text)

    def _renamed(self, text: str) -> str:
        made = minted(self.event["uuid"], text)
        self.skipped.append(Skipped(id=made, code="misp.minted_uuid", fields={"value": text[:80], "uuid": made}))
        return made

    def _mint(self, attribute: dict[str, Any]) -> bool:
        """A uuid from type and value; not where they are less public than the event that will name it (R15)."""
        if self.label.join(own(attribute, internal=self.internal)) != self.label:
            return False
        attribute["uuid"] = minted(self.event["uuid"], f"{attribute.get('type')}/{attribute.get('value')}")
        return True

    def _once(self, entity: dict[str, Any]) -> bool:
        uuid = entity["uuid"]
        if uuid in self.seen:
            return self._reject(entity, "misp.repeated_uuid")
        self.seen.add(uuid)
        return True

    def _timed(self, entity: dict[str, Any]) -> bool:
        """An entity without a time has its event's; one with an impossible time cannot be versioned."""
        value = entity.get("timestamp")
        if type(value) is str and _USUAL_TIME(value):
            return True
        if value in (None, "", 0, "0"):
            entity["timestamp"] = self.event["timestamp"]
            return True
        seconds = _seconds(value)
        if seconds is None:
            return self._reject(entity, "misp.bad_timestamp")
        entity["timestamp"] = str(seconds)
        return True

    def _skip(self, entity: Mapping[str, Any], code: str) -> bool:
        fields = {"event": self.event["uuid"]}
        self.skipped.append(Skipped(id=str(entity.get("uuid") or ""), code=code, fields=fields))
        return False

    def refuse(self, count: int) -> None:
        """Count what cannot be taken. Raises ContentError when that is more than an event may hold: it is no event."""
        self.refused += count
        if self.refused > MOST_REFUSED:
            raise ContentError("misp.too_much_refused", limit=MOST_REFUSED)

    def _reject(self, entity: Mapping[str, Any], code: str) -> bool:
        self.refuse(1)
        fields = {"event": self.event["uuid"]}
        self.rejected.append(
            Rejected(raw=orjson.dumps(entity), code=code, fields=fields, id=str(entity.get("uuid") or ""))
        )
        return False

    def tidy(self, entity: dict[str, Any]) -> None:
        """Take out what is not content or must not travel, here and in everything inside."""
        if not any(map(entity.get, _AROUND)) and entity.keys().isdisjoint(_DROPPED):
            return
        for name in _DROPPED:
            entity.pop(name, None)
        for name in _NESTED:
            if entity.get(name):
                entity[name] = [inner for inner in listed(entity, name) if self.takes_nested(inner)]
                for inner in entity[name]:
                    self.tidy(inner)
        if entity.get("Galaxy"):
            _name_clusters(entity)

    def takes_nested(self, inner: dict[str, Any]) -> bool:
        """Whether a report, a sighting and the like is live and has a name."""
        if truth(inner.get("deleted")):
            return self._skip(inner, "misp.deleted")
        if not inner.get("uuid"):
            return self._skip(inner, "misp.no_uuid")
        return True


def stands_alone(entity: Mapping[str, Any]) -> bool:
    """Whether there is nothing in it that has a uuid of its own."""
    return not any(map(entity.get, _AROUND)) and "Attribute" not in entity


def prepare(event: dict[str, Any], *, internal: bool, drafts: bool, now: datetime) -> Prepared:
    """`event` put right, in place, with what attributes and objects are in it.

    Raises ContentError when it is nested too deeply.
    """
    check_depth(event)
    renamed = _name_event(event)
    inside: dict[str, Any] = {name: event.pop(name) for name in ("Attribute", "Object") if name in event}
    stated = {name: value for name, value in event.items() if name in _STATING or not isinstance(value, list | dict)}
    if not drafts:
        stated.pop("published", None)
    prepared = Prepared(
        event=event,
        internal=internal,
        drafts=drafts,
        label=own(event, internal=internal, groups=groups_in(event)),
        stated=stated,
        seen={event["uuid"]},
    )
    prepared.skipped += renamed
    prepared.mend(event)
    event["timestamp"] = str(_event_time(event, now))
    _mend_frame(event)
    prepared.tidy(event)
    event["Attribute"] = prepared.attributes(inside)
    event["Object"] = [entity for entity in listed(inside, "Object") if prepared.takes_object(entity)]
    return prepared


def minted(event_uuid: str, text: str) -> str:
    """The uuid that stands for a malformed or missing one."""
    return forms.minted(f"{event_uuid}/{text}")


def _name_clusters(entity: dict[str, Any]) -> None:
    """A galaxy cluster without a uuid (older MISP) gets one from its type and value, the same in every event."""
    for galaxy in listed(entity, "Galaxy"):
        named = [c for c in listed(galaxy, "GalaxyCluster") if c.get("uuid") or c.get("value")]
        for cluster in named:
            kind = cluster.get("type") or galaxy.get("type")
            cluster["uuid"] = cluster.get("uuid") or forms.minted(f"galaxy/{kind}/{cluster['value']}")
        galaxy["GalaxyCluster"] = named


def strip(entity: dict[str, Any]) -> None:
    """Take out what has done its work in the labels, here and inside: distribution, sharing groups, tags and
    clusters that stay here.

    PyMISP refuses a whole event for a distribution that it finds odd.
    """
    for name in ("distribution", "sharing_group_id", "SharingGroup"):
        entity.pop(name, None)
    if entity.get("Tag"):
        entity["Tag"] = [tag for tag in listed(entity, "Tag") if travels(tag)]
    if entity.get("Galaxy"):
        for galaxy in listed(entity, "Galaxy"):
            galaxy["GalaxyCluster"] = [c for c in listed(galaxy, "GalaxyCluster") if not truth(c.get("local"))]
        entity["Galaxy"] = [galaxy for galaxy in listed(entity, "Galaxy") if galaxy["GalaxyCluster"]]
        for cluster in clusters(entity):
            strip(cluster)
    for name in ("Attribute", "Object"):
        for inner in listed(entity, name) if entity.get(name) else ():
            strip(inner)


def travels(tag: Mapping[str, Any]) -> bool:
    """Whether MISP would pass the tag on; one that was removed is sent as `deleted` (reference misp.md section 2.3)."""
    kept = tag.get("exportable")
    stays = not truth(tag.get("local")) and not truth(tag.get("deleted"))
    return stays and (kept is None or truth(kept)) and bool(tag.get("name"))


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


def _name_event(event: dict[str, Any]) -> list[Skipped]:
    text = str(event.get("uuid") or "").lower()
    event["uuid"] = text
    if well_formed(text):
        return []
    creator = event.get("Orgc")
    owner = str(creator.get("uuid") or "") if isinstance(creator, dict) else ""
    event["uuid"] = made = minted(owner, text or f"{event.get('date')}/{event.get('info')}")
    return [Skipped(id=made, code="misp.minted_uuid", fields={"value": text[:80], "uuid": made})]


def well_formed(text: str) -> bool:
    """Whether `text` is a uuid that STIX allows, in lower case."""
    return _UUID.match(text) is not None


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
