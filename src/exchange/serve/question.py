"""What a reader asks for (TAXII 2.1 sections 3.4 and 3.5), parsed once and strictly; a wrong parameter is named.

Unknown parameters are ignored: clients send their own, and the standard gives them no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from exchange.errors import RequestError
from exchange.store import micros, moment
from exchange.store.pages import Query

DEFAULT = 1_000
MOST = 10_000
MOST_BYTES = 32 * 1024 * 1024
"""A page is cut after so many bytes of objects; `more` says so, and the memory of a request stays bounded."""
_MOST_VALUES = 500
_SPEC_VERSION = "2.1"
_WINDOW = ("added_after", "next")
# Six digits are the standard (section 2); real clients send none to nine, and offsets whose + became a space.
_TIMESTAMP = re.compile(
    r"^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:[Zz]|(?P<sign>[+ -])(?P<hours>\d\d):?(?P<minutes>\d\d))$",
    re.ASCII,
)


def timestamp(added: int) -> str:
    """A TAXII timestamp: always exactly six digits and `Z` (section 2)."""
    return moment(added).isoformat(timespec="microseconds")[:-6] + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A window and a filter. `nothing`: asks for versions of STIX that are not here, so the answer is empty."""

    after: int
    limit: int
    ids: frozenset[str]
    types: frozenset[str]
    nothing: bool

    def query(self, now: int, stix_id: str = "") -> Query:
        """The same for the store; `stix_id`: the one object that the address names, instead of `match[id]`."""
        return Query(
            after=self.after,
            now=now,
            ids=frozenset({stix_id}) if stix_id else self.ids,
            types=frozenset() if stix_id else self.types,
            limit=self.limit,
        )


def ask(params: Mapping[str, Any]) -> Question:
    """The question in a query string. Raises RequestError (400), naming the parameter."""
    spec_versions = _values(params, "match[spec_version]")
    if _values(params, "match[version]") not in ([], ["last"]):
        raise RequestError("request.match_version", parameter="match[version]")
    return Question(
        after=max((_after(params, name) for name in _WINDOW), default=-1),
        limit=_limit(params),
        ids=frozenset(_values(params, "match[id]")),
        types=frozenset(_values(params, "match[type]")),
        nothing=bool(spec_versions) and _SPEC_VERSION not in spec_versions,
    )


def _single(params: Mapping[str, Any], name: str) -> str | None:
    value = params.get(name)
    if isinstance(value, list):
        raise RequestError("request.repeated", parameter=name)
    return value


def _limit(params: Mapping[str, Any]) -> int:
    """A positive integer; a larger one than we serve is no mistake, the page is smaller (section 3.4)."""
    text = _single(params, "limit")
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and text.strip("0")):
        raise RequestError("request.limit", parameter="limit", value=text[:40])
    return MOST if len(text) > len(str(MOST)) + 20 else min(int(text), MOST)


def _after(params: Mapping[str, Any], name: str) -> int:
    """`added_after` and `next` are both timestamps, exclusive; where both come the later wins (RULES R20)."""
    text = _single(params, name)
    if not text:
        return -1
    found = _TIMESTAMP.match(text)
    try:
        return _micros(found) if found else _refuse(name, text)
    except (ValueError, OverflowError):
        return _refuse(name, text)


def _refuse(name: str, text: str) -> int:
    raise RequestError("request.timestamp", parameter=name, value=text[:40])


def _micros(found: re.Match[str]) -> int:
    day, minute, second, fraction = found.group(1, 2, 3, 4)
    zone = UTC
    if found["sign"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        zone = timezone(-offset if found["sign"] == "-" else offset)
    leap = second == "60"
    whole = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}").replace(tzinfo=zone)
    # Digits beyond the sixth are cut: nothing is added within a microsecond, so exclusive stays exclusive.
    return micros(whole) + leap * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))


def _values(params: Mapping[str, Any], name: str) -> list[str]:
    """The comma-separated values of a match parameter; repeating the parameter adds to it."""
    given = params.get(name, [])
    values = [value for text in (given if isinstance(given, list) else [given]) for value in text.split(",")]
    if any(not value for value in values):
        raise RequestError("request.empty_value", parameter=name)
    if len(values) > _MOST_VALUES:
        raise RequestError("request.too_many_values", parameter=name, limit=_MOST_VALUES)
    return values
