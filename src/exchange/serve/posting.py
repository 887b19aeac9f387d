"""A subscriber's POST (TAXII 2.1 section 5.5) and its status (section 4.3): in by `sync.accept`, like a pull.

What the poster is told depends on what it gave, on the terms, and on what it may see, never on what others gave that
it may not see (RULES R14, R21).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import falcon
import orjson

from exchange import i18n
from exchange.errors import ContentError, NotFound, RequestError, TooLarge, Unprocessable
from exchange.i18n import Language
from exchange.model.envelope import Page, cut, open_envelope, sift
from exchange.model.party import Collection
from exchange.policy import Audience, Rules, Verdict
from exchange.policy.audience import collection_channel
from exchange.serve.answers import resource
from exchange.serve.door import Door, Visit
from exchange.serve.question import timestamp
from exchange.serve.roots import ROOT, Room
from exchange.serve.site import Site
from exchange.store import accounts, listings, moment, statements
from exchange.store.audiences import AudienceRow
from exchange.sync.accept import Outcome, accept
from exchange.sync.subjects import judged

_CHUNK = 64 * 1024
REVIEW = timedelta(hours=24)
"""How long something held may stay pending before it counts as a failure (RULES R21)."""
_STATES = ("success", "failure", "pending")
_LISTS = {"success": "successes", "failure": "failures", "pending": "pendings"}


Fate = dict[str, Any]
"""What became of one object of a POST, as its poster is told, kept as JSON with the status: `id`, `version`, `state`,
`reason`, `fields`, and `shown`, the version in TAXII form (for an object without one its date added, RULES R14)."""


def read(req: falcon.Request, most: int) -> bytes:
    """The body, read piece by piece. Raises TooLarge (413) before more than `most` bytes are taken."""
    length = req.content_length
    if length is not None and length > most:
        raise TooLarge("request.too_large", limit=most)
    # A chunked body has no length; its server marks where it ends. Otherwise no length means no body.
    stream = req.stream if length is None and req.env.get("wsgi.input_terminated") else req.bounded_stream
    pieces, size = [], 0
    while piece := stream.read(_CHUNK):
        size += len(piece)
        if size > most:
            raise TooLarge("request.too_large", limit=most)
        pieces.append(piece)
    return b"".join(pieces)


def unpack(body: bytes) -> Sequence[bytes]:
    """The objects of an envelope or bundle. Raises RequestError (400) for no JSON, Unprocessable (422) for another."""
    try:
        raws = open_envelope(body).objects
    except ContentError as error:
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as wrong:
            raise RequestError("request.json", detail=str(wrong)[:200]) from None
        raise Unprocessable("request.envelope", detail=str(error.fields.get("detail", ""))) from None
    if not raws or body.lstrip()[:1] == b"[":
        shape = orjson.loads(body)
        if not isinstance(shape, dict) or not isinstance(shape.get("objects"), list):
            raise Unprocessable("request.envelope", detail="")
    return raws


class Poster:
    """Takes envelopes and keeps their status."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def take(
        self, req: falcon.Request, visit: Visit, collection: Collection, audience: AudienceRow
    ) -> Mapping[str, Any]:
        """Store what `req` brings and give its status resource. Raises RequestError's kin and StoreBusy.

        Sent again after a lost answer it does no harm: what is known counts as a success.
        """
        objects, rejected = sift(unpack(read(req, self.site.max_content_length)))
        channel = collection_channel(collection.id)
        source_key = f"{visit.peer}/post:{collection.alias}"
        outcomes: list[Outcome] = []
        for page in cut(Page(objects=objects, rejected=rejected, last=True)):
            now = moment(visit.now)
            taken = accept(self.site.store, visit.rules, page, source_key, visit.peer, now, posted=channel)
            outcomes += taken.outcomes
        kept = {
            "collection": collection.id,
            "source": source_key,
            "at": visit.now,
            "fates": [_first(outcome) for outcome in outcomes],
        }
        id_ = str(uuid.uuid4())
        self.settle(kept, visit, audience.key)
        with self.site.store.writing() as tx:
            accounts.keep_status(tx, id_, visit.account, ROOT, kept, visit.now)
        return _status(id_, kept, visit.language)

    def settle(self, kept: Mapping[str, Any], visit: Visit, audience: str) -> None:
        """Say of each object that was taken whether it stands, waits, or is refused."""
        open_ = [fate for fate in kept["fates"] if fate["state"] == "pending"]
        found = next((a for a in visit.rules.audiences if a.key == audience), None)
        if open_:
            ids = {fate["id"] for fate in open_}
            with self.site.store.reading() as tx:
                standing = {
                    (row.stix_id, row.version): row.added
                    for row in listings.standing(tx, ids)
                    if row.audience == audience and row.not_after > visit.now
                }
                groups = statements.held(tx, ids)
            for fate in open_:
                own = [held for held in groups.get(fate["id"], ()) if held.source == kept["source"]]
                fate.update(_fate(fate, standing, own, visit.rules, found, visit.now))
        for fate in kept["fates"]:
            if fate["state"] == "pending" and visit.now - kept["at"] > REVIEW // timedelta(microseconds=1):
                fate.update(state="failure", reason="request.review_lapsed")
            if not fate["shown"]:
                fate["shown"] = f"{fate['version']}Z" if fate["version"] else timestamp(kept["at"])

    def status(self, visit: Visit, id_: str) -> Mapping[str, Any]:
        """The status resource as it stands now, for its owner only. Raises NotFound."""
        kept = accounts.status_of(visit.tx, id_, visit.account)
        if kept is None:
            raise NotFound("request.no_status")
        return kept


def _first(outcome: Outcome) -> Fate:
    """What the intake says already; the rest is `pending` until its listing has been looked at."""
    # Equal content under a new version is recorded and not listed again (RULES R9).
    known = "success" if outcome.code == "touch" else "pending"
    return {
        "id": outcome.id,
        "version": outcome.version,
        "state": known if outcome.success else "failure",
        "reason": outcome.reason,
        "fields": dict(outcome.fields),
        "shown": "",
    }


def _fate(
    fate: Mapping[str, Any],
    standing: Mapping[tuple[str, str], int],
    own: Sequence[statements.Held],
    rules: Rules,
    audience: Audience | None,
    now: int,
) -> Fate:
    added = standing.get((fate["id"], fate["version"]))
    if added is not None:
        return {"state": "success", "shown": "" if fate["version"] else timestamp(added)}
    # Judged by the poster's own statements alone: what others gave must not show in the answer.
    mine = [item for item in judged(rules, own, moment(now)) if item.held.version == fate["version"]] if own else []
    if not mine or audience is None:
        return {"state": "pending", "reason": "request.waiting"}
    decision = mine[0].decide(rules, audience)
    state = {Verdict.RELEASE: "success", Verdict.HOLD: "pending", Verdict.DENY: "failure"}[decision.verdict]
    return {"state": state, "reason": "" if decision.released else decision.reasons[0]}


def _status(id_: str, kept: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """The status resource (section 4.3.1): counts that add up, no empty lists, a reason for all that is no success."""
    told: dict[str, list[dict[str, str]]] = {state: [] for state in _STATES}
    for fate in kept["fates"]:
        entry = {"id": fate["id"], "version": fate["shown"]}
        if fate["reason"]:
            entry["message"] = f"{i18n.text(fate['reason'], language, **fate['fields'])} [{fate['reason']}]"
        told[fate["state"]].append(entry)
    body: dict[str, Any] = {
        "id": id_,
        "status": "pending" if told["pending"] else "complete",
        "request_timestamp": timestamp(kept["at"]),
        "total_count": len(kept["fates"]),
    }
    for state in _STATES:
        body[f"{state}_count"] = len(told[state])
        if told[state]:
            body[_LISTS[state]] = told[state]
    return body


class Status(Room):
    """`GET /api/status/{id}/` (section 4.3), for its owner; anyone else gets 404."""

    def __init__(self, door: Door, poster: Poster) -> None:
        super().__init__(door)
        self.poster = poster

    def on_get(self, req: falcon.Request, resp: falcon.Response, status_id: str) -> None:
        """The status resource, with what has been decided since."""
        with self.door.visit(req) as visit:
            kept = self.poster.status(visit, status_id)
            audience = visit.standing.audience(visit.tx, visit.peer, collection_channel(kept["collection"]))
        self.poster.settle(kept, visit, audience.key if audience else "")
        resource(resp, _status(status_id, kept, visit.language))
