"""An event as somebody sends it: what has to be known before it is taken, and what has to be put right in it.

The bytes are read once for the few fields that decide; the conversion reads them again, piece by piece. They are kept
as they came, unless the sender left out what only a receiver can add, as MISP itself does for its API.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
import orjson

from exchange.convert.prepare import minted, well_formed
from exchange.errors import RequestError, TooLarge
from exchange.serve.misp.errors import EMPTY, Unsaved
from exchange.store import micros
from exchange.sync.subjects import horizon_at

_MENDED = 10 * 1024 * 1024
"""Bytes of an event that is completed here; a MISP that pushes leaves nothing out."""
_MAPS = 1_500_000
"""Maps in an event: 150,000 attributes, each with nine tags, clusters or sightings."""
_COMMAS = 10_000_000
_BARE = 250_000
"""Maps and lists of an event that does not stand where it should: it is read whole to be found."""

Text = str | int | float | bool | None
_Members = dict[str, msgspec.Raw]


class _Entity(msgspec.Struct, gc=False):
    """What of an entity is read, for there may be as many as there are maps: nothing that is made of many pieces."""

    uuid: Text = None
    timestamp: Text = None
    deleted: Text = False


class _Object(_Entity):
    Attribute: list[_Entity] | None = None


class _Frame(msgspec.Struct):
    uuid: Any = None
    timestamp: Any = None
    info: Any = None
    date: Any = None
    published: Any = None
    protected: Any = None
    Orgc: Any = None
    Attribute: list[_Entity] | None = None
    Object: list[_Object] | None = None
    EventReport: list[_Entity] | None = None


class _Wrapped(msgspec.Struct):
    Event: _Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One event on its way in. `timestamp`: seconds."""

    raw: bytes
    uuid: str
    timestamp: int
    published: bool
    protected: bool
    empty: bool
    org: dict[str, Any]
    deleted: Sequence[tuple[str, int]]
    """uuid and timestamp of each attribute, object and report that its creator deleted."""


def truth(value: Any) -> bool:
    """MISP's booleans: true, 1 and "1"."""
    return value is True or str(value) == "1"


def seconds(value: Any) -> int | None:
    """A timestamp as MISP writes it, in seconds; None: it is none."""
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 < found < 1 << 34 else None


def opened(raw: bytes, org: dict[str, str], now: datetime, *, named: str = "", least: int = 0) -> Pushed:
    """The event in a body. Raises RequestError when there is none.

    `org`: who created what names nobody; `named`: the uuid that the address names. An event without a timestamp is one
    changed now (MISP does the same), and later than `least`, at which it stands here.
    """
    frame, whole = _read(raw)
    missing: dict[str, Any] = {}
    identifier = str(frame.uuid or named or uuid.uuid4()).lower()
    stamp = seconds(frame.timestamp)
    if not frame.uuid:
        missing["uuid"] = identifier
    if stamp is None:
        stamp = max(int(now.timestamp()), least + 1)
        missing["timestamp"] = str(stamp)
    creator = frame.Orgc if isinstance(frame.Orgc, dict) and frame.Orgc.get("uuid") else None
    if creator is None:
        creator = missing["Orgc"] = dict(org)
    if frame.published is None:  # who does not say so has not published it
        missing["published"] = False
    if frame.date is None:
        missing["date"] = now.date().isoformat()
    parts = (frame.Attribute, frame.Object, frame.EventReport)
    return Pushed(
        raw=_mended(raw, missing, whole=whole) if missing or not whole else raw,
        uuid=identifier if well_formed(identifier) else minted(str(creator.get("uuid") or ""), identifier),
        timestamp=stamp,
        published=truth(frame.published),
        protected=truth(frame.protected),
        empty=not any(parts),
        org=creator,
        deleted=tuple(_deleted(frame, stamp)),
    )


def _read(raw: bytes) -> tuple[_Frame, bool]:
    """The frame, and whether it stands under `Event` as it should. Raises TooLarge and RequestError."""
    if raw.count(b"{") > _MAPS or raw.count(b",") > _COMMAS:
        raise TooLarge("request.misp_values", limit=_MAPS)
    try:
        return msgspec.json.decode(raw, type=_Wrapped).Event, True
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("request.json", detail=str(error)[:200]) from None
    try:
        found = _unwrapped(raw)
        return msgspec.convert(found, type=_Frame), False
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError("request.misp_shape", wanted='{"Event": {…}}') from None


def _unwrapped(raw: bytes) -> Any:
    """The event that stands bare, or in `response` or `request`, alone or first in a list."""
    if len(raw) > _MENDED:
        raise TooLarge("request.too_large", limit=_MENDED)
    if sum(map(raw.count, (b"{", b"["))) > _BARE:
        raise TooLarge("request.misp_values", limit=_BARE)
    found: Any = msgspec.json.decode(raw)
    for name in ("response", "request", "Event"):
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if isinstance(found, dict) and isinstance(found.get(name), dict | list):
            found = found[name]
    if not isinstance(found, dict) or not ({"info", "uuid"} & found.keys()):
        raise msgspec.ValidationError
    return found


def _mended(raw: bytes, missing: dict[str, Any], *, whole: bool) -> bytes:
    if len(raw) > _MENDED:
        raise TooLarge("request.too_large", limit=_MENDED)
    if not whole:
        return orjson.dumps({"Event": {**_unwrapped(raw), **missing}})
    beside = msgspec.json.decode(raw, type=_Members)
    event: dict[str, Any] = {**msgspec.json.decode(beside["Event"], type=_Members), **missing}
    return msgspec.json.encode({**beside, "Event": event})


def _deleted(frame: _Frame, stamp: int) -> Iterator[tuple[str, int]]:
    inside = (each for entity in frame.Object or () for each in entity.Attribute or ())
    for entity in chain(frame.Attribute or (), frame.EventReport or (), frame.Object or (), inside):
        if truth(entity.deleted) and entity.uuid:
            yield str(entity.uuid).lower(), seconds(entity.timestamp) or stamp


def checked(pushed: Pushed, now: datetime, could: str, *, new: bool) -> None:
    """Raises Unsaved for what is never taken: an empty or protected event, or one from the future."""
    if new and pushed.empty and pushed.published:
        raise Unsaved("request.misp_empty", could=could, errors={"Event": EMPTY})
    if pushed.protected:
        # Its signature holds for the bytes as they are, and we would pass on others (reference misp.md section 2.2).
        raise Unsaved("request.misp_protected", could=could)
    horizon = datetime.fromisoformat(f"{horizon_at(now)}+00:00")
    if pushed.timestamp * 1_000_000 > micros(horizon):
        raise Unsaved("request.misp_future", could=could, timestamp=str(pushed.timestamp))
