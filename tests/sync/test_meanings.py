"""Marks that a source defines itself count by its definition, in that source alone (R10, R12)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.meaning import IEP
from exchange.model.party import ANY_TEXT, Receive, Send
from exchange.store import Store
from tests.serve.house import OBJECTS, House, house_terms, ids
from tests.world import agreement, indicator

MARK = "marking-definition--33333333-3333-4333-8333-333333333333"
FRAME = {"type": "marking-definition", "spec_version": "2.1", "id": MARK, "created": "2026-01-01T00:00:00.000Z"}
NOTICE = {**FRAME, "definition_type": "statement", "definition": {"statement": "Copyright 2026, CERT-EE"}}
OPEN = {"extension_type": "property-extension", "iep_version": "2.0", "tlp": "green", "start_date": "2026-01-01"}
POLICY = {**FRAME, "extensions": {IEP: OPEN}}


def bearing(value: str, *marks: str) -> dict[str, Any]:
    return {**indicator(value, tlp=None), "object_marking_refs": [*marks, MARK]}


def house_that(store: Store, *informational: str) -> House:
    receive = Receive(ceiling=Tlp.AMBER, informational_markings=frozenset(informational))
    given = agreement("reseau", "ccc", "cert-ee", "circl", receive=receive, send=Send(ceiling=Tlp.GREEN))
    return House(store, replace(house_terms(), agreements=(given,)))


def seen(house: House) -> list[str]:
    return [each for each in ids(house.get(OBJECTS)) if each.startswith("indicator--")]


@pytest.mark.parametrize("informational", [(), (ANY_TEXT,), (MARK,)])
@pytest.mark.parametrize("together", [True, False])
def test_a_text_is_ignored_only_where_the_agreement_says_so(
    memory: Store, together: bool, informational: tuple[str, ...]
) -> None:
    """With the object or before it; where the agreement says neither `statement` nor the id, it denies as ever."""
    item = bearing("a.example", TLP2_ID[Tlp.GREEN])
    house = house_that(memory, *informational)
    if together:
        house.give(item, NOTICE)
    else:
        house.give(NOTICE)
        house.give(item)
    assert seen(house) == ([item["id"]] if informational else [])


def test_a_policy_in_stix_counts_by_its_words(memory: Store) -> None:
    """Its level is the object's; one of the source's definitions says nothing for another source."""
    house = house_that(memory)
    mine, theirs = bearing("a.example"), bearing("b.example")
    house.give(POLICY, mine)
    house.give(theirs, source="circl/misp")
    assert seen(house) == [mine["id"]]
    strict = {**POLICY, "id": MARK.replace("3333", "4444"), "extensions": {IEP: {**OPEN, "tlp": "red"}}}
    red = {**indicator("c.example"), "object_marking_refs": [strict["id"]]}
    house.give(strict, red)
    assert seen(house) == [mine["id"]]


def test_two_definitions_under_one_id_both_hold(memory: Store) -> None:
    house = house_that(memory)
    later = {**POLICY, "created": "2026-02-01T00:00:00.000Z", "extensions": {IEP: {**OPEN, "tlp": "red"}}}
    house.give(POLICY)
    house.give(later, bearing("a.example"))
    assert seen(house) == []
