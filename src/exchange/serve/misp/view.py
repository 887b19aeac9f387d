"""The MISP view of an audience, as one worker keeps it: the index of its events, and each event on its way out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from exchange.errors import NotFound
from exchange.serve import coding
from exchange.serve.answers import Unavailable
from exchange.serve.misp.instance import Answer, Ask, Offered
from exchange.serve.misp.parties import number
from exchange.serve.roots import in_language
from exchange.sync import events
from exchange.sync.events import EventRow, Index, Kept, View

_KEPT = Kept()
_IN_MEMORY = 4 << 20
"""Bytes of an answer that is still in memory while it is put together; a longer one goes to a file without a name."""
_GZIP = 31
_LEVEL = 1


def view(ask: Ask) -> View:
    """What the audience of `ask` sees."""
    audience = next((each for each in ask.visit.rules.audiences if each.key == ask.audience.key), None)
    if audience is None:
        raise Unavailable("request.not_ready")
    title = in_language(ask.collection.title, ask.site.language) or ask.collection.alias
    return events.view_of(
        ask.tx, ask.visit.rules, audience, ask.audience.number, title=title, node=ask.site.title, flavour="sync"
    )


def index(ask: Ask, seen: View) -> Index:
    """The events that it sees now."""
    return events.index(ask.tx, seen, ask.visit.now, kept=_KEPT)


def row_of(ask: Ask, seen: View, uuid: str) -> EventRow:
    """The event with this uuid, or our number of it. Raises NotFound, the same for *absent* and *not for you*."""
    rows = index(ask, seen)
    found = rows.get(uuid.lower())
    if found is None and uuid.isdigit():
        found = next((row for row in rows.rows if number(row.uuid) == uuid), None)
    if found is None:
        raise NotFound("request.misp_no_event")
    return found


def offered(rows: Iterable[EventRow]) -> Offered | None:
    """What the ledger says of these events."""
    found = list(rows)
    if not found:
        return None
    return Offered(
        first=min(row.first for row in found),
        last=max(row.last for row in found),
        count=sum(row.rows for row in found),
    )


def entities(rows: Iterable[EventRow], count: int) -> Offered | None:
    """The same of `count` entities that travel by themselves, of these events or of none."""
    if not count:
        return None
    found = offered(rows)
    return Offered(first=found.first, last=found.last, count=count) if found else Offered(first=0, last=0, count=count)


def spooled(ask: Ask, pieces: Iterable[bytes], told: Offered | None, kind: str = "application/json") -> Answer:
    """An answer of any length in bounded memory: put together, packed and judged whole before its first byte leaves."""
    packed = bool(coding.wanted(ask.req.get_header("Accept-Encoding")).coding) and _takes_gzip(ask)
    file = cast(IO[bytes], SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 (it is closed when it is sent)
    try:
        for piece in _packed(pieces) if packed else pieces:
            file.write(piece)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Answer(file=file, size=size, packed="gzip" if packed else "", offered=told, kind=kind)


def _takes_gzip(ask: Ask) -> bool:
    return "gzip" in ask.req.get_header("Accept-Encoding", default="").lower()


def _packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
