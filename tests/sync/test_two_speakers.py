"""Nobody changes another's words in an event of MISP, served or pushed (RULES R5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from sqlalchemy import select

from exchange.model.marking import Tlp
from exchange.model.misp import EXTENSION
from exchange.model.party import Terms
from exchange.policy.audience import target_channel
from exchange.store import Store, pushed
from exchange.store.pushed import Pushed
from exchange.store.tables import outbox
from tests.sync.misp_partner import Instance, MispDesk
from tests.sync.misp_reader import ORG, Shown, attribute, event_uuid, frame, live
from tests.sync.partners import OTHER
from tests.world import World, marked, terms

STRANGER = "identity--66666666-0000-4000-8000-000000000006"
STIX = UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
FIRST, SECOND = "circl/feed", "cert-ee/feed"


def rival(*members: dict[str, Any], creator: str = ORG) -> dict[str, Any]:
    """A grouping that claims the first event."""
    made = {**frame(0, *members, info="Owned"), "type": "grouping", "context": "x", "created_by_ref": creator}
    made["id"] = f"grouping--{event_uuid(0)}"
    made.pop("published")
    return made


def by_stranger(made: dict[str, Any]) -> dict[str, Any]:
    """The same, created by somebody else."""
    return {**made, "created_by_ref": STRANGER}


def under_uuid_of(good: dict[str, Any], value: str) -> dict[str, Any]:
    """An attribute of a stranger that says `value` under the uuid of another's."""
    made = by_stranger(attribute(value))
    entity = {**made["extensions"][EXTENSION]["attribute"], "to_ids": False}
    extension = {**made["extensions"][EXTENSION], "attribute": entity}
    kept = ("spec_version", "created", "modified", "created_by_ref", "object_marking_refs")
    return {
        **{name: made[name] for name in kept}, "type": "x-misp-attribute", "x_misp_type": "domain",
        "id": f"x-misp-attribute--{good['id'].partition('--')[2]}", "x_misp_value": value,
        "x_misp_category": "Network activity", "extensions": {EXTENSION: extension},
    }  # fmt: skip


def owned(by: str) -> Terms:
    """The same terms, the creating identity being `by`'s."""
    given = terms()
    peers = dict(given.peers)
    peers[by] = replace(peers[by], identities=(ORG,))
    return replace(given, peers=peers)


def later(world: World) -> None:
    world.now += timedelta(seconds=5)


@pytest.mark.parametrize("owner", ["", "circl"])
def test_another_source_stands_beside_an_event(memory: Store, owner: str) -> None:
    """R5: owned or pinned, the event is its own; what another says of it is served, in an event of ours."""
    world = World(memory, owned(owner) if owner else None)
    good, evil = attribute("good.example"), attribute("evil.example")
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    world.give(SECOND, evil, rival(evil))
    later(world)
    found = Shown(world).events()
    own = found.pop(event_uuid(0))
    assert own["info"] == "A's event"
    assert set(live(own).values()) == {"good.example"}
    (beside,) = found.values()
    assert set(live(beside).values()) == {"evil.example"}
    assert beside["Orgc"]["uuid"] != own["Orgc"]["uuid"]


def test_an_owner_takes_an_event_from_who_gave_it_first(memory: Store) -> None:
    world = World(memory, owned("circl"))
    early, good = attribute("early.example"), attribute("good.example")
    world.give(SECOND, early, rival(early))
    later(world)
    shown = Shown(world)
    assert shown.events()[event_uuid(0)]["info"] == "Owned"
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    found = shown.events()
    assert found[event_uuid(0)]["info"] == "A's event"
    assert set(live(found[event_uuid(0)]).values()) == {"good.example"}
    assert sum("early.example" in live(event).values() for event in found.values()) == 1
    assert shown.index(fresh=True).etag == shown.index().etag


def test_an_event_stays_where_it_was_after_a_withdrawal(memory: Store) -> None:
    """Of two creators with one uuid, who was there first keeps it, whatever is taken back of it later."""
    world = World(memory)
    good, more = attribute("good.example"), attribute("more.example")
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    evil = by_stranger(attribute("evil.example"))
    world.give(SECOND, evil, rival(evil, creator=STRANGER))
    later(world)
    world.give(FIRST, more, {**good, "revoked": True, "modified": attribute("x", version=2)["modified"]})
    later(world)
    assert Shown(world).events()[event_uuid(0)]["info"] == "A's event"


def test_who_is_not_seen_leads_nothing(memory: Store) -> None:
    """R14: the first among what this audience may see."""
    world = World(memory)
    hidden, good = attribute("hidden.example", tlp=Tlp.RED), attribute("good.example")
    world.give(SECOND, hidden, {**rival(hidden), **marked({}, Tlp.RED)})
    later(world)
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    (event,) = Shown(world).events().values()
    assert (event["uuid"], event["info"]) == (event_uuid(0), "A's event")
    assert set(live(event).values()) == {"good.example"}


def test_an_observable_that_another_holds_is_not_put_into_an_event(memory: Store) -> None:
    """It names no creator: it goes where the report of the same peer is."""
    world = World(memory)
    good = attribute("good.example")
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    seen = {"type": "domain-name", "spec_version": "2.1", "value": "seen.example"}
    seen["id"] = "domain-name--" + str(uuid5(STIX, '{"value":"seen.example"}'))
    foreign = rival(seen)
    del foreign["extensions"]
    world.give(SECOND, marked(seen, Tlp.GREEN), foreign)
    later(world)
    found = Shown(world).events()
    assert set(live(found.pop(event_uuid(0))).values()) == {"good.example"}
    assert [set(live(event).values()) for event in found.values()] == [{"seen.example"}]


def test_what_comes_into_an_empty_event_takes_no_uuid(memory: Store) -> None:
    """Parts without a frame, or a frame without parts, that wait for another's event to come get it neither later."""
    world = World(memory)
    evil = by_stranger(attribute("evil.example"))
    world.give(SECOND, evil)
    later(world)
    good = attribute("good.example")
    world.give(FIRST, good, frame(0, good, info="A's event"))
    later(world)
    shown = Shown(world)
    assert shown.events()[event_uuid(0)]["info"] == "A's event"
    world.give(SECOND, rival(evil, creator=STRANGER))
    later(world)
    assert shown.events()[event_uuid(0)]["info"] == "A's event"
    assert shown.index(fresh=True).etag == shown.index().etag


def test_a_uuid_that_a_target_has_is_given_to_nobody_else(memory: Store) -> None:
    """It was handed over under former terms, say; whoever comes with it now is told so."""
    desk, there = MispDesk(memory), Instance()
    channel = target_channel(desk.target.key)
    handed = Pushed(event_uuid(0), 1, {"orgc_uuid": "", "orgc_name": "", "date": "", "distribution": "1"})
    with memory.writing() as tx:
        pushed.reserve(tx, channel, {999: handed}, [])
    good = attribute("good.example")
    desk.world.give(OTHER.key, good, frame(0, good))
    desk.push(there)
    assert not there.events
    with memory.reading() as tx:
        said = tx.execute(select(outbox.c.state, outbox.c.message)).all()
    assert set(said) == {("lost", "push.uuid_taken")}


@pytest.mark.parametrize("creator", [ORG, STRANGER])
def test_a_push_edits_nobody_elses_event(memory: Store, creator: str) -> None:
    """What another says leaves in an event of its own, and nothing of the first is touched there."""
    desk, there = MispDesk(memory), Instance()
    good = attribute("good.example")
    desk.world.give(OTHER.key, good, frame(0, good, info="A's event"))
    desk.push(there)
    evil = {**attribute("evil.example"), "created_by_ref": creator}
    desk.world.now += timedelta(seconds=70)
    desk.world.give(SECOND, evil, rival(evil, creator=creator))
    desk.push(there)
    assert there.events[event_uuid(0)]["info"] == "A's event"
    where = {part["value"]: part["event"] for part in there.parts.values() if "value" in part}
    assert where["good.example"] == event_uuid(0)
    assert where["evil.example"] in there.events.keys() - {event_uuid(0)}


def test_a_push_under_anothers_attribute_uuid_gets_one_of_ours(memory: Store) -> None:
    """R15: always the same, so that what is taken back later is taken back there."""
    desk, there = MispDesk(memory), Instance()
    good = attribute("good.example")
    desk.world.give(OTHER.key, good, frame(0, good))
    desk.push(there)
    uuid = good["id"].partition("--")[2]
    false = under_uuid_of(good, "benign.example")
    desk.world.now += timedelta(seconds=70)
    desk.world.give(SECOND, false)
    desk.push(there)
    assert there.parts[uuid]["value"] == "good.example"
    assert there.values() == ["benign.example", "good.example"]
    changed = {**false, "modified": attribute("x", version=4)["modified"], "confidence": 10}
    desk.world.now += timedelta(seconds=70)
    desk.world.give(SECOND, changed)
    desk.push(there)
    assert there.values() == ["benign.example", "good.example"]
    assert len(there.parts) == 2
    gone = {**false, "modified": attribute("x", version=5)["modified"], "revoked": True}
    desk.world.now += timedelta(seconds=70)
    desk.world.give(SECOND, gone)
    desk.push(there)
    assert there.values() == ["good.example"]


def test_two_under_one_uuid_leave_at_once(memory: Store) -> None:
    desk, there = MispDesk(memory), Instance()
    good = attribute("good.example")
    desk.world.give(OTHER.key, good, frame(0, good))
    later(desk.world)
    desk.world.give(SECOND, under_uuid_of(good, "benign.example"))
    desk.world.now += timedelta(seconds=70)
    desk.push(there)
    assert there.parts[good["id"].partition("--")[2]]["value"] == "good.example"
    assert there.values() == ["benign.example", "good.example"]
