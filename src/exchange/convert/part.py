"""A MISP entity on its way out of STIX, and what every one of them has: uuid, timestamp, tags (RULES R26)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from exchange.errors import ContentError
from exchange.model.lights import COLOURS
from exchange.model.marking import Label, Tlp, is_policy, of_tags, tags_of
from exchange.model.stix import version_of

INHERIT = "5"
_COLOURS = {
    Tlp.CLEAR: "#ffffff",
    Tlp.GREEN: "#33FF00",
    Tlp.AMBER: "#FFC000",
    Tlp.AMBER_STRICT: "#FFC000",
    Tlp.RED: "#CC0033",
}
_NO_COLOUR = "#0088cc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One MISP entity. `event`: the uuid of its event; empty: what carried it does not say (foreign STIX).

    kind: `attribute`, `object`, `frame` (the event itself: info, date, Tag …), `report` (an EventReport), `sighting`,
    `note`, `opinion`, `relationship` (analyst data), `proposal`, `cluster` (a galaxy cluster of its creator's own),
    and `tag` (the event gets these tags: `body` has only `Tag`; a domain object that is a galaxy cluster elsewhere).
    """

    kind: str
    event: str
    uuid: str
    timestamp: int
    """Unix seconds of the creator's version; 0: it has none of its own (an observable), so it counts as listed."""
    body: dict[str, Any]
    """MISP's own JSON of it, with uuid, timestamp (text), distribution 5, deleted, and Tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An object that has no form in MISP, wholly or (a note beside its parts) in part."""

    id: str
    code: str


Found = tuple[list[Part], list[Lost]]


def uuid_of(stix: Mapping[str, Any]) -> str:
    """The uuid in an object's id."""
    return str(stix["id"]).partition("--")[2].lower()


def seconds_of(stix: Mapping[str, Any]) -> int:
    """The version as unix seconds; 0: it has none."""
    text = stix.get("modified") or stix.get("created")
    return _seconds(text) if isinstance(text, str) else 0


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    try:
        return int(datetime.fromisoformat(version_of({"modified": text})[:26] + "+00:00").timestamp())
    except (ContentError, ValueError):
        return 0


@lru_cache(maxsize=4096)
def said_by_marking(name: str) -> bool:
    """Whether a marking says what this tag says, so that the tag is written from the label and from nothing else."""
    return not is_policy(name) and bool(tags_of(of_tags((name,))))


def tags(label: Label, others: Any = ()) -> list[dict[str, Any]]:
    """The tags of the label, then those of `others` that no marking says."""
    written = list(_of_label(label))
    for tag in others if isinstance(others, list) else ():
        name = tag.get("name") if isinstance(tag, dict) else None
        if isinstance(name, str) and name and not said_by_marking(name):
            colour = tag.get("colour")
            written.append(_tag(name, colour if isinstance(colour, str) else _NO_COLOUR))
    return [dict(tag) for tag in written]


@lru_cache(maxsize=1024)
def _of_label(label: Label) -> tuple[dict[str, Any], ...]:
    return tuple(_tag(name, COLOURS[name]) for name in tags_of(label))


def _tag(name: str, colour: str) -> dict[str, Any]:
    return {"name": name, "colour": colour, "exportable": True, "local": False}


_TEXTS = ("comment", "first_seen", "last_seen", "data")


def attribute_body(entity: Mapping[str, Any], uuid: str, seconds: int, given: list[dict[str, Any]]) -> dict[str, Any]:
    """An attribute as MISP takes it, of what `entity` says; `given` are its tags."""
    body = {
        "uuid": uuid,
        "type": entity["type"],
        "category": str(entity.get("category") or "Other"),
        "value": entity["value"],
        "to_ids": entity.get("to_ids") is True,
        "distribution": INHERIT,
        "timestamp": str(seconds),
        "comment": "",
        "deleted": False,
        "disable_correlation": entity.get("disable_correlation") is True,
        "Tag": given,
    }
    for name in _TEXTS:
        value = entity.get(name)
        if isinstance(value, str) and value:
            body[name] = value
    return body


def tombstone(body: Mapping[str, Any]) -> dict[str, Any]:
    """MISP's soft deletion, without what was said; of an object with all that is in it."""
    kept = ("uuid", "type", "category", "name", "timestamp")
    inner = [stone(each, number(each.get("timestamp"), 0)) for each in body.get("Attribute") or ()]
    found = {name: body[name] for name in kept if name in body}
    return {**found, **({"Attribute": inner} if inner else {}), "deleted": True}


def stone(body: Mapping[str, Any], stamp: int) -> dict[str, Any]:
    """The end of an attribute inside an object, without its value."""
    kept = {name: body[name] for name in ("uuid", "type", "category", "object_relation") if name in body}
    return {**kept, "deleted": True, "timestamp": str(stamp)}


def texts(entity: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: str(entity[name]) for name in names if isinstance(entity.get(name), str | int)}


def number(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
