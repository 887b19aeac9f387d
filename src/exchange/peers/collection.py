"""One collection at a TAXII 2.1 server, as the drain loop and the inventory ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from taxii2client import v21

from exchange.errors import ContentError, PeerProtocol, PeerRefused
from exchange.model.envelope import Entry, Envelope, open_envelope
from exchange.peers.connection import ASK_AGAIN, ERROR, Connection
from exchange.peers.drain import Query, Reply
from exchange.peers.session import Answer

_LARGEST_ENVELOPE = 10_000_000
"""For an API root that does not say `max_content_length`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of a manifest."""

    entries: Sequence[Entry]
    more: bool
    next: str


class Reader:
    """A query in, an envelope with its dates out; `url` is that of the API root."""

    resource: ClassVar[Any] = v21.Collection

    def __init__(self, connection: Connection, url: str, name: str) -> None:
        self._connection, self._url, self._name = connection, url, name
        self._session = connection.session
        place = collection_url(url, name)
        self._collection = self.resource(place, conn=connection, collection_info=_assumed(name))

    def objects(self, query: Query) -> Reply | None:
        """The page that `query` names; None when the server does not take the query as it is (400, 404, 410)."""
        answer = self._ask(self._collection.get_objects, query)
        if answer.status == HTTPStatus.NOT_FOUND and not query.next:
            self.check()
        elif answer.status in ASK_AGAIN:
            return None
        return self._reply(answer, self._envelope(answer), query)

    def manifest(self, query: Query) -> Mapping[str, str]:
        """Id → `date_added` for the objects that `query` names; empty when the server has no manifest to give."""
        try:
            found = self.listed(query)
        except PeerProtocol:  # a crutch for servers without dates: one that is missing is no fault of the collection
            return {}
        return {entry.id: entry.added for entry in found.entries} if found else {}

    def listed(self, query: Query) -> Listed | None:
        """A page of the manifest; None when the server does not take the query, or has none."""
        answer = self._ask(self._collection.get_manifest, query)
        if answer.status in ASK_AGAIN:
            return None
        if answer.status >= HTTPStatus.BAD_REQUEST or not answer.body.strip():
            return Listed(entries=(), more=False, next="")
        said = self._connection.document(answer)
        rows = said.get("objects")
        entries = [entry for row in rows if (entry := self._entry(row))] if isinstance(rows, list) else []
        return self._listing(answer, said, entries, query)

    def some(self, ids: Sequence[str]) -> Sequence[bytes]:
        """The objects of these ids, as many as the server gives in one answer; none of the others."""
        answer: Answer = self._collection.get_objects(id=list(ids))
        if answer.status in ASK_AGAIN - {HTTPStatus.NOT_FOUND}:
            raise PeerProtocol("peer.query_refused", collection=self._name, **self._session.blame)
        return self._envelope(answer).objects

    def check(self) -> None:
        """Raises unless the collection is there: an empty one is 404 at some servers."""
        open_collection(self._connection, self._url, self._name)

    def _ask(self, resource: Any, query: Query) -> Answer:
        self._connection.again = not query.next
        try:
            answer: Answer = resource(**self._parameters(query))
        finally:
            self._connection.again = True
        return answer

    def _parameters(self, query: Query) -> dict[str, Any]:
        return query.parameters()

    def _reply(self, answer: Answer, envelope: Envelope, query: Query) -> Reply:  # noqa: ARG002
        return Reply(
            envelope=envelope,
            first=answer.headers.get("X-TAXII-Date-Added-First", ""),
            last=answer.headers.get("X-TAXII-Date-Added-Last", ""),
            date=answer.headers.get("Date", ""),
        )

    def _listing(self, answer: Answer, said: Mapping[str, Any], entries: list[Entry], query: Query) -> Listed:  # noqa: ARG002
        following = said.get("next")
        return Listed(entries=entries, more=bool(said.get("more")), next="" if following is None else str(following))

    def _entry(self, row: Any) -> Entry | None:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            return None
        return Entry(id=row["id"], version=str(row.get("version") or ""), added=str(row.get("date_added") or ""))

    def _envelope(self, answer: Answer) -> Envelope:
        if answer.status >= HTTPStatus.BAD_REQUEST or not answer.body.strip():
            return Envelope(objects=(), more=False, next="")
        try:
            envelope = open_envelope(answer.body)
        except ContentError as error:
            raise self._connection.malformed(answer, str(error.fields.get("detail", ""))) from None
        if not envelope.listed and ERROR & self._connection.document(answer).keys():
            raise self._connection.malformed(answer, self._session.detail(answer))  # an error that says 200
        return envelope


def collection_url(root: str, name: str) -> str:
    """Where a collection is below its API root."""
    return f"{root.rstrip('/')}/collections/{name}/"


def open_collection(connection: Connection, root: str, name: str) -> Any:
    """The collection as the peer describes it; what it forgets to say is taken for granted."""
    url = collection_url(root, name)
    try:
        said = connection.get(url)
    except PeerProtocol as error:
        if error.code == "peer.not_found":
            blame = connection.session.blame
            raise PeerProtocol("peer.no_collection", url=url, collection=name, **blame) from None
        if error.code != "peer.malformed":
            raise
        said = {}
    told = {right: said[right] for right in ("can_read", "can_write") if isinstance(said.get(right), bool)}
    return v21.Collection(url, conn=connection, collection_info=_assumed(name) | told)


def open_status(connection: Connection, root: str, name: str) -> Any:
    """The status resource `name` (TAXII 2.1 section 4.3), as it is now; `name` has to be fit for a URL."""
    return v21.Status(f"{root.rstrip('/')}/status/{name}/", conn=connection)


def max_content_length(connection: Connection, url: str) -> int:
    """The API root's limit in bytes; ApiRoot itself refuses one without title (seen at OpenCTI)."""
    try:
        said = connection.get(v21.ApiRoot(url, conn=connection).url).get("max_content_length")
        return int(said) if int(said) > 0 else _LARGEST_ENVELOPE
    except (TypeError, ValueError, OverflowError):
        return _LARGEST_ENVELOPE
    except (PeerProtocol, PeerRefused):  # no API root resource: the collection answered, so go on
        return _LARGEST_ENVELOPE


def batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _assumed(name: str) -> dict[str, Any]:
    """A poll does not ask for the collection resource first: some peers count requests (pains 55)."""
    return {"id": name, "title": name, "can_read": True, "can_write": True}
