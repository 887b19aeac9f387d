"""A TAXII collection is drained without loss from servers with every fault of reference/taxii.md §3."""

import json
from datetime import UTC, datetime

import pytest
from doubles import NOW, Asked, Shelf, Told, Waits, client, indicator, serving, source, stamp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exchange.errors import PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.envelope import PAGE
from exchange.peers import drain, taxii


def pull(url, cursor=None, waits=None, **more):
    return list(client("taxii", waits).pull(source(url, **more), cursor or {}))


def ids(pages):
    return [made.id for page in pages for made in page.objects]


def codes(pages):
    return [skipped.code for page in pages for skipped in page.skipped]


SIZE = 300
SPREAD = list(range(SIZE))
TIED = [n // 20 for n in range(SIZE)]
ONE_POST = [5] * 220
FAULTS = {
    "by the standard": Shelf(SPREAD),
    "a whole POST at one date": Shelf(TIED),
    "everything at one date": Shelf(ONE_POST),
    "no next": Shelf(SPREAD, gives_next=False),
    "no next, ties": Shelf(TIED, gives_next=False),
    "no next, one date, small pages": Shelf([5] * 730, page=1000, gives_next=False),
    "next expires every time": Shelf(TIED, next_dies_after=0),
    "next expires now and then": Shelf(TIED, next_dies_after=3),
    "no dates": Shelf(SPREAD, gives_dates=False),
    "no dates, no manifest": Shelf(SPREAD, gives_dates=False, gives_manifest=False),
    "no next, no dates, but a manifest": Shelf(SPREAD, gives_next=False, gives_dates=False),
    "undefined dates": Shelf(SPREAD, date=lambda _: "undefined"),
    "dates with an offset": Shelf(TIED, date=lambda text: text.replace("Z", "+00:00"), next_dies_after=2),
    "JavaScript dates": Shelf(
        [n * 500 for n in range(100)],
        page=10,
        gives_next=False,
        date=lambda t: datetime.fromisoformat(t).strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    ),
    "inclusive": Shelf(SPREAD, inclusive=True),
    "inclusive, no next": Shelf(SPREAD, inclusive=True, gives_next=False),
    "cut at our limit without a word": Shelf([n * 2 for n in range(1500)], page=PAGE, gives_more=False),
    "empty": Shelf([]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_everything_comes_and_the_drain_ends(fault):
    with serving(FAULTS[fault]) as site:
        pages = pull(site.url)
    assert set(ids(pages)) == {indicator(n)["id"] for n in range(len(FAULTS[fault].ticks))}
    assert len(ids(pages)) == len(set(ids(pages)))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(len(page.objects) <= PAGE for page in pages)
    assert len(site.asked) < 250


@pytest.mark.parametrize("fault", FAULTS)
def test_a_restart_after_any_page_loses_nothing(fault):
    """The cursor of a page holds once the page is committed, whatever the server forgot meanwhile."""
    whole = {indicator(n)["id"] for n in range(len(FAULTS[fault].ticks))}
    with serving(FAULTS[fault]) as site:
        pages = pull(site.url)
        for count in {0, 1, 2, len(pages) // 2, len(pages) - 1}:
            before = pages[:count]
            cursor = json.loads(json.dumps(before[-1].cursor)) if before else {}
            assert set(ids(before)) | set(ids(pull(site.url, cursor))) == whole


@pytest.mark.parametrize("fault", [f for f in FAULTS if "no dates" not in f and "undefined" not in f])
def test_the_next_poll_brings_only_what_is_new(fault):
    shelf = FAULTS[fault]
    with serving(shelf) as site:
        cursor = pull(site.url)[-1].cursor
        again = pull(site.url, cursor)
    assert len(ids(again)) <= (1 if shelf.inclusive else 0)
    assert again[-1].cursor == cursor


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 1, 2]), max_size=60),
    page=st.integers(min_value=1, max_value=9),
    dies=st.one_of(st.none(), st.integers(min_value=0, max_value=3)),
)
def test_with_next_no_pattern_of_dates_loses_an_object(gaps, page, dies):
    ticks, tick = [], 0
    for gap in gaps:
        tick += gap
        ticks.append(tick)
    longest = max((ticks.count(tick) for tick in ticks), default=0)
    assume(dies is None or longest < page * (1 + dies))  # a tie that no `next` outlives cannot be read by anybody
    with serving(Shelf(ticks, page=page, next_dies_after=dies)) as site:
        pages = pull(site.url)
    assert len(set(ids(pages))) == len(ticks)


def test_the_query_is_frozen_during_a_drain():
    with serving(Shelf(SPREAD)) as site:
        pull(site.url, since=datetime(2026, 1, 31, tzinfo=UTC))
    assert {asked.query["added_after"] for asked in site.asked} == {"2026-01-31T00:00:00.000000Z"}
    assert [asked.query.get("next") for asked in site.asked] == [None, *(str(n) for n in range(30, SIZE, 30))]


def test_the_text_received_is_sent_back():
    with serving(Shelf([0, 1], date=lambda text: text.replace("000Z", "+00:00"))) as site:
        cursor = pull(site.url)[-1].cursor
        pull(site.url, cursor)
    assert site.asked[-1].query["added_after"] == stamp(1).replace("000Z", "+00:00")


def endless(asked: Asked) -> Told:
    """DigitalSide's loop: the same page, the same token, more for ever."""
    body = {"objects": [indicator(1)], "more": True, "next": "again"}
    return Told(body=json.dumps(body).encode(), headers={"X-TAXII-Date-Added-Last": stamp(1)})


def test_a_server_that_repeats_itself_is_left():
    with serving(endless) as site:
        pages = pull(site.url)
    assert codes(pages) == ["peer.no_progress"]
    assert len(site.asked) <= 4


def test_a_server_that_only_moves_its_dates_is_left():
    turns = iter(range(10_000))
    body = json.dumps({"objects": [indicator(1)], "more": True}).encode()
    with serving(lambda _: Told(body=body, headers={"X-TAXII-Date-Added-Last": stamp(next(turns))})) as site:
        pages = pull(site.url)
    assert codes(pages) == ["peer.no_progress"]
    assert len(site.asked) < 30


def test_one_date_larger_than_any_page_is_said():
    with serving(Shelf([3] * 50 + [9], page=20, gives_next=False)) as site:
        pages = pull(site.url)
    assert "peer.one_date" in codes(pages)
    assert indicator(50)["id"] in ids(pages)


def test_more_without_any_place_to_go_on_from_is_said():
    shelf = Shelf(SPREAD, gives_next=False, gives_dates=False, gives_manifest=False)
    with serving(shelf) as site:
        pages = pull(site.url)
    assert codes(pages) == ["peer.no_position"]
    assert pages[-1].cursor == {}


def test_a_malformed_page_leaves_the_cursor_where_it_was():
    def second_is_broken(asked: Asked) -> Told:
        return Told(body=b'{"objects": [{"type"') if "next" in asked.query else Shelf(SPREAD)(asked)

    with serving(second_is_broken) as site:
        pages, drain = [], client("taxii").pull(source(site.url), {})
        with pytest.raises(PeerProtocol) as failed:
            pages += drain
    assert failed.value.code == "peer.malformed"
    with serving(Shelf(SPREAD)) as site:
        page = next(iter(client("taxii").pull(source(site.url), {})))
        assert len(set(ids([page])) | set(ids(pull(site.url, page.cursor)))) == SIZE


def test_a_bad_object_is_set_aside_by_itself():
    body = {"objects": [indicator(1), {"type": "indicator", "id": "nonsense"}, indicator(2)]}
    with serving(lambda _: Told(body=json.dumps(body).encode())) as site:
        pages = pull(site.url)
    assert ids(pages) == [indicator(1)["id"], indicator(2)["id"]]
    assert [bad.code for page in pages for bad in page.rejected] == ["content.id"]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "bundle", "id": "bundle--1", "objects": [indicator(1)]},
        [indicator(1)],
        {"objects": [indicator(1)], "more": None} | {"more": False},
    ],
)
@pytest.mark.parametrize("media", ["application/json", "application/stix+json; charset=utf-8", "text/plain"])
def test_other_shapes_and_media_types_are_read(body, media):
    told = Told(body=b"\xef\xbb\xbf" + json.dumps(body).encode(), headers={"Content-Type": media})
    with serving(lambda _: told) as site:
        assert ids(pull(site.url)) == [indicator(1)["id"]]


@pytest.mark.parametrize("told", [Told(204), Told(416), Told(404), Told(body=b"{}"), Told(body=b'{"objects": null}')])
def test_every_way_to_say_nothing_is_an_empty_page(told):
    here = Told(body=json.dumps({"id": "x", "title": "t", "can_read": True, "can_write": False}).encode())
    with serving(lambda asked: told if asked.path.endswith("/objects/") else here) as site:
        pages = pull(site.url)
    assert [(page.objects, page.last, page.cursor) for page in pages] == [([], True, {})]


def test_a_collection_that_is_not_there_is_no_empty_one():
    with serving(lambda _: Told(404)) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.no_collection"


def test_a_limit_that_is_too_large_is_halved():
    with serving(lambda a: Told(400) if int(a.query.get("limit", 1)) > 130 else Shelf(SPREAD)(a)) as site:
        assert len(ids(pull(site.url))) == SIZE


def test_nothing_that_helps_is_an_error_not_an_empty_page():
    with serving(lambda _: Told(400)) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.query_refused"
    assert len(site.asked) < 20


def test_a_request_with_next_is_not_repeated_but_resumed_by_date():
    """medallion consumes `next`: the same token again would skip a page in silence."""
    failures = iter([True])

    def once_broken(asked: Asked) -> Told:
        return Told(502) if asked.query.get("next") == "90" and next(failures, False) else shelf(asked)

    shelf, waits = Shelf(TIED), Waits()
    with serving(once_broken) as site:
        pages = pull(site.url, waits=waits)
    assert len(set(ids(pages))) == SIZE
    tokens = [asked.query.get("next") for asked in site.asked]
    assert tokens[:5] == [None, "30", "60", "90", None]
    assert waits.seconds == [1.0]


def test_a_server_that_keeps_failing_within_a_drain_is_given_up():
    answers = iter([Shelf(SPREAD)])

    def once(asked: Asked) -> Told:
        shelf = next(answers, None)
        return shelf(asked) if shelf else Told(502)

    with serving(once) as site, pytest.raises(PeerUnreachable):
        pull(site.url)
    assert len(site.asked) < 12


def test_without_dates_the_next_poll_begins_a_margin_before_the_servers_clock():
    with serving(Shelf(SPREAD, gives_dates=False, gives_manifest=False)) as site:
        assert pull(site.url)[-1].cursor == {"added_after": "2026-11-21T11:50:00.000000Z"}
    assert NOW.hour == 12


def test_a_refusal_stops_the_drain():
    with serving(lambda _: Told(403)) as site, pytest.raises(PeerRefused):
        pull(site.url)


def test_memory_does_not_grow_with_the_collection(monkeypatch):
    monkeypatch.setattr(drain, "_REMEMBERED", 120)
    drains, largest = [], 0
    monkeypatch.setattr(taxii, "Drain", lambda *given: drains.append(drain.Drain(*given)) or drains[-1])
    with serving(Shelf(SPREAD, page=50)) as site:
        for _ in client("taxii").pull(source(site.url), {}):
            largest = max(largest, len(drains[0]._seen.keys))
    assert 0 < largest <= 120
