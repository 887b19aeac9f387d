"""What a filter between two MISP would stop, put to our own doors: events come in, and a partner asks for them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange import convert
from exchange.model.envelope import Page
from exchange.model.marking import Label, Tlp
from exchange.model.misp import UNSAID, kinds_in
from exchange.model.party import Send, Terms
from exchange.policy.clauses import called
from exchange.store import Store
from exchange.sync.accept import accept
from tests.properties.border import GIVER, Group, Says
from tests.properties.test_misp_leak import (
    SOURCES,
    as_a_feed,
    as_a_misp,
    handed_over,
    handed_to_misp,
    leak_terms,
    over_taxii,
)
from tests.serve.house import House

OPEN, SECRET, BOTH = "ouvert.example", "secret.example", {"ouvert.example", "secret.example"}
OTHERS = Group(("9e9e9e9e-0000-4000-8000-000000000009",))
PLACES = ("attribute", "object", "attribute of an object")


WAYS = (over_taxii, as_a_misp, as_a_feed, handed_over, handed_to_misp)


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


WHO = "cert-ee"


def _terms(**clauses: Any) -> Terms:
    """Those of the leak tests, where the partner's agreement also says this of what goes."""
    made = leak_terms()
    agreements = [
        replace(a, send=replace(a.send, **clauses)) if a.send is not None and WHO in a.parties else a
        for a in made.agreements
    ]
    return replace(made, agreements=tuple(agreements))


def given(store: Store, event: dict[str, Any], **clauses: Any) -> House:
    """A node that got the event from a partner."""
    house, source = House(store, _terms(**clauses)), SOURCES[False]
    for page in convert.pages(json.dumps({"Event": event}).encode(), source, now=house.world.now):
        accept(store, house.world.rules, page, source.key, GIVER, house.world.now)
    accept(store, house.world.rules, Page(last=True), source.key, GIVER, house.world.now)
    house.tick()
    return house


def _seen(store: Store, event: dict[str, Any], **clauses: Any) -> set[str]:
    """Which of the two values the partner reads, whichever way: as STIX, as a MISP, as a feed, or handed to it."""
    house = given(store, event, **clauses)
    seen = []
    for read in WAYS:
        text = b"".join(read(house, WHO)).decode()
        seen.append({value for value in (OPEN, SECRET) if value in text})
    assert all(each == seen[0] for each in seen), seen
    return seen[0]


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


CLAUSES = {
    "type": {"no_misp": frozenset({"type:hostname"})},
    "only types": {"misp": frozenset({"type:domain"})},
    "category": {"no_misp": frozenset({"category:Payload delivery"})},
    "only categories": {"misp": frozenset({"category:Network activity"})},
}
"""What keeps an attribute in that differs from the other one in its type and its category."""


@pytest.mark.parametrize("place", ["attribute", "object"])
@pytest.mark.parametrize("clause", CLAUSES)
def test_an_attribute_of_a_type_or_category_that_does_not_go(memory: Store, clause: str, place: str) -> None:
    """With whatever STIX makes of it, and the whole MISP object that it is in; the rest of the event is read."""
    event = _event(Says("3"), place)
    secret = event["Attribute"][1] if place == "attribute" else event["Object"][0]["Attribute"][0]
    secret |= {"type": "hostname", "category": "Payload delivery"}
    assert _seen(memory, event, **CLAUSES[clause]) == {OPEN}


@pytest.mark.parametrize("said", [{"no_misp": {"template:domain-ip"}}, {"misp": {"template:file"}}])
def test_an_object_of_a_template_that_does_not_go(memory: Store, said: dict[str, set[str]]) -> None:
    """Attributes that stand in no object are not asked."""
    clause = {name: frozenset(words) for name, words in said.items()}
    assert _seen(memory, _event(Says("3"), "object"), **clause) == {OPEN}


@pytest.mark.parametrize("place", ["attribute", "object"])
def test_what_is_asked_for_goes(memory: Store, place: str) -> None:
    """Every word of it is on the lists, and none on those of what stays."""
    misp = frozenset({"type:domain", "category:Network activity", "template:domain-ip"})
    assert _seen(memory, _event(Says("3"), place), misp=misp, no_misp=frozenset({"type:hostname"})) == BOTH


def test_an_event_without_one_of_its_attributes_keeps_its_uuid(memory: Store) -> None:
    """R26: and says nothing of the one that is left out."""
    event = _event(Says("3"), "attribute")
    event["Attribute"][1]["type"] = "hostname"
    house = given(memory, event, no_misp=frozenset({"type:hostname"}))
    _, *events = as_a_misp(house, WHO)
    (read,) = [json.loads(each)["Event"] for each in events]
    assert read["uuid"] == event["uuid"]
    assert [each["uuid"] for each in read["Attribute"]] == [event["Attribute"][0]["uuid"]]
    assert event["Attribute"][1]["uuid"] not in b"".join(events).decode()


@pytest.mark.parametrize("stays", [True, False])
def test_a_proposal_of_a_type_that_does_not_go(memory: Store, stays: bool) -> None:
    """It is no attribute, and has a type."""
    event = _event(Says("3"), "attribute")
    proposal = _attribute(7, SECRET) | {"type": "hostname", "event_uuid": event["uuid"], "old_id": "0"}
    event["Attribute"][1]["value"] = "third.example"
    event["ShadowAttribute"] = [proposal]
    house = given(memory, event, no_misp=frozenset({"type:hostname"} if stays else ()))
    assert (SECRET in b"".join(over_taxii(house, WHO)).decode()) is not stays


def test_what_is_said_nowhere_is_not_guessed() -> None:
    """An object that is part of an event and does not say of which attribute goes only where nobody asks."""
    assert kinds_in({"type": "url"}, {"event": "5c4e0000-0000-4000-8000-000000000001"}) == {UNSAID}
    assert not kinds_in({"type": "url"}, None)
    assert called(Send(ceiling=Tlp.RED, no_misp=frozenset({"type:md5"})), Label(kinds=frozenset({UNSAID})))
    assert not called(Send(ceiling=Tlp.RED), Label(kinds=frozenset({UNSAID})))
