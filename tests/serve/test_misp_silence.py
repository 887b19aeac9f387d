"""What others hand over and keep for a few leaves no trace (R14), and what stands around a sighting is not its word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import ANYBODY, Source
from exchange.serve.misp import view
from exchange.store import Store, open_store, sighted
from exchange.sync.grouped import Kept
from tests.serve.house import House, ids
from tests.serve.wire import CERT1, CERT2, EVENT, OPEN_WRITE, STAMP, Misp, attribute, event, house_of, misp_terms
from tests.world import SHARED

OTHER = EVENT[:-4] + "b002"
ORG = "33333333-aaaa-4aaa-8aaa-aaaaaaaaaaa3"
"""Of which no partner is the owner."""
GROUP = {"uuid": EVENT[:-4] + "9009", "name": "G", "active": True, "roaming": True,
         "SharingGroupOrg": [{"Organisation": {"uuid": CERT2, "name": "CERT2"}}]}  # fmt: skip
WRITERS = ("circl", "cert-ee")


def bringing(store: Store) -> House:
    """circl and cert-ee hand in what anybody created; what states no level is GREEN by the agreement."""
    given = misp_terms()
    peers = dict(given.peers)
    for name in WRITERS:
        source = Source(peer=name, id="misp", kind="misp", orgs=frozenset({ANYBODY}))
        peers[name] = replace(peers[name], sources=(source,))
    shared = replace(given.collections[OPEN_WRITE], writers=WRITERS)
    return house_of(store, replace(given, peers=peers, collections={**given.collections, OPEN_WRITE: shared}))


def told(org: str, *attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event of this organisation."""
    return event(*attributes, **more) | {"Orgc": {"id": "1", "name": f"Lanterne {org[:4]}", "uuid": org}}


@pytest.fixture
def house(memory: Store) -> House:
    return bringing(memory)


KEPT: dict[str, dict[str, Any]] = {
    "for nobody else": {"distribution": "0", "Tag": []},
    "for this community": {"distribution": "1", "Tag": []},
    "for a group": {"distribution": "4", "SharingGroup": GROUP, "Tag": []},
    "not published": {"published": False, "Tag": []},
}


@pytest.mark.parametrize("kept", KEPT)
def test_r11_who_created_what_is_for_a_few_is_told_to_no_more(house: House, kept: str) -> None:
    """An event that states no TLP, only how far it goes: the agreement's level for it loosens nothing of that."""
    assert Misp(house, "cert-ee").push(told(ORG, attribute("a.example"), **KEPT[kept])).status_code == 200
    house.tick()
    for room in (OPEN_WRITE, SHARED):
        assert ids(house.get(f"/api/collections/{room}/objects/", "ccc")) == []
    # Once the same source says something of it to everybody, its name goes along.
    assert Misp(house, "cert-ee").push(told(ORG, attribute("b.example", 9), uuid=OTHER, Tag=[])).status_code == 200
    assert f"identity--{ORG}" in ids(house.get(f"/api/collections/{OPEN_WRITE}/objects/", "ccc"))


@pytest.mark.parametrize("kind", ["0", "1", "2"])
def test_r11_who_saw_what_is_for_a_few_is_told_to_no_more(house: House, kind: str) -> None:
    """Also where nothing refers to who saw it: false positives and expirations carry the name themselves."""
    seen = {"uuid": EVENT[:-4] + "c003", "type": kind, "date_sighting": str(STAMP), "source": "s",
            "Organisation": {"uuid": CERT2, "name": "CERT2"}}  # fmt: skip
    secret = told(ORG, attribute("a.example", Sighting=[seen]))
    secret["Tag"] = [{**secret["Tag"][0], "name": Tlp.RED.tag}]
    assert Misp(house, "cert-ee").push(secret).status_code == 200
    house.tick()
    assert ids(house.get(f"/api/collections/{OPEN_WRITE}/objects/", "ccc")) == []


@pytest.fixture
def pair(memory: Store) -> Iterator[tuple[House, House]]:
    """Two nodes that live the same life."""
    other = open_store("sqlite://")
    yield bringing(memory), bringing(other)
    other.close()


def asked(house: House, path: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, str], bytes]:
    """What circl is answered where it reads what it did not write."""
    monkeypatch.setattr(view, "_KEPT", Kept())  # each of the two is a process of its own
    answer = Misp(house, base="/misp/partenaires").get(path)
    return answer.status_code, dict(answer.headers), answer.content


def test_r14_in_which_event_it_stands_does_not_depend_on_which_was_heard_of_first(
    pair: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attribute that moved: cert-ee speaks of the second event first, to nobody, in one of the nodes."""
    moved = attribute("a.example")
    for n, house in enumerate(pair):
        if n:
            draft = told(ORG, attribute("h.example", 5), uuid=OTHER, published=False)
            assert Misp(house, "cert-ee").push(draft).status_code == 200
        peer = Misp(house)
        assert peer.push(told(ORG, moved, attribute("b.example", 2))).status_code == 200
        later = {**moved, "timestamp": str(STAMP + 5)}
        assert peer.push(told(ORG, later, uuid=OTHER, stamp=STAMP + 5)).status_code == 200
        house.tick()
    path = f"/attributes/view/{moved['uuid']}"
    one, two = (asked(house, path, monkeypatch) for house in pair)
    assert one == two
    assert OTHER.encode() in one[2], "where it stands now"


def test_r14_the_order_of_sightings_does_not_tell_which_event_was_heard_of_first(
    pair: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are more events than are looked at in one step."""
    monkeypatch.setattr(sighted, "_AT_ONCE", 1)
    for n, house in enumerate(pair):
        if n:
            draft = told(ORG, attribute("h.example", 5), uuid=OTHER, published=False)
            assert Misp(house, "cert-ee").push(draft).status_code == 200
        for place, uuid in enumerate((EVENT, OTHER), 1):
            seen = {"uuid": f"{EVENT[:-4]}c00{place}", "type": "0", "date_sighting": str(STAMP), "source": "s"}
            made = told(ORG, attribute(f"{place}.example", place, Sighting=[seen]), uuid=uuid)
            assert Misp(house).push(made).status_code == 200
        house.tick()
    one, two = (asked(house, "/sightings/restSearch/event", monkeypatch) for house in pair)
    assert one == two
    assert one[2].count(b'"Sighting"') == 2


@pytest.mark.parametrize("says", ["Note", "Sighting", "ShadowAttribute"])
def test_what_is_deleted_around_a_remark_is_not_deleted_by_who_remarks(house: House, says: str) -> None:
    """R22: withdrawn from this collection alone. A remark comes alone; we put the event around it, tombstones too.

    What the mark of a deletion held back would go at the next occasion, whoever gave it (R14).
    """
    peer, gone = Misp(house), attribute("a.example")
    assert peer.push(event(gone, attribute("b.example", 2))).status_code == 200
    house.tick()
    assert peer.post(f"/attributes/delete/{gone['uuid']}", {}).status_code == 200
    who = {"uuid": CERT1, "name": "CERT1"}
    remarks: dict[str, tuple[str, Any]] = {
        "Note": ("/analyst_data/pushAnalystData", {"Note": {
            "uuid": EVENT[:-4] + "d004", "note": "n", "object_uuid": gone["uuid"], "object_type": "Attribute",
            "modified": "2026-11-21 10:00:00", "created": "2026-11-21 10:00:00", "distribution": "3", "Orgc": who,
        }}),
        "Sighting": (f"/sightings/bulkSaveSightings/{EVENT}", [{
            "uuid": EVENT[:-4] + "d005", "attribute_uuid": gone["uuid"], "type": "0", "date_sighting": str(STAMP),
            "Organisation": who,
        }]),
        "ShadowAttribute": (f"/events/pushProposals/{EVENT}", [{
            "uuid": gone["uuid"], "old_id": "7", "type": "domain", "category": "Network activity",
            "value": "p.example", "to_ids": True, "timestamp": str(STAMP), "Org": who,
        }]),
    }  # fmt: skip
    assert peer.post(*remarks[says]).status_code == 200
    # Another gives the same, to nobody: all that is listed under the id is looked at again.
    secret = told(ORG, {**gone, "value": "h.example"}, uuid=OTHER, published=False)
    assert Misp(house, "cert-ee").push(secret).status_code == 200
    house.tick()
    elsewhere = house.get(f"/api/collections/{SHARED}/objects/indicator--{gone['uuid']}/", "ccc")
    assert elsewhere.status_code == 200
    here = house.get(f"/api/collections/{OPEN_WRITE}/objects/indicator--{gone['uuid']}/", "ccc")
    assert here.status_code == 404
