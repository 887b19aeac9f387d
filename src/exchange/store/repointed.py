"""Under which uuid an audience has what was altered for it, for what refers to it in the same event."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, literal_column, select

from exchange.store.derived import any_made
from exchange.store.prepared import Query
from exchange.store.tables import derived, listing, statement
from exchange.store.views import ALSO_MINE, SHOWN
from exchange.store.work import NODE

_s = statement.c


def moved(tx: Connection, number: int, now: int, events: Iterable[int]) -> dict[str, str]:
    """uuid of an original → the one under which the audience `number` has it in these events at `now`."""
    if not any_made(tx):
        return {}
    found = (row for each in events for row in _MOVED.run(tx, number=number, now=now, event=each))
    return {original.partition("--")[2].lower(): minted.partition("--")[2].lower() for original, minted in found}


_MOVED = Query(
    select(derived.c.stix_id, _s.stix_id)
    .select_from(statement.join(derived, derived.c.seq == _s.seq).join(listing, listing.c.seq == _s.seq))
    .where(_s.event == bindparam("event"), _s.peer == literal_column(f"'{NODE}'"), ALSO_MINE, SHOWN)
)
