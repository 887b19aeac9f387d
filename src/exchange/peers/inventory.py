"""What a TAXII collection holds now, by its manifest, and chosen objects of it.

Whoever compares takes what the index leaves out for gone, so an index ends only where the server said that nothing
follows: a server that repeats itself, or gives no way to go on, raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from exchange.errors import PeerProtocol
from exchange.model.envelope import PAGE, Entry, Page, Rejected, Skipped, sift
from exchange.model.stix import StixObject
from exchange.peers.collection import Listed, Reader, batches
from exchange.peers.dates import MILLISECOND, moment_of, stamp
from exchange.peers.drain import Query
from exchange.peers.session import Session

_BATCH = 40
"""Ids in one request: a URL of two kilobytes."""
_MOST = 8_000
"""The largest `limit`, when one `date_added` fills a page."""
_REMEMBERED = 20_000


def index(reader: Reader, session: Session) -> Iterator[Sequence[Entry]]:
    """Every entry of the manifest once; raises PeerProtocol `peer.no_index` when it cannot be read to its end."""
    query: Query | None = Query()
    seen: dict[tuple[str, str], None] = {}
    mark: datetime | None = None
    while query is not None:
        found = reader.listed(query)
        if found is None and query.next and mark is not None:
            query = Query(added_after=stamp(mark - MILLISECOND), limit=query.limit)  # an expired `next`
            continue
        if found is None:
            if query == Query() and _is_empty(reader):
                return
            raise _incomplete(session, query)
        fresh = [entry for entry in found.entries if (entry.id, entry.version + entry.added) not in seen]
        seen.update(((entry.id, entry.version + entry.added), None) for entry in fresh)
        while len(seen) > max(_REMEMBERED, 2 * len(found.entries)):
            del seen[next(iter(seen))]
        yield from (fresh[start : start + PAGE] for start in range(0, len(fresh), PAGE))
        mark = max(filter(None, (moment_of(entry.added) for entry in found.entries)), default=mark)
        query = _next(query, found, mark, session, fresh=bool(fresh))


def _next(query: Query, found: Listed, mark: datetime | None, session: Session, *, fresh: bool) -> Query | None:
    """The query for the following page; None: that was everything. Raises when there is no way to go on."""
    limit = query.limit or PAGE
    if not found.more and (len(found.entries) < limit or not fresh):
        return None
    if found.next and fresh:
        return Query(added_after=query.added_after, next=found.next, limit=query.limit)
    if found.next or mark is None:
        raise _incomplete(session, query)
    after = stamp(mark - MILLISECOND)  # entries may share a date
    if after != query.added_after and fresh:
        return Query(added_after=after, limit=query.limit)
    if 2 * limit > _MOST:
        raise _incomplete(session, query)
    return Query(added_after=after, limit=2 * limit)


def _is_empty(reader: Reader) -> bool:
    """A manifest that is not there is that of an empty collection at some servers; raises when there is none."""
    reply = reader.objects(Query(limit=1))
    return reply is not None and not reply.envelope.objects


def _incomplete(session: Session, query: Query) -> PeerProtocol:
    return PeerProtocol("peer.no_index", detail=(query.next or query.added_after)[:80], **session.blame)


def fetch(reader: Reader, peer: str, ids: Sequence[str]) -> Iterator[Page]:
    """These objects in their newest version, a page for each batch; what is not there is said."""
    wanted = list(dict.fromkeys(ids))
    for number, batch in enumerate(batches(wanted, _BATCH), start=1):
        objects, rejected, missing = _batch(reader, batch)
        skipped = [Skipped(id=identifier, code="peer.gone", fields={"peer": peer}) for identifier in missing]
        yield Page(objects=objects, rejected=rejected, skipped=skipped, last=number * _BATCH >= len(wanted))
    if not wanted:
        yield Page(last=True)


def _batch(reader: Reader, ids: Sequence[str]) -> tuple[list[StixObject], list[Rejected], list[str]]:
    """Ask until every id came or the server gives none of those that are left: a page may be shorter than we want."""
    left = dict.fromkeys(ids)
    objects: list[StixObject] = []
    rejected: list[Rejected] = []
    while left:
        good, bad = sift(reader.some(list(left)))
        came = [made for made in good if made.id in left]
        broken = [each for each in bad if each.id in left]
        if not came and not broken:
            break
        objects += came
        rejected += broken
        for identifier in {made.id for made in came} | {each.id for each in broken}:
            del left[identifier]
    return objects, rejected, list(left)
