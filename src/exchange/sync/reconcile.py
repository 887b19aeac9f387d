"""On a slow schedule: what the peer lists, beside what we hold of it and what we handed it.

What is missing here is fetched, what it lost is sent again, what it no longer lists is marked, and the difference is
told in numbers. A cursor that was wrong once, a page that a server left out, a push whose answer was a lie: here it
comes to light (pains 2, 39, 40).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from exchange.errors import ContentError, ExchangeError
from exchange.model.envelope import Entry, PeerClient
from exchange.model.party import Source, Target
from exchange.model.stix import instant
from exchange.store import accounts, inventory, sources
from exchange.store.clock import micros
from exchange.sync.accept import accept
from exchange.sync.pull import LEASE, Work, pages, peer_of
from exchange.sync.push import audience_of

log = structlog.get_logger()

_AGAIN = timedelta(hours=1)
_STEP = 500
"""Rows written in one transaction: nobody waits for a comparison."""
_BATCH = 100
"""Objects or events fetched by id at a time."""
_MOST = 50_000
"""Fetched in one comparison; a difference that is larger is told, and drained anew with `exchange sync --from`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """One comparison under way, by the lease of its source or target."""

    work: Work
    entry: Source | Target
    client: PeerClient

    def go_on(self) -> bool:
        """Whether it may: the lease is ours, nobody brakes, nobody stops us."""
        now = self.work.clock()
        with self.work.store.writing() as tx:
            ours = sources.extend(tx, self.entry.key, self.work.owner, micros(now + LEASE))
            braked = accounts.braked(tx, self.entry.peer, "in" if isinstance(self.entry, Source) else "out")
        return ours and not braked and not self.work.stopping() and not peer_of(self.work, self.entry).closed_until(now)


def reconcile(
    work: Work, entry: Source | Target, client: Callable[[], PeerClient], every: float
) -> Counter[str] | None:
    """Compare; counts of listed, missing, fetched, vanished, sent_again. None: somebody else is at it, or it broke off.

    `every`: seconds between two comparisons; one that broke off is made again after an hour.
    """
    now = work.clock()
    with work.store.writing() as tx:
        if not sources.lease(
            tx,
            entry.key,
            work.owner,
            micros(now),
            micros(now + LEASE),
            forced=True,
            at_once=peer_of(work, entry).at_once,
        ):
            return None
    counts: Counter[str] | None = None
    try:
        counts = _compare(_Comparison(work=work, entry=entry, client=client()))
    except ExchangeError as error:
        log.warning("reconcile.failed", peer=entry.peer, key=entry.key, error=error)
    finally:
        _clear(work, entry.key)
        now = work.clock()
        with work.store.writing() as tx:
            if counts is not None:
                sources.keep_difference(tx, entry.key, +counts, micros(now))
            else:
                sources.compared(tx, entry.key, micros(now - timedelta(seconds=every) + _AGAIN))
            sources.release(tx, entry.key, work.owner)
    return counts


def _compare(comparison: _Comparison) -> Counter[str] | None:
    entry, work = comparison.entry, comparison.work
    counts: Counter[str] = Counter()
    _clear(work, entry.key)
    for entries in comparison.client.index(entry):
        with work.store.writing() as tx:
            inventory.add(tx, entry.key, [_normal(each, entry) for each in entries])
        counts["listed"] += len(entries)
        if not comparison.go_on():
            return None
    found = _sides(comparison, counts)
    if found is None:
        return None
    counts.update(found)
    if any(counts[name] for name in ("missing", "vanished", "sent_again")):
        log.warning("reconcile.differs", peer=entry.peer, key=entry.key, counts=dict(+counts))
    else:
        log.info("reconcile.done", peer=entry.peer, key=entry.key, counts=dict(+counts))
    return counts


def _sides(comparison: _Comparison, listed: Counter[str]) -> Counter[str] | None:
    entry = comparison.entry
    if isinstance(entry, Source):
        return _of_source(comparison, entry, listed)
    return _of_target(comparison, entry, listed)


def _of_source(comparison: _Comparison, source: Source, listed: Counter[str]) -> Counter[str] | None:
    counts: Counter[str] = Counter()
    work, documents = comparison.work, source.kind != "taxii"
    for ids in _missing(comparison, source, documents=documents):
        counts["missing"] += len(ids)
        for brought in comparison.client.fetch(source, ids):
            for page in pages(brought, source, work.clock()):
                taken = accept(
                    work.store,
                    work.rules(),
                    replace(page, cursor=None, last=False),
                    source.key,
                    source.peer,
                    work.clock(),
                )
                counts["fetched"] += taken.counts.get("stored", 0) + taken.counts.get("touch", 0)
        if not comparison.go_on():
            return None
    if listed["listed"]:  # a peer that lists nothing at all has not lost everything: it has a bad day
        counts["vanished"] = _mark(comparison, source.key, documents=documents)
    return counts


def _mark(comparison: _Comparison, key: str, *, documents: bool) -> int:
    """Mark what is gone and unmark what is back, a little at a time; how much is newly gone."""
    store, after, marked = comparison.work.store, "", 0
    more = True
    while more:
        with store.writing() as tx:
            more = inventory.unmark(tx, key, _STEP) == _STEP
    while True:
        with store.reading() as tx:
            ids = inventory.vanishing(tx, key, after, _STEP, documents=documents)
        if not ids:
            return marked
        with store.writing() as tx:
            inventory.mark(tx, key, ids, micros(comparison.work.clock()))
        after, marked = ids[-1], marked + len(ids)


def _clear(work: Work, key: str) -> None:
    more = True
    while more:
        with work.store.writing() as tx:
            more = inventory.clear(tx, key, _STEP)


def _missing(comparison: _Comparison, source: Source, *, documents: bool) -> Iterator[Sequence[str]]:
    find = inventory.missing_documents if documents else inventory.missing_objects
    after, seen = "", 0
    while seen < _MOST:
        with comparison.work.store.reading() as tx:
            ids = find(tx, source.key, after, _BATCH)
        if not ids:
            return
        yield ids
        after, seen = ids[-1], seen + len(ids)


def _of_target(comparison: _Comparison, target: Target, listed: Counter[str]) -> Counter[str] | None:
    audience = audience_of(comparison.work, target)
    if audience is None:
        return None
    if not listed["listed"]:
        return Counter()
    store, after, counts = comparison.work.store, -1, Counter[str]()
    while True:
        with store.reading() as tx:
            rows = inventory.lost(tx, target.key, audience.channel, after, _STEP)
        if not rows:
            return counts
        with store.writing() as tx:
            inventory.send_again(tx, [(number, added) for number, added, often in rows if not often])
        counts.update("vanished" if often else "sent_again" for _, _, often in rows)
        after = rows[-1][1]


def _wanted(entry: Source | Target, listed: Entry) -> bool:
    """Whether a pull would take it by its date: what came before `since` is not missing."""
    since = entry.since if isinstance(entry, Source) else None
    if since is None:
        return True
    if listed.version.isdecimal():
        return int(listed.version) >= since.timestamp()
    try:
        return not listed.added or instant(listed.added) >= instant(since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    except ContentError:
        return True


def _normal(listed: Entry, entry: Source | Target) -> Entry:
    """With its version as the store writes it; what is no timestamp (a MISP event's number) stays as it is."""
    added = listed.added if _wanted(entry, listed) else inventory.UNASKED
    try:
        return replace(listed, version=instant(listed.version), added=added)
    except ContentError:
        return replace(listed, added=added)
