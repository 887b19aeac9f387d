"""What persons may let go: for whom, by how many, and what no approval lifts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.model.marking import Label, Tlp
from exchange.policy.audience import Audience
from exchange.policy.lifting import CEILING, CONFIRMED, PERSONAL, lifted, may_be_let_in

CIRCL = Audience(
    key="k", channel="collection:c", members=("circl",), agreements=frozenset({"europe"}), home=False,
    ceiling=Tlp.GREEN, types=None, fold=False,
)  # fmt: skip


def test_the_codes_are_those_that_are_kept_and_documented() -> None:
    """Approvals stand in stores under these codes."""
    assert (CEILING, PERSONAL, CONFIRMED) == ("receive.ceiling", "personal.review", "doubt.refused")


@pytest.mark.parametrize(
    ("whom", "people", "goes"),
    [
        ("", 2, True), ("europe", 2, True), ("peer:circl", 3, True),
        ("", 1, False), ("other", 2, False), ("peer:ccc", 2, False), ("circl", 2, False),
    ],
)  # fmt: skip
def test_as_many_persons_as_are_asked_let_it_go_for_whom_they_said(whom: str, people: int, goes: bool) -> None:
    """For everybody, for an agreement, or for a peer; for this code and no other."""
    approved = frozenset({(whom, PERSONAL, people)})
    assert lifted(approved, PERSONAL, CIRCL, 2) is goes
    assert not lifted(approved, CEILING, CIRCL, 2)


def test_what_a_person_confirmed_is_lifted_by_no_approval() -> None:
    """Another verdict on the value lifts it."""
    assert not lifted(frozenset({("", CONFIRMED, 9)}), CONFIRMED, CIRCL, 1)


def test_red_and_what_says_nothing_are_never_let_in() -> None:
    """TLP:RED is for its recipients alone."""
    assert [may_be_let_in(Label(tlp=level)) for level in (None, *Tlp)] == [False, *(level < Tlp.RED for level in Tlp)]


def test_one_approval_among_others_is_enough_and_nobody_is_no_peer() -> None:
    """What was let go for others hinders nothing; several members are no peer of any name."""
    approved = frozenset({("other", PERSONAL, 9), ("europe", PERSONAL, 2), ("", CEILING, 9), ("", PERSONAL, 1)})
    assert lifted(approved, PERSONAL, CIRCL, 2)
    several = replace(CIRCL, members=("circl", "ccc"))
    assert not lifted(frozenset({("peer:None", PERSONAL, 9), ("peer:circl", PERSONAL, 9)}), PERSONAL, several, 1)
    assert lifted(approved, PERSONAL, several, 2)
