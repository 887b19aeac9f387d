"""The same push, by the real client over HTTP, at the double of a MISP: what it holds afterwards, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from lab.misp import CIRCL, Misp, misp

from exchange.model.envelope import PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Credentials, Target
from exchange.peers import client_for
from exchange.store import Store, tables
from exchange.sync.pull import Run
from exchange.sync.reconcile import reconcile
from tests.sync.misp_partner import INSTANCE, MispDesk
from tests.sync.partners import OTHER
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
