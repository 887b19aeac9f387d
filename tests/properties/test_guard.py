"""What a filter between two MISP would stop, put to our own doors: events come in, and a partner asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exchange import convert
from exchange.model.envelope import Page
from exchange.store import Store
from exchange.sync.accept import accept
from tests.properties.border import GIVER, Group, Says
from tests.properties.test_misp_leak import SOURCES, leak_terms, over_taxii
from tests.serve.house import House

OPEN, SECRET, BOTH = "ouvert.example", "secret.example", {"ouvert.example", "secret.example"}
OTHERS = Group(("9e9e9e9e-0000-4000-8000-000000000009",))
PLACES = ("attribute", "object", "attribute of an object")


def _attribute(number: int, value: str) -> dict[str, Any]:
    return {
        "uuid": f"5c4e0000-0000-4000-8000-{number:012d}", "type": "domain", "category": "Network activity",
        "value": value, "to_ids": True, "timestamp": "1793000000", "comment": "", "deleted": False, "distribution": "5",
    }  # fmt: skip


def _event(said: Says, place: str, whole: Says | None = None) -> dict[str, Any]:
    """An event for all, GREEN, with one attribute that inherits, and `said` at the place where the secret is."""
    secret = _attribute(3, SECRET)
    made: dict[str, Any] = {
        "uuid": "5c4e0000-0000-4000-8000-000000000001", "info": "info", "date": "2026-11-01", "published": True,
        "timestamp": "1793000000", "threat_level_id": "2", "analysis": "1", "extends_uuid": "",
        "Orgc": {"uuid": "bbbbbbbb-0000-4000-8000-000000000001", "name": "Auteur"},
        **(whole or Says("3", tags=("tlp:green",))).json(), "Attribute": [_attribute(2, OPEN)], "Object": [],
    }  # fmt: skip
    if place == "attribute":
        made["Attribute"].append(secret | said.json())
        return made
    holder = {
        "uuid": "5c4e0000-0000-4000-8000-000000000004", "name": "domain-ip", "meta-category": "network",
        "template_uuid": "43b3b146-77eb-4931-b4cc-b66c60f28734", "template_version": "9", "timestamp": "1793000000",
        "description": "", "comment": "", "deleted": False, "distribution": "5", "ObjectReference": [],
        "Attribute": [secret | {"object_relation": "domain"}],
    }  # fmt: skip
    if place == "object":
        holder |= {key: value for key, value in said.json().items() if key != "Tag"}
    else:
        holder["Attribute"][0] |= said.json()
    made["Object"].append(holder)
    return made


def _seen(store: Store, event: dict[str, Any], who: str = "cert-ee") -> set[str]:
    """Which of the two values the partner reads."""
    house, source = House(store, leak_terms()), SOURCES[False]
    for page in convert.pages(json.dumps({"Event": event}).encode(), source, now=house.world.now):
        accept(store, house.world.rules, page, source.key, GIVER, house.world.now)
    accept(store, house.world.rules, Page(last=True), source.key, GIVER, house.world.now)
    house.tick()
    read = b"".join(over_taxii(house, who)).decode()
    return {value for value in (OPEN, SECRET) if value in read}


def test_what_nothing_restricts_is_read(memory: Store) -> None:
    """The tests below would prove nothing if the partner read nothing."""
    assert _seen(memory, _event(Says(), "attribute")) == BOTH


@pytest.mark.parametrize("place", ["attribute", "attribute of an object"])
@pytest.mark.parametrize("tag", ["tlp:red", "TLP: RED", "tlp:rainbow", "pfc:vert"])
def test_a_tag_above_the_ceiling_or_unknown(memory: Store, tag: str, place: str) -> None:
    """On a part it keeps that part; the rest is read."""
    assert _seen(memory, _event(Says(tags=(tag,)), place)) == {OPEN}


@pytest.mark.parametrize("tag", ["tlp:red", "tlp:rainbow"])
def test_a_tag_on_the_event_keeps_all_of_it(memory: Store, tag: str) -> None:
    """Beside a looser one as well."""
    assert _seen(memory, _event(Says(), "attribute", Says("3", tags=("tlp:green", tag)))) == set()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_what_is_for_one_organisation_or_community_stays(memory: Store, level: str, place: str) -> None:
    """2 as well: whoever gave it to us meant its own communities and ours (policy.md section 8)."""
    assert _seen(memory, _event(Says(level), place)) == {OPEN}


@pytest.mark.parametrize("place", PLACES)
def test_a_group_that_names_others(memory: Store, place: str) -> None:
    """Neither the value nor the group is read."""
    assert _seen(memory, _event(Says("4", OTHERS), place)) == {OPEN}
