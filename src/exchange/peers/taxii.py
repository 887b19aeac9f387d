"""A partner's TAXII server: taxii2-client's resources over a session of ours, and a drain loop of our own.

taxii2-client's `as_pages` never ends on a server that says `more` without `next` (oasis-open/cti-taxii-client#49,
#101), so pages are asked for one by one. TAXII 2.0 is read, not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from exchange.errors import PeerProtocol, PeerRefused
from exchange.model.envelope import Cursor, Entry, Outgoing, Page, Receipt
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.peers import inventory
from exchange.peers.access import Access
from exchange.peers.collection import Reader, max_content_length, open_collection, open_status
from exchange.peers.connection import Connection
from exchange.peers.drain import Drain
from exchange.peers.handover import Handover
from exchange.peers.probe import probe
from exchange.peers.roots import Roots, version_of
from exchange.peers.taxii20 import Connection20, Reader20

_Made = TypeVar("_Made")
Work = Callable[[Connection, str], Iterator[_Made]]
"""What is done with a connection and the URL of an API root."""


class TaxiiClient:
    """Pull from and push to the collections of one peer (contract: `exchange.model.envelope.PeerClient`)."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._roots = Roots(access)

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Every page that is new since `cursor`; the query stays the same during a drain (pains 28, 56)."""

        def drained(connection: Connection, root: str) -> Iterator[Page]:
            return Drain(reader_of(connection, root, source.collection), source, cursor, connection.session).pages()

        return self._at_root(source, drained)

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Envelopes by count and bytes; what the peer says of each object, also when it only refuses the whole."""

        def handed_over(connection: Connection, root: str) -> Iterator[Receipt]:
            session = connection.session
            collection = open_collection(connection, root, target.collection)
            if not collection.can_write:
                raise PeerRefused("peer.read_only", collection=target.collection, **session.blame)
            gone = [sent for sent in objects if sent.gone]
            largest = max_content_length(connection, root) if len(gone) < len(objects) else 0
            handover = Handover(collection, session, largest, partial(open_status, connection, root))
            yield from handover.removed(gone)
            yield from handover.receipts([sent for sent in objects if not sent.gone])

        return list(self._at_root(target, handed_over)) if objects else []

    def probe(self, flow: Source | Target, now: datetime) -> Profile:
        """How it behaves; see `peers.probe`."""
        return probe(self._access, flow, now=now)

    def index(self, flow: Source | Target) -> Iterator[Sequence[Entry]]:
        """The manifest of a collection; a target's that we may not read is empty."""

        def listed(connection: Connection, root: str) -> Iterator[Sequence[Entry]]:
            if isinstance(flow, Target) and not open_collection(connection, root, flow.collection).can_read:
                return
            yield from inventory.index(reader_of(connection, root, flow.collection), connection.session)

        return self._at_root(flow, listed)

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """These objects, by `match[id]`."""

        def fetched(connection: Connection, root: str) -> Iterator[Page]:
            return inventory.fetch(reader_of(connection, root, source.collection), source.peer, ids)

        return self._at_root(source, fetched)

    def _at_root(self, flow: Source | Target, work: Work[_Made]) -> Iterator[_Made]:
        """`work` at the API root that is configured; where the collection is not there, at the one found instead."""
        begun = False
        try:
            for made in self._once(flow, self._roots.of(flow), work):
                begun = True
                yield made
        except PeerProtocol as error:
            if begun or error.code != "peer.no_collection":
                raise
            root = self._roots.find(flow, error)
        else:
            return
        yield from self._once(flow, root, work)

    def _once(self, flow: Source | Target, root: str, work: Work[_Made]) -> Iterator[_Made]:
        with self._access.session(root) as session:
            connection = Connection20(session) if version_of(flow) == "2.0" else Connection(session)
            yield from work(connection, root)


def reader_of(connection: Connection, root: str, collection: str) -> Reader:
    """The collection in the version that the connection speaks."""
    kind = Reader20 if connection.version == "2.0" else Reader
    return kind(connection, root, collection)
