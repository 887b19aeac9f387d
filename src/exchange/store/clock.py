"""`date_added`: assigned in commit order, unique and strictly increasing per listing (RULES R20)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = 1_000
FOREVER = 2**62
"""A time that never comes."""
AHEAD = 1_000_000
"""How far, in µs, `date_added` runs ahead of the clock at most; further ahead, the clock has stepped back."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The instant of `micros`."""
    return _EPOCH + timedelta(microseconds=micros)


def following(last: int, now: int) -> int:
    """The next `date_added` after `last` at the clock's `now`, both in µs.

    Whole milliseconds while at most 0.1 s ahead (readers that cut to milliseconds miss nothing), then 10 µs to 0.9 s,
    then 1 µs. More than a second ahead the clock has stepped back: last + 1 µs.
    """
    if last < now:
        return -(-(max(now, last + 1)) // _MS) * _MS
    lead = last - now
    if lead <= 100 * _MS:
        return (last // _MS + 1) * _MS
    return last + (10 if lead <= 900 * _MS else 1)
