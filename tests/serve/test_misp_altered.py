"""What is altered for a partner, as its MISP reads it: entity by entity, under uuids that tell nothing (R26, R15)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange import convert
from exchange.model.envelope import Page
from exchange.model.party import Source, Terms
from exchange.store import Store
from exchange.sync.accept import accept
from tests.serve.house import House
from tests.serve.wire import EVENT, OPEN_WRITE, STAMP, Misp, attribute, event, house_of, misp_terms

VICTIM = "jeanne.tremblay@ville.example"
WORDS = f"sent to {VICTIM} on Monday"
OBJECT = EVENT[:-4] + "b001"
OWN = attribute("own.example", 0x77)["uuid"]


def under(**clauses: Any) -> Terms:
    """MISP's terms with these clauses in what is sent; ccc and cert-ee read the collection."""
    given = misp_terms()
    hub = replace(given.collections[OPEN_WRITE], readers=("ccc", "cert-ee"))
    return replace(
        given,
        collections={**given.collections, OPEN_WRITE: hub},
        agreements=tuple(replace(a, send=a.send and replace(a.send, **clauses)) for a in given.agreements),
    )


def thing(*attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object of MISP."""
    return {
        "id": "7", "uuid": OBJECT, "name": "email", "meta-category": "network", "description": "", "comment": "",
        "template_uuid": "a0c666e0-fc65-4be8-b48f-3423d788b552", "template_version": "18", "timestamp": str(STAMP),
        "distribution": "5", "sharing_group_id": "0", "deleted": False, "ObjectReference": [],
        "Attribute": list(attributes), **more,
    }  # fmt: skip


def read(house: House, who: str = "ccc") -> dict[str, dict[str, Any]]:
    """uuid → the event, as the MISP of `who` pulls it."""
    misp = Misp(house, who)
    uuids = [row["uuid"] for row in misp.post("/events/index", {"minimal": 1, "published": 1}).json]
    return {uuid: misp.get(f"/events/view/{uuid}/deleted[]:0/deleted[]:1").json["Event"] for uuid in uuids}


def taxii_ids(house: House, who: str = "cert-ee") -> set[str]:
    """The ids that a reader gets over TAXII."""
    return {each["id"] for each in house.get(f"/api/collections/{OPEN_WRITE}/objects/", who).json["objects"]}


def living(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Value → the attribute, of those of an event that are not deleted."""
    return {each["value"]: each for each in found["Attribute"] if not each["deleted"]}


@pytest.fixture
def house(memory: Store) -> House:
    """A node that hands personal information to nobody."""
    return house_of(memory, under(personal="strip"))


def give(house: House, *attributes: dict[str, Any], **more: Any) -> None:
    assert Misp(house).push(event(*attributes, **more)).status_code == 200
    house.tick(seconds=5)


TAG = {"name": 'kill-chain:"Delivery"', "colour": "#112233", "exportable": True, "local": False}


@pytest.mark.parametrize("to_ids", [True, False])
def test_an_altered_comment_mints_the_attributes_uuid_and_no_other(house: House, to_ids: bool) -> None:
    given = attribute("a.example", 1, comment=WORDS, to_ids=to_ids, Tag=[TAG])
    give(house, given, attribute("b.example", 2, comment="seen"))
    (found,) = read(house).values()
    there = living(found)
    assert (found["uuid"], found["info"], set(there)) == (EVENT, "E1", {"a.example", "b.example"})
    assert there["b.example"]["uuid"] == attribute("b.example", 2)["uuid"]
    altered = there["a.example"]
    assert altered["uuid"] != given["uuid"]
    assert altered["to_ids"] is to_ids
    assert altered["comment"] and VICTIM not in str(found)
    assert (altered["type"], altered["category"]) == (given["type"], given["category"])
    assert TAG["name"] in {tag["name"] for tag in altered["Tag"]}


def test_an_altered_value_is_no_indicator(house: House) -> None:
    words = "seen on poste7.ville.local on Monday"
    give(house, attribute(words, 1, type="text", category="Other"), attribute("b.example", 2))
    (found,) = read(house).values()
    (altered,) = [each for value, each in living(found).items() if value != "b.example"]
    assert altered["to_ids"] is False
    assert altered["value"].startswith("seen on ")
    assert "poste7" not in str(found)


@pytest.mark.parametrize("kind", ["text", "comment", "other", "email-body"])
def test_a_text_is_not_about_whom_it_names(house: House, kind: str) -> None:
    """What an attribute's value is about stays in its texts; a text is itself one of those."""
    category = "Payload delivery" if kind == "email-body" else "Other"
    give(house, attribute(WORDS, 1, type=kind, category=category, to_ids=False, comment=WORDS))
    assert VICTIM not in house.get(f"/api/collections/{OPEN_WRITE}/objects/", "cert-ee").text
    (found,) = read(house).values()
    assert VICTIM not in str(found)
    assert [value.startswith("sent to ") for value in living(found)] == [True]


def test_what_is_personal_as_a_whole_is_left_out(house: House) -> None:
    victim = attribute(VICTIM, 1, type="target-email", category="Targeting data", to_ids=False)
    give(house, victim, attribute("b.example", 2))
    (found,) = read(house).values()
    assert set(living(found)) == {"b.example"}
    assert victim["uuid"] not in str(found)


def test_an_object_is_altered_with_all_that_is_in_it(house: House) -> None:
    inner = [
        attribute("phisher@bad.example", 1, type="email-src", category="Payload delivery", object_relation="from"),
        attribute("Facture", 2, type="email-subject", category="Payload delivery", object_relation="subject",
                  comment=WORDS, to_ids=False),
        attribute(VICTIM, 3, type="email-dst", category="Network activity", object_relation="to", to_ids=False),
    ]  # fmt: skip
    give(house, attribute("b.example", 9), Object=[thing(*inner, comment=WORDS)])
    (found,) = read(house).values()
    assert VICTIM not in str(found)
    (made,) = found["Object"]
    assert made["uuid"] != OBJECT and made["name"] == "email"
    assert {each["value"] for each in made["Attribute"]} >= {"Facture", "phisher@bad.example"}
    given = {each["uuid"] for each in inner}
    assert not given & {each["uuid"] for each in made["Attribute"]}


def test_altered_words_of_the_event_give_it_another_uuid(house: House) -> None:
    give(house, attribute("a.example", 1), info=f"Phishing, {WORDS}")
    (found,) = read(house).values()
    assert found["uuid"] != EVENT
    assert found["info"].startswith("Phishing, sent to ")
    assert VICTIM not in str(found) and EVENT not in str(found)
    assert living(found)["a.example"]["uuid"] == attribute("a.example", 1)["uuid"]
    assert Misp(house, "ccc").get(f"/events/view/{EVENT}").status_code == 404


def test_a_later_version_stands_under_the_same_uuid_and_later(house: House) -> None:
    give(house, attribute("a.example", 1, comment=WORDS))
    (before,) = read(house).values()
    later = str(STAMP + 600)
    give(house, attribute("a.example", 1, comment=f"{WORDS}, again", timestamp=later), stamp=STAMP + 600)
    (after,) = read(house).values()
    old, new = living(before)["a.example"], living(after)["a.example"]
    assert old["uuid"] == new["uuid"]
    assert int(new["timestamp"]) > int(old["timestamp"])
    assert int(after["timestamp"]) > int(before["timestamp"])
    assert "again" in new["comment"]


def test_what_is_deleted_is_deleted_under_the_uuid_that_they_know(house: House) -> None:
    give(house, attribute("a.example", 1, comment=WORDS), attribute("b.example", 2))
    (before,) = read(house).values()
    known = living(before)["a.example"]["uuid"]
    gone = attribute("a.example", 1, comment=WORDS, deleted=True, timestamp=str(STAMP + 600))
    give(house, gone, attribute("b.example", 2), stamp=STAMP + 600)
    (after,) = read(house).values()
    assert set(living(after)) == {"b.example"}
    (stone,) = [each for each in after["Attribute"] if each["deleted"]]
    assert stone["uuid"] == known
    assert VICTIM not in str(after) and "a.example" not in str(after)


def test_other_terms_give_it_another_uuid_and_bury_the_former(house: House) -> None:
    give(house, attribute("a.example", 1, comment=WORDS), attribute("b.example", 2))
    (before,) = read(house).values()
    house.world.follow(under(personal="allowed"))
    house.tick(seconds=5)
    (after,) = read(house).values()
    assert living(after)["a.example"]["uuid"] == attribute("a.example", 1)["uuid"]
    assert {each["uuid"] for each in after["Attribute"] if each["deleted"]} == {living(before)["a.example"]["uuid"]}


@pytest.mark.parametrize("to_ids", [True, False])
@pytest.mark.parametrize("redact", [frozenset(), frozenset({"pattern_version"})])
def test_what_an_agreement_redacts_is_not_in_misps_fields_either(
    memory: Store, redact: frozenset[str], to_ids: bool
) -> None:
    """Where nobody can say which fields of MISP say the same, what the object says is all that there is."""
    house = house_of(memory, under(redact=redact | {"description"}))
    given = attribute("a.example", 1, comment="for few", to_ids=to_ids)
    give(house, given, attribute("b.example", 2))
    assert "for few" not in house.get(f"/api/collections/{OPEN_WRITE}/objects/", "ccc").text
    (found,) = read(house).values()
    there = living(found)
    assert set(there) == {"a.example", "b.example"}
    assert "for few" not in str(found)
    assert there["a.example"]["uuid"] != given["uuid"]
    assert there["a.example"]["to_ids"] is to_ids


def test_what_refers_to_an_altered_attribute_finds_it(house: House) -> None:
    """References inside the event, and sightings, go to the uuid under which the reader has it."""
    given = attribute("a.example", 1, comment=WORDS)
    seen = {"uuid": EVENT[:-4] + "c003", "type": "0", "date_sighting": str(STAMP), "source": "sensor"}
    refers = {"uuid": EVENT[:-4] + "c004", "referenced_uuid": given["uuid"], "relationship_type": "drops",
              "object_uuid": OBJECT, "source_uuid": OBJECT, "comment": "", "timestamp": str(STAMP)}  # fmt: skip
    inner = attribute("phisher@bad.example", 2, type="email-src", category="Payload delivery", object_relation="from")
    give(house, {**given, "Sighting": [seen]}, Object=[thing(inner, ObjectReference=[refers])])
    (found,) = read(house).values()
    altered = living(found)["a.example"]["uuid"]
    (made,) = found["Object"]
    assert made["uuid"] == OBJECT
    assert [each["referenced_uuid"] for each in made["ObjectReference"]] == [altered]
    answer = Misp(house, "ccc").post("/sightings/restSearch/event", {"returnFormat": "json", "uuid": [EVENT]})
    assert [each["Sighting"]["attribute_uuid"] for each in answer.json["response"]] == [altered]
    assert given["uuid"] not in answer.text


@pytest.mark.parametrize("to_ids", [True, False])
def test_what_comes_back_goes_nowhere(house: House, to_ids: bool) -> None:
    """R16, R3: MISP carries no tokens, so we know our uuids again, whatever the receiver made of the attribute."""
    inner = attribute("phisher@bad.example", 2, type="email-src", category="Payload delivery", object_relation="from",
                      comment=WORDS)  # fmt: skip
    give(house, attribute("a.example", 1, comment=WORDS), Object=[thing(inner)], info=f"Phishing, {WORDS}")
    (event_uuid,) = before = read(house)
    listed = taxii_ids(house)
    back = before[event_uuid] | {"distribution": "3"}  # they let it go anywhere: else it would stay for that alone
    for each in back["Attribute"]:
        each["to_ids"] = to_ids
    back["Attribute"].append(attribute("own.example", 0x77))
    source = Source(peer="ccc", id="misp", kind="misp", orgs=frozenset({"*"}))
    for page in convert.pages(json.dumps({"Event": back}).encode(), source, now=house.world.now):
        assert not page.rejected
        accept(house.store, house.world.rules, page, source.key, "ccc", house.world.now)
    accept(house.store, house.world.rules, Page(last=True), source.key, "ccc", house.world.now)
    house.tick(seconds=5)
    new = taxii_ids(house) - listed
    assert listed < taxii_ids(house) and f"indicator--{OWN}" in new, "what they add is theirs"
    assert {stix_id.partition("--")[0] for stix_id in new} == {
        "indicator", "observed-data", "domain-name", "relationship",
    }  # fmt: skip
    assert len(new) == 4
    seen = read(house, "cert-ee")
    assert [set(living(each)) for uuid, each in seen.items() if uuid != event_uuid] == [{"own.example"}]
