"""The read ledger (RULES R27): who was offered what, written before the last byte leaves."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.serve.door import Visit
from exchange.store import pages
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Entry

_LONGEST = 1_000


def offered(visit: Visit, audience: AudienceRow, query: str, entries: Sequence[Entry]) -> None:
    """One row for a page that holds something, none for an empty one."""
    if entries:
        record(visit, audience, query, entries[0].added, entries[-1].added, len(entries))


def record(visit: Visit, audience: AudienceRow, query: str, first: int, last: int, count: int) -> None:
    """Write the row. With the audience, `first` and `last` it names every version later: rows are only closed.

    Raises StoreBusy when the ledger cannot be written: then the page does not leave. The visit's snapshot must be
    closed, for an in-memory store has one connection.
    """
    with visit.site.store.noting() as tx:
        pages.note_read(
            tx,
            {
                "at": visit.now,
                "account": visit.account,
                "peer": visit.peer,
                "audience": audience.key,
                "channel": audience.channel,
                "query": query[:_LONGEST],
                "first": first,
                "last": last,
                "count": count,
            },
        )
