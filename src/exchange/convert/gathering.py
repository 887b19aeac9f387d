"""What an event is put together from while it is gathered: pieces of JSON, compressed, and what is said twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import zstandard

from exchange.convert.part import INHERIT, tags
from exchange.model.marking import Label, Tlp, of_tags

_CHUNK = 256 * 1024
BEYOND = 1 + max(Tlp)
"""The rank of what says no TLP: above all that do."""


def rank(label: Label) -> int:
    """How strict TLP and PFC make `label`, for those who are not on PFC's list."""
    level = label.level(listed=False)
    if level is None:
        return BEYOND
    return max(int(level), Tlp.AMBER) if label.for_the_list else int(level)


@dataclass(frozen=True, slots=True)
class Joined:
    """What is said of an attribute by others that say the same value."""

    to_ids: bool = False
    comment: str = ""
    timestamp: int = 0
    label: Label | None = None
    tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    distribution: str = INHERIT

    def after(self, timestamp: int) -> Joined:
        """The same, dated no earlier."""
        return replace(self, timestamp=max(self.timestamp, timestamp))

    def joined(self, body: Mapping[str, Any], label: Label, timestamp: int, under: str) -> Joined:
        """With what another one says."""
        return Joined(
            self.to_ids or body.get("to_ids") is True,
            self.comment or str(body.get("comment") or ""),
            max(self.timestamp, timestamp),
            label if self.label is None else self.label.join(label),
            {**self.tags, **{tag["name"]: tag for tag in body.get("Tag") or ()}},
            min(self.distribution, under),
        )

    def onto(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The attribute with all of it, under the strictest of the labels."""
        tagged = {tag["name"]: tag for tag in body.get("Tag") or ()}
        own = of_tags(tagged)
        strictest = own if self.label is None else own.join(self.label)
        every = {**self.tags, **tagged}
        return {
            **body,
            "to_ids": bool(body.get("to_ids")) or self.to_ids,
            "comment": body.get("comment") or self.comment,
            "timestamp": str(max(int(body["timestamp"]), self.timestamp)),
            "distribution": min(str(body["distribution"]), self.distribution),
            "Tag": tags(strictest, list(every.values())),
        }


class Buffer:
    """Pieces of JSON one behind the other, compressed a chunk at a time."""

    def __init__(self) -> None:
        self.count = 0
        self._packed: list[tuple[int, int, bytes]] = []
        self._open: list[bytes] = []
        self._size = self._first = 0

    def add(self, piece: bytes) -> None:
        self._open.append(piece)
        self._size += len(piece)
        self.count += 1
        if self._size > _CHUNK:
            packed = zstandard.ZstdCompressor(level=1).compress(b",".join(self._open))
            self._packed.append((self._first, len(self._open), packed))
            self._open, self._size, self._first = [], 0, self.count

    def chunks(self) -> Iterator[tuple[int, int, bytes]]:
        """(number of the first, how many, joined by commas)."""
        for first, count, packed in self._packed:
            yield first, count, zstandard.ZstdDecompressor().decompress(packed)
        if self._open:
            yield self._first, len(self._open), b",".join(self._open)
