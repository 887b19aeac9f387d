"""A MISP that reads what we show it, by its own rules (reference misp.md section 2.3), and an audience that it is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from exchange.model.marking import Tlp
from exchange.model.misp import EXTENSION
from exchange.store import audiences, micros
from exchange.sync import events
from exchange.sync.events import EventRow, Flavour, Index, Kept, View
from tests.world import NOW, SHARED, World, marked

ORG = "identity--11111111-0000-4000-8000-000000000001"


def event_uuid(number: int) -> str:
    """One of a few events."""
    return f"e{number:07}-0000-4000-8000-000000000000"


def attribute(
    value: str, event: int = 0, *, uuid: str = "", version: int = 0, tlp: Tlp | None = Tlp.GREEN, **more: Any
) -> dict[str, Any]:
    """An attribute of an event as the conversion carries it: an indicator with our extension."""
    own = uuid or f"a{event:03}{zlib.crc32(value.encode()) % 10**4:04}-0000-4000-8000-000000000000"
    entity = {"type": "domain", "category": "Network activity", "value": value, "to_ids": True}
    made = {
        "type": "indicator", "spec_version": "2.1", "id": f"indicator--{own}", "created": "2026-01-01T00:00:00.000Z",
        "modified": _at(version), "created_by_ref": ORG, "pattern": f"[domain-name:value = '{value}']",
        "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        "extensions": {
            EXTENSION: {
                "extension_type": "property-extension", "event": event_uuid(event), "attribute": {**entity, **more},
            }
        },
    }  # fmt: skip
    return marked(made, tlp)


def frame(
    event: int = 0, *members: Mapping[str, Any], info: str = "An event", version: int = 0, tlp: Tlp | None = Tlp.GREEN
) -> dict[str, Any]:
    """The report that stands for an event."""
    made = {
        "type": "report", "spec_version": "2.1", "id": f"report--{event_uuid(event)}",
        "created": "2026-01-01T00:00:00.000Z", "modified": _at(version), "created_by_ref": ORG, "name": info,
        "published": "2026-01-01T00:00:00.000Z", "object_refs": [each["id"] for each in members] or [ORG],
        "extensions": {
            EXTENSION: {
                "extension_type": "property-extension", "event": event_uuid(event),
                "frame": {
                    "info": info, "date": "2026-01-01", "threat_level_id": "2", "analysis": "1",
                    "Tag": [{"name": "type:OSINT", "colour": "#004646"}],
                },
            }
        },
    }  # fmt: skip
    return marked(made, tlp)


def _at(version: int) -> str:
    return (NOW - timedelta(days=9 - version)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Shown:
    """One audience of a World over MISP."""

    def __init__(self, world: World, who: str = "ccc", flavour: Flavour = "sync", channel: str = SHARED) -> None:
        self.world, self.who, self.flavour, self.channel = world, who, flavour, channel
        self.kept = Kept()

    def view(self, tx: Any) -> View:
        """How it sees."""
        row = audiences.of_reader(tx, self.who, f"collection:{self.channel}")
        assert row is not None
        audience = next(a for a in self.world.rules.audiences if a.key == row.key)
        return events.view_of(
            tx, self.world.rules, audience, row.number, title="Partenaires", node="CERT-QC", flavour=self.flavour
        )

    def index(self, *, fresh: bool = False) -> Index:
        """The events; `fresh`: counted anew."""
        with self.world.store.reading() as tx:
            return events.index(tx, self.view(tx), micros(self.world.now), kept=None if fresh else self.kept)

    def event(self, row: EventRow, **more: Any) -> dict[str, Any]:
        """One of them."""
        with self.world.store.reading() as tx:
            made = events.document(tx, self.view(tx), row, micros(self.world.now), **more)
        found: dict[str, Any] = orjson.loads(b"".join(made))["Event"]
        return found

    def events(self) -> dict[str, dict[str, Any]]:
        """All of them, by uuid."""
        return {row.uuid: self.event(row) for row in self.index().rows}

    def sightings(self) -> list[dict[str, Any]]:
        """Those of all events."""
        rows = self.index().rows
        with self.world.store.reading() as tx:
            return list(events.sightings(tx, self.view(tx), rows, micros(self.world.now)))


def live(event: Mapping[str, Any]) -> dict[str, str]:
    """Uuid → value of the attributes that are not deleted, those of objects too."""
    flat = [*event["Attribute"], *(a for o in event["Object"] for a in o.get("Attribute", ()))]
    return {each["uuid"]: each["value"] for each in flat if each["deleted"] is False}


@dataclass
class Misp:
    """Pulls what is newer than what it has, and takes of it what MISP takes."""

    stamps: dict[str, int] = field(default_factory=dict)
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Attribute uuid → the attribute, with its event."""

    def pull(self, shown: Shown) -> None:
        """As MISP's sync does: the index, then the events whose timestamp is greater."""
        for row in shown.index().rows:
            if row.timestamp > self.stamps.get(row.uuid, -1):
                self.stamps[row.uuid] = row.timestamp
                event = shown.event(row)
                assert int(event["timestamp"]) == row.timestamp
                for each in event["Attribute"]:
                    self._take(row.uuid, each)

    def _take(self, event: str, given: Mapping[str, Any]) -> None:
        old = self.held.get(given["uuid"])
        if old is None:
            if "value" in given and not self._has(event, given):
                self.held[given["uuid"]] = {**given, "event": event}
        elif old["event"] == event and int(given["timestamp"]) > int(old["timestamp"]):
            self.held[given["uuid"]] = {**old, **given}

    def _has(self, event: str, given: Mapping[str, Any]) -> bool:
        said = (event, given["type"], given["category"], given["value"])
        there = (each for each in self.held.values() if not each["deleted"])
        return any((each["event"], each["type"], each["category"], each["value"]) == said for each in there)

    def said(self) -> set[tuple[str, str]]:
        """(event, value) of what is there and not deleted."""
        return {(each["event"], each["value"]) for each in self.held.values() if not each["deleted"]}
