"""The TAXII server as clients meet it: taxii2-client from discovery to status, the paging of real clients, no leak.

Contract: `next`, `added_after` = X-TAXII-Date-Added-Last, and both together each give every object exactly once, at
any limit, and nobody sees what its audience may not have.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from taxii2client.v21 import Server, as_pages

from exchange.model.marking import Tlp
from exchange.store import Store, open_store
from tests.serve.house import BASE, MANIFEST, OBJECTS, WRITABLE, House, Wsgi, ids
from tests.world import SHARED, indicator


@pytest.fixture
def house(store: Store) -> House:
    """A node on each engine."""
    return House(store)


def server_of(house: House, who: str) -> Server:
    """taxii2-client, its session carried into the application."""
    server = Server(f"{BASE}/taxii2/", user=who, password=house.secrets[who])
    server._conn.session.mount("http://", Wsgi(house.app))
    return server


def collection_of(server: Server, alias: str) -> Any:
    root = server.api_roots[0]
    root._conn = server._conn
    found = next(c for c in root.collections if c.custom_properties.get("alias", c._raw.get("alias")) == alias)
    found._conn = server._conn
    return found


class TestTaxii2Client:
    """The library under MISP, XSOAR, the OpenCTI connectors and many scripts."""

    def test_discovery_to_pages(self, house: House) -> None:
        given_ = [indicator(f"{n}.example") for n in range(7)]
        house.give(*given_)
        server = server_of(house, "ccc")
        assert server.title == "CERT-QC"
        assert server.default.url == f"{BASE}/api/"
        shared = collection_of(server, "partenaires")
        assert (shared.id, shared.can_read, shared.can_write) == (SHARED, True, False)
        pages = list(as_pages(shared.get_objects, per_request=3))
        assert [len(page["objects"]) for page in pages] == [3, 3, 1]
        assert [item["id"] for page in pages for item in page["objects"]] == [item["id"] for item in given_]

    def test_manifest_pages_come_to_an_end(self, house: House) -> None:
        """Without `next` in a manifest this client would ask for page one for ever."""
        house.give(*(indicator(f"{n}.example") for n in range(5)))
        shared = collection_of(server_of(house, "ccc"), "partenaires")
        entries = [entry for page in as_pages(shared.get_manifest, per_request=2) for entry in page["objects"]]
        assert len({entry["id"] for entry in entries}) == len(entries) == 5
        assert {entry["version"] for entry in entries} == {"2026-11-21T12:00:00.000000Z"}

    def test_filters_and_one_object(self, house: House) -> None:
        first, second = indicator("a.example"), indicator("b.example")
        house.give(first, second)
        shared = collection_of(server_of(house, "ccc"), "partenaires")
        assert [o["id"] for o in shared.get_objects(id=second["id"])["objects"]] == [second["id"]]
        assert shared.get_objects(type="malware") == {}
        assert shared.get_object(first["id"])["objects"] == [first]

    def test_add_objects_and_its_status(self, house: House) -> None:
        item = indicator("posted.example")
        depot = collection_of(server_of(house, "circl"), "depot-commun")
        assert depot.can_write
        status = depot.add_objects({"objects": [item]}, wait_for_completion=True)
        assert (status.status, status.total_count, status.success_count) == ("complete", 1, 1)
        assert status.successes[0]["id"] == item["id"]
        status.refresh()
        assert status.status == "complete"
        assert ids(house.get(WRITABLE)) == [item["id"]]


def by_next(house: House, path: str, limits: Sequence[int]) -> Iterator[str]:
    """As the standard says: `next`, with any limit on each page."""
    query: dict[str, str] = {}
    for limit in limits:
        page = house.get(path, params=query | {"limit": str(limit)})
        yield from ids(page)
        if not page.json.get("more"):
            return
        query = {"next": page.json["next"]}


def by_header(house: House, path: str, limits: Sequence[int]) -> Iterator[str]:
    """`added_after` = X-TAXII-Date-Added-Last, until a page is empty."""
    query: dict[str, str] = {}
    for limit in limits:
        page = house.get(path, params=query | {"limit": str(limit)})
        yield from ids(page)
        if not page.json:
            assert "X-TAXII-Date-Added-Last" not in page.headers
            return
        query = {"added_after": page.headers["X-TAXII-Date-Added-Last"]}


def by_both(house: House, path: str, limits: Sequence[int]) -> Iterator[str]:
    """OpenCTI before 2024: `next` and a newer `added_after` together."""
    query: dict[str, str] = {}
    for limit in limits:
        page = house.get(path, params=query | {"limit": str(limit)})
        yield from ids(page)
        if not page.json.get("more"):
            return
        query = {"next": page.json["next"], "added_after": page.headers["X-TAXII-Date-Added-Last"]}


def by_next_as_date(house: House, path: str, limits: Sequence[int]) -> Iterator[str]:
    """The early XSOAR feed: `added_after` = `next`."""
    query: dict[str, str] = {}
    for limit in limits:
        page = house.get(path, params=query | {"limit": str(limit)})
        yield from ids(page)
        if not page.json.get("more"):
            return
        query = {"added_after": page.json["next"]}


WAYS = (by_next, by_header, by_both, by_next_as_date)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    groups=st.lists(st.lists(st.sampled_from([Tlp.GREEN, Tlp.AMBER, None]), max_size=9), max_size=4),
    limits=st.lists(st.integers(1, 7), min_size=60, max_size=60),
    pauses=st.lists(st.sampled_from([0.0, 0.000001, 0.001, 1.0, -5.0]), min_size=4, max_size=4),
)
def test_pages_concatenate_to_the_whole_exactly_once(
    groups: list[list[Tlp | None]], limits: list[int], pauses: list[float]
) -> None:
    """Whatever was listed, whatever the limits, even when the clock steps back; and no page shows a foreign object."""
    store = open_store("sqlite://")
    try:
        house = House(store)
        expected = []
        for group, pause in zip(groups, pauses, strict=False):
            items = [indicator(uuid.uuid4().hex, tlp=tlp) for tlp in group]
            house.give(*items)
            expected += [item["id"] for item, tlp in zip(items, group, strict=True) if tlp is Tlp.GREEN]
            house.tick(seconds=pause)
        for way in WAYS:
            for path in (OBJECTS, MANIFEST):
                assert list(way(house, path, limits)) == expected, way.__name__
    finally:
        store.close()


def test_what_comes_while_a_reader_pages_is_not_lost(house: House) -> None:
    """A reader between two pages gets what was added meanwhile, once."""
    house.give(*(indicator(f"{n}.example") for n in range(4)))
    first = house.get(OBJECTS, params={"limit": "3"})
    late = indicator("late.example")
    house.give(late)
    rest = house.get(OBJECTS, params={"limit": "3", "next": first.json["next"]})
    assert ids(rest)[-1] == late["id"]
    assert not set(ids(first)) & set(ids(rest))


def test_more_is_right_at_the_exact_boundary(house: House) -> None:
    house.give(*(indicator(f"{n}.example") for n in range(4)))
    assert house.get(OBJECTS, params={"limit": "4"}).json["more"] is False
    assert house.get(OBJECTS, params={"limit": "3"}).json["more"] is True


def test_next_carries_no_right(house: House) -> None:
    """R20: the `next` of one reader and collection, given elsewhere, is a date and nothing more."""
    house.give(*(indicator(f"{n}.example") for n in range(3)))
    house.post(WRITABLE, {"objects": [indicator("mine.example")]})
    mark = house.get(OBJECTS, params={"limit": "1"}).json["next"]
    assert set(ids(house.get(WRITABLE, "circl", params={"next": mark}))) <= set(ids(house.get(WRITABLE, "circl")))
    assert house.get(OBJECTS, "maison", params={"next": mark}).status_code == 404
