"""DELETE (section 5.7): an account withdraws what it stated itself, from the collection that it names (R22)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store, accounts
from exchange.store.tables import audience
from tests.serve.house import OBJECTS, TAXII, WRITABLE, House, house_terms, ids, refused
from tests.world import NOW, OPEN_WRITE, agreement, collection, indicator

ITEM = indicator("a.example")
PATH = f"{WRITABLE}{ITEM['id']}/"


def versions(count: int) -> list[dict[str, Any]]:
    return [indicator("a.example", modified=NOW - timedelta(days=count - n), description=f"{n}") for n in range(count)]


def listed(house: House, who: str = "ccc", **params: str) -> list[str]:
    answer = house.get(WRITABLE, who, params={f"match[{name}]": value for name, value in params.items()})
    return [item["description"] for item in answer.json.get("objects", []) if item["type"] != "note"]


def recalled(house: House, who: str) -> list[str]:
    """What the recall notices that `who` reads are about."""
    answer = house.get(WRITABLE, who, params={"match[type]": "note"})
    return [item["object_refs"][0] for item in answer.json.get("objects", [])]


def test_it_is_gone_for_everybody(house: House) -> None:
    house.post(WRITABLE, {"objects": [ITEM, indicator("b.example")]})
    answer = house.send("DELETE", PATH, "circl")
    assert (answer.status_code, answer.json) == (200, {})
    assert answer.headers["content-type"] == TAXII
    for who in ("ccc", "circl"):
        assert ids(house.get(WRITABLE, who, params={"match[type]": "indicator"})) == [indicator("b.example")["id"]]
        assert recalled(house, who) == [ITEM["id"]], "both could have fetched it (R8)"
        refused(house.get(PATH, who), 404, "request.no_object")
        refused(house.get(f"{PATH}versions/", who), 404, "request.no_object")
    refused(house.send("DELETE", PATH, "circl"), 404, "request.no_object")


def test_without_a_filter_every_version_goes(house: House) -> None:
    """Section 5.7 says the object; the default of 3.4.1 would leave a version that was the latest before."""
    house.post(WRITABLE, {"objects": versions(3)})
    assert house.send("DELETE", PATH, "circl").status_code == 200
    assert listed(house, version="all") == []


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("last", ["0", "1"]),
        ("first", ["1", "2"]),
        ("first,last", ["1"]),
        ("all", []),
        (versions(3)[1]["modified"], ["0", "2"]),
        (versions(3)[1]["modified"].replace(".000000", ""), ["0", "2"]),
    ],
)
def test_match_version(house: House, asked: str, left: list[str]) -> None:
    house.post(WRITABLE, {"objects": versions(3)})
    assert house.send("DELETE", PATH, "circl", params={"match[version]": asked}).status_code == 200
    assert listed(house, version="all") == left
    assert listed(house) == left[-1:]


@pytest.mark.parametrize(
    "query", ["match[version]=2001-01-01T00:00:00Z", "match[spec_version]=2.0",
     "match[version]=2001-01-01T00:00:00Z,2002-01-01T00:00:00Z"]
)  # fmt: skip
def test_what_no_filter_finds_is_not_there(house: House, query: str) -> None:
    house.post(WRITABLE, {"objects": [ITEM]})
    refused(house.send("DELETE", PATH, "circl", query_string=query), 404, "request.no_object")
    assert ids(house.get(WRITABLE)) == [ITEM["id"]]


def test_malformed_filters_remove_nothing(house: House) -> None:
    house.post(WRITABLE, {"objects": [ITEM]})
    for query in (
        "match[version]=all,last",
        "match[version]=",
        "match[version]=x",
        "match[version]=last&match[version]=all",
    ):
        refused(house.send("DELETE", PATH, "circl", query_string=query), 400)
    for query in ("match[spec_version]=2.1", "match[spec_version]=2.0,2.1&limit=0&match[id]=&foo"):
        assert house.send("DELETE", PATH, "circl", query_string=query).status_code == 200
        house.post(WRITABLE, {"objects": [ITEM]})


def test_a_later_post_lists_it_again(house: House) -> None:
    """R22: the mark holds until the same account writes it again; then it comes with a new date (R8)."""
    house.post(WRITABLE, {"objects": [ITEM]})
    before = house.get(WRITABLE).headers["X-TAXII-Date-Added-Last"]
    house.send("DELETE", PATH, "circl")
    house.tick()
    assert house.post(WRITABLE, {"objects": [ITEM]}).json["success_count"] == 1
    after = house.get(WRITABLE, params={"added_after": before})
    assert ids(after) == [ITEM["id"]], "and nothing recalls it any more"
    assert house.get(PATH, "circl").headers["X-TAXII-Date-Added-Last"] > before


def two_writers(memory: Store) -> House:
    given = house_terms()
    shared = collection(OPEN_WRITE, "depot-commun", ("ccc",), writers=("circl", "cert-ee"))
    return House(memory, type(given)(
        peers=given.peers, collections={**given.collections, OPEN_WRITE: shared}, agreements=given.agreements,
        node_identity=given.node_identity,
    ))  # fmt: skip


def test_r22_what_others_stated_stays(memory: Store) -> None:
    """403 while it is visible through others; what is not visible does not exist."""
    house = two_writers(memory)
    house.post(WRITABLE, {"objects": [ITEM]}, "cert-ee")
    house.give(indicator("hidden.example", tlp=Tlp.RED))
    refused(house.send("DELETE", PATH, "circl"), 403, "request.not_yours")
    hidden = f"{WRITABLE}{indicator('hidden.example')['id']}/"
    absent = f"{WRITABLE}{indicator('absent.example')['id']}/"
    answers = [
        house.send("DELETE", path, "circl") for path in (hidden, absent, f"{WRITABLE}nonsense/", f"{WRITABLE}%00/")
    ]
    for answer in answers:
        refused(answer, 404, "request.no_object")
        assert answer.content == answers[0].content
    assert ids(house.get(WRITABLE, "circl")) == [ITEM["id"]]


def test_r22_if_another_statement_is_visible_it_is_listed(memory: Store) -> None:
    house = two_writers(memory)
    newer = indicator("a.example", modified=NOW + timedelta(minutes=1), description="newer")
    house.post(WRITABLE, {"objects": [ITEM]}, "cert-ee")
    house.post(WRITABLE, {"objects": [newer]}, "circl")
    assert house.send("DELETE", PATH, "circl").status_code == 200
    assert house.get(WRITABLE).json["objects"] == [ITEM]


def test_the_table_of_rights(memory: Store) -> None:
    """Section 5.7: read-only 403, write-only 403, neither 404, nobody 401."""
    given = house_terms()
    inbox = collection(OPEN_WRITE, "depot-commun", ("ccc",), writers=("circl",), read_back=False)
    house = House(memory, type(given)(
        peers=given.peers, collections={**given.collections, OPEN_WRITE: inbox},
        agreements=[*given.agreements, agreement("x", "maison")], node_identity=given.node_identity,
    ))  # fmt: skip
    assert house.post(WRITABLE, {"objects": [ITEM]}).json["success_count"] == 1
    refused(house.send("DELETE", PATH, "ccc"), 403, "request.read_only")
    refused(house.send("DELETE", PATH, "circl"), 403, "request.write_only")
    refused(house.send("DELETE", PATH, "maison"), 404, "request.no_collection")
    refused(house.send("DELETE", PATH, None), 401)
    refused(house.send("DELETE", f"{OBJECTS}{ITEM['id']}/", "circl"), 403, "request.read_only")
    assert ids(house.get(WRITABLE)) == [ITEM["id"]]


def test_a_wrong_accept_removes_nothing(house: House) -> None:
    house.post(WRITABLE, {"objects": [ITEM]})
    refused(house.send("DELETE", PATH, "circl", headers={"Accept": "text/html"}), 406)
    assert ids(house.get(WRITABLE)) == [ITEM["id"]]


@pytest.mark.parametrize("name", ["a.example", "b.example", "absent.example"])
def test_r14_nothing_is_told_while_reading_is_refused(house: House, name: str) -> None:
    """As for a GET: mine, another's and what is not there are answered alike, and nothing is removed."""
    house.post(WRITABLE, {"objects": [ITEM]})
    house.give(indicator("b.example"))
    path = f"{WRITABLE}{indicator(name)['id']}/"
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", "out", "op", "why", 1)
    refused(house.send("DELETE", path, "circl"), 503, "request.paused")
    with house.store.writing() as tx:
        accounts.let_go(tx, "circl", "out")
        tx.execute(audience.update().values(open=False))
    refused(house.send("DELETE", path, "circl"), 503, "request.deciding")
    with house.store.writing() as tx:
        tx.execute(audience.update().values(open=True))
    assert sorted(ids(house.get(WRITABLE))) == sorted([ITEM["id"], indicator("b.example")["id"]])


def test_r31_the_brake_inwards(house: House) -> None:
    house.post(WRITABLE, {"objects": [ITEM]})
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", "in", "op", "why", 1)
    refused(house.send("DELETE", PATH, "circl"), 503, "request.paused")
    assert ids(house.get(WRITABLE)) == [ITEM["id"]]
