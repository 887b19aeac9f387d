"""What MISP instances and MISP feeds have in common: events fetched one by one, each a page with its original."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

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


def check_event(raw: bytes, uuid: str) -> Mapping[str, Any]:
    """The event in `raw`; raises ContentError unless it is JSON of an event with this uuid."""
    try:
        found = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    event = found.get("Event", found) if isinstance(found, dict) else None
    if not isinstance(event, dict) or "info" not in event:
        raise ContentError("misp.not_an_event")
    if str(event.get("uuid", "")).lower() != uuid.lower():
        raise ContentError("misp.other_event", asked=uuid, got=str(event.get("uuid"))[:80])
    return event
