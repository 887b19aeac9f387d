"""A MISP instance is read as MISP's own pull reads it: one index, each new event once, and what is beside them."""

import json
import threading
import tracemalloc
from datetime import UTC, datetime

import pytest
from doubles import NOW, Told, Waits, client, serving, source
from instance import STAMP, Instance, attribute, event, refusal, said, uuid

from exchange.errors import PeerBusy, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.party import Credentials
from exchange.peers import misp_beside, misp_pull

FIRST, SECOND, THIRD = uuid(1), uuid(2), uuid(3)
KEY = "k" * 40


def instance(**more):
    """Three events: the third is the oldest."""
    made = Instance(**more)
    made.put(event(1, STAMP - 900), event(2, STAMP - 800), event(3, STAMP - 9000))
    return made


def pull(url, cursor=None, waits=None, limits=None, **more):
    reader = client("misp", waits, credentials=Credentials(key=KEY), **(limits or {}))
    return list(reader.pull(source(url, kind="misp", **more), cursor or {}))


def again(pages):
    """The cursor as it comes out of the store."""
    return json.loads(json.dumps([page.cursor for page in pages if page.cursor is not None][-1]))


def documents(pages):
    return [page.document.id for page in pages if page.document]


def held(pages, which):
    return next(json.loads(page.document.raw) for page in pages if page.document and page.document.id == which)


def remarks(pages):
    return [(skipped.code, skipped.id) for page in pages for skipped in page.skipped]


def sighting(number, of):
    return {"uuid": uuid(number), "event_uuid": of, "attribute_uuid": uuid(800), "type": "0", "date_sighting": "1"}


def proposal(number, of, **more):
    return {"uuid": uuid(number), "event_uuid": of, "timestamp": "1795285368", "type": "domain", "value": "x", **more}


def note(number, about, kind="Event", **more):
    dated = {"modified": "2026-11-21 10:00:00", "note": "hello"}
    return {uuid(number): {"uuid": uuid(number), "object_uuid": about, "object_type": kind, **dated, **more}}


def test_the_calls_are_those_of_a_sync_server_and_no_others():
    misp = instance()
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, FIRST, SECOND]
    assert [page.last for page in pages] == [False, False, False, True]
    assert {asked.headers["Authorization"] for asked in site.asked} == {KEY}
    views = [asked.path for asked in site.asked if asked.path.startswith("/events/view/")]
    assert all(
        path.endswith(
            "/deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0"
            "/includeWarninglistHits:0/excludeLocalTags:1"
        )
        for path in views
    )
    since = STAMP - 90 * 86400
    assert [call for call in misp.calls if "/view/" not in call] == [
        "GET /servers/getVersion",
        "POST /events/index",
        "POST /galaxy_clusters/restSearch",
        f"GET /shadow_attributes/index/all:1/timestamp:{since}/limit:1000/page:1/deleted[]:0/deleted[]:1.json",
        "POST /analyst_data/indexMinimal",
    ]


def test_the_event_is_kept_to_the_byte():
    misp = instance()
    raw = json.dumps({"Event": event(1, 5, Attribute=[attribute(9)])}, indent=2).encode() + b"\n"
    misp.broken[f"/events/view/{FIRST}"] = Told(body=raw)
    with serving(misp) as site:
        pages = pull(site.url)
    kept = next(page.document for page in pages if page.document and page.document.id == FIRST)
    assert (kept.raw, kept.version) == (raw, "5")


def test_an_unchanged_index_is_not_sent_and_nothing_is_fetched():
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        site.asked.clear()
        pages = pull(site.url, cursor)
    assert [(page.document, page.last, page.cursor) for page in pages] == [(None, True, cursor)]
    assert [a.headers.get("If-None-Match") for a in site.asked if a.path == "/events/index"] == [cursor["etag"]]
    assert not [a for a in site.asked if "/view/" in a.path]


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_the_etag_is_sent_without_what_apache_writes_into_it(coding):
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        pull(site.url, cursor | {"etag": cursor["etag"][:-1] + f'-{coding}"'})
        assert site.asked[-1].path != "/events/index"
        etags = [a.headers.get("If-None-Match") for a in site.asked if a.path == "/events/index"]
    assert etags == [None, cursor["etag"]]


def test_only_what_changed_is_fetched():
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.put(event(2, STAMP - 1), event(4, 1_500_000_000))  # the fourth is old and arrives late
        pages = pull(site.url, cursor)
        assert documents(pages) == [uuid(4), SECOND]
        assert documents(pull(site.url, again(pages))) == []


def test_an_event_that_is_no_longer_listed_is_forgotten():
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        kept = misp.events.pop(FIRST)
        cursor = again(pull(site.url, cursor))
        misp.put(kept)
        assert documents(pull(site.url, cursor)) == [FIRST]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_interrupted_drain_goes_on_and_loses_nothing(count):
    misp = instance()
    with serving(misp) as site:
        before = pull(site.url)[:count]
        misp.put(event(9, 1_500_000_000))  # older than what was read already
        after = pull(site.url, again(before) if before else {})
        then = pull(site.url, again(after))
    assert sorted(documents(before) + documents(after)) == sorted([FIRST, SECOND, THIRD, uuid(9)])
    assert documents(then) == []


def test_a_large_instance_writes_few_cursors_and_resumes_all_the_same():
    misp = Instance()
    misp.put(*(event(n, STAMP - n) for n in range(30)))
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_pull, "_SPARSE", 5)
        before = pull(site.url)[:17]
        cursors = [page.cursor for page in before if page.cursor]
        assert len(cursors) < 9
        after = pull(site.url, again(before))
    assert set(documents(before)) | set(documents(after)) == set(misp.events)
    assert len(documents(before)) + len(documents(after)) <= 30 + 5


def test_a_cursor_weighs_eleven_characters_for_an_event():
    misp = Instance()
    misp.put(*(event(n, STAMP - n) for n in range(700)))
    with serving(misp) as site:
        cursor = again(pull(site.url))
    assert len(json.dumps(cursor)) < 11 * 700 + 200


def test_what_an_earlier_release_wrote_begins_anew():
    misp = instance()
    with serving(misp) as site:
        assert len(documents(pull(site.url, {"since": STAMP, "seen": {FIRST: STAMP - 900}, "at": [1, FIRST]}))) == 3
        assert len(documents(pull(site.url, {"etag": "", "events": "§", "sightings": 7}))) == 3


def test_since_bounds_the_index():
    misp = instance()
    with serving(misp) as site:
        pull(site.url, since=datetime(2026, 1, 1, tzinfo=UTC))
        wishes = [json.loads(a.body) for a in site.asked if a.path == "/events/index"]
    assert wishes == [{"minimal": 1, "published": 1, "publish_timestamp": "1767225600"}]


def test_four_events_at_a_time_and_their_order_stays():
    together = threading.Barrier(4, timeout=10)
    misp = Instance(before=lambda asked: together.wait() if "/events/view/" in asked.path else None)
    misp.put(*(event(n, STAMP - n) for n in range(8)))
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [uuid(n) for n in reversed(range(8))]
    assert misp.most_at_once == 4


def test_every_request_is_taken_out_of_the_budget():
    from doubles import PEER

    from exchange.peers import client_for

    spent = []
    misp = instance()
    with serving(misp) as site:
        reader = client_for(
            PEER, "misp", Credentials(key=KEY), clock=lambda: NOW, wait=Waits(), spend=lambda: spent.append(1) or 0.0
        )
        list(reader.pull(source(site.url, kind="misp"), {}))
        assert len(spent) == len(site.asked)


@pytest.mark.parametrize("status", [403, 404])
def test_an_event_that_is_not_shown_is_skipped_with_its_reason(status):
    misp = instance()
    misp.broken[f"/events/view/{FIRST}"] = refusal("Invalid event", status)
    with serving(misp) as site:
        pages = pull(site.url)
        assert documents(pages) == [THIRD, SECOND]
        assert remarks(pages) == [("misp.gone", FIRST)]
        assert documents(pull(site.url, again(pages))) == []


def test_a_key_that_is_revoked_in_the_middle_loses_nothing():
    """Every event answers 403 then: that must not be taken for events that are not shown."""
    misp, denied = instance(), refusal("Authentication failed")

    def revoke(_):
        misp.broken["/servers/getVersion"] = denied
        return denied

    misp.broken["/events/view/"] = revoke
    with serving(misp) as site, pytest.raises(PeerRefused):
        pull(site.url)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "content.json"),
        (b"[]", "misp.not_an_event"),
        (b'{"Event": []}', "misp.not_an_event"),
        (b'{"Event": {"uuid": "x"}}', "misp.not_an_event"),
        (b'{"Event": {"info": "x", "uuid": 7}}', "misp.other_event"),
        (b'{"Event": {"info": "x", "a": ' + b"[" * 100_000, "content.json"),
        (json.dumps({"Event": event(2, 1)}).encode(), "misp.other_event"),
    ],
)
def test_a_bad_event_is_set_aside_by_itself(body, code):
    misp = instance()
    misp.broken[f"/events/view/{FIRST}"] = Told(body=body)
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, SECOND]
    assert [(bad.id, bad.raw, bad.code) for page in pages for bad in page.rejected] == [(FIRST, body, code)]


def test_a_large_event_is_fetched_alone_and_one_too_large_is_set_aside():
    misp = instance()
    misp.put(event(1, STAMP - 900, comment="x" * 3000), event(2, STAMP - 800, comment="x" * 9000))
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_pull, "SMALL", 2000)
        pages = pull(site.url, limits={"size": 6000})
    assert documents(pages) == [THIRD, FIRST]
    assert [(bad.id, bad.code) for page in pages for bad in page.rejected] == [(SECOND, "peer.too_large")]


def test_a_large_event_costs_little_more_than_its_bytes():

    raw = json.dumps(
        {"Event": event(1, 5, Attribute=[attribute(n, comment="x" * 800) for n in range(20_000)])}
    ).encode()
    misp = instance(broken={f"/events/view/{FIRST}": Told(body=raw)})
    with serving(misp) as site:
        tracemalloc.start()
        assert len(documents(pull(site.url, limits={"size": 64 * 1024 * 1024}))) == 3
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(raw) > 20_000_000
    assert peak < 1.6 * len(raw)


def test_a_failure_in_the_middle_leaves_the_cursor_at_what_came():
    misp = instance()
    misp.broken[f"/events/view/{FIRST}"] = Told(502)
    came = []
    with serving(misp) as site:
        reader = client("misp", credentials=Credentials(key=KEY))
        with pytest.raises(PeerUnreachable):
            came.extend(reader.pull(source(site.url, kind="misp"), {}))  # extend keeps what came before the error
        misp.broken.clear()
        pages = pull(site.url, again(came))
    assert documents(came) == [THIRD]
    assert documents(pages) == [FIRST, SECOND]


def test_a_drain_that_is_left_early_fetches_no_more():
    misp = Instance()
    misp.put(*(event(n, STAMP - n) for n in range(50)))
    with serving(misp) as site:
        reader = client("misp", credentials=Credentials(key=KEY))
        pages = reader.pull(source(site.url, kind="misp"), {})
        next(pages)
        pages.close()
        assert len([a for a in site.asked if "/view/" in a.path]) <= misp_pull.AT_ONCE + 1


def test_what_is_no_misp_is_told_so():
    misp = instance(broken={"/servers/getVersion": Told(body=b"<html>nginx</html>")})
    with serving(misp) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.no_misp"


def test_a_wrong_key_is_a_refusal():
    misp = instance(broken={"/servers/getVersion": refusal("Authentication failed")})
    with serving(misp) as site, pytest.raises(PeerRefused) as failed:
        pull(site.url)
    assert "Authentication failed" in failed.value.fields["detail"]
    assert KEY not in str(failed.value)


@pytest.mark.parametrize("body", [b'{"errors": "no"}', b"<html>", b"[{", b'"x"'])
def test_an_index_that_is_none_is_an_error(body):
    misp = instance(broken={"/events/index": Told(body=body)})
    with serving(misp) as site, pytest.raises(PeerProtocol) as failed:
        pull(site.url)
    assert failed.value.code == "peer.malformed"


def test_rows_that_are_none_and_events_that_are_not_published_are_left_out():
    rows = [7, {"uuid": "../x"}, {"uuid": FIRST, "timestamp": {}}, {"uuid": SECOND, "published": False}, {"uuid": None}]
    misp = instance(broken={"/events/index": said(rows)})
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [FIRST]
    assert [code for code, _ in remarks(pages)] == ["misp.bad_uuid"] * 3


def test_a_timestamp_of_the_future_is_told():
    misp = instance()
    misp.put(event(4, STAMP + 200), event(5, STAMP + 4000))
    with serving(misp) as site:
        pages = pull(site.url)
    assert len(documents(pages)) == 5
    assert remarks(pages) == [("misp.future", uuid(5))]


# Sightings


def test_sightings_come_beside_their_event_twenty_events_a_call():
    misp = Instance()
    misp.put(*(event(n, STAMP - n, comment=" spaces  kept ") for n in range(45)))
    misp.sighted = {uuid(n): STAMP for n in range(45)}
    misp.sightings = [sighting(700, uuid(0)), sighting(701, uuid(0)), sighting(702, uuid(44)), sighting(703, uuid(99))]
    with serving(misp) as site:
        pages = pull(site.url)
        asked = [json.loads(a.body) for a in site.asked if a.path == "/sightings/restSearch/event"]
    assert [len(wishes["uuid"]) for wishes in asked] == [20, 20, 5]
    assert asked[0] | {"uuid": []} == {"returnFormat": "json", "last": 0, "includeUuid": True, "uuid": []}
    assert held(pages, uuid(0))["Sighting"] == misp.sightings[:2]
    assert held(pages, uuid(44))["Sighting"] == misp.sightings[2:3]
    assert "Sighting" not in held(pages, uuid(1))
    assert json.dumps(misp.events[uuid(0)]).encode() in pages[-2].document.raw  # the event's own bytes, untouched


def test_new_sightings_bring_their_event_again_and_once():
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.sighted[FIRST] = STAMP
        misp.sightings = [sighting(700, FIRST)]
        pages = pull(site.url, cursor)
        assert documents(pages) == [FIRST]
        assert held(pages, FIRST)["Sighting"] == misp.sightings
        assert documents(pull(site.url, again(pages))) == []


def test_an_event_without_published_sightings_is_not_asked_for_them():
    misp = instance()
    with serving(misp) as site:
        pull(site.url)
    assert not [call for call in misp.calls if "sightings" in call]


@pytest.mark.parametrize(
    "answer", [Told(404), Told(403), Told(500), Told(body=b"<html>"), said({"response": 7}), said([1])]
)
def test_without_sightings_the_events_come_once_and_with_one_remark(answer):
    misp = instance(sighted={FIRST: STAMP, SECOND: STAMP}, broken={"/sightings/": answer})
    with serving(misp) as site:
        pages = pull(site.url)
        assert documents(pages) == [THIRD, FIRST, SECOND]
        misp.put(event(4, STAMP))
        then = pull(site.url, again(pages))
        assert documents(then) == [uuid(4)]
    lacking = [] if answer.body == b"[1]" else [("misp.no_sightings", "ccc/alertes")]
    assert remarks(pages) == lacking


def test_sightings_have_a_budget_and_the_rest_comes_later():
    misp = Instance()
    misp.put(*(event(n, STAMP - n) for n in range(40)))
    misp.sighted = {uuid(n): STAMP for n in range(40)}
    misp.sightings = [sighting(700 + n, uuid(n)) for n in range(40)]
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_beside, "_SIGHTINGS", 10)
        first = pull(site.url)
        second = pull(site.url, again(first))
        third = pull(site.url, again(second))
    assert len(documents(first)) == 40
    with_them = [d for d in documents(first) if "Sighting" in held(first, d)]
    assert len(with_them) == 20
    assert remarks(first) == [("misp.sightings_later", "ccc/alertes")]
    assert first[-1].cursor["etag"] == ""
    assert set(documents(second)) == set(misp.events) - set(with_them)
    assert all("Sighting" in held(second, d) for d in documents(second))
    assert documents(third) == []


def test_sightings_that_no_answer_holds_are_given_up_for_one_event_only():
    misp = instance(sighted={FIRST: STAMP, SECOND: STAMP})
    misp.sightings = [*(sighting(700 + n, FIRST) for n in range(20)), sighting(800, SECOND)]
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_beside, "_ANSWER", 1500)
        pages = pull(site.url)
    assert remarks(pages) == [("misp.too_many_sightings", FIRST)]
    assert "Sighting" not in held(pages, FIRST)
    assert held(pages, SECOND)["Sighting"] == misp.sightings[-1:]


# Proposals


def test_proposals_are_read_page_by_page_and_come_beside_their_event():
    misp = instance()
    misp.proposals = [proposal(2000 + n, FIRST if n == 1500 else uuid(77)) for n in range(1600)]
    with serving(misp) as site:
        pages = pull(site.url)
    assert len([call for call in misp.calls if "shadow_attributes" in call]) == 2
    assert held(pages, FIRST)["ShadowAttribute"] == misp.proposals[1500:1501]
    assert remarks(pages) == [("misp.elsewhere", "ccc/alertes")]


def test_a_new_proposal_brings_its_event_again_although_the_index_is_unchanged():
    misp = instance()
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.proposals = [proposal(2000, FIRST)]
        pages = pull(site.url, cursor)
        assert documents(pages) == [FIRST]
        assert held(pages, FIRST)["ShadowAttribute"] == misp.proposals
        cursor = again(pages)
        assert documents(pull(site.url, cursor)) == []
        misp.proposals[0] |= {"deleted": True}
        assert documents(pull(site.url, cursor)) == [FIRST]


def test_pages_of_proposals_that_repeat_themselves_end():
    rows = [{"ShadowAttribute": proposal(2000 + n, FIRST)} for n in range(1000)]
    misp = instance(broken={"/shadow_attributes/": said(rows)})
    with serving(misp) as site:
        pages = pull(site.url)
    assert len([call for call in misp.calls if "shadow_attributes" in call]) == 2
    assert len(held(pages, FIRST)["ShadowAttribute"]) == 1000


def test_proposals_without_end_are_cut_and_told():
    rows = ([{"ShadowAttribute": proposal(2000 + 1000 * page + n, FIRST)} for n in range(1000)] for page in range(99))
    misp = instance(broken={"/shadow_attributes/": lambda _: said(next(rows))})
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_beside, "_PAGES", 3)
        pages = pull(site.url)
    assert remarks(pages) == [("misp.too_many_proposals", "ccc/alertes")]


BESIDE = [
    ("/shadow_attributes/", "misp.no_proposals"),
    ("/analyst_data/", "misp.no_analyst_data"),
    ("/galaxy_clusters/", "misp.no_clusters"),
]


@pytest.mark.parametrize(("prefix", "code"), BESIDE)
@pytest.mark.parametrize("answer", [Told(404), Told(403), Told(500), Told(502), Told(503), Told(body=b"<html>")])
def test_what_is_not_given_keeps_no_event_back(prefix, code, answer):
    misp = instance(broken={prefix: answer})
    misp.analyst = {"Note": note(600, FIRST)}
    with serving(misp) as site:
        pages = pull(site.url)
        assert documents(pages) == [THIRD, FIRST, SECOND]
        assert remarks(pages) == [(code, "ccc/alertes")]
        assert [c for c in misp.calls if c.split(" ")[1].startswith(prefix)] == [
            c for c in misp.calls if c.split(" ")[1].startswith(prefix)
        ][:1]


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in BESIDE])
def test_who_wants_to_be_left_alone_is_left_alone(prefix):
    with serving(instance(broken={prefix: Told(429)})) as site, pytest.raises(PeerBusy):
        pull(site.url)


def test_what_came_is_not_taken_again_because_a_question_failed_once():
    misp = instance(proposals=[proposal(2000, FIRST)])
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.broken["/shadow_attributes/"] = Told(500)
        cursor = again(pull(site.url, cursor))
        misp.broken.clear()
        assert documents(pull(site.url, cursor)) == []


# Analyst data


def test_analyst_data_is_fetched_a_hundred_at_a_time_and_set_beside_its_event():
    misp = instance()
    notes = {}
    for n in range(150):
        notes |= note(3000 + n, FIRST if n else SECOND)
    misp.analyst = {"Note": notes, "Opinion": note(4000, THIRD, opinion=100), "Relationship": []}
    with serving(misp) as site:
        pages = pull(site.url)
        calls = [call for call in misp.calls if "/analyst_data/index/" in call]
        assert [call.count("uuid[]") for call in calls] == [100, 50, 1]
        assert len(held(pages, FIRST)["Note"]) == 149
        assert [opinion["uuid"] for opinion in held(pages, THIRD)["Opinion"]] == [uuid(4000)]
        assert documents(pull(site.url, again(pages))) == []


def test_what_stands_in_the_event_already_is_not_said_twice():
    misp = instance()
    misp.analyst = {"Note": note(3000, FIRST)}
    misp.put(event(1, STAMP, Note=list(misp.analyst["Note"].values())))
    with serving(misp) as site:
        assert "Note" not in held(pull(site.url), FIRST)


def test_a_note_on_an_attribute_is_set_beside_the_event_that_holds_it():
    misp = instance()
    misp.put(event(1, STAMP, Attribute=[attribute(55)]))
    misp.analyst = {"Note": note(3000, uuid(55), "Attribute") | note(3001, uuid(56), "Attribute")}
    with serving(misp) as site:
        pages = pull(site.url)
        assert [each["uuid"] for each in held(pages, FIRST)["Note"]] == [uuid(3000)]
        assert remarks(pages) == [("misp.elsewhere", "ccc/alertes")]
        then = pull(site.url, again(pages))
        assert (documents(then), remarks(then)) == ([], [])


def test_a_changed_note_brings_its_event_again():
    misp = instance(analyst={"Note": note(3000, FIRST)})
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.analyst["Note"] = note(3000, FIRST, modified="2026-11-21 11:00:00", note="better")
        pages = pull(site.url, cursor)
        assert documents(pages) == [FIRST]
        assert held(pages, FIRST)["Note"][0]["note"] == "better"


def test_behind_misp_guard_notes_are_asked_for_one_by_one():
    misp = instance(analyst={"Note": note(3000, FIRST) | note(3001, FIRST)})
    misp.broken["/analyst_data/index/"] = lambda asked: (
        Told(403, b"Forbidden", {"Content-Type": "text/plain"}) if asked.path.count("uuid[]") > 1 else None
    )
    with serving(misp) as site:
        pages = pull(site.url)
    assert len(held(pages, FIRST)["Note"]) == 2
    assert remarks(pages) == []


def test_what_is_not_offered_is_not_asked():
    misp = instance(version={"version": "2.5.1", "perm_sync": True})
    with serving(misp) as site:
        pages = pull(site.url)
    assert documents(pages) == [THIRD, FIRST, SECOND]
    assert not [call for call in misp.calls if "analyst" in call or "galaxy" in call]


# Galaxy clusters

TAG = f'misp-galaxy:threat-actor="{uuid(500)}"'


def actor(version="1"):
    return {uuid(500): {"uuid": uuid(500), "version": version, "tag_name": TAG, "value": "Actor", "description": "x"}}


def test_a_custom_cluster_comes_beside_the_events_that_name_it_and_is_viewed_once():
    misp = instance(clusters=actor() | {uuid(501): {"uuid": uuid(501), "version": "1"}})
    misp.put(event(1, STAMP, Tag=[{"name": TAG}]), event(2, STAMP, Attribute=[attribute(9, Tag=[{"name": TAG}])]))
    with serving(misp) as site:
        pages = pull(site.url)
    assert [held(pages, each).get("GalaxyCluster") for each in (FIRST, SECOND, THIRD)] == [
        [actor()[uuid(500)]], [actor()[uuid(500)]], None,
    ]  # fmt: skip
    assert [call for call in misp.calls if "clusters/view" in call] == [f"GET /galaxy_clusters/view/{uuid(500)}"]


def test_a_new_version_of_a_cluster_brings_its_events_again():
    misp = instance(clusters=actor())
    misp.put(event(1, STAMP, Tag=[{"name": TAG}]))
    with serving(misp) as site:
        cursor = again(pull(site.url))
        misp.clusters = actor("2")
        pages = pull(site.url, cursor)
        assert documents(pages) == [FIRST]
        assert held(pages, FIRST)["GalaxyCluster"][0]["version"] == "2"
        assert documents(pull(site.url, again(pages))) == []


@pytest.mark.parametrize("answer", [Told(404), said({"GalaxyCluster": {"uuid": uuid(501)}}), Told(body=b"<h1>")])
def test_a_cluster_that_is_not_shown_is_told(answer):
    misp = instance(clusters=actor(), broken={"/galaxy_clusters/view/": answer})
    misp.put(event(1, STAMP, Tag=[{"name": TAG}]))
    with serving(misp) as site:
        pages = pull(site.url)
    assert remarks(pages) == [("misp.no_cluster", uuid(500))]
    assert documents(pages) == [THIRD, SECOND, FIRST]


# Index and fetch, for a comparison


def test_the_index_lists_what_is_published_in_pages():
    misp = Instance()
    misp.put(*(event(n, STAMP - n) for n in range(600)))
    with serving(misp) as site:
        reader = client("misp", credentials=Credentials(key=KEY))
        pages = list(reader.index(source(site.url, kind="misp")))
    assert [len(page) for page in pages] == [500, 100]
    assert {entry.id: entry.version for page in pages for entry in page}[uuid(3)] == str(STAMP - 3)


def test_fetch_brings_events_as_a_pull_does():
    misp = instance(sighted={FIRST: STAMP}, sightings=[sighting(700, FIRST)], proposals=[proposal(2000, SECOND)])
    with serving(misp) as site:
        reader = client("misp", credentials=Credentials(key=KEY))
        pages = list(reader.fetch(source(site.url, kind="misp"), [SECOND, FIRST, uuid(99), "../x"]))
        assert next(iter(reader.fetch(source(site.url, kind="misp"), []))).last
    assert documents(pages) == [SECOND, FIRST]
    assert held(pages, FIRST)["Sighting"] == misp.sightings
    assert held(pages, SECOND)["ShadowAttribute"] == misp.proposals
    assert remarks(pages) == [("misp.gone", uuid(99))]
    assert [page.cursor for page in pages] == [None] * 4
    assert [page.last for page in pages] == [False, False, False, True]
