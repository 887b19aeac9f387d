"""What a MISP hands over: events, newer versions, deletions; each enters by `sync.accept`, answered as MISP does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.party import ANYBODY, Source
from exchange.serve.misp.errors import EMPTY, EXISTS, NOT_NEWER
from exchange.store import Store, statements
from tests.serve.house import House
from tests.serve.wire import BASE, CERT1, CERT2, EVENT, STAMP, Misp, attribute, event, house_of, misp_terms, refused
from tests.world import NODE, OPEN_WRITE


@pytest.fixture
def house(memory: Store) -> House:
    return house_of(memory)


def listed(house: House, who: str = "ccc") -> list[dict[str, Any]]:
    """What stands in the collection for `who`, over TAXII."""
    return list(house.get(f"/api/collections/{OPEN_WRITE}/objects/", who).json.get("objects", []))


def domains(house: House, who: str = "ccc") -> set[str]:
    return {o["pattern"].split("'")[1] for o in listed(house, who) if o["type"] == "indicator"}


def test_an_event_comes_in_and_reaches_the_others(house: House) -> None:
    peer = Misp(house)
    assert peer.head(f"/events/view/{EVENT}") == 404
    answer = peer.push(event(attribute("a.example", 1), attribute("b.example", 2)))
    assert answer.status_code == 200, answer.text
    told = answer.json["Event"]
    assert (told["uuid"], told["timestamp"], told["attribute_count"]) == (EVENT, str(STAMP), "2")
    assert (told["info"], told["threat_level_id"], told["analysis"]) == ("E1", "2", "1")
    assert told["Orgc"] == {"id": "1", "name": "CERT1", "uuid": CERT1, "local": True}
    assert peer.head(f"/events/view/{EVENT}") == 200
    assert domains(house) == {"a.example", "b.example"}


def test_which_events_are_wanted(house: House) -> None:
    peer, other = Misp(house), "5c4e0000-0000-4000-8000-00000000b001"
    peer.push(event(attribute("a.example")))

    def asked(*pairs: tuple[str, int]) -> list[str]:
        body = [{"Event": {"uuid": uuid, "timestamp": str(stamp)}} for uuid, stamp in pairs]
        return list(peer.post("/events/filterEventIdsForPush", body).json)

    assert asked((EVENT, STAMP), (other, 1)) == [other]
    assert asked((EVENT, STAMP - 1)) == []
    assert asked((EVENT, STAMP + 1)) == [EVENT]
    assert peer.post("/events/filterEventIdsForPush", []).json == []


def test_only_what_is_newer_is_taken(house: House) -> None:
    """Equal and older: 403 with the very text that MISP keeps out of its log."""
    peer = Misp(house)
    peer.push(event(attribute("a.example")))
    for stamp in (STAMP, STAMP - 5):
        body = refused(peer.push(event(attribute("b.example", 2), stamp=stamp)), 403)
        assert body["errors"] == NOT_NEWER
        assert body["saved"] is False
    assert domains(house) == {"a.example"}
    newer = peer.push(event(attribute("b.example", 2, timestamp=str(STAMP + 5)), stamp=STAMP + 5, info="E1 bis"))
    assert newer.json["Event"]["info"] == "E1 bis"
    assert newer.json["Event"]["attribute_count"] == "2"  # what the payload leaves out stays
    assert domains(house) == {"a.example", "b.example"}


def test_an_attribute_changes_with_its_event(house: House) -> None:
    peer = Misp(house)
    peer.push(event(attribute("a.example")))
    assert peer.push(event(attribute("a.example"), stamp=STAMP + 5)).status_code == 200
    assert domains(house) == {"a.example"}
    peer.push(event(attribute("c.example", 1, timestamp=str(STAMP + 6)), stamp=STAMP + 6))
    assert domains(house) == {"c.example"}


def test_an_event_that_is_known_is_not_added_again(house: House) -> None:
    """MISP's 404 with `Location`: it then edits what the last piece of the path names."""
    peer = Misp(house)
    peer.push(event(attribute("a.example")))
    answer = peer.post("/events/add", {"Event": event(attribute("b.example"), stamp=STAMP + 1)})
    assert refused(answer, 404)["message"] == EXISTS
    assert answer.headers["location"].rsplit("/", 1)[1] == EVENT
    unknown = {**event(attribute("a.example")), "uuid": EVENT[:-1] + "9"}
    assert refused(peer.post(f"/events/edit/{unknown['uuid']}", {"Event": unknown}), 404)["name"] == "Invalid event"


def test_r22_what_is_deleted_is_withdrawn(house: House) -> None:
    peer = Misp(house)
    peer.push(event(attribute("a.example", 1), attribute("b.example", 2)))
    gone = attribute("a.example", 1, deleted=True, timestamp=str(STAMP + 5))
    answer = peer.push(event(gone, attribute("b.example", 2), stamp=STAMP + 5))
    assert answer.json["Event"]["attribute_count"] == "1"
    assert domains(house) == {"b.example"}
    back = attribute("a.example", 1, timestamp=str(STAMP + 9))
    assert peer.push(event(back, attribute("b.example", 2), stamp=STAMP + 9)).json["Event"]["attribute_count"] == "2"
    assert domains(house) == {"a.example", "b.example"}


def test_a_removed_tag_is_gone(house: House) -> None:
    peer = Misp(house)
    tag = {"name": "workflow:state", "colour": "#112233", "exportable": True, "local": False}
    first = event(attribute("a.example"))
    peer.push({**first, "Tag": [*first["Tag"], tag]})
    second = event(attribute("a.example"), stamp=STAMP + 5)
    answer = peer.push({**second, "Tag": [*second["Tag"], {**tag, "deleted": True}]})
    assert [each["name"] for each in answer.json["Event"]["Tag"]] == ["tlp:green"]


def test_what_an_account_may_not_hand_in_is_named(house: House) -> None:
    answer = Misp(house).push(event(attribute("a.example"), Orgc={"name": "CERT2", "uuid": CERT2}))
    body = refused(answer, 403)
    assert "CERT2" in body["errors"]
    assert CERT2 in body["errors"]
    assert domains(house) == set()


@pytest.mark.parametrize(("org", "status"), [(CERT2, 200), (ANYBODY, 200), (CERT1[:-1] + "9", 403)])
def test_the_organisations_of_a_source_are_allowed_here_too(memory: Store, org: str, status: int) -> None:
    given = misp_terms()
    source = Source(peer="circl", id="m", kind="misp", url="https://misp.circl.example", orgs=frozenset({org}))
    peers = {**given.peers, "circl": replace(given.peers["circl"], sources=(source,))}
    house = house_of(memory, replace(given, peers=peers))
    creator = {"name": "CERT2", "uuid": CERT2}
    assert Misp(house).push(event(attribute("a.example"), Orgc=creator)).status_code == status


def test_our_own_events_are_changed_here_only(memory: Store) -> None:
    given = misp_terms()
    source = Source(peer="circl", id="m", kind="misp", url="https://misp.circl.example", orgs=frozenset({ANYBODY}))
    peers = {**given.peers, "circl": replace(given.peers["circl"], sources=(source,))}
    house = house_of(memory, replace(given, peers=peers))
    org = {"name": "CERT-QC", "uuid": NODE.partition("--")[2]}
    assert "CERT-QC" in refused(Misp(house).push(event(attribute("a.example"), Orgc=org)), 403)["errors"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"protected": True}, "rotect"),
        ({"stamp": STAMP + 3600 + 600}, str(STAMP + 4200)),
    ],
)
def test_refused_with_words(house: House, more: dict[str, Any], word: str) -> None:
    assert word in refused(Misp(house).push(event(attribute("a.example"), **more)), 403)["errors"]
    assert listed(house) == []


def test_a_published_event_without_content_is_refused_as_misp_does(house: House) -> None:
    body = refused(Misp(house).push(event()), 403)
    assert body["errors"] == {"Event": EMPTY}
    assert body["name"] == "Could not add Event"


def test_a_bad_attribute_is_missing_alone(house: House) -> None:
    answer = Misp(house).push(event(attribute("a.example"), attribute("x", 2, type="ip-dst")))
    assert answer.json["Event"]["attribute_count"] == "1"
    assert domains(house) == {"a.example"}


def test_distribution_stops_here_as_at_any_misp(house: House) -> None:
    """1 has been lowered by the sender: it is for our own community, and goes no further; its sender is told 200."""
    peer = Misp(house)
    answer = peer.push(event(attribute("a.example", 1), attribute("b.example", 2, distribution=1), distribution="3"))
    assert answer.json["Event"]["attribute_count"] == "2"
    assert domains(house) == {"a.example"}
    elsewhere = event(attribute("c.example", 3), distribution=1, uuid=EVENT[:-1] + "7")
    assert peer.push(elsewhere).status_code == 200
    assert peer.head(f"/events/view/{elsewhere['uuid']}") == 200
    assert domains(house) == {"a.example"}


def test_labels_hold(house: House) -> None:
    red = [{"name": "TLP:RED", "colour": "#f00", "exportable": True, "local": False}]
    peer = Misp(house)
    peer.push(event(attribute("a.example", 1), attribute("b.example", 2, Tag=red)))
    assert domains(house) == {"a.example"}


def test_r14_what_others_gave_decides_nothing(house: House) -> None:
    """The same event from another peer, invisible to this one: it is added, not edited, and wanted as unknown."""
    given = event(attribute("a.example"), distribution=0, Orgc={"name": "CERT1", "uuid": CERT1})
    peer = Misp(house)
    house.world.give("cert-ee/feed")
    assert peer.push(given).status_code == 200
    with house.store.reading() as tx:
        assert statements.find(tx, uuid=EVENT)


def test_an_event_by_the_api(house: House) -> None:
    """Without uuid, timestamp, date and creator, as people write them; the creator is the account's organisation."""
    given = {"type": "domain", "category": "Network activity", "value": "a.example", "to_ids": True}
    tags = [{"name": "tlp:green"}]
    body = {"info": "by hand", "distribution": 3, "published": True, "Tag": tags, "Attribute": [given]}
    told = Misp(house).post("/events/add", body).json["Event"]
    assert told["Orgc"]["uuid"] == CERT1
    assert told["timestamp"] == str(int(house.world.now.timestamp()))
    assert [each["value"] for each in told["Attribute"]] == ["a.example"]


def test_delete_withdraws_the_event(house: House) -> None:
    peer = Misp(house)
    peer.push(event(attribute("a.example"), attribute("b.example", 2)))
    assert peer.post(f"/events/delete/{EVENT}", {}).json["saved"] is True
    assert {each["type"] for each in listed(house)} <= {"identity", "note"}, "what is left recalls what was there (R8)"
    refused(peer.post(f"/events/delete/{EVENT}", {}), 404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"Event": 1}', b'{"Event": {"Attribute": 1}}', b"\xff"])
def test_what_is_no_event(house: House, body: bytes) -> None:
    refused(Misp(house).post("/events/add", body), 400)


def test_the_address_of_an_instance_may_name_the_id(house: House) -> None:
    assert BASE.endswith("depot-commun")
    assert Misp(house, base=f"/misp/{OPEN_WRITE}").push(event(attribute("a.example"))).status_code == 200
