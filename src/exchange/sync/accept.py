"""The one door in: a pulled page, a subscriber's POST, a MISP push and a file all enter here.

One transaction stores objects, provenance, quarantine, listings, outbox and cursor, or nothing. What the page left
undecided (unmarked objects, RULES R11) is settled when the drain or envelope that brought it is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from exchange.errors import StoreError, StoreOutdated
from exchange.model.envelope import Page
from exchange.model.marking import Label, Tlp
from exchange.model.stix import CONTAINERS
from exchange.policy import Basis, Rules, resolve
from exchange.store import (
    Store,
    aliases,
    audiences,
    names,
    originals,
    quarantine,
    references,
    removals,
    schema,
    sources,
    statements,
    traits,
    widenings,
    withdrawals,
)
from exchange.store.audiences import EPOCH
from exchange.store.clock import micros
from exchange.store.references import Neighbours
from exchange.store.statements import Held, Worth, indexed
from exchange.sync import attacked, doubts, lineage, widened
from exchange.sync.deletion import given_again, withdraw_deleted
from exchange.sync.erased import blank, without_erased
from exchange.sync.intake import Intake, Outcome, sort
from exchange.sync.listing import Lister
from exchange.sync.meanings import defined, told
from exchange.sync.membership import events_of
from exchange.sync.recalled import back, recalled
from exchange.sync.subjects import horizon_at

log = structlog.get_logger()

STEP = 500
"""Statements judged in one transaction; RULES R18 allows a thousand."""


class LeaseLost(StoreError):
    """Another daemon has taken this source over, because we were too slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a page: an outcome for each object, in order, and the counts."""

    outcomes: Sequence[Outcome]
    counts: Mapping[str, int]
    stopped: Sequence[tuple[str, str]] = ()
    """(id, audience) that the second gate refused although the decision had released it."""
    listed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(id, version) → `date_added` in the audience in which the one who posted reads it back."""


def accept(
    store: Store,
    rules: Rules,
    page: Page,
    source_key: str,
    peer: str,
    now: datetime,
    *,
    posted: str = "",
    again: bool = False,
    lease: tuple[str, int] | None = None,
) -> Accepted:
    """Take `page` from the source `source_key` of `peer`. Twice is once.

    `posted`: the channel to which the peer wrote it; `again`: not now but earlier, so what it has withdrawn there stays
    withdrawn (RULES R22). `lease`: (owner, until in µs) of the pull that brings it; it is prolonged in the same
    transaction. Raises StoreBusy when the writer lock is not free, StoreOutdated when the policy that this process
    holds is not the one that the store was decided under, and LeaseLost.
    """
    found = look(rules, page, peer)
    with store.writing() as tx:
        if lease is not None and not sources.extend(tx, source_key, *lease):
            raise LeaseLost("store.lease_lost", source=source_key)
        require(tx, rules)
        taken, more = take(tx, rules, page, found, source_key, peer, now, posted=posted, again=again)
    if more:
        listed = dict(taken.listed)
        stopped = [*taken.stopped, *settle(store, rules, source_key, now, (peer, posted), listed)]
        return replace(taken, stopped=stopped, listed=listed)
    return taken


@dataclass(frozen=True, slots=True)
class Found:
    """What is found in the objects of a page by themselves."""

    doubts: doubts.Found
    persons: attacked.Persons


def look(rules: Rules, page: Page, peer: str) -> Found:
    """Find it, before the writer lock is taken (RULES R18)."""
    return Found(doubts.found_in(rules, page.objects, peer), attacked.told_by(rules, page))


def take(
    tx: Connection, rules: Rules, page: Page, found: Found, source_key: str, peer: str, now: datetime, *,
    posted: str = "", again: bool = False,
) -> tuple[Accepted, bool]:  # fmt: skip
    """The one door in a transaction of the caller's, who has asked `require`; whether `settle` has more to do."""
    intake, lister = _take(tx, rules, page, source_key, peer, posted, now, found, again=again)
    if page.cursor is not None:
        sources.save_cursor(tx, source_key, page.cursor)
    more = page.last and _settle(tx, rules, source_key, lister)
    counts = Counter(outcome.code for outcome in intake.outcomes)
    counts["skipped"] += len(page.skipped)
    taken = Accepted(outcomes=intake.outcomes, counts=+counts, stopped=lister.refused, listed=lister.listed)
    return taken, more


def require(tx: Connection, rules: Rules) -> None:
    """Raises StoreOutdated unless `rules` are the terms that the store follows, and its schema is the one we know.

    Asked in every writing transaction.
    """
    schema.require(tx)
    found = audiences.note(tx, EPOCH)
    if found != rules.epoch:
        raise StoreOutdated("store.policy_changed", found=found[:8] or "-", needed=rules.epoch[:8])


def _take(
    tx: Connection, rules: Rules, page: Page, source_key: str, peer: str, posted: str, now: datetime,
    found: Found, *, again: bool,
) -> tuple[Intake, Lister]:  # fmt: skip
    at = micros(now)
    page, gone_for_good = without_erased(tx, page)
    document = None
    if page.document is not None:
        kept = page.document
        document = originals.keep_document(tx, source_key, kept.kind, kept.id, kept.version, kept.raw, at)
    blank(tx, document, gone_for_good)
    page = defined(tx, page, source_key)
    known = statements.held(tx, {item.id for item in page.objects})
    intake = sort(page.objects, known, source_key, peer, rules, horizon_at(now), posted, page.document)
    intake.outcomes += gone_for_good
    for rejected in page.rejected:
        intake.outcomes.append(
            Outcome(id=rejected.id, version="", code="rejected", reason=rejected.code, fields=rejected.fields)
        )
    statements.supersede(tx, intake.superseded)
    doubts.put(tx, intake, found.doubts, source_key, rules.eyes)
    news = list(intake.news.values())
    whose = events_of(tx, news, known, page.objects, source_key, now) if news else ()
    statements.renew(tx, intake.renewed, document=document, now=at)
    held = statements.add_all(tx, news, whose, source=source_key, peer=peer, posted=posted, document=document, now=at)
    doubts.note_stray(tx, rules, held)
    held, victims = attacked.keep_traits(tx, rules, source_key, known, held, news, found.persons)
    names.keep(tx, held, news)
    statements.untouch(tx, intake.untouched)
    statements.tighten(tx, {seq: label for seq, (_, label) in intake.tightened.items()})
    traits.join(tx, intake.tightened)
    aside = (*page.rejected, *intake.set_aside)
    if aside:
        quarantine.set_aside(tx, source_key, aside, at)
        if posted:  # whoever posts is told at once, and keeps what they posted
            dropped = quarantine.trim(tx, source_key)
            if dropped:
                log.warning("quarantine.trimmed", source=source_key, count=dropped)
    deleted = withdraw_deleted(tx, source_key, peer, page, at)
    for skipped in page.skipped:
        sources.pass_over(tx, source_key, skipped.id, skipped.code, skipped.fields, at)
    if news:
        size = sum(len(new.object.raw) for new in news)
        sources.count_day(tx, source_key, now.date().isoformat(), len(news), size)
    lister = Lister(tx, rules, now, reader=(peer, posted))
    times = Counter(item.stix_id for item in held)
    gone = recalled(tx, source_key, peer, page, known, at, again=again)
    # What we widen ourselves bears our own token, and has not come back from anybody.
    gone += [] if widenings.is_ours(source_key) else lineage.returned(tx, page.objects, peer, at)
    named = {item.seq: {value for _, value in new.object.values} for item, new in zip(held, news, strict=True)}
    later = {*gone, *removals.catch(tx, held, named, at)}
    alone = [
        item.stix_id not in known and times[item.stix_id] == 1 and item.stix_id not in later and not new.object.aliases
        for item, new in zip(held, news, strict=True)
    ]
    fresh = [(item, new.object.body) for item, new, first in zip(held, news, alone, strict=True) if first]
    changed = dict.fromkeys(item.stix_id for item, first in zip(held, alone, strict=True) if not first)
    if posted and not again:
        given = {(item.id, item.version) for item in page.objects if item.id in known}
        changed |= dict.fromkeys(withdrawals.undo(tx, peer, posted, given))
    changed |= dict.fromkeys(deleted)
    if page.document is not None:
        taken = {outcome.id for outcome in intake.outcomes if outcome.success}
        changed |= dict.fromkeys(given_again(tx, source_key, peer, taken))
    changed |= dict.fromkeys((*gone, *back(tx, source_key, peer, page)))
    meant = told(tx, page, source_key)
    changed |= dict.fromkeys(_rejudge(tx, rules, source_key, intake, horizon_at(now)))
    changed |= dict.fromkeys(judge_around(tx, rules, source_key, meant))
    before = held[0].seq - 1 if held else 0
    changed |= dict.fromkeys(lineage.named(tx, rules, source_key, peer, news, before))
    changed |= dict.fromkeys(attacked.named(tx, rules, source_key, victims, before if held else None))
    changed |= dict.fromkeys(widened.named(tx, rules, source_key, news, now))
    changed |= dict.fromkeys(sorted(_copies(tx, lister, known, held, peer)))
    lister.relist(changed, fresh)
    return intake, lister


def _copies(
    tx: Connection, lister: Lister, known: Mapping[str, Sequence[Held]], news: Sequence[Held], peer: str
) -> set[str]:
    """What others say is the same as something that `peer` gives now for the first time: it goes back to nobody (R3).

    At most STEP ids of what stands before each audience of `peer` alone (RULES R18); more is a flood, and stays there.
    """
    first = {item.stix_id for item in news if all(before.peer != peer for before in known.get(item.stix_id, ()))}
    numbers = [lister.numbers[a.key] for a in lister.audiences if a.single == peer]
    return aliases.listed_copies(tx, numbers, sorted(first), STEP)


def _rejudge(tx: Connection, rules: Rules, source_key: str, intake: Intake, horizon: str) -> list[str]:
    """Judge anew what was contradicted more strictly, then the unmarked statements whose worth changes; their ids."""
    # What is still to come is judged when it has come.
    changed = judge(tx, rules, [seq for seq, (item, _) in intake.tightened.items() if item.version <= horizon])
    marked = [new.object for new in intake.news.values() if new.label is not None]
    marked += [item for item, _ in intake.tightened.values()]
    # What MISP gives without a level says how far it goes all the same: what only it refers to goes no further.
    bare = [new.object for new in intake.news.values() if new.label is None and new.object.event]
    refs = {target for item in (*marked, *bare) for target in item.refs if indexed(target) == target}
    ids = {item.id for item in marked}
    # Only the newest version of a referrer counts: what the one before it said no longer does.
    refs |= references.referred(tx, [*intake.superseded, *intake.tightened])
    ids |= {new.object.id for new in intake.news.values() if new.newest}
    return changed + judge(tx, rules, references.dependants(tx, source_key, ids, refs))


def judge_around(tx: Connection, rules: Rules, source_key: str, seqs: Sequence[int]) -> list[str]:
    """Judge these statements of a source, which state something else than before, and what rests on them; their ids."""
    if not seqs:
        return []
    changed = judge(tx, rules, seqs)
    return changed + judge(
        tx, rules, references.dependants(tx, source_key, set(changed), references.referred(tx, seqs))
    )


def judge(tx: Connection, rules: Rules, seqs: Sequence[int]) -> list[str]:
    """Work out what these statements are worth (RULES R10 and R11) and write it down; gives their ids."""
    found = statements.by_seq(tx, seqs)
    statements.judge(tx, worths(tx, rules, found))
    return [held.stix_id for held in found]


def worths(tx: Connection, rules: Rules, found: Sequence[Held]) -> list[Worth]:
    """What these statements are worth under `rules`; only read."""
    by_source: dict[tuple[str, str], list[Held]] = {}
    for held in found:
        by_source.setdefault((held.source, held.peer), []).append(held)
    made = []
    for (source_key, peer), subjects in by_source.items():
        own = {held.seq: rules.understood(peer, held.stated) for held in subjects}
        asking = [held for held in subjects if not own[held.seq].stated or held.type in CONTAINERS]
        around = references.neighbours(tx, source_key, asking)
        default = rules.default_label(peer)
        plain: dict[Label, tuple[Label | None, Basis]] = {}
        for held in subjects:
            mine, near = own[held.seq], around.get(held.seq)
            if near is not None and (near.ends or near.referrers):
                label, basis = worth_among(rules, held, mine, near, default)
            else:
                if mine not in plain:
                    plain[mine] = resolve(mine, ends=(), referrers=(), default=default)
                label, basis = plain[mine]
            made.append(Worth(seq=held.seq, label=label, basis=basis, marked=mine.stated))
    return made


def worth_among(
    rules: Rules, held: Held, own: Label, near: Neighbours, default: Tlp | None
) -> tuple[Label | None, Basis]:
    """What it is worth beside what its source says of its ends, its content and its referrers."""
    ends = [rules.understood(held.peer, end) for end in near.ends]
    label, basis = resolve(
        own,
        ends=() if held.type in CONTAINERS else ends,
        referrers=[rules.understood(held.peer, other) for other in near.referrers],
        default=default,
    )
    if held.type in CONTAINERS and label is not None:
        for member in ends:
            label = label.join(member.spread)
    return label, basis


def settle(
    store: Store,
    rules: Rules,
    source_key: str,
    now: datetime,
    reader: tuple[str, str] = ("", ""),
    listed: dict[tuple[str, str], int] | None = None,
) -> list[tuple[str, str]]:
    """Judge and list what waits for the end of the drain, a step at a time; safe to repeat after a crash.

    `reader`: the peer that posted and the channel; what is listed there goes into `listed`.
    """
    stopped: list[tuple[str, str]] = []
    with store.reading() as tx:
        more = bool(statements.waiting(tx, source_key, horizon_at(now), 1))
    while more:
        with store.writing() as tx:
            require(tx, rules)
            lister = Lister(tx, rules, now, reader=reader)
            more = _settle(tx, rules, source_key, lister)
        stopped += lister.refused
        if listed is not None:
            listed |= lister.listed
    return stopped


def _settle(tx: Connection, rules: Rules, source_key: str, lister: Lister) -> bool:
    """One step of it; whether there may be more to do."""
    horizon = horizon_at(lister.now)
    seqs = statements.waiting(tx, source_key, horizon, STEP)
    if seqs:
        due = _come_due(tx, source_key, statements.by_seq(tx, seqs), horizon)
        lister.relist(dict.fromkeys(judge(tx, rules, list(dict.fromkeys((*seqs, *due))))))
    return len(seqs) == STEP


def _come_due(tx: Connection, source_key: str, found: Sequence[Held], horizon: str) -> list[int]:
    """Versions from the future whose time has come take the lead of their chains (RULES R5); gives the numbers of what
    they or those before them labelled (R10).
    """
    ids = {held.stix_id for held in found if not held.newest}
    if not ids:
        return []
    led: set[int] = set()
    leading: set[int] = set()
    for group in statements.held(tx, ids).values():
        chain = [held for held in group if held.source == source_key and held.version <= horizon]
        newest = max(chain, key=lambda held: held.version)
        led |= {held.seq for held in chain if held.newest and held is not newest}
        leading |= set() if newest.newest else {newest.seq}
    statements.supersede(tx, led, by=leading)
    return references.dependants(tx, source_key, ids, references.referred(tx, led | leading))
