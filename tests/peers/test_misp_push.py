"""Events are handed to a MISP as MISP does it, and every answer that it gives is understood."""

import gzip
import json

import pytest
from doubles import NOW, Told, Waits, client, serving, target
from instance import STAMP, Instance, attribute, event, refusal, said, uuid

from exchange.errors import PeerBusy, PeerError, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.i18n import LANGUAGES, knows, spoken
from exchange.model.envelope import Outgoing
from exchange.model.party import Credentials
from exchange.peers import misp_parts, misp_push

FIRST, SECOND, THIRD = uuid(1), uuid(2), uuid(3)
KEY = "k" * 40
T = STAMP - 3600
NOT_NEWER = "Event could not be saved: Event in the request not newer than the local copy."


def outgoing(number, timestamp=T, attributes=1, **more):
    mine = [attribute(1000 * number + n) for n in range(attributes)]
    body = {
        "Event": event(number, timestamp, published=True, Orgc={"uuid": uuid(900), "name": "CERT"}, Attribute=mine)
        | more
    }
    return Outgoing(id=uuid(number), version=str(timestamp), body=json.dumps(body).encode())


def push(url, *objects, waits=None, **limits):
    writer = client("misp", waits, credentials=Credentials(key=KEY), **limits)
    return writer.push(target(url, "misp"), objects)


def told(receipts):
    return [(receipt.outcome, receipt.message) for receipt in receipts]


def writes(misp):
    return [call for call in misp.calls if "/events/add" in call or "/events/edit" in call]


def sent(misp, site):
    """The events that were posted, in order."""
    return [misp.wishes(a)["Event"] for a in site.asked if a.path.startswith(("/events/add", "/events/edit"))]


def test_a_new_event_is_added_locked_and_without_what_is_our_own():
    misp = Instance()
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1, id="7", org_id="1", Org={"uuid": uuid(9)}, locked=False, user_id="1"))
    assert receipts == [receipts[0]]
    assert (receipts[0].id, receipts[0].version, *told(receipts)[0]) == (FIRST, str(T), "accepted", "")
    assert [call for call in misp.calls if "getVersion" not in call] == [
        "POST /events/filterEventIdsForPush",
        f"HEAD /events/view/{FIRST}",
        "POST /events/add/metadata:1",
    ]
    given = sent(misp, site)[0]
    assert (given["locked"], given["timestamp"], given["published"]) == (1, str(T), True)
    assert not {"id", "org_id", "Org", "user_id"} & given.keys()
    assert given["Attribute"] == [attribute(1000)]
    assert {asked.headers["Authorization"] for asked in site.asked} == {KEY}


def test_an_event_that_is_there_is_edited_and_one_that_is_as_new_is_left():
    misp = Instance()
    misp.put(event(1, T - 1), event(2, T), event(3, T + 5))
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1), outgoing(2), outgoing(3))
    assert told(receipts) == [("accepted", "")] + [("accepted", "peer.already_there")] * 2
    assert writes(misp) == [f"POST /events/edit/{FIRST}/metadata:1"]


def test_sending_twice_does_no_harm():
    misp = Instance()
    with serving(misp) as site:
        push(site.url, outgoing(1, attributes=3))
        held = json.dumps(misp.events)
        assert told(push(site.url, outgoing(1, attributes=3))) == [("accepted", "peer.already_there")]
    assert json.dumps(misp.events) == held


def test_without_the_right_to_synchronise_nothing_is_sent():
    misp = Instance()
    misp.version["perm_sync"] = False
    with serving(misp) as site, pytest.raises(PeerRefused) as failed:
        push(site.url, outgoing(1))
    assert failed.value.code == "peer.no_sync_right"
    assert {asked.path for asked in site.asked} == {"/servers/getVersion"}


def test_a_copy_that_is_not_locked_is_found_and_told():
    misp = Instance(unlocked={FIRST, SECOND})
    misp.put(event(1, T - 10), event(2, T - 10, published=False))
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1), outgoing(2))
    assert told(receipts) == [("refused", "peer.unlocked_copy")] * 2
    assert not writes(misp)


def test_a_copy_that_we_may_not_see_is_told_too():
    misp = Instance()
    misp.broken["/events/filterEventIdsForPush"] = said([])
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("refused", "peer.unlocked_copy")]


@pytest.mark.parametrize("answer", [Told(404), Told(403), Told(body=b"<html>"), said({"no": 1})])
def test_without_the_filter_the_edit_itself_says_what_is_unlocked(answer):
    misp = Instance(broken={"/events/filterEventIdsForPush": answer})
    text = "Event could not be saved: The user used to edit the event is not authorised to do so. This can be caused by"
    misp.put(event(1, T - 10), event(2, T - 10), event(3, T))
    misp.broken[f"/events/edit/{FIRST}"] = refusal("Could not edit Event", saved=False, errors=text)
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1), outgoing(2), outgoing(3))
    assert told(receipts) == [("refused", "peer.unlocked_copy"), ("accepted", ""), ("accepted", "peer.already_there")]


def test_add_that_finds_it_there_is_said_by_404_with_its_place():
    misp = Instance(broken={f"/events/view/{FIRST}": Told(404)})
    misp.put(event(1, T - 10))
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("accepted", "")]
    assert writes(misp) == ["POST /events/add/metadata:1", f"POST /events/edit/{FIRST}/metadata:1"]


def test_edit_that_does_not_find_it_becomes_add():
    misp = Instance(broken={f"/events/view/{FIRST}": Told(200)})
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("accepted", "")]
    assert writes(misp) == [f"POST /events/edit/{FIRST}/metadata:1", "POST /events/add/metadata:1"]


def test_there_for_add_and_not_for_edit_is_a_copy_that_we_may_not_see():
    misp = Instance(broken={"/events/view/": Told(404), "/events/edit/": Told(404)})
    misp.broken["/events/add"] = Told(404, b"{}", {"Location": "/events/7"})
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("refused", "peer.unlocked_copy")]
    assert len(writes(misp)) == 3


@pytest.mark.parametrize(("status", "head"), [(200, "edit"), (404, "add"), (500, "add"), (405, "add"), (302, "add")])
def test_anything_but_200_is_not_there(status, head):
    misp = Instance(broken={"/events/view/": lambda asked: Told(status) if asked.method == "HEAD" else None})
    misp.put(event(1, T - 1))
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("accepted", "")]
    assert f"/{head}" in writes(misp)[0]


@pytest.mark.parametrize(
    ("answer", "outcome", "message"),
    [
        (refusal("Could not edit", saved=False, errors=NOT_NEWER), "accepted", "peer.already_there"),
        (refusal("Event blocked by event blocklist."), "refused", "peer.blocked"),
        (refusal("Event blocked by organisation blocklist."), "refused", "peer.blocked"),
        (refusal("Blocked by event block rules."), "refused", "peer.blocked"),
        (
            refusal(
                "Could not add Event",
                saved=False,
                errors={"Event": "Received a published event that was empty. Event add process blocked."},
            ),
            "refused",
            "peer.empty_event",
        ),
        (
            refusal(
                "x", saved=False, errors="Event could not be saved: User not authorised to create the sharing group."
            ),
            "refused",
            "Event could not be saved: User not authorised to create the sharing group.",
        ),
        (refusal("x", saved=False, errors={"info": ["empty"]}), "refused", '{"info":["empty"]}'),
        (
            refusal("Invalid Sharing Group or not authorised.", 405),
            "refused",
            "Invalid Sharing Group or not authorised.",
        ),
        (
            refusal("Protected event failed signature validation as no key was provided.", 405),
            "refused",
            "Protected event failed signature validation as no key was provided.",
        ),
        (Told(403, b"Forbidden", {"Content-Type": "text/plain"}), "refused", "Forbidden"),  # misp-guard
        (Told(400, b""), "refused", "peer.no_reason"),
        (refusal("An Internal Error Has Occurred.", 500), "pending", "An Internal Error Has Occurred."),
    ],
)
def test_what_a_refusal_means(answer, outcome, message):
    misp = Instance()
    misp.broken["/events/add"] = lambda asked: answer if FIRST in str(misp.wishes(asked)) else None
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1), outgoing(2))
    assert told(receipts) == [(outcome, message), ("accepted", "")]


@pytest.mark.parametrize(
    "answer",
    [
        refusal("Authentication failed. Please make sure you pass the API key of an API enabled user along."),
        refusal("You do not have permission to use this functionality."),
        refusal("You have to accept the terms of use first.", 405),
        refusal("Please change your password.", 405),
        Told(401),
    ],
)
def test_what_is_said_of_our_account_stops_the_push(answer):
    misp = Instance(broken={"/events/add": answer})
    with serving(misp) as site, pytest.raises(PeerRefused):
        push(site.url, outgoing(1), outgoing(2))
    assert len(writes(misp)) == 1


def test_a_bare_403_is_the_key_when_the_version_is_refused_too():
    misp = Instance()

    def revoke(_):
        misp.broken["/servers/getVersion"] = Told(403)
        return Told(403, b"Forbidden")

    misp.broken["/events/add"] = revoke
    with serving(misp) as site, pytest.raises(PeerRefused):
        push(site.url, outgoing(1))


def test_a_server_that_only_fails_raises_and_one_that_fails_later_leaves_the_rest_waiting():
    misp = Instance(broken={"/events/add": Told(500)})
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("pending", "peer.unsettled")]
        with pytest.raises(PeerProtocol) as failed:
            push(site.url, *(outgoing(n) for n in range(6)))
        assert (failed.value.code, len(writes(misp))) == ("peer.status", 4)
        misp.broken = {"/events/add": Told(503, headers={"Retry-After": "3600"})}
        with pytest.raises(PeerBusy):
            push(site.url, outgoing(1))
        turns = iter([None, Told(503)])
        misp.broken = {"/events/add": lambda _: next(turns)}
        assert told(push(site.url, outgoing(7), outgoing(8), outgoing(9))) == [
            ("accepted", ""),
            ("pending", "peer.busy"),
            ("pending", "peer.busy"),
        ]


def test_no_add_at_all_is_an_error():
    with serving(Instance(broken={"/events/add": Told(404)})) as site, pytest.raises(PeerProtocol) as failed:
        push(site.url, outgoing(1))
    assert failed.value.code == "peer.not_found"


@pytest.mark.parametrize("body", [b"<h1>Sign in</h1>", b"[]", b'{"Event": 7}', b'{"Event": {"uuid": "x"}}', b""])
def test_an_answer_that_is_none_is_looked_into_before_it_is_believed(body):
    misp = Instance()
    misp.broken["/events/add"] = Told(200, body)
    with serving(misp) as site:
        with pytest.raises(PeerProtocol) as failed:
            push(site.url, outgoing(1))
        assert failed.value.code == "peer.malformed"

        def stored(asked):
            misp._events_add(asked, [])
            return Told(200, body)

        misp.broken["/events/add"] = stored
        assert told(push(site.url, outgoing(1))) == [("accepted", "peer.already_there")]


def dropping(misp, *, first_stores, times=1):
    """The server takes the event, or not, and hangs up."""
    turns = iter(range(times))

    def answer(asked):
        if next(turns, None) is None:
            return
        if first_stores:
            misp._answer(asked, asked.path.strip("/").split("/"))
        raise TimeoutError  # nothing is answered

    return answer


@pytest.mark.parametrize(("first_stores", "message", "count"), [(True, "peer.already_there", 1), (False, "", 2)])
def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(first_stores, message, count):
    misp = Instance()
    misp.broken["/events/add"] = dropping(misp, first_stores=first_stores)
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("accepted", message)]
    assert len(writes(misp)) == count
    assert list(misp.events) == [FIRST]


def test_a_server_that_never_answers_is_unreachable():
    misp = Instance()
    misp.broken["/events/add"] = dropping(misp, first_stores=False, times=99)
    with serving(misp) as site, pytest.raises(PeerUnreachable):
        push(site.url, outgoing(1))
    assert len(writes(misp)) == 2


def test_attributes_that_were_left_out_are_counted_and_told():
    misp = Instance()

    def drop(asked):
        given = misp.wishes(asked)["Event"]
        given["Attribute"] = given["Attribute"][2:]
        misp.put(given)
        return misp._shown(given["uuid"])

    misp.broken["/events/add"] = drop
    lost = outgoing(1, Attribute=[attribute(n) for n in range(5)] + [attribute(9, deleted=True)])
    with serving(misp) as site:
        receipts = push(site.url, lost)
    assert told(receipts) == [("accepted", "peer.attributes_missing count=2")]
    for language in LANGUAGES:
        assert "2" in spoken(receipts[0].message, language)
        assert "{" not in spoken(receipts[0].message, language)


@pytest.mark.parametrize("counted", [None, "many", 10**30, -1, {}])
def test_a_count_that_is_none_misses_nothing(counted):
    misp = Instance(broken={"/events/add": said({"Event": {"uuid": FIRST, "attribute_count": counted}})})
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1))) == [("accepted", "")]


def test_bodies_are_compressed_only_where_that_is_read():
    misp = Instance()
    with serving(misp) as site:
        push(site.url, outgoing(1), outgoing(2, attributes=10))
        small, large = (a for a in site.asked if a.path.startswith("/events/add"))
        assert "Content-Encoding" not in small.headers
        assert large.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(large.body))["Event"]["uuid"] == SECOND
        misp.version["request_encoding"] = []
        push(site.url, outgoing(3, attributes=10))
        assert "Content-Encoding" not in site.asked[-1].headers


# Large events


def test_a_large_event_goes_in_parts_with_rising_timestamps_and_is_published_with_the_last():
    misp = Instance()
    body = [{"uuid": uuid(50), "name": "file", "Attribute": [attribute(60), attribute(61)], "ObjectReference": [{}]}]
    body.append({"uuid": uuid(51), "name": "url", "Attribute": [attribute(62)]})
    large = outgoing(1, attributes=23, Object=body, Tag=[{"name": "tlp:green"}], EventReport=[{"uuid": uuid(70)}])
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_push, "MOST", 10)
        assert told(push(site.url, large)) == [("accepted", "")]
        parts = sent(misp, site)
    assert [len(part.get("Attribute", ())) for part in parts] == [10, 10, 3]
    assert [part["timestamp"] for part in parts] == [str(T - 2), str(T - 1), str(T)]
    assert [part["published"] for part in parts] == [False, False, True]
    assert ["Object" in part for part in parts] == [False, False, True]
    assert [each["uuid"] for each in parts[2]["Object"]] == [uuid(51), uuid(50)]
    assert ["EventReport" in part for part in parts] == [False, False, True]
    assert all(part["locked"] == 1 and part["Tag"] for part in parts)
    assert len(misp.events[FIRST]["Attribute"]) == 23


def test_parts_begin_after_what_is_there():
    misp = Instance()
    misp.put(event(1, T - 1))
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_push, "MOST", 10)
        patch.setattr(misp_push, "_LONG", 0)
        assert told(push(site.url, outgoing(1, attributes=35))) == [("accepted", "")]
        assert [int(part["timestamp"]) - T for part in sent(misp, site)] == [0, 1, 2, 3]


def test_parts_never_reach_five_minutes_ahead():
    misp = Instance()
    misp.put(event(1, STAMP + 238))
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_push, "MOST", 1)
        patch.setattr(misp_push, "_LONG", 0)
        assert told(push(site.url, outgoing(1, STAMP + 239, attributes=5))) == [("pending", "peer.no_room")]
        assert not writes(misp)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("stored", [True, False])
def test_parts_that_were_interrupted_are_taken_up_again(fails_at, stored):
    misp = Instance()
    turns = iter(range(1, 99))

    def answer(asked):
        if next(turns) == fails_at:
            if stored:
                misp._answer(asked, asked.path.strip("/").split("/"))
            return Told(502)
        return None

    misp.broken = {"/events/add": answer, "/events/edit": answer}
    with pytest.MonkeyPatch.context() as patch, serving(misp) as site:
        patch.setattr(misp_push, "MOST", 10)
        try:
            push(site.url, outgoing(1, attributes=25))
        except PeerError:
            misp.broken.clear()
            push(site.url, outgoing(1, attributes=25))
    held = misp.events[FIRST]
    assert (len(held["Attribute"]), held["timestamp"], held["published"]) == (25, str(T), True)


def test_a_server_that_takes_less_gets_less():
    misp = Instance()
    too_large = Told(413, b"<h1>nginx</h1>")
    misp.broken["/events/"] = lambda asked: (
        too_large if len(misp.wishes(asked)["Event"].get("Attribute", ())) > 7 else None
    )
    misp.broken = {"/events/add": misp.broken["/events/"], "/events/edit": misp.broken["/events/"]}
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1, attributes=40))) == [("accepted", "")]
        assert len(misp.events[FIRST]["Attribute"]) == 40
        assert misp.events[FIRST]["published"] is True
        stamps = [int(part["timestamp"]) for part in sent(misp, site)]
    assert max(stamps) <= T
    misp.broken = {"/events/add": too_large}
    with serving(misp) as site:
        assert told(push(site.url, outgoing(2, attributes=3))) == [("refused", "peer.object_too_large")]


def test_an_event_that_is_none_is_refused_by_itself():
    misp = Instance()
    strange = json.dumps({"Event": event(1, T) | {"uuid": "../users/delete/1"}}).encode()
    bodies = (b"{", b"[]", b'{"Event": {}}', b'{"Event": {"uuid": 1}}', strange)
    bad = [Outgoing(id=SECOND, version="1", body=body) for body in bodies]
    with serving(misp) as site:
        receipts = push(site.url, *bad, outgoing(1))
    assert told(receipts) == [("refused", "misp.not_an_event")] * 5 + [("accepted", "")]


# What is beside


def sighting(number, **more):
    return {"uuid": uuid(number), "attribute_uuid": uuid(1000), "date_sighting": "1", **more}


def test_sightings_are_taken_out_and_sent_after_the_event():
    misp = Instance(sightings=[sighting(700)])
    org = {"uuid": uuid(901), "name": "CSIRT"}
    given = [sighting(700), sighting(701, type=1, source="s"), sighting(702, Organisation=org)]
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1, Sighting=given))) == [("accepted", "")]
        assert "Sighting" not in sent(misp, site)[0]
    assert misp.calls[-2:] == [
        f"POST /sightings/filterSightingUuidsForPush/{FIRST}",
        f"POST /sightings/bulkSaveSightings/{FIRST}",
    ]
    assert misp.sightings[1:] == [
        {**given[1], "type": "1", "org_id": "0"},
        {**given[2], "type": "0", "org_id": "1", "source": ""},
    ]


def test_new_sightings_go_although_the_event_is_there():
    misp = Instance()
    misp.put(event(1, T))
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1, Sighting=[sighting(700)]))) == [("accepted", "peer.already_there")]
    assert [each["uuid"] for each in misp.sightings] == [uuid(700)]


@pytest.mark.parametrize(
    ("broken", "version", "message"),
    [
        ({"/sightings/filter": Told(403)}, {}, ""),
        ({"/sightings/filter": Told(200, b"<html>")}, {}, ""),
        ({}, {"filter_sightings": False}, ""),
        ({"/sightings/bulk": Told(404)}, {}, "peer.sightings_left count=2"),
        ({"/sightings/bulk": Told(500)}, {}, "peer.sightings_left count=2"),
        (
            {"/sightings/bulk": said({"saved": True, "success": "1 sightings added."})},
            {},
            "peer.sightings_left count=1",
        ),
        ({"/sightings/bulk": said([])}, {}, "peer.sightings_left count=2"),
        ({}, {"perm_sighting": False}, "peer.sightings_left count=2"),
    ],
)
def test_sightings_that_are_not_taken_are_noted_and_hold_nothing_back(broken, version, message):
    misp = Instance(broken=broken)
    misp.version |= version
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1, Sighting=[sighting(700), sighting(701)]))
    assert told(receipts) == [("accepted", message)]


def test_proposals_analyst_data_and_clusters_go_their_own_ways():
    misp = Instance(analyst={"Note": {uuid(800): {}}})
    beside = {
        "ShadowAttribute": [{"uuid": uuid(600), "type": "domain", "value": "x", "old_id": "0"}],
        "Note": [{"uuid": uuid(800), "modified": "x"}, {"uuid": uuid(801), "modified": "2026-11-21 10:00:00"}],
        "Opinion": [{"uuid": uuid(802), "modified": "2026-11-21 10:00:00"}],
        "GalaxyCluster": [{"uuid": uuid(500), "version": "1"}],
    }
    with serving(misp) as site:
        assert told(push(site.url, outgoing(1, **beside))) == [("accepted", "")]
        assert not beside.keys() & sent(misp, site)[0].keys()
    assert misp.proposals == [beside["ShadowAttribute"][0] | {"event_uuid": FIRST}]
    assert misp.analyst["Note"][uuid(801)] == beside["Note"][1]
    assert misp.analyst["Opinion"] == {uuid(802): beside["Opinion"][0]}
    assert misp.analyst["Note"][uuid(800)] == {}
    assert misp.clusters == {uuid(500): beside["GalaxyCluster"][0]}


def test_what_the_instance_does_not_take_is_noted_and_offered_once():
    misp = Instance()
    misp.broken = dict.fromkeys(("/events/pushProposals", "/analyst_data/", "/galaxies/", "/eventReports/"), Told(404))
    beside = {
        "ShadowAttribute": [{"uuid": uuid(600)}],
        "Note": [{"uuid": uuid(801)}],
        "GalaxyCluster": [{"uuid": uuid(500)}],
        "EventReport": [{"uuid": uuid(70)}],
    }
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1, **beside), outgoing(2, **beside))
        assert all("EventReport" not in part for part in sent(misp, site))
    noted = ["peer.no_reports", *(f"peer.{what}_left count=1" for what in ("clusters", "proposals", "analyst_data"))]
    assert [receipt.outcome for receipt in receipts] == ["accepted"] * 2
    assert [receipt.message.split("; ") for receipt in receipts] == [noted] * 2
    assert all(knows(note.split()[0], language) for note in noted for language in LANGUAGES)
    for path in misp.broken:
        assert len([call for call in misp.calls if path in call]) == 1


def test_reports_go_along_where_they_are_known():
    misp = Instance()
    with serving(misp) as site:
        push(site.url, outgoing(1, EventReport=[{"uuid": uuid(70)}]), outgoing(2, EventReport=[]))
        assert [part.get("EventReport") for part in sent(misp, site)] == [[{"uuid": uuid(70)}], None]
    assert len([call for call in misp.calls if "eventReports" in call]) == 1


def test_no_secret_of_ours_is_repeated():
    misp = Instance(broken={"/events/add": refusal("x", saved=False, errors=f"you sent {KEY}")})
    with serving(misp) as site:
        receipts = push(site.url, outgoing(1))
    assert KEY not in receipts[0].message
    assert receipts[0].message == "you sent …"


def test_a_target_can_be_compared():
    misp = Instance()
    misp.put(event(1, T))
    with serving(misp) as site:
        reader = client("misp", credentials=Credentials(key=KEY))
        assert [[e.id for e in page] for page in reader.index(target(site.url, "misp"))] == [[FIRST]]


def test_an_interrupted_push_says_so():
    misp = Instance(broken={"/events/view/": Told(502)})
    with serving(misp) as site, pytest.raises(PeerUnreachable) as failed:
        push(site.url, outgoing(1), waits=Waits(stopping=True))
    assert failed.value.code == "peer.interrupted"


def test_the_cut_is_never_larger_than_a_call_may_be():
    body = json.dumps({"Event": event(1, T, Attribute=[attribute(n, data="A" * 3000) for n in range(50)])}).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(misp_parts, "LARGEST", 20_000)
        parts = misp_parts.opened(body).parts(5000)
    assert [len(part) for part in parts] == [6] * 8 + [2]
    assert NOW.timestamp() == STAMP
