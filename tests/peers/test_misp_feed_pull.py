"""A MISP feed is read once for each change, resumes where it was, and one bad file does not hold back the others."""

import json

import pytest
from doubles import Asked, Told, client, serving, source

from exchange.errors import PeerProtocol, PeerRefused
from exchange.model.party import Credentials

FIRST, SECOND, THIRD = (f"5c4e0000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))


class Feed:
    """The files of a feed; `events` is uuid → timestamp."""

    def __init__(self, **events):
        self.events = {FIRST: "1700000001", SECOND: "1700000002", THIRD: "1700000003"} | events
        self.broken: dict[str, Told] = {}

    def __call__(self, asked: Asked) -> Told:
        name = asked.path.removeprefix("/").removesuffix(".json")
        if name != "manifest":
            return self.broken.get(name) or Told(body=event(name, self.events[name]))
        body = json.dumps({u: {"timestamp": t, "info": "x", "Orgc": {}} for u, t in self.events.items()}).encode()
        etag = f'"{hash(body)}"'
        return Told(304) if asked.headers.get("If-None-Match") == etag else Told(body=body, headers={"ETag": etag})


def event(uuid, timestamp="1700000001"):
    return json.dumps({"Event": {"uuid": uuid, "info": "x", "timestamp": timestamp}}).encode()


def pull(url, cursor=None, **more):
    return list(client("misp-feed", **more).pull(source(url, kind="misp-feed"), cursor or {}))


def documents(pages):
    return [page.document.id for page in pages if page.document]


def test_each_event_is_a_page_with_its_original():
    with serving(Feed()) as site:
        pages = pull(site.url)
    assert documents(pages) == [FIRST, SECOND, THIRD]
    assert pages[0].document.raw == event(FIRST)
    assert pages[0].document.version == "1700000001"
    assert [page.last for page in pages] == [False, False, False, True]


def test_an_unchanged_manifest_costs_one_request():
    with serving(Feed()) as site:
        cursor = json.loads(json.dumps(pull(site.url)[-1].cursor))
        site.asked.clear()
        pages = pull(site.url, cursor)
    assert [(page.document, page.last, page.cursor) for page in pages] == [(None, True, cursor)]
    assert [asked.path for asked in site.asked] == ["/manifest.json"]


def test_only_what_changed_is_fetched_and_unconditionally():
    feed = Feed()
    with serving(feed) as site:
        cursor = pull(site.url)[-1].cursor
        feed.events[SECOND] = "1700009999"
        site.asked.clear()
        assert documents(pull(site.url, cursor)) == [SECOND]
    assert "If-None-Match" not in site.asked[-1].headers


def test_an_older_timestamp_and_a_withdrawn_event_change_nothing():
    feed = Feed()
    with serving(feed) as site:
        cursor = pull(site.url)[-1].cursor
        feed.events = {FIRST: "1600000000"}
        assert documents(pull(site.url, cursor)) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_interrupted_load_goes_on_where_it_was(count):
    with serving(Feed()) as site:
        before = pull(site.url)[:count]
        cursor = json.loads(json.dumps(before[-1].cursor)) if before else {}
        after = pull(site.url, cursor)
    assert documents(before) + documents(after) == [FIRST, SECOND, THIRD]


def test_an_event_that_appears_during_an_interrupted_load_is_not_lost():
    feed = Feed()
    with serving(feed) as site:
        cursor = pull(site.url)[1].cursor
        late = "5c4e0000-0000-4000-8000-000000000009"
        feed.events[late] = "1600000000"  # older than what was read already
        assert late in documents(pull(site.url, cursor))


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (Told(body=b'{"Event": '), "content.json"),
        (Told(body=b"[]"), "misp.not_an_event"),
        (Told(body=event(SECOND)), "misp.other_event"),
    ],
)
def test_a_bad_file_is_set_aside_until_it_changes(told, code):
    feed = Feed()
    feed.broken[FIRST] = told
    with serving(feed) as site:
        pages = pull(site.url)
        assert documents(pages) == [SECOND, THIRD]
        assert [(bad.code, bad.id, bad.raw) for page in pages for bad in page.rejected] == [(code, FIRST, told.body)]
        assert documents(pull(site.url, pages[-1].cursor)) == []
        feed.broken.clear()
        feed.events[FIRST] = "1700005555"
        assert documents(pull(site.url, pages[-1].cursor)) == [FIRST]


def test_a_missing_file_is_asked_for_again():
    feed = Feed()
    feed.broken[FIRST] = Told(404)
    with serving(feed) as site:
        pages = pull(site.url)
        assert [skipped.code for page in pages for skipped in page.skipped] == ["misp.no_file"]
        feed.broken.clear()
        assert documents(pull(site.url, pages[-1].cursor)) == [FIRST]


def test_a_name_that_is_no_uuid_is_never_put_into_a_url():
    with serving(Feed(**{"../../secret": "1700000009"})) as site:
        pages = pull(site.url)
    assert [skipped.code for page in pages for skipped in page.skipped] == ["misp.bad_uuid"]
    assert not any("secret" in asked.path for asked in site.asked)


def test_an_event_too_large_is_set_aside_and_the_rest_comes():
    feed = Feed()
    feed.broken[FIRST] = Told(body=b" " * 5000)
    with serving(feed) as site:
        pages = pull(site.url, size=2000)
    assert documents(pages) == [SECOND, THIRD]
    assert [bad.code for page in pages for bad in page.rejected] == ["peer.too_large"]


def test_what_is_older_than_since_is_not_fetched_but_counted():
    from datetime import UTC, datetime

    with serving(Feed()) as site:
        begin = datetime.fromtimestamp(1700000003, UTC)
        pages = list(client("misp-feed").pull(source(site.url, kind="misp-feed", since=begin), {}))
    assert documents(pages) == [THIRD]
    assert [(s.code, s.fields["count"]) for page in pages for s in page.skipped] == [("peer.before_since", 2)]


@pytest.mark.parametrize("body", [b"<html>", b'"x"', b"[1]"])
def test_a_manifest_that_is_none_is_an_error(body):
    with serving(lambda _: Told(body=body)) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.malformed"


def test_an_empty_manifest_as_php_writes_it():
    with serving(lambda _: Told(body=b"[]")) as site:
        assert [page.last for page in pull(site.url)] == [True]


def test_our_key_goes_along_and_nothing_can_be_pushed():
    with serving(lambda _: Told(body=b"{}")) as site:
        pull(site.url, credentials=Credentials(key="k" * 40))
        assert site.asked[0].headers["Authorization"] == "k" * 40
    from doubles import target

    with pytest.raises(PeerProtocol):
        client("misp-feed").push(target("https://x.example/"), [])


def test_a_refusal_in_the_middle_stops_the_load():
    feed = Feed()
    feed.broken[SECOND] = Told(403)
    with serving(feed) as site, pytest.raises(PeerRefused):
        pull(site.url)
