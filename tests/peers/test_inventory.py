"""What a peer holds now is listed to its end or not at all, and chosen objects are brought by their ids."""

import json

import pytest
from doubles import COLLECTION, Shelf, Told, client, indicator, serving, source, stamp, target
from shelf20 import Shelf20

from exchange.errors import PeerProtocol, PeerRefused
from exchange.model.party import Credentials

SIZE = 1300
SPREAD = list(range(SIZE))
TIED = [n // 20 for n in range(SIZE)]


class Listed(Shelf):
    """A shelf whose manifest pages like its objects, and that knows `match[id]`."""

    can_read = True

    def __call__(self, asked):
        if asked.path.endswith(f"/{COLLECTION}/"):
            return Told(
                body=json.dumps({"id": COLLECTION, "title": "x", "can_read": self.can_read, "can_write": True}).encode()
            )
        wanted = asked.query.get("match[id]")
        if wanted:
            held = {indicator(n)["id"]: indicator(n) for n in range(len(self.ticks))}
            found = [held[each] for each in wanted.split(",") if each in held][: self.page]
            return Told(body=json.dumps({"objects": found} if found else {}).encode())
        if not asked.path.endswith("/manifest/") or not self.gives_manifest:
            return super().__call__(asked)
        found, end, size = self._select(asked.query)
        rows = [
            {"id": indicator(n)["id"], "date_added": stamp(self.ticks[n]), "version": indicator(n)["modified"]}
            for n in found
        ]
        more = {"more": True} | ({"next": str(end)} if self.gives_next else {}) if end < size else {}
        return Told(body=json.dumps({"objects": rows, **more} if rows else {}).encode())


def ids(pages):
    return [entry.id for page in pages for entry in page]


WAYS = {
    "next": (Listed(SPREAD, page=200), "2.1"),
    "no next (OpenTAXII)": (Listed(SPREAD, page=200, gives_next=False), "2.1"),
    "no next, ties": (Listed(TIED, page=200, gives_next=False), "2.1"),
    "whole pages": (Listed(SPREAD[:1000], page=500), "2.1"),
    "inclusive, no next": (Listed(TIED, page=200, gives_next=False, inclusive=True), "2.1"),
    "empty": (Listed([]), "2.1"),
    "TAXII 2.0": (Shelf20(SPREAD, page=200), "2.0"),
    "TAXII 2.0 without total": (Shelf20(SPREAD, page=200, gives_total=False), "2.0"),
    "TAXII 2.0, empty": (Shelf20([]), "2.0"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_entry_comes_once_with_version_and_date(way):
    shelf, version = WAYS[way]
    with serving(shelf) as site:
        pages = list(client("taxii").index(source(site.url, version=version)))
        assert len(site.asked) < 40
    assert ids(pages) == [indicator(n)["id"] for n in range(len(shelf.ticks))]
    assert all(0 < len(page) <= 500 for page in pages)
    for number, entry in enumerate(entry for page in pages for entry in page):
        assert (entry.version, entry.added) == (indicator(number)["modified"], stamp(shelf.ticks[number]))


def repeating(asked):
    rows = [{"id": indicator(1)["id"], "date_added": stamp(1)}]
    return Told(body=json.dumps({"objects": rows, "more": True, "next": "x"}).encode())


def undated(asked):
    rows = [{"id": indicator(1)["id"]}]
    return Told(body=json.dumps({"objects": rows, "more": True}).encode())


@pytest.mark.parametrize(
    "shelf",
    [
        repeating,
        undated,
        Listed([3] * 9000, page=20, gives_next=False),
        Listed(SPREAD, gives_manifest=False),
        Shelf20(SPREAD, gives_manifest=False),
    ],
)
def test_an_index_that_cannot_be_read_to_its_end_says_so(shelf):
    """What is missing from an index is taken for gone, so half of one is worse than none."""
    version = "2.0" if isinstance(shelf, Shelf20) else "2.1"
    with serving(shelf) as site, pytest.raises(PeerProtocol) as failed:
        list(client("taxii").index(source(site.url, version=version)))
    assert failed.value.code == "peer.no_index"
    assert len(site.asked) < 15


def test_a_next_that_expires_is_gone_on_from_by_date():
    shelf = Listed(SPREAD, page=200)

    def forgetful(asked):
        return Told(404) if int(asked.query.get("next", 0)) >= 600 else shelf(asked)

    with serving(forgetful) as site:
        found = ids(client("taxii").index(source(site.url)))
    assert sorted(set(found)) == sorted(indicator(n)["id"] for n in range(SIZE))


def test_a_target_that_we_may_not_read_is_empty():
    shelf = Listed(SPREAD[:5])
    with serving(shelf) as site:
        assert len(ids(client("taxii").index(target(site.url)))) == 5
        shelf.can_read = False
        assert ids(client("taxii").index(target(site.url))) == []
    with serving(lambda _: Told(403)) as site, pytest.raises(PeerRefused):
        list(client("taxii").index(target(site.url)))


@pytest.mark.parametrize("page", [7, 1000])
def test_chosen_objects_come_and_what_is_gone_is_said(page):
    wanted = [indicator(n)["id"] for n in range(90)] + [indicator(5000)["id"]]
    with serving(Listed(SPREAD[:100], page=page)) as site:
        pages = list(client("taxii").fetch(source(site.url), wanted))
        assert max(len(asked.query.get("match[id]", "")) for asked in site.asked) < 2500
    assert sorted(made.id for each in pages for made in each.objects) == sorted(wanted[:90])
    assert [(s.id, s.code) for each in pages for s in each.skipped] == [(wanted[90], "peer.gone")]
    assert [each.last for each in pages] == [False] * (len(pages) - 1) + [True]
    assert all(each.cursor is None for each in pages)


@pytest.mark.parametrize("status", [400, 410])
def test_a_query_that_is_refused_is_not_taken_for_an_answer(status):
    """What is only refused is not gone."""
    with serving(lambda _: Told(status)) as site, pytest.raises(PeerProtocol) as failed:
        list(client("taxii").fetch(source(site.url), [indicator(4)["id"]]))
    assert failed.value.code == "peer.query_refused"


def test_objects_that_were_not_asked_for_are_left():
    body = json.dumps({"objects": [indicator(n) for n in range(9)]}).encode()
    with serving(lambda _: Told(body=body)) as site:
        (page,) = client("taxii").fetch(source(site.url), [indicator(4)["id"]])
    assert [made.id for made in page.objects] == [indicator(4)["id"]]
    with serving(lambda _: Told(body=body)) as site:
        (page,) = client("taxii").fetch(source(site.url), [])
    assert page.last
    assert site.asked == []


def test_a_broken_object_is_set_aside_and_the_others_come():
    broken = indicator(2) | {"pattern": "["}
    body = json.dumps({"objects": [indicator(1), broken]}).encode()
    with serving(lambda _: Told(body=body)) as site:
        (page,) = client("taxii").fetch(source(site.url), [indicator(1)["id"], broken["id"]])
    assert [made.id for made in page.objects] == [indicator(1)["id"]]
    assert [each.id for each in page.rejected] == [broken["id"]]


EVENTS = {f"00000000-0000-4000-8000-{n:012d}": 1_700_000_000 + n for n in range(1200)}


def events(asked):
    if asked.path.endswith("/servers/getVersion"):
        return Told(body=json.dumps({"version": "2.5.34", "perm_sync": True}).encode())
    if asked.path.endswith("/events/index"):
        rows = [{"uuid": uuid, "timestamp": str(when)} for uuid, when in EVENTS.items()]
        return Told(body=json.dumps(rows).encode())
    if asked.path.endswith("/manifest.json"):
        return Told(body=json.dumps({uuid: {"timestamp": str(when)} for uuid, when in EVENTS.items()}).encode())
    uuid = next((uuid for uuid in EVENTS if uuid in asked.path), None)
    if uuid is None:
        return Told(404)
    return Told(body=json.dumps({"Event": {"uuid": uuid, "info": "x", "timestamp": str(EVENTS[uuid])}}).encode())


@pytest.mark.parametrize("kind", ["misp", "misp-feed"])
def test_events_are_listed_and_brought_one_by_one(kind):
    with serving(events) as site:
        reading = client(kind, credentials=Credentials(key="k"))
        place = source(site.url, kind)
        pages = list(reading.index(place))
        assert {entry.id: int(entry.version) for page in pages for entry in page} == EVENTS
        assert [len(page) for page in pages] == [500, 500, 200]
        chosen = [*list(EVENTS)[:3], "ffffffff-0000-4000-8000-000000000000", "../../x"]
        site.asked.clear()
        brought = list(reading.fetch(place, chosen))
    assert [page.document.id for page in brought if page.document] == chosen[:3]
    assert {page.document.version for page in brought if page.document} == {str(EVENTS[u]) for u in chosen[:3]}
    assert [skipped.id for page in brought for skipped in page.skipped] == [chosen[3]]
    assert [page.last for page in brought] == [False] * 4 + [True]
    assert not any(".." in asked.path for asked in site.asked)


def test_the_whole_index_of_a_misp_is_asked_for():
    """`since` and the cursor bound a pull; what is compared is everything."""
    with serving(events) as site:
        list(client("misp", credentials=Credentials(key="k")).index(source(site.url, "misp")))
        (index,) = [json.loads(asked.body) for asked in site.asked if asked.path.endswith("/index")]
    assert index == {"minimal": 1, "published": 1}
