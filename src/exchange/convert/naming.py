"""Whom what is said of an entity names besides: a note, a relationship, a sighting, a proposal (RULES R10, R12).

Such an entity joins the label of everything that it names by uuid, so all of that is known before it is made: a look
through the event before the first conversion finds who is named, and what names is converted last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exchange.convert.labels import listed, own
from exchange.convert.making import Event
from exchange.convert.opening import SIBLINGS
from exchange.convert.prepare import Prepared
from exchange.model.marking import Label

ATTACHED = ("Sighting", "Note", "Opinion", "Relationship", "ShadowAttribute")
_FIELDS = ("object_uuid", "related_object_uuid", "attribute_uuid")
_WITHIN = ("Attribute", "EventReport")
_DEEPEST = 8
Said = tuple[dict[str, Any], str, dict[str, Any], str, Label]
"""What is said: of which entity, under which of ATTACHED, itself; the carrier of the entity, and its label."""


def may_name(raw: bytes) -> bool:
    """Whether an entity, not yet read, may hold something that names another."""
    return b'_uuid"' in raw or b'"old_id"' in raw or (b"\\" in raw and b"\\u" in raw)


def named_in(entity: Mapping[str, Any]) -> Iterator[str]:
    """The uuids that anything said of this entity, or of what is in it, names."""
    for name in ATTACHED:
        for inner in listed(entity, name) if entity.get(name) else ():
            yield from names(inner, name)
            yield from named_in(inner)
    for name in _WITHIN:
        for inner in listed(entity, name) if entity.get(name) else ():
            yield from named_in(inner)


def names(inner: Mapping[str, Any], kind: str) -> Iterator[str]:
    """The uuids that it names itself; a proposal has that of the attribute that it would change."""
    fields = (*_FIELDS, "uuid") if kind == "ShadowAttribute" else _FIELDS
    yield from (str(inner[name]) for name in fields if inner.get(name))


def names_another(entity: Mapping[str, Any], inner: Mapping[str, Any], kind: str) -> bool:
    """Whether it, or what is said of it in turn, names something else than the entity of which it is said."""
    own_uuid = str(entity.get("uuid"))
    if any(uuid != own_uuid for uuid in names(inner, kind)):
        return True
    return any(names_another(inner, more, name) for name in ATTACHED for more in listed(inner, name))


def floor_of(event: Event, inner: Mapping[str, Any], kind: str, around: Label) -> Label:
    """The label of what is said, of something under `around`: as strict as all that it names here."""
    label = around.join(own(inner, internal=event.internal))
    for uuid in names(inner, kind):
        label = label.join(event.worth(uuid))
    return label


def settle(event: Event, said: Iterable[Said]) -> None:
    """Note what each of these is worth, for those of them that others name; a chain of any length ends strict."""
    waiting = list(said)
    for _ in range(_DEEPEST):
        news = sum(_noted(event, inner, kind, label) for _, kind, inner, _, label in waiting)
        if not news:
            return
    strictest = event.label
    for _, kind, inner, _, label in waiting:
        strictest = strictest.join(floor_of(event, inner, kind, label))
    for _, _, inner, _, _ in waiting:
        event.believe(str(inner.get("uuid")), strictest)


def _noted(event: Event, inner: Mapping[str, Any], kind: str, around: Label) -> bool:
    """Note it and what is said of it in turn; whether that is news."""
    floor = floor_of(event, inner, kind, around)
    news = kind != "ShadowAttribute" and event.believe(str(inner.get("uuid")), floor)
    for name in ATTACHED:
        for more in listed(inner, name) if inner.get(name) else ():
            news |= _noted(event, more, name, floor)
    return news


def said_of(entity: Mapping[str, Any], carrier: str, label: Label) -> list[Said]:
    """What is said of an entity, piece by piece."""
    of = {"uuid": entity["uuid"]}
    return [(of, name, data, carrier, label) for name in ATTACHED for data in listed(entity, name)]


_ABOUT = ("attribute_uuid", "object_uuid", "old_uuid")


def attached(
    beside: Mapping[str, list[dict[str, Any]]], event: str, prepared: Prepared
) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """What stands beside the event, by the uuid of what it is about."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name in SIBLINGS:
        for data in beside.get(name, ()) if name in ATTACHED else ():
            prepared.mend(data)
            if not prepared.takes_nested(data):
                continue
            prepared.tidy(data)
            about = next((str(data[key]) for key in _ABOUT if data.get(key)), event)
            if name == "ShadowAttribute":
                about = str(data["uuid"]) if data.get("old_id") not in (None, "", 0, "0") else event
            found.setdefault(about, []).append((name, data))
    return found
