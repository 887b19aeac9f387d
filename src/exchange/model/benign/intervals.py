"""Ranges of addresses: whether one meets another, and how."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

Range = tuple[int, int]
"""First and last address, both inside."""
_NARROW = 2**32


class Intervals:
    """The union of many ranges, in eight bytes a range where all of them are IPv4."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        starts: list[int] = []
        ends: list[int] = []
        for first, last in sorted(ranges):
            if ends and first <= ends[-1] + 1:
                ends[-1] = max(ends[-1], last)
            else:
                starts.append(first)
                ends.append(last)
        narrow = not ends or ends[-1] < _NARROW
        self._starts: Sequence[int] = array("L" if array("I").itemsize < 4 else "I", starts) if narrow else starts
        self._ends: Sequence[int] = array(self._starts.typecode, ends) if isinstance(self._starts, array) else ends

    def __len__(self) -> int:
        return len(self._starts)

    def meets(self, first: int, last: int) -> bool:
        """Whether any of them shares an address with this range: equal, inside, holding or overlapping."""
        place = bisect_right(self._starts, last) - 1
        return place >= 0 and self._ends[place] >= first


def relation(asked: Range, listed: Range) -> str:
    """What `asked` is to `listed`: equal, inside, contains, overlaps; empty: they have nothing in common."""
    if asked == listed:
        return "equal"
    if asked[1] < listed[0] or listed[1] < asked[0]:
        return ""
    if listed[0] <= asked[0] and asked[1] <= listed[1]:
        return "inside"
    return "contains" if asked[0] <= listed[0] and listed[1] <= asked[1] else "overlaps"


def network(text: str) -> tuple[int, Range] | None:
    """Version and range of an address or network; None: it is neither. Host bits are cleared."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    return found.version, (int(found.network_address), int(found.broadcast_address))


def plain(text: str) -> int:
    """An IPv4 address in its short form as a number, quickly; -1: it is none."""
    try:
        one, two, three, four = map(int, text.split("."))
    except ValueError:
        return -1
    if not (0 <= one < 256 and 0 <= two < 256 and 0 <= three < 256 and 0 <= four < 256):
        return -1
    return (one << 24) + (two << 16) + (three << 8) + four
