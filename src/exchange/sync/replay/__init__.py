"""The ledger, decided again: what it says that partners were offered and took, against what was committed then.

    replay(store, Asked(peer="ccc"), now)    nothing is written

For each row of a listing: by the terms in force at the sitting that listed it, and on the statements, labels, marks of
withdrawal and approvals of that instant, does `policy.decide` come to what stands there? And does it come to the reason
for which it was closed, or, where it is open, still to this agreement, label and end? docs/decisions/0033 says what is
kept for that, and what a replay cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from exchange.policy import Rules
from exchange.store import Store, audiences, derived, later, past, removals, sittings, statements
from exchange.store.audiences import AudienceRow
from exchange.store.clock import moment
from exchange.store.past import Row
from exchange.store.statements import Held
from exchange.store.work import ERASED
from exchange.sync import stages
from exchange.sync.accounting import Asked
from exchange.sync.replay.found import Mismatch, Replayed
from exchange.sync.replay.moments import Moments
from exchange.sync.replay.rows import FORMLESS, Case, Rows
from exchange.sync.replay.then import Past
from exchange.sync.sittings import terms_of

__all__ = ["Epochs", "Mismatch", "Replayed", "replay"]

_AT_ONCE = 300
"""Statements that are gone through together; all about the same id count as one."""


Epochs = Callable[[int], frozenset[str]]
"""An instant (µs) → the epochs of the configurations that may have been followed then; none: that is not known."""


def replay(store: Store, asked: Asked, now: datetime, epochs: Epochs = lambda _: frozenset()) -> Replayed:
    """Decide again what was ever listed, or what `asked` says of it: to a peer, of an object, listed in a period.

    In pages, each in one snapshot of the store: what comes in meanwhile may not be gone through.
    """
    found = Replayed()
    with store.reading() as tx:
        wanted = None if not asked.object else _ids(tx, asked.object)
    if wanted is not None:
        _page(store, wanted, asked, now, found)
    else:
        after = 0
        while True:
            with store.reading() as tx:
                rows = past.ids(tx, after, _AT_ONCE)
                firsts = _firsts(tx, rows)
            if not rows:
                break
            after = rows[-1][0]
            _page(store, firsts, asked, now, found)
        _whole(store, asked, found)
    _compared(store, epochs, found)
    return found


def _compared(store: Store, epochs: Epochs, found: Replayed) -> None:
    """Whether the terms that were written down are those of the configuration that was applied then."""
    with store.reading() as tx:
        followed = sittings.terms(tx)
    found.terms = len(followed)
    for each in followed:
        known, terms = epochs(each.at), terms_of(each.terms)
        written = None if terms is None else Rules(terms, moment(each.at)).epoch
        if written != each.epoch or (known and each.epoch not in known):
            wanted = ", ".join(sorted(epoch[:8] for epoch in known or {each.epoch}))
            found.differs(Mismatch(code="replay.terms", recorded=(written or each.epoch)[:8], replayed=wanted))
        elif not known:
            found.unproved += 1


def _ids(tx: Connection, stix_id: str) -> list[str]:
    """The id of the giver for this one, which may be one of ours."""
    return [derived.originals(tx, [stix_id]).get(stix_id, stix_id)]


def _firsts(tx: Connection, rows: Iterable[tuple[int, str]]) -> list[str]:
    """Of these statements the ids whose first one is among them: each id is gone through once. What was made of others
    is gone through with them.
    """
    first: dict[str, int] = {}
    for seq, stix_id in rows:
        first.setdefault(stix_id, seq)
    groups = statements.held(tx, first)
    ours = derived.originals(tx, first)
    return [each for each, seq in first.items() if each not in ours and groups[each][0].seq == seq]


def _page(store: Store, stix_ids: Collection[str], asked: Asked, now: datetime, found: Replayed) -> None:
    with store.reading() as tx:
        moments = Moments(tx, now)
        if not moments.followed:
            found.unreplayable["replay.older"] += len(past.rows(tx, _seqs(tx, stix_ids)))
            return
        known = Past(tx, stix_ids)
        forms = derived.of(tx, known.seqs)
        made = {row.seq: row for row in forms.values() if row.seq is not None}
        busy = stages.read(tx) is not None or bool(removals.unfinished(tx)) or later.any_left(tx)
        rows = Rows(tx, moments, known, forms, found, busy=busy)
        places = {row.number: row for row in audiences.everyone(tx).values()}
        items = {item.seq: item for item in statements.by_seq(tx, known.seqs | made.keys())}
        cases = []
        for row in past.rows(tx, items):
            if not _asked(row, places[row.audience], asked):
                continue
            item, of = items[row.seq], made.get(row.seq)
            if item.type == ERASED:
                found.unreplayable["replay.erased"] += 1
                continue
            if of is None and row.seq not in known.seqs:
                found.unreplayable[FORMLESS] += 1
                continue
            seq, form = (row.seq, "") if of is None else (of.of, of.shape)
            cases.append(Case(row, seq, items[seq].stix_id, item.version, places[row.audience], form))
        rows.prepare({case.row.seq for case in cases}, past.of_documents(tx, {case.row.seq for case in cases}))
        for case in cases:
            rows.judge(case)
        _once(cases, items, found)
        by_seq: dict[tuple[int, str], list[Case]] = {}
        for case in cases:
            by_seq.setdefault((case.row.seq, case.place.channel), []).append(case)
        for handed in past.handed(tx, {items[case.row.seq].stix_id for case in cases}):
            there = by_seq.get((handed.seq, handed.channel))
            if there and asked.covers(handed.peer, handed.at):
                rows.took(min(there, key=lambda case: abs(case.row.added - handed.at)), handed)


def _once(cases: Iterable[Case], items: Mapping[int, Held], found: Replayed) -> None:
    """Whether what readers know by one id and version never stood twice at a time in one listing (RULES R21)."""
    last: dict[tuple[int, str, str], Case] = {}
    for case in sorted(cases, key=lambda case: case.row.added):
        name = case.row.audience, items[case.row.seq].stix_id, case.version
        before = last.get(name)
        if before is not None and (before.row.closed is None or before.row.closed > case.row.added):
            found.differs(case.differs("replay.twice", str(moment(before.row.added))))
        last[name] = case


def _seqs(tx: Connection, stix_ids: Collection[str]) -> set[int]:
    return {item.seq for group in statements.held(tx, stix_ids).values() for item in group}


def _asked(row: Row, place: AudienceRow, asked: Asked) -> bool:
    """Whether the row was to be seen by that peer, and in that period."""
    return (
        (not asked.peer or asked.peer in place.members)
        and (asked.since is None or row.closed is None or row.closed >= asked.since)
        and (asked.until is None or row.added < asked.until)
    )


def _whole(store: Store, asked: Asked, found: Replayed) -> None:
    """What no single row shows: rows that nobody listed, rows that are gone, what was handed over without one."""
    with store.reading() as tx:
        for place in audiences.everyone(tx).values():
            if asked.peer and asked.peer not in place.members:
                continue
            for dates, count in sittings.miscounted(tx, place.number):
                found.differs(
                    Mismatch(
                        code="replay.count", channel=place.channel, members=place.members,
                        recorded=str(dates.rows), replayed=str(count),
                    )
                )  # fmt: skip
        for handed in past.nowhere(tx, 1_000):
            if asked.covers(handed.peer, handed.at):
                found.differs(
                    Mismatch(
                        code="replay.unlisted", object=handed.stix_id, version=handed.version, channel=handed.channel,
                        members=(handed.peer,), recorded=handed.agreement,
                    )
                )  # fmt: skip
        found.unreplayable["replay.erased"] += past.nameless(tx)
    found.unreplayable = +found.unreplayable
