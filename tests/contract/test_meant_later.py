"""A mark that is defined after what bears it counts as if it had been before (RULES R10, R12, R17), on every engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.meaning import IEP
from exchange.model.party import Receive, Terms
from exchange.store import Store, later
from exchange.sync import afterwards
from tests.contract.test_derived import FROM, under
from tests.contract.test_known_later import MINUTE, Door
from tests.world import emptied, indicator, report, terms

MARK = "marking-definition--33333333-3333-4333-8333-333333333333"
FRAME = {"type": "marking-definition", "spec_version": "2.1", "id": MARK, "created": "2026-01-01T00:00:00.000Z"}


def policy(tlp: str, day: int = 1) -> dict[str, Any]:
    """What the mark means: a policy of this level; of two definitions both hold."""
    said = {"extension_type": "property-extension", "iep_version": "2.0", "tlp": tlp, "start_date": "2026-01-01"}
    return {**FRAME, "created": f"2026-01-{day:02}T00:00:00.000Z", "extensions": {IEP: said}}


def bearing(value: str = "a.example", tlp: Tlp | None = None) -> dict[str, Any]:
    marks = [] if tlp is None else [TLP2_ID[tlp]]
    return {**indicator(value, tlp=None), "object_marking_refs": [*marks, MARK]}


def informed(*marks: str) -> Terms:
    """The usual terms, by which these marks say nothing about who may have it."""
    given = terms()
    receive = Receive(ceiling=Tlp.AMBER, informational_markings=frozenset(marks))
    return replace(given, agreements=tuple(replace(a, receive=receive) for a in given.agreements))


@pytest.mark.parametrize("definitions", [("green",), ("red",), ("green", "red"), ("red", "green")])
@pytest.mark.parametrize("informational", [(), (MARK,)])
def test_r12_the_order_in_which_a_mark_is_defined_changes_nothing(
    store: Store, definitions: tuple[str, ...], informational: tuple[str, ...]
) -> None:
    """Before the object or after it, and however often: what tightens withdraws, what loosens lets go."""
    found = []
    made, inside = bearing(), indicator("b.example", tlp=None)
    about_it = {**report(made, inside, tlp=None), "object_marking_refs": [MARK]}
    steps = [policy(tlp, day) for day, tlp in enumerate(definitions, 1)]
    for at in range(len(steps) + 1):
        world = Door(emptied(store), informed(*informational))
        for each in (*steps[:at], made, *steps[at:]):
            if each is made:
                world.after(made, inside, about_it)
            else:
                world.after(each)
        found.append({each["id"] for each in world.got() if each["type"] != "marking-definition"})
    assert all(each == found[0] for each in found)
    expected = {made["id"], inside["id"], about_it["id"]} if "red" not in definitions else set()
    assert found[0] == expected


def test_r8_what_a_later_definition_tightens_is_recalled(store: Store) -> None:
    world = Door(store, informed(MARK))
    made = bearing(tlp=Tlp.GREEN)
    world.give(FROM, made)
    assert [each["id"] for each in world.got()] == [made["id"]]
    world.after(policy("red"))
    assert world.told() == [made["id"]]


def test_r14_what_another_source_calls_a_mark_says_nothing(store: Store) -> None:
    world = Door(store, informed(MARK))
    world.give(FROM, bearing(tlp=Tlp.GREEN))
    before = world.ask()
    world.after(policy("red"), source="circl/feed")
    assert world.ask() == before


def test_r12_a_part_that_bears_a_mark_waits_for_its_meaning(store: Store) -> None:
    """Whether it is the whole or a part that bears it: what is removed with the part lets the rest go."""
    world = Door(store, under(granular="remove"))
    part = [{"marking_ref": MARK, "selectors": ["description"]}]
    made = indicator(description="for few", granular_markings=part)
    world.give(FROM, made)
    world.after(policy("red"))
    assert [each["id"] for each in world.got() if "pattern" in each] != [made["id"]]
    assert b"for few" not in world.ask()[1]
    world.after(bearing("c.example"))
    assert b"c.example" not in world.ask()[1]


def test_r18_a_definition_for_many_objects_is_applied_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go at once: whoever has them is shut out until the last of them has been looked at."""
    monkeypatch.setattr(later, "MOST", 3)
    monkeypatch.setattr(afterwards, "STEP", 3)
    world = Door(store, informed(MARK))
    everything = [bearing(f"n{at}.example", tlp=Tlp.GREEN) for at in range(8)]
    world.give(FROM, *everything)
    assert len(world.got()) == 8
    world.now += MINUTE
    world.give(FROM, policy("red"))
    assert world.ask()[0] == "503"
    steps = iter((False, True))
    afterwards.resume(store, world.rules, lambda: world.now, lambda: next(steps))
    assert world.ask()[0] == "503"
    afterwards.resume(store, world.rules, lambda: world.now, lambda: False)
    assert world.got() == []
    assert set(world.told()) >= {each["id"] for each in everything}
