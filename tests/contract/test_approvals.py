"""R21 and four eyes: what a person may let go of what is held, what no person may, and how long that lasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Personal, Receive, Send, Terms
from exchange.policy import Rules
from exchange.store import Store
from exchange.sync import approving
from exchange.sync.approving import Said, Waiting
from exchange.sync.explain import explain
from tests.world import NOW, SHARED, World, agreement, collection, indicator, terms

UNKNOWN = "marking-definition--00000000-1121-4000-8000-112100000000"
GIVER, READER = "circl", "cert-ee"


def careful(approvals: int = 1, *, taken: Tlp = Tlp.CLEAR, sent: Tlp = Tlp.AMBER) -> Terms:
    """CIRCL gives up to a ceiling, CERT-EE and CCC may have more, each under an agreement of its own."""
    return terms(
        agreements=[
            agreement("giver", GIVER, receive=Receive(ceiling=taken), send=Send(ceiling=Tlp.CLEAR, onward=True)),
            agreement("reader", READER, send=Send(ceiling=sent, approvals=approvals)),
            agreement("other", "ccc", send=Send(ceiling=sent)),
        ],
        shared=collection(SHARED, "partenaires", (READER, "ccc"), ceiling=Tlp.RED),
    )


class Desk(World):
    """A world with persons who review."""

    def says(self, made: Mapping[str, Any], who: str = "Marie", verdict: str = "approved", whom: str = "") -> int:
        """A person decides; how many statements it was about."""
        said = Said(stix_id=made["id"], verdict=verdict, who=who, why="seen", whom=whom)
        return len(approving.say(self.store, self.rules, said, lambda: self.now))

    def waits(self, **only: str) -> list[Waiting]:
        """What waits for a person."""
        asked = {"peer": "", "code": "", **only}
        return approving.queue(self.store, self.rules, self.now, most=100, **asked)

    def reasons(self, made: Mapping[str, Any], reader: str = READER) -> set[str]:
        """Why a reader has or has not what was made."""
        found = explain(self.store, self.rules, made["id"], self.now).statements
        return {a.reasons[0] for each in found for a in each.answers if reader in a.members and SHARED in a.channel}


@pytest.fixture
def desk(store: Store) -> Desk:
    """One person is enough."""
    return Desk(store, careful())


def test_what_is_stricter_than_we_agreed_to_take_is_let_go_by_a_person(desk: Desk) -> None:
    made, other = indicator("a.example"), indicator("b.example", tlp=Tlp.CLEAR)
    desk.give("circl/osint", made, other)
    assert desk.listed(READER) == [other["id"]]
    (waiting,) = desk.waits()
    assert (waiting.held.stix_id, waiting.code, waiting.asked) == (made["id"], "receive.ceiling", 1)
    assert waiting.readers == ("ccc", READER)
    (count,) = approving.counts(desk.store, desk.rules)
    assert (count.peer, count.code, count.count) == (GIVER, "receive.ceiling", 1)
    assert desk.says(made) == 1
    assert set(desk.listed(READER)) == {made["id"], other["id"]}
    assert desk.waits() == []


def test_an_approval_is_told_with_those_for_whom_it_changes_something(store: Store) -> None:
    """Who gets it stripped, and has it, needs nobody's leave."""
    given = careful(taken=Tlp.RED)
    clauses: dict[str, Personal] = {"reader": "strip", "other": "hold"}
    held = tuple(
        replace(a, send=replace(a.send, personal=clauses.get(a.id))) if a.send else a for a in given.agreements
    )
    desk, made = Desk(store, replace(given, agreements=held)), indicator(description="of jeanne@ville.example")
    desk.give("circl/osint", made)
    assert len(desk.listed(READER)) == 1
    (waiting,) = desk.waits()
    assert (waiting.code, waiting.readers) == ("personal.review", ("ccc",))
    desk.says(made)
    assert desk.listed("ccc") == [made["id"]]


def test_it_lasts_over_new_terms_and_ends_with_the_version(desk: Desk) -> None:
    made = indicator("a.example")
    desk.give("circl/osint", made)
    desk.says(made)
    desk.follow(replace(desk.terms, node_identity="identity--00000000-0000-4000-8000-000000000001"))
    assert desk.listed(READER) == [made["id"]]
    desk.now += timedelta(minutes=1)
    desk.give("circl/osint", indicator("a.example", modified=NOW + timedelta(minutes=1), description="more"))
    assert desk.listed(READER) == [], "the next version asks again, and governs the one before (R8)"
    assert [each.held.version[:16] for each in desk.waits()] == ["2026-11-21T12:01"]


def test_of_one_partner_or_agreement_only_that_one_gets_it(desk: Desk) -> None:
    one, other = indicator("a.example"), indicator("b.example")
    desk.give("circl/osint", one, other)
    desk.says(one, whom=f"peer:{READER}")
    desk.says(other, whom="other")
    assert desk.listed(READER) == [one["id"]]
    assert desk.listed("ccc") == [other["id"]]


def test_four_eyes_are_two_persons(store: Store) -> None:
    """The agreement that asks for two gets it when two have said so; the other needs one."""
    desk, made = Desk(store, careful(approvals=2)), indicator("a.example")
    desk.give("circl/osint", made)
    assert desk.waits()[0].asked == 2
    desk.says(made)
    desk.says(made)
    assert (desk.listed(READER), desk.listed("ccc")) == ([], [made["id"]])
    assert [each.readers for each in desk.waits()] == [(READER,)]
    desk.says(made, "Luc")
    assert desk.listed(READER) == [made["id"]]
    desk.says(made, "Luc", "undone")
    assert (desk.listed(READER), desk.listed("ccc")) == ([], [])
    assert len(desk.waits()) == 1


def test_what_is_refused_leaves_the_queue_and_stays_held(desk: Desk) -> None:
    made = indicator("a.example")
    desk.give("circl/osint", made)
    desk.says(made)
    desk.says(made, verdict="refused")
    assert (desk.waits(), desk.listed(READER)) == ([], [])
    assert desk.reasons(made) == {"receive.ceiling"}
    desk.says(made, verdict="undone")
    assert len(desk.waits()) == 1
    desk.says(made)
    assert desk.listed(READER) == [made["id"]]


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (indicator("a.example", tlp=Tlp.RED), careful(sent=Tlp.RED)),
        (indicator("a.example", tlp=Tlp.AMBER), careful(taken=Tlp.AMBER, sent=Tlp.GREEN)),
        (indicator("a.example", tlp=None), careful()),
        (indicator("a.example", tlp=None, object_marking_refs=[UNKNOWN]), careful()),
    ],
)  # fmt: skip
def test_no_person_lifts_what_is_not_the_givers_ceiling(store: Store, made: dict[str, Any], given: Terms) -> None:
    """TLP:RED, a ceiling of what is sent, what nobody marked, a marking that nobody understands."""
    desk = Desk(store, given)
    desk.give("circl/osint", made)
    before = desk.reasons(made)
    assert desk.waits() == []
    assert desk.says(made) == 0
    assert desk.listed(READER) == []
    assert desk.reasons(made) == before


def test_an_approval_of_the_givers_ceiling_lifts_no_ceiling_of_the_readers(store: Store) -> None:
    desk, made = Desk(store, careful(sent=Tlp.CLEAR)), indicator("a.example")
    desk.give("circl/osint", made)
    assert desk.says(made) == 1
    assert desk.listed(READER) == []
    assert desk.reasons(made) == {"agreement.ceiling"}


def test_r14_another_givers_same_object_is_asked_for_itself(desk: Desk) -> None:
    given = careful()
    both = replace(given, agreements=(*given.agreements, agreement("third", "ccc", receive=Receive(ceiling=Tlp.CLEAR))))
    desk.follow(both)
    made = indicator("a.example")
    desk.give("circl/osint", made)
    desk.says(made)
    desk.give("ccc/alertes", {**made, "description": "theirs", "modified": "2026-11-21T11:00:00.000Z"})
    assert [each.held.source for each in desk.waits()] == ["ccc/alertes"]
    assert Rules(both, NOW).eyes == 1
