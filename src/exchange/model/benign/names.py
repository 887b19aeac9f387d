"""Many texts that are only asked whether they hold one: sixteen bytes each, however long they are."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

_SHORTEST = 4
"""Characters by which a part of a text is looked up."""
_ROOM = 8
"""Places of the first look for each text: seven of eight texts that are not there end at it."""


class Names:
    """A set of texts as the sorted numbers that this process hashes them to (SipHash under a key of its own).

    Of a million texts one that is not there is taken for one that is, once in ten million million questions.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._hashes = array("q", sorted({hash(text) for text in texts if text}))
        self._mask = (1 << (len(self._hashes) * _ROOM).bit_length()) - 1
        self._seen = bytearray(self._mask + 1)
        for number in self._hashes:
            self._seen[number & self._mask] = 1

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, text: str) -> bool:
        wanted = hash(text)
        if not self._seen[wanted & self._mask]:
            return False
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted

    def under(self, name: str) -> bool:
        """Whether `name` is one of them or a sub-domain of one."""
        seen, mask = self._seen, self._mask
        while True:
            if seen[hash(name) & mask] and name in self:
                return True
            _, dot, name = name.partition(".")
            if not dot:
                return False


class Parts:
    """Texts of which one may stand anywhere in a value: what it costs depends on the value's length, not on them."""

    def __init__(self, texts: Iterable[str]) -> None:
        found = sorted({text for text in texts if text})
        self._size = min((len(text) for text in found), default=0)
        self._size = min(self._size, _SHORTEST)
        self._begin: dict[str, tuple[str, ...]] = {}
        for text in found:
            head = text[: self._size]
            self._begin[head] = (*self._begin.get(head, ()), text)

    def __len__(self) -> int:
        return sum(map(len, self._begin.values()))

    def inside(self, value: str) -> bool:
        """Whether one of them stands in `value`."""
        size, begin = self._size, self._begin
        if not size:
            return False
        for place in range(len(value) - size + 1):
            texts = begin.get(value[place : place + size])
            if texts is not None and any(value.startswith(text, place) for text in texts):
                return True
        return False
