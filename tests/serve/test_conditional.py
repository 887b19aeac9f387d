"""Conditional requests (RFC 9110 section 13): a reader that has a page already is told so, and nothing else."""

from __future__ import annotations

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store, accounts, open_store
from tests.serve.house import MANIFEST, OBJECTS, House, ids
from tests.world import SHARED, indicator

ITEM = indicator("a.example")
PAGES = [OBJECTS, MANIFEST, f"{OBJECTS}{ITEM['id']}/", f"{OBJECTS}{ITEM['id']}/versions/"]
SMALL = ["/taxii2/", "/api/", "/api/collections/", f"/api/collections/{SHARED}/", "/openapi.json"]


def tag(house: House, path: str, who: str = "ccc", **params: str) -> str:
    answer = house.get(path, who, params=params)
    assert answer.status_code == 200
    found: str = answer.headers["ETag"]
    assert found.startswith('"'), "a strong one"
    return found


@pytest.mark.parametrize("path", PAGES + SMALL)
def test_what_a_reader_has_is_not_sent_again(house: House, path: str) -> None:
    house.give(ITEM, indicator("b.example"))
    whole = house.get(path)
    for header in (whole.headers["ETag"], f"W/{whole.headers['ETag']}", f'"x", {whole.headers["ETag"]}', "*"):
        for method in ("GET", "HEAD"):
            answer = house.send(method, path, headers={"If-None-Match": header})
            assert (answer.status_code, answer.content) == (304, b"")
            same = {
                name: value for name, value in whole.headers.items() if name not in ("content-length", "content-type")
            }
            assert dict(answer.headers) == same
    for header in ('"x"', "x", "", '"', whole.headers["ETag"][1:-1], "*, *x"):
        assert house.get(path, headers={"If-None-Match": header}).content == whole.content


@pytest.mark.parametrize("path", PAGES)
def test_r27_only_what_is_offered_is_in_the_ledger(house: House, path: str) -> None:
    """Neither a 304 nor a HEAD hands an object out."""
    house.give(ITEM)
    seen = tag(house, path)
    before = house.reads()
    assert len(before) == 1
    house.get(path, headers={"If-None-Match": seen})
    house.send("HEAD", path)
    house.get(path, params={"added_after": "2200-01-01T00:00:00Z"})
    assert house.reads() == before


@pytest.mark.parametrize("path", PAGES)
def test_another_page_has_another_tag(house: House, path: str) -> None:
    """Whatever changes a byte changes the tag: what is on the page, whether there is more, and which page it is."""
    house.give(ITEM)
    tags = [tag(house, path)]
    house.tick()
    house.give(indicator("a.example", description="newer", modified=house.world.now), indicator("b.example"))
    tags += [tag(house, path), tag(house, path, limit="1"), tag(house, path, added_after="2200-01-01T00:00:00Z")]
    bodies = {
        house.get(path, params=params).content
        for params in ({}, {"limit": "1"}, {"added_after": "2200-01-01T00:00:00Z"})
    }
    assert len(set(tags[1:])) == len(bodies)
    assert tags[0] not in tags[1:]


def test_equal_pages_have_equal_tags(house: House) -> None:
    """However they are asked for: by alias or id, with a limit that does not cut, and by any reader of the audience."""
    house.give(ITEM)
    assert len({
        tag(house, OBJECTS), tag(house, OBJECTS, limit="500"), tag(house, OBJECTS, **{"match[type]": "indicator"}),
        tag(house, "/api/collections/partenaires/objects/"), tag(house, OBJECTS, "circl"), tag(house, PAGES[2]),
    }) == 1  # fmt: skip


def test_r14_what_is_not_shown_changes_no_tag(memory: Store) -> None:
    """Not that of a page, nor what a conditional request is answered with."""
    other = open_store("sqlite://")
    try:
        houses = House(memory), House(other)
        for n, house in enumerate(houses):
            if n:
                house.give(*(indicator(f"{i}.hidden", tlp=Tlp.RED) for i in range(3)), source="maison/misp")
            house.give(ITEM)
            if n:
                house.give(indicator("z.hidden", tlp=Tlp.RED), source="maison/misp")
        for path in PAGES:
            assert tag(houses[0], path) == tag(houses[1], path)
            assert houses[1].get(path, headers={"If-None-Match": tag(houses[0], path)}).status_code == 304
    finally:
        other.close()


def test_an_error_has_no_tag_and_is_no_304(house: House) -> None:
    house.give(ITEM)
    for path, status in ((f"{OBJECTS}nothing/", 404), (f"{OBJECTS}?limit=0", 400), ("/nowhere", 404)):
        answer = house.get(path.partition("?")[0], query_string=path.partition("?")[2], headers={"If-None-Match": "*"})
        assert answer.status_code == status
        assert "etag" not in answer.headers
    assert house.get(OBJECTS, None, headers={"If-None-Match": "*"}).status_code == 401


def test_r24_revoked_rights_act_before_the_tag(house: House) -> None:
    """A tag carries no right: whoever may not read is told so, though the page has not changed."""
    house.give(ITEM)
    seen = tag(house, OBJECTS)
    with house.store.writing() as tx:
        accounts.revoke(tx, "ccc", 1)
    assert house.get(OBJECTS, headers={"If-None-Match": seen}).status_code == 401


def test_a_page_after_a_304_is_read_on_where_it_was(house: House) -> None:
    house.give(ITEM)
    first = house.get(OBJECTS)
    house.tick()
    house.give(indicator("b.example"))
    again = house.get(OBJECTS, headers={"If-None-Match": first.headers["ETag"]})
    assert ids(again) == [ITEM["id"], indicator("b.example")["id"]]
