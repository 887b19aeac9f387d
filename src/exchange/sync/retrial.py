"""What was set aside, judged again: when an operator asks, and by itself when the release or the terms are new.

It goes through the one door like everything else. What is taken leaves the quarantine; what is not stays, with the
reason that holds now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from itertools import chain

from exchange.errors import ContentError
from exchange.model.envelope import Page, Rejected, sift
from exchange.model.party import Source
from exchange.policy import Rules
from exchange.policy.audience import collection_channel
from exchange.store import Store, accounts, quarantine, sources
from exchange.store.clock import micros
from exchange.store.quarantine import Entry
from exchange.sync import leases
from exchange.sync.accept import accept
from exchange.sync.imports import event_in
from exchange.sync.pull import LEASE

_POSTED = "post:"
_AT_ONCE = 100
_OF_MISP = ("misp.", "convert.")  # a part of an event is no STIX: it keeps its reason until its event comes again


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """Where an entry came from: `posted` is the channel to which it was written, empty for what was pulled."""

    source: Source
    posted: str = ""


def judge_of(rules: Rules) -> str:
    """The name of whoever judges: this release, under these terms."""
    return f"{version('exchange')}/{rules.epoch}"


def retry_untried(
    store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]
) -> Counter[str]:
    """Judge again what this release has not judged under these terms; counts by outcome."""
    judge, counts, after = judge_of(rules), Counter[str](), 0
    while not stopping():
        with store.reading() as tx:
            numbers = quarantine.untried(tx, judge, after, _AT_ONCE)
        if not numbers:
            break
        counts.update(retry(store, rules, numbers, clock))
        after = numbers[-1]
    return counts


def retry(store: Store, rules: Rules, numbers: Iterable[int], clock: Callable[[], datetime]) -> Counter[str]:
    """Judge these entries again. Counts: taken, rejected, waiting (its source is braked, at work or unknown)."""
    counts: Counter[str] = Counter()
    for number in numbers:
        with store.reading() as tx:
            entry = quarantine.entry(tx, number)
        if entry is not None:
            counts[_retry(store, rules, entry, clock())] += 1
    return counts


def _retry(store: Store, rules: Rules, entry: Entry, now: datetime) -> str:
    origin = _origin(rules, entry.source)
    if origin is None or not entry.raw or not rules.receives(origin.source.peer):
        return "waiting"
    owner = f"{leases.owner()}-retry"
    with store.writing() as tx:
        standing = sources.standings(tx).get(entry.source)
        braked = accounts.braked(tx, origin.source.peer, "in")
        until = micros(now + LEASE)
        # Nothing is settled beside a drain under way, nor before one is complete (RULES R11).
        if braked or (standing and not sources.lease(tx, entry.source, owner, micros(now), until, forced=True)):
            return "waiting"
    try:
        complete = standing is None or standing.last_outcome == "complete"
        outcome = _judge(store, rules, entry, origin, now, complete=complete)
    finally:
        with store.writing() as tx:
            sources.release(tx, entry.source, owner)
    with store.writing() as tx:
        if outcome == "taken":
            quarantine.remove(tx, [entry.number])
        else:
            quarantine.mark(tx, [entry.number], judge_of(rules))
    return outcome


def _judge(store: Store, rules: Rules, entry: Entry, origin: _Origin, now: datetime, *, complete: bool) -> str:
    """Through the door with it. An entry that comes back with a reason stays what it was, under the new reason.

    A part of a MISP event means nothing without it, and is judged again when its event comes again: it stays as it is.
    """
    if entry.event:
        return "rejected"
    held, pages = [], _pages(entry, origin, now)
    for page in pages:  # what cannot be taken at all is a page or two; an event of many attributes is never held whole
        held.append(page)
        if page.objects or page.document:
            break
    else:
        whole = [rejected for page in held for rejected in page.rejected if rejected.raw == entry.raw]
        with store.writing() as tx:
            quarantine.renew(tx, entry.number, [(each.code, each.fields) for each in whole][:1])
        return "rejected"
    refused = False
    for page, final in _with_end(chain(held, pages)):
        accepted = accept(
            store, rules, replace(page, last=complete and final), entry.source, origin.source.peer, now,
            posted=origin.posted, again=True,
        )  # fmt: skip
        refused |= any(outcome.code in ("rejected", "conflict") for outcome in accepted.outcomes)
    return "rejected" if refused else "taken"


def _with_end(pages: Iterable[Page]) -> Iterator[tuple[Page, bool]]:
    """Each page, and whether it is the last."""
    waiting: Page | None = None
    for page in pages:
        if waiting is not None:
            yield waiting, False
        waiting = page
    if waiting is not None:
        yield waiting, True


def _pages(entry: Entry, origin: _Origin, now: datetime) -> Iterator[Page]:
    try:
        event = None if origin.posted else event_in(entry.raw, origin.source, now)
        if event is not None:
            yield from event
            return
        if entry.code.startswith(_OF_MISP):
            return
        objects, rejected = sift([entry.raw], stix20=not origin.posted)
        yield Page(objects=objects, rejected=rejected)
    except ContentError as error:
        yield Page(rejected=[Rejected(raw=entry.raw, code=error.code, fields=error.fields)])


def _origin(rules: Rules, key: str) -> _Origin | None:
    """The source that the entry came from, by the terms in force."""
    peer_id, _, name = key.partition("/")
    peer = rules.terms.peers.get(peer_id)
    if peer is None:
        return None
    if name.startswith(_POSTED):
        alias = name.removeprefix(_POSTED)
        found = next((each for each in rules.terms.collections.values() if each.alias == alias), None)
        posted = Source(peer=peer_id, id=name, kind="taxii", internal=peer.home)
        if found is None or peer_id not in found.writers:
            return None
        return _Origin(source=posted, posted=collection_channel(found.id))
    found_source = next((each for each in peer.sources if each.key == key), None)
    return None if found_source is None else _Origin(source=found_source)
