"""The read ledger (RULES R27): who was offered what, written before the last byte leaves."""

from __future__ import annotations

from exchange.serve.door import Visit
from exchange.store.audiences import AudienceRow

_LONGEST = 1_000


def record(visit: Visit, audience: AudienceRow, query: str, first: int, last: int, count: int) -> None:
    """Write the row. With the audience, `first` and `last` it names every version later: rows are only closed.

    Raises StoreBusy or StoreError when the ledger cannot be written: then the page does not leave. The visit's snapshot
    must be closed, for an in-memory store has one connection.
    """
    visit.ledger.write(
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
        }
    )
