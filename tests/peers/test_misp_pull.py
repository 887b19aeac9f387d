"""A MISP instance is read as MISP's own pull reads it: getVersion, one index, each new event once."""

import json
from datetime import UTC, datetime

import pytest
from doubles import NOW, Asked, Told, client, serving, source

from exchange.errors import PeerProtocol, PeerRefused
from exchange.model.party import Credentials

FIRST, SECOND, THIRD = (f"5c4e0000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
# What misp-guard lets through (reference misp.md §1.5).
ALLOWED = ("/servers/getVersion", "/events/index", "/events/view/")


class Misp:
    """An instance: uuid → [timestamp, publish_timestamp]."""

    def __init__(self):
        now = int(NOW.timestamp())
        self.events = {FIRST: [now - 900, now - 60], SECOND: [now - 800, now - 50], THIRD: [now - 9000, now - 40]}
        self.broken: dict[str, Told] = {}
        self.wishes: list[dict] = []

    def __call__(self, asked: Asked) -> Told:
        if asked.path == "/servers/getVersion":
            return self.broken.get("version") or Told(body=b'{"version": "2.5.1", "perm_sync": true}')
        if asked.path == "/events/index":
            self.wishes.append(json.loads(asked.body))
            since = int(self.wishes[-1].get("publish_timestamp", 0))
            rows = [
                {"id": "1", "uuid": u, "timestamp": str(t), "published": True}
                for u, (t, p) in self.events.items()
                if p >= since
            ]
            return self.broken.get("index") or Told(body=json.dumps(rows).encode())
        uuid = asked.path.split("/")[3]
        return self.broken.get(uuid) or Told(body=view(uuid, self.events[uuid][0]))


def view(uuid, timestamp=1):
    return json.dumps({"Event": {"uuid": uuid, "info": "x", "timestamp": str(timestamp)}}).encode()


def pull(url, cursor=None, **more):
    reader = client("misp", credentials=Credentials(key="k" * 40))
    return list(reader.pull(source(url, kind="misp", **more), cursor or {}))


def documents(pages):
    return [page.document.id for page in pages if page.document]


def test_the_calls_are_those_of_a_sync_server_and_no_others():
    misp = Misp()
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, FIRST, SECOND]
    assert [asked.path.split("/5c4e")[0] for asked in site.asked] == [
        "/servers/getVersion",
        "/events/index",
        *["/events/view"] * 3,
    ]
    assert all(asked.path.startswith(ALLOWED) for asked in site.asked)
    assert {asked.headers["Authorization"] for asked in site.asked} == {"k" * 40}
    assert site.asked[2].path.endswith(
        "/deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0"
        "/includeWarninglistHits:0/excludeLocalTags:1"
    )
    assert misp.wishes == [{"minimal": 1, "published": 1}]


def test_the_next_poll_overlaps_and_fetches_nothing_twice():
    misp = Misp()
    with serving(misp) as site:
        cursor = json.loads(json.dumps(pull(site.url)[-1].cursor))
        assert documents(pull(site.url, cursor)) == []
        assert misp.wishes[-1]["publish_timestamp"] == str(int(NOW.timestamp()) - 600)
        misp.events[FIRST] = [misp.events[FIRST][0] + 1, int(NOW.timestamp())]
        assert documents(pull(site.url, cursor)) == [FIRST]


def test_an_old_event_that_arrives_late_is_seen():
    misp = Misp()
    with serving(misp) as site:
        cursor = pull(site.url)[-1].cursor
        late = "5c4e0000-0000-4000-8000-000000000009"
        misp.events[late] = [1_500_000_000, int(NOW.timestamp())]
        assert documents(pull(site.url, cursor)) == [late]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_interrupted_drain_goes_on_and_loses_nothing(count):
    misp = Misp()
    with serving(misp) as site:
        before = pull(site.url)[:count]
        cursor = json.loads(json.dumps(before[-1].cursor)) if before else {}
        late = "5c4e0000-0000-4000-8000-000000000009"
        misp.events[late] = [1_500_000_000, int(NOW.timestamp())]
        after = pull(site.url, cursor)
        then = pull(site.url, after[-1].cursor)
    found = documents(before) + documents(after) + documents(then)
    assert set(found) == {FIRST, SECOND, THIRD, late}


def test_since_begins_the_first_load():
    misp = Misp()
    with serving(misp) as site:
        pull(site.url, since=datetime(2026, 1, 1, tzinfo=UTC))
    assert misp.wishes[0]["publish_timestamp"] == "1767225600"


@pytest.mark.parametrize("status", [403, 404])
def test_an_event_that_is_not_shown_is_skipped_with_its_reason(status):
    misp = Misp()
    misp.broken[FIRST] = Told(status, b'{"message": "Invalid event"}')
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, SECOND]
    assert [(s.id, s.code) for page in pages for s in page.skipped] == [(FIRST, "misp.gone")]


@pytest.mark.parametrize("body", [b"<html>", b"[]", view(SECOND)])
def test_a_bad_event_is_set_aside_by_itself(body):
    misp = Misp()
    misp.broken[FIRST] = Told(body=body)
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, SECOND]
    assert [(bad.id, bad.raw) for page in pages for bad in page.rejected] == [(FIRST, body)]


def test_what_is_no_misp_is_told_so():
    misp = Misp()
    misp.broken["version"] = Told(body=b"<html>nginx</html>")
    with serving(misp) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.no_misp"


def test_a_wrong_key_is_a_refusal():
    misp = Misp()
    misp.broken["version"] = Told(403, b'{"message": "Authentication failed"}')
    with serving(misp) as site, pytest.raises(PeerRefused) as failed:
        pull(site.url)
    assert "Authentication failed" in failed.value.fields["detail"]
    assert "k" * 40 not in str(failed.value)


def test_an_index_that_is_none_is_an_error():
    misp = Misp()
    misp.broken["index"] = Told(body=b'{"errors": "no"}')
    with serving(misp) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.malformed"


def test_the_cursor_stays_small():
    misp = Misp()
    now = int(NOW.timestamp())
    misp.events = {f"5c4e0000-0000-4000-8000-{n:012d}": [now - n, now] for n in range(700)}
    with serving(misp) as site:
        cursor = pull(site.url)[-1].cursor
    assert len(cursor["seen"]) == 500
