"""Objects and manifest, read (TAXII 2.1 sections 5.3, 5.4 and 5.6): one index scan, joined bytes, one ledger row.

Everything was decided when it was written; here only the audience row and the clock are looked at (RULES R19). A page
is recorded before its first byte leaves, so nothing leaves unrecorded (R27).
"""

from __future__ import annotations

from collections.abc import Sequence

import falcon
import orjson

from exchange.errors import NotFound, UnsupportedMedia
from exchange.serve import media
from exchange.serve.answers import resource
from exchange.serve.door import Door, Visit
from exchange.serve.posting import Poster
from exchange.serve.question import MOST_BYTES, Question, ask, timestamp
from exchange.serve.reading import offered
from exchange.serve.roots import Room
from exchange.store import pages
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Entry, Leaf

_NOTHING = Leaf(entries=(), more=False)


def _page(visit: Visit, audience: AudienceRow, question: Question, *, stix_id: str = "", bodies: bool = True) -> Leaf:
    if question.nothing:
        return _NOTHING
    return pages.page(visit.tx, audience.key, question.query(visit.now, stix_id), bodies=bodies, most=MOST_BYTES)


def _head(resp: falcon.Response, entries: Sequence[Entry]) -> None:
    """The Date-Added headers (section 3.5); an empty page has no dates, and an invented one would lose objects."""
    if entries:
        resp.set_header("X-TAXII-Date-Added-First", timestamp(entries[0].added))
        resp.set_header("X-TAXII-Date-Added-Last", timestamp(entries[-1].added))


def _envelope(name: bytes, parts: Sequence[bytes], leaf: Leaf) -> bytes:
    """An envelope or manifest around parts that are JSON already. `next` is the last date added (RULES R20).

    The standard gives a manifest no `next`; without it, clients that page by `next` ask for page one for ever.
    """
    if not parts:
        return b"{}"
    more = b'"more":false'
    if leaf.more:
        more = b'"more":true,"next":"' + timestamp(leaf.entries[-1].added).encode() + b'"'
    return b"{" + more + b',"' + name + b'":[' + b",".join(parts) + b"]}"


class Objects(Room):
    """`GET` and `POST /api/collections/{id or alias}/objects/` (sections 5.4 and 5.5)."""

    def __init__(self, door: Door, poster: Poster) -> None:
        super().__init__(door)
        self.poster = poster

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A page of objects; `{}` when there is none."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            leaf = _page(visit, audience, ask(req.params))
        _head(resp, leaf.entries)
        offered(visit, audience, f"objects?{req.query_string}", leaf.entries)
        resp.data = _envelope(b"objects", [entry.body for entry in leaf.entries], leaf)

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Take an envelope; the answer is its status resource, complete. Raises what the door and the poster raise."""
        with self.door.visit(req) as visit:
            collection = visit.collection(name)
            audience = visit.audience(collection)
            visit.writing(collection)
        if not media.is_taxii(req.content_type or "") or req.get_header("Content-Encoding", default="identity") not in (
            "",
            "identity",
        ):
            raise UnsupportedMedia("request.media_type", accepted=media.TAXII)
        resource(resp, self.poster.take(req, visit, collection, audience), status=202)


class OneObject(Room):
    """`GET /api/collections/{id or alias}/objects/{object-id}/` (section 5.6)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, object_id: str) -> None:
        """The object, folded or not. NotFound when it is not visible; `{}` when only the filter leaves nothing."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            leaf = _page(visit, audience, ask(req.params), stix_id=object_id)
            if not leaf.entries and not _visible(visit, audience, object_id):
                raise NotFound("request.no_object")
        _head(resp, leaf.entries)
        offered(visit, audience, f"objects/{object_id}?{req.query_string}", leaf.entries)
        resp.data = _envelope(b"objects", [entry.body for entry in leaf.entries], leaf)


def _visible(visit: Visit, audience: AudienceRow, stix_id: str) -> bool:
    """Whether the audience may know that `stix_id` exists, whatever else was asked."""
    query = pages.Query(now=visit.now, ids=frozenset({stix_id}), limit=1)
    return bool(pages.page(visit.tx, audience.key, query, bodies=False).entries)


class Manifest(Room):
    """`GET /api/collections/{id or alias}/manifest/` (section 5.3)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A page of manifest entries; an object without a version of its own has its date added (RULES R14)."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            leaf = _page(visit, audience, ask(req.params), bodies=False)
        _head(resp, leaf.entries)
        offered(visit, audience, f"manifest?{req.query_string}", leaf.entries)
        resp.data = _envelope(b"objects", [_described(entry) for entry in leaf.entries], leaf)


def _described(entry: Entry) -> bytes:
    added = timestamp(entry.added)
    return orjson.dumps(
        {
            "id": entry.stix_id,
            "date_added": added,
            "version": f"{entry.version}Z" if entry.version else added,
            "media_type": media.STIX,
        }
    )
