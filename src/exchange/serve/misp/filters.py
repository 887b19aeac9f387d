"""What `events/index` is asked for: MISP's filters, by which an administrator says what is pulled (misp.md 1.3).

A list or `a|b` means any of them, `!a` none of them, `a&b` all. Filters that we cannot answer are refused by name:
to leave one out would hand over more than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exchange.errors import RequestError
from exchange.sync.events import EventRow

Test = Callable[[EventRow], bool]
_DELTA = re.compile(r"([0-9]{1,9})\s*([dhms])\Z", re.I)
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MOST = 1_000
_TWO = 2
_REFUSED = ("attribute", "value", "all", "email")
_ALIASES = {"tags": "tag", "publishtimestamp": "publish_timestamp", "date_from": "datefrom", "date_to": "dateuntil",
            "uuid": "eventid", "threat_level_id": "threatlevel"}  # fmt: skip


def tests(given: Mapping[str, Any], now: int) -> list[Test]:
    """The tests that an event has to pass; `now` in seconds. Raises RequestError for what cannot be answered."""
    made: list[Test] = []
    for name, value in given.items():
        plain = name.lower().removeprefix("search")
        plain = _ALIASES.get(plain, plain)
        if plain in _REFUSED and value not in ("", None):
            raise RequestError("request.misp_filter", parameter=plain)
        make = _MAKERS.get(plain)
        if make is not None and value not in ("", None, []):
            made.append(make(value, now))
    return made


def choices(value: Any) -> list[str]:
    """The alternatives in a value."""
    found = value if isinstance(value, list) else str(value).split("|")
    if len(found) > _MOST:
        raise RequestError("request.misp_filter", parameter="")
    return [str(each).strip() for each in found if str(each).strip()]


def count(value: Any) -> int:
    """A page or a limit; 0: none is said."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def instant(value: Any, now: int) -> int:
    """A timestamp, or how long ago (`5d`, `30m`), in seconds. Raises RequestError."""
    text = str(value).strip()
    ago = _DELTA.match(text)
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2].lower()]
    if text.isascii() and text.isdigit() and len(text) < 12:
        return int(text)
    raise RequestError("request.timestamp", parameter="timestamp", value=text[:40])


def _window(value: Any, now: int, of: Callable[[EventRow], int]) -> Test:
    if isinstance(value, list) and len(value) >= _TWO:
        low, high = instant(value[0], now), instant(value[1], now)
        return lambda row: low <= of(row) <= high
    low = instant(value[0] if isinstance(value, list) else value, now)
    return lambda row: of(row) >= low


def _signed(values: Sequence[str]) -> tuple[set[str], set[str]]:
    """What is wanted, and (`!`) what is not, in lower case."""
    no = {each[1:].lower() for each in values if each.startswith("!")}
    return {each.lower() for each in values if not each.startswith("!")}, no


def _any(values: Sequence[str], of: Callable[[EventRow], set[str]]) -> Test:
    yes, no = _signed(values)
    return lambda row: not (no & of(row)) and (not yes or bool(yes & of(row)))


def _tags(value: Any, _now: int) -> Test:
    values = choices(value)
    if len(values) == 1 and "&" in values[0]:
        every = {each.strip().lower() for each in values[0].split("&")}
        return lambda row: every <= _names(row)
    return _any(values, _names)


def _names(row: EventRow) -> set[str]:
    return {str(tag["name"]).lower() for tag in row.tags}


def _info(value: Any, _now: int) -> Test:
    yes, no = _signed(choices(value))

    def test(row: EventRow) -> bool:
        text = row.info.lower()
        return not any(each in text for each in no) and (not yes or any(each in text for each in yes))

    return test


def _published(value: Any, _now: int) -> Test:
    """Everything here is published: 1 and 2 (both) are all of it."""
    values = {str(each).lower() for each in (value if isinstance(value, list) else [value])}
    return lambda _row: values != {"0"} and values != {"false"}


def _nothing(wanted: set[str]) -> Callable[[Any, int], Test]:
    """A filter for what is nowhere here: proposals, sharing groups."""

    def make(value: Any, _now: int) -> Test:
        yes, _ = _signed(choices(value))
        return lambda _row: not yes - wanted

    return make


_MAKERS: Mapping[str, Callable[[Any, int], Test]] = {
    "tag": _tags,
    "org": lambda value, _: _any(choices(value), lambda row: {row.orgc_uuid.lower(), row.orgc_name.lower()}),
    "eventid": lambda value, _: _any(choices(value), lambda row: {row.uuid}),
    "eventinfo": _info,
    "published": _published,
    "timestamp": lambda value, now: _window(value, now, lambda row: row.timestamp),
    "publish_timestamp": lambda value, now: _window(value, now, lambda row: row.timestamp),
    "datefrom": lambda value, _: lambda row: row.date >= str(value),
    "dateuntil": lambda value, _: lambda row: row.date <= str(value),
    "threatlevel": lambda value, _: _any(choices(value), lambda row: {row.threat_level_id}),
    "analysis": lambda value, _: _any(choices(value), lambda row: {row.analysis}),
    "distribution": lambda value, _: _any(choices(value), lambda row: {row.distribution}),
    "sharinggroup": _nothing(set()),
    "hasproposal": _nothing({"0", "2"}),
}
