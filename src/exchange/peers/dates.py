"""Dates as TAXII servers write them: TAXII's own, RFC 3339 at large, HTTP dates and JavaScript's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from exchange.peers.session import parse_http_date

_RFC3339 = re.compile(
    r"^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:[.,](\d+))?\s*([Zz]|[+-]\d{2}:?\d{2})$",
)
_JAVASCRIPT = re.compile(r"^\w{3} (\w{3}) (\d{1,2}) (\d{4}) (\d{2}:\d{2}:\d{2}) (?:GMT|UTC)?([+-]\d{4})?")
MILLISECOND = timedelta(milliseconds=1)
_EARLIEST = 1970
"""Some write the year 1 where they know no date."""


def stamp(moment: datetime) -> str:
    """A TAXII timestamp: exactly six digits and `Z` (TAXII 2.1 section 2)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(text: str) -> datetime | None:
    """The instant that `text` names in any of the forms seen in the wild; None for `undefined` and the like."""
    text = text.strip()
    found = _RFC3339.match(text)
    if found:
        day, clock, fraction, zone = found.groups()
        zone = "+00:00" if zone in "Zz" else zone
        return _parse(f"{day}T{clock}.{(fraction or '')[:6].ljust(6, '0')}{zone}", "%Y-%m-%dT%H:%M:%S.%f%z")
    found = _JAVASCRIPT.match(text)
    if found:
        month, day, year, clock, zone = found.groups()
        return _parse(f"{day} {month} {year} {clock} {zone or '+0000'}", "%d %b %Y %H:%M:%S %z")
    return parse_http_date(text)


def as_sent(text: str) -> str:
    """What to send back as `added_after`: the text received if a TAXII server can read it, else our own form."""
    moment = moment_of(text)
    return text.strip() if moment is None or _RFC3339.match(text.strip()) else stamp(moment)


def _parse(text: str, form: str) -> datetime | None:
    try:
        found = datetime.strptime(text, form).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year >= _EARLIEST else None
