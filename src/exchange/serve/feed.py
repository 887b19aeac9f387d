"""A MISP feed of each collection (reference misp.md section 3): `manifest.json`, `UUID.json` and `hashes.csv`.

It is put together from the same listing as the TAXII pages of the same audience, grouped by the visible source (RULES
R15), and every date in it comes from this audience's listing or from the creator (R14, R26).
"""

from __future__ import annotations

import re

import falcon

from exchange.errors import NotFound
from exchange.model.party import Collection
from exchange.policy import Audience
from exchange.serve import tags
from exchange.serve.answers import Unavailable
from exchange.serve.assembly import Assembled, Feed, assemble
from exchange.serve.door import Door, Visit
from exchange.serve.reading import record
from exchange.serve.roots import Room
from exchange.serve.shelf import Shelf
from exchange.store import audiences, views
from exchange.store.audiences import AudienceRow

NODE_SECRET = "node_secret"  # noqa: S105 (the name under which it is kept, not the secret)
_EVENT = re.compile(r"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$")


class Feeds(Room):
    """`GET /feeds/{id or alias}/{file}`: the same accounts, audiences and brakes as over TAXII."""

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self.shelf = Shelf[tuple[str, ...], Feed]()

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, file: str) -> None:
        """One file of the feed. Raises NotFound, and what the door raises."""
        with self.door.visit(req, taxii=False) as visit:
            collection = visit.collection(name)
            audience = visit.reading(collection)
            feed = self._feed(visit, collection, audience)
        if file == "manifest.json":
            self._manifest(req, resp, feed)
        elif file == "hashes.csv":
            self._hand_out(req, resp, visit, audience, feed.hashes, file)
            resp.content_type = "text/csv; charset=utf-8"
        else:
            found = _EVENT.match(file)
            event = feed.events.get(found[1]) if found else None
            if event is None:
                raise NotFound("request.no_event")
            self._hand_out(req, resp, visit, audience, event, file)

    def _manifest(self, req: falcon.Request, resp: falcon.Response, feed: Feed) -> None:
        """It holds no object, so the ledger gets no row (RULES R27)."""
        resp.set_header("ETag", feed.etag)
        if tags.names(req.get_header("If-None-Match"), feed.etag):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = "application/json"
        resp.data = feed.manifest

    def _hand_out(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        visit: Visit,
        audience: AudienceRow,
        part: Assembled,
        file: str,
    ) -> None:
        if part.count and req.method != "HEAD":
            record(visit, audience, f"feed/{file}", part.first, part.last, part.count)
        resp.content_type = "application/json"
        resp.data = part.body

    def _feed(self, visit: Visit, collection: Collection, row: AudienceRow) -> Feed:
        """The feed as it stands in this snapshot, from the shelf when nothing has changed for this audience."""
        audience = next((a for a in visit.rules.audiences if a.key == row.key), None)
        secret = audiences.note(visit.tx, NODE_SECRET)
        if audience is None or not secret:
            raise Unavailable("request.not_ready")
        state = (row.key, visit.rules.epoch, *map(str, views.mark(visit.tx, row.number, visit.now)))
        return self.shelf.get(row.key, state, lambda: self._made(visit, collection, audience, row.number, secret))

    def _made(self, visit: Visit, collection: Collection, audience: Audience, number: int, secret: str) -> Feed:
        return assemble(
            views.shown(visit.tx, number, visit.now),
            views.last_closed(visit.tx, number, visit.now),
            collection=collection,
            audience=audience.key,
            clearance=visit.rules.clearance(audience),
            node=(self.site.title, visit.rules.terms.node_identity),
            language=self.site.language,
            secret=bytes.fromhex(secret),
        )
