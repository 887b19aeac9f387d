"""An event that comes page by page: cut off it is not here, and nobody is spoken for who did not speak."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.errors import StoreBusy
from exchange.serve.misp import events, taking
from exchange.serve.misp.errors import NOT_NEWER
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import CERT1, CERT2, EVENT, STAMP, Misp, attribute, event, house_of, refused

OTHER = {"uuid": CERT2, "name": "CERT2"}
OWN = {"uuid": CERT1, "name": "CERT1"}
_WHOLE = "aaaaaaaa-0000-4000-8000-00000000000"


@pytest.fixture
def house(memory: Store) -> House:
    return house_of(memory)


def busy_at(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, number: int) -> None:
    """The call `number` of this function finds the store busy."""
    calls: list[int] = []
    real = getattr(place, name)

    def once(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == number:
            raise StoreBusy("store.busy", seconds=2)
        return real(*given, **named)

    monkeypatch.setattr(place, name, once)


def wanted(house: House, stamp: int) -> bool:
    body = [{"Event": {"uuid": EVENT, "timestamp": str(stamp)}}]
    return bool(Misp(house).post("/events/filterEventIdsForPush", body).json)


@pytest.mark.parametrize("page", [2, 3])
def test_a_push_that_was_cut_off_is_taken_again(house: House, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    busy_at(monkeypatch, taking, "accept", page)
    whole = event(*[attribute(f"d{n}.example", n + 1) for n in range(1_100)])
    assert Misp(house).push(whole).status_code == 503
    assert Misp(house).head(f"/events/view/{EVENT}") == 200
    assert wanted(house, STAMP)
    assert not wanted(house, STAMP - 1)
    house.tick(seconds=5)
    assert Misp(house).push(whole).status_code == 200
    assert not wanted(house, STAMP)
    assert refused(Misp(house).push(whole), 403)["errors"] == NOT_NEWER
    house.tick(seconds=5)
    assert len(Misp(house, "ccc").get(f"/events/view/{EVENT}").json["Event"]["Attribute"]) == 1_100


def test_deletions_that_were_cut_off_are_taken_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    Misp(house).push(event(attribute("a.example", 1), attribute("b.example", 2)))
    gone = attribute("a.example", 1, deleted=True, timestamp=str(STAMP + 5))
    changed = event(gone, attribute("b.example", 2), stamp=STAMP + 5)
    busy_at(monkeypatch, events, "withdraw", 1)
    assert Misp(house).push(changed).status_code == 503
    assert wanted(house, STAMP + 5)
    assert Misp(house).push(changed).json["Event"]["attribute_count"] == "1"
    assert not wanted(house, STAMP + 5)


def said_by(org: dict[str, str]) -> dict[str, dict[str, Any]]:
    """One of everything that names a creator of its own."""
    when = "2026-11-20 10:00:00"
    return {
        "Sighting": {"uuid": _WHOLE + "1", "type": "0", "source": "", "date_sighting": str(STAMP), "Organisation": org,
                     "attribute_uuid": attribute("a.example")["uuid"]},
        "Note": {"uuid": _WHOLE + "2", "note": "said", "object_uuid": EVENT, "object_type": "Event", "Orgc": org,
                 "orgc_uuid": org["uuid"], "created": when, "modified": when, "distribution": "3"},
        "ShadowAttribute": {"uuid": _WHOLE + "3", "event_uuid": EVENT, "type": "domain", "value": "x.example",
                            "category": "Network activity", "to_ids": True, "Org": org, "org_uuid": org["uuid"],
                            "timestamp": str(STAMP)},
        "GalaxyCluster": {"uuid": _WHOLE + "4", "value": "said", "type": "x", "tag_name": 'misp-galaxy:x="y"',
                          "version": str(STAMP), "default": False, "distribution": "3", "Orgc": org, "published": True,
                          "GalaxyElement": [], "GalaxyClusterRelation": [],
                          "Galaxy": {"uuid": _WHOLE + "5", "type": "x", "name": "x", "namespace": "misp"}},
    }  # fmt: skip


def told(house: House, kind: str) -> str:
    ask = Misp(house, "ccc")
    if kind == "Sighting":
        return str(ask.post("/sightings/restSearch/event", {"uuid": [EVENT]}).text)
    if kind == "Note":
        return str(ask.get(f"/analyst_data/index/Note/uuid[]:{_WHOLE}2.json").text)
    if kind == "ShadowAttribute":
        return str(ask.get("/shadow_attributes/index/all:1.json").text)
    return str(ask.post("/galaxy_clusters/restSearch", {"published": 1}).text)


@pytest.mark.parametrize("kind", said_by(OWN))
@pytest.mark.parametrize("org", [OWN, OTHER])
def test_beside_an_event_only_the_account_speaks(house: House, kind: str, org: dict[str, str]) -> None:
    sent = {"Event": event(attribute("a.example")), kind: [said_by(org)[kind]]}
    assert Misp(house).post("/events/add/metadata:1", sent).status_code == 200
    house.tick(seconds=3)
    assert (_WHOLE in told(house, kind)) == (org is OWN)
    assert CERT2 not in house.get("/api/collections/", "ccc").text + told(house, kind)


@pytest.mark.parametrize("kind", ["Sighting", "Note", "ShadowAttribute"])
@pytest.mark.parametrize("org", [OWN, OTHER])
def test_inside_an_attribute_too(house: House, kind: str, org: dict[str, str]) -> None:
    assert Misp(house).push(event(attribute("a.example", **{kind: [said_by(org)[kind]]}))).status_code == 200
    house.tick(seconds=3)
    assert (_WHOLE in told(house, kind)) == (org is OWN)
    assert Misp(house, "ccc").get(f"/events/view/{EVENT}").json["Event"]["Attribute"][0]["value"] == "a.example"
