"""An agreement that hides producers, read over MISP, as a feed and over TAXII: nothing of them shows anywhere (R26)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.misp import EXTENSION as MISP
from exchange.model.party import Terms
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import CERT1, EVENT, OPEN_WRITE, STAMP, Misp, attribute, event, house_of, misp_terms
from tests.world import NODE, indicator, marked

OURS = EVENT[:-4] + "b002"
SIGHTING = EVENT[:-4] + "c003"
NAMES = (CERT1, EVENT, "CERT1", "CIRCL", "circl")
"""Of the producer, of who gave it, and of its event."""
WORDS = (*NAMES, "Lanterne", "lanterne")
"""And what only the producer's event and its tags say: over TAXII that is content, without the names in it."""
TAXII = ("taxii", "ids")


def under(attribution: str) -> Terms:
    """MISP's terms, where our own house writes too."""
    given = misp_terms()
    hub = replace(given.collections[OPEN_WRITE], writers=("circl", "maison"))
    return replace(
        given,
        collections={**given.collections, OPEN_WRITE: hub},
        agreements=tuple(
            replace(a, send=a.send and replace(a.send, attribution=attribution)) for a in given.agreements
        ),
    )


def address(value: str = "192.0.2.7") -> dict[str, Any]:
    """An observable, which names nobody and so goes as it is, though it stands in the event of CERT1."""
    made = {
        "type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--6f1d2c0b-0a5e-5f0e-9a53-4b1f0c7d9e21",
        "value": value, "extensions": {MISP: {"extension_type": "property-extension", "event": EVENT}},
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


def given(house: House) -> None:
    """What CERT1 says over MISP and STIX, and what our own house says."""
    tag = {"name": 'lanterne:case="7"', "colour": "#112233", "exportable": True, "local": False}
    told = event(attribute("a.example", 1), attribute("b.example", 2, comment="Lanterne"), info="Lanterne of CERT1")
    seen = {"uuid": SIGHTING, "type": "0", "date_sighting": str(STAMP), "source": "lanterne",
            "Organisation": {"uuid": CERT1, "name": "CERT1"}}  # fmt: skip
    told["Attribute"][0]["Sighting"] = [seen]
    assert Misp(house).push({**told, "Tag": [*told["Tag"], tag]}).status_code == 200
    plain = {name: value for name, value in address().items() if name != "extensions"}
    stix = [indicator("c.example", created_by_ref=f"identity--{CERT1}"), indicator("d.example"), plain]
    house.give(*stix, source="circl/osint")
    own = event(attribute("own.example", 0x2001), uuid=OURS, info="Ours")
    answer = Misp(house, "maison").push(
        {**own, "Orgc": {"id": "1", "name": "CERT-QC", "uuid": NODE.partition("--")[2]}}
    )
    assert answer.status_code == 200
    house.tick(seconds=5)


def pages(house: House, who: str) -> dict[str, str]:
    """Every page that a reader may ask for → all that it says, headers too."""
    misp, feed = Misp(house, who), "/feeds/depot-commun/"
    found = {
        "index": misp.post("/events/index", {}), "minimal": misp.post("/events/index", {"minimal": 1, "published": 1}),
        "search": misp.post("/events/restSearch", {"returnFormat": "json", "metadata": 0}),
        "metadata": misp.post("/events/restSearch", {"metadata": 1}),
        "attributes": misp.post("/attributes/restSearch", {}),
        "cache": misp.post("/attributes/restSearch", {"returnFormat": "cache", "includeEventUuid": 1}),
        "sightings": misp.post("/sightings/restSearch/event", {}), "listed": misp.post("/sightings/index", {}),
        "proposals": misp.get("/shadow_attributes/index"), "tags": misp.get("/tags/index"),
        "clusters": misp.post("/galaxy_clusters/restSearch", {}),
        "manifest": house.get(f"{feed}manifest.json", who), "hashes": house.get(f"{feed}hashes.csv", who),
        "taxii": house.get(f"/api/collections/{OPEN_WRITE}/objects/", who),
        "ids": house.get(f"/api/collections/{OPEN_WRITE}/manifest/", who),
    }  # fmt: skip
    for row in misp.post("/events/index", {}).json:
        uuid = row["uuid"]
        found[f"view {uuid}"] = misp.get(f"/events/view/{uuid}/deleted[]:0/deleted[]:1")
        found[f"feed {uuid}"] = house.get(f"{feed}{uuid}.json", who)
    return {name: f"{answer.headers} {answer.text}" for name, answer in found.items() if answer.status_code == 200}


def frames(house: House, who: str = "ccc") -> list[str]:
    """The events that it is told of."""
    return [row["info"] for row in Misp(house, who).post("/events/index", {}).json]


def told(found: dict[str, str]) -> set[tuple[str, str]]:
    """Where which of the words stands that must stand nowhere."""
    return {
        (name, word) for name, text in found.items() for word in (NAMES if name in TAXII else WORDS) if word in text
    }


@pytest.fixture
def house(memory: Store) -> House:
    """A node whose partners may know no producer but our house."""
    made = house_of(memory, under("anonymous"))
    given(made)
    return made


def test_nothing_of_a_hidden_producer_shows(house: House) -> None:
    found = pages(house, "ccc")
    assert {"index", "search", "attributes", "manifest", "hashes", "taxii", "ids"} <= found.keys()
    assert told(found) == set()
    assert "a.example" in found["taxii"] and "192.0.2.7" in found["taxii"]
    assert "a.example" not in found["search"]


def test_nothing_that_stands_in_its_events_goes_over_misp(house: House) -> None:
    """What names nobody goes over TAXII as it is; over MISP it would tell of an event."""
    found = pages(house, "ccc")
    over_misp = {name: text for name, text in found.items() if name not in TAXII}
    for value in ("a.example", "b.example", "c.example", "d.example", "192.0.2.7"):
        assert [name for name, text in over_misp.items() if value in text] == []
    assert frames(house) == ["Ours"]
    assert all("own.example" in found[name] for name in ("search", "attributes", "taxii"))


@pytest.mark.parametrize("path", [f"/events/view/{EVENT}", f"/attributes/view/{EVENT[:-4]}a002"])
def test_its_uuids_are_answered_as_any_that_is_not_there(house: House, path: str) -> None:
    assert Misp(house, "ccc").get(path).status_code == 404
    assert Misp(house, "ccc").head(path) == 404
    assert house.get(f"/feeds/depot-commun/{EVENT}.json", "ccc").status_code == 404


def test_the_producer_reads_back_what_it_gave(house: House) -> None:
    """R3: whoever wrote an event may always have it as it wrote it."""
    answer = Misp(house).get(f"/events/view/{EVENT}")
    assert answer.json["Event"]["info"] == "Lanterne of CERT1"
    assert {each["value"] for each in answer.json["Event"]["Attribute"]} == {"a.example", "b.example"}


def test_who_came_later_is_told_nothing_of_what_was_once_named(memory: Store) -> None:
    """A tombstone stands in an event too: the frame of a producer that is hidden now goes with all that was in it."""
    house = house_of(memory, under("named"))
    given(house)
    before = pages(house, "ccc")
    assert all(word in "".join(before.values()) for word in (CERT1, EVENT, "Lanterne"))
    assert "Lanterne of CERT1" in frames(house)
    house.world.follow(under("anonymous"))
    house.tick(seconds=5)
    found = pages(house, "ccc")
    # Who had it under its own id is told so over TAXII by that id (R8).
    assert told({name: text for name, text in found.items() if name not in TAXII}) == set()
    assert frames(house) == ["Ours"]


@pytest.mark.parametrize("attribution", ["named", "anonymous"])
def test_r13_our_own_event_does_not_name_the_one_that_it_extends(memory: Store, attribution: str) -> None:
    """An id inside stands under our event's label; but where producers are hidden, theirs is not told."""
    house = house_of(memory, under(attribution))
    own = event(attribute("own.example", 0x2001), uuid=OURS, info="Ours", extends_uuid=EVENT)
    own["Orgc"] = {"id": "1", "name": "CERT-QC", "uuid": NODE.partition("--")[2]}
    assert Misp(house, "maison").push(own).status_code == 200
    house.tick(seconds=5)
    found = {name: text for name, text in pages(house, "ccc").items() if name not in TAXII}
    assert any("own.example" in text for text in found.values())
    assert any(EVENT in text for text in found.values()) == (attribution == "named")
    assert Misp(house, "maison").get(f"/events/view/{OURS}").json["Event"]["extends_uuid"] == EVENT
