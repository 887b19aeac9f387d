"""A subscriber's POST (TAXII 2.1 section 5.5): in by `sync.accept`, like a pull."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import falcon
import msgspec

from exchange.errors import ContentError, RequestError, TooLarge, Unprocessable
from exchange.model.envelope import Page, cut, id_in, open_envelope, sift
from exchange.model.party import Collection
from exchange.policy.audience import collection_channel
from exchange.serve.door import Visit
from exchange.serve.roots import ROOT
from exchange.serve.site import Site
from exchange.serve.status import keep, settle, shown
from exchange.store import accounts, moment
from exchange.store.audiences import AudienceRow
from exchange.sync.accept import accept
from exchange.sync.intake import Outcome
from exchange.sync.recognition import recognise

_CHUNK = 64 * 1024
MOST = 50_000
"""Objects of one envelope: each costs a reason, and a row of its own, however small it is."""
_COUNTED = 4 * MOST
"""How far the objects of an envelope are counted: one of many commas is still taken all at once."""


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
    """The objects of an envelope or bundle, at most MOST; what is wrong inside one object is left for it to fail.

    Raises RequestError (400) for what is no JSON, Unprocessable (422) for JSON of another shape, or of too many.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        envelope = open_envelope(body, _COUNTED)
    except ContentError as error:
        raise _refusal(body, error) from None
    if not envelope.listed or body.lstrip()[:1] == b"[":
        raise Unprocessable("request.envelope")
    if len(envelope.objects) > MOST:
        raise Unprocessable("request.too_many_objects", limit=MOST)
    return envelope.objects


def _refusal(body: bytes, error: ContentError) -> RequestError:
    if "most" in error.fields:
        return Unprocessable("request.too_many_objects", limit=MOST)
    if error.code == "content.duplicate":
        return Unprocessable("request.duplicate_member", name=error.fields["name"])
    try:
        msgspec.json.decode(body, type=msgspec.Raw)  # reads all of it and makes nothing
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        return RequestError("request.json", detail=str(wrong)[:200])
    return Unprocessable("request.envelope")


class Poster:
    """Takes envelopes, and answers with their status resource."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def take(self, req: falcon.Request, visit: Visit, collection: Collection, audience: AudienceRow) -> bytes:
        """Store what `req` brings and give its status resource. Raises RequestError's kin and StoreBusy.

        Sent again after a lost answer it does no harm: what is known counts as a success.
        """
        raws = unpack(read(req, self.site.max_content_length))
        with self.site.store.reading() as tx:
            visit.renewed(tx).writing(collection)  # it may have been stopped while the body came in (RULES R31)
        source_key, channel = f"{visit.peer}/post:{collection.alias}", collection_channel(collection.id)
        known = recognise(self.site.store, raws, source_key, visit.peer, channel)
        # Who posts is told at once that these collections hold STIX 2.1 (TAXII 2.1 sections 5.2.1 and 5.5).
        objects, rejected = sift((raw for place, raw in enumerate(raws) if place not in known), stix20=False)
        outcomes = [
            Outcome(id=id_in(raws[place]), version=version, precision=precision, code="known")
            for place, (version, precision) in known.items()
        ]
        new = Page(objects=objects, rejected=rejected, last=True)
        listed: dict[tuple[str, str], int] = {}
        for page in cut(new) if objects or rejected else ():
            taken = accept(
                self.site.store,
                visit.rules,
                page,
                source_key,
                visit.peer,
                moment(visit.now),
                posted=channel,
            )
            outcomes += taken.outcomes
            listed.update(taken.listed)
        with self.site.store.reading() as tx:
            reader = visit.sees(tx, collection)
        if reader is None:
            # When and whether it was listed would tell what others have there (RULES R14): `settle` judges by its own.
            listed = {}
        kept = keep(outcomes, listed, rejected, collection=collection.id, source=source_key, at=visit.now)
        settle(kept, visit, audience)
        id_ = str(uuid.uuid4())
        with self.site.store.writing() as tx:
            accounts.keep_status(tx, id_, visit.account, ROOT, kept, visit.now)
        return shown(id_, kept, visit.language)
