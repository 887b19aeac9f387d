"""What is due is closed, what was seen again is listed again: a step at a time, so that nobody waits for it (R18).

Until it is done what is due is still served: it is old, and no secret.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from exchange.policy import Rules
from exchange.store import Store, ages
from exchange.store.clock import micros
from exchange.sync.accept import require
from exchange.sync.listing import Lister

log = structlog.get_logger()

STEP = 200
"""Ids decided in one transaction."""


def is_due(store: Store, rules: Rules, now: datetime) -> bool:
    """Whether there is something to do; without rules there never is."""
    if not rules.terms.expiry:
        return False
    with store.reading() as tx:
        return ages.any_due(tx, micros(now))


def expire(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Close what is due and list what was seen again; how many listings changed.

    Raises StoreBusy, and StoreOutdated when the terms have changed: then those who adopt them decide everything.
    """
    moved, before = 0, None
    while not stopping():
        now = clock()
        with store.writing() as tx:
            require(tx, rules)
            # First what was seen again, so that nothing of it is closed and listed anew.
            owed = ages.owed(tx, STEP)
            due = [] if owed else ages.due(tx, micros(now), STEP)
            if not owed and (not due or due == before):
                break
            lister = Lister(tx, rules, now)
            lister.ageing.spreads = False
            moved += lister.relist([stix_id for _, stix_id in owed] or [row.stix_id for row in due])
            ages.settle(tx, [seq for seq, _ in owed])
            before = due
    if moved:
        log.info("expiry.done", changed=moved)
    return moved
