"""TAXII 2.0 servers are drained without loss, whichever form of Range and of an end they know."""

import json
from itertools import islice

import pytest
from doubles import TAXII, Shelf, Told, client, indicator, serving, source
from shelf20 import STIX, Shelf20

from exchange.errors import PeerProtocol
from exchange.i18n import LANGUAGES, text

SIZE = 1230
SPREAD = list(range(SIZE))
TIED = [n // 20 for n in range(SIZE)]
FAULTS = {
    "by the standard": Shelf20(SPREAD, page=500),
    "pages smaller than asked": Shelf20(TIED, page=130),
    "Range with the sign of taxii2-client": Shelf20(SPREAD, page=500, form="items="),
    "no Range, everything at once": Shelf20(SPREAD, form=None),
    "no total": Shelf20(TIED, page=200, gives_total=False),
    "no Content-Range": Shelf20(SPREAD, page=500, gives_range=False),
    "no dates, but a manifest": Shelf20(SPREAD, page=500, gives_dates=False),
    "no dates, no manifest": Shelf20(TIED, page=500, gives_dates=False, gives_manifest=False),
    "inclusive": Shelf20(SPREAD, page=500, inclusive=True),
    "inclusive, one date": Shelf20([7] * 700, page=100, inclusive=True),
    "empty by 416": Shelf20([], empty=416),
    "empty by 206": Shelf20([], empty=206),
}


def old(url, **more):
    return source(url, version="2.0", **more)


def pull(url, cursor=None, **more):
    return list(client("taxii").pull(old(url, **more), cursor or {}))


def ids(pages):
    return [made.id for page in pages for made in page.objects]


@pytest.mark.parametrize("fault", FAULTS)
def test_everything_comes_once_as_stix_21_and_the_drain_ends(fault):
    with serving(FAULTS[fault]) as site:
        pages = pull(site.url)
    assert ids(pages) == [indicator(n)["id"] for n in range(len(FAULTS[fault].ticks))]
    assert {code for page in pages for made in page.objects for code in made.repairs} <= {"repair.stix20"}
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert [skipped.code for page in pages for skipped in page.skipped] == []
    assert len(site.asked) < 40


@pytest.mark.parametrize("fault", FAULTS)
def test_a_restart_after_any_page_loses_nothing(fault):
    whole = {indicator(n)["id"] for n in range(len(FAULTS[fault].ticks))}
    with serving(FAULTS[fault]) as site:
        pages = pull(site.url)
        for count in range(1, len(pages)):
            cursor = json.loads(json.dumps(pages[count - 1].cursor))
            assert set(ids(pages[:count])) | set(ids(pull(site.url, cursor))) == whole


@pytest.mark.parametrize("fault", [f for f in FAULTS if "no manifest" not in f])
def test_the_next_poll_brings_only_what_is_new_and_ends(fault):
    """OpenCTI-Platform/connectors#7604: an inclusive `added_after` gave the last objects for ever."""
    shelf = FAULTS[fault]
    with serving(shelf) as site:
        cursor = pull(site.url)[-1].cursor
        site.asked.clear()
        again = pull(site.url, cursor)
    tied = shelf.ticks.count(shelf.ticks[-1]) if shelf.ticks else 0
    assert len(ids(again)) <= (tied if shelf.inclusive else 0)
    assert again[-1].cursor == cursor
    assert len(site.asked) < 15


def test_what_is_asked_is_what_the_standard_says():
    """Section 3.4: a range of items; the bundle's media type; the query stays the same within a drain."""
    with serving(Shelf20(SPREAD, page=500)) as site:
        pull(site.url, {"added_after": "2026-01-31T00:00:00.000000Z"})
    assert [asked.headers["Range"] for asked in site.asked] == ["items 0-499", "items 500-999", "items 1000-1499"]
    assert {asked.headers["Accept"] for asked in site.asked} == {STIX}
    assert {asked.query["added_after"] for asked in site.asked} == {"2026-01-31T00:00:00.000000Z"}


def test_a_server_that_repeats_its_page_is_left():
    page = Shelf20([1, 2])
    body = page._range([0, 1], 0, 10**9, paged=True)

    def forever(asked):
        first = int(asked.headers["Range"].removeprefix("items ").partition("-")[0])
        return Told(206, body.body, {**body.headers, "Content-Range": f"items {first}-{first + 1}/1000000"})

    with serving(forever) as site:
        pages = pull(site.url)
    assert [skipped.code for page in pages for skipped in page.skipped] == ["peer.no_progress"]
    assert len(site.asked) < 8


def test_a_content_range_that_lies_moves_nothing():
    """The page is counted, not what the header says of it."""
    shelf = Shelf20(SPREAD, page=100)

    def lying(asked):
        told = shelf(asked)
        return Told(told.status, told.body, {**told.headers, "Content-Range": "items 5000-9000/99999999999999999999"})

    with serving(lying) as site:
        assert len(set(ids(pull(site.url)))) == SIZE


@pytest.mark.parametrize("status", [406, 415])
def test_the_error_says_which_version_to_configure(status):
    """A TAXII 2.0 server that is asked in TAXII 2.1, and the other way round."""
    with serving(lambda _: Told(status)) as site:
        with pytest.raises(PeerProtocol) as new:
            list(client("taxii").pull(source(site.url), {}))
        with pytest.raises(PeerProtocol) as former:
            pull(site.url)
    assert (new.value.code, former.value.code) == ("peer.speaks_taxii20", "peer.no_taxii20")
    for language in LANGUAGES:
        assert 'version = "2.0"' in text(new.value.code, language, **new.value.fields)
        assert 'version = "2.0"' in text(former.value.code, language, **former.value.fields)


def test_a_real_exchange_of_both_versions_gives_the_same_objects():
    """The same collection over 2.0 and 2.1: the same ids and versions, so nothing comes twice after a change."""
    with serving(Shelf20(SPREAD[:90], page=50)) as former, serving(Shelf(SPREAD[:90])) as new:
        before = [(made.id, made.version) for page in pull(former.url) for made in page.objects]
        after = [
            (made.id, made.version)
            for page in client("taxii").pull(source(new.url), {})
            for made in islice(page.objects, None)
        ]
        assert {asked.headers["Accept"] for asked in new.asked} == {TAXII}
    assert before == after
