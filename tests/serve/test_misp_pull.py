"""What a MISP pulls: the index with its ETag, events, sightings, proposals, analyst data, clusters, and the cache."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store, accounts
from tests.serve.house import House
from tests.serve.wire import BASE, CERT1, EVENT, STAMP, Misp, attribute, event, house_of, refused
from tests.world import SHARED, indicator

SYNC = (
    "/deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0"
    "/includeWarninglistHits:0/excludeLocalTags:1"
)
SEEN = "d5e16dc3-5308-4bb8-8ab0-7afa1b797fd2"
OTHER = EVENT[:-4] + "b001"


@pytest.fixture
def house(memory: Store) -> House:
    """A node to which circl's MISP has pushed two events."""
    made = house_of(memory)
    peer = Misp(made)
    assert peer.push(event(attribute("a.example", 1), attribute("b.example", 2))).status_code == 200
    tag = {"name": "workflow:state", "colour": "#112233", "exportable": True, "local": False}
    second = event(attribute("c.example", 0x1001), uuid=OTHER, info="Second – été", threat_level_id="4", analysis="2")
    assert peer.push({**second, "Tag": [*second["Tag"], tag]}).status_code == 200
    made.tick()
    return made


def index(house: House, who: str = "ccc", **rules: Any) -> list[dict[str, Any]]:
    answer = Misp(house, who).post("/events/index", {"minimal": 1, "published": 1, **rules})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-result-count"] == str(len(answer.json))
    return list(answer.json)


def view(house: House, uuid: str = EVENT, who: str = "ccc") -> dict[str, Any]:
    answer = Misp(house, who).get(f"/events/view/{uuid}{SYNC}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json["Event"])


def test_the_index_is_what_misp_compares(house: House) -> None:
    rows = {row["uuid"]: row for row in index(house)}
    assert rows.keys() == {EVENT, OTHER}
    row = rows[EVENT]
    assert row.keys() == {"id", "timestamp", "sighting_timestamp", "published", "uuid", "orgc_uuid"}
    assert row["published"] is True
    assert row["orgc_uuid"] == CERT1
    assert int(row["timestamp"]) >= STAMP
    assert isinstance(row["timestamp"], str)


def test_the_index_again_is_not_modified(house: House) -> None:
    """A MISP sends `""` first, then the tag that it got; what this audience cannot see changes nothing (R14)."""
    peer = Misp(house, "ccc")

    def ask(tag: str) -> Any:
        return peer.post("/events/index", {"minimal": 1, "published": 1}, If_None_Match=tag)

    first = ask('""')
    assert first.status_code == 200
    tag = first.headers["etag"]
    again = ask(tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    red = [{"name": "tlp:red", "colour": "#f00", "exportable": True, "local": False}]
    hidden = event(attribute("d.example", 0x2001), uuid=EVENT[:-4] + "c001")
    Misp(house).push({**hidden, "Tag": red})
    assert ask(tag).status_code == 304
    Misp(house).push(event(attribute("e.example", 0x3001), uuid=EVENT[:-4] + "d001"))
    house.tick()
    assert ask(tag).status_code == 200


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({"tag": ["workflow:state"]}, [OTHER]),
        ({"tag": ["!workflow:state"]}, [EVENT]),
        ({"tag": ["tlp:green", "!workflow:state"]}, [EVENT]),
        ({"tags": "tlp:green&workflow:state"}, [OTHER]),
        ({"tag": ["no:such"]}, []),
        ({"org": ["CERT1"]}, [EVENT, OTHER]),
        ({"org": ["cert1"]}, [EVENT, OTHER]),
        ({"org": [CERT1]}, [EVENT, OTHER]),
        ({"org": ["!CERT1"]}, []),
        ({"org": "CERT9|CERT1"}, [EVENT, OTHER]),
        ({"eventinfo": "second"}, [OTHER]),
        ({"eventinfo": "!SECOND"}, [EVENT]),
        ({"timestamp": "1d"}, [EVENT, OTHER]),
        ({"timestamp": "1900000000"}, []),
        ({"publish_timestamp": ["1", "1000"]}, []),
        ({"publish_timestamp": "5m"}, [EVENT, OTHER]),
        ({"threatlevel": "4"}, [OTHER]),
        ({"analysis": ["1"]}, [EVENT]),
        ({"eventid": OTHER}, [OTHER]),
        ({"eventid": "!" + OTHER}, [EVENT]),
        ({"datefrom": "2026-11-21", "dateuntil": "2026-11-21"}, [EVENT, OTHER]),
        ({"datefrom": "2026-11-22"}, []),
        ({"published": 0}, []),
        ({"sharinggroup": "4"}, []),
        ({"sharinggroup": "!4"}, [EVENT, OTHER]),
        ({"hasproposal": 1}, []),
        ({"searcheventinfo": "second"}, [OTHER]),
    ],
)
def test_rules_of_a_pull(house: House, rules: dict[str, Any], found: list[str]) -> None:
    assert [row["uuid"] for row in index(house, **rules)] == found


@pytest.mark.parametrize("rules", [{"attribute": "a.example"}, {"email": "x"}, {"timestamp": "soon"}])
def test_a_rule_that_cannot_be_kept_is_refused(house: House, rules: dict[str, Any]) -> None:
    """To leave it out would give more than was asked for."""
    refused(Misp(house, "ccc").post("/events/index", {"minimal": 1, **rules}), 400)


def test_an_event_as_misp_takes_it(house: House) -> None:
    found = view(house)
    assert (found["uuid"], found["info"], found["date"]) == (EVENT, "E1", "2026-11-21")
    assert (found["threat_level_id"], found["analysis"], found["distribution"]) == ("2", "1", "2")
    assert found["published"] is True
    assert found["Orgc"]["uuid"] == CERT1
    assert found["Orgc"]["name"] == "CERT1"
    assert [tag["name"] for tag in found["Tag"]] == ["tlp:green"]
    assert {each["value"] for each in found["Attribute"]} == {"a.example", "b.example"}
    first = found["Attribute"][0]
    assert first["timestamp"] == str(STAMP)
    assert first["distribution"] == "5"
    assert first["to_ids"] is True
    assert "SharingGroup" not in found
    row = next(row for row in index(house) if row["uuid"] == EVENT)
    assert row["timestamp"] == found["timestamp"]


def test_head_and_get_agree(house: House) -> None:
    peer = Misp(house, "ccc")
    assert (peer.head(f"/events/view/{EVENT}"), peer.get(f"/events/view/{EVENT}").status_code) == (200, 200)
    unknown = EVENT[:-1] + "f"
    assert (peer.head(f"/events/view/{unknown}"), peer.get(f"/events/view/{unknown}").status_code) == (404, 404)
    assert refused(peer.get(f"/events/view/{unknown}"), 404)["name"] == "Invalid event"


def test_what_was_deleted_comes_as_a_tombstone_to_a_sync_alone(house: House) -> None:
    gone = attribute("a.example", 1, deleted=True, timestamp=str(STAMP + 5))
    Misp(house).push(event(gone, attribute("b.example", 2), stamp=STAMP + 5))
    house.tick()
    told = {each["uuid"]: each for each in view(house)["Attribute"]}
    assert told[gone["uuid"]]["deleted"] is True
    assert "value" not in told[gone["uuid"]]
    plain = Misp(house, "ccc").get(f"/events/view/{EVENT}").json["Event"]
    assert [each["value"] for each in plain["Attribute"]] == ["b.example"]


def test_the_preview(house: House) -> None:
    """Whole rows with Org, Orgc and EventTag, a page at a time, and how many there are in all."""
    peer = Misp(house, "ccc")
    answer = peer.get("/events/index/sort:timestamp/direction:desc/page:1/limit:1")
    assert answer.headers["x-result-count"] == "2"
    (row,) = answer.json
    assert {"info", "date", "threat_level_id", "analysis", "attribute_count", "Org", "Orgc", "EventTag"} <= row.keys()
    (other,) = peer.get("/events/index/sort:timestamp/direction:desc/page:2/limit:1").json
    assert {row["uuid"], other["uuid"]} == {EVENT, OTHER}
    by_info = peer.get("/events/index/sort:info/direction:asc").json
    assert [each["info"] for each in by_info] == ["E1", "Second – été"]
    names = [tag["Tag"]["name"] for tag in by_info[1]["EventTag"]]
    assert names == ["tlp:green", "workflow:state"]
    assert peer.get(f"/events/{EVENT}").json["Event"]["info"] == "E1"


def test_names_for_the_rules(house: House) -> None:
    said = Misp(house, "ccc").get("/servers/getAvailableSyncFilteringRules").json
    assert said == {"organisations": ["CERT1"], "tags": ["tlp:green", "workflow:state"]}


def test_each_account_sees_its_own(house: House) -> None:
    """Another collection, another instance; what comes over TAXII is there too, as an event."""
    assert [row["uuid"] for row in Misp(house, "cert-ee", base="/misp/partenaires").get("/events/index").json] != []
    house.give(indicator("taxii.example"), indicator("red.example", tlp=Tlp.RED))
    house.tick()
    peer = Misp(house, "ccc", base=f"/misp/{SHARED}")
    found = peer.get("/events/index").json
    values = set()
    for row in found:
        document = peer.get(f"/events/view/{row['uuid']}{SYNC}").json["Event"]
        values |= {each["value"] for each in document["Attribute"]}
    assert "taxii.example" in values
    assert "red.example" not in values


def test_r27_what_was_offered_stands_in_the_ledger(house: House) -> None:
    before = len(house.reads())
    index(house)
    Misp(house, "ccc").head(f"/events/view/{EVENT}")
    assert len(house.reads()) == before
    view(house)
    account, query, count = house.reads()[-1]
    assert (account, query.startswith(f"misp{BASE}/events/view/{EVENT}")) == ("ccc", True)
    assert count >= 2


def test_r31_paused_outwards(house: House) -> None:
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "ccc", "out", "op", "why", 1)
    refused(Misp(house, "ccc").post("/events/index", {"minimal": 1}), 503)
    refused(Misp(house, "ccc").get(f"/events/view/{EVENT}"), 503)
    assert Misp(house, "ccc").head(f"/events/view/{EVENT}") == 404  # it gave nothing itself


def test_packed_answers(house: House) -> None:
    peer = Misp(house, "ccc")
    plain = peer.get(f"/events/view/{EVENT}{SYNC}")
    packed = peer.get(f"/events/view/{EVENT}{SYNC}", Accept_Encoding="deflate, gzip, br, zstd")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


def sighting(**more: Any) -> dict[str, Any]:
    return {
        "id": "8", "attribute_id": "46", "event_id": "11", "org_id": "1", "date_sighting": str(STAMP + 60),
        "uuid": SEEN, "source": "s1", "type": "0", "attribute_uuid": attribute("", 1)["uuid"],
        "Organisation": {"id": "1", "uuid": CERT1, "name": "CERT1"}, **more,
    }  # fmt: skip


def test_sightings_go_through(house: House) -> None:
    peer, reader = Misp(house), Misp(house, "ccc")
    path = f"/sightings/filterSightingUuidsForPush/{EVENT}"
    assert peer.post(path, [SEEN]).json == []
    answer = peer.post(f"/sightings/bulkSaveSightings/{EVENT}", [sighting()])
    assert answer.json == {"saved": True, "success": "1 sightings added."}
    assert peer.post(path, [SEEN, OTHER]).json == [SEEN]
    house.tick()
    row = next(row for row in index(house) if row["uuid"] == EVENT)
    assert int(row["sighting_timestamp"]) > 0
    asked = {"returnFormat": "json", "last": 0, "includeUuid": True, "uuid": [EVENT]}
    (found,) = reader.post("/sightings/restSearch/event", asked).json["response"]
    told = found["Sighting"]
    assert (told["uuid"], told["type"], told["source"]) == (SEEN, "0", "s1")
    assert (told["date_sighting"], told["event_uuid"]) == (str(STAMP + 60), EVENT)
    assert told["attribute_uuid"] == sighting()["attribute_uuid"]
    assert told["Organisation"] == {"uuid": CERT1, "name": "CERT1"}
    assert reader.post("/sightings/restSearch/event", {**asked, "uuid": [OTHER]}).json == {"response": []}
    assert reader.post("/sightings/restSearch/event", {**asked, "org_id": [f"!{CERT1}"]}).json == {"response": []}


def test_a_reader_s_sighting_of_what_it_sees(memory: Store) -> None:
    """ccc may write here too: its sighting of circl's attribute reaches circl, and changes nothing of circl's."""
    house = house_of(memory)
    Misp(house).push(event(attribute("a.example", 1)))
    before = Misp(house).get(f"/events/view/{EVENT}{SYNC}").json["Event"]["Attribute"]
    assert Misp(house).post(f"/sightings/bulkSaveSightings/{OTHER}", [sighting()]).status_code == 404
    assert before[0]["value"] == "a.example"


def test_a_sighting_goes_no_further_than_what_was_seen(memory: Store) -> None:
    """The event stays here, so what is said of it does too, over MISP and over TAXII."""
    house = house_of(memory)
    peer = Misp(house)
    assert peer.push(event(attribute("a.example", 1), distribution=1)).status_code == 200
    assert peer.post(f"/sightings/bulkSaveSightings/{EVENT}", [sighting()]).json["saved"] is True
    assert peer.post(f"/events/pushProposals/{EVENT}", [proposal()]).json["counter"] == 1
    assert peer.post("/analyst_data/pushAnalystData", {"Note": note()}).json["success"] is True
    house.tick()
    listed = house.get("/api/collections/depot-commun/objects/", "ccc").json.get("objects", [])
    assert [each["type"] for each in listed if each["type"] != "identity"] == []
    assert index(house) == []
    assert Misp(house, "ccc").post("/analyst_data/indexMinimal", {}).json == []


def proposal() -> dict[str, Any]:
    return {
        "old_id": "0", "event_id": "4", "type": "ip-src", "category": "Network activity", "to_ids": True,
        "uuid": "cac72339-4b2f-4d6e-a804-603610676f65", "org_id": "5", "email": "sync@cert2.test", "event_org_id": "1",
        "comment": "", "event_uuid": EVENT, "deleted": False, "timestamp": str(STAMP + 30), "proposal_to_delete": False,
        "first_seen": None, "last_seen": None, "value": "192.0.2.77", "data": "",
    }  # fmt: skip


def test_proposals_go_through(house: House) -> None:
    peer, reader = Misp(house), Misp(house, "ccc")
    path = "/shadow_attributes/index/all:1/timestamp:{}/limit:1000/page:{}/deleted[]:0/deleted[]:1.json"
    assert reader.get(path.format(1, 1)).json == []
    assert peer.post(f"/events/pushProposals/{EVENT}", [proposal()]).json["success"] is True
    house.tick()
    (found,) = reader.get(path.format(1, 1)).json
    told = found["ShadowAttribute"]
    assert (told["value"], told["type"], told["event_uuid"]) == ("192.0.2.77", "ip-src", EVENT)
    assert told["Org"]["uuid"] == CERT1
    assert "email" not in told
    assert reader.get(path.format(1, 2)).json == []
    assert reader.get(path.format(STAMP + 31, 1)).json == []
    unknown = peer.post(f"/events/pushProposals/{EVENT[:-1]}f", [proposal()])
    assert (unknown.status_code, unknown.json["success"]) == (200, False)


NOTE = "5c4e0000-0000-4000-8000-000000000121"


def note(**more: Any) -> dict[str, Any]:
    return {
        "uuid": NOTE, "object_uuid": EVENT, "object_type": "Event", "authors": "a@cert1.example", "org_uuid": CERT1,
        "orgc_uuid": CERT1, "created": "2026-11-21 11:00:00", "modified": "2026-11-21 11:30:00", "distribution": "3",
        "sharing_group_id": None, "locked": True, "note": "hello", "language": "en",
        "Orgc": {"id": "1", "name": "CERT1", "uuid": CERT1}, **more,
    }  # fmt: skip


def test_analyst_data_goes_through(house: House) -> None:
    peer, reader = Misp(house), Misp(house, "ccc")
    wanted = {"Note": {NOTE: "2026-11-21 11:30:00"}}
    assert peer.post("/analyst_data/filterAnalystDataForPush", wanted).json == {
        "Note": wanted["Note"], "Opinion": [], "Relationship": []
    }  # fmt: skip
    answer = peer.post("/analyst_data/pushAnalystData", {"Note": note()}, pack=True)
    assert answer.json["success"] is True
    assert peer.post("/analyst_data/filterAnalystDataForPush", wanted).json["Note"] == []
    house.tick()
    assert reader.post("/analyst_data/indexMinimal", {"orgc_name": []}).json == wanted
    assert reader.post("/analyst_data/indexMinimal", {"orgc_name": ["!CERT1"]}).json == []
    (found,) = reader.get(f"/analyst_data/index/Note/uuid[]:{NOTE}/uuid[]:{OTHER}.json").json
    told = found["Note"]
    assert (told["note"], told["object_uuid"], told["object_type"]) == ("hello", EVENT, "Event")
    assert told["orgc_uuid"] == CERT1
    unknown = note(object_uuid=OTHER[:-1] + "f")
    assert "known" in refused(peer.post("/analyst_data/pushAnalystData", {"Note": unknown}), 403)["errors"]


CLUSTER = "5c4e0000-0000-4000-8000-000000000901"


def cluster() -> dict[str, Any]:
    org = {"id": "1", "name": "CERT1", "uuid": CERT1}
    galaxy = {"uuid": "698774c7-8022-42c4-917f-8d6e4f06ada3", "name": "Threat Actor", "type": "threat-actor",
              "description": "x", "version": "3", "icon": "user-secret", "namespace": "misp"}  # fmt: skip
    return {
        "uuid": CLUSTER, "collection_uuid": "", "type": "threat-actor", "value": "DriveActor2",
        "tag_name": f'misp-galaxy:threat-actor="{CLUSTER}"', "description": "x", "source": "s", "authors": ["me"],
        "version": str(STAMP), "distribution": "3", "default": False, "locked": False, "published": True,
        "deleted": False, "Galaxy": galaxy, "GalaxyElement": [{"key": "synonyms", "value": "DA"}],
        "GalaxyClusterRelation": [], "Org": org, "Orgc": org,
    }  # fmt: skip


def test_clusters_go_through(house: House) -> None:
    peer, reader = Misp(house), Misp(house, "ccc")
    answer = peer.post("/galaxies/pushCluster", [{"GalaxyCluster": cluster()}], pack=True)
    assert answer.json["success"] is True, answer.text
    house.tick()
    asked = {"published": 1, "minimal": 1, "custom": 1}
    found = reader.post("/galaxy_clusters/restSearch", asked).json["response"]
    assert found == [{"GalaxyCluster": {"uuid": CLUSTER, "version": str(STAMP)}}]
    assert reader.post("/galaxy_clusters/restSearch", {**asked, "uuid": [OTHER]}).json == {"response": []}
    told = reader.get(f"/galaxy_clusters/view/{CLUSTER}").json["GalaxyCluster"]
    assert (told["value"], told["type"], told["Orgc"]["uuid"]) == ("DriveActor2", "threat-actor", CERT1)
    assert told["GalaxyElement"][0]["value"] == "DA"
    refused(reader.get(f"/galaxy_clusters/view/{OTHER}"), 404)


def test_the_cache_of_values(house: House) -> None:
    asked = {"returnFormat": "cache", "includeEventUuid": 1, "page": 1, "limit": 50000}
    lines = Misp(house, "ccc").post("/attributes/restSearch.json", asked).text.split()
    digest = hashlib.md5(b"a.example", usedforsecurity=False).hexdigest()
    assert f"{digest},{EVENT}" in lines
    assert len(lines) == 3
    assert Misp(house, "ccc").post("/attributes/restSearch.json", {**asked, "page": 2}).text == ""


def test_search(house: House) -> None:
    reader = Misp(house, "ccc")

    def events(**asked: Any) -> list[str]:
        answer = reader.post("/events/restSearch", {"returnFormat": "json", **asked})
        return [each["Event"]["uuid"] for each in answer.json["response"]]

    assert events() == [EVENT, OTHER]
    assert events(value="c.example") == [OTHER]
    assert events(value="%.example", tags=["workflow:state"]) == [OTHER]
    assert events(eventinfo="E1") == [EVENT]
    assert events(limit=1, page=2) == [OTHER]
    assert events(metadata=True, uuid=OTHER) == [OTHER]
    assert events(type="ip-dst") == []

    def attributes(**asked: Any) -> list[str]:
        answer = reader.post("/attributes/restSearch", {"returnFormat": "json", **asked})
        return sorted(each["value"] for each in answer.json["response"]["Attribute"])

    assert attributes() == ["a.example", "b.example", "c.example"]
    assert attributes(value=["a.example", "c.example"]) == ["a.example", "c.example"]
    assert attributes(value="!a.example", eventid=EVENT) == ["b.example"]
    assert attributes(type="domain", to_ids=0) == []
    refused(reader.post("/events/restSearch", {"returnFormat": "suricata"}), 400)


def test_reports_are_taken(house: House) -> None:
    peer = Misp(house)
    assert "description" in peer.get("/eventReports/add").json
    report = {"name": "What happened", "content": "# été", "uuid": EVENT[:-4] + "e001", "timestamp": str(STAMP + 4)}
    told = event(attribute("a.example", 1), stamp=STAMP + 4, EventReport=[{**report, "distribution": "5"}])
    assert peer.push(told).status_code == 200
    house.tick()
    (found,) = view(house)["EventReport"]
    assert (found["name"], found["content"], found["uuid"]) == (report["name"], report["content"], report["uuid"])
