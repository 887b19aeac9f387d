"""How a peer behaves: looked at before it is enabled and weekly after; a change is said, for it may break something."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from exchange.errors import ExchangeError, PeerProtocol
from exchange.model.envelope import PeerClient
from exchange.model.party import Source, Target
from exchange.model.profile import Profile, drift, from_text, to_text
from exchange.store import sources
from exchange.store.clock import micros
from exchange.sync.pull import Work, unforeseen

log = structlog.get_logger()


def probe(work: Work, entry: Source | Target, client: Callable[[], PeerClient]) -> Profile | None:
    """Look, write down what was found, and say what is not as it was. None: nobody could be asked."""
    now = work.clock()
    try:
        found = client().probe(entry, now)
    except Exception as broken:  # noqa: BLE001 (told with its trace; else it would be made again every second)
        error = broken if isinstance(broken, ExchangeError) else unforeseen(entry.key, broken)
        log.warning("probe.failed", peer=entry.peer, key=entry.key, error=error)
        with work.store.writing() as tx:
            sources.probed(tx, entry.key, micros(now))
        return None
    with work.store.reading() as tx:
        known = sources.standings(tx)[entry.key].profile
    if not found.complete and known is not None:  # half a look is no change of the peer's
        log.warning("probe.incomplete", peer=entry.peer, key=entry.key)
        with work.store.writing() as tx:
            sources.probed(tx, entry.key, micros(now))
        return found
    with work.store.writing() as tx:
        before = sources.keep_profile(tx, entry.key, to_text(found), micros(now))
    if before is not None and from_text(before).complete:
        for code, fields in drift(from_text(before), found):
            log.error("probe.drift", peer=entry.peer, key=entry.key, error=PeerProtocol(code, **fields))
    return found
