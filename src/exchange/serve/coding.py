"""Content coding (RFC 9110 section 12.5.3): which one a reader prefers, and pages packed once for many readers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import zstandard
from isal import igzip  # four times as quick as gzip, and no larger

from exchange.serve import media

Coding = Literal["", "gzip", "zstd"]
SMALL = 1_000
"""Bytes below which packing saves nothing worth the work."""
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1
_MOST_BYTES = 16 * 1024 * 1024
_OLD_NAMES = {"x-gzip": "gzip"}
"""RFC 9110 section 8.4.1.3."""


class Wanted(NamedTuple):
    """What a reader takes: the best coding that we have (empty: none), and whether the page itself will do."""

    coding: Coding
    plain: bool

    def of(self, size: int) -> Coding:
        """The coding for a body of so many bytes: a small one is packed only for a reader who insists."""
        return self.coding if size >= SMALL or not self.plain else ""


def wanted(header: str | None) -> Wanted:
    """What an `Accept-Encoding` header says; without one the page goes as it is, for who does not ask cannot unpack."""
    return Wanted("", True) if header is None else _wanted(header[: media.LONGEST])


@lru_cache(maxsize=256)
def _wanted(header: str) -> Wanted:
    said: dict[str, float] = {}
    for entry in media.ranges(header):
        said.setdefault(_OLD_NAMES.get(entry.kind, entry.kind), entry.quality)
    rest = said.get("*", 0.0)
    # Whoever names nothing in particular gets the coding that everyone knows.
    offers: list[tuple[float, Coding]] = [(said.get("zstd", 0.0), "zstd"), (said.get("gzip", rest), "gzip")]
    quality, coding = max(offers, key=lambda offer: offer[0])
    plain = said.get("identity", 0.0 if rest == 0.0 and "*" in said else 0.001)
    return Wanted(coding if quality > 0 and quality >= plain else "", plain > 0)


def pack(coding: Coding, body: bytes) -> bytes:
    """`body` in this coding; the same bytes always give the same bytes."""
    if coding == "gzip":
        return igzip.compress(body, _GZIP_LEVEL, mtime=0)
    return _zstd().compress(body) if coding == "zstd" else body


_own = threading.local()


def _zstd() -> zstandard.ZstdCompressor:
    """The compressor of this thread; it is costly to make and not to be shared."""
    found: zstandard.ZstdCompressor | None = getattr(_own, "zstd", None)
    if found is None:
        found = _own.zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    return found


class Packer:
    """Packed pages of one worker by their entity tag: one that has not changed is not packed again.

    They stand one behind the other in a ring of fixed size, the newest over the oldest: so the memory that they take
    is never more, and never in pieces.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._ring = bytearray(most)
        self._written = 0
        """Places are counted on and on; where one is in the ring is what is left of it beyond whole turns."""
        self._kept: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def packed(self, tag: str, coding: Coding, make: Callable[[], bytes]) -> bytes:
        """What `make` gives in this coding. `tag` tells the page and the coding."""
        with self._lock:
            if tag in self._kept:
                place, size = self._kept[tag]
                begin = place % len(self._ring)
                return bytes(memoryview(self._ring)[begin : begin + size])
        found = pack(coding, make())
        # One page may not drive out all the others.
        if len(found) <= len(self._ring) // 4:
            with self._lock:
                self._keep(tag, found)
        return found

    def _keep(self, tag: str, body: bytes) -> None:
        if tag in self._kept:
            return
        place, turn = self._written, len(self._ring)
        if place % turn + len(body) > turn:  # none goes round the end
            place += turn - place % turn
        self._written = place + len(body)
        while self._kept and next(iter(self._kept.values()))[0] < self._written - turn:
            self._kept.popitem(last=False)
        begin = place % turn
        self._ring[begin : begin + len(body)] = body
        self._kept[tag] = place, len(body)
