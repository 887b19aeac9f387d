"""An agreement that nears its end is told in steps, each of them once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from policy_world import agreement

from exchange.policy.ending import OVER, STEPS, ending, endings

LAST = date(2026, 12, 31)
NEAR = agreement("near", ["ccc", "circl"])
TOLD = {61: None, 60: 60, 59: 60, 31: 60, 30: 30, 29: 30, 8: 30, 7: 7, 1: 7, 0: 7, -1: OVER, -400: OVER}
"""Days left → the step that was reached (issue: at 60, 30 and 7 days)."""


@pytest.mark.parametrize(("days", "step"), TOLD.items())
def test_r19_each_step_begins_on_its_day(days: int, step: int | None) -> None:
    """The day itself belongs to the step; the last day of the agreement is no end yet, the next one is."""
    found = ending(NEAR, LAST - timedelta(days=days))
    if step is None:
        assert found is None
        return
    assert found == ("near", LAST, days, step, ("ccc", "circl"))


def test_what_has_not_begun_is_not_about_to_end() -> None:
    """An agreement for next week that lasts a fortnight says nothing before its first day."""
    short = agreement("short", ["ccc"], span="last-day")
    assert ending(short, short.start) is None
    last_days = [short.end - timedelta(days=each) for each in (1, 0)]
    assert [ending(short, day) is not None for day in last_days] == [True, True]
    late = agreement("late", ["ccc"], span="begins-tomorrow")
    assert ending(late, late.start - timedelta(days=1)) is None


def test_one_that_begins_within_its_last_days_is_told_from_its_first() -> None:
    """On its first day it is in force, so its end is near."""
    brief = replace(NEAR, start=LAST - timedelta(days=3))
    assert ending(brief, LAST - timedelta(days=4)) is None
    first = ending(brief, LAST - timedelta(days=3))
    assert first is not None
    assert first.step == STEPS[-1] == 7


def test_the_nearest_end_is_told_first() -> None:
    """Of two that end on one day, by name; what is far off is left out."""
    names = ("b", "a", "c")
    made = [agreement(name, ["ccc"]) for name in names]
    gone = agreement("z-gone", ["ccc"], span="ended")
    far = agreement("far", ["ccc"], span="begins-tomorrow")
    told = [each.agreement for each in endings([*made, gone, far], LAST - timedelta(days=30))]
    assert told == ["z-gone", "a", "b", "c"]
    assert STEPS == (60, 30, 7)
    assert OVER == -1
