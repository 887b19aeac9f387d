"""A push to a MISP of what must be altered for it: under uuids of its own, edited and taken back by those (R26, R8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exchange.model.marking import Tlp
from exchange.model.party import Terms
from exchange.store import Store
from exchange.sync.accounting import Asked, entries
from exchange.sync.explain import explain
from tests.sync.misp_partner import INSTANCE, Instance, MispDesk
from tests.sync.partners import OTHER
from tests.sync.test_events import sighting
from tests.sync.test_misp_push import later, made, uuid
from tests.world import report

VICTIM = "jeanne.tremblay@ville.example"
WORDS = f"sent to {VICTIM} on Monday"
CIRCL = OTHER.key
CHANNEL = f"target:{INSTANCE.key}"


def attribute(instance: Instance, value: str = "a.example") -> dict[str, Any]:
    """The attribute with this value, as the partner has it."""
    (part,) = [part for part in instance.parts.values() if part.get("value") == value]
    return part


def test_what_is_altered_goes_under_another_uuid_and_is_edited_there(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example", description=WORDS), made("b.example"))
    desk.push(instance)
    assert instance.values() == ["a.example", "b.example"]
    first = attribute(instance)
    assert first["uuid"] != uuid("a.example") and attribute(instance, "b.example")["uuid"] == uuid("b.example")
    assert first["comment"].startswith("sent to ") and VICTIM not in str(instance.handed)
    desk.world.give(CIRCL, made("a.example", at=5, description=f"{WORDS}, again"))
    desk.push(instance)
    assert attribute(instance)["uuid"] == first["uuid"]
    assert attribute(instance)["comment"].endswith(", again")
    assert len(instance.events) == 1
    assert desk.push(instance) is None


def test_what_may_no_longer_be_there_is_deleted_under_the_uuid_that_they_have(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    given = made("a.example", description=WORDS)
    desk.world.give(CIRCL, given, made("b.example"))
    desk.push(instance)
    known = attribute(instance)["uuid"]
    desk.world.give(CIRCL, made("a.example", at=5, description=WORDS, tlp=Tlp.RED))
    desk.push(instance)
    assert instance.values() == ["b.example"]
    assert instance.parts[known]["deleted"] is True
    assert sorted(desk.outbox()) == ["accepted", "recalled"]
    assert given["id"].partition("--")[2] not in str(instance.handed)


def test_the_ledger_names_what_went_and_of_what_it_was_made(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    given = made("a.example", description=WORDS)
    desk.world.give(CIRCL, given)
    desk.push(instance)
    found = [each for each in entries(memory, Asked(object=given["id"]), named=True) if each.outcome == "accepted"]
    assert [(each.object, each.original) for each in found] == [
        (f"indicator--{attribute(instance)['uuid']}", given["id"])
    ]


def test_why_says_that_it_went_altered(memory: Store) -> None:
    desk = MispDesk(memory)
    given = made("a.example", description=WORDS)
    desk.world.give(CIRCL, given)
    (found,) = explain(memory, desk.world.rules, given["id"], desk.world.now).statements
    (answer,) = [each for each in found.answers if each.channel == CHANNEL]
    assert answer.verdict == "release"
    assert answer.reasons == ("release.agreement", "transform.personal")
    assert answer.listed is not None and answer.alarm == ""


def test_altered_words_of_a_report_give_its_event_another_uuid(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    first = made("a.example")
    told = report(first, name=f"Phishing, {WORDS}", modified=later())
    desk.world.give(CIRCL, first, told)
    desk.push(instance)
    (event,) = instance.handed
    assert event["info"].startswith("Phishing, sent to ") and VICTIM not in str(event)
    assert event["uuid"] != told["id"].partition("--")[2]
    assert attribute(instance)["uuid"] == uuid("a.example")
    second = made("b.example", at=5)
    desk.world.give(CIRCL, second, report(first, second, name=f"Phishing, {WORDS}", modified=later(5)))
    desk.push(instance)
    assert {each["uuid"] for each in instance.handed} == {event["uuid"]}
    assert instance.values() == ["a.example", "b.example"]


def test_a_sighting_goes_to_what_they_have(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    given = made("a.example", description=WORDS)
    desk.world.give(CIRCL, given)
    desk.push(instance)
    desk.world.give(CIRCL, sighting(given))
    desk.push(instance)
    (seen,) = instance.handed[-1]["Sighting"]
    assert seen["attribute_uuid"] == attribute(instance)["uuid"]


def test_other_terms_take_it_back_and_send_the_original(memory: Store) -> None:
    desk, instance = MispDesk(memory), Instance()
    desk.world.give(CIRCL, made("a.example", description=WORDS), made("b.example"))
    desk.push(instance)
    altered = attribute(instance)["uuid"]
    desk.world.follow(allowed(desk.world.terms))
    desk.push(instance)
    assert instance.parts[altered]["deleted"] is True
    assert instance.parts[uuid("a.example")]["comment"] == WORDS
    assert instance.values() == ["a.example", "b.example"]


def allowed(given: Terms) -> Terms:
    """The same, where nothing personal has to be taken out."""
    sent = (replace(a, send=a.send and replace(a.send, personal="allowed")) for a in given.agreements)
    return replace(given, agreements=tuple(sent))
