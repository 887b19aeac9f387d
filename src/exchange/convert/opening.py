"""The event in a document, opened without being read: its attributes and objects stay slices of the bytes received.

So an event of 150,000 attributes costs its own bytes and a few megabytes; each attribute is read when its turn comes.
Beside the event may stand what other calls of MISP gave of it (`Sighting`, `ShadowAttribute`, `Note` …).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from exchange.errors import ContentError

Raw = msgspec.Raw
Slices = Sequence[Raw]
_Members = dict[str, Raw]

SIBLINGS = ("Sighting", "ShadowAttribute", "Note", "Opinion", "Relationship", "GalaxyCluster")
"""What stands beside the event: it belongs to it, or to an entity in it that it names."""
_STREAMED = ("Attribute", "Object")
_MOST = 10_000_000
"""Commas of a document; an event of 150,000 attributes has two million. More would be a bomb, not an event."""
DEEPEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One event: `frame` is all of it but its attributes and objects."""

    frame: dict[str, Any]
    attributes: Slices
    objects: Slices
    beside: Mapping[str, list[dict[str, Any]]]


def open_event(raw: bytes) -> Opened:
    """The one event in `raw`: `{"Event"}` with its siblings, `{"response": [one]}`, a list of one, or a bare event.

    Raises ContentError (`misp.not_an_event`, `content.json`, `content.depth`).
    """
    found = _wrapped(raw)
    if len(found) != 1:
        raise ContentError("misp.not_an_event", count=len(found))
    outer = _members(found[0])
    members = _members(outer["Event"]) if "Event" in outer else outer
    frame = {name: read(value) for name, value in members.items() if name not in _STREAMED}
    if not isinstance(frame.get("info"), str):
        raise ContentError("misp.not_an_event", count=0)
    beside = {name: _listed(outer[name], name) for name in SIBLINGS if "Event" in outer and name in outer}
    attributes, objects = (_slices(members.get(name)) for name in _STREAMED)
    return Opened(frame=frame, attributes=attributes, objects=objects, beside=beside)


def split(raw: bytes) -> list[bytes]:
    """The events of a file that may hold several, each as bytes that `pages` takes."""
    found = _wrapped(raw)
    for item in found:
        outer = _members(item)
        if "info" not in (_members(outer["Event"]) if "Event" in outer else outer):
            raise ContentError("misp.not_an_event", count=0)
    return [raw] if len(found) == 1 else [bytes(item) for item in found]


def uuid_in(raw: bytes) -> str:
    """The uuid of the event in `raw`, under which an operator asks for it; empty: there is none to be read."""
    try:
        outer = _members(_wrapped(raw)[0])
        members = _members(outer["Event"]) if "Event" in outer else outer
        return str(read(members["uuid"])).lower() if "uuid" in members else ""
    except ContentError:
        return ""


def read(value: Raw | bytes) -> Any:
    """The value of a slice. Raises ContentError."""
    text = bytes(value)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    if text.count(b"[") + text.count(b"{") > DEEPEST:
        check_depth(found)
    return found


def check_depth(value: Any, depth: int = 0) -> None:
    """Raises ContentError for a value of more than DEEPEST levels."""
    if depth > DEEPEST:
        raise ContentError("content.depth", limit=DEEPEST)
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            check_depth(inner, depth + 1)


def _wrapped(raw: bytes) -> list[Raw]:
    body = raw.removeprefix(b"\xef\xbb\xbf") if raw[:1] == b"\xef" else raw
    if body.count(b",") > _MOST:
        raise ContentError("content.json", detail=f"more than {_MOST} values")
    whole = _decoded(body, Raw)
    if _is_object(whole):
        members = _members(whole)
        whole = members.get("response", whole)
    found = [whole] if _is_object(whole) else [item for item in _list(whole) if _is_object(item)]
    if not found:
        raise ContentError("misp.not_an_event", count=0)
    return found


def _is_object(value: Raw) -> bool:
    return bytes(memoryview(value)[:64]).lstrip()[:1] == b"{"


def _members(value: Raw) -> _Members:
    if not _is_object(value):
        raise ContentError("misp.not_an_event", count=0)
    members: _Members = _decoded(value, _Members)
    return members


def _list(value: Raw | None) -> list[Raw]:
    if value is None or bytes(memoryview(value)[:64]).lstrip()[:1] != b"[":
        return []
    found: list[Raw] = _decoded(value, list[Raw])
    return found


def _slices(value: Raw | None) -> Slices:
    """The entities of a list; PHP writes a map of one as the one itself."""
    if value is not None and _is_object(value):
        return [value]
    return [item for item in _list(value) if memoryview(item)[0] == _BRACE or _is_object(item)]


_BRACE = ord("{")


def _listed(value: Raw, name: str) -> list[dict[str, Any]]:
    """Siblings, each bare or under its own name (`{"Sighting": {…}}`)."""
    found = [read(item) for item in _slices(value)]
    unwrapped = [item[name] | _outside(item, name) if isinstance(item.get(name), dict) else item for item in found]
    return [item for item in unwrapped if isinstance(item, dict)]


def _outside(item: dict[str, Any], name: str) -> dict[str, Any]:
    """What MISP writes beside the entity under its name: whose it is."""
    return {
        other: value for other, value in item.items() if other != name and other in ("Organisation", "Org", "Galaxy")
    }


def _decoded(value: Any, shape: Any) -> Any:
    try:
        return msgspec.json.decode(value, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    except RecursionError:
        raise ContentError("content.depth", limit=DEEPEST) from None
