"""What folding leaves for later: composites of which too many hang on one end, and fronts whose agreement has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exchange.policy import Rules
from exchange.store import Store, folds
from exchange.store.clock import micros
from exchange.sync.accept import require
from exchange.sync.listing import Lister

_STEP = 500
"""Composites of one transaction (RULES R18)."""
_FACTS = 200
"""Facts whose fronts are chosen anew in one transaction."""


def waits(store: Store) -> bool:
    """Whether composites wait to be keyed anew."""
    with store.reading() as tx:
        return folds.postponed(tx) is not None


def refold(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Key the composites that wait, a step at a time; the number of rows that were listed or closed."""
    moved = 0
    while not stopping():
        with store.writing() as tx:
            require(tx, rules)
            found = folds.postponed(tx)
            if found is None:
                break
            number, target, after = found
            lister = Lister(tx, rules, clock())
            whose = next((a for a in lister.audiences if a.fold and lister.numbers[a.key] == number), None)
            some = folds.composites_on(tx, number, [target], _STEP, after=after) if whose else []
            if whose is not None and some:
                moved += lister.fold_again(whose, [row.stix_id for row in some])
            folds.proceed(tx, number, target, some[-1].seq if some else None)
    return moved


def succeed(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Where what stands in front is no longer in force and a twin is, the twin comes forward (RULES R19, R23)."""
    moved = 0
    for audience in rules.audiences:
        after = ""
        while audience.fold and not stopping():
            with store.writing() as tx:
                require(tx, rules)
                lister = Lister(tx, rules, clock())
                number = lister.numbers[audience.key]
                facts = folds.lapsed(tx, number, micros(clock()), after, _FACTS)
                ids = {row.stix_id for row in folds.twins(tx, number, facts)}
                moved += lister.fold_again(audience, sorted(ids)) if ids else 0
            if not facts:
                break
            after = facts[-1]
    return moved
