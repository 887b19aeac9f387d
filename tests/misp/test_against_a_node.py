"""What the administrator of a MISP does with us: the double of two MISPs at a node of ours, over HTTP, all green."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from lab.misp import Feed, Instance, Misp, Organisation, Report, Server, analyst, clusters, misp, proposals
from lab.misp.connection import cached, filtering_rules, remote_user
from lab.misp.instance import POLICY_EVERYONE
from lab.web import Site, site

from exchange.model.party import Terms
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import CERT1, CERT2, EVENT, STAMP, attribute, event, misp_terms
from tests.world import OPEN_WRITE, collection

ORGS = {"circl": Organisation(uuid=CERT1, name="CERT1"), "ccc": Organisation(uuid=CERT2, name="CERT2")}
OURS = Organisation(uuid="5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17", name="CERT-QC")
BASE = "misp/depot-commun"
SEEN = "d5e16dc3-5308-4bb8-8ab0-7afa1b797fd2"
NOTE = "7f3e0000-0000-4000-8000-000000000001"
CLUSTER = "5c4e0000-0000-4000-8000-000000000901"
DAY = {"created": "2026-11-20 10:00:00", "modified": "2026-11-20 10:00:00"}


def both_write() -> Terms:
    """circl and ccc each read and write one collection."""
    given = misp_terms()
    peers = {**given.peers, "ccc": replace(given.peers["ccc"], identities=frozenset({f"identity--{CERT2}"}))}
    shared = collection(OPEN_WRITE, "depot-commun", ("ccc", "circl"), writers=("circl", "ccc"))
    return replace(given, peers=peers, collections={**given.collections, OPEN_WRITE: shared})


@dataclass(frozen=True)
class Hall:
    """Our node behind a real address, and the two MISPs that have it under Sync Actions > Servers."""

    house: House
    door: Site
    circl: Misp
    ccc: Misp

    def row(self, of: Misp) -> Server:
        """The row for us in this MISP."""
        return of.servers[0]

    def tick(self, **more: float) -> None:
        """Time goes on for all three."""
        self.house.tick(**more)

    def over(self, report: Report) -> Report:
        """It went well; a second passes."""
        assert report.green, (report.errors, report.remarks)
        self.tick()
        return report

    def pushed(self, technique: str = "full") -> Report:
        """circl pushes."""
        return self.over(self.circl.push(self.row(self.circl), technique))

    def pulled(self, technique: str = "full", by: Misp | None = None) -> Report:
        """ccc pulls."""
        by = by or self.ccc
        return self.over(by.pull(self.row(by), technique))


@pytest.fixture
def hall(memory: Store) -> Iterator[Hall]:
    """Everybody has the same clock, and sightings are for all."""
    house = House(memory, both_write())

    def clock() -> float:
        return house.world.now.timestamp()

    with ExitStack() as stack:
        door = stack.enter_context(site(house.app))
        made = {}
        for name, org in ORGS.items():
            held = Instance(org.name, org.uuid, clock=clock)
            held.settings.sightings_policy = POLICY_EVERYONE
            made[name] = stack.enter_context(misp(organisation=org, instance=held))
            made[name].connect(door.url + BASE, house.secrets[name], remote=OURS)
        yield Hall(house, door, made["circl"], made["ccc"])


def begun(hall: Hall, *more: dict[str, Any], **frame: Any) -> str:
    """circl has made an event and pushed it."""
    hall.circl.add(event(attribute("a.example", 1), attribute("b.example", 2), *more, locked=0, **frame))
    assert hall.pushed().events == [EVENT]
    return EVENT


def misp_object(stamp: int = STAMP, *inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A domain-ip object with these attributes."""
    return {
        "uuid": _uuid(50), "name": "domain-ip", "meta-category": "network", "description": "", "comment": "",
        "template_uuid": "43b3b146-77eb-4931-b4cc-b66c60f28734", "template_version": "9", "timestamp": str(stamp),
        "distribution": "5", "deleted": False, "ObjectReference": [], "Attribute": list(inner), **more,
    }  # fmt: skip


def inner(value: str, number: int, **more: Any) -> dict[str, Any]:
    """An attribute inside an object."""
    kind = "ip-dst" if value[0].isdigit() else "domain"
    return attribute(value, number, type=kind, object_relation=kind.removesuffix("-dst"), **more)


def _uuid(number: int) -> str:
    return str(attribute("", number)["uuid"])


def test_everything_that_is_looked_at_first(hall: Hall) -> None:
    """Connection test, remote user, rules, preview of the index and of an event, the cache button."""
    begun(hall)
    for each in (hall.circl, hall.ccc):
        row = hall.row(each)
        tested = each.test(row)
        assert tested.green, tested.message
        found = remote_user(each.instance, row)
        assert found["sync"] is True
        assert filtering_rules(each.instance, row)["tags"] == ["tlp:green"]
    rows, count = hall.ccc.preview(hall.row(hall.ccc))
    assert ([row["uuid"] for row in rows], count) == ([EVENT], 1)
    shown = hall.ccc.preview_event(hall.row(hall.ccc), EVENT)
    assert {part["value"] for part in shown["Attribute"]} == {"a.example", "b.example"}
    assert {uuid for uuids in cached(hall.ccc.instance, hall.row(hall.ccc)).values() for uuid in uuids} == {EVENT}


def test_what_one_publishes_the_other_pulls(hall: Hall) -> None:
    """Pushed whole, in part, one by one and on publishing; pulled whole, as an update, and one by one."""
    begun(hall)
    assert hall.pulled().events == [EVENT]
    assert sorted(hall.ccc.events.values(EVENT).values()) == ["a.example", "b.example"]
    held = hall.ccc.events[EVENT]
    assert (held["locked"], held["Orgc"]["uuid"], held["info"]) == (True, CERT1, "E1")
    hall.circl.edit(EVENT, Attribute=[attribute("c.example", 3)])
    for report in hall.circl.publish(EVENT):
        hall.over(report)
    assert hall.pulled("update").events == [EVENT]
    assert "c.example" in hall.ccc.events.values(EVENT).values()
    assert hall.pulled().events == []
    assert hall.pushed().events == []
    other = event(attribute("d.example", 0x1001), uuid=EVENT[:-4] + "b001", locked=0)
    hall.circl.add(other)
    assert hall.pushed("incremental").events == [other["uuid"]]
    assert hall.pushed("incremental").events == []
    assert hall.pulled(other["uuid"]).events == [other["uuid"]]
    assert list(hall.ccc.events.values(other["uuid"]).values()) == ["d.example"]


def test_sightings_both_ways(hall: Hall) -> None:
    """Of the one who made the event, and of the one who pulled it: each arrives once, and none comes back."""
    begun(hall)
    hall.pulled()
    hall.circl.sight(_uuid(1), SEEN)
    for report in hall.circl.work():
        hall.over(report)
    assert hall.pulled().sightings == 1
    assert [seen["uuid"] for seen in hall.ccc.events[EVENT]["Sighting"]] == [SEEN]
    theirs = SEEN[:-1] + "3"
    hall.ccc.instance.sighted.clear()
    hall.ccc.sight(_uuid(2), theirs, type_="1")
    for report in hall.ccc.work():
        hall.over(report)
    assert hall.pulled(by=hall.circl).sightings == 1
    assert {seen["uuid"] for seen in hall.circl.events[EVENT]["Sighting"]} == {SEEN, theirs}
    found = {seen["uuid"]: seen for seen in hall.circl.events[EVENT]["Sighting"]}[theirs]
    assert (found["type"], found["Organisation"]["uuid"]) == ("1", CERT2)
    assert hall.pulled().sightings == hall.pulled(by=hall.circl).sightings == 0


def test_proposals_and_analyst_data(hall: Hall) -> None:
    """A proposal, a note and an opinion of the one who pulled reach the one who made the event."""
    begun(hall)
    hall.pulled()
    with hall.ccc.instance.lock:
        held = hall.ccc.instance.events[EVENT]
        said = {**attribute("a1.example", 0x71), "old_id": "0", "timestamp": str(STAMP + 10)}
        proposals.put(hall.ccc.instance, held, said, hall.ccc.instance.organisation)
        about = {**DAY, "object_uuid": _uuid(1), "object_type": "Attribute", "authors": "a@cert2.example"}
        analyst.put(hall.ccc.instance, "Note", {**about, "uuid": NOTE, "note": "vu ici", "language": "fr"})
        analyst.put(
            hall.ccc.instance, "Opinion", {**about, "uuid": NOTE[:-1] + "2", "opinion": "80", "comment": "probable"}
        )
    report = hall.over(hall.ccc.push(hall.row(hall.ccc)))
    assert (report.proposals, report.analyst) == (1, 2)
    report = hall.pulled(by=hall.circl)
    assert (report.proposals, report.analyst) == (1, 2)
    (found,) = hall.circl.events[EVENT]["ShadowAttribute"]
    assert found["value"] == "a1.example"
    note = hall.circl.instance.analyst["Note"][NOTE]
    assert (note["note"], note["orgc_uuid"]) == ("vu ici", CERT2)
    assert hall.circl.instance.analyst["Opinion"][NOTE[:-1] + "2"]["opinion"] == "80"
    report = hall.over(hall.ccc.push(hall.row(hall.ccc)))
    assert (report.proposals, report.analyst) == (0, 0)


def test_clusters(hall: Hall) -> None:
    """A custom cluster that a tag names goes along, and comes with a pull."""
    cluster = {
        "uuid": CLUSTER, "type": "threat-actor", "value": "Vigne folle", "version": "1793000000", "description": "x",
        "tag_name": f'misp-galaxy:threat-actor="{CLUSTER}"',
        "GalaxyElement": [{"key": "synonyms", "value": "Wild vine"}],
        "Galaxy": {"id": "1", "uuid": "698774c7-8022-42c4-917f-8d6e4f06ada3", "type": "threat-actor",
                   "name": "Threat Actor", "namespace": "misp", "description": "", "version": "3"},
    }  # fmt: skip
    with hall.circl.instance.lock:
        clusters.put(hall.circl.instance, cluster)
    tags = [*event()["Tag"], {"name": cluster["tag_name"], "colour": "#0088cc", "exportable": True, "local": False}]
    hall.circl.add(event(attribute("a.example", 1), locked=0, Tag=tags))
    assert hall.pushed().clusters == 1
    report = hall.pulled()
    assert (report.events, report.clusters) == ([EVENT], 1)
    held = hall.ccc.instance.clusters[CLUSTER]
    assert (held["value"], held["GalaxyElement"][0]["value"]) == ("Vigne folle", "Wild vine")
    assert {tag["name"] for tag in hall.ccc.events[EVENT]["Tag"]} == {"tlp:green", cluster["tag_name"]}
    assert hall.pushed().clusters == hall.pulled().clusters == 0


def test_the_feed_is_fetched_and_cached(hall: Hall) -> None:
    """The same store as files: all of it, then what is newer, then nothing."""
    begun(hall)
    row = Feed(
        url=f"{hall.door.url}feeds/depot-commun", headers=f"Authorization: Bearer {hall.house.secrets['ccc']}",
        distribution="5",
    )  # fmt: skip
    assert hall.over(hall.ccc.fetch(row)).events == [EVENT]
    assert sorted(hall.ccc.events.values(EVENT).values()) == ["a.example", "b.example"]
    assert hall.over(hall.ccc.fetch(row)).events == []
    assert row.calls[-1].status == 304
    hall.circl.edit(EVENT, Attribute=[attribute("c.example", 3)])
    hall.pushed()
    assert hall.over(hall.ccc.fetch(row)).events == [EVENT]
    assert hall.over(hall.ccc.cache(row)).remarks == []
    assert len(row.cache) == 3


def test_a_deletion_reaches_who_pulls(hall: Hall) -> None:
    """Of an attribute, then of all that is left: the uuid stays, deleted, and its value is never said again."""
    begun(hall)
    hall.pulled()
    hall.circl.edit(EVENT, Attribute=[attribute("a.example", 1, deleted=True, timestamp=str(hall.circl.instance.now))])
    hall.pushed()
    hall.pulled()
    assert list(hall.ccc.events.values(EVENT).values()) == ["b.example"]
    hall.tick()
    hall.circl.edit(EVENT, Attribute=[attribute("a.example", 1, timestamp=str(hall.circl.instance.now))])
    hall.pushed()
    hall.pulled()
    assert sorted(hall.ccc.events.values(EVENT).values()) == ["a.example", "b.example"]


@pytest.mark.parametrize("bumped", [True, False], ids=["with the object", "by itself"])
def test_what_changes_inside_an_object_reaches_who_pulls(hall: Hall, bumped: bool) -> None:
    """MISP looks at no attribute of an object that it knows unless the object itself is newer."""
    inside = [inner("c.example", 51), inner("198.51.100.7", 52)]
    begun(hall, Object=[misp_object(STAMP, *inside)])
    hall.pulled()
    assert {"c.example", "198.51.100.7"} <= set(hall.ccc.events.values(EVENT).values())

    def changed(**more: Any) -> None:
        """One of them alone, as MISP's own edit or as a script's, which leaves the object's date."""
        hall.tick()
        now = hall.circl.instance.now
        part = {**inner("198.51.100.7", 52, timestamp=str(now)), **more}
        hall.circl.edit(EVENT, Object=[misp_object(now, part)])
        if not bumped:
            hall.circl.instance.events[EVENT]["Object"][0]["timestamp"] = str(STAMP)
        hall.pushed()
        hall.pulled()

    changed(comment="anew")
    (held,) = hall.ccc.events[EVENT]["Object"]
    assert {part["value"]: part["comment"] for part in held["Attribute"]}["198.51.100.7"] == "anew"
    changed(deleted=True)
    assert "198.51.100.7" not in hall.ccc.events.values(EVENT).values()
    assert "c.example" in hall.ccc.events.values(EVENT).values()
    changed()
    assert "198.51.100.7" in hall.ccc.events.values(EVENT).values()


def test_an_object_that_is_deleted_is_gone_with_all_that_is_in_it(hall: Hall) -> None:
    """And comes back whole."""
    inside = [inner("c.example", 51), inner("198.51.100.7", 52)]
    begun(hall, Object=[misp_object(STAMP, *inside)])
    hall.pulled()
    for deleted in (True, False):
        hall.tick()
        now = hall.circl.instance.now
        dated = [{**each, "timestamp": str(now), "deleted": deleted} for each in inside]
        hall.circl.edit(EVENT, Object=[misp_object(now, *dated, deleted=deleted)])
        hall.pushed()
        hall.pulled()
        there = {"c.example", "198.51.100.7"} & set(hall.ccc.events.values(EVENT).values())
        assert there == (set() if deleted else {"c.example", "198.51.100.7"})
        assert hall.ccc.events[EVENT]["Object"][0]["deleted"] is deleted


def test_what_is_withdrawn_over_taxii_reaches_who_pulls(hall: Hall) -> None:
    """R22: the MISP that had it deletes it, in an object too."""
    begun(hall, Object=[misp_object(STAMP, inner("c.example", 51), inner("198.51.100.7", 52))])
    hall.pulled()
    for number in (1, 50):
        path = f"/api/collections/{OPEN_WRITE}/objects/indicator--{_uuid(number)}/"
        assert hall.house.send("DELETE", path, "circl").status_code == 200
    hall.tick()
    hall.pulled()
    assert list(hall.ccc.events.values(EVENT).values()) == ["b.example"]
