"""Versions of an object: `match[version]` on lists, manifest and one object, and the versions resource (5.8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store
from tests.serve.house import MANIFEST, OBJECTS, House, ids, refused
from tests.world import FOLDED, NOW, indicator, marked

FOLDED_OBJECTS = f"/api/collections/{FOLDED}/objects/"


def text(days: int) -> str:
    """The version that `version(days)` has, as TAXII writes it."""
    return (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def version(days: int, value: str = "a.example", **more: Any) -> dict[str, Any]:
    """A version of one object, `days` after NOW (or before it), with words of its own."""
    return indicator(value, modified=NOW + timedelta(days=days), description=f"as of {days}", **more)


@pytest.fixture
def house(memory: Store) -> House:
    """Three versions of a.example, the second of which came last, and one of b.example."""
    house = House(memory)
    for item in (version(-3), version(-1), version(-2), version(0, "b.example")):
        house.give(item)
        house.tick()
    return house


A, B = indicator("a.example")["id"], indicator("b.example")["id"]
ONE = f"{OBJECTS}{A}/"
VERSIONS = f"{ONE}versions/"


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ("", [-1, 0]),
        ("last", [-1, 0]),
        ("first", [-3, 0]),
        ("all", [-3, -1, -2, 0]),
        ("first,last", [-3, -1, 0]),
        ("last,first", [-3, -1, 0]),
        (text(-2), [-2]),
        (text(-2).replace(".000000Z", "Z"), [-2]),
        (f"{text(-2)},{text(0)}", [-2, 0]),
        (f"first,{text(-2)}", [-3, -2, 0]),
        (f"last,{text(-1)}", [-1, 0]),
        (text(5), []),
        (text(-2).replace("Z", "1Z"), []),
    ],
)
def test_match_version(house: House, asked: str, days: list[int]) -> None:
    """Section 3.4.1, in the order in which they were added; objects and manifest agree."""
    params = {"match[version]": asked} if asked else {}
    found = house.get(OBJECTS, params=params).json.get("objects", [])
    assert [item["description"] for item in found] == [f"as of {n}" for n in days]
    entries = house.get(MANIFEST, params=params).json.get("objects", [])
    assert [entry["version"] for entry in entries] == [text(n) for n in days]
    one = house.get(ONE, params=params).json.get("objects", [])
    assert [item["description"] for item in one] == [f"as of {n}" for n in days if n]


def test_a_leap_second_is_a_version_like_any_other(house: House) -> None:
    assert house.get(OBJECTS, params={"match[version]": "2016-12-31T23:59:60Z"}).status_code == 200


def test_the_latest_is_that_of_the_whole_collection(house: House) -> None:
    """An older version that came late is not the latest, also for who asks only for what is new (pitfall 7)."""
    late = house.get(MANIFEST, params={"match[version]": "all"}).json["objects"][1]["date_added"]
    assert ids(house.get(OBJECTS, params={"added_after": late})) == [B]
    assert ids(house.get(OBJECTS, params={"added_after": late, "match[version]": "all"})) == [A, B]


@pytest.mark.parametrize("path", [OBJECTS, MANIFEST])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_of_all_versions_make_the_whole(house: House, path: str, limit: int) -> None:
    whole = house.get(path, params={"match[version]": "all"}).json["objects"]
    found: list[Any] = []
    params = {"match[version]": "all", "limit": str(limit)}
    while True:
        page = house.get(path, params=params).json
        found += page["objects"]
        if not page["more"]:
            break
        params["next"] = page["next"]
    assert found == whole


class TestVersionsResource:
    def test_it_lists_every_version_in_the_order_of_their_adding(self, house: House) -> None:
        answer = house.get(VERSIONS)
        assert answer.json == {"more": False, "versions": [text(-3), text(-1), text(-2)]}
        dates = [entry["date_added"] for entry in house.get(MANIFEST, params={"match[version]": "all"}).json["objects"]]
        assert answer.headers["X-TAXII-Date-Added-First"] == dates[0]
        assert answer.headers["X-TAXII-Date-Added-Last"] == dates[2]
        assert house.get(VERSIONS.rstrip("/")).content == answer.content

    def test_it_is_paged_by_next(self, house: House) -> None:
        """Section 5.8 gives no `next`; without it, clients that page by it never get on (pitfall 10)."""
        first = house.get(VERSIONS, params={"limit": "2"}).json
        assert (first["more"], first["versions"]) == (True, [text(-3), text(-1)])
        assert house.get(VERSIONS, params={"limit": "2", "next": first["next"]}).json == {
            "more": False,
            "versions": [text(-2)],
        }

    def test_only_its_own_parameters_have_effect(self, house: House) -> None:
        """Section 5.8: added_after, limit, next and match[spec_version]."""
        whole = house.get(VERSIONS)
        for query in ("match[version]=last", "match[version]=nonsense", "match[id]=x", "match[type]=,", "foo=1"):
            assert house.get(VERSIONS, query_string=query).content == whole.content
        assert house.get(VERSIONS, params={"match[spec_version]": "2.0"}).json == {}
        last = whole.headers["X-TAXII-Date-Added-Last"]
        empty = house.get(VERSIONS, params={"added_after": last})
        assert empty.json == {}
        assert not [name for name in empty.headers if name.lower().startswith("x-taxii")]
        refused(house.get(VERSIONS, params={"limit": "0"}), 400, "request.limit")

    def test_what_is_not_visible_is_not_there(self, house: House) -> None:
        house.give(indicator("hidden.example", tlp=Tlp.RED))
        for name in (indicator("hidden.example")["id"], indicator("absent.example")["id"], "x", "%00", "a" * 5000):
            refused(house.get(f"{OBJECTS}{name}/versions/"), 404, "request.no_object")
            refused(house.get(f"{OBJECTS}{name}/"), 404, "request.no_object")

    def test_an_object_without_a_version_has_its_date_added(self, house: House) -> None:
        """R14; the same in manifest, versions and filter (pitfall 14)."""
        item = marked(
            {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{'1' * 8}-1111-4111-8111-{'1' * 12}",
             "value": "a.example"}, Tlp.GREEN,
        )  # fmt: skip
        house.give(item)
        path = f"{OBJECTS}{item['id']}/"
        (entry,) = house.get(MANIFEST, params={"match[id]": item["id"]}).json["objects"]
        assert house.get(f"{path}versions/").json["versions"] == [entry["version"]] == [entry["date_added"]]
        for asked in (entry["version"], "first", "last", "all", "first,last"):
            assert ids(house.get(path, params={"match[version]": asked})) == [item["id"]]
        assert house.get(path, params={"match[version]": text(0)}).json == {}

    def test_the_ledger_has_one_row_for_what_was_offered(self, house: House) -> None:
        """R27: the question is kept, and a page without content leaves no row."""
        house.get(VERSIONS, params={"limit": "2"})
        house.get(VERSIONS, params={"match[spec_version]": "2.0"})
        assert house.reads() == [("ccc", f"objects/{A}/versions?limit=2", 2)]


def test_r23_the_versions_of_a_folded_twin_are_reached(memory: Store) -> None:
    house = House(memory)
    first = version(-2)
    twin = "indicator--00000000-0000-4000-8000-999999999999"
    house.give(first, source="cert-ee/feed")
    house.give(version(-2, id_=twin), source="circl/feed")
    house.give(version(-1, id_=twin), source="circl/feed")
    assert ids(house.get(FOLDED_OBJECTS)) == [first["id"]]
    assert house.get(f"{FOLDED_OBJECTS}{twin}/versions/").json["versions"] == [text(-2), text(-1)]
    assert len(ids(house.get(f"{FOLDED_OBJECTS}{twin}/", params={"match[version]": "all"}))) == 2


@pytest.mark.parametrize(
    "name", ["%00", "indicator--%00", "%FF", "%ED%A0%80", "'", "indicator--" + "g" * 36, "a" * 3000]
)
def test_strange_names_are_only_names(store: Store, name: str) -> None:
    """On each engine: what no object can be called is not there, and never an error of ours."""
    house = House(store)
    house.give(version(0))
    for path in (
        f"{OBJECTS}{name}/",
        f"{OBJECTS}{name}/versions/",
        f"/api/status/{name}/",
        f"/api/collections/{name}/",
    ):
        refused(house.get(path), 404)
    for field in ("id", "type", "spec_version"):
        for path in (OBJECTS, MANIFEST):
            assert house.get(path, query_string=f"match[{field}]={name}").json == {}
            both = house.get(path, query_string=f"match[{field}]={name},{A if field == 'id' else 'indicator,2.1'}")
            assert ids(both) == [A]
