"""A push to a MISP: what waits leaves as events, each time newer; what may no longer be there is deleted there."""

from __future__ import annotations

import json
from concurrent.futures import wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import NAMESPACE_DNS, uuid5

import pytest
from structlog.testing import capture_logs

from exchange.errors import PeerUnreachable
from exchange.model.envelope import PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store, tables
from exchange.sync import handing
from exchange.sync.explain import explain
from exchange.sync.overview import overview
from exchange.sync.reconcile import reconcile
from exchange.sync.schedule import Schedule
from tests.sync.misp_partner import INSTANCE, Instance, MispDesk
from tests.sync.partners import ALERTS, MISP, OTHER
from tests.world import NOW, agreement, indicator, malware, marked, relationship, report, terms

LOST = PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")
CIRCL = OTHER.key
MINUTE = timedelta(minutes=1)


def later(minutes: int = 1) -> datetime:
    """So many minutes behind the first versions."""
    return NOW - timedelta(hours=1) + minutes * MINUTE


def made(value: str, *, tlp: Tlp = Tlp.GREEN, at: int = 0, **more: Any) -> dict[str, Any]:
    """An indicator for a domain, of so many minutes."""
    return indicator(value, tlp=tlp, modified=later(at), **more)


def uuid(value: str) -> str:
    """The uuid of the indicator for this domain."""
    return str(uuid5(NAMESPACE_DNS, value))


def sent(instance: Instance) -> list[list[str]]:
    """The values, or ends, in each event that was handed over."""
    return [sorted(part.get("value", "ended") for part in event.get("Attribute", ())) for event in instance.handed]


def test_what_waits_leaves_as_one_event(memory: Store) -> None:
    """Objects of one source and day are one event; each is accepted with it, and nothing waits any more."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"), made("b.example"))
    run = desk.push(instance)
    assert run is not None
    assert (run.outcome, run.counts) == ("complete", {"accepted": 2})
    assert sent(instance) == [["a.example", "b.example"]]
    assert desk.outbox() == ["accepted", "accepted"]
    assert [outcome for _, outcome in desk.ledger()] == ["accepted", "accepted"]
    assert desk.push(instance) is None


def test_the_event_arrives_as_misps_own_sender_would_send_it(memory: Store) -> None:
    """GREEN for this community, published, with its TLP and without a sharing group; our name, not our ids, in it."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    (event,) = instance.handed
    assert (event["info"].split(" – ")[0], MISP.key in event["info"]) == (desk.work.node, False)
    assert (event["distribution"], event["published"], event["sharing_group_id"]) == ("1", True, "0")
    assert [tag["name"] for tag in event["Tag"]] == ["tlp:green"]
    assert event["Attribute"][0]["distribution"] == "5"


@pytest.mark.parametrize(("private", "distribution"), [(False, "0"), (True, "1")])
def test_what_is_stricter_is_for_their_community_only_where_nobody_else_is(
    memory: Store, private: bool, distribution: str
) -> None:
    """AMBER is for the organisation: whether that is all of their MISP, the operator says."""
    amber = agreement(
        "reseau", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER),
        send=Send(ceiling=Tlp.AMBER, onward=True),
    )  # fmt: skip
    desk = MispDesk(memory, terms(agreements=[amber]), replace(INSTANCE, private=private))
    instance = Instance()
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.AMBER))
    desk.push(instance)
    assert [event["distribution"] for event in instance.handed] == [distribution]


def test_a_person_there_may_be_the_one_who_publishes(memory: Store) -> None:
    """`publish = false`: it arrives unpublished (MISP/MISP#1643)."""
    desk, instance = MispDesk(memory, target=replace(INSTANCE, publish=False)), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    assert [event["published"] for event in instance.handed] == [False]


def test_what_comes_later_is_an_edit_of_the_same_event_and_newer(memory: Store) -> None:
    """Only what changed goes, under the same uuid and a greater timestamp, even within one second."""
    desk, instance = MispDesk(memory), Instance()
    for value in ("a.example", "b.example", "c.example"):
        desk.world.give(CIRCL, made(value))
        desk.push(instance, after=0)
    assert sent(instance) == [["a.example"], ["b.example"], ["c.example"]]
    assert len({event["uuid"] for event in instance.handed}) == 1
    stamps = [int(event["timestamp"]) for event in instance.handed]
    assert stamps == sorted(set(stamps))
    assert instance.values() == ["a.example", "b.example", "c.example"]


def test_a_report_stands_for_its_event(memory: Store) -> None:
    """Its members and it go as one event of its name; a member that comes later goes into the same."""
    desk, instance = MispDesk(memory), Instance()
    first, second = made("a.example"), made("b.example")
    desk.world.give(CIRCL, first, second, report(first, second, name="r", modified=later()))
    desk.push(instance)
    (event,) = instance.handed
    assert (event["info"], sent(instance)) == ("r", [["a.example", "b.example"]])
    third = made("c.example", at=5)
    desk.world.give(CIRCL, third, report(first, second, third, name="r", modified=later(5)))
    desk.push(instance)
    assert {event["uuid"] for event in instance.handed} == {event["uuid"]}
    assert instance.values() == ["a.example", "b.example", "c.example"]


def test_members_wait_for_the_frame_that_their_drain_brings(memory: Store) -> None:
    """Pushed before it, they would stand in an event of ours, and MISP takes no attribute into a second one."""
    desk, instance = MispDesk(memory), Instance()
    first = made("a.example")
    desk.world.give(CIRCL, first, report(first, name="r", modified=later()), last=False)
    run = desk.push(instance)
    assert run is not None
    assert (run.outcome, instance.handed) == ("waiting", [])
    desk.world.give(CIRCL, made("z.example", tlp=Tlp.RED), last=True)
    desk.push(instance, after=60)
    assert [(event["info"], len(event["Attribute"])) for event in instance.handed] == [("r", 1)]


def test_a_lost_answer_is_sent_again_and_newer(memory: Store) -> None:
    """What was sent and not answered is sent again under a greater timestamp, with what came since."""
    desk, instance = MispDesk(memory), Instance()
    instance.raises = [LOST]
    desk.world.give(CIRCL, made("a.example"))
    run = desk.push(instance)
    assert run is not None
    assert (run.outcome, desk.outbox(), desk.ledger()) == ("failed", ["pending"], [])
    desk.push(instance, after=3600)
    first, second = instance.handed
    assert int(second["timestamp"]) > int(first["timestamp"])
    assert (desk.outbox(), len(desk.ledger())) == (["accepted"], 1)


def test_what_misp_has_no_form_for_is_lost_and_said_so(memory: Store) -> None:
    """It is settled with the code of the loss, counted, never tried again, and `why` shows it."""
    desk, instance = MispDesk(memory), Instance()
    place = marked(
        {
            "type": "location", "spec_version": "2.1", "id": "location--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b99",
            "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "country": "CA",
        }, Tlp.GREEN,
    )  # fmt: skip
    desk.world.give(CIRCL, made("a.example"), place)
    run = desk.push(instance)
    assert run is not None
    assert run.counts == {"accepted": 1, "lost": 1}
    assert desk.push(instance) is None
    told = explain(memory, desk.world.rules, place["id"], desk.world.now)
    assert [(row["state"], row["message"]) for row in told.deliveries] == [("lost", "convert.no_form")]


def test_one_refused_event_holds_nothing_back(memory: Store) -> None:
    """What the target says of an event holds for what is in it, and for nothing else."""
    desk = MispDesk(memory)
    first = made("a.example")
    desk.world.give(CIRCL, first, report(first, name="r", modified=later()), made("b.example"))
    instance = Instance()
    instance.say = lambda item: "refused" if b'"info":"r"' in item.body else "accepted"
    run = desk.push(instance)
    assert run is not None
    assert run.counts["accepted"] == 1
    assert run.counts["refused"] >= 1
    assert desk.push(instance) is None


def test_r3_what_the_peer_gave_itself_is_not_sent(memory: Store) -> None:
    """R3: it knows it already."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.world.give(ALERTS.key, made("a.example"))
    desk.push(instance)
    assert (instance.handed, desk.outbox()) == ([], ["known"])


def test_r8_what_is_withdrawn_is_deleted_there_at_once_and_once(memory: Store) -> None:
    """R8: the soft deletion of our copy, without its value, recorded as recalled."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"), made("b.example"))
    desk.push(instance)
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    with capture_logs() as logs:
        run = desk.push(instance)
    assert run is not None
    assert run.counts == {"recalled": 1}
    assert [line["log_level"] for line in logs if line["event"] == "push.done"] == ["info"]
    assert instance.values() == ["b.example"]
    (end,) = instance.handed[-1]["Attribute"]
    assert (end["uuid"], end["deleted"], "value" in end) == (uuid("a.example"), True, False)
    assert "a.example" not in json.dumps(instance.handed[-1])
    assert desk.ledger()[-1] == (made("a.example")["id"], "recalled")
    assert desk.push(instance) is None


def test_r8_a_newer_version_is_no_recall(memory: Store) -> None:
    """What takes the place of what is there goes as an edit."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    desk.world.give(CIRCL, made("a.example", at=5, description="now with words"))
    run = desk.push(instance)
    assert run is not None
    assert run.counts == {"accepted": 1}
    assert instance.values() == ["a.example"]


def test_r8_what_may_be_there_again_is_undeleted(memory: Store) -> None:
    """Recalled, then loosened: it comes again, newer than its end."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    desk.push(instance)
    assert instance.values() == []
    desk.world.give(CIRCL, made("a.example", at=10))
    desk.push(instance)
    assert instance.values() == ["a.example"]


def test_r8_withdrawn_while_it_was_on_its_way_is_recalled(memory: Store) -> None:
    """The answer says that it is there; by then it may not be."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    instance.during = lambda: desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    desk.push(instance)
    instance.during = lambda: None
    desk.push(instance, after=10)
    assert instance.values() == []


def test_r8_withdrawn_after_a_lost_answer_is_recalled(memory: Store) -> None:
    """Nobody knows whether it is there, so its end is sent."""
    desk, instance = MispDesk(memory), Instance()
    instance.raises = [LOST]
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    assert instance.values() == ["a.example"]
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    desk.push(instance, after=3600)
    assert instance.values() == []


def test_r8_withdrawn_before_it_was_ever_sent_is_no_recall(memory: Store) -> None:
    """There is nothing to delete, and its uuid need not be told."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    assert desk.push(instance) is None
    assert instance.handed == []


def test_r8_under_new_terms_what_they_no_longer_allow_is_recalled(memory: Store) -> None:
    """A lower ceiling, or another agreement in the place of the old one."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"), made("b.example", tlp=Tlp.CLEAR))
    desk.push(instance)
    lower = agreement(
        "autre", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.CLEAR)
    )
    desk.world.follow(replace(desk.world.terms, agreements=(lower,)))
    desk.push(instance)
    assert instance.values() == ["b.example"]
    assert instance.handed[-1]["published"]
    assert desk.push(instance) is None


def test_r8_what_is_left_of_an_event_that_is_withdrawn_says_nothing(memory: Store) -> None:
    """The event cannot be deleted over synchronisation: it is emptied, loses its words, and is published no more."""
    desk, instance = MispDesk(memory), Instance()
    first = made("a.example")
    desk.world.give(CIRCL, first, report(first, name="secret words", modified=later()))
    desk.push(instance)
    first = made("a.example", tlp=Tlp.RED, at=5)
    desk.world.give(CIRCL, first, report(first, name="secret words", tlp=Tlp.RED, modified=later(5)))
    desk.push(instance)
    ((_, event),) = instance.events.items()
    assert (instance.values(), event["published"]) == ([], False)
    assert "secret" not in json.dumps(instance.handed[-1])


def test_r8_a_suspended_agreement_recalls_nothing(memory: Store) -> None:
    """R19: its end suspends; what was handed over stays until somebody withdraws it."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    desk.world.pass_time(timedelta(days=800))
    desk.push(instance)
    assert instance.values() == ["a.example"]


def test_a_tag_that_is_no_longer_there_is_taken_away(memory: Store) -> None:
    """A label that changed: MISP only adds tags, so the old one goes by name."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.CLEAR), made("z.example", tlp=Tlp.GREEN))
    desk.push(instance)
    assert instance.tags_of("a.example") == ["tlp:clear"]
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.GREEN, at=5))
    desk.push(instance)
    assert instance.tags_of("a.example") == ["tlp:green"]


def test_a_large_event_goes_in_several_steps_and_is_published_with_the_last(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is an edit of its own; nobody there is told of half an event."""
    monkeypatch.setattr(handing, "BATCH", 3)
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, *(made(f"{n}.example") for n in range(8)))
    run = desk.push(instance)
    assert run is not None
    assert run.counts == {"accepted": 8}
    assert [event["published"] for event in instance.handed] == [False, False, True]
    assert len(instance.values()) == 8


def test_r31_while_the_brake_is_pulled_nothing_leaves_and_nothing_is_recalled(memory: Store) -> None:
    """R31: let go, everything that waited goes."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    desk.brake("ccc", "out")
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5), made("b.example"))
    assert desk.push(instance, forced=True) is None
    desk.let_go("ccc", "out")
    desk.push(instance)
    assert instance.values() == ["b.example"]


def test_r25_the_assembled_event_is_judged(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R25: what the second gate does not let through does not leave, and is said so."""
    monkeypatch.setattr(handing, "gate_event", lambda body, clearance: False)
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    run = desk.push(instance)
    assert run is not None
    assert (run.counts, instance.handed) == ({"stopped": 1}, [])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_sighting_goes_with_what_was_seen(memory: Store, hidden: bool) -> None:
    """Whoever saw it, and in whichever event they have it; what others said of it first changes nothing (R14)."""
    desk, instance = MispDesk(memory), Instance()
    seen, first = made("a.example"), made("a.example", tlp=Tlp.RED)
    if hidden:
        desk.world.give("cert-ee/x", first, marked(report(first), Tlp.RED))
    sighting = marked(
        {
            "type": "sighting", "spec_version": "2.1", "id": "sighting--0a7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b01",
            "created": "2026-02-02T00:00:00.000Z", "modified": "2026-02-02T00:00:00.000Z",
            "sighting_of_ref": seen["id"], "last_seen": "2026-02-02T00:00:00Z", "count": 1,
        }, Tlp.GREEN,
    )  # fmt: skip
    desk.world.give(CIRCL, seen)
    desk.push(instance)
    desk.world.give(MISP.key, sighting)
    run = desk.push(instance)
    assert run is not None
    assert run.counts == {"accepted": 1}
    (told,) = instance.handed[-1]["Sighting"]
    assert (told["attribute_uuid"], instance.handed[-1]["uuid"]) == (uuid("a.example"), instance.handed[0]["uuid"])


def test_what_needs_no_words_of_its_own_is_settled(memory: Store) -> None:
    """An identity is the event's creator, a link is what it links."""
    desk, instance = MispDesk(memory), Instance()
    first, family = made("a.example"), malware("m")
    desk.world.give(CIRCL, first, family, relationship(first, family, tlp=Tlp.GREEN))
    desk.push(instance)
    assert desk.push(instance) is None
    states = {row["state"] for row in desk.rows(tables.outbox)}
    assert states <= {"accepted", "lost", "known"}


def test_an_event_that_is_gone_there_is_sent_again(memory: Store) -> None:
    """The comparison finds it: everything that was accepted in it goes once more; what is there does not."""
    desk, instance = MispDesk(memory), Instance()
    kept = made("k.example")
    desk.world.give(CIRCL, made("a.example"), kept, report(kept, name="r", modified=later()))
    desk.push(instance)
    day = next(event["uuid"] for event in instance.handed if event["info"] != "r")
    desk.world.now += MINUTE
    assert not reconcile(desk.work, INSTANCE, instance)["sent_again"]  # type: ignore[index]
    del instance.events[day], instance.parts[uuid("a.example")]
    desk.world.now += MINUTE
    counts = reconcile(desk.work, INSTANCE, instance)
    assert counts is not None
    assert counts["sent_again"] == 1
    desk.push(instance)
    assert instance.values() == ["a.example", "k.example"]


def test_an_event_that_is_there_as_it_was_before_is_sent_again(memory: Store) -> None:
    """A partner that restored an old copy gets what came since."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    before = {name: dict(value) for name, value in instance.events.items()}
    parts = dict(instance.parts)
    desk.world.give(CIRCL, made("b.example"))
    desk.push(instance)
    instance.events, instance.parts = before, parts
    desk.world.now += MINUTE
    reconcile(desk.work, INSTANCE, instance)
    desk.push(instance)
    assert instance.values() == ["a.example", "b.example"]


def test_what_nobody_there_publishes_is_not_compared(memory: Store) -> None:
    """It is on no list, and not lost."""
    quiet = replace(INSTANCE, publish=False)
    desk, instance = MispDesk(memory, target=quiet), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    instance.events["x"] = {"published": True, "timestamp": "1"}
    desk.world.now += MINUTE
    assert reconcile(desk.work, quiet, instance) == {"listed": 1}
    assert desk.outbox() == ["accepted"]


def test_a_recall_wakes_the_push_and_counts_as_waiting(memory: Store) -> None:
    """R8: at once, not when something else is handed over; until then `exchange peers` shows it."""
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example"))
    desk.push(instance)
    desk.world.give(CIRCL, made("a.example", tlp=Tlp.RED, at=5))
    (line,) = [line for line in overview(memory, desk.world.terms, desk.world.now) if line.key == INSTANCE.key]
    assert line.waiting == 1
    desk.world.now += MINUTE
    schedule = Schedule(
        memory, desk.world.terms, lambda peer, kind, line: cast(PeerClient, instance), clock=lambda: desk.world.now,
        node="CERT-QC",
    )  # fmt: skip
    schedule.prepare()
    schedule._push_waiting()
    wait(list(schedule._busy.values()), 30)
    assert schedule.stop(30)
    assert instance.values() == []
