"""On a slow schedule: what the peer lists, beside what we hold of it and what we handed it.

What is missing here is fetched, what it lost is sent again, what it no longer lists is marked, and the difference is
told in numbers. A cursor that was wrong once, a page that a server left out, a push whose answer was a lie: here it
comes to light (pains 2, 39, 40). It holds no lease: pulls and pushes go on beside it, and only what was there before it
began can be missed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from exchange.errors import ContentError, ExchangeError
from exchange.model.envelope import Entry, PeerClient
from exchange.model.party import Source, Target
from exchange.model.stix import instant
from exchange.store import accounts, inventory, sources
from exchange.store.clock import micros
from exchange.sync.accept import accept
from exchange.sync.pull import Work, barrier, pages, peer_of
from exchange.sync.push import audience_of

log = structlog.get_logger()

_STEP = 500
"""Rows written in one transaction: nobody waits for a comparison."""
_BATCH = 100
"""Objects or events fetched by id at a time."""
_MOST = 50_000
"""Fetched in one comparison; a difference that is larger is told, and drained anew with `exchange sync --from`."""
_LEFT_BEHIND = timedelta(days=1)
"""After which a list is nobody's any more: whoever made it was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """One comparison under way; `name` is that of its list, and `began` when nothing of it had been asked."""

    work: Work
    entry: Source | Target
    client: PeerClient
    began: datetime
    name: str

    def may_go_on(self) -> bool:
        """Whether nothing stands in the way, by the same rules as for a pull or a push."""
        work, entry = self.work, self.entry
        if not entry.enabled:
            return False
        if isinstance(entry, Source):
            return not barrier(work, entry)
        with work.store.reading() as tx:
            braked = accounts.braked(tx, entry.peer, "out")
        return not braked and not work.stopping() and not peer_of(work, entry).closed_until(work.clock())


def reconcile(work: Work, entry: Source | Target, client: Callable[[], PeerClient]) -> Counter[str] | None:
    """Compare; counts of listed, missing, fetched, vanished, sent_again. None: somebody else does, or it broke off."""
    began = work.clock()
    with work.store.writing() as tx:
        known = sources.standings(tx)[entry.key].comparing
        if not sources.claim_comparison(tx, entry.key, known, micros(began)):
            return None
    name = f"{entry.key} {micros(began)} {uuid.uuid4().hex[:8]}"
    _clear_left_behind(work, entry.key, began)
    counts: Counter[str] | None = None
    try:
        counts = _compare(_Comparison(work=work, entry=entry, client=client(), began=began, name=name))
    except ExchangeError as error:
        log.warning("reconcile.failed", peer=entry.peer, key=entry.key, error=error)
    finally:
        _clear(work, name)
        now = work.clock()
        with work.store.writing() as tx:
            if counts is not None:
                sources.keep_difference(tx, entry.key, +counts, micros(now))
            else:
                sources.not_compared(tx, entry.key)
    return counts


def _compare(comparison: _Comparison) -> Counter[str] | None:
    entry, work = comparison.entry, comparison.work
    counts: Counter[str] = Counter()
    if not comparison.may_go_on():
        return None
    for entries in comparison.client.index(entry):
        with work.store.writing() as tx:
            inventory.add(tx, comparison.name, [_normal(each, entry) for each in entries])
        counts["listed"] += len(entries)
        if not comparison.may_go_on():
            return None
    if counts["listed"]:  # a peer that lists nothing at all has not lost everything: it has a bad day
        found = _of_source(comparison, entry) if isinstance(entry, Source) else _of_target(comparison, entry)
        if found is None:
            return None
        counts.update(found)
    else:
        log.warning("reconcile.lists_nothing", peer=entry.peer, key=entry.key)
    if any(counts[name] for name in ("missing", "vanished", "sent_again")):
        log.warning("reconcile.differs", peer=entry.peer, key=entry.key, counts=dict(+counts))
    else:
        log.info("reconcile.done", peer=entry.peer, key=entry.key, counts=dict(+counts))
    return counts


def _of_source(comparison: _Comparison, source: Source) -> Counter[str] | None:
    counts: Counter[str] = Counter()
    work, documents = comparison.work, source.kind != "taxii"
    for ids in _missing(comparison, source, documents=documents):
        counts["missing"] += len(ids)
        for brought in comparison.client.fetch(source, ids):
            now = work.clock()
            for page in pages(replace(brought, cursor=None, last=False), source, now):
                taken = accept(work.store, work.rules(), page, source.key, source.peer, now)
                counts["fetched"] += taken.counts.get("stored", 0) + taken.counts.get("touch", 0)
            if not comparison.may_go_on():
                return None
    counts["vanished"] = _mark(comparison, source.key, documents=documents)
    return counts


def _missing(comparison: _Comparison, source: Source, *, documents: bool) -> Iterator[Sequence[str]]:
    find = inventory.missing_documents if documents else inventory.missing_objects
    after, seen = "", 0
    while seen < _MOST:
        with comparison.work.store.reading() as tx:
            ids = find(tx, source.key, comparison.name, after, _BATCH)
        if not ids:
            return
        yield ids
        after, seen = ids[-1], seen + len(ids)


def _mark(comparison: _Comparison, key: str, *, documents: bool) -> int:
    """Mark what is gone and unmark what is back, a little at a time; how much is newly gone."""
    store, name, after, marked = comparison.work.store, comparison.name, "", 0
    before = micros(comparison.began)
    more = True
    while more:
        with store.writing() as tx:
            more = inventory.unmark(tx, key, name, _STEP) == _STEP
    while True:
        with store.reading() as tx:
            ids = inventory.vanishing(tx, key, name, after, _STEP, before=before, documents=documents)
        if not ids:
            return marked
        with store.writing() as tx:
            inventory.mark(tx, key, ids, micros(comparison.work.clock()))
        after, marked = ids[-1], marked + len(ids)


def _of_target(comparison: _Comparison, target: Target) -> Counter[str] | None:
    audience = audience_of(comparison.work, target)
    if audience is None:
        return None
    if not target.publish:
        return Counter()  # what nobody there has published yet is on no list
    events = target.kind == "misp"
    store, after, counts = comparison.work.store, -1, Counter[str]()
    before = micros(comparison.began)
    while True:
        with store.reading() as tx:
            rows = inventory.lost(
                tx, comparison.name, audience.channel, after, _STEP, before=before, peer=target.peer, events=events
            )
        if not rows:
            return counts
        with store.writing() as tx:
            inventory.send_again(tx, [(number, added) for number, added, often in rows if not often])
        counts.update("vanished" if often else "sent_again" for _, _, often in rows)
        after = rows[-1][1]


def _clear(work: Work, name: str) -> None:
    more = True
    while more:
        with work.store.writing() as tx:
            more = inventory.clear(tx, name, _STEP)


def _clear_left_behind(work: Work, key: str, now: datetime) -> None:
    """Drop the lists of those who were killed while they compared this."""
    with work.store.reading() as tx:
        names = [name.split(" ") for name in inventory.lists(tx)]
    for whose, at, own in names:
        if whose == key and int(at) < micros(now - _LEFT_BEHIND):
            _clear(work, f"{whose} {at} {own}")


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
    """With its version as the store writes it; a text that is no version at all says nothing."""
    added = listed.added if _wanted(entry, listed) else inventory.UNASKED
    try:
        return replace(listed, version=instant(listed.version), added=added)
    except ContentError:
        return replace(listed, version=listed.version if listed.version.isdecimal() else "", added=added)
