"""Objects (TAXII 2.1 sections 5.4 to 5.7): read by one index scan that joins stored bytes, written, withdrawn.

Everything was decided when it was written; a GET looks only at the audience row and the clock (RULES R19).
"""

from __future__ import annotations

import falcon

from exchange.errors import Forbidden, NotFound, UnsupportedMedia
from exchange.serve import media
from exchange.serve.answers import resource
from exchange.serve.door import Door, Visit
from exchange.serve.posting import Poster
from exchange.serve.question import EVERY, MOST_BYTES, ONE, REMOVAL, Question, ask, is_id
from exchange.serve.roots import Room
from exchange.serve.sheet import Desk, Sheet
from exchange.store import moment, pages
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Query
from exchange.sync.withdrawal import withdraw


def _page(visit: Visit, audience: AudienceRow, question: Question, stix_id: str = "") -> Sheet:
    """Objects with their bytes, exactly as they were accepted."""
    if question.nothing:
        return Sheet(name="objects", kind="objects", items=(), count=0, first=0, last=0, told=(), more=False)
    query = question.query(visit.now, stix_id)
    leaf = pages.page(visit.tx, audience.number, query, most=MOST_BYTES, known=visit.standing.blocks)
    return Sheet(
        name="objects",
        kind="objects",
        items=leaf.pieces,
        count=leaf.count,
        first=leaf.first,
        last=leaf.last,
        told=leaf.told,
        more=leaf.more,
        dialect=visit.rules.terms.peers[visit.peer].dialect,
    )


def require(visit: Visit, audience: AudienceRow, stix_id: str) -> None:
    """Raises NotFound unless the audience may know that `stix_id` exists, whatever else was asked."""
    query = Query(now=visit.now, ids=frozenset({stix_id}), versions=EVERY, limit=1)
    if not is_id(stix_id) or not pages.index(visit.tx, audience.number, query).entries:
        raise NotFound("request.no_object")


class Reader(Room):
    """A resource of which sheets are handed out."""

    def __init__(self, door: Door, desk: Desk) -> None:
        super().__init__(door)
        self.desk = desk


class Objects(Reader):
    """`GET` and `POST /api/collections/{id or alias}/objects/` (sections 5.4 and 5.5)."""

    def __init__(self, door: Door, desk: Desk, poster: Poster) -> None:
        super().__init__(door, desk)
        self.poster = poster

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A page of objects; `{}` when there is none."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            sheet = _page(visit, audience, ask(req.params))
        self.desk.hand_out(req, resp, visit, audience, sheet, f"objects?{req.query_string}")

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Take an envelope; the answer is its status resource. Raises what the door and the poster raise."""
        with self.door.visit(req) as visit:
            collection = visit.collection(name)
            audience = visit.audience(collection)
            visit.writing(collection)
        if not media.is_taxii(req.content_type or ""):
            raise UnsupportedMedia("request.media_type", accepted=media.TAXII)
        if not media.is_plain(req.get_header("Content-Encoding", default="")):
            raise UnsupportedMedia("request.content_coding")
        resource(resp, self.poster.take(req, visit, collection, audience), status=202)


class OneObject(Reader):
    """`GET` and `DELETE /api/collections/{id or alias}/objects/{object-id}/` (sections 5.6 and 5.7)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, object_id: str) -> None:
        """The object, folded or not. NotFound when it is not visible; `{}` when only the filter leaves nothing."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            question = ask(req.params, ONE)
            if not is_id(object_id):
                raise NotFound("request.no_object")
            sheet = _page(visit, audience, question, object_id)
            if not sheet.count:
                require(visit, audience, object_id)
        self.desk.hand_out(req, resp, visit, audience, sheet, f"objects/{object_id}?{req.query_string}")

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str, object_id: str) -> None:
        """Withdraw this account's own statements of the object (RULES R22): all versions, unless some are named.

        NotFound when nothing of that is visible to it, Forbidden when all that is visible is others'.
        """
        with self.door.visit(req) as visit:
            collection = visit.collection(name)
            visit.writing(collection)
            # Whether something is there is told only to whom a GET would tell it now.
            audience = visit.reading(collection)
            question = ask(req.params, REMOVAL, otherwise=EVERY)
        if question.nothing or not is_id(object_id):
            raise NotFound("request.no_object")
        gone = withdraw(
            self.site.store,
            visit.rules,
            peer=visit.peer,
            audience=audience.key,
            stix_id=object_id,
            versions=question.versions,
            now=moment(visit.now),
        )
        if not gone.removed:
            raise Forbidden("request.not_yours") if gone.foreign else NotFound("request.no_object")
        resource(resp, {})
