"""What the clauses of an agreement ask of a statement beside its level."""

from __future__ import annotations

from datetime import timedelta

import pytest
from policy_world import IEP, NOW, agreement

from exchange.model.marking import Label, Tlp
from exchange.model.party import ANY_TEXT, Receive, Send
from exchange.policy import Asked
from exchange.policy.clauses import informational, not_taken, outside, told, too_unsure

SURE = Send(ceiling=Tlp.RED, confidence=50)


@pytest.mark.parametrize(
    "kind", ["marking-definition", "extension-definition", "language-content", "ipv4-addr", "file"]
)
def test_what_can_say_no_confidence_is_not_asked_for_it(kind: str) -> None:
    """STIX 2.1 sections 3.2 and 3.3: these types have no such property."""
    assert too_unsure(SURE, kind, Label()) == ""
    assert too_unsure(SURE, kind, Label(confidence=1)) == ""
    assert too_unsure(SURE, "indicator", Label()) == "agreement.unrated"


def test_a_bar_lets_through_what_is_as_sure_as_it() -> None:
    for clause, side in ((SURE, "agreement"), (Receive(ceiling=Tlp.RED, confidence=50), "receive")):
        found = [too_unsure(clause, "indicator", Label(confidence=sure)) for sure in (49, 50, 51)]
        assert found == [f"{side}.confidence", "", ""]


def test_labels_between_two_bars_are_of_one_grade() -> None:
    """And where nobody asks how sure somebody is, all are."""
    made = [
        agreement("a", ["x"], receive=Receive(ceiling=Tlp.RED, confidence=70), send=SURE),
        agreement("b", ["x"], receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.RED, confidence=0)),
        agreement("c", ["x"], send=SURE),
    ]
    sure = (0, 1, 49, 50, 69, 70, 100)
    grades = [Asked(made).grade(Label(tlp=Tlp.RED, confidence=each)) for each in sure]
    assert [grades.index(each) for each in grades] == [0, 0, 0, 3, 3, 5, 5]
    assert len({Asked([]).grade(Label(confidence=each)) for each in sure}) == 1
    assert Asked(made).grade(Label(tlp=Tlp.RED)) not in grades
    assert Asked(made).grade(None) != Asked(made).grade(Label())


def test_labels_that_every_clause_answers_alike_are_of_one_grade() -> None:
    """What MISP calls them may differ."""
    made = [
        agreement("a", ["x"], send=Send(ceiling=Tlp.RED, no_misp=frozenset({"type:md5"}))),
        agreement("b", ["x"], send=Send(ceiling=Tlp.RED, misp=frozenset({"type:md5", "type:url"}))),
    ]
    kinds = ["type:md5", "type:url", "type:domain", "type:hostname", "template:file", "?"]
    grades = [Asked(made).grade(Label(kinds=frozenset({each}))) for each in kinds]
    assert [grades.index(each) for each in grades] == [0, 1, 2, 2, 1, 5]


def test_what_says_no_confidence_is_of_no_grade_that_a_number_has() -> None:
    """Also where MISP says what it is: an agreement may let go only what is rated."""
    made = [agreement("a", ["x"], send=SURE), agreement("b", ["x"], send=Send(ceiling=Tlp.RED, confidence=80))]
    kinds = frozenset({"type:md5"})
    grades = [Asked(made).grade(Label(confidence=each, kinds=kinds)) for each in (None, 0, 50, 80)]
    assert len(set(grades)) == len(grades)


def test_one_agreement_that_takes_it_is_enough() -> None:
    """R2: else each reason is told once."""
    low, other = Receive(ceiling=Tlp.CLEAR), Receive(ceiling=Tlp.RED, types=frozenset({"malware"}))
    label = Label(tlp=Tlp.AMBER)
    assert not_taken([low, low, other], "indicator", label, Tlp.AMBER) == ("receive.ceiling", "receive.type")
    assert not_taken([low, other], "malware", label, Tlp.AMBER) == ()
    assert not_taken([low], "malware", Label(tlp=Tlp.CLEAR), Tlp.CLEAR) == ()


def test_mere_texts_are_ignored_where_an_agreement_says_so_of_all_texts() -> None:
    """R12: a copyright is no marking to fear; what is no text still is, and nobody's word is none at all."""
    label = Label(unknown=frozenset({"a", "b"}), texts=frozenset({"a"}), iep=frozenset({IEP}))
    named = Receive(ceiling=Tlp.RED, informational_markings=frozenset({"b"}))
    texts = Receive(ceiling=Tlp.RED, informational_markings=frozenset({ANY_TEXT}))
    assert informational([], label) == frozenset()
    assert informational([named], label) == {"b"}
    assert informational([texts], label) == {ANY_TEXT, "a"}
    assert informational([named, texts], label) == {ANY_TEXT, "a", "b"}


def test_the_words_of_a_policy_go_with_the_frame_that_carries_them() -> None:
    """Who may have neither reports nor groupings never learns what binds them."""
    bound = Label(tlp=Tlp.GREEN, limited=True)
    for types, carried in (
        (None, True), ({"report", "grouping"}, True), ({"report", "grouping", "indicator"}, True),
        ({"report"}, False), ({"grouping", "indicator"}, False), (set(), False),
    ):  # fmt: skip
        allowed = None if types is None else frozenset(types)
        assert told(bound, allowed) is carried
        assert told(Label(tlp=Tlp.GREEN), allowed)


def test_a_policy_holds_from_its_first_instant_to_its_last() -> None:
    """Its beginning belongs to it, its end does not."""
    moment = timedelta(microseconds=1)
    label = Label(tlp=Tlp.GREEN, since=NOW, until=NOW + timedelta(days=1))
    assert [outside(label, at) for at in (NOW - moment, NOW, NOW + timedelta(days=1) - moment)] == [True, False, False]
    assert outside(label, NOW + timedelta(days=1))
    assert not outside(Label(tlp=Tlp.GREEN), NOW)
