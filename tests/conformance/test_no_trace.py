"""What others say that an audience may not see leaves no trace in what it is answered (R14): laws over drawn lives.

The configured owner of a creator is let out: its word governs the opinions of others, which is meant to show.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model.marking import Tlp
from tests.conformance.shadow import KINDS, NUMBERS, OTHER, POSTER, Pair, Said, Step, inbox_terms, shared_terms

LOOK = st.just(Step(what="look"))
TICK = st.sampled_from([0.0001, 1.0, 90_000.0]).map(lambda seconds: Step(what="tick", seconds=seconds))
ASKED = st.sampled_from(["", "last", "first", "all", "first,last"])
SHOWN: Sequence[Tlp | None] = (Tlp.GREEN, Tlp.CLEAR, None)
SECRET: Sequence[Tlp | None] = (Tlp.RED, Tlp.AMBER, None)
"""Unmarked objects are held until their source gives something that marks them."""


def said(tlps: Sequence[Tlp | None]) -> st.SearchStrategy[Said]:
    return st.builds(
        Said,
        kind=st.sampled_from(KINDS),
        number=st.sampled_from(NUMBERS),
        version=st.integers(0, 3),
        tlp=st.sampled_from(tlps),
        words=st.integers(0, 1),
        revoked=st.sampled_from([False, False, True]),
    )


def gives(sources: Sequence[str], tlps: Sequence[Tlp | None], most: int, *, hidden: bool) -> st.SearchStrategy[Step]:
    things = st.lists(said(tlps), min_size=1, max_size=most)
    return st.builds(Step, what=st.just("give"), who=st.sampled_from(sources), said=things, hidden=st.just(hidden))


def posts(who: str, tlps: Sequence[Tlp | None], most: int, *, hidden: bool) -> st.SearchStrategy[Step]:
    things = st.lists(said(tlps), min_size=1, max_size=most)
    return st.builds(Step, what=st.just("post"), who=st.just(who), said=things, hidden=st.just(hidden))


def deletes(who: str, *, hidden: bool) -> st.SearchStrategy[Step]:
    thing = said([Tlp.GREEN]).map(lambda one: [one])
    return st.builds(Step, what=st.just("delete"), who=st.just(who), said=thing, versions=ASKED, hidden=st.just(hidden))


SHARED_LIFE = st.one_of(
    # Nothing that shows comes from OTHER: that it takes it out again would show too (R22).
    gives(["ccc/feed", "circl/feed"], SHOWN, 3, hidden=False),
    posts(POSTER, SHOWN, 3, hidden=False),
    deletes(POSTER, hidden=False),
    TICK,
    LOOK,
    gives(["maison/misp", "cert-ee/closed", "circl/closed"], SECRET, 3, hidden=True),
    posts(OTHER, SECRET, 3, hidden=True),
    deletes(OTHER, hidden=True),
)


@settings(max_examples=10)
@given(steps=st.lists(SHARED_LIFE, min_size=2, max_size=9))
def test_r14_of_what_is_hidden_nothing_shows(steps: list[Step]) -> None:
    """Not in bodies, headers, tags, versions, feeds, results of a POST, statuses, or answers to a DELETE."""
    Pair(shared_terms(), ["ccc", POSTER]).live(steps)


@pytest.mark.parametrize("what", ["give", "post"])
def test_r14_the_order_of_a_page_tells_nothing(what: str) -> None:
    """Whoever sends two objects, one of which another source has in secret, finds them in the order sent."""
    things = [Said(kind="indicator", number=number) for number in (0, 1)]
    secret = Step(what="give", who="maison/misp", said=[Said(kind="indicator", number=0, tlp=Tlp.RED)], hidden=True)
    sent = {
        "give": Step(what="give", who="cert-ee/feed", said=things),
        "post": Step(what="post", who=POSTER, said=things),
    }
    Pair(shared_terms(), ["ccc"]).live([secret, sent[what]])


INBOX_LIFE = st.one_of(
    posts(POSTER, SHOWN, 3, hidden=False),
    deletes(POSTER, hidden=False),
    TICK,
    gives(["cert-ee/feed", "maison/misp"], [*SHOWN, Tlp.RED], 3, hidden=True),
    posts(OTHER, [*SHOWN, Tlp.RED], 3, hidden=True),
    deletes(OTHER, hidden=True),
)


@settings(max_examples=10)
@given(steps=st.lists(INBOX_LIFE, min_size=2, max_size=9))
def test_r14_an_inbox_tells_nothing_of_what_others_hand_in(steps: list[Step]) -> None:
    """To an account that writes and does not read, everything that others say there is hidden."""
    Pair(inbox_terms(), [POSTER]).live(steps)


def test_r14_the_version_told_to_a_writer_who_does_not_read_is_its_own() -> None:
    """An object without a version is told the moment of the request, not where it stands in a listing."""
    others = Step(what="post", who=OTHER, said=[Said(kind="indicator", number=n) for n in NUMBERS], hidden=True)
    mine = Step(what="post", who=POSTER, said=[Said(kind="observable", number=n) for n in NUMBERS])
    Pair(inbox_terms(), [POSTER]).live([others, mine])


def test_r14_a_status_ends_by_the_clock_and_not_by_what_others_do() -> None:
    """Section 4.3: told for a day at least; that others have posted meanwhile does not show in when it ends."""
    mine = Step(what="post", who=POSTER, said=[Said(kind="indicator", tlp=None)])
    others = Step(what="post", who=OTHER, said=[Said(kind="report")], hidden=True)
    Pair(inbox_terms(), [POSTER]).live([mine, Step(what="tick", seconds=49 * 3600), others])


def test_the_two_nodes_are_told_apart_by_what_does_show() -> None:
    """The laws above are worth nothing if nothing could break them."""
    seen = Step(what="give", who="maison/misp", said=[Said(kind="indicator")], hidden=True)
    with pytest.raises(AssertionError):
        Pair(shared_terms(), ["ccc"]).live([seen])
