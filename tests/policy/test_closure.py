"""The laws of closure: where a label comes from and how far labels flow (R10, R11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_world import LABELS, LEVELS

from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Reach, Tlp
from exchange.policy import Basis, resolve

MANY = st.lists(LABELS, max_size=4)
DEFAULT = st.none() | LEVELS
REACHES = st.sampled_from(Reach)


def stated(labels: list[Label]) -> list[Label]:
    return [label for label in labels if label.stated]


@given(LABELS.filter(lambda label: label.stated), MANY, MANY, DEFAULT)
def test_a_marked_object_is_never_changed_by_others(
    own: Label, ends: list[Label], referrers: list[Label], default: Tlp | None
) -> None:
    """What an object says of itself stands, whatever refers to it and whatever the agreement's default (R10)."""
    assert resolve(own, ends=ends, referrers=referrers, default=default) == (own, Basis.STATED)


@given(REACHES, MANY, DEFAULT)
def test_ends_join_to_the_strictest(reach: Reach, ends: list[Label], default: Tlp | None) -> None:
    """An unmarked relationship is as strict as its marked ends together; an unmarked end adds nothing (R10)."""
    assume(stated(ends))
    own = Label(reach=reach)
    found = resolve(own, ends=ends, referrers=[], default=default)
    assert found == (own.join(reduce(Label.join, stated(ends)).spread), Basis.ENDS)


@given(REACHES, st.lists(LEVELS, min_size=1, max_size=4), DEFAULT)
def test_the_least_restrictive_referrer_counts(reach: Reach, levels: list[Tlp], default: Tlp | None) -> None:
    """An unmarked object takes the loosest level of its marked referrers, and no default (R11)."""
    referrers = [Label(tlp=level) for level in levels]
    label, basis = resolve(Label(reach=reach), ends=[], referrers=[*referrers, Label()], default=default)
    assert (label, basis) == (Label(tlp=min(levels), reach=reach), Basis.REFERRER)


@given(LEVELS, st.lists(LEVELS, max_size=3))
def test_an_unknown_marking_is_stricter_than_any_level(level: Tlp, others: list[Tlp]) -> None:
    """A referrer with a marking that we do not understand counts only when all of them have one (R11, R12)."""
    odd = Label(tlp=Tlp.CLEAR, unknown=frozenset({"pap:red"}))
    known = [Label(tlp=each) for each in [level, *others]]
    label, _ = resolve(Label(), ends=[], referrers=[odd, *known], default=None)
    assert label == Label(tlp=min([level, *others]))
    label, _ = resolve(Label(), ends=[], referrers=[odd], default=Tlp.CLEAR)
    assert label == odd


@given(MANY, MANY, DEFAULT)
def test_the_default_counts_only_when_nothing_else_does(
    ends: list[Label], referrers: list[Label], default: Tlp | None
) -> None:
    """Without a marked end or referrer it is the agreement's default, and without that nobody knows (R11)."""
    label, basis = resolve(Label(), ends=ends, referrers=referrers, default=default)
    if stated(ends) or stated(referrers):
        assert basis in {Basis.ENDS, Basis.REFERRER}
    elif default is not None:
        assert basis is Basis.DEFAULT
        assert label in {Label(tlp=default).join(each.spread) for each in referrers or [Label()]}
    else:
        assert (label, basis) == (None, Basis.NONE)


@given(LABELS, MANY, MANY, DEFAULT)
def test_own_restrictions_are_always_joined(
    own: Label, ends: list[Label], referrers: list[Label], default: Tlp | None
) -> None:
    """The result is never looser than what the statement itself carries, its reach included (R4, R12)."""
    label, _ = resolve(own, ends=ends, referrers=referrers, default=default)
    assert label is None or own.join(label) == label


@given(REACHES, MANY, MANY, LABELS, DEFAULT)
def test_another_end_never_loosens(
    reach: Reach, ends: list[Label], referrers: list[Label], more: Label, default: Tlp | None
) -> None:
    """One more end of a relationship can only make its label stricter, once it has one of its ends (R10)."""
    assume(stated(ends))
    before, _ = resolve(Label(reach=reach), ends=ends, referrers=referrers, default=default)
    after, _ = resolve(Label(reach=reach), ends=[*ends, more], referrers=referrers, default=default)
    assert before is not None
    assert after is not None
    assert before.join(after) == after


@given(REACHES, MANY, MANY)
def test_a_referrer_never_loosens_what_the_ends_say(reach: Reach, ends: list[Label], referrers: list[Label]) -> None:
    """A relationship inside a report is at least as strict as its ends (R10)."""
    assume(stated(ends))
    floor, _ = resolve(Label(reach=reach), ends=ends, referrers=[], default=None)
    label, basis = resolve(Label(reach=reach), ends=ends, referrers=referrers, default=None)
    assert floor is not None
    assert label is not None
    assert floor.join(label) == label
    assert basis is Basis.ENDS


@given(REACHES, st.permutations(range(4)), st.lists(LABELS, min_size=4, max_size=4), MANY, DEFAULT)
@example(Reach.ALL, [1, 0, 2, 3], [Label(unknown=frozenset({mark})) for mark in ("pap:red", "pfc:vert")] * 2, [], None)
def test_order_of_arrival_does_not_matter(
    reach: Reach, order: list[int], referrers: list[Label], ends: list[Label], default: Tlp | None
) -> None:
    """Ends and referrers in any order give the same label from the same place (R23: order changes nothing)."""
    own = Label(reach=reach)
    turned = [referrers[number] for number in order]
    assert resolve(own, ends=ends, referrers=referrers, default=default) == resolve(
        own, ends=reversed(ends), referrers=iter(turned), default=default
    )


def test_the_codes_of_the_basis() -> None:
    """What `exchange why` shows and the store keeps; another spelling would be another code."""
    assert [basis.value for basis in Basis] == [
        "label.stated", "label.ends", "label.referrer", "label.default", "label.none",
    ]  # fmt: skip


GREEN, AMBER, RED = (Label(tlp=level) for level in (Tlp.GREEN, Tlp.AMBER, Tlp.RED))
FAR = Label(reach=Reach.NODE)
NEAR = Label(reach=Reach.COMMUNITY)


def test_where_nothing_is_marked_the_default_and_the_loosest_reach_of_its_referrers_count() -> None:
    """R11: what is referred to by what is for a few only is for those few, at the level of the agreement's default."""
    assert resolve(Label(), ends=[], referrers=[], default=Tlp.GREEN) == (GREEN, Basis.DEFAULT)
    assert resolve(Label(), ends=[Label()], referrers=[FAR], default=Tlp.GREEN) == (GREEN.join(FAR), Basis.DEFAULT)
    for referrers in ([FAR, NEAR], [NEAR, FAR]):
        found = resolve(Label(), ends=[], referrers=referrers, default=Tlp.GREEN)
        assert found == (GREEN.join(NEAR), Basis.DEFAULT)
    assert resolve(Label(), ends=[], referrers=[FAR], default=None) == (None, Basis.NONE)
    assert resolve(Label(), ends=[AMBER], referrers=[], default=Tlp.GREEN) == (AMBER, Basis.ENDS)
    assert resolve(Label(), ends=[], referrers=[AMBER], default=Tlp.GREEN) == (AMBER, Basis.REFERRER)


NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LOOSER_THAN = [
    (GREEN, AMBER),
    (RED, Label(tlp=Tlp.CLEAR, unknown=frozenset({"x"}))),
    (RED, Label(tlp=Tlp.CLEAR, iep=frozenset({"x"}))),
    (RED, Label(tlp=Tlp.CLEAR, draft=True)),
    (Label(pap=Pap.RED, tlp=Tlp.CLEAR), GREEN),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, reach=Reach.NODE)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, orgs=frozenset("abc"))),
    (Label(tlp=Tlp.GREEN, orgs=frozenset("abc")), Label(tlp=Tlp.GREEN, orgs=frozenset("a"))),
    (Label(tlp=Tlp.GREEN, orgs=frozenset("a")), Label(tlp=Tlp.GREEN, orgs=frozenset())),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, servers=frozenset("abc"))),
    (Label(tlp=Tlp.GREEN, servers=frozenset("abc")), Label(tlp=Tlp.GREEN, servers=frozenset("a"))),
    (Label(tlp=Tlp.GREEN, servers=frozenset("a")), Label(tlp=Tlp.GREEN, servers=frozenset())),
    (Label(tlp=Tlp.AMBER_STRICT), Label(tlp=Tlp.AMBER_STRICT, pfc=Pfc.AMBRE)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, pap=Pap.CLEAR)),
    (Label(tlp=Tlp.GREEN, pap=Pap.CLEAR), Label(tlp=Tlp.GREEN, pap=Pap.RED)),
    (Label(pfc=Pfc.LIBRE), Label(pfc=Pfc.LIBRE, tlp=Tlp.CLEAR)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, unnamed=True)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, encrypted=True)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, limited=True)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, since=NOW)),
    (Label(tlp=Tlp.GREEN, since=NOW), Label(tlp=Tlp.GREEN, since=NOW + DAY)),
    (Label(tlp=Tlp.GREEN), Label(tlp=Tlp.GREEN, until=NOW)),
    (Label(tlp=Tlp.GREEN, until=NOW + DAY), Label(tlp=Tlp.GREEN, until=NOW)),
    (Label(tlp=Tlp.AMBER, pfc=Pfc.AMBRE), Label(tlp=Tlp.AMBER, pfc=Pfc.AMBRE, vert=True)),
    (Label(unknown=frozenset("a")), Label(unknown=frozenset("bc"))),
    (Label(unknown=frozenset("b")), Label(unknown=frozenset("ac"))),
    (Label(iep=frozenset("b")), Label(iep=frozenset("ac"))),
    (Label(unknown=frozenset("a")), Label(unknown=frozenset("a"), tlp=Tlp.CLEAR)),
    # AMBRE is for Québec, and for anybody else as strict as AMBER+STRICT.
    (Label(tlp=Tlp.AMBER, reach=Reach.COMMUNITY), Label(pfc=Pfc.AMBRE)),
]
"""The first is the looser."""


@pytest.mark.parametrize(("looser", "stricter"), LOOSER_THAN, ids=range(len(LOOSER_THAN)))
def test_of_two_referrers_the_looser_counts(looser: Label, stricter: Label) -> None:
    """R11, on every axis, whatever the order in which they came."""
    for referrers in ([looser, stricter], [stricter, looser]):
        label, basis = resolve(Label(), ends=[], referrers=referrers, default=None)
        assert (label, basis) == (looser, Basis.REFERRER)


AXES: dict[str, list[Any]] = {
    "unknown": [frozenset("a"), frozenset("b")],
    "iep": [frozenset("a"), frozenset("b")],
    "orgs": [frozenset("a"), frozenset("b")],
    "servers": [frozenset("a"), frozenset("b")],
    "pap": [None, Pap.CLEAR, Pap.AMBER],
    "reach": list(Reach),
    "since": [None, NOW, NOW + DAY],
    "until": [None, NOW, NOW + DAY],
    **{flag: [False, True] for flag in ("draft", "unnamed", "encrypted", "limited")},
}


@pytest.mark.parametrize("axis", AXES)
def test_no_two_referrers_are_equally_strict(axis: str) -> None:
    """R23: where two differ only in one thing, it is one of them that counts, the same in every order of arrival."""
    for one, other in permutations((replace(AMBER, **{axis: value}) for value in AXES[axis]), 2):
        first, _ = resolve(Label(), ends=[], referrers=[one, other], default=None)
        second, _ = resolve(Label(), ends=[], referrers=[other, one], default=None)
        assert first == second
        assert first in (one, other)
