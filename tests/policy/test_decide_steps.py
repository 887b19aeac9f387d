"""What `Rules` answers beside `decide`, and the steps of a decision that the table does not show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from policy_world import IEP, MARKS, NOW, PEERS, SITE, agreement, collection, target

from exchange.i18n import LANGUAGES, text
from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Reach, Tlp
from exchange.model.party import Agreement, Peer, Receive, Send, Terms
from exchange.policy import Audience, Decision, Rules, Subject, Verdict
from exchange.policy.gate import NO_PAP, PFC
from exchange.policy.lifting import CEILING, PERSONAL

NODE = "identity--00000000-0000-4000-8000-000000000000"
OTHERS = "identity--0abcdef0-0000-4000-8000-000000000001"
GREEN, AMBER, RED = (Label(tlp=level) for level in (Tlp.GREEN, Tlp.AMBER, Tlp.RED))
DOUBT = "doubt.warninglist"


def takes(ceiling: Tlp = Tlp.RED, name: str = "in", peer: str = "circl", span: str = "now", **more: Any) -> Agreement:
    """From circl."""
    return agreement(name, [peer], span=span, receive=Receive(ceiling=ceiling, **more))


def gives(ceiling: Tlp = Tlp.GREEN, name: str = "out", peer: str = "ccc", span: str = "now", **more: Any) -> Agreement:
    """To ccc."""
    return agreement(name, [peer], span=span, send=Send(ceiling=ceiling, **{"personal": "allowed", **more}))


def rules(*agreements: Agreement, readers: Iterable[str] = ("ccc",), pushed: bool = False, **peer: Any) -> Rules:
    """One room, read by all of them; `peer`: what is otherwise of ccc."""
    room = replace(collection(readers), **peer.pop("room", {}))
    peers = {name: Peer(id=name, name=name, home=name == "home") for name in PEERS}
    peers["ccc"] = replace(peers["ccc"], targets=(target("ccc"),) if pushed else (), **peer)
    rooms = {} if pushed else {room.id: room}
    return Rules(Terms(peers=peers, collections=rooms, agreements=agreements, node_identity=NODE), NOW)


def subject(label: Label | None = GREEN, **more: Any) -> Subject:
    return Subject(**{"peer": "circl", "type": "indicator", "label": label, **more})


def decided(made: Rules, asked: Subject) -> Decision:
    return made.decide(asked, made.audiences[0])


def reasons(made: Rules, asked: Subject) -> tuple[str, ...]:
    return decided(made, asked).reasons


# --- what we take ---------------------------------------------------------------------------------------------------


def test_from_whom_we_take() -> None:
    """An agreement in force that says so, on its first and last day too; our own house needs none; nobody else."""
    assert rules().receives("home")
    assert not rules().receives("circl")
    assert not rules().receives("stranger")
    assert not rules(gives(peer="circl")).receives("circl")
    assert not rules(takes(peer="ccc")).receives("circl")
    for span, taken in (
        ("now", True), ("first-day", True), ("last-day", True), ("ended", False), ("ended-yesterday", False),
        ("begins-tomorrow", False),
    ):  # fmt: skip
        assert rules(takes(span=span)).receives("circl") is taken


def test_what_unmarked_content_is_worth() -> None:
    """R11: the strictest of several agreements; an ended one still says it, one to come does not."""
    assert rules().default_label("circl") is None
    assert rules(takes()).default_label("circl") is None
    assert rules(gives(peer="circl")).default_label("circl") is None
    both = (takes(unmarked=Tlp.GREEN), takes(name="b", unmarked=Tlp.AMBER), takes(name="c"))
    assert rules(*both).default_label("circl") is Tlp.AMBER
    assert rules(*both).default_label("ccc") is None
    assert rules(takes(unmarked=Tlp.CLEAR)).default_label("circl") is Tlp.CLEAR
    assert rules(takes(unmarked=Tlp.GREEN, span="ended")).default_label("circl") is Tlp.GREEN
    assert rules(takes(unmarked=Tlp.GREEN, span="begins-tomorrow")).default_label("circl") is None


def test_what_an_agreement_calls_informational_is_left_out_of_the_label() -> None:
    """R12: those markings and no other; with `*` all of them, and nothing else of the label."""
    odd = Label(tlp=Tlp.GREEN, unknown=frozenset(MARKS[:2]), texts=frozenset(MARKS[:2]), iep=frozenset({IEP, "x"}))
    named = rules(takes(informational_markings=frozenset({MARKS[0], IEP})), takes(name="b"))
    assert named.ignored("circl") == {MARKS[0], IEP}
    assert named.ignored("ccc") == frozenset()
    assert named.understood("circl", odd) == Label(
        tlp=Tlp.GREEN, unknown=frozenset(MARKS[1:2]), texts=frozenset(MARKS[1:2]), iep=frozenset({"x"})
    )
    assert named.understood("ccc", odd) == odd
    for only in (Label(tlp=Tlp.GREEN, iep=frozenset({IEP})), Label(tlp=Tlp.GREEN, unknown=frozenset(MARKS[:1]))):
        assert named.understood("circl", only) == GREEN
    assert rules(takes(informational_markings=frozenset("*"))).understood("circl", odd) == GREEN
    later = rules(takes(informational_markings=frozenset("*"), span="begins-tomorrow"))
    assert later.understood("circl", odd) == odd
    assert later.ignored("circl") == frozenset()


def test_a_marking_that_is_left_out_stops_nothing() -> None:
    """R12: unlisted ones do, each by its own name."""
    made = rules(takes(informational_markings=frozenset({MARKS[0], IEP})), gives())
    listed = Label(tlp=Tlp.GREEN, unknown=frozenset(MARKS[:1]), iep=frozenset({IEP}))
    assert decided(made, subject(listed)).released
    assert reasons(made, subject(Label(tlp=Tlp.GREEN, unknown=frozenset(MARKS[:2])))) == ("marking.unknown",)
    assert reasons(made, subject(Label(tlp=Tlp.GREEN, iep=frozenset({IEP, "x"})))) == ("marking.iep",)
    star = rules(takes(informational_markings=frozenset("*")), gives())
    assert decided(star, subject(listed.join(Label(unknown=frozenset(MARKS))))).released


def test_a_policy_binds_from_its_beginning_to_its_end() -> None:
    made = rules(takes(), gives())
    far = datetime(2026, 6, 15, 12, 0, 1, tzinfo=UTC)
    assert reasons(made, subject(Label(tlp=Tlp.GREEN, since=far))) == ("marking.iep_period",)
    assert reasons(made, subject(Label(tlp=Tlp.GREEN, until=NOW))) == ("marking.iep_period",)
    found = decided(made, subject(Label(tlp=Tlp.GREEN, since=NOW, until=far)))
    assert found.released
    assert found.not_after == far


def test_what_says_no_level_is_held() -> None:
    """R11: what only says what may be done with it says nothing of who may have it."""
    made = rules(takes(), gives(), readers=["ccc", "home"])
    for audience in made.audiences:
        assert made.decide(subject(Label(pap=Pap.CLEAR)), audience).reasons == ("label.none",)
        assert made.decide(subject(None), audience).reasons == ("label.none",)


def test_what_is_stricter_than_agreed_is_taken_when_persons_let_it_in() -> None:
    """R21: TLP:RED never; as many persons as the agreement of those who get it asks for."""
    made = rules(
        takes(Tlp.GREEN), gives(Tlp.RED, approvals=2, onward=True), gives(name="leave", peer="circl", onward=True)
    )
    assert made.above_reception("circl", AMBER)
    assert not made.above_reception("circl", GREEN)
    assert not made.above_reception("circl", RED)
    assert not made.above_reception("home", AMBER)
    assert not made.above_reception("ccc", AMBER)
    assert not made.above_reception("circl", Label(tlp=Tlp.AMBER, unknown=frozenset("x")))
    assert reasons(made, subject(AMBER)) == (CEILING,)
    for whom, people, goes in (
        ("", 2, True),
        ("out", 2, True),
        ("peer:ccc", 3, True),
        ("", 1, False),
        ("in", 2, False),
    ):
        approved = frozenset({(whom, CEILING, people)})
        assert decided(made, subject(AMBER, approved=approved)).released is goes
        assert not decided(made, subject(RED, approved=approved)).released
    assert not decided(made, subject(AMBER, approved=frozenset({("", DOUBT, 9)}))).released


def test_who_lets_in_what_is_too_strict_lets_in_nothing_else() -> None:
    """An approval is for one reason, whatever else stops it besides or instead."""
    approved = frozenset({("", CEILING, 9)})
    for made, asked in (
        (rules(takes(types=frozenset({"malware"})), gives(Tlp.RED)), subject()),
        (rules(takes(confidence=50), gives(Tlp.RED)), subject()),
        (rules(gives(Tlp.RED)), subject()),
        (rules(takes(), gives(Tlp.RED)), subject(Label(tlp=Tlp.GREEN, draft=True))),
        (rules(takes(), gives(Tlp.RED)), subject(Label(tlp=Tlp.GREEN, unknown=frozenset("x")))),
        (rules(takes(Tlp.CLEAR), takes(name="b", types=frozenset({"malware"})), gives(Tlp.RED)), subject()),
    ):
        before = decided(made, asked)
        assert not before.released
        assert decided(made, replace(asked, approved=approved)) == before


def test_of_a_cut_object_all_of_it_must_be_taken() -> None:
    """What we agreed to take is the whole, whatever is removed before it goes on."""
    remove = gives(Tlp.GREEN, granular="remove")
    parts = subject(AMBER, parts=GREEN)
    assert decided(rules(takes(Tlp.AMBER), remove), parts).released
    assert reasons(rules(takes(Tlp.GREEN), remove), parts) == (CEILING,)
    approved = frozenset({("", CEILING, 1)})
    assert decided(rules(takes(Tlp.GREEN), remove), replace(parts, approved=approved)).released
    assert not decided(rules(takes(Tlp.GREEN), remove), subject(RED, parts=GREEN, approved=approved)).released


def test_the_list_of_a_giver_makes_its_ambre_amber() -> None:
    """PFC:AMBRE is AMBER from who is on the list, and AMBER+STRICT from anybody else."""
    ambre = Label(pfc=Pfc.AMBRE)
    other = gives(Tlp.RED, pfc=True)
    assert not rules(takes(Tlp.AMBER), other).above_reception("circl", GREEN)
    assert rules(takes(Tlp.AMBER), other).above_reception("circl", ambre)
    assert not rules(takes(Tlp.AMBER), gives(name="back", peer="circl", pfc=True)).above_reception("circl", ambre)
    assert rules(takes(Tlp.AMBER), gives(name="back", peer="circl")).above_reception("circl", ambre)


# --- what goes ------------------------------------------------------------------------------------------------------


def test_the_clearance_is_the_highest_of_its_agreements_within_the_channel() -> None:
    """R25: as the second gate reads it."""
    for made, expected in (
        (rules(), Tlp.CLEAR),
        (rules(gives(Tlp.GREEN), gives(Tlp.AMBER, name="b")), Tlp.AMBER),
        (rules(gives(Tlp.RED), room={"ceiling": Tlp.GREEN}), Tlp.GREEN),
        (rules(gives(Tlp.GREEN, pfc=True), gives(Tlp.AMBER, name="b")), Tlp.AMBER | PFC),
        (rules(gives(Tlp.GREEN), pap=False), Tlp.GREEN | NO_PAP),
        (rules(readers=["home"], room={"ceiling": Tlp.AMBER}), Tlp.AMBER | PFC),
    ):
        assert made.clearance(made.audiences[0]) == expected


def test_whose_dialect_has_no_word_for_a_level_does_not_get_it() -> None:
    """TLP 1 has no AMBER+STRICT: it is held, for any other word would lower or raise it."""
    strict = Label(tlp=Tlp.AMBER_STRICT)
    leave = gives(name="leave", peer="circl", onward=True)
    for dialect, said in (("", True), ("tlp1", False), ("tlp2", True), ("opencti", True)):
        made = rules(takes(), gives(Tlp.RED), leave, dialect=dialect)
        assert decided(made, subject(strict)).released is said
        assert decided(made, subject(AMBER)).released
    assert reasons(rules(takes(), gives(Tlp.RED), leave, dialect="tlp1"), subject(strict)) == ("dialect.no_level",)


@pytest.mark.parametrize(
    ("types", "goes"), [(None, True), (["report", "grouping", "indicator"], True), (["indicator"], False)]
)
def test_words_that_bind_go_where_they_are_carried(types: list[str] | None, goes: bool) -> None:
    """A channel and an agreement that leave out reports carry no policy's words; our own house reads them anyway."""
    bound = subject(Label(tlp=Tlp.GREEN, limited=True))
    allowed = None if types is None else frozenset(types)
    channel = rules(takes(), gives(), readers=["ccc", "home"], room={"types": allowed})
    for audience in channel.audiences:
        found = channel.decide(bound, audience)
        assert found.released is (goes or audience.home)
        assert found.released or found.reasons == ("marking.not_carried",)
    clause = rules(takes(), gives(types=allowed))
    assert reasons(clause, bound) == (("release.agreement",) if goes else ("marking.not_carried",))


def test_what_is_advised_where_words_are_not_carried_is_enough() -> None:
    """Of a policy that names nobody the types alone are not; it goes where both are done that the advice names."""
    unnamed, short = subject(Label(tlp=Tlp.GREEN, unnamed=True), named=True), frozenset({"indicator", "report"})
    both = short | {"grouping"}
    hidden = gives(name="elsewhere", peer="cert-ee", attribution="anonymous")
    assert reasons(rules(takes(), gives(types=short), hidden), unnamed) == ("marking.not_carried",)
    assert reasons(rules(takes(), gives(types=both), hidden), unnamed) == ("attribution.must_not",)
    assert decided(rules(takes(), gives(types=both, attribution="anonymous"), hidden), unnamed).released
    for language in LANGUAGES:
        advice = text("marking.not_carried", language)
        assert all(name in advice for name in ("`types`", "`report`", "`grouping`", "`send.attribution`"))


def test_what_names_its_giver_to_nobody() -> None:
    """Held, unless an agreement hides who gave it; what tells of nobody needs no hiding."""
    unnamed = Label(tlp=Tlp.GREEN, unnamed=True)
    hidden = rules(takes(), gives(attribution="anonymous"))
    named = rules(takes(), gives(), gives(name="elsewhere", peer="cert-ee", attribution="anonymous"))
    assert decided(hidden, subject(unnamed, named=True)).released
    assert decided(hidden, subject(unnamed)).released
    assert decided(named, subject(unnamed)).released
    assert decided(named, subject(unnamed, named=True)) == Decision(
        verdict=Verdict.HOLD, reasons=("attribution.must_not",)
    )
    assert reasons(rules(takes(), gives()), subject(unnamed)) == ("attribution.must_not",)


def test_a_victim_is_known_to_whoever_takes_it_out() -> None:
    """The transform knows by whose word it is one."""
    made = rules(takes(), gives(personal="strip"))
    for victim in (False, True):
        found = decided(made, subject(personal=True, victim=victim)).transform
        assert found is not None and found.victim is victim


def test_personal_information_waits_where_the_agreement_says_so() -> None:
    """Until persons let that go, and nothing else does."""
    made = rules(takes(), gives(personal="hold", approvals=2))
    personal = subject(personal=True)
    assert decided(made, subject()).released
    assert reasons(made, personal) == (PERSONAL,)
    assert decided(made, personal).verdict.value == "hold"
    assert decided(made, replace(personal, approved=frozenset({("out", PERSONAL, 2)}))).released
    for few in (("out", PERSONAL, 1), ("other", PERSONAL, 2), ("out", DOUBT, 2)):
        assert not decided(made, replace(personal, approved=frozenset({few}))).released


def test_a_doubt_is_lifted_by_as_many_as_the_most_careful_agreement_asks_for() -> None:
    made = rules(takes(), gives(approvals=2), gives(name="b", approvals=3), agreement("none", ["ccc"]))
    for people, goes in ((2, False), (3, True)):
        approved = frozenset({("", DOUBT, people)})
        assert decided(made, subject(doubt=DOUBT, approved=approved)).released is goes
    once = rules(takes(), gives())
    assert decided(once, subject(doubt=DOUBT, approved=frozenset({("", DOUBT, 1)}))).released
    assert not decided(once, subject(doubt=DOUBT, approved=frozenset({("", "doubt.other", 1)}))).released


@pytest.mark.parametrize(
    ("more", "back"),
    [
        ({"peer": "ccc"}, True), ({"owner": "ccc"}, True), ({"copied": frozenset({"ccc"})}, True),
        ({}, False), ({"owner": "cert-ee", "copied": frozenset({"cert-ee"})}, False),
    ],
)  # fmt: skip
def test_never_back_to_who_gave_owns_or_copied_it(more: dict[str, Any], back: bool) -> None:
    """R3: an audience of one; in a room of several each may see its own again."""
    made = rules(takes(), takes(name="theirs", peer="ccc"), gives())
    assert (reasons(made, subject(**more)) == ("origin.returns",)) is back
    everybody = agreement("all", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.GREEN))
    shared = rules(takes(), takes(name="theirs", peer="ccc"), everybody, readers=["ccc", "cert-ee"])
    assert shared.audiences[0].members == ("ccc", "cert-ee")
    assert decided(shared, subject(**more)).released
    pushed = rules(takes(), takes(name="theirs", peer="ccc"), gives(), pushed=True)
    assert (reasons(pushed, subject(**more)) == ("origin.returns",)) is back


def test_what_it_wrote_here_it_reads_back_as_it_wrote_it() -> None:
    """R3: no clause alters it, no doubt holds it; what it wrote elsewhere does not come back."""
    hiding = gives(attribution="anonymous", redact=frozenset({"name"}))
    made = rules(takes(peer="ccc"), takes(name="theirs"), hiding)
    here = made.audiences[0].channel
    own = subject(peer="ccc", named=True, posted=here, doubt=DOUBT)
    assert decided(made, own) == replace(decided(made, replace(own, doubt="")), transform=None)
    assert decided(made, own).released
    assert reasons(made, replace(own, posted="collection:another")) == ("origin.returns",)
    assert decided(made, replace(own, peer="ccc", owner="circl")).released
    assert reasons(made, replace(own, peer="circl", owner="ccc")) == ("origin.returns",)


def test_what_it_wrote_where_others_read_too_is_as_for_all_of_them() -> None:
    """R3: reading back is for who reads alone; among several the clauses alter it and a doubt holds it."""
    all_of_them = agreement(
        "all", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.GREEN, personal="allowed", redact=frozenset({"name"}))
    )
    made = rules(takes(peer="ccc"), all_of_them, readers=["ccc", "cert-ee"])
    own = subject(peer="ccc", posted=made.audiences[0].channel)
    assert decided(made, own).transform is not None
    assert reasons(made, replace(own, doubt=DOUBT)) == (DOUBT,)


def test_an_agreement_is_over_at_the_first_instant_after_its_last_day() -> None:
    """R19: and at no instant before that."""
    terms = rules(takes(), gives(span="last-day")).terms
    midnight = datetime(2026, 6, 16, tzinfo=UTC)
    for now, goes in ((midnight - timedelta(microseconds=1), True), (midnight, False)):
        found = decided(Rules(terms, now), subject())
        assert found.reasons == (("release.agreement",) if goes else ("agreement.ended",))
        assert found.released is goes
        assert found.not_after == midnight
    later = rules(takes(), gives(span="last-day"), gives(name="b", redact=frozenset({"name"}))).terms
    assert decided(Rules(later, midnight), subject()).agreement == "b"


@pytest.mark.parametrize("span", ["now", "ended", "begins-tomorrow"])
def test_amber_goes_on_while_its_giver_lets_it(span: str) -> None:
    """R2: until the end of the last agreement of the giver that says so, and not before the first begins."""
    leave = gives(name="leave", peer="circl", span=span, onward=True)
    made = rules(takes(), gives(Tlp.AMBER), leave, gives(name="mute", peer="circl"))
    expected = {"now": "release.agreement", "ended": "agreement.ended", "begins-tomorrow": "onward.forbidden"}
    assert reasons(made, subject(AMBER)) == (expected[span],)
    assert decided(made, subject(GREEN)).released
    assert decided(made, subject(AMBER, peer="home")).released
    theirs = rules(takes(), gives(Tlp.AMBER, onward=True))
    assert reasons(theirs, subject(AMBER)) == ("onward.forbidden",)


def test_the_end_of_a_release_is_the_first_of_all_ends() -> None:
    """R19: the agreement's, the giver's leave's, the label's."""
    long, short = "now", "last-day"
    first, last = datetime(2026, 6, 16, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    for ours, theirs, expected in ((long, long, last), (short, long, first), (long, short, first)):
        made = rules(takes(), gives(Tlp.AMBER, span=ours), gives(name="leave", peer="circl", onward=True, span=theirs))
        assert decided(made, subject(AMBER)).not_after == expected
        assert decided(made, subject(GREEN)).not_after == (first if ours == short else last)
    leaves = [gives(name=span, peer="circl", onward=True, span=span) for span in (short, long)]
    two = rules(takes(), gives(Tlp.AMBER), *leaves)
    assert decided(two, subject(AMBER)).not_after == last


def test_what_is_cut_goes_onward_as_its_parts_may() -> None:
    """Parts that stay may be stricter than the rest: without leave they are cut at GREEN, with it at the ceiling."""
    parts = subject(RED, parts=GREEN)
    for leave, kept, end in ((None, Tlp.GREEN, 2027), ("last-day", Tlp.AMBER, 2026)):
        more = [] if leave is None else [gives(name="leave", peer="circl", onward=True, span=leave)]
        found = decided(rules(takes(), gives(Tlp.AMBER, granular="remove"), *more), parts)
        assert found.released
        assert found.transform is not None
        assert found.transform.cut is not None
        assert found.transform.cut.ceiling is kept
        assert found.not_after is not None
        assert found.not_after.year == end
    assert not decided(rules(takes(), gives(Tlp.AMBER, granular="remove")), subject(RED, parts=AMBER)).released


def test_the_rest_is_told_of_where_it_goes_and_the_whole_where_nothing_does() -> None:
    """`reading`: what a decision and its account are about."""
    made = rules(takes(), gives(granular="remove"), readers=["ccc", "home"])
    theirs, ours = sorted(made.audiences, key=lambda each: each.home)
    parts = subject(AMBER, parts=GREEN)
    assert made.reading(parts, theirs) == (GREEN, True)
    assert made.reading(parts, ours) == (AMBER, False)
    assert made.reading(subject(GREEN, parts=Label(tlp=Tlp.CLEAR)), theirs) == (GREEN, False)
    assert made.reading(subject(RED, parts=AMBER), theirs) == (RED, False)
    assert made.reading(replace(parts, barred="version.touch"), theirs) == (AMBER, False)
    assert made.reading(replace(parts, withdrawn=frozenset({theirs.channel})), theirs) == (AMBER, False)
    assert made.reading(subject(AMBER), theirs) == (AMBER, False)
    assert made.reading(subject(None), theirs) == (None, False)
    joined = rules(takes(), gives())
    assert joined.reading(parts, joined.audiences[0]) == (AMBER, False)
    assert reasons(joined, parts) == ("onward.forbidden",)
    assert made.reading(Subject(peer="circl", type="indicator", label=None, parts=GREEN), theirs) == (None, False)


def test_what_went_without_some_of_its_parts_rests_when_its_agreement_ends() -> None:
    """R19: refused for the parts that it went without, it would be withdrawn, and come again when renewed."""
    ended = rules(takes(), gives(granular="remove", span="ended"))
    assert reasons(ended, subject(AMBER, parts=GREEN)) == ("agreement.ended",)
    assert ended.reading(subject(AMBER, parts=GREEN), ended.audiences[0]) == (GREEN, True)
    whole = subject(GREEN, parts=Label(tlp=Tlp.CLEAR))
    assert ended.reading(whole, ended.audiences[0]) == (GREEN, False)
    renewed = rules(takes(), gives(granular="remove", span="ended"), gives(name="more", granular="remove"))
    assert renewed.reading(subject(AMBER, parts=GREEN), renewed.audiences[0]) == (GREEN, True)
    assert decided(renewed, subject(AMBER, parts=GREEN)).agreement == "more"


def test_what_went_whole_goes_without_some_of_its_parts_where_only_that_is_agreed_now() -> None:
    """R2, R19: the agreement that let all of it go has ended; the one that is in force has parts removed."""
    further = agreement("further", ["circl"], send=Send(ceiling=Tlp.CLEAR, onward=True))
    made = rules(takes(), further, gives(Tlp.AMBER, span="ended"), gives(name="more", granular="remove"))
    assert made.reading(subject(AMBER, parts=GREEN), made.audiences[0]) == (GREEN, True)
    assert decided(made, subject(AMBER, parts=GREEN)).agreement == "more"


def test_what_may_go_whole_under_one_agreement_is_not_cut_for_another() -> None:
    made = rules(
        takes(),
        gives(Tlp.AMBER, name="a"),
        gives(granular="remove", name="b"),
        gives(name="c", peer="circl", onward=True),
    )
    asked = subject(AMBER, parts=GREEN)
    assert made.reading(asked, made.audiences[0]) == (AMBER, False)
    assert (decided(made, asked).agreement, decided(made, asked).transform) == ("a", None)


def test_nothing_is_cut_for_our_own_house() -> None:
    """It may see everything, but a room holds nothing above its ceiling, and no part of it either."""
    made = rules(takes(), readers=["home"], room={"ceiling": Tlp.GREEN})
    assert reasons(made, subject(AMBER, parts=GREEN)) == ("collection.ceiling",)
    assert made.reading(subject(AMBER, parts=GREEN), made.audiences[0]) == (AMBER, False)


def test_each_agreement_is_asked_for_its_own_clause() -> None:
    """`considered`: of the whole, unless it is said to be cut; and of what says no level at all."""
    made = rules(takes(), gives(granular="remove"), gives(Tlp.CLEAR, name="b"), gives(Tlp.RED, name="c"))
    (audience,) = made.audiences

    def found(label: Label, **more: bool) -> list[tuple[str, str]]:
        return [(each.id, why) for each, why in made.considered(subject(AMBER), label, audience, **more)]

    over = "agreement.ceiling"
    assert found(GREEN) == [("b", over), ("c", ""), ("out", "")]
    assert found(GREEN, cut=True) == [("b", over), ("c", over), ("out", "")]
    assert found(AMBER) == [("b", over), ("c", ""), ("out", over)]
    assert found(Label(pap=Pap.CLEAR)) == [("b", over), ("c", over), ("out", over)]


def test_of_several_agreements_what_goes_as_it_is_and_lasts_is_named() -> None:
    """R2: no partner gets an altered copy where another agreement lets it have the object itself."""
    altered, plain = gives(name="a", redact=frozenset({"name"})), gives(name="b", span="last-day")
    made = rules(takes(), altered, plain)
    assert (decided(made, subject()).agreement, decided(made, subject()).transform) == ("b", None)
    ended = rules(takes(), altered, gives(name="b", span="ended"))
    assert decided(ended, subject()).agreement == "a"
    assert decided(ended, subject()).transform is not None
    over = rules(takes(), gives(name="b", span="ended", redact=frozenset({"name"})), gives(name="c", span="ended"))
    assert decided(over, subject()) == replace(decided(over, subject()), reasons=("agreement.ended",), agreement="c")
    alone = rules(takes(), gives(span="ended", redact=frozenset({"name"})))
    assert reasons(alone, subject()) == ("agreement.ended",)
    same = rules(takes(), gives(name="x"), gives(name="y"))
    assert decided(same, subject()).agreement == "y"


def test_held_by_one_agreement_and_denied_by_another_is_held() -> None:
    """What a person may still let go is not denied; every reason is told, each once."""
    made = rules(takes(), gives(Tlp.CLEAR, name="a"), gives(name="b", personal="hold"), gives(Tlp.CLEAR, name="c"))
    found = decided(made, subject(personal=True))
    assert (found.verdict.value, found.reasons) == ("hold", ("agreement.ceiling", PERSONAL))
    denied = decided(rules(takes(), gives(Tlp.CLEAR)), subject())
    assert (denied.verdict.value, denied.reasons) == ("deny", ("agreement.ceiling",))


def test_whose_event_shows_nothing() -> None:
    """R13: under an agreement that hides producers, or one that nobody knows any more; never to who wrote it."""
    made = rules(
        takes(),
        gives(attribution="anonymous"),
        gives(name="open"),
        agreement("mute", ["ccc"], receive=Receive(ceiling=Tlp.RED)),
    )
    (audience,) = made.audiences
    assert made.hides(audience, "out", OTHERS, "circl")
    assert made.hides(audience, "out", "", "circl")
    assert made.hides(audience, "gone", OTHERS, "circl")
    assert not made.hides(audience, "open", OTHERS, "circl")
    assert not made.hides(audience, "mute", OTHERS, "circl")
    assert not made.hides(audience, "", OTHERS, "circl")
    assert not made.hides(audience, "out", NODE, "circl")
    assert not made.hides(audience, "out", "", "home")
    assert not made.hides(audience, "out", OTHERS, "ccc")


# --- sharing groups -------------------------------------------------------------------------------------------------


def _orgs(*names: str) -> dict[str, Any]:
    return {"identities": frozenset(f"identity--{name}" for name in names)}


def test_a_sharing_group_must_name_every_member() -> None:
    """R1: one organisation of each; our own house is the node."""
    group = subject(Label(tlp=Tlp.GREEN, orgs=frozenset({"a", "b"})))
    assert decided(rules(takes(), gives(), **_orgs("b", "z")), group).released
    assert reasons(rules(takes(), gives(), **_orgs("z")), group) == ("sharing_group.orgs",)
    assert reasons(rules(takes(), gives()), group) == ("sharing_group.orgs",)
    everybody = agreement("all", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.GREEN))
    both = rules(takes(), everybody, readers=["ccc", "cert-ee"], **_orgs("a"))
    assert reasons(both, group) == ("sharing_group.orgs",)
    home = rules(takes(), readers=["home"])
    assert reasons(home, group) == ("sharing_group.orgs",)
    ours = Label(tlp=Tlp.GREEN, orgs=frozenset({NODE.removeprefix("identity--")}))
    assert decided(home, subject(ours)).released


def test_a_sharing_group_names_servers_for_pushes_only() -> None:
    """What is fetched from us is on our own server."""
    there, elsewhere = (
        subject(Label(tlp=Tlp.GREEN, servers=frozenset({url}))) for url in ("https://peer.example/api", "https://x")
    )
    pushed, read = rules(takes(), gives(), pushed=True), rules(takes(), gives())
    assert decided(pushed, there).released
    assert reasons(pushed, elsewhere) == ("sharing_group.server",)
    assert decided(read, elsewhere).released
    peers = {
        "home": Peer(id="home", name="home", home=True, targets=(target("home"),)),
        "circl": Peer(id="circl", name="c"),
    }
    ours = Rules(Terms(peers=peers, collections={}, agreements=(takes(),), node_identity=NODE), NOW)
    assert decided(ours, elsewhere).reasons == ("release.home",)


@pytest.mark.parametrize("reach", Reach)
def test_only_what_connected_communities_may_have_leaves_the_house(reach: Reach) -> None:
    """R4: our own house may see everything addressed to us."""
    made = rules(takes(), gives(), readers=["ccc", "home"])
    theirs, ours = sorted(made.audiences, key=lambda each: each.home)
    near = subject(Label(tlp=Tlp.GREEN, reach=reach))
    assert made.decide(near, theirs).released is (reach <= Reach.CONNECTED)
    assert made.decide(near, ours).released


# --- the memory -----------------------------------------------------------------------------------------------------


def test_a_decision_is_made_once_for_equal_subjects() -> None:
    """R35: the very same answer, for each audience its own."""
    made = rules(takes(), gives(), readers=["ccc", "home"])
    one, other = made.audiences
    first = made.decide(subject(), one)
    assert made.decide(subject(AMBER), one) != first
    assert made.decide(subject(), one) is first
    assert made.decide(subject(), one) != made.decide(subject(), other)


def test_the_memory_of_decisions_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markings are chosen by peers, so that there is no end to them."""
    monkeypatch.setattr("exchange.policy.decide._REMEMBERED", 3)
    made = rules(takes(), gives())
    first = decided(made, subject())
    for number in range(7):
        decided(made, subject(Label(tlp=Tlp.GREEN, unknown=frozenset({str(number)}))))
        assert len(made._cache) <= 3
    assert decided(made, subject()) == first
    assert decided(made, subject()) is not first


def test_nobody_lets_go_what_stands_under_no_agreement() -> None:
    """An audience that no agreement names gets nothing, and is told so."""
    made = rules(takes())
    assert reasons(made, subject()) == ("agreement.none",)
    nobody = replace(made.audiences[0], key="nobody", members=())
    assert made.decide(subject(), nobody).reasons == ("audience.empty",)
    silent = Audience(
        key="silent", channel=made.audiences[0].channel, members=("ccc",), agreements=frozenset({"in"}), home=False,
        ceiling=Tlp.RED, types=None, fold=False,
    )  # fmt: skip
    assert made.decide(subject(), silent).reasons == ("agreement.not_begun",)
    assert made.clearance(silent) == Tlp.CLEAR
    strict = rules(takes(Tlp.GREEN))
    allowed = subject(AMBER, approved=frozenset({("", CEILING, 1)}))
    assert strict.decide(allowed, silent).reasons == ("onward.forbidden",)
    assert strict.decide(replace(allowed, peer="stranger"), silent).reasons == ("peer.unknown",)


def test_for_our_own_house_one_person_lets_in_what_is_too_strict() -> None:
    """R21: it stands under no agreement that could ask for more."""
    made = rules(takes(Tlp.GREEN), readers=["home"])
    assert reasons(made, subject(AMBER)) == (CEILING,)
    assert reasons(made, subject(AMBER, approved=frozenset({("", CEILING, 1)}))) == ("release.home",)


def test_of_two_targets_of_a_peer_each_is_its_own_server() -> None:
    """A sharing group that names one of them says nothing of the other."""
    one = rules(takes(), gives(), pushed=True).terms
    two = replace(target("ccc"), id="two", url="https://two.example/api/")
    peer = replace(one.peers["ccc"], targets=(*one.peers["ccc"].targets, two))
    both = Rules(replace(one, peers={**one.peers, "ccc": peer}), NOW)
    group = subject(Label(tlp=Tlp.GREEN, servers=frozenset({SITE})))
    found = {each.channel: both.decide(group, each).released for each in both.audiences}
    assert found == {"target:ccc/in": True, "target:ccc/two": False}
