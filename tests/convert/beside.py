"""What misp-stix and we make of the same event, property by property: each difference by its number in
docs/misp-mapping.md, or as odd where it has none.

misp-stix gets the whole event in one call, put right and without what is said of its entities; of its objects nothing
is left out but the event's own. Their ids and references become ours by rule (1), then all that is not the same, on
either side, is asked for its number.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson
from events import DATA, NOW, SOURCE, read, whole

from exchange.convert import forms, parser, split
from exchange.convert.labels import listed, merged, truth
from exchange.convert.opening import open_event
from exchange.convert.opening import read as read_slice
from exchange.convert.prepare import prepare, strip
from exchange.convert.table import registry_key
from exchange.errors import ContentError
from exchange.model.marking import KNOWN_IDS
from exchange.model.misp import EXTENSION
from exchange.model.normalise import refang

Stix = Mapping[str, Any]
Entity = dict[str, Any]
FILES = sorted(
    path
    for folder in (DATA / "misp-events", DATA / "misp-feed" / "infoblox", DATA / "misp-wire")
    for path in folder.rglob("*.json*")
    if "manifest" not in path.name
)
RULES = frozenset({"yara", "sigma", "snort", "suricata"})
_SAID_OF = ("Galaxy", "Sighting", "Note", "Opinion", "Relationship", "ShadowAttribute", "EventReport")
_FRAME = ("uuid", "info", "date", "timestamp", "Orgc")
_ASIDE = ("report", "grouping", "note")


def documents(path: Path) -> list[bytes]:
    """The events in a file, or in the bodies of a recording, each once."""
    whole = [read(path)]
    if path.suffix == ".jsonl":
        lines = map(json.loads, path.read_text().splitlines())
        bodies = (line.get(side) or "" for line in lines for side in ("request_body", "response_body"))
        whole = list(dict.fromkeys(body.encode() for body in bodies if body.startswith('{"Event":{')))
    return [document for raw in whole for document in _events(raw)]


def _events(raw: bytes) -> list[bytes]:
    try:
        return split(raw)
    except ContentError:  # lists of something else; what the recording cut off
        return []


@dataclass(slots=True, kw_only=True)
class Event:
    """One event twice: as misp-stix gets it, and what we made of it."""

    frame: Entity
    attributes: list[Entity]
    objects: list[Entity]
    ours: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def creator(self) -> str:
        return f"identity--{(self.frame.get('Orgc') or {}).get('uuid')}"

    @classmethod
    def of(cls, document: bytes, chosen: Callable[[Event], None] = lambda _: None) -> Event:
        """The event in `document`; `chosen` may take entities away before anything is converted."""
        found = open_event(document)
        parts = (found.attributes, found.objects)
        attributes, objects = ([_quiet(read_slice(raw)) for raw in slices] for slices in parts)
        event = cls(frame=_quiet(found.frame), attributes=attributes, objects=objects)
        chosen(event)
        page = whole(orjson.dumps({"Event": {**event.frame, "Attribute": event.attributes, "Object": event.objects}}))
        event.ours = {made.id: orjson.loads(made.body) for made in page.objects}
        # No STIX is made of what MISP itself would not take (14).
        refused = {bad.id for bad in page.rejected if bad.code == "convert.entity"}
        prepared = prepare(event.frame, internal=SOURCE.internal, drafts=False, now=NOW)
        event.attributes = [a for a in event.attributes if prepared.takes_attribute(a) and a["uuid"] not in refused]
        event.objects = [entity for entity in event.objects if prepared.takes_object(entity)]
        for entity in event.objects:
            entity["Attribute"] = [a for a in entity["Attribute"] if a["uuid"] not in refused]
        event.objects = [entity for entity in event.objects if entity["Attribute"]]
        for entity in (*event.attributes, *event.objects):
            strip(entity)
        event.frame = {name: event.frame[name] for name in _FRAME if name in event.frame}
        return event

    def theirs(self) -> dict[str, dict[str, Any]]:
        """What misp-stix makes of it, by id, without what stands for the event itself."""
        made = parser.convert({**self.frame, "Attribute": self.attributes, "Object": self.objects}).objects
        return {i["id"]: i for i in made if not (i["type"] in _ASIDE or i["id"] in (*KNOWN_IDS, self.creator))}


def _quiet(entity: Entity) -> Entity:
    """The entity without what is said of it."""
    kept = {name: value for name, value in entity.items() if name not in _SAID_OF}
    if "Attribute" in kept:
        kept["Attribute"] = [_quiet(inner) for inner in listed(entity, "Attribute")]
    return kept


@dataclass(slots=True)
class Comparison:
    """What differs in one event."""

    event: Event
    numbers: Counter[int] = field(default_factory=Counter)
    """Of docs/misp-mapping.md → how many objects or properties."""
    odd: list[tuple[Any, ...]] = field(default_factory=list)
    """What no number explains."""
    _owners: dict[str, Entity] = field(default_factory=dict)
    """uuid → the attribute, or the object in which it is."""
    _together: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Objects that may come out as one."""

    @classmethod
    def of(cls, event: Event) -> Comparison:
        found = cls(event)
        for entity in event.objects:
            found._owners |= dict.fromkeys((entity["uuid"], *(a["uuid"] for a in entity["Attribute"])), entity)
        found._owners |= {attribute["uuid"]: attribute for attribute in event.attributes}
        found._together = merged(event.objects)
        found._run(event.theirs())
        return found

    def _run(self, theirs: Mapping[str, Stix]) -> None:
        names = {old: self._name(item) for old, item in theirs.items()}
        for old, item in theirs.items():
            self.numbers[1] += names[old] != old
            made = self.event.ours.get(names[old])
            if made is None:
                self._note(self._left_out(item), item)
            else:
                self._properties(_renamed(item, names), made, self._owner(item))
        claimed = {*names.values(), self.event.creator}
        for identifier, item in self.event.ours.items():
            if identifier not in claimed and item["type"] not in _ASIDE:
                self._note(self._added(item), item)

    def _name(self, item: Stix) -> str:
        """The id that an object of theirs has with us (1)."""
        kind, uuid = item["id"].split("--", 1)
        if item["id"] in self.event.ours:
            return str(item["id"])
        if kind == "relationship" and "Attribute" not in self._owner(item):
            uuid = _uuid(item["source_ref"])
        return f"{kind}--{forms.minted(f'{uuid}/{kind}')}"

    def _owner(self, item: Stix) -> Entity:
        return self._owners.get(_uuid(item["source_ref"] if item["type"] == "relationship" else item["id"]), {})

    def _note(self, numbers: tuple[int, ...], *what: Any) -> None:
        self.numbers.update(numbers)
        if not numbers:
            self.odd.append(what)

    # --- whole objects -----------------------------------------------------------------------------------------

    def _left_out(self, item: Stix) -> tuple[int, ...]:
        """Why we do not make what they make."""
        return (4,) if _idle_rule(self._owner(item)) else ()

    def _added(self, item: Stix) -> tuple[int, ...]:
        """Why we make what they do not."""
        owner = self._owner(item)
        if owner.get("type") in ("stix2-pattern", "tlsh", "filename|tlsh"):
            return (8,)
        if _idle_rule(owner):
            return (4,)
        references = {each.get("uuid") for each in listed(owner, "ObjectReference")}
        merged_here = len(self._together.get(owner.get("uuid", ""), ())) > 1
        return (24,) if merged_here or _uuid(item["id"]) in references else ()

    # --- properties --------------------------------------------------------------------------------------------

    def _properties(self, theirs: Stix, ours: Stix, owner: Entity) -> None:
        for name in theirs.keys() | ours.keys():
            one, other = theirs.get(name), ours.get(name)
            if one != other and not (name in _TIMES and _same_time(one, other)):
                self._note(self._why(name, one, other, ours, owner), name, one, other, ours["id"])

    def _why(self, name: str, theirs: Any, ours: Any, item: Stix, owner: Entity) -> tuple[int, ...]:
        """The numbers that make of their value ours; none: nothing does."""
        if name == "pattern" and owner.get("type") == "malware-sample" and _terms(theirs) <= _terms(ours):
            return (10,)
        if name in _SAYING:
            return _turned(theirs, ours)
        known = _KNOWN.get(name)
        return (known[0],) if known is not None and known[1](self, theirs, ours, item, owner) else ()

    def _is_dated(self, _: Any, ours: str, item: Stix, __: Entity) -> bool:
        """`created` is the event's date, or what was before it."""
        day = self.event.frame.get("date")
        return ours == (min(f"{day}T00:00:00.000Z", item["modified"]) if day else item["modified"])

    def _is_newest(self, _: Any, ours: str, __: Stix, owner: Entity) -> bool:
        """`modified` is when an object, what comes out with it, or anything in them, was last changed."""
        group = [self._owners[uuid] for uuid in self._together.get(owner["uuid"], ())]
        seconds = max(int(each["timestamp"]) for one in group for each in (one, *listed(one, "Attribute")))
        return _same_time(ours, datetime.fromtimestamp(seconds, UTC).isoformat())

    def _is_first(self, _: Any, ours: str, item: Stix, owner: Entity) -> bool:
        """The first sight is what the entity says, else the event's date."""
        return _time(ours) == min(_sights(item, owner))

    def _is_last(self, _: Any, ours: str, item: Stix, owner: Entity) -> bool:
        return _time(ours) == _sights(item, owner)[1]

    def _is_carrier(self, theirs: str, ours: str, _: Stix, __: Entity) -> bool:
        """They point at the observed-data that stands beside the carrier."""
        return theirs == forms.beside(_uuid(ours), "observed-data") and EXTENSION in self.event.ours[ours]["extensions"]

    def _is_remark(self, theirs: Any, ours: str, _: Stix, owner: Entity) -> bool:
        """The comment of a reference between entities."""
        references = listed(owner, "ObjectReference")
        return theirs is None and any(ours == each.get("comment") for each in references)


_KNOWN: Mapping[str, tuple[int, Callable[[Comparison, Any, Any, Stix, Entity], bool]]] = {
    "created": (2, Comparison._is_dated),
    "modified": (2, Comparison._is_newest),
    **dict.fromkeys(("valid_from", "first_observed"), (2, Comparison._is_first)),
    "last_observed": (2, Comparison._is_last),
    "object_marking_refs": (3, lambda _, theirs, ours, *__: KNOWN_IDS.issuperset((*(theirs or ()), *ours))),
    "pattern_version": (9, lambda _, theirs, ours, item, __: ours is None and item["pattern_type"] != "stix"),
    "description": (11, Comparison._is_remark),
    **dict.fromkeys(("source_ref", "target_ref"), (15, Comparison._is_carrier)),
    "created_by_ref": (19, lambda me, theirs, ours, *_: theirs is None and ours == me.event.creator),
    "extensions": (23, lambda _, theirs, ours, *__: {**(theirs or {}), EXTENSION: ours[EXTENSION]} == ours),
}
"""Property → its number, and what is true of ours if it is the reason."""
_SAYING = ("pattern", "value", "key", "values", "name", "hashes", "subject", "additional_header_fields")
_TIMES = ("valid_from", "first_observed", "last_observed")


def _idle_rule(owner: Entity) -> bool:
    return owner.get("type") in RULES and not truth(owner.get("to_ids"))


def _uuid(identifier: str) -> str:
    return identifier.partition("--")[2]


_time = datetime.fromisoformat


def _same_time(one: str, other: str) -> bool:
    return _time(one) == _time(other)


def _sights(item: Stix, owner: Entity) -> tuple[datetime, datetime]:
    """(first, last), where one that is not said does not contradict the other."""
    first, last = (_time(owner[name]) if owner.get(name) else None for name in ("first_seen", "last_seen"))
    otherwise = _time(item["created"])
    return first or min(last or otherwise, otherwise), last or max(first or otherwise, otherwise)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(inner, names) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


# --- what an entity says -----------------------------------------------------------------------------------------

_HIVE = re.compile(r"(?<=windows-registry-key:key = ')HK[A-Z]{1,2}(?=\\)|^HK[A-Z]{1,2}(?=\\)", re.I)


_BLANKS = re.compile(r"\s*'\s*")
_INTERNATIONAL = re.compile(r"[\w.-]*[^\W\x00-\x7f][\w.-]*")


def _plain(text: str) -> str:
    return refang(_INTERNATIONAL.sub(_punycode, _BLANKS.sub("'", text.casefold().strip())))


def _punycode(name: re.Match[str]) -> str:
    try:
        return name[0].encode("idna").decode()
    except UnicodeError:
        return name[0]


def _hives(text: str) -> str:
    return _HIVE.sub(lambda hive: registry_key(hive[0]), text)


def _one_name(text: str) -> str:
    return re.sub(r"^SHA(3?)-?(224|384)$", lambda m: f"SHA{m[1]}-{m[2]}", text)


def _terms(pattern: str) -> frozenset[str]:
    return frozenset(pattern[1:-1].split(" AND "))


def _unescaped(text: str) -> str:
    return text.replace("\\\\%", "%")


def _bare(text: str) -> str:
    return text[1:-1] if text[:1] == "[" else text


_TURNS: Mapping[int, Callable[[str], str]] = {5: _plain, 6: _hives, 7: _one_name, 9: _bare, 25: _unescaped}


def _turned(theirs: Any, ours: Any) -> tuple[int, ...]:
    """The fewest differences by which both come to say the same."""
    for count in range(1, len(_TURNS) + 1):
        for numbers in combinations(_TURNS, count):
            if _all(theirs, numbers) == _all(ours, numbers):
                return numbers
    return ()


def _all(value: Any, numbers: tuple[int, ...]) -> Any:
    if isinstance(value, dict):
        return {_all(name, numbers): _all(inner, numbers) for name, inner in value.items()}
    if isinstance(value, list):
        return [_all(inner, numbers) for inner in value]
    for number in reversed(numbers) if isinstance(value, str) else ():
        value = _TURNS[number](value)
    return value
