"""A partner's TAXII 2.1 server: taxii2-client's resources over a session of ours, and a drain loop of our own.

taxii2-client has no timeout, hides the headers that a subscriber needs, refuses every slip in a media type, and its
`as_pages` never ends on a server that says `more` without `next` (oasis-open/cti-taxii-client#49, #101). It takes
any connection, so it gets ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from taxii2client.v21 import ApiRoot, Collection

from exchange.errors import ContentError, PeerProtocol, PeerRefused
from exchange.model.envelope import Cursor, Envelope, Outgoing, Page, Receipt, open_envelope
from exchange.model.party import Source, Target
from exchange.peers.drain import Drain, Query, Reply
from exchange.peers.handover import Handover
from exchange.peers.session import Access, Answer, Session

MEDIA_TYPE = "application/taxii+json;version=2.1"
_EMPTY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_ASK_AGAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LARGEST_ENVELOPE = 10_000_000
"""For an API root that does not say `max_content_length`."""


class Connection:
    """What taxii2-client calls a connection (its `_HTTPConnection`): `get`, `post`, `delete` and `close`.

    Objects and manifests come back as an `Answer`, so that bytes and headers survive; other resources as JSON.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.again = True
        """Whether a failed GET may be repeated: not with `next`, which some servers consume."""

    def get(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None) -> Any:
        """A resource as JSON, or the `Answer` itself for what is paged."""
        paged = url.endswith(("/objects/", "/manifest/"))
        answer = self.session.request(
            "GET",
            url,
            params=params,
            headers=_headers(headers),
            again=self.again,
            expect=_EMPTY | _ASK_AGAIN if url.endswith("/objects/") else (),
        )
        return answer if paged else self.document(answer)

    def post(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None, data: bytes = b"") -> Any:
        """The status resource that answers an envelope, made consistent: taxii2-client refuses it otherwise."""
        return self.document(self.session.post(url, data, params=params, headers=_headers(headers)))

    def close(self) -> None:
        """Give the connections back."""
        self.session.close()

    def document(self, answer: Answer) -> Any:
        """The JSON object in `answer`, whatever its media type says."""
        try:
            found = orjson.loads(answer.body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise self._malformed(answer, str(error)) from None
        if not isinstance(found, dict):
            raise self._malformed(answer, type(found).__name__)
        if answer.url.rstrip("/").endswith("/objects") or answer.url.rstrip("/").split("/")[-2] == "status":
            return _consistent_status(found)
        return found

    def _malformed(self, answer: Answer, detail: str) -> PeerProtocol:
        return PeerProtocol("peer.malformed", url=answer.url, detail=detail[:200], **self.session.blame)


class TaxiiClient:
    """Pull from and push to the collections of one peer (contract: `exchange.model.envelope.PeerClient`)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Every page that is new since `cursor`; the query stays the same during a drain (pains 28, 56)."""
        with self._access.session(source.url) as session:
            reader = _Reader(Connection(session), source)
            yield from Drain(reader, source, cursor, session).pages()

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Envelopes by count and bytes; what the peer says of each object, also when it only refuses the whole."""
        if not objects:
            return []
        with self._access.session(target.url) as session:
            connection = Connection(session)
            collection = _open(connection, target.url, target.collection)
            if not collection.can_write:
                raise PeerRefused("peer.read_only", collection=target.collection, **session.blame)
            largest = _max_content_length(connection, target.url)
            return Handover(collection, session, largest).receipts(objects)


class _Reader:
    """One collection as the drain loop asks it: a query in, an envelope with its dates out."""

    def __init__(self, connection: Connection, source: Source) -> None:
        self._connection, self._source = connection, source
        self._session = connection.session
        url = _collection_url(source.url, source.collection)
        self._collection = Collection(url, conn=connection, collection_info=_assumed(source.collection))

    def objects(self, query: Query) -> Reply | None:
        """The page that `query` names; None when the server does not take the query as it is (400, 404, 410)."""
        self._connection.again = not query.next
        try:
            answer: Answer = self._collection.get_objects(**query.parameters())
        finally:
            self._connection.again = True
        if answer.status == HTTPStatus.NOT_FOUND and not query.next:
            self._exists()
        elif answer.status in _ASK_AGAIN:
            return None
        return self._reply(answer)

    def manifest(self, query: Query) -> Mapping[str, str]:
        """Id → `date_added` for the objects that `query` names; empty when the server has no manifest to give."""
        try:
            answer: Answer = self._collection.get_manifest(**query.parameters())
            entries = self._connection.document(answer).get("objects") or []
        except PeerProtocol:  # a crutch for servers without dates: one that is missing is no fault of the collection
            return {}
        return {str(e.get("id")): str(e.get("date_added")) for e in entries if isinstance(e, dict)}

    def _exists(self) -> None:
        """An empty collection is 404 at some servers; a collection that is not there is a fault."""
        _open(self._connection, self._source.url, self._source.collection)

    def _reply(self, answer: Answer) -> Reply:
        if answer.status >= HTTPStatus.BAD_REQUEST or not answer.body.strip():
            envelope = Envelope(objects=(), more=False, next="")
        else:
            try:
                envelope = open_envelope(answer.body)
            except ContentError as error:
                detail = str(error.fields.get("detail", ""))
                blame = self._session.blame
                raise PeerProtocol("peer.malformed", url=answer.url, detail=detail, **blame) from None
        return Reply(
            envelope=envelope,
            last=answer.headers.get("X-TAXII-Date-Added-Last", ""),
            date=answer.headers.get("Date", ""),
        )


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"Accept": MEDIA_TYPE, **(headers or {})}


def _collection_url(root: str, collection: str) -> str:
    return f"{root.rstrip('/')}/collections/{collection}/"


def _assumed(collection: str) -> dict[str, Any]:
    """A poll does not ask for the collection resource first: some peers count requests (pains 55)."""
    return {"id": collection, "title": collection, "can_read": True, "can_write": True}


def _open(connection: Connection, root: str, name: str) -> Any:
    """The collection as the peer describes it; what it forgets to say is taken for granted."""
    url = _collection_url(root, name)
    try:
        said = connection.get(url)
    except PeerProtocol as error:
        if error.code != "peer.not_found":
            raise
        blame = connection.session.blame
        raise PeerProtocol("peer.no_collection", url=url, collection=name, **blame) from None
    told = {right: said[right] for right in ("can_read", "can_write") if isinstance(said.get(right), bool)}
    return Collection(url, conn=connection, collection_info=_assumed(name) | told)


def _max_content_length(connection: Connection, url: str) -> int:
    """The API root's limit in bytes; ApiRoot itself refuses one without title (seen at OpenCTI)."""
    try:
        said = connection.get(ApiRoot(url, conn=connection).url).get("max_content_length")
        return max(1, int(said))
    except (TypeError, ValueError):
        return _LARGEST_ENVELOPE
    except PeerProtocol:  # no API root resource: the collection answered, so go on
        return _LARGEST_ENVELOPE


def _consistent_status(said: dict[str, Any]) -> dict[str, Any]:
    """A status resource (TAXII 2.1 section 4.3.1) whose counts are there and agree with its lists."""
    counts = {}
    for name, listed in (("success", "successes"), ("failure", "failures"), ("pending", "pendings")):
        found = [d for d in said.get(listed) or [] if isinstance(d, dict)]
        claimed = said.get(f"{name}_count")
        claimed = claimed if isinstance(claimed, int) and claimed >= 0 else len(found)
        counts[f"{name}_count"] = max(claimed, len(found))
        said[listed] = found if len(found) == counts[f"{name}_count"] else []
        said[f"known_{listed}"] = found
    state = said.get("status") or ("pending" if counts["pending_count"] else "complete")
    return said | counts | {"id": said.get("id") or "-", "status": state, "total_count": sum(counts.values())}
