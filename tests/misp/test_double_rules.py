"""The rules of two MISPs that sync with each other: distribution over a hop, versions, locks, tags, deletion, texts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lab.feed import feed
from lab.misp import (
    CERT_QC,
    CIRCL,
    READ_ONLY,
    Feed,
    Misp,
    Organisation,
    Server,
    analyst,
    clusters,
    misp,
    proposals,
)
from lab.misp.connection import remote_user
from pymisp import PyMISP

EVENT = "aaaaaaaa-0000-4000-8000-0000000000"
OTHER = Organisation(uuid="bbbbbbbb-0000-4000-8000-000000000001", name="CSIRT Ailleurs")


def part(number: int, level: str = "5", **more: Any) -> dict[str, Any]:
    values = {"type": "domain", "category": "Network activity", "value": f"d{number}.example", "to_ids": True}
    return {"uuid": f"{EVENT[:-2]}{number:04}", "timestamp": "1700000000", "distribution": level, **values, **more}


def event(number: int = 1, level: str = "3", *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    frame = {"uuid": f"{EVENT}{number:02}", "info": f"e{number}", "date": "2026-01-01", "timestamp": "1700000000"}
    inside = list(parts) or [part(number)]
    return {**frame, "distribution": level, "published": True, "Attribute": inside, **more}


@pytest.fixture
def home() -> Iterator[Misp]:
    """CERT-QC's MISP; its key is that of CIRCL's sync user."""
    with misp(organisation=CERT_QC, reader=CIRCL) as running:
        yield running


@pytest.fixture
def circl() -> Iterator[Misp]:
    with misp() as running:
        yield running


@pytest.fixture
def at_home(home: Misp, circl: Misp) -> Server:
    """CIRCL's row for CERT-QC's MISP."""
    return circl.connect(home.url, home.key)


@pytest.fixture
def at_circl(home: Misp, circl: Misp) -> Server:
    """CERT-QC's row for CIRCL's MISP."""
    return home.connect(circl.url, circl.key)


def post(running: Misp, path: str, body: Any, **headers: str) -> requests.Response:
    usual = {"Authorization": running.key, "Accept": "application/json", "Content-Type": "application/json"}
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return requests.post(running.url + path, raw, headers={**usual, **headers}, timeout=20)


def levels(running: Misp, uuid: str) -> tuple[str, list[str]]:
    held = running.events[uuid]
    return held["distribution"], [attribute["distribution"] for attribute in held["Attribute"]]


ALL = [part(10 + int(level), level) for level in "01235"]


@pytest.mark.parametrize(
    ("level", "pulled", "pushed"),
    [
        ("0", None, None),
        ("1", ("0", ["0", "1", "3", "5"]), None),
        ("2", ("1", ["0", "1", "3", "5"]), ("1", ["1", "3", "5"])),
        ("3", ("3", ["0", "1", "3", "5"]), ("3", ["1", "3", "5"])),
    ],
)
def test_what_arrives_of_each_distribution(
    home: Misp, circl: Misp, at_home: Server, at_circl: Server, level: str, pulled: Any, pushed: Any
) -> None:
    uuid = circl.add(event(1, level, *ALL))
    assert circl.push(at_home).green
    assert (levels(home, uuid) if uuid in home.events else None) == pushed
    home.instance.lift(uuid)
    assert home.pull(at_circl).green
    assert (levels(home, uuid) if uuid in home.events else None) == pulled
    if pulled:
        assert home.events[uuid]["locked"]
        assert home.events[uuid]["Org"]["name"] == "CERT-QC"
        assert home.events[uuid]["Orgc"]["name"] == "CIRCL"


@pytest.mark.parametrize(("members", "arrives"), [([CIRCL, CERT_QC], True), ([CIRCL], False), ([], False)])
def test_a_sharing_group_goes_to_its_members_only(
    home: Misp, circl: Misp, at_home: Server, at_circl: Server, members: list[Organisation], arrives: bool
) -> None:
    places = [{"extend": True, "Organisation": {"uuid": org.uuid, "name": org.name}} for org in members]
    group = {"uuid": "cccccccc-0000-4000-8000-000000000001", "name": "G", "roaming": True, "SharingGroupOrg": places}
    circl.events.put(event(1, "4", SharingGroup=group))
    assert circl.push(at_home).green
    assert (f"{EVENT}01" in home.events) is arrives
    home.instance.lift(f"{EVENT}01")
    assert home.pull(at_circl).green
    assert (f"{EVENT}01" in home.events) is arrives


def test_publishing_pushes_and_an_edit_follows(home: Misp, circl: Misp, at_home: Server) -> None:
    uuid = circl.add(event(1, "3", part(1), part(2), published=False))
    assert circl.work() == []
    assert all(report.green for report in circl.publish(uuid))
    assert home.events.values(uuid) == {part(1)["uuid"]: "d1.example", part(2)["uuid"]: "d2.example"}
    first = home.events[uuid]
    gone = {"uuid": part(2)["uuid"], "deleted": True, "timestamp": "1900000000"}
    circl.edit(uuid, Attribute=[gone, part(3)])
    assert all(report.green for report in circl.work())
    assert sorted(home.events.values(uuid).values()) == ["d1.example", "d3.example"]
    assert int(home.events[uuid]["timestamp"]) > int(first["timestamp"])
    paths = [call.path.split("/")[2] for call in at_home.calls]
    assert paths == ["getVersion", "view", "add", "getVersion", "view", "edit"]


def test_an_edit_takes_what_is_newer_and_leaves_the_rest(home: Misp) -> None:
    assert post(home, "events/add", {"Event": event(1, "3", part(1), part(2), part(3), locked=1)}).status_code == 200
    uuid = f"{EVENT}01"
    equal = post(home, f"events/edit/{uuid}", {"Event": event(1)})
    assert equal.status_code == 403
    assert equal.json()["errors"].endswith("Event in the request not newer than the local copy.")
    newer = [
        part(1, comment="same time: not taken"),
        {"uuid": part(2)["uuid"], "timestamp": "1700000005", "deleted": True},  # its value is not sent
    ]
    sent = {"Event": event(1, "3", *newer, timestamp="1700000001", info="changed")}
    assert post(home, f"events/edit/{uuid}", sent).status_code == 200
    held = {attribute["uuid"]: attribute for attribute in home.events[uuid]["Attribute"]}
    assert held[part(1)["uuid"]]["comment"] == ""
    assert (held[part(2)["uuid"]]["deleted"], held[part(2)["uuid"]]["value"]) == (True, "d2.example")
    assert not held[part(3)["uuid"]]["deleted"]
    back = {"uuid": part(2)["uuid"], "timestamp": "1700000006", "deleted": False}
    post(home, f"events/edit/{uuid}", {"Event": event(1, "3", back, timestamp="1700000002")})
    assert "d2.example" in home.events.values(uuid).values()


def test_the_attributes_of_an_object_need_a_newer_object(home: Misp) -> None:
    """However new an attribute is: MISP does not look into an object whose own timestamp has not risen."""
    object_ = {"uuid": f"{EVENT}50", "name": "file", "timestamp": "1700000000", "Attribute": [part(1)]}
    post(home, "events/add", {"Event": event(1, "3", part(9), Object=[object_], locked=1)})
    changed = {**object_, "Attribute": [part(1, comment="new", timestamp="1700000009")]}
    for when, comment in (("1700000000", ""), ("1700000001", "new")):
        sent = event(1, "3", timestamp=f"{int(when) + 10}", Object=[{**changed, "timestamp": when}])
        assert post(home, f"events/edit/{EVENT}01", {"Event": sent}).status_code == 200
        assert home.events[f"{EVENT}01"]["Object"][0]["Attribute"][0]["comment"] == comment


def test_what_is_not_valid_is_dropped_without_a_word(home: Misp) -> None:
    bad = [
        part(2, value=""),
        part(3, type="nothing"),
        part(4, type="ip-dst", value="not an address"),
        part(5, value="d1.example"),  # the same value once more
        part(6, uuid="no-uuid"),
    ]
    answer = post(home, "events/add/metadata:1", {"Event": event(1, "3", part(1), *bad)})
    assert (answer.status_code, answer.json()["Event"]["attribute_count"]) == (200, "1")
    taken = post(home, "events/add/metadata:1", {"Event": event(2, "3", part(1, value="elsewhere.example"), part(7))})
    assert (taken.status_code, taken.json()["Event"]["attribute_count"]) == (200, "1")  # its uuid is in use


def test_tags_only_come_unless_they_say_that_they_go(home: Misp) -> None:
    two = [{"name": "tlp:green"}, {"name": "tlp:amber"}]
    post(home, "events/add", {"Event": event(1, Tag=two, locked=1)})

    def after(when: int, *tags: dict[str, Any]) -> list[str]:
        sent = event(1, timestamp=str(1700000000 + when), Tag=list(tags))
        assert post(home, f"events/edit/{EVENT}01", {"Event": sent}).status_code == 200
        return [tag["name"] for tag in home.events[f"{EVENT}01"]["Tag"]]

    assert after(1, {"name": "pap:clear"}) == ["tlp:green", "tlp:amber", "pap:clear"]
    assert after(2, {"name": "tlp:green", "deleted": True}) == ["tlp:amber", "pap:clear"]


def test_local_tags_and_those_that_are_not_exportable_stay(
    home: Misp, circl: Misp, at_home: Server, at_circl: Server
) -> None:
    tags = [{"name": "tlp:clear"}, {"name": "ours", "local": True}, {"name": "secret", "exportable": False}]
    uuid = circl.add(event(1, "3", part(1, Tag=tags), Tag=tags))
    for brought in (lambda: circl.push(at_home), lambda: home.pull(at_circl)):
        assert brought().green
        held = home.events[uuid]
        assert [tag["name"] for tag in (*held["Tag"], *held["Attribute"][0]["Tag"])] == ["tlp:clear", "tlp:clear"]
        home.instance.lift(uuid)


def test_an_unlocked_copy_is_never_updated(home: Misp, circl: Misp, at_home: Server, at_circl: Server) -> None:
    uuid = circl.add(event(1))
    home.events.put({**event(1), "locked": False})
    circl.edit(uuid, info="changed")
    assert (
        post(home, "events/filterEventIdsForPush", [{"Event": {"uuid": uuid, "timestamp": "1900000000"}}]).json() == []
    )
    assert circl.push(at_home).events == []
    assert home.pull(at_circl).events == []
    assert home.pull(at_circl, uuid).fails[uuid].startswith("Blocked an edit to an event that was created locally.")
    assert home.events[uuid]["info"] == "e1"


def test_a_future_timestamp_blocks_honest_updates(home: Misp) -> None:
    post(home, "events/add", {"Event": event(1, timestamp="1999999999", locked=1)})
    assert post(home, f"events/edit/{EVENT}01", {"Event": event(1, timestamp="1800000000")}).status_code == 403


def test_the_texts_of_refusals(home: Misp, circl: Misp, at_home: Server) -> None:
    assert post(home, "events/add", {"Event": event(1)}).status_code == 200
    again = post(home, "events/add", {"Event": event(1)})
    assert (again.status_code, again.headers["Location"].rpartition("/")[2]) == (404, home.events[f"{EVENT}01"]["id"])
    home.delete(f"{EVENT}01")
    blocked = post(home, "events/add", {"Event": event(1)})
    assert (blocked.status_code, blocked.json()["message"]) == (403, "Event blocked by event blocklist.")
    uuid = circl.add(event(1))
    report = circl.publish(uuid)[0]
    assert not report.green
    assert report.fails[uuid].startswith("Remote server returns HTTP error code 403")
    unknown = requests.get(home.url + "events/index", headers={"Authorization": "x" * 40}, timeout=20)
    assert unknown.status_code == 403
    assert set(unknown.json()) == {"name", "message", "url"}


def test_an_event_without_attributes_is_in_the_preview_only(home: Misp, circl: Misp, at_circl: Server) -> None:
    circl.events.put(event(1, "3", part(1, deleted=True)))
    circl.events.put(event(2, "3", part(2), published=False))
    circl.events.put(event(3))
    minimal = post(circl, "events/index", {"minimal": 1, "published": 1})
    assert [row["uuid"] for row in minimal.json()] == [f"{EVENT}03"]
    assert minimal.headers["X-Result-Count"] == "1"
    assert "ETag" not in minimal.headers  # it is said to those who send If-None-Match
    rows, count = home.preview(at_circl)
    assert (len(rows), count) == (3, 3)
    assert home.pull(at_circl).events == [f"{EVENT}03"]


def test_filters_of_the_index(circl: Misp) -> None:
    circl.events.put(event(1, Tag=[{"name": "tlp:clear"}]))
    circl.events.put(event(2, Orgc={"uuid": OTHER.uuid, "name": OTHER.name}, publish_timestamp="1800000000"))

    def found(**rules: Any) -> list[str]:
        return [row["uuid"][-1] for row in post(circl, "events/index", {"minimal": 1, "published": 1, **rules}).json()]

    assert found(tag=["tlp:clear"]) == ["1"]
    assert found(tag=["!tlp:clear"]) == ["2"]
    assert found(org=[OTHER.name]) == ["2"]
    assert found(org=[f"!{OTHER.uuid}"]) == ["1"]
    assert found(publish_timestamp="1750000000") == ["2"]
    assert found(eventinfo="e2") == ["2"]


def test_sightings_go_by_policy_and_once(home: Misp, circl: Misp, at_home: Server, at_circl: Server) -> None:
    uuid, seen = circl.add(event(1)), "dddddddd-0000-4000-8000-000000000001"
    assert all(report.green for report in circl.work())
    circl.sight(part(1)["uuid"], seen, source="probe")
    assert [report.sightings for report in circl.work()] == [0]  # policy 0: only the owner sees them
    circl.instance.settings.sightings_policy = 2
    assert home.pull(at_circl).sightings == 1
    held = home.events[uuid]["Sighting"]
    assert [sighting["Organisation"]["name"] for sighting in held] == ["CIRCL"]
    circl.sight(part(1)["uuid"], seen.replace("1", "2"))
    assert [report.sightings for report in circl.work()] == [1]  # the other one is there already
    assert home.pull(at_circl).sightings == 0
    assert len(home.events[uuid]["Sighting"]) == 2


def test_analyst_data_proposals_and_clusters_come_along(home: Misp, circl: Misp, at_circl: Server) -> None:

    uuid = circl.add(event(1))
    note = {"uuid": f"{EVENT}70", "object_uuid": uuid, "object_type": "Event", "note": "n", "language": "en"}
    analyst.put(circl.instance, "Note", {**note, "created": "2026-01-01 00:00:00", "modified": "2026-01-01 00:00:00"})
    for number, age in ((8, 0), (9, 91)):
        said = part(number, timestamp=str(circl.instance.now - age * 86400))
        proposals.put(circl.instance, circl.instance.events[uuid], said, circl.instance.organisation)
    clusters.put(
        circl.instance, {"uuid": f"{EVENT}71", "type": "threat-actor", "value": "X", "version": 1, "distribution": "2"}
    )
    report = home.pull(at_circl)
    assert report.green
    assert (report.events, report.proposals, report.clusters) == ([uuid], 1, 1)  # the older one is not asked for
    assert home.instance.clusters[f"{EVENT}71"]["distribution"] == "1"
    assert list(home.instance.analyst["Note"]) == [f"{EVENT}70"]


def test_version_gates(home: Misp, circl: Misp, at_circl: Server) -> None:
    circl.events.put(event(1))
    assert home.test(at_circl).green
    circl.instance.settings.version = "3.0.0"
    tested = home.test(at_circl)
    assert (tested.status, tested.post, tested.green) == (1, None, False)
    at_circl.calls.clear()
    assert home.pull(at_circl).green
    assert not any("shadow_attributes" in call.path for call in at_circl.calls)


def test_what_a_connection_test_tells(home: Misp, circl: Misp, at_circl: Server) -> None:
    assert remote_user(home.instance, at_circl)["role"] == "Sync user"
    at_circl.key = "x" * 40
    assert home.test(at_circl).message.startswith("Authentication failed")
    assert home.pull(at_circl).message.startswith("Not authorised.")
    at_circl.key = circl.instance.user("CERT-QC", CERT_QC.uuid, role=READ_ONLY).key
    assert home.test(at_circl).message.startswith("Remote user not a sync user")
    assert home.push(at_circl).message == "Remote instance is outdated or no permission to push."
    at_circl.url = "http://127.0.0.1:1/"
    assert home.test(at_circl).message.startswith("Server unreachable")


def test_compressed_bodies(home: Misp) -> None:
    raw = gzip.compress(json.dumps({"Event": event(1)}).encode())
    packed = {"Content-Encoding": "gzip"}
    assert post(home, "events/add", raw, **packed).status_code == 200
    assert post(home, "events/add", raw[:20], **packed).status_code == 400
    assert post(home, "events/add", raw, **{"Content-Encoding": "br"}).status_code == 400


def test_a_feed_makes_unlocked_events(home: Misp, tmp_path: Any) -> None:

    with feed(tmp_path, [event(1, "0"), {**event(2), "distribution": "2"}]) as osint:
        assert home.fetch(Feed(url=osint.url, distribution="5")).green
        assert levels(home, f"{EVENT}02") == ("2", ["5"])
        assert not home.events[f"{EVENT}01"]["locked"]
        osint.publish({**event(2), "timestamp": "1700000009", "info": "newer"})
        assert home.fetch(Feed(url=osint.url, distribution="1")).events == [f"{EVENT}02"]
        assert home.events[f"{EVENT}02"]["info"] == "newer"


def test_pymisp_works_on_it(circl: Misp) -> None:
    circl.events.put(event(1, Tag=[{"name": "tlp:clear"}]))
    client = PyMISP(circl.url, circl.key, ssl=False)
    assert client.misp_instance_version["version"] == "2.5.1"
    found = client.get_event(f"{EVENT}01", pythonify=True)
    assert (found.info, found.attributes[0].value) == ("e1", "d1.example")
    assert [row["uuid"] for row in client.search_index(minimal=True, pythonify=False)] == [f"{EVENT}01"]
    assert [hit.uuid for hit in client.search(value="d1.example", pythonify=True)] == [f"{EVENT}01"]
    made = client.add_event({"Event": event(5, published=False)}, pythonify=True)
    made.info = "changed"
    made.timestamp = 1700000050
    assert client.update_event(made, pythonify=True).info == "changed"


def test_protected_events_are_hidden_and_refused(home: Misp, circl: Misp, at_circl: Server) -> None:
    circl.events.put(event(1, protected=True))
    assert post(circl, "events/index", {"minimal": 1, "published": 1}).json() == []
    assert home.pull(at_circl).events == []
    circl.instance.settings.signs_protected = True
    assert home.pull(at_circl).fails[f"{EVENT}01"].startswith("Event failed the validation checks.")
    refused = post(home, "events/add", {"Event": event(2, protected=True)})
    assert (refused.status_code, "as no key was provided" in refused.json()["message"]) == (405, True)
