"""Agreements that are about to end: how near the end is, in steps, so that each step is told once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

from exchange.model.party import Agreement

STEPS = (60, 30, 7)
"""Days left from which on it is told again, and more urgently."""
OVER = -1
"""In place of a step: it has ended, and releases under it have stopped."""


class Ending(NamedTuple):
    """An agreement near its end, or past it."""

    agreement: str
    until: date
    """The last day on which it is in force."""
    days: int
    """Days left, none on the last day itself; below zero: how long ago it ended."""
    step: int
    """The last of STEPS that was reached, or OVER."""
    parties: tuple[str, ...]


def ending(agreement: Agreement, today: date) -> Ending | None:
    """How near its end the agreement is on `today` (UTC); None: further than the first step, or not begun."""
    days = (agreement.end - today).days
    if days > STEPS[0] or agreement.start > today:
        return None
    step = OVER if days < 0 else min(each for each in STEPS if days <= each)
    return Ending(agreement.id, agreement.end, days, step, agreement.parties)


def endings(agreements: Iterable[Agreement], today: date) -> Iterator[Ending]:
    """Those near or past their end, the nearest first."""
    found = (ending(agreement, today) for agreement in agreements)
    yield from sorted((each for each in found if each), key=lambda each: (each.until, each.agreement))
