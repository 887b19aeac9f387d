"""Blocks: the bytes of objects that came together, compressed together, and the places of the objects in them.

Alone, an object of a kilobyte compresses to half; beside its like to an eighth. In a block the objects are joined by
commas, so neighbours that are read together are one slice, and a page is a few slices of a few blocks. A block is never
changed: it holds what was received, or what is served of it, unless that is erased.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import zstandard
from sqlalchemy import Connection, Dialect, bindparam, delete, func, select, update

from exchange.store.prepared import Inserting, Prepared, Query
from exchange.store.tables import block

SIZE = 64 * 1024
"""Bytes after which a block is full, before it is compressed: reading one object unpacks no more than that, or it."""
_LEVEL = 1  # on such text higher levels cost more and win nothing
_AT_ONCE = 32
_own = threading.local()  # a compressor serves one thread at a time


class Place(NamedTuple):
    """Where bytes stand: block, first byte, byte after the last."""

    block: int
    start: int
    stop: int


def keep(tx: Connection, bodies: Iterable[bytes]) -> list[Place]:
    """Write `bodies`, in order, to new blocks. The caller holds the writer lock."""
    places: list[Place] = []
    rows: list[tuple[Any, ...]] = []
    gathered: list[bytes] = []
    size, number = 0, 0
    for body in bodies:
        if not number:
            number = 1 + (_LAST.one(tx) or 0)
        if gathered and size + len(body) > SIZE:
            rows.append((number, _compressor().compress(b",".join(gathered))))
            gathered, size, number = [], 0, number + 1
        places.append(Place(number, size, size + len(body)))
        gathered.append(body)
        size += len(body) + 1
    if gathered:
        rows.append((number, _compressor().compress(b",".join(gathered))))
    _inserting(tx.dialect).many(tx, rows)
    return places


_LAST = Query(select(func.max(block.c.id)))


def drop(tx: Connection, number: int) -> None:
    """Delete a block in which nothing stands any more."""
    tx.execute(delete(block).where(block.c.id == number))


def blank(tx: Connection, places: Iterable[tuple[int, int, int]]) -> None:
    """Destroy the bytes at these places (RULES R33): an empty object and blanks, so that the others stay where they
    are. The one exception to a block's never being changed.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    for number, start, stop in places:
        spans.setdefault(number, []).append((start, stop))
    for number, each in spans.items():
        body = bytearray(_unpacked(tx, [number])[number])
        for start, stop in each:
            body[start:stop] = b"{}".ljust(stop - start)
        tx.execute(update(block).where(block.c.id == number).values(body=_compressor().compress(bytes(body))))


def holding(tx: Connection, wanted: Callable[[bytes], bool]) -> int:
    """How many blocks hold what is looked for; all are unpacked, one at a time."""
    after, found = -1, 0
    while rows := tx.execute(select(block).where(block.c.id > after).order_by(block.c.id).limit(_AT_ONCE)).all():
        found += sum(wanted(_decompressor().decompress(row.body)) for row in rows)
        after = rows[-1].id
    return found


def read(tx: Connection, places: Sequence[tuple[int, int, int]]) -> list[bytes]:
    """The bytes at each of `places`."""
    bodies: list[bytes] = []
    for run in _runs(places):
        found = _unpacked(tx, [place[0] for place in run])
        bodies += [found[number][start:stop] for number, start, stop in run]
    return bodies


Piece = bytes | memoryview
WIDTH = 1 << 32
"""A span is one number for each of its ends: the block times WIDTH, and the byte."""


def pieces(
    tx: Connection, begins: Sequence[int], ends: Sequence[int], known: dict[int, bytes] | None = None
) -> list[Piece]:
    """The bytes of these spans, to be joined by commas; neighbours are taken as one piece.

    `known`: blocks that were unpacked before in the same state of the store, and where a few more are kept.
    """
    cuts = [index for index, (begin, end) in enumerate(zip(begins[1:], ends, strict=False), 1) if begin != end + 1]
    spans = [
        (*divmod(begins[first], WIDTH), ends[last - 1] % WIDTH)
        for first, last in pairwise([0, *cuts, len(begins)])
        if first < last
    ]
    found: list[Piece] = []
    for run in _runs(spans):
        unpacked = _remembered(tx, {span[0] for span in run}, known)
        found += [_piece(unpacked[number], start, stop) for number, start, stop in run]
    return found


_FEW = 2
"""Blocks of a page of news. Of a reading of everything nothing is kept: nobody else comes by there soon."""
_KNOWN = 4


def _remembered(tx: Connection, numbers: Collection[int], known: dict[int, bytes] | None) -> Mapping[int, bytes]:
    """The same as `_unpacked`. What is new to one subscriber is new to the next, and lies in the newest blocks."""
    if known is None or len(numbers) > _FEW:
        return _unpacked(tx, numbers)
    found = {number: known[number] for number in numbers if number in known}
    missing = [number for number in numbers if number not in found]
    if missing:
        for number, body in _unpacked(tx, missing).items():
            found[number] = body
            if len(body) <= SIZE:
                known[number] = body
        for oldest in list(known)[:-_KNOWN]:
            del known[oldest]
    return found


def _piece(body: bytes, start: int, stop: int) -> Piece:
    """Without a copy, if that does not keep much more in memory than is wanted of it."""
    return memoryview(body)[start:stop] if 2 * (stop - start) > len(body) else body[start:stop]


def _runs(places: Sequence[tuple[int, int, int]]) -> Iterator[Sequence[tuple[int, int, int]]]:
    """`places` in pieces that need no more than a few blocks each, so that no more are unpacked at a time."""
    begin, seen = 0, set[int]()
    for index, place in enumerate(places):
        if place[0] not in seen and len(seen) == _AT_ONCE:
            yield places[begin:index]
            begin, seen = index, set()
        seen.add(place[0])
    if begin < len(places):
        yield places[begin:]


def _unpacked(tx: Connection, numbers: Iterable[int]) -> dict[int, bytes]:
    """Number → the block as it was before it was compressed."""
    wanted = dict.fromkeys(numbers)
    unpack = _decompressor().decompress
    rows = _reading(tx.dialect, len(wanted)).run(tx, {f"id_{i}": number for i, number in enumerate(wanted)})
    return {row[0]: unpack(row[1]) for row in rows}


def _compressor() -> zstandard.ZstdCompressor:
    made: zstandard.ZstdCompressor | None = getattr(_own, "compressor", None)
    if made is None:
        made = _own.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return made


def _decompressor() -> zstandard.ZstdDecompressor:
    made: zstandard.ZstdDecompressor | None = getattr(_own, "decompressor", None)
    if made is None:
        made = _own.decompressor = zstandard.ZstdDecompressor()
    return made


@lru_cache(maxsize=4)
def _inserting(dialect: Dialect) -> Inserting:
    return Inserting(dialect, block, ("id", "body"))


@lru_cache(maxsize=128)
def _reading(dialect: Dialect, count: int) -> Prepared:
    wanted: list[Any] = [bindparam(f"id_{i}") for i in range(count)]
    return Prepared(dialect, select(block.c.id, block.c.body).where(block.c.id.in_(wanted)))
