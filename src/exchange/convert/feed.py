"""STIX objects released to one audience → one event of a MISP feed (reference misp.md §1.6, §3).

Who may see what is decided before; the caller also groups by the visible source and gives the ids, which are HMACs
where they could tell something (RULES R15). What MISP has no form for is returned as lost, with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exchange.convert.mapping import TYPES, Value, values_of
from exchange.convert.part import Lost
from exchange.errors import ContentError
from exchange.model.marking import TLP_IDS, Tlp
from exchange.model.stix import version_of

_COMMENT = 1000
_COLOURS = {
    Tlp.CLEAR: "#ffffff",
    Tlp.GREEN: "#33FF00",
    Tlp.AMBER: "#FFC000",
    Tlp.AMBER_STRICT: "#FFC000",
    Tlp.RED: "#CC0033",
}
# How far a MISP that honours the event's distribution may let it go: TLP GREEN is for its community, CLEAR for all.
_DISTRIBUTION = {Tlp.CLEAR: "3", Tlp.GREEN: "1"}
_OWN_ORGANISATION = "0"
_INHERIT = "5"
# Carried by other means: labels as tags, references by being in the same event.
_UNDERSTOOD = frozenset({"marking-definition"})
_REPORTS = frozenset({"report", "grouping", "note"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasable:
    """One STIX object that the audience may have, the TLP under which it goes, and since when it is listed there."""

    stix: Mapping[str, Any]
    tlp: Tlp | None
    added: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """`{"Event": {…}}`, ready to be served as `UUID.json`, and what did not get into it."""

    document: Mapping[str, Any]
    lost: tuple[Lost, ...]


def event_of(
    objects: Iterable[Releasable],
    *,
    uuid: str,
    info: str,
    org_name: str,
    org_uuid: str,
    changed: datetime,
    mint: Callable[[str], str],
) -> FeedEvent:
    """The event `uuid` holding `objects`. `changed`: when this audience's view of them last changed (RULES R26).

    `mint` gives the uuid for what has none of its own: a second value of one object, a uuid that two objects share.
    """
    draft = _Draft(default=int(changed.timestamp()), mint=mint)
    for item in objects:
        draft.take(item)
    latest = max([draft.default, *(int(entity["timestamp"]) for entity in draft.entities())])
    event = {
        "uuid": uuid,
        "info": info,
        "date": changed.astimezone(UTC).strftime("%Y-%m-%d"),
        "timestamp": str(latest),
        "publish_timestamp": str(latest),
        "published": True,
        "analysis": "2",
        "threat_level_id": "4",
        "distribution": _distribution(draft.strictest),
        "extends_uuid": "",
        "Orgc": {"name": org_name, "uuid": org_uuid},
        "Tag": _tags(draft.strictest),
        "Attribute": list(draft.attributes.values()),
        "Object": [],
        "EventReport": draft.reports,
    }
    return FeedEvent(document={"Event": event}, lost=tuple(draft.lost))


def manifest_entry(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `manifest.json` says of an event under its uuid."""
    event = document["Event"]
    names = ("info", "date", "analysis", "threat_level_id", "timestamp")
    return {"Orgc": event["Orgc"], "Tag": event["Tag"], **{name: event[name] for name in names}}


def hashes(document: Mapping[str, Any]) -> Iterator[str]:
    """The lines of `hashes.csv` for an event: `md5(value),uuid`, by which MISP correlates without fetching it."""
    event = document["Event"]
    for attribute in event["Attribute"]:
        digest = hashlib.md5(attribute["value"].encode(), usedforsecurity=False).hexdigest()
        yield f"{digest},{event['uuid']}"


@dataclass(slots=True, kw_only=True)
class _Draft:
    """The parts of an event while it is put together."""

    default: int
    mint: Callable[[str], str]
    attributes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    levels: dict[tuple[str, str], Tlp | None] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    strictest: Tlp | None = None

    def entities(self) -> list[dict[str, Any]]:
        return [*self.attributes.values(), *self.reports]

    def take(self, item: Releasable) -> None:
        """Put one object in, or note that it is lost."""
        stix = item.stix
        identifier = str(stix["id"])
        if stix.get("revoked") is True:
            self.lost.append(Lost(id=identifier, code="feed.revoked"))
        elif stix["type"] in _REPORTS:
            self._join(item.tlp)
            self._report(item)
        elif values := values_of(stix):
            self._join(item.tlp)
            for value in values:
                self._attribute(item, value, alone=len(values) == 1)
        elif stix["type"] not in _UNDERSTOOD or identifier not in TLP_IDS:
            self.lost.append(Lost(id=identifier, code="feed.no_form"))

    def _join(self, level: Tlp | None) -> None:
        if level is not None and (self.strictest is None or level > self.strictest):
            self.strictest = level

    def _attribute(self, item: Releasable, value: Value, *, alone: bool) -> None:
        """One value; MISP takes a type and value once in an event, so what says the same joins."""
        kind, category = TYPES[value[0]]
        key = (kind, value[1])
        to_ids = item.stix["type"] == "indicator" and kind != "filename"
        known = self.attributes.get(key)
        if known is not None:
            known["to_ids"] |= to_ids
            known["timestamp"] = str(max(int(known["timestamp"]), self._time(item)))
            known["comment"] = known["comment"] or _comment(item.stix)
            self.levels[key] = max((t for t in (self.levels[key], item.tlp) if t is not None), default=None)
            known["Tag"] = _tags(self.levels[key])
            return
        self.levels[key] = item.tlp
        self.attributes[key] = {
            "uuid": self._uuid(str(item.stix["id"]), f"{kind}|{value[1]}", alone=alone),
            "type": kind,
            "category": category,
            "value": value[1],
            "to_ids": to_ids,
            "distribution": _INHERIT,
            "timestamp": str(self._time(item)),
            "comment": _comment(item.stix),
            "deleted": False,
            "disable_correlation": False,
            "Tag": _tags(item.tlp),
        }

    def _report(self, item: Releasable) -> None:
        stix = item.stix
        self.reports.append(
            {
                "uuid": self._uuid(str(stix["id"]), "report", alone=True),
                "name": str(stix.get("name") or stix.get("abstract") or stix["type"])[:255],
                "content": str(stix.get("content") or stix.get("description") or ""),
                "distribution": _INHERIT,
                "timestamp": str(self._time(item)),
                "deleted": False,
            }
        )

    def _uuid(self, identifier: str, text: str, *, alone: bool) -> str:
        uuid = identifier.partition("--")[2].lower() if alone else ""
        if not uuid or uuid in self.used:
            uuid = self.mint(f"{identifier}|{text}")
        self.used.add(uuid)
        return uuid

    def _time(self, item: Releasable) -> int:
        """The creator's time of this version; of an object that has none, when it was listed there (RULES R14).

        Never that of the view as a whole: whatever else comes and goes, the same words bear the same date, or whoever
        reads them takes them for news.
        """
        try:
            version = version_of(item.stix)
        except ContentError:
            version = ""
        found = datetime.fromisoformat(version[:26] + "+00:00") if version else item.added
        return int(found.timestamp())


def _comment(stix: Mapping[str, Any]) -> str:
    words = [str(stix[name]) for name in ("name", "description") if stix.get(name) and stix["type"] == "indicator"]
    return " ".join(" – ".join(dict.fromkeys(words)).split())[:_COMMENT]


def _distribution(level: Tlp | None) -> str:
    return _OWN_ORGANISATION if level is None else _DISTRIBUTION.get(level, _OWN_ORGANISATION)


def _tags(level: Tlp | None) -> list[dict[str, Any]]:
    if level is None:
        return []
    return [{"name": level.tag, "colour": _COLOURS[level], "exportable": True, "local": False}]
