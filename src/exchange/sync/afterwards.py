"""What became known after statements that rest on it were listed, and was too much for one transaction (RULES R18).

Whoever may read something that now shows too much is shut out at once, by the transaction that made it known; then it
is looked at again, a step at a time, and they are let in. Broken off, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from exchange.policy import Rules
from exchange.store import Store, audiences, derived, later, references, removals, statements
from exchange.store.audiences import EPOCH
from exchange.store.later import Kind, Later
from exchange.sync import stages
from exchange.sync.accept import STEP, judge_around, require
from exchange.sync.attacked import again
from exchange.sync.lineage import doubtful
from exchange.sync.listing import Lister
from exchange.sync.meanings import meanings_of, restated
from exchange.sync.producers import Producers


def resume(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Do what is left, a step at a time; how many listings changed. Raises StoreBusy and StoreOutdated."""
    changed, left = 0, True
    while left and not stopping():
        with store.writing() as tx:
            require(tx, rules)
            entry = later.first(tx)
            left = entry is not None
            if entry is not None:
                changed += _step(tx, rules, entry, clock())
    return changed


def _step(tx: Connection, rules: Rules, entry: Later, now: datetime) -> int:
    seqs, ids = _LOOKS[entry.kind](tx, rules, entry)
    if not seqs:
        _over(tx, rules, entry)
        return 0
    changed = Lister(tx, rules, now).relist(dict.fromkeys(ids)) if ids else 0
    later.advance(tx, entry.number, seqs[-1])
    return changed


_Some = tuple[Sequence[int], Sequence[str]]
"""The next statements, and the ids to be decided anew because of them."""


def _named(tx: Connection, rules: Rules, entry: Later) -> _Some:
    seqs = derived.hidden(tx, entry.source, entry.about, after=entry.after, upto=entry.upto, most=STEP)
    return seqs, doubtful(tx, Producers(tx, rules), seqs)


def _meant(tx: Connection, rules: Rules, entry: Later) -> _Some:
    meanings = meanings_of(entry.about)
    seqs = references.bearing(tx, entry.source, meanings, after=entry.after, upto=entry.upto, most=STEP)
    return seqs, judge_around(tx, rules, entry.source, restated(tx, seqs, meanings))


def _made(tx: Connection, _: Rules, entry: Later) -> _Some:
    """What an earlier release made or listed otherwise than this one would."""
    seqs = derived.hidden(tx, entry.source, (), after=entry.after, upto=entry.upto, most=STEP)
    return seqs, [item.stix_id for item in statements.by_seq(tx, seqs) if item.stix_id]


_LOOKS: Mapping[Kind, Callable[[Connection, Rules, Later], _Some]] = {
    "names": _named, "marks": _meant, "forms": _made, "victims": again, "messages": again, "persons": again,
}  # fmt: skip


def _over(tx: Connection, rules: Rules, entry: Later) -> None:
    """What was shut for it may be read again, unless the terms are being adopted."""
    later.end(tx, entry.number)
    if entry.shut and audiences.note(tx, EPOCH) == rules.epoch and stages.read(tx) is None:
        removals.reopen(tx, entry.shut)
