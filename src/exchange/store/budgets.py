"""How many requests a peer may be asked: a bucket that fills at its rate, shared by every daemon of the store.

Kept as one number, the moment at which the bucket would be full again (the generic cell rate algorithm).
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from exchange.store.tables import budget

_MINUTE = 60_000_000
_BURST = 10
"""Seconds' worth of requests that may be made at once."""


def spend(tx: Connection, peer: str, per_minute: int, now: int) -> int:
    """Take one request out of the bucket of `peer`; µs to wait before it is made.

    Whoever would have to wait longer than a minute is told so and takes nothing: who waits keeps others from working.
    """
    each = _MINUTE // per_minute
    room = max(each, _BURST * 1_000_000)
    known = tx.execute(select(budget.c.full).where(budget.c.peer == peer)).scalar()
    # After a step back of the clock the moment may lie far ahead; further than this nobody has ever put it.
    full = min(max(known or 0, now), now + room + _MINUTE) + each
    wait = max(0, full - now - room)
    if wait > _MINUTE:
        return wait
    if known is None:
        tx.execute(insert(budget).values(peer=peer, full=full))
    else:
        tx.execute(update(budget).where(budget.c.peer == peer).values(full=full))
    return wait
