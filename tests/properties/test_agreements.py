"""No leak under agreements of any shape: hypothesis draws the terms, `sync.proof` what is said under them, and in which
order. Seconds by default; `make soak` draws a hundred times as many.
"""

from __future__ import annotations

import os
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.model.marking import Tlp
from exchange.model.party import Agreement, Collection, Peer, Receive, Send, Target, Terms
from exchange.serve import Visitor
from exchange.store import Store
from exchange.sync import proof
from exchange.sync.proof.chance import Chance
from exchange.sync.proof.laws import Court
from tests.world import NODE, NOW

MANY = 100 if os.environ.get("EXCHANGE_SOAK") else 1
PARTNERS = ("ccc", "cert-ee", "circl")
EVERYBODY = (*PARTNERS, "maison")
TYPES = st.none() | st.frozensets(st.sampled_from(["indicator", "malware", "report", "relationship"]), min_size=1)
LEVELS = st.sampled_from(Tlp)
TODAY = NOW.date()
DAYS = [TODAY + timedelta(days=each) for each in (-400, -1, 0, 1, 400)]
UNKNOWN = "marking-definition--00000000-aaaa-4000-8000-00000000dead"
RECEIVES = st.none() | st.builds(
    Receive, ceiling=LEVELS, unmarked=st.none() | LEVELS,
    informational_markings=st.sampled_from([frozenset[str](), frozenset({UNKNOWN}), frozenset({"*"})]),
)  # fmt: skip
SENDS = st.none() | st.builds(Send, ceiling=LEVELS, types=TYPES, onward=st.booleans(), pfc=st.booleans())
SPANS = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(sorted)


@st.composite
def agreements(draw: st.DrawFn) -> tuple[Agreement, ...]:
    """Up to four, of any parties, in force, over, or not begun."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        start, end = draw(SPANS)
        parties = draw(st.lists(st.sampled_from(EVERYBODY), min_size=1, max_size=4, unique=True))
        made.append(_agreement(number, parties, start, end, draw(RECEIVES), draw(SENDS)))
    return tuple(made)


def _agreement(
    number: int, parties: list[str], start: date, end: date, receive: Receive | None, send: Send | None
) -> Agreement:
    return Agreement(
        id=f"a{number}", title="", parties=tuple(parties), start=start, end=end, purpose="", receive=receive, send=send
    )


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Three partners and our own house, one or two rooms, push targets, and agreements of any shape."""
    peers = {}
    for number, name in enumerate(EVERYBODY, 1):
        there = Target(peer=name, id="in", kind="taxii", url=f"https://taxii.{name}.example/api/", collection="c")
        org = f"identity--{number}0000000-0000-4000-8000-000000000000"
        peers[name] = Peer(
            id=name, name=name, home=name == "maison", identities=frozenset({org}), pap=draw(st.booleans()),
            targets=(there,) if name != "maison" and draw(st.booleans()) else (),
        )  # fmt: skip
    rooms = {}
    for number in range(draw(st.integers(1, 2))):
        some = st.lists(st.sampled_from(EVERYBODY), unique=True)
        name = f"0c6b5f0a-6f2d-4c35-9a57-{number:012d}"
        rooms[name] = Collection(
            id=name, alias=f"r{number}", title={}, description={}, readers=tuple(draw(some)),
            writers=tuple(draw(some)[:2]), ceiling=draw(LEVELS), types=draw(TYPES),
            duplicates=draw(st.sampled_from(["list", "fold"])), only_posted=draw(st.integers(0, 9)) == 9,
        )  # fmt: skip
    return Terms(peers=peers, collections=rooms, agreements=draw(agreements()), node_identity=NODE)


@settings(max_examples=8 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@given(made=terms(), seed=st.integers(0, 2**32))
def test_r17_nothing_leaks_under_any_agreements(memory: Store, made: Terms, seed: int) -> None:
    """R3, R10 to R14, R17, R19, R25: whatever is agreed, said, and in which order it comes."""
    court, chance = Court(memory, made, Visitor), Chance(made, NOW, seed)
    for _ in range(2):
        leak = proof.attempt(court, chance)
        if leak is not None:
            pytest.fail(f"{leak.law} {leak.parts} {leak.channel} {leak.reader} {leak.what} {leak.case} {leak.second}")
