"""Proof that a configuration leaks nothing: cases played on a node in memory, judged by an oracle that shares no code
with the policy (RULES R3, R10 to R14, R17, R25).

What is proved is said of the operator's own peers, collections and agreements. Expiry and warninglists are left out:
they only keep more in. Over TAXII everything that leaves is read; of MISP views, the manifest of the feed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.model.benign.choice import NOTHING
from exchange.model.party import Terms
from exchange.store import open_store
from exchange.sync.proof import lattice
from exchange.sync.proof.chance import Chance
from exchange.sync.proof.laws import LAWS, PARTS, Court, Leak, again
from exchange.sync.proof.oracle import Oracle
from exchange.sync.proof.smaller import smallest
from exchange.sync.proof.stage import Answer, Opener, Reader
from exchange.sync.proof.words import Case, Move, Thing

__all__ = [
    "LAWS",
    "MANY",
    "PARTS",
    "Answer",
    "Case",
    "Leak",
    "Move",
    "Opener",
    "Proof",
    "Reader",
    "Thing",
    "attempt",
    "prove",
]

MANY = 1_000_000
"""More cases than there is time for."""
_STRICT_MARKS = ("tlp:amber", "tlp:red", "pfc:vert", "pap:red", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was looked at, and the leak that was found, if any."""

    counts: Mapping[str, int]
    """Law → how often it was put to the test; `released`: how much could be seen. A law at 0 proves nothing."""
    lattice: int
    """Statements of the lattice that were tried in full."""
    cases: int
    """Cases at random."""
    seconds: float
    leak: Leak | None


def prove(
    terms: Terms,
    now: datetime,
    opener: Opener,
    *,
    cases: int,
    seed: int,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Proof:
    """Play the lattice, then `cases` at random until `seconds` are over; stops at the first leak and makes it small.

    The lattice is always whole, however long it takes; making a leak smaller has as long again.
    """
    terms = replace(terms, benign=NOTHING, expiry=())
    begun, tried, done = clock(), 0, 0
    store = open_store("sqlite://")
    try:
        court = Court(store, terms, opener)
        leak = None
        for case in lattice.cases(terms, now):
            tried += sum(len(move.things) for move in case.moves)
            leak = court.permitted(case, every_step=False)
            if leak is not None:
                break
        chance = Chance(terms, now, seed)
        while leak is None and done < cases and clock() - begun < seconds:
            leak = attempt(court, chance)
            done += 1
        counts = dict(court.counts)
        spent = clock() - begun
        if leak is not None:
            found = leak
            leak = smallest(found, lambda c, s: again(court, found, c, s), lambda: clock() - begun < spent + seconds)
        return Proof(counts=counts, lattice=tried, cases=done, seconds=clock() - begun, leak=leak)
    finally:
        store.close()


def attempt(court: Court, chance: Chance) -> Leak | None:
    """One case at random, by all the laws."""
    case = chance.case()
    leak = court.permitted(case)
    if leak is None:
        leak = _tightened(court, chance, case)
    if leak is None and chance.givers:
        silent = sorted(set(chance.givers) - {move.giver for move in case.moves})
        if silent:
            second = chance.others(case, chance.random.choice(silent))
            leak = court.trace(case, second, chance.random.choice((0, 1)))
    return leak


def _tightened(court: Court, chance: Chance, case: Case) -> Leak | None:
    """One mark more on one thing that every giver of it has marked; where things inherit, only marks of one protocol.

    Of several referrers the least restrictive counts, and marks of two protocols have no common order (R11).
    """
    things = [thing for move in case.moves for thing in move.things]
    oracle = Oracle(court.terms, case.at.date())
    silent = {t.number for move in case.moves for t in move.things if not oracle.says(move.giver, t)}
    numbers = sorted({t.number for t in things if t.marks} - silent)
    if not numbers:
        return None
    plain = all(name.startswith("tlp:") for t in things for name in (*t.marks, *t.parts)) and not any(
        t.reach or t.orgs is not None or t.iep or t.draft for t in things
    )
    if silent and not plain:
        return None
    marks = _STRICT_MARKS[:2] if silent else _STRICT_MARKS
    return court.stricter(case, chance.random.choice(numbers), chance.random.choice(marks))
