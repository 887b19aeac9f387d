"""What an audience sees over MISP (R26): each visible entity once, dates that rise, and nothing of the rest (R14)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model.marking import Tlp
from exchange.store import Store, audiences, micros, open_store, pages
from exchange.sync import events
from exchange.sync.withdrawal import withdraw
from tests.sync.misp_reader import ORG, Misp, Shown, attribute, event_uuid, frame, live
from tests.world import NOW, SHARED, World, emptied, indicator, malware, marked, report

GIVER = "cert-ee/misp"
CHANNEL = f"collection:{SHARED}"


@pytest.fixture
def world(memory: Store) -> World:
    """An empty one."""
    return World(memory)


def only(shown: Shown) -> dict[str, Any]:
    """The one event."""
    (event,) = shown.events().values()
    return event


def test_an_event_comes_out_as_its_creator_wrote_it(world: World) -> None:
    """Uuid, info, date, threat level, creator, tags; the TLP is written from the label, not from the old tag."""
    first = attribute("a.example", comment="seen", first_seen="2026-01-01T00:00:00Z")
    world.give(GIVER, frame(0, first), first)
    event = only(Shown(world))
    assert (event["uuid"], event["info"], event["date"]) == (event_uuid(0), "An event", "2026-01-01")
    assert (event["threat_level_id"], event["analysis"], event["published"]) == ("2", "1", True)
    assert event["Orgc"] == {"uuid": ORG.partition("--")[2], "name": ORG}
    assert [tag["name"] for tag in event["Tag"]] == ["tlp:green", "type:OSINT"]
    (made,) = event["Attribute"]
    assert (made["value"], made["comment"], made["to_ids"]) == ("a.example", "seen", True)
    assert made["uuid"] == first["id"].partition("--")[2]
    assert int(made["timestamp"]) == int((NOW - timedelta(days=9)).timestamp())


def test_the_frame_that_an_audience_may_not_see_tells_nothing(world: World) -> None:
    """R15: a uuid of ours that is another one for another audience, and not a word of the creator's frame."""
    first = attribute("a.example")
    world.give(GIVER, frame(0, first, info="secret", tlp=Tlp.RED), first)
    event = only(Shown(world))
    assert event["uuid"] != event_uuid(0)
    assert b"secret" not in orjson.dumps(event)
    assert set(live(event).values()) == {"a.example"}
    assert event["Orgc"]["uuid"] == ORG.partition("--")[2]


def test_a_stricter_attribute_goes_less_far_than_its_event(world: World) -> None:
    """Its own tag, and a distribution lower than that of the event (design 5)."""
    world.give(
        GIVER, frame(0, tlp=Tlp.CLEAR), attribute("a.example", tlp=Tlp.GREEN), attribute("b.example", tlp=Tlp.CLEAR)
    )
    for flavour, event_goes, stricter_goes in (("sync", "3", "2"), ("feed", "3", "1"), ("push", "3", "1")):
        event = only(Shown(world, flavour=flavour))  # type: ignore[arg-type]
        assert event["distribution"] == event_goes
        goes = {each["value"]: (each["distribution"], [t["name"] for t in each["Tag"]]) for each in event["Attribute"]}
        assert goes == {"a.example": (stricter_goes, ["tlp:green"]), "b.example": ("5", ["tlp:clear"])}


def test_what_says_the_same_twice_comes_once(world: World) -> None:
    """MISP drops the second in silence, and with it that it is to be detected, its comment, and its stricter label."""
    one = attribute("a.example", uuid="a0000001-0000-4000-8000-000000000000", to_ids=True, tlp=Tlp.CLEAR)
    two = attribute("a.example", uuid="a0000002-0000-4000-8000-000000000000", comment="again", tlp=Tlp.GREEN)
    world.give(GIVER, frame(0, tlp=Tlp.CLEAR), one, two)
    event = only(Shown(world))
    assert list(live(event)) == ["a0000001-0000-4000-8000-000000000000"]
    stone, made = event["Attribute"]
    assert stone["uuid"] == "a0000002-0000-4000-8000-000000000000"
    assert "value" not in stone
    assert (made["comment"], made["distribution"]) == ("again", "2")
    assert [tag["name"] for tag in made["Tag"]] == ["tlp:green"]


def test_a_uuid_used_twice_is_minted_anew_and_stays_so(world: World) -> None:
    one = attribute("a.example", uuid="a0000001-0000-4000-8000-000000000000")
    two = {"type": "domain-name", "spec_version": "2.1", "id": "domain-name--a0000001-0000-4000-8000-000000000000"}
    world.give(GIVER, frame(0, one, two), one, marked({**two, "value": "b.example"}, Tlp.GREEN))
    event = only(Shown(world))
    assert sorted(live(event).values()) == ["a.example", "b.example"]
    assert len(live(event)) == 2
    assert live(only(Shown(world))) == live(event)


def test_what_was_taken_back_comes_as_a_tombstone_without_its_value(world: World) -> None:
    first, second = attribute("a.example"), attribute("b.example")
    world.give(GIVER, frame(0, first, second), first, second)
    shown, reader = Shown(world), Misp()
    reader.pull(shown)
    world.now += timedelta(seconds=5)
    world.give(GIVER, attribute("b.example", version=1, tlp=Tlp.RED))
    reader.pull(shown)
    event = only(shown)
    (stone,) = [each for each in event["Attribute"] if each["deleted"]]
    assert set(stone) == {"uuid", "type", "category", "deleted", "timestamp"}
    assert reader.said() == {(event_uuid(0), "a.example")}
    world.now += timedelta(seconds=5)
    world.give(GIVER, attribute("b.example", version=2))
    reader.pull(shown)
    assert reader.said() == {(event_uuid(0), "a.example"), (event_uuid(0), "b.example")}


def test_foreign_stix_is_grouped_by_its_report_else_by_its_day(world: World) -> None:
    """Whether the report comes before or after what it holds, as long as both come in one page or the report first."""
    held, loose = indicator("a.example", created_by_ref=ORG), indicator("b.example", created_by_ref=ORG)
    later = indicator("c.example", created_by_ref=ORG)
    whole = report(held, later, name="r")
    whole["created_by_ref"] = ORG
    world.give("circl/taxii", held, loose, whole)
    world.give("circl/taxii", later)
    found = {event["info"]: set(live(event).values()) for event in Shown(world).events().values()}
    assert found == {"r": {"a.example", "c.example"}, f"Partenaires – {ORG} – 2026-01-01": {"b.example"}}


def test_an_event_keeps_what_belongs_to_it(world: World) -> None:
    """Design 4: the key is fixed when a statement is first accepted; a later version of it does not go elsewhere."""
    loose = indicator("a.example", created_by_ref=ORG)
    world.give("circl/taxii", loose)
    (before,) = Shown(world).events()
    world.now += timedelta(seconds=5)
    again = indicator("a.example", created_by_ref=ORG, modified=NOW + timedelta(seconds=1), description="more")
    world.give("circl/taxii", again, report(again, name="r"))
    found = {uuid: set(live(event).values()) for uuid, event in Shown(world).events().items()}
    assert found == {before: {"a.example"}}


def test_what_has_a_frame_to_come_waits_for_it(world: World) -> None:
    """A frame is judged when its drain is complete (R13); a MISP would keep the attributes in the wrong event."""
    first = attribute("a.example")
    world.give(GIVER, frame(0, first), first, last=False)
    shown = Shown(world)
    assert shown.events() == {}
    world.give(GIVER, attribute("b.example"))
    assert set(live(shown.events()[event_uuid(0)]).values()) == {"a.example", "b.example"}
    held = attribute("c.example", 1)
    world.give(GIVER, frame(1, held, tlp=Tlp.RED), held, last=False)
    assert set(shown.events()) == {event_uuid(0)}
    world.give(GIVER)
    assert {"c.example"} in [set(live(event).values()) for event in shown.events().values()]


def test_a_frame_without_anything_in_it_is_left_out(world: World) -> None:
    """MISP leaves events without attributes and reports alone."""
    world.give(GIVER, frame(0), attribute("a.example", tlp=Tlp.RED))
    assert Shown(world).events() == {}


def test_galaxies_come_as_tags(world: World) -> None:
    family = {**malware("Drop"), "created_by_ref": ORG}
    first = indicator("a.example", created_by_ref=ORG)
    whole = {**report(first, family, name="r"), "created_by_ref": ORG}
    world.give("circl/taxii", first, family, whole)
    assert 'misp-galaxy:stix-2.1-malware="Drop"' in [tag["name"] for tag in only(Shown(world))["Tag"]]


def sighting(of: dict[str, Any], number: int = 0, tlp: Tlp = Tlp.GREEN) -> dict[str, Any]:
    made = {
        "type": "sighting", "spec_version": "2.1", "id": f"sighting--{number:08}-0000-4000-8000-000000000000",
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z",
        "last_seen": "2026-11-01T00:00:00Z", "sighting_of_ref": of["id"],
    }  # fmt: skip
    return marked(made, tlp)


def test_sightings_travel_by_themselves_and_in_a_feed_inside(world: World) -> None:
    """Whoever saw it: another source than the one that said it. A sighting does not make the event news."""
    first = attribute("a.example")
    world.give(GIVER, frame(0, first), first)
    world.now += timedelta(seconds=5)
    shown = Shown(world)
    (before,) = shown.index().rows
    world.give("circl/taxii", sighting(first), sighting(first, 1, Tlp.RED))
    (row,) = shown.index().rows
    assert row.timestamp == before.timestamp
    assert row.sighting_timestamp > before.sighting_timestamp == 0
    (seen,) = shown.sightings()
    assert (seen["event_uuid"], seen["attribute_uuid"]) == (event_uuid(0), first["id"].partition("--")[2])
    assert seen["Organisation"]["uuid"]
    assert "Sighting" not in only(shown)["Attribute"][0]
    (inside,) = only(Shown(world, flavour="feed"))["Attribute"][0]["Sighting"]
    assert inside["uuid"] == seen["uuid"]


def test_only_what_changed_goes_into_a_push(world: World) -> None:
    first, second = attribute("a.example"), attribute("b.example")
    world.give(GIVER, frame(0, first, second), first, second)
    shown = Shown(world, flavour="push")
    (row,) = shown.index().rows
    assert set(live(shown.event(row, only={second["id"]})).values()) == {"b.example"}


def test_rows_for_a_push_are_those_of_the_index(world: World) -> None:
    first, other = attribute("a.example"), attribute("b.example", 1)
    world.give(GIVER, frame(0, first), first, other)
    shown = Shown(world)
    with world.store.reading() as tx:
        found = events.rows_for(tx, shown.view(tx), [first["id"], "indicator--x"], micros(world.now))
    assert found == {first["id"]: shown.index().get(event_uuid(0))}


def test_hashes_are_those_of_the_values(world: World) -> None:
    world.give(GIVER, frame(0), attribute("a.example"), attribute("b.example", tlp=Tlp.RED))
    shown = Shown(world)
    rows = shown.index().rows
    with world.store.reading() as tx:
        found = list(events.hashes(tx, shown.view(tx), rows, micros(world.now)))
    assert found == [(hashlib.md5(b"a.example", usedforsecurity=False).hexdigest(), event_uuid(0))]


def test_the_same_on_every_engine(store: Store) -> None:
    """Counting, bringing up to date, frames, sightings, tombstones, hashes, what travels by itself."""
    world = World(store)
    first, second = attribute("a.example"), attribute("b.example", version=8)
    early = indicator("c.example", created_by_ref=ORG, modified=NOW + timedelta(minutes=4))
    world.give(GIVER, frame(0, first, second), first, second, early)
    world.give("circl/taxii", sighting(first))
    shown, reader = Shown(world), Misp()
    reader.pull(shown)
    world.now += timedelta(seconds=5)
    world.give(GIVER, attribute("b.example", version=9, tlp=Tlp.RED))
    reader.pull(shown)
    assert {value for _, value in reader.said()} == {"a.example", "c.example"}
    assert shown.index().rows == shown.index(fresh=True).rows
    assert len(shown.sightings()) == 1
    ahead = next(row for row in shown.index().rows if row.uuid != event_uuid(0))
    assert ahead.timestamp >= int((NOW + timedelta(minutes=4)).timestamp())
    rows = shown.index().rows
    with store.reading() as tx:
        assert len(list(events.hashes(tx, shown.view(tx), rows, micros(world.now)))) == 2
        assert list(events.carried(tx, shown.view(tx), {"note"}, micros(world.now))) == []
        assert set(events.rows_for(tx, shown.view(tx), [first["id"]], micros(world.now))) == {first["id"]}


@dataclass(frozen=True)
class Step:
    """Something that happens to a World."""

    what: Literal["give", "loose", "withdraw", "tick", "pull"]
    number: int = 0
    event: int = 0
    twin: bool = False
    version: int = 0
    tlp: Tlp = Tlp.GREEN
    revoked: bool = False
    seconds: float = 0


NUMBERS = st.integers(0, 2)
TLPS = st.sampled_from([Tlp.GREEN, Tlp.GREEN, Tlp.CLEAR, Tlp.RED])
STEPS = st.one_of(
    st.builds(
        Step, st.just("give"), NUMBERS, st.integers(0, 1), st.booleans(), st.integers(0, 4), TLPS,
        st.sampled_from([False, False, False, True]),
    ),
    st.builds(Step, st.just("loose"), NUMBERS, version=st.integers(0, 4), tlp=TLPS),
    st.builds(Step, st.just("withdraw"), NUMBERS, st.integers(0, 1), st.booleans()),
    st.builds(Step, st.just("tick"), seconds=st.sampled_from([0.2, 1.0, 7.0])),
    st.just(Step("pull")),
)  # fmt: skip


class Life:
    """A World in which things happen, and who reads it over MISP meanwhile."""

    def __init__(self, store: Store) -> None:
        self.world = World(emptied(store))
        self.shown, self.reader = Shown(self.world), Misp()

    def take(self, step: Step) -> None:
        getattr(self, f"_{step.what}")(step)
        kept, fresh = self.shown.index(), self.shown.index(fresh=True)
        assert {row.uuid: row for row in kept.rows} == {row.uuid: row for row in fresh.rows}
        assert kept.etag == fresh.etag

    def _made(self, step: Step) -> dict[str, Any]:
        uuid = f"a{step.event}{step.number}{step.twin:d}0000-0000-4000-8000-000000000000"
        made = attribute(f"n{step.number}.example", step.event, uuid=uuid, version=step.version, tlp=step.tlp)
        return made | ({"revoked": True} if step.revoked else {})

    def _give(self, step: Step) -> None:
        self.world.give(GIVER, self._made(step), frame(step.event, tlp=Tlp.GREEN), posted=CHANNEL)

    def _loose(self, step: Step) -> None:
        modified = NOW - timedelta(days=9 - step.version)
        self.world.give("circl/taxii", indicator(f"l{step.number}.example", tlp=step.tlp, modified=modified))

    def _withdraw(self, step: Step) -> None:
        audience = next(a for a in self.world.rules.audiences if a.channel == CHANNEL and "cert-ee" in a.members)
        withdraw(
            self.world.store, self.world.rules, peer="cert-ee", audience=audience.key, stix_id=self._made(step)["id"],
            versions=pages.Versions(every=True), now=self.world.now,
        )  # fmt: skip

    def _tick(self, step: Step) -> None:
        self.world.now += timedelta(seconds=step.seconds)

    def _pull(self, _: Step) -> None:
        self.reader.pull(self.shown)

    def visible(self) -> list[str]:
        """The values that the audience reads over TAXII."""
        with self.world.store.reading() as tx:
            row = audiences.of_reader(tx, "ccc", CHANNEL)
            assert row is not None
            leaf = pages.page(tx, row.number, pages.Query(now=micros(self.world.now), limit=1_000))
            objects = orjson.loads(b"[" + b",".join(leaf.pieces) + b"]")
        found = (each for each in objects if each["type"] == "indicator" and not each.get("revoked"))
        return [each["pattern"].split("'")[1] for each in found]


@settings(max_examples=25)
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_r26_whoever_pulls_has_what_is_shown(steps: Sequence[Step]) -> None:
    """Each visible value once in each event; a MISP that pulls at any moments has in the end just that."""
    store = open_store("sqlite://")
    try:
        life = Life(store)
        for step in steps:
            life.take(step)
        life.world.now += timedelta(seconds=3)
        life.reader.pull(life.shown)
        shown = {uuid: live(event) for uuid, event in life.shown.events().items()}
        for found in shown.values():
            assert len(found.values()) == len(set(found.values()))
        assert {value for found in shown.values() for value in found.values()} == set(life.visible())
        assert life.reader.said() == {(uuid, value) for uuid, found in shown.items() for value in found.values()}
    finally:
        store.close()
