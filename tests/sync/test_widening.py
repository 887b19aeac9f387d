"""`exchange widen`: a looser form by the creator's word or the ministry's right, and what ends it (decision 0032)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from exchange.errors import UsageError
from exchange.model import lineage, personal
from exchange.model.lights import PAP_ID, PFC_ID, Pap, Pfc
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.policy.widening import wanted
from exchange.store import Store, audiences, erasures, listings, removals, statements, tables, widenings
from exchange.store.ledgers import hand
from exchange.sync import accounting, approving, communications, erasing, stages, widening, withdrawing
from exchange.sync.accounting import Asked
from exchange.sync.loosening import Plan, Planner, Wish
from exchange.sync.tracing import trace_of
from exchange.sync.widening import Done
from tests.world import CCC_IDENTITY, NODE, NOW, SHARED, World, agreement, indicator, relationship, report, terms

HOME, BODY = "maison/misp", "organisme/misp"
BODY_IDENTITY = "identity--7a2f1c3e-0b6d-4c58-9e21-4d3f5a6b7c81"
MAILBOX = "email-addr--5b5f6d0e-3c9d-5a0e-8f0e-0b8f5ac1a0f1"
RED, AMBER, GREEN = Tlp.RED, Tlp.AMBER, Tlp.GREEN


def house(*, ministry: bool = False, eyes: int = 1) -> Terms:
    """Three partners who may have TLP:GREEN, and a body of Québec whose content is under PFC."""
    given = terms(
        agreements=[
            agreement(
                "reseau", "ccc", "cert-ee", "circl",
                receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN, approvals=eyes),
            ),
            agreement(
                "quebec", "organisme",
                receive=Receive(ceiling=Tlp.AMBER_STRICT), send=Send(ceiling=Tlp.GREEN, pfc=True),
            ),
        ]
    )  # fmt: skip
    body = Peer(
        id="organisme", name="Ministère des Exemples", contact="soc@exemples.example", jurisdiction="CA-QC",
        identities=frozenset({BODY_IDENTITY}),
    )  # fmt: skip
    return replace(given, peers={**given.peers, body.id: body}, acts_for_mcn=ministry)


class Office(World):
    """A node with persons who widen."""

    def plan(self, asked: str, to: str = "TLP:GREEN", right: Any = "creator", **more: Any) -> Plan:
        label = wanted(to)
        assert label is not None
        return widening.planned(self.store, self.rules, Wish(asked=asked, to=label, right=right, **more), self.now)

    def widen(self, asked: str, to: str = "TLP:GREEN", right: Any = "creator", who: str = "marie", **more: Any) -> Done:
        plan = self.plan(asked, to, right, **more)
        return widening.say(self.store, self.rules, plan, who=who, why="for the network", clock=lambda: self.now)

    def end(self, act: int, who: str = "marie") -> list[str]:
        return widening.finish(self.store, self.rules, act, who=who, why="enough", clock=lambda: self.now)

    def refused(self, asked: str, *more: Any, **others: Any) -> UsageError:
        """Why it may not be widened; nothing is written."""
        with pytest.raises(UsageError) as found:
            self.widen(asked, *more, **others)
        with self.store.reading() as tx:
            assert widenings.everyone(tx) == []
        return found.value

    def body(self, stix_id: str) -> dict[str, Any]:
        with self.store.reading() as tx:
            (held,) = statements.held(tx, [stix_id])[stix_id][-1:]
            found: dict[str, Any] = json.loads(statements.bodies(tx, [held.seq])[held.seq])
            return found

    def standing(self) -> list[str]:
        with self.store.reading() as tx:
            return [word.made for word in widenings.standing(tx)]

    def codes(self) -> list[str]:
        """Why acts ended."""
        with self.store.reading() as tx:
            return [word.code for word in widenings.everyone(tx) if word.word == widenings.ENDED]


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store, house())


@pytest.fixture
def ministry(store: Store) -> Office:
    return Office(store, house(ministry=True))


def ours(value: str = "a.example", tlp: Tlp | None = AMBER, **more: Any) -> dict[str, Any]:
    """An indicator of our own house."""
    return indicator(value, tlp=tlp, created_by_ref=NODE, **more)


def theirs(value: str = "b.example", pfc: Pfc = Pfc.AMBRE, marks: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An indicator of the body of Québec, under PFC."""
    made = indicator(value, tlp=None, created_by_ref=BODY_IDENTITY, **more)
    return {**made, "object_marking_refs": [PFC_ID[pfc], *marks]}


def body_identity(**more: Any) -> dict[str, Any]:
    return {
        "type": "identity", "spec_version": "2.1", "id": BODY_IDENTITY, "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z", "name": "Ministère des Exemples", "identity_class": "organization",
        "object_marking_refs": [TLP2_ID[Tlp.CLEAR]], **more,
    }  # fmt: skip


# --- by the creator's word ------------------------------------------------------------------------------------------


def test_what_is_ours_goes_as_a_new_object_and_stays_as_it_is(office: Office) -> None:
    """Issue 7, reference 9.6: a new object of ours under the wider mark; the original and its mark never change."""
    made = ours(tlp=None, object_marking_refs=[TLP2_ID[AMBER], PAP_ID[Pap.GREEN]], labels=["tlp:amber", "c2"])
    office.give(HOME, made)
    assert office.listed("ccc") == []
    plan = office.plan(made["id"])
    assert {
        (each.peer, each.channel, tuple(each.more.values())) for each in plan.effects if "target" not in each.channel
    } == {(peer, f"collection:{SHARED}", (1,)) for peer in ("ccc", "cert-ee", "circl")} | {
        (peer, "collection:d94e2b71-8a06-4f5d-b3c8-1e70f6a2c549", (1,)) for peer in ("ccc", "cert-ee")
    }
    done = office.widen(made["id"])
    (new,) = done.made
    assert office.listed("ccc") == [new] == office.listed("cert-ee")
    body = office.body(new)
    assert body["object_marking_refs"] == [PAP_ID[Pap.GREEN], TLP2_ID[GREEN]]
    assert (body["created_by_ref"], body["modified"], body["labels"]) == (NODE, made["modified"], ["c2"])
    assert len(lineage.tokens(body)) == 1
    assert made["id"].partition("--")[2] not in json.dumps(body)
    assert office.body(made["id"]) == made
    with office.store.reading() as tx:
        (kept,) = statements.held(tx, [made["id"]])[made["id"]]
        assert kept.label is not None and kept.label.tlp is AMBER
    assert accounting.verify(office.store).widened == 1


def test_the_plan_is_what_then_goes(office: Office) -> None:
    """What is shown before is what each partner has after it."""
    made = ours()
    office.give(HOME, made)
    shown = {(each.peer, each.channel) for each in office.plan(made["id"]).effects}
    office.widen(made["id"])
    have = {(peer, f"collection:{SHARED}") for peer in ("ccc", "cert-ee", "circl") if office.listed(peer)}
    assert {place for place in shown if place[1].endswith(SHARED)} == have
    assert ("ccc", "target:ccc/depot") in shown and office.waiting()


@pytest.mark.parametrize(
    ("source", "made", "code"),
    [
        ("ccc/alertes", indicator(tlp=AMBER, created_by_ref=CCC_IDENTITY), "cli.widen.not_creator"),
        ("ccc/alertes", indicator(tlp=AMBER, created_by_ref=NODE), "cli.widen.not_creator"),
        ("maison/misp", indicator(tlp=AMBER, created_by_ref=CCC_IDENTITY), "cli.widen.not_creator"),
        ("maison/misp", indicator(tlp=AMBER), "widening.no_creator"),
        ("maison/misp", ours(tlp=None), "widening.unmarked"),
        ("maison/misp", ours(tlp=GREEN), "widening.not_wider"),
        ("maison/misp", ours(tlp=Tlp.CLEAR), "widening.not_wider"),
        ("maison/misp", ours(revoked=True), "widening.original"),
        (
            "maison/misp",
            ours(granular_markings=[{"selectors": ["pattern"], "marking_ref": TLP2_ID[RED]}]),
            "widening.granular",
        ),
    ],
)
def test_nobody_widens_the_words_of_others(office: Office, source: str, made: Mapping[str, Any], code: str) -> None:
    """R5: only where our own house gave it, and is its creator; whatever is typed."""
    office.give(source, made)
    assert office.refused(made["id"]).code == code
    assert office.listed("cert-ee") == (
        [made["id"]] if made.get("object_marking_refs") in ([TLP2_ID[GREEN]], [TLP2_ID[Tlp.CLEAR]]) else []
    )


def test_the_error_names_whom_to_ask(office: Office) -> None:
    office.follow(
        replace(
            office.terms,
            peers={**office.terms.peers, "ccc": replace(office.terms.peers["ccc"], contact="soc@ccc.example")},
        )
    )
    made = indicator(tlp=AMBER, created_by_ref=CCC_IDENTITY)
    office.give("circl/osint", made)
    assert office.refused(made["id"]).fields == {
        "id": made["id"], "creator": CCC_IDENTITY, "peer": "CCC", "contact": "soc@ccc.example",
        "reason": "widening.not_creator",
    }  # fmt: skip


def test_an_operator_cannot_widen_what_was_widened(office: Office) -> None:
    made = ours(tlp=RED)
    office.give(HOME, made)
    (new,) = office.widen(made["id"], "TLP:AMBER").made
    with pytest.raises(UsageError, match=r"cli\.widen\.made"):
        office.widen(new, "TLP:GREEN")
    (wider,) = office.widen(made["id"], "TLP:GREEN").made
    assert wider != new
    assert set(office.standing()) == {new, wider}


# --- by the ministry's right ----------------------------------------------------------------------------------------


def test_the_ministry_widens_what_names_nobody(ministry: Office) -> None:
    """Reference 4: PFC:AMBRE, made anonymous, goes to recipients who were not foreseen; no byte of its producer."""
    made = theirs(
        description="Seen by the Ministère des Exemples, call bob.roy@victime.example",
        external_references=[{"source_name": "exemples", "url": "https://soc.exemples.example/1"}],
        x_exemples_ticket="EX-1",
    )
    ministry.give(BODY, body_identity(), made)
    assert made["id"] not in ministry.listed("ccc")
    (new,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    assert new in ministry.listed("ccc")
    body = ministry.body(new)
    text = json.dumps(body, ensure_ascii=False).casefold()
    for word in (BODY_IDENTITY[10:], "exemples", "bob.roy", made["id"].partition("--")[2], "ex-1"):
        assert word not in text
    assert (body["created_by_ref"], body["object_marking_refs"]) == (NODE, [TLP2_ID[GREEN]])
    assert body["pattern"] == made["pattern"]


@pytest.mark.parametrize(
    ("made", "to", "code"),
    [
        (theirs(pfc=Pfc.ROUGE), "TLP:GREEN", "widening.not_pfc"),
        (theirs(pfc=Pfc.VERT), "TLP:CLEAR", "widening.not_pfc"),
        (theirs(marks=(TLP2_ID[RED],)), "TLP:GREEN", "widening.else_stricter"),
        (theirs(marks=(PFC_ID[Pfc.VERT],)), "TLP:GREEN", "widening.else_stricter"),
        (theirs(), "PFC:AMBRE", "widening.not_wider"),
        (theirs(pattern="[email-message:to_refs[*].value = 'bob@victime.example']"), "TLP:GREEN", "cli.widen.personal"),
    ],
)
def test_how_far_the_ministrys_right_reaches(ministry: Office, made: Mapping[str, Any], to: str, code: str) -> None:
    ministry.give(BODY, body_identity(), made)
    error = ministry.refused(made["id"], to, "pfc")
    assert error.code == code
    if code == "cli.widen.personal":
        assert error.fields["place"] == "pattern"


def test_the_register_names_the_act_and_the_right(ministry: Office) -> None:
    """A-2.1, art. 67.3: what went by the ministry's right stands apart from what went as it was marked."""
    made, plain = theirs(), indicator("p.example", tlp=GREEN)
    ministry.give(BODY, body_identity(), made)
    ministry.give("circl/osint", plain)
    (new,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    with ministry.store.writing() as tx:
        for each in (new, plain["id"]):
            (held,) = statements.held(tx, [each])[each]
            entry = {"at": 1, "peer": "ccc", "channel": "target:ccc/depot", "seq": held.seq, "stix_id": each}
            hand(tx, [{**entry, "version": held.version, "agreement": "reseau", "outcome": "accepted"}])
    (line,) = communications.register(ministry.store, ministry.terms, Asked())
    assert line.types == {"indicator": 2}
    assert [(each.act, each.right, each.count) for each in line.widened] == [(1, "pfc", 1)]


def test_strict_too_and_a_level_of_pfc(ministry: Office) -> None:
    made = theirs(pfc=Pfc.AMBRE_STRICT, marks=(TLP2_ID[Tlp.AMBER_STRICT],))
    ministry.give(BODY, body_identity(), made)
    (new,) = ministry.widen(made["id"], "pfc:vert", "pfc").made
    assert ministry.body(new)["object_marking_refs"] == [PFC_ID[Pfc.VERT]]
    assert new not in ministry.listed("ccc"), "PFC:VERT is for Québec's list"


def test_without_the_setting_nobody_has_that_right(office: Office) -> None:
    made = theirs()
    office.give(BODY, body_identity(), made)
    assert office.refused(made["id"], "TLP:GREEN", "pfc").code == "widening.not_ministry"


def test_a_producer_whose_name_nobody_told_is_not_widened(ministry: Office) -> None:
    made = {**theirs(), "created_by_ref": "identity--11111111-2222-4333-8444-555555555555"}
    ministry.give(BODY, made)
    assert ministry.refused(made["id"], "TLP:GREEN", "pfc").code == "transform.producer_unknown"


def test_a_name_that_is_told_later_ends_it(ministry: Office) -> None:
    """R17, decision 0030: an identity in a new version, or an operator's own word, names the producer anew."""
    made = theirs(description="found by Bureau Nord", name="Cabinet Sud")
    ministry.give(BODY, body_identity(), made)
    (new,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    assert "Bureau Nord" in ministry.body(new)["description"]
    ministry.pass_time(timedelta(seconds=60))
    ministry.give(BODY, body_identity(name="Bureau Nord", modified="2026-11-21T12:00:30.000Z"))
    assert (new in ministry.listed("ccc"), ministry.codes()) == (False, ["widening.named"])
    (again,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    assert again != new and "Bureau Nord" not in ministry.body(again)["description"]
    peers = {**ministry.terms.peers, "organisme": replace(ministry.terms.peers["organisme"], name="Cabinet Sud")}
    ministry.follow(replace(ministry.terms, peers=peers))
    assert (again in ministry.listed("ccc"), ministry.codes()) == (False, ["widening.named"] * 2)


def test_a_mailbox_that_turns_out_to_be_a_victims_goes_no_further(ministry: Office) -> None:
    """R17: its source says so in a message that comes later; who had it is told, and nobody widens it again."""
    box: dict[str, Any] = {"type": "email-addr", "spec_version": "2.1", "id": MAILBOX}
    box |= {"value": "bob@ville.example", "object_marking_refs": [PFC_ID[Pfc.AMBRE]]}
    ministry.give(BODY, body_identity(), box)
    (new,) = ministry.widen(box["id"], "TLP:GREEN", "pfc").made
    assert new in ministry.listed("ccc")
    ministry.pass_time(timedelta(seconds=60))
    message = {
        "type": "email-message",
        "spec_version": "2.1",
        "id": "email-message--6d2f4a0e-3c9d-5a0e-8f0e-0b8f5ac1a0f2",
    }
    ministry.give(
        BODY, message | {"is_multipart": False, "to_refs": [box["id"]], "object_marking_refs": [PFC_ID[Pfc.AMBRE]]}
    )
    assert (new in ministry.listed("ccc"), ministry.codes()) == (False, ["widening.victim"])
    with pytest.raises(UsageError) as found:
        ministry.widen(box["id"], "TLP:GREEN", "pfc")
    assert found.value.code == "cli.widen.personal"


@pytest.mark.parametrize("first", [True, False])
def test_a_victims_mailbox_of_our_own_house_is_not_widened_either(office: Office, first: bool) -> None:
    """Under its new id nothing says whose it is, so it would go to those who get nothing of victims."""
    box: dict[str, Any] = {"type": "email-addr", "spec_version": "2.1", "id": MAILBOX}
    box |= {"value": "bob@ville.example", "created_by_ref": NODE, "object_marking_refs": [TLP2_ID[AMBER]]}
    message: dict[str, Any] = {"type": "email-message", "spec_version": "2.1", "is_multipart": False}
    message |= {
        "to_refs": [MAILBOX],
        "id": "email-message--6d2f4a0e-3c9d-5a0e-8f0e-0b8f5ac1a0f2",
        "object_marking_refs": [TLP2_ID[AMBER]],
    }
    office.give(HOME, box)
    if first:
        office.give(HOME, message)
        assert office.refused(box["id"]).code == "cli.widen.personal"
        return
    (new,) = office.widen(box["id"]).made
    assert new in office.listed("ccc")
    office.pass_time(timedelta(seconds=60))
    office.give(HOME, message)
    assert (new in office.listed("ccc"), office.codes()) == (False, ["widening.victim"])


def test_it_does_not_go_back_to_who_gave_it(ministry: Office) -> None:
    """R3: under its new id neither."""
    made = theirs()
    ministry.give(BODY, body_identity(), made)
    plan = ministry.plan(made["id"], "TLP:GREEN", "pfc")
    assert plan.items[0].givers == {"organisme"}
    (new,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    with ministry.store.reading() as tx:
        (held,) = statements.held(tx, [new])[new]
    assert held.copied == {"organisme"}


def test_the_setting_is_taken_back(ministry: Office) -> None:
    made = theirs()
    ministry.give(BODY, body_identity(), made)
    (new,) = ministry.widen(made["id"], "TLP:GREEN", "pfc").made
    ministry.follow(house())
    assert new not in ministry.listed("ccc")
    assert ministry.codes() == ["widening.right"]


# --- what becomes of the original -----------------------------------------------------------------------------------


def test_r19_it_is_over_before_anybody_reads_by_the_new_terms(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its original is worth more by another default: nobody is let in again while it still stands."""

    def given(unmarked: Tlp) -> Terms:
        default = agreement("maison", "maison", receive=Receive(ceiling=RED, unmarked=unmarked))
        return replace(house(), agreements=(*house().agreements, default))

    office = Office(store, given(AMBER))
    office.give(HOME, ours(tlp=None))
    office.widen(ours()["id"])
    (made,) = office.standing()
    seen, walk = [], stages.walk

    def looking(of: Store, shift: Any, stage: stages.Stage, *more: Any) -> int:
        with of.reading() as tx:
            read = {row.number for row in audiences.everyone(tx).values() if row.open}
            seen.append((stage.name, any(row.audience in read for row in listings.standing(tx, [made]))))
        return walk(of, shift, stage, *more)

    monkeypatch.setattr(stages, "walk", looking)
    office.follow(given(RED))
    assert office.codes() == ["widening.stricter"]
    assert seen == [(name, False) for name in stages.NAMES]


def later(made: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**made, "modified": "2026-11-21T12:00:30.000000Z", **more}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"description": "better"}, "widening.version"),
        ({"revoked": True}, "widening.version"),
        ({"object_marking_refs": [TLP2_ID[RED]]}, "widening.version"),
    ],
)
def test_a_newer_version_ends_it_with_a_notice(office: Office, change: dict[str, Any], code: str) -> None:
    """Decision 0032: the act was for the version that it named; the new one waits for a person."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.pass_time(timedelta(seconds=60))
    office.give(HOME, later(made, **change))
    assert office.listed("ccc") == []
    (notice,) = office.listed("ccc", recalls=True)
    assert office.body(notice)["object_refs"] == list(done.made)
    assert office.codes() == [code]
    (waiting,) = approving.lapsed(office.store)
    assert (waiting.stix_id, waiting.act) == (made["id"], done.act)


def test_the_newer_version_is_widened_in_its_turn(office: Office) -> None:
    """R15: under the same id, as the next version of it; nobody has to look any more."""
    made = ours()
    office.give(HOME, made)
    first = office.widen(made["id"])
    office.pass_time(timedelta(seconds=60))
    office.give(HOME, later(made, description="better"))
    second = office.widen(made["id"])
    assert (first.made, second.act) == (second.made, first.act + 1)
    assert office.listed("ccc") == list(second.made)
    assert office.body(second.made[0])["description"] == "better"
    assert approving.lapsed(office.store) == []


def test_a_mere_touch_changes_nothing(office: Office) -> None:
    """R9: equal content under a new date."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.pass_time(timedelta(seconds=60))
    office.give(HOME, later(made))
    assert office.listed("ccc") == list(done.made)
    assert office.codes() == []


def test_a_stricter_word_for_the_same_version_ends_it(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    office.widen(made["id"])
    office.give(HOME, {**made, "object_marking_refs": [TLP2_ID[RED]]})
    assert (office.listed("ccc"), office.codes()) == ([], ["widening.stricter"])


def test_an_operators_withdrawal_of_the_original_ends_it(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    office.widen(made["id"])
    with office.store.reading() as tx:
        scope = withdrawing.named(tx, made["id"])
    done = withdrawing.withdraw_from_all(office.store, office.rules, scope, who="x", why="y", clock=lambda: office.now)
    assert (office.listed("ccc"), office.codes()) == ([], ["widening.original"])
    withdrawing.lift(office.store, office.rules, done.number, who="x", why="y", clock=lambda: office.now)
    assert office.listed("ccc") == [], "it never comes back by itself"
    with office.store.reading() as tx:
        assert removals.find(tx, done.number) is not None


def test_a_person_ends_it_and_it_can_be_done_again(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    first = office.widen(made["id"])
    assert office.end(first.act) == list(first.made)
    assert office.listed("ccc") == []
    with pytest.raises(UsageError, match=r"cli\.widen\.unknown_act"):
        office.end(first.act)
    second = office.widen(made["id"])
    assert second.made != first.made, "what was withdrawn stays withdrawn"
    assert office.listed("ccc") == list(second.made)


def test_what_is_erased_takes_its_widened_form_with_it(office: Office) -> None:
    """R33: bytes, names and the words of the act; the chain still verifies."""
    made = ours("erase-me.example")
    office.give(HOME, made)
    (new,) = office.widen(made["id"]).made
    with office.store.reading() as tx:
        scope = withdrawing.named(tx, made["id"])
    clock = lambda: office.now  # noqa: E731
    asked = erasing.ask(office.store, office.rules, scope, who="a", why="x", basis="y", clock=clock)
    done = erasing.approve(
        office.store, office.rules, asked.number, who="b", despite=True, clock=clock, wait=lambda _: None
    )
    assert (done["left"], done["faults"]) == ([], 0)
    with office.store.reading() as tx:
        assert erasures.left(tx, [new, made["id"]], [tables.widening, tables.withdrawal]) == []
        assert [word.stix_id for word in widenings.everyone(tx)] == ["", ""]


def test_what_comes_back_is_not_released_again(office: Office) -> None:
    """R16: our own token is known when a partner gives a form of it under another id."""
    made = ours()
    office.give(HOME, made)
    (new,) = office.widen(made["id"]).made
    back = {**office.body(new), "id": "indicator--00000000-0000-4000-8000-00000000000a", "created_by_ref": CCC_IDENTITY}
    office.give("ccc/alertes", back)
    assert office.listed("cert-ee") == [new]


def test_r16_what_our_own_house_hands_back_ends_nothing(office: Office) -> None:
    """R4: our other servers read all that we have, and what they give is of the same peer as what we widen."""
    office.give(HOME, ours())
    (new,) = office.widen(ours()["id"]).made
    before = office.listed("circl", recalls=True)
    office.give("maison/autre", office.body(new))
    assert office.listed("circl", recalls=True) == before == [new]
    office.end(1)
    assert office.listed("circl") == []


# --- two persons ----------------------------------------------------------------------------------------------------


def test_two_persons_where_an_agreement_asks_for_them(store: Store) -> None:
    office = Office(store, house(eyes=2))
    made = ours()
    office.give(HOME, made)
    first = office.widen(made["id"])
    assert (first.waits, first.made, office.listed("ccc")) == (1, (), [])
    with pytest.raises(UsageError, match=r"cli\.widen\.four_eyes"):
        office.widen(made["id"], who="Marie")
    office.widen(made["id"], "TLP:CLEAR", who="luc")  # another wish, which waits for itself
    assert office.listed("ccc") == []
    second = office.widen(made["id"], who="luc")
    assert (second.act, second.waits, office.listed("ccc")) == (first.act, 0, list(second.made))


def test_what_was_asked_for_before_it_changed_counts_no_more(store: Store) -> None:
    office = Office(store, house(eyes=2))
    made = ours()
    office.give(HOME, made)
    office.widen(made["id"])
    office.give(HOME, {**made, "object_marking_refs": [TLP2_ID[RED]]})
    assert office.widen(made["id"], who="luc").waits == 1
    assert office.listed("ccc") == []


def test_a_plan_that_something_overtook_is_not_carried_out(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    plan = office.plan(made["id"])
    office.give(HOME, {**made, "object_marking_refs": [TLP2_ID[RED]]})
    with pytest.raises(UsageError, match=r"cli\.widen\.overtaken"):
        widening.say(office.store, office.rules, plan, who="a", why="b", clock=lambda: office.now)
    assert office.listed("ccc") == []


@pytest.mark.parametrize("overtaken", [True, False])
def test_r18_planned_before_the_lock_and_looked_at_again_inside(
    office: Office, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    """What is committed between the two counts; what has nothing to do with it is no hindrance."""
    made = ours()
    office.give(HOME, made)
    other = {**made, "object_marking_refs": [TLP2_ID[RED]]} if overtaken else ours("c.example", tlp=RED)
    came: list[dict[str, Any]] = []
    look, writing, inside = widening.look, Store.writing, [False]

    def meanwhile(*of: Any) -> Any:
        came.append(other)
        if len(came) == 1:
            office.give(HOME, other)
        return look(*of)

    @contextmanager
    def locked(store: Store) -> Iterator[Any]:
        with writing(store) as tx:
            inside[0] = True
            yield tx
        inside[0] = False

    def plan(planner: Planner) -> Plan:
        assert not inside[0]
        return planned(planner)

    planned = Planner.plan
    monkeypatch.setattr(widening, "look", meanwhile)
    monkeypatch.setattr(Store, "writing", locked)
    monkeypatch.setattr(Planner, "plan", plan)
    if overtaken:
        with pytest.raises(UsageError, match=r"cli\.widen\.overtaken"):
            office.widen(made["id"])
        assert (len(came), office.standing(), office.listed("ccc")) == (1, [], [])
    else:
        assert list(office.widen(made["id"]).made) == office.standing() == office.listed("ccc")


def test_r18_what_a_name_told_meanwhile_shows_is_not_let_go(ministry: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    made = theirs(description="Seen by the Bureau des Essais")
    ministry.give(BODY, body_identity(), made)
    plan, look = ministry.plan(made["id"], right="pfc"), widening.look
    later = body_identity(name="Bureau des Essais", modified="2026-01-02T00:00:00.000Z")

    def meanwhile(*of: Any) -> Any:
        ministry.give(BODY, later)
        return look(*of)

    monkeypatch.setattr(widening, "look", meanwhile)
    with pytest.raises(UsageError, match=r"cli\.widen\.overtaken"):
        widening.say(ministry.store, ministry.rules, plan, who="a", why="b", clock=lambda: ministry.now)
    assert (ministry.standing(), ministry.codes()) == ([], [])


def test_r18_what_cannot_be_taken_in_leaves_no_act(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    made, take = ours(), widening.take
    office.give(HOME, made)

    def refusing(*of: Any) -> Any:
        taken, more = take(*of)
        outcomes = [structs.replace(each, code="conflict") for each in taken.outcomes]
        return replace(taken, outcomes=outcomes), more

    monkeypatch.setattr(widening, "take", refusing)
    assert office.refused(made["id"]).code == "cli.widen.refused"
    assert office.listed("ccc") == []


# --- content --------------------------------------------------------------------------------------------------------


def test_a_report_without_its_content_names_nothing_stricter(office: Office) -> None:
    one, open_ = ours("one.example"), ours("open.example", tlp=GREEN)
    held = {**report(one, open_, tlp=AMBER), "created_by_ref": NODE}
    office.give(HOME, one, open_, held)
    plan = office.plan(held["id"])
    assert plan.left_out == ((one["id"], "widening.not_asked"),)
    (new,) = office.widen(held["id"]).made
    assert office.body(new)["object_refs"] == [open_["id"]]
    assert set(office.listed("ccc")) == {new, open_["id"]}


def test_a_report_with_its_content(office: Office) -> None:
    one, two = ours("one.example"), ours("two.example")
    red = ours("red.example", tlp=RED)
    foreign = indicator("foreign.example", tlp=AMBER, created_by_ref=CCC_IDENTITY)
    held = {**report(one, two, red, foreign, tlp=RED), "created_by_ref": NODE}
    held["object_marking_refs"] = [TLP2_ID[AMBER]]
    office.give(HOME, one, two, foreign, red, held)
    assert office.refused(held["id"]).code == "widening.content"
    plan = office.plan(held["id"], content=True)
    assert dict(plan.left_out) == {
        one["id"]: "widening.other_level",
        two["id"]: "widening.other_level",
        foreign["id"]: "widening.other_creator",
    }  # fmt: skip  (R13: a report is worth what the strictest of its members is)


def test_members_go_with_it_under_their_new_ids(office: Office) -> None:
    one, two = ours("one.example"), ours("two.example")
    link = {**relationship(one, two, tlp=AMBER), "created_by_ref": NODE}
    held = {**report(one, two, link, tlp=AMBER), "created_by_ref": NODE}
    office.give(HOME, one, two, link, held)
    done = office.widen(held["id"], content=True)
    assert len(done.made) == 4
    assert set(office.listed("ccc")) == set(done.made)
    new = next(each for each in done.made if each.startswith("report--"))
    assert set(office.body(new)["object_refs"]) == set(done.made) - {new}
    tied = office.body(next(each for each in done.made if each.startswith("relationship--")))
    assert {tied["source_ref"], tied["target_ref"]} < set(done.made)
    office.give(HOME, {**one, "object_marking_refs": [TLP2_ID[RED]]})
    gone = set(done.made) - set(office.listed("ccc"))
    assert office.body(new)["id"] in gone, "its report is stricter now too (R13)"
    assert len(gone) == 2


def test_a_uuid_means_its_report(office: Office) -> None:
    one = ours("one.example", tlp=GREEN)
    held = {**report(one, tlp=AMBER), "created_by_ref": NODE}
    office.give(HOME, one, held)
    (new,) = office.widen(held["id"].partition("--")[2].upper()).made
    assert new.startswith("report--")


# --- what is told ---------------------------------------------------------------------------------------------------


def test_why_tells_the_act_of_both(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    (new,) = office.widen(made["id"]).made
    for asked in (made["id"], new):
        told = trace_of(office.store, office.rules, asked, office.now, peer="ccc")
        (act,) = told.acts
        assert (act.act, act.who, act.why, act.stix_id, act.made, act.right) == (
            "widened", "marie", "for the network", made["id"], new, "creator",
        )  # fmt: skip
        assert all(not each.alarm for each in told.traces)


def test_a_changed_word_is_found_by_verify(office: Office) -> None:
    """R27: the words of an act stand in a chain."""
    made = ours()
    office.give(HOME, made)
    office.end(office.widen(made["id"]).act)
    assert accounting.verify(office.store).faults == ()
    accounting.anchor(office.store, NOW)
    for column, value, code in (("who", "luc", "ledger.broken"), ("why", "no reason", "ledger.changed")):
        with office.store.writing() as tx:
            before = tx.execute(tables.widening.select().order_by(tables.widening.c.id)).first()
            assert before is not None
            mine = tables.widening.update().where(tables.widening.c.id == before.id)
            tx.execute(mine.values({column: value}))
        assert code in {fault.code for fault in accounting.verify(office.store).faults}
        with office.store.writing() as tx:
            tx.execute(mine.values({column: before._mapping[column]}))
    assert accounting.verify(office.store).faults == ()
    with office.store.writing() as tx:
        tx.execute(tables.widening.delete())
    assert [fault.code for fault in accounting.verify(office.store).faults] == ["ledger.missing"]


def test_what_personal_information_is_there_is_asked_of_the_agreement(office: Office) -> None:
    """By the creator's word nothing is taken out: the agreements say what goes, as of everything else."""
    made = ours(description="call bob.roy@victime.example")
    office.give(HOME, made)
    (new,) = office.widen(made["id"]).made
    assert "bob.roy" in office.body(new)["description"]
    assert office.listed("ccc") and office.listed("ccc") != [new]
    (altered,) = office.listed("ccc")
    assert not personal.find(office.body(altered))
