"""WHAT we hold. `open_store` gives a Store; the nouns of this room work inside its transactions.

`statements` (versions as sources said them) · `listings` (what stands where, outbox, ledger) · `audiences` ·
`sources` (cursors, leases, runs, quarantine) · `accounts` (subscribers, brake) · `pages` (what readers are served) ·
`clock` (`date_added`).
Nothing here parses, decides or fetches.
"""

from exchange.store import accounts, audiences, listings, pages, sources, statements
from exchange.store.clock import micros, moment
from exchange.store.engine import Store, Watch
from exchange.store.schema import migrate, newest, ready


def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store at `url`, with the schema of this release. Raises StoreOutdated when it needs `migrate`."""
    store = Store(url)
    try:
        ready(store, create=create)
    except BaseException:
        store.close()
        raise
    return store


__all__ = [
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
    "pages",
    "ready",
    "sources",
    "statements",
]
