"""What MISP instances and MISP feeds have in common: events fetched one by one, each a page with its original."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from exchange.errors import ContentError
from exchange.model.envelope import PAGE, Entry

_UUID = re.compile(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")


def is_uuid(text: Any) -> bool:
    """Whether `text` has the form of a uuid: nothing else is ever put into a URL."""
    return isinstance(text, str) and _UUID.match(text) is not None


def timestamp_of(row: Any) -> int:
    """The `timestamp` of an event, index row or manifest entry: MISP writes numbers as strings."""
    try:
        return int(row["timestamp"])
    except (KeyError, TypeError, ValueError):
        return 0


def pages_of(rows: Iterable[tuple[str, int]]) -> Iterator[Sequence[Entry]]:
    """An index of events, (uuid, timestamp), in pages."""
    rest = iter(rows)
    while page := [Entry(id=uuid, version=str(timestamp), added="") for uuid, timestamp in islice(rest, PAGE)]:
        yield page


class _Frame(msgspec.Struct):
    """What is looked at of an event; the rest is passed over without being unpacked."""

    uuid: Any = None
    info: Any = msgspec.UNSET
    timestamp: Any = None


class _Outer(msgspec.Struct):
    Event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def check_event(raw: bytes, uuid: str) -> Mapping[str, Any]:
    """uuid and timestamp of the event in `raw`; raises ContentError unless it is JSON of an event with this uuid.

    It costs no memory to speak of, however large the event is.
    """
    text = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        outer = msgspec.json.decode(text, type=_Outer)
        frame = msgspec.json.decode(text if outer.Event is msgspec.UNSET else outer.Event, type=_Frame)
    except msgspec.ValidationError:
        raise ContentError("misp.not_an_event") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    if frame.info is msgspec.UNSET:
        raise ContentError("misp.not_an_event")
    if str(frame.uuid).lower() != uuid.lower():
        raise ContentError("misp.other_event", asked=uuid, got=str(frame.uuid)[:80])
    return {"uuid": frame.uuid, "timestamp": frame.timestamp}
