"""WHAT we hold. `open_store` gives a Store; the nouns of this room work inside its transactions.

`statements` (versions as sources said them) · `blocks` (their bytes) · `originals` (as received) · `references`
(between them) · `audiences` · `listings` (what stands where, outbox, ledger) · `withdrawals` (what a peer took back) ·
`sources` (cursors, leases, runs) · `quarantine` (what could not be taken) · `accounts` (subscribers, brake) ·
`pages` (what readers are served) · `clock` (`date_added`) · `prepared` (statements compiled once).
Nothing here parses, decides or fetches.
"""

from exchange.store import (
    accounts,
    audiences,
    listings,
    originals,
    pages,
    quarantine,
    references,
    sources,
    statements,
    withdrawals,
)
from exchange.store.clock import micros, moment
from exchange.store.engine import PATIENCE, WAIT, Store, Watch
from exchange.store.schema import migrate, newest, ready


def open_store(url: str, *, create: bool = True, wait: float = WAIT) -> Store:
    """Open the store at `url`, with the schema of this release; `wait`: seconds for the writer lock.

    Raises StoreOutdated when it needs `migrate`.
    """
    store = Store(url, wait)
    try:
        ready(store, create=create)
    except BaseException:
        store.close()
        raise
    return store


__all__ = [
    "PATIENCE",
    "Store",
    "Watch",
    "accounts",
    "audiences",
    "listings",
    "micros",
    "migrate",
    "moment",
    "newest",
    "open_store",
    "originals",
    "pages",
    "quarantine",
    "ready",
    "references",
    "sources",
    "statements",
    "withdrawals",
]
