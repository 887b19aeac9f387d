"""What every STIX object made of one MISP event has in common: creator, dates, marks, and the entity that it carries.

`created` is the event's date, so it is the same in every version; `modified` is the entity's own timestamp. No time of
arrival gets into content: the same entity over two hops is the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from exchange.convert.labels import listed
from exchange.convert.part import said_by_marking
from exchange.convert.prepare import travels
from exchange.model.confidence import SCALES, misp_tag
from exchange.model.marking import UNMARKED, Label, ids_of
from exchange.model.misp import EXTENSION

ALWAYS = "2020-01-01T00:00:00.000Z"
"""MISP says no date of an organisation, nor of a galaxy's cluster; they speak in many events."""
_CONFIDENCE = {misp_tag(step.value): step.value for step in SCALES["misp"]}
"""STIX 2.1 appendix A has no scale for these words; misp-stix's numbers."""


class Made(msgspec.Struct, frozen=True, gc=False):
    """One object, and the label of the entities that it was made of."""

    id: str
    body: bytes
    floor: Label
    carrier: bool = False


@dataclass(slots=True, kw_only=True)
class Event:
    """The event at work: what its objects have in common, and where its entities ended."""

    uuid: str
    seconds: int
    label: Label
    internal: bool
    creator: str
    """`identity--UUID`; empty: nobody is named."""
    frame: str
    """The id of its report or grouping."""
    day: str
    """Its date at midnight, as STIX writes it."""
    mentioned: set[str] = field(default_factory=set)
    """The uuids of entities that others name."""
    carriers: dict[str, tuple[str, Label]] = field(default_factory=dict)
    """Of those: uuid → the id of the carrier, and its label."""
    beside: dict[str, Label] = field(default_factory=dict)
    """Of those that are said of others (a note, a report): uuid → label."""
    _label: Label | None = None
    _tail: tuple[str, str] = ("", "")
    _seconds: int = -1
    _beginning: tuple[str, str] = ("", "")

    def versioned(self, identifier: str, seconds: int) -> dict[str, Any]:
        """The beginning of an object that has versions."""
        modified = instant(seconds)
        stix: dict[str, Any] = {"type": identifier.partition("--")[0], "spec_version": "2.1", "id": identifier}
        if self.creator:
            stix["created_by_ref"] = self.creator
        stix["created"] = min(self.day, modified)
        stix["modified"] = modified
        return stix

    def made(
        self, stix: dict[str, Any], label: Label, kind: str = "kinds", entity: Any = (), *, digest: str = ""
    ) -> Made:
        """The object's bytes, with its marks and the entity that it carries, or (`kinds`) the words of the one beside
        whose carrier it stands. `digest`: see `model.misp`."""
        extension: dict[str, Any] = {"extension_type": "property-extension", "event": self.uuid}
        if entity:
            extension[kind] = entity
        if digest:
            extension["digest"] = digest
        extensions = stix.get("extensions")
        stix["extensions"] = {**extensions, EXTENSION: extension} if extensions else {EXTENSION: extension}
        marks = marks_of(label)
        if marks:
            stix["object_marking_refs"] = marks
        return Made(stix["id"], orjson.dumps(stix), label, kind != "kinds")

    def beginning(self, seconds: int) -> tuple[str, str]:
        """`created`; and what a versioned object that is written as text says after its id."""
        if seconds != self._seconds:
            modified = instant(seconds)
            created = min(self.day, modified)
            creator = f'"created_by_ref":"{self.creator}",' if self.creator else ""
            self._beginning = created, f'{creator}"created":"{created}","modified":"{modified}",'
            self._seconds = seconds
        return self._beginning

    def tail(self, label: Label) -> tuple[str, str]:
        """The end of an object that is written as text: what stands before and after the entity that it carries."""
        if label is not self._label and label != self._label:
            self._label = label
            marks = marks_of(label)
            named = f',"object_marking_refs":{orjson.dumps(marks).decode()}' if marks else ""
            before = f',"extensions":{{"{EXTENSION}":{{"extension_type":"property-extension","event":"{self.uuid}"'
            after = f"}}}}{named}}}"
            self._tail = (before, after)
        return self._tail

    def note(self, uuid: str, carrier: str, label: Label) -> None:
        """Remember who carries an entity that others name."""
        if uuid in self.mentioned:
            self.carriers[uuid] = (carrier, label)

    def believe(self, uuid: str, label: Label) -> bool:
        """Remember what something that is said of others is worth, if it is named; whether that is news."""
        known = self.beside.get(uuid, UNMARKED)
        if uuid not in self.mentioned or known.join(label) == known:
            return False
        self.beside[uuid] = known.join(label)
        return True

    def worth(self, uuid: str) -> Label:
        """The label of an entity that others name; what this event does not hold adds nothing (RULES R10)."""
        label = self.beside.get(uuid, UNMARKED)
        return label.join(self.carriers[uuid][1]) if uuid in self.carriers else label


marks_of = lru_cache(maxsize=1024)(ids_of)


@lru_cache(maxsize=8192)
def instant(seconds: int) -> str:
    """Unix seconds as STIX writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z").rjust(24, "0")


@lru_cache(maxsize=8192)
def moment(text: str) -> str:
    """MISP's `first_seen` and the like (ISO 8601, or microseconds since 1970) as STIX writes them; empty: no time."""
    try:
        if text.isdigit():
            found = datetime.fromtimestamp(int(text) / 1_000_000, UTC)
        else:
            found = datetime.fromisoformat(text)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        written = found.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")
    except (ValueError, OverflowError, OSError):
        return ""
    return (written.rstrip("0") + "Z").replace(".Z", "Z")


def seen(entity: Mapping[str, Any], otherwise: str) -> tuple[str, str]:
    """(first, last) seen in order; where nothing is said, `otherwise`."""
    if "first_seen" not in entity and "last_seen" not in entity:
        return otherwise, otherwise
    first, last = (moment(str(entity[name])) if entity.get(name) else "" for name in ("first_seen", "last_seen"))
    if not first and not last:
        return otherwise, otherwise
    first, last = first or min(last, otherwise), last or max(first, otherwise)
    return (first, last) if _order(first) <= _order(last) else (last, last)


def _order(text: str) -> str:
    """So written, times of different precision sort."""
    return text.removesuffix("Z").ljust(26, "0") if "." in text else text.removesuffix("Z") + "."


def shown_tags(entity: Mapping[str, Any]) -> list[dict[str, str]]:
    """The tags of an entity that no marking says and that MISP would pass on."""
    return [
        {"name": str(tag["name"]), "colour": str(tag.get("colour") or "#0088cc")}
        for tag in listed(entity, "Tag")
        if travels(tag) and not said_by_marking(str(tag["name"]))
    ]


def confidence_of(tags: Iterable[Mapping[str, str]]) -> int | None:
    """What the tags say of confidence: the lowest."""
    return min((_CONFIDENCE[tag["name"]] for tag in tags if tag["name"] in _CONFIDENCE), default=None)


def identity(organisation: Any) -> Made | None:
    """The identity of an organisation. It speaks in many events, each marked otherwise, so it is worth what its words
    are worth (RULES R11) and belongs to no event."""
    uuid = str(organisation.get("uuid") or "") if isinstance(organisation, dict) else ""
    if not uuid:
        return None
    name = str(organisation.get("name") or uuid)
    stix = {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid}",
        "created": ALWAYS,
        "modified": ALWAYS,
        "name": name,
        "identity_class": "organization",
    }
    return Made(stix["id"], orjson.dumps(stix), UNMARKED)
