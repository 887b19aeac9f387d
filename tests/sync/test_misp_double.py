"""The same push, by the real client over HTTP, at the double of a MISP: what it holds afterwards, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from lab.misp import CIRCL, Misp, misp

from exchange.model.envelope import Document, Page, PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Credentials, Target
from exchange.peers import client_for
from exchange.store import Store, tables
from exchange.sync.accept import accept
from exchange.sync.pull import Run
from exchange.sync.pull import pages as converted
from exchange.sync.reconcile import reconcile
from tests.sync.misp_partner import INSTANCE, MispDesk
from tests.sync.partners import MISP, OTHER
from tests.sync.test_misp_push import later, made, uuid
from tests.world import marked, report

GIVER = OTHER.key


@dataclass
class Hall:
    """Our desk, and the MISP of ccc."""

    desk: MispDesk
    there: Misp

    @property
    def target(self) -> Target:
        """Where we hand over."""
        return self.desk.target

    def client(self) -> PeerClient:
        """The client, made when its turn comes."""
        return client_for(
            self.desk.world.terms.peers["ccc"], "misp", Credentials(key=self.there.key),
            clock=lambda: self.desk.world.now, wait=lambda seconds: False,
        )  # fmt: skip

    def push(self, after: float = 1) -> Run | None:
        """Hand over what waits; in MISP a second has passed."""
        return self.desk.push(self.client, after=after)

    def event(self) -> dict[str, Any]:
        """The only event there."""
        (held,) = list(self.there.events)
        return self.there.events[held]

    def values(self) -> list[str]:
        """The values that are there and not deleted."""
        return sorted(value for held in self.there.events for value in self.there.events.values(held).values())


@pytest.fixture
def hall(memory: Store) -> Iterator[Hall]:
    """A MISP where our account has the role of a sync user."""
    with misp(organisation=CIRCL) as there:
        yield Hall(MispDesk(memory, target=replace(INSTANCE, url=there.url)), there)


def counts(run: Run | None) -> dict[str, int]:
    """Of a run that went through."""
    assert run is not None
    assert run.error is None
    return run.counts


def test_what_is_handed_over_is_there_and_published(hall: Hall) -> None:
    """Locked, so that its creator's own updates go on arriving; with its values and its TLP."""
    first, second = made("a.example"), made("b.example")
    hall.desk.world.give(GIVER, first, second, report(first, second, name="campagne", modified=later()))
    assert counts(hall.push())["accepted"] == 3
    event = hall.event()
    assert (event["info"], event["published"], bool(int(event["locked"]))) == ("campagne", True, True)
    assert hall.values() == ["a.example", "b.example"]
    assert {tag["name"] for tag in event["Tag"]} == {"tlp:green"}


def test_a_member_that_comes_later_makes_an_edit(hall: Hall) -> None:
    """One event, and each push is newer than the one before."""
    for number, value in enumerate(("a.example", "b.example", "c.example")):
        hall.desk.world.give(GIVER, made(value, at=number))
        assert counts(hall.push(after=0)) == {"accepted": 1}
    assert hall.values() == ["a.example", "b.example", "c.example"]
    assert len(list(hall.there.events)) == 1


def test_what_is_withdrawn_is_deleted_there(hall: Hall) -> None:
    """R8: a soft deletion; and undeleted when it may be there again."""
    hall.desk.world.give(GIVER, made("a.example"), made("b.example"))
    hall.push()
    hall.desk.world.give(GIVER, made("a.example", tlp=Tlp.RED, at=5))
    assert counts(hall.push()) == {"recalled": 1}
    assert hall.values() == ["b.example"]
    (gone,) = [part for part in hall.event()["Attribute"] if part["deleted"]]
    assert gone["uuid"] == uuid("a.example")
    hall.desk.world.give(GIVER, made("a.example", at=10))
    assert counts(hall.push()) == {"accepted": 1}
    assert hall.values() == ["a.example", "b.example"]


def test_a_label_that_changes_changes_the_tag(hall: Hall) -> None:
    """The old one is taken away, for MISP only adds."""
    hall.desk.world.give(GIVER, made("a.example", tlp=Tlp.CLEAR), made("z.example"))
    hall.push()
    hall.desk.world.give(GIVER, made("a.example", tlp=Tlp.GREEN, at=5))
    hall.push()
    (part,) = [part for part in hall.event()["Attribute"] if part["value"] == "a.example"]
    assert [tag["name"] for tag in part["Tag"]] == ["tlp:green"]


def bring(hall: Hall, *inside: dict[str, Any], gone: bool = False, tlp: str = "tlp:green", at: int = 0) -> None:
    """circl's MISP gives an event with one object that holds these attributes, so many minutes later."""
    stamp = str(int(later(at).timestamp()))
    whole = {
        "uuid": EVENT, "info": "campagne", "date": "2026-11-19", "threat_level_id": "2", "analysis": "1",
        "timestamp": stamp, "published": True, "distribution": "3", "Tag": [{"name": tlp, "colour": "#ffffff"}],
        "Orgc": {"uuid": CIRCL.uuid, "name": CIRCL.name}, "Attribute": [inner(9, "z.example")],
        "Object": [{
            "uuid": f"{EVENT[:-2]}50", "name": "domain-ip", "meta-category": "network", "timestamp": stamp,
            "template_uuid": "43b3b146-77eb-4931-b4cc-b66c60f28734", "template_version": "9", "description": "",
            "distribution": "5", "deleted": gone, "ObjectReference": [], "Attribute": list(inside),
        }],
    }  # fmt: skip
    document = Document(kind="misp-event", id=EVENT, version="", raw=json.dumps({"Event": whole}).encode())
    world = hall.desk.world
    for each in converted(Page(document=document, last=True), MISP, world.now):
        accept(world.store, world.rules, each, MISP.key, MISP.peer, world.now)


def inner(number: int, value: str, *, at: int = 0, **more: Any) -> dict[str, Any]:
    """An attribute of that event, of so many minutes."""
    return {
        "uuid": f"{EVENT[:-2]}{number:02}", "type": "domain", "category": "Network activity", "value": value,
        "to_ids": True, "distribution": "5", "timestamp": str(int(later(at).timestamp())), "comment": "",
        "object_relation": "domain", "deleted": False, **more,
    }  # fmt: skip


EVENT = "8a0c2f64-5d0e-4a39-b1b5-0f1d3a7e9c00"


def test_what_ends_inside_an_object_is_deleted_there(hall: Hall) -> None:
    """MISP looks at nothing inside an object that it knows unless the object is newer; ours always is."""
    bring(hall, inner(1, "a.example"), inner(2, "b.example"))
    hall.push()
    assert hall.values() == ["a.example", "b.example", "z.example"]
    bring(hall, inner(1, "a.example"), inner(2, "b.example", at=5, deleted=True), at=5)
    hall.push()
    assert hall.values() == ["a.example", "z.example"]
    bring(hall, inner(1, "a.example", at=6, comment="anew"), inner(2, "b.example", at=6), at=6)
    hall.push()
    assert hall.values() == ["a.example", "b.example", "z.example"]
    assert {part["comment"] for part in hall.event()["Object"][0]["Attribute"]} == {"anew", ""}
    bring(hall, inner(1, "a.example", at=7, deleted=True), inner(2, "b.example", at=7, deleted=True), gone=True, at=7)
    hall.push()
    assert hall.values() == ["z.example"]
    assert hall.event()["Object"][0]["deleted"] is True


def test_an_object_that_may_no_longer_be_there_goes_with_all_that_is_in_it(hall: Hall) -> None:
    """R8: its event was made stricter than the target may have; and all comes back with the looser label."""
    bring(hall, inner(1, "a.example"), inner(2, "b.example"))
    hall.push()
    bring(hall, inner(1, "a.example", at=5), inner(2, "b.example", at=5), tlp="tlp:red", at=5)
    hall.push()
    assert hall.values() == []
    assert not hall.event()["published"]
    bring(hall, inner(1, "a.example", at=6), inner(2, "b.example", at=6), at=6)
    hall.push()
    assert hall.values() == ["a.example", "b.example", "z.example"]
    assert hall.event()["published"] is True


def test_an_edit_always_says_whether_it_is_published(hall: Hall) -> None:
    """MISP takes silence for no, and withdraws the event from whoever it gave it to."""
    for number, value in enumerate(("a.example", "b.example")):
        hall.desk.world.give(GIVER, made(value, at=number))
        hall.push()
    hall.desk.world.give(GIVER, made("a.example", tlp=Tlp.RED, at=5))
    hall.push()
    sent = [seen.json()["Event"] for seen in hall.there.site.seen if seen.method == "POST" and "/edit/" in seen.path]
    assert [event["published"] for event in sent] == [True, True]
    assert hall.event()["published"] is True


def test_nothing_is_written_twice(hall: Hall) -> None:
    """When nothing waits nobody is asked anything."""
    hall.desk.world.give(GIVER, made("a.example"))
    hall.push()
    asked = hall.there.site.count()
    assert hall.push() is None
    assert hall.there.site.count() == asked


def test_the_comparison_finds_everything_there(hall: Hall) -> None:
    """And sends nothing again."""
    hall.desk.world.give(GIVER, made("a.example"), made("b.example"))
    hall.push()
    hall.desk.world.now += timedelta(minutes=5)
    assert reconcile(hall.desk.work, hall.target, hall.client) == {"listed": 1}


def test_an_event_that_was_deleted_there_is_refused_for_good(hall: Hall) -> None:
    """Its uuid is on their blocklist: that is an answer, and it is not asked again."""
    hall.desk.world.give(GIVER, made("a.example"))
    hall.push()
    hall.there.delete(hall.event()["uuid"])
    hall.desk.world.give(GIVER, made("b.example"))
    assert counts(hall.push()) == {"refused": 1}
    assert hall.push() is None


def test_a_sighting_arrives(hall: Hall) -> None:
    """With the event of what was seen."""
    seen = made("a.example")
    sighting = marked(
        {
            "type": "sighting", "spec_version": "2.1", "id": "sighting--0a7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b01",
            "created": "2026-02-02T00:00:00.000Z", "modified": "2026-02-02T00:00:00.000Z",
            "sighting_of_ref": seen["id"], "last_seen": "2026-02-02T00:00:00Z", "count": 1,
        }, Tlp.GREEN,
    )  # fmt: skip
    hall.desk.world.give(GIVER, seen, sighting)
    assert counts(hall.push()) == {"accepted": 2}
    assert hall.there.site.count("/sightings/bulkSaveSightings/", 200) == 1


def test_a_large_event_arrives_whole(hall: Hall) -> None:
    """Nine thousand attributes in several steps, each of them counted there."""
    for begin in range(0, 9000, 500):
        hall.desk.world.give(GIVER, *(made(f"{n}.example") for n in range(begin, begin + 500)))
    assert counts(hall.push()) == {"accepted": 9000}
    assert len(hall.values()) == 9000
    assert hall.event()["published"] is True
    with hall.desk.store.reading() as tx:
        said = {row.message for row in tx.execute(tables.outbox.select())}
    assert said == {""}
