"""What a decision says of itself, and what nothing was said of."""

from __future__ import annotations

from datetime import UTC, date, datetime

from policy_world import agreement

from exchange.policy import Decision, Subject, Verdict
from exchange.policy import verdict as questions
from exchange.policy.expiry import AGED, End
from exchange.policy.verdict import FOREVER, deny, end_of, hold, unless_expired


def test_the_words_that_stores_and_programs_read() -> None:
    """Verdicts and questions stand in stores, in JSON and in the manual."""
    assert [each.value for each in Verdict] == ["release", "hold", "deny"]
    names = "BARRED LABEL RECEIVED RETURNS CHANNEL GROUP PAP WIRE DIALECT HOME REACH NAMES SENT DOUBT RELEASED"
    assert [getattr(questions, name) for name in names.split()] == names.lower().split()


def test_what_is_not_said_of_a_subject_or_decision_lets_nothing_more_go() -> None:
    """No part has marks of its own, it names nobody, nothing personal is in it, and nobody has let it go."""
    subject = Subject(peer="circl", type="indicator", label=None)
    assert (subject.parts, subject.named, subject.approved) == (None, False, frozenset())
    assert (subject.personal, subject.victim) == (False, False)
    decision = Decision(verdict=Verdict.RELEASE, reasons=("release.home",))
    assert (decision.not_after, decision.transform, decision.released) == (None, None, True)
    assert not hold("a.b").released
    assert not deny("a.b").released


def test_held_and_denied_say_why() -> None:
    assert hold("a.b", "c.d") == Decision(verdict=Verdict.HOLD, reasons=("a.b", "c.d"))
    assert deny("a.b") == Decision(verdict=Verdict.DENY, reasons=("a.b",))


def test_an_agreement_ends_with_its_last_day() -> None:
    """Days are those of UTC; FOREVER is later than any of them."""
    made = agreement("a", ["ccc"], span="now")
    assert made.end == date(2026, 12, 31)
    assert end_of(made) == datetime(2027, 1, 1, tzinfo=UTC)
    assert end_of(made) < FOREVER
    assert FOREVER.tzinfo is UTC


def test_age_adds_nothing_to_what_does_not_go() -> None:
    """Only what goes, or would if its agreement were renewed, is told to be too old."""
    old = End(1, AGED)
    for refused in (hold("agreement.none"), hold("agreement.ended", "agreement.ceiling"), deny("agreement.ended.x")):
        assert unless_expired(refused, old, 5) is refused
