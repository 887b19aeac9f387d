"""What a reader asks for (TAXII 2.1 sections 3.4 and 3.5), parsed once and strictly; a wrong parameter is named.

Parameters that an address does not know are ignored: clients send their own, and the standard gives them no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from exchange.errors import RequestError
from exchange.store import micros, moment
from exchange.store.pages import LAST, Query, Versions

PAGE = frozenset({"added_after", "limit", "next", "match[spec_version]"})
"""What `versions/` knows (section 5.8)."""
ONE = PAGE | {"match[version]"}
"""What one object's address knows (section 5.6)."""
LIST = ONE | {"match[id]", "match[type]"}
"""What lists of objects and the manifest know (sections 5.3 and 5.4)."""
REMOVAL = frozenset({"match[version]", "match[spec_version]"})
"""What DELETE knows (section 5.7)."""
EVERY = Versions(every=True)
DEFAULT = 1_000
MOST = 10_000
MOST_BYTES = 32 * 1024 * 1024
"""A page is cut after so many bytes of objects; `more` says so, and the memory of a request stays bounded."""
_MOST_VALUES = 500
_SPEC_VERSION = "2.1"
_WINDOW = frozenset({"added_after", "next", "limit"})
_ANY: frozenset[str] = frozenset()
_KEYWORDS = frozenset({"first", "last", "all"})
# What cannot be the id or the type of an object is in no collection; it does not even reach the store.
_ID = re.compile(r"[a-z0-9-]{1,250}--[0-9a-fA-F-]{36}\Z")
_TYPE = re.compile(r"[a-z0-9-]{1,250}\Z")
# Six digits are the standard (section 2); real clients send none to nine, and offsets whose + became a space.
_TIMESTAMP = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d):(?P<second>[0-5]\d|60)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:[Zz]|(?P<sign>[+ -])(?P<hours>\d\d):?(?P<minutes>[0-5]\d))\Z",
    re.ASCII,
)


def timestamp(added: int) -> str:
    """A TAXII timestamp: always exactly six digits and `Z` (section 2)."""
    second, fraction = divmod(added, 1_000_000)
    return f"{_second(second)}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def _second(number: int) -> str:
    return moment(number * 1_000_000).isoformat(timespec="seconds")[:-6]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A window and a filter. `nothing`: no object that can be here would fit, so the answer is empty."""

    after: int
    limit: int
    ids: frozenset[str]
    types: frozenset[str]
    versions: Versions
    nothing: bool

    def query(self, now: int, stix_id: str = "") -> Query:
        """The same for the store; `stix_id`: the one object that the address names."""
        ids = frozenset({stix_id}) if stix_id else self.ids
        return Query(after=self.after, now=now, ids=ids, types=self.types, versions=self.versions, limit=self.limit)


def ask(params: Mapping[str, Any], known: frozenset[str] = LIST, otherwise: Versions = LAST) -> Question:
    """The question in a query string to an address that knows these parameters.

    `otherwise`: the versions meant when none are named. Raises RequestError (400), naming the parameter.
    """
    given: dict[str, str] = {}
    for name, value in params.items():
        if name not in known:
            continue
        if isinstance(value, list):
            raise RequestError("request.repeated", parameter=name)
        given[name] = value
    after, limit = max(_after(given, "added_after"), _after(given, "next")), _limit(given)
    if given.keys() <= _WINDOW:
        return Question(after=after, limit=limit, ids=_ANY, types=_ANY, versions=otherwise, nothing=False)
    spec_versions, ids, types = (_values(given, f"match[{field}]") for field in ("spec_version", "id", "type"))
    possible_ids, possible_types = frozenset(filter(_ID.match, ids)), frozenset(filter(_TYPE.match, types))
    # Every object here is STIX 2.1, those without a `spec_version` too (STIX 2.1 section 3.2).
    wanted = (not spec_versions or _SPEC_VERSION in spec_versions, not ids or possible_ids, not types or possible_types)
    return Question(
        after=after,
        limit=limit,
        ids=possible_ids,
        types=possible_types,
        versions=_versions(given, otherwise),
        nothing=not all(wanted),
    )


def is_id(text: str) -> bool:
    """Whether this can be the id of an object; a longer or stranger text is not looked up."""
    return _ID.match(text) is not None


def _limit(params: Mapping[str, Any]) -> int:
    """A positive integer; a larger one than we serve is no mistake, the page is smaller (section 3.4)."""
    text = params.get("limit")
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and text.strip("0")):
        raise RequestError("request.limit", parameter="limit", value=text[:40])
    return MOST if len(text) > len(str(MOST)) + 20 else min(int(text), MOST)


def _after(params: Mapping[str, Any], name: str) -> int:
    """`added_after` and `next` are both timestamps, exclusive; where both come the later wins (RULES R20)."""
    text = params.get(name)
    if text is None:
        return -1
    try:
        return _instant_of(text)
    except (ValueError, OverflowError):
        raise RequestError("request.timestamp", parameter=name, value=text[:40]) from None


@lru_cache(maxsize=1024)
def _instant_of(text: str) -> int:
    """A timestamp in µs; readers who wait for news ask with the same one. Raises ValueError or OverflowError."""
    found = _TIMESTAMP.match(text)
    if found is None:
        raise ValueError(text[:40])
    # Digits beyond the sixth are cut: nothing is added within a microsecond, so exclusive stays exclusive.
    fraction = int((found["fraction"] or "0")[:6].ljust(6, "0"))
    return micros(_minute(found)) + int(found["second"]) * 1_000_000 + fraction


def _minute(found: re.Match[str]) -> datetime:
    """The minute that a timestamp names, with its zone. Raises ValueError for a day or an offset that there is not."""
    zone = UTC
    if found["sign"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        zone = timezone(-offset if found["sign"] == "-" else offset)
    return datetime.fromisoformat(found["minute"].upper()).replace(tzinfo=zone)


def _versions(params: Mapping[str, Any], otherwise: Versions) -> Versions:
    """`match[version]`: keywords and exact versions, in any mix; `all` stands alone, and nothing stands twice."""
    name = "match[version]"
    values = _values(params, name)
    if not values:
        return otherwise
    asked = [value if value in _KEYWORDS else _instant(name, value) for value in values]
    words = set(asked)
    if len(words) < len(asked) or ("all" in words and len(asked) > 1):
        raise RequestError("request.match_version_mix", parameter=name)
    exact = frozenset(words - _KEYWORDS)
    return Versions(first="first" in words, last="last" in words, every="all" in words, exact=exact)


def _instant(name: str, text: str) -> str:
    """A version as the store keeps it: sortable text in UTC without its `Z`, no digit cut (`model.stix.instant`)."""
    found = _TIMESTAMP.match(text)
    try:
        minute = _minute(found).astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        minute = None
    if found is None or minute is None:
        raise RequestError("request.match_version", parameter=name, value=text[:40])
    fraction = (found["fraction"] or "").rstrip("0").ljust(6, "0")
    return f"{minute.replace(tzinfo=None).isoformat(timespec='minutes')}:{found['second']}.{fraction}"


def _values(params: Mapping[str, Any], name: str) -> list[str]:
    """The values of a match parameter; the standard allows no space beside a comma, and clients write one."""
    if name not in params:
        return []
    values = [value.strip(" ") for value in params[name].split(",")]
    if not all(values):
        raise RequestError("request.empty_value", parameter=name)
    if len(values) > _MOST_VALUES:
        raise RequestError("request.too_many_values", parameter=name, limit=_MOST_VALUES)
    return values
