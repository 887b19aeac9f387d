"""A MISP feed of each collection (reference misp.md section 3): `manifest.json`, `UUID.json` and `hashes.csv`.

It is another form of what the same audience reads over TAXII, put together by `sync.events`; nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

import falcon
import orjson

from exchange.errors import NotFound
from exchange.model.party import Collection
from exchange.serve import tags
from exchange.serve.answers import Unavailable
from exchange.serve.door import Door, Visit
from exchange.serve.reading import record
from exchange.serve.roots import Room, in_language
from exchange.store.audiences import AudienceRow
from exchange.sync import events
from exchange.sync.events import EventRow, Flavour, Index, Kept, View

_EVENT = re.compile(r"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$")
_IN_MEMORY = 1 << 20
_PIECE = 1 << 16


def view_of(visit: Visit, collection: Collection, row: AudienceRow, flavour: Flavour) -> View:
    """How this reader sees the collection over MISP. Raises Unavailable in the first second of a new node."""
    audience = next((a for a in visit.rules.audiences if a.key == row.key), None)
    if audience is None:
        raise Unavailable("request.not_ready")
    title = in_language(collection.title, visit.site.language) or collection.alias
    return events.view_of(
        visit.tx, visit.rules, audience, row.number, title=title, node=visit.site.title, flavour=flavour
    )


class Feeds(Room):
    """`GET /feeds/{id or alias}/{file}`: the same accounts, audiences and brakes as over TAXII."""

    def __init__(self, door: Door, kept: Kept | None = None) -> None:
        super().__init__(door)
        self.kept = kept or Kept()

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, file: str) -> None:
        """One file of the feed. Raises NotFound, and what the door raises."""
        with self.door.visit(req, taxii=False) as visit:
            collection = visit.collection(name)
            audience = visit.reading(collection)
            view = view_of(visit, collection, audience, "feed")
            index = events.index(visit.tx, view, visit.now, kept=self.kept)
            if file == "manifest.json":
                return self._manifest(req, resp, index)
            if file == "hashes.csv":
                rows, body = index.rows, _hashes(visit, view, index.rows)
                resp.content_type = "text/csv; charset=utf-8"
            else:
                row = _row(index, file)
                rows, body = [row], _event(visit, view, row)
                resp.content_type = "application/json"
        if req.method != "HEAD":
            _recorded(visit, audience, rows, file)
        resp.content_length = body.seek(0, 2)
        body.seek(0)
        resp.stream = _read(body)
        return None

    def _manifest(self, req: falcon.Request, resp: falcon.Response, index: Index) -> None:
        """It holds no object, so the ledger gets no row (RULES R27)."""
        tag = f'"{index.etag}"'
        resp.set_header("ETag", tag)
        if tags.names(req.get_header("If-None-Match"), tag):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = "application/json"
        resp.data = orjson.dumps({row.uuid: _entry(row) for row in index.rows})


def _entry(row: EventRow) -> dict[str, object]:
    """What `manifest.json` says of an event under its uuid."""
    return {
        "Orgc": {"name": row.orgc_name, "uuid": row.orgc_uuid},
        "Tag": row.tags,
        "info": row.info,
        "date": row.date,
        "analysis": row.analysis,
        "threat_level_id": row.threat_level_id,
        "timestamp": str(row.timestamp),
    }


def _row(index: Index, file: str) -> EventRow:
    found = _EVENT.match(file)
    row = index.get(found[1]) if found else None
    if row is None:
        raise NotFound("request.no_event")
    return row


def _event(visit: Visit, view: View, row: EventRow) -> IO[bytes]:
    return _spooled(iter(events.document(visit.tx, view, row, visit.now)))


def _hashes(visit: Visit, view: View, rows: Sequence[EventRow]) -> IO[bytes]:
    """`md5(value),uuid` lines, by which MISP correlates without fetching the events."""
    lines = events.hashes(visit.tx, view, rows, visit.now)
    return _spooled(f"{digest},{uuid}\n".encode() for digest, uuid in lines)


def _spooled(pieces: Iterator[bytes]) -> IO[bytes]:
    """A large file lies on disk until its reader has it, and not in memory."""
    body: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (closed when it has been read)
    for piece in pieces:
        body.write(piece)
    return body


def _read(body: IO[bytes]) -> Iterator[bytes]:
    with body:
        while piece := body.read(_PIECE):
            yield piece


def _recorded(visit: Visit, audience: AudienceRow, rows: Sequence[EventRow], file: str) -> None:
    """The read ledger (RULES R27): with what stands between the dates, it names every version."""
    given = [row for row in rows if row.rows]
    if given:
        first, last = min(row.first for row in given), max(row.last for row in given)
        record(visit, audience, f"feed/{file}", first, last, sum(row.rows for row in given))
