"""What was seen of a fact reaches all who may know, by whatever twin it was told; what is hidden leaves no trace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store, audiences, open_store
from exchange.sync.terms import NODE_SECRET
from tests.serve.house import MANIFEST, OBJECTS, WRITABLE, House, ids
from tests.serve.wire import EVENT, Misp, attribute, event, house_of
from tests.world import FOLDED, indicator, marked

FACTS = f"/api/collections/{FOLDED}/objects/"
SEEN = "d5e16dc3-5308-4bb8-8ab0-7afa1b797fd2"
TWIN = indicator("a.example", id_="indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b")
FRONT = indicator("a.example")


def about(kind: str, of: Mapping[str, Any], tlp: Tlp = Tlp.GREEN, number: int = 1, **more: Any) -> dict[str, Any]:
    """A sighting or an opinion."""
    ref = {"sighting_of_ref": of["id"]} if kind == "sighting" else {"object_refs": [of["id"]]}
    more = more or ({"count": 3} if kind == "sighting" else {"opinion": "strongly-disagree"})
    made = {
        "type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.UUID(int=number, version=4)}",
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", **ref, **more,
    }  # fmt: skip
    return marked(made, tlp)


@pytest.fixture
def house(memory: Store) -> House:
    """One fact under two ids, of two sources; in the collection of facts one of them stands in front."""
    made = house_of(memory)
    made.give(FRONT, source="cert-ee/feed")
    made.tick()
    made.give(TWIN, source="circl/feed")
    made.tick()
    return made


def test_what_is_told_of_one_twin_reaches_who_reads_the_other_over_taxii(house: House) -> None:
    """It is listed, not folded, and the twin that it names is there under its id, in each collection."""
    assert ids(house.get(FACTS)) == [FRONT["id"]]
    seen, denied = about("sighting", TWIN), about("opinion", TWIN, number=2)
    house.give(seen, denied, source="circl/feed")
    for path in (OBJECTS, FACTS):
        assert {seen["id"], denied["id"]} <= set(ids(house.get(path)))
        assert ids(house.get(f"{path}{TWIN['id']}/")) == [TWIN["id"]]


def test_the_same_posted_over_taxii_reaches_the_others(house: House) -> None:
    """By a subscriber, to a collection that it writes; read in every other."""
    seen = about("sighting", FRONT)
    assert house.post(WRITABLE, {"objects": [seen]}).status_code == 202
    for path in (OBJECTS, FACTS, WRITABLE):
        assert seen["id"] in ids(house.get(path))


def sightings(house: House, alias: str, who: str = "ccc") -> list[dict[str, Any]]:
    """What a MISP reads of all that was seen, of an event at a time."""
    peer = Misp(house, who, f"/misp/{alias}")
    rows = peer.post("/events/index", {"minimal": 1, "published": 1}).json
    found = peer.post("/sightings/restSearch/event", {"uuid": [row["uuid"] for row in rows]})
    assert found.status_code == 200, found.text
    return [each["Sighting"] for each in found.json["response"]]


def attributes(house: House, alias: str, who: str = "ccc") -> dict[str, str]:
    """Uuid → value of what a MISP reads."""
    peer = Misp(house, who, f"/misp/{alias}")
    rows = peer.post("/events/index", {"minimal": 1, "published": 1}).json
    events = [peer.get(f"/events/view/{row['uuid']}").json["Event"] for row in rows]
    return {each["uuid"]: each["value"] for made in events for each in made["Attribute"]}


@pytest.mark.parametrize("alias", ["partenaires", "faits"])
def test_what_is_told_of_one_twin_reaches_who_reads_over_misp(house: House, alias: str) -> None:
    """Under the attribute that this MISP has of the fact: where twins are folded, that of the one in front."""
    house.give(about("sighting", TWIN), about("opinion", TWIN, number=2), source="circl/feed")
    house.tick()
    there = attributes(house, alias)
    found = sightings(house, alias)
    assert {each["type"] for each in found} == {"0", "1"}
    assert {there[each["attribute_uuid"]] for each in found} == {"a.example"}


def test_what_a_misp_saw_reaches_taxii_and_the_other_twins_readers(memory: Store) -> None:
    """Given over MISP for one twin: it is a STIX sighting, or an opinion, in every collection."""
    house = house_of(memory)
    house.give(FRONT, source="cert-ee/feed")
    house.tick()
    peer = Misp(house)
    assert peer.push(event(attribute("a.example"))).status_code == 200
    told = [
        {"uuid": SEEN[:-1] + kind, "type": kind, "date_sighting": "1700000000", "source": "ids",
         "attribute_uuid": attribute("a.example")["uuid"]}
        for kind in "01"
    ]  # fmt: skip
    assert peer.post(f"/sightings/bulkSaveSightings/{EVENT}", told).json["saved"] is True
    house.tick()
    for path in (OBJECTS, FACTS):
        found = {each["id"]: each for each in house.get(path).json["objects"]}
        assert {f"sighting--{SEEN[:-1]}0", f"opinion--{SEEN[:-1]}1"} <= found.keys()
    for alias in ("partenaires", "faits"):
        there = attributes(house, alias)
        assert {there[each["attribute_uuid"]] for each in sightings(house, alias)} == {"a.example"}


PATHS = (OBJECTS, MANIFEST, FACTS, f"/api/collections/{FOLDED}/manifest/", f"{FACTS}{FRONT['id']}/")


def everything(house: House, who: str = "ccc") -> list[tuple[bytes, dict[str, str]]]:
    """All bytes that a partner receives, over TAXII and over MISP."""
    answers = [house.get(path, who) for path in PATHS]
    for alias in ("partenaires", "faits"):
        peer = Misp(house, who, f"/misp/{alias}")
        rows = peer.post("/events/index", {"minimal": 1, "published": 1})
        uuids = [row["uuid"] for row in rows.json]
        answers += [rows, *(peer.get(f"/events/view/{each}") for each in uuids)]
        answers.append(peer.post("/sightings/restSearch/event", {"uuid": uuids}))
    return [(each.content, dict(each.headers)) for each in answers]


@pytest.mark.parametrize("told_of", [FRONT, TWIN], ids=["front", "twin"])
def test_r14_what_others_saw_and_may_not_be_told_leaves_no_trace(told_of: dict[str, Any]) -> None:
    """No sighting, no count, no date, no tag: to whom a source is hidden it might have said nothing."""
    told = []
    for hidden in (False, True):
        store = open_store("sqlite://")
        house = house_of(store)
        with store.writing() as tx:  # else no two nodes have the same
            audiences.set_note(tx, NODE_SECRET, "5e" * 32)
        house.give(FRONT, about("sighting", FRONT, number=9), source="cert-ee/feed")
        house.give(TWIN, source="circl/feed")
        house.tick()
        if hidden:
            house.give(about("sighting", told_of, Tlp.AMBER), about("opinion", told_of, Tlp.AMBER, number=2),
                       source="circl/feed")  # fmt: skip
        house.tick(minutes=5)
        told.append(everything(house))
        store.close()
    assert told[0] == told[1]
    assert b"sighting--" in told[0][0][0]
