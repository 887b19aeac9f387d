"""No leak where agreements alter: two of them, of any clauses, and what is said in whichever order it comes.

Seconds by default; `make soak` draws a hundred times as many.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.model.marking import Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.serve import Visitor
from exchange.store import Store, audiences
from exchange.store.audiences import NODE_SECRET
from exchange.sync import proof
from exchange.sync.proof.chance import Chance
from exchange.sync.proof.laws import Court
from tests.contract.test_derived import Reading, identity
from tests.world import (
    CCC_IDENTITY,
    NODE,
    NOW,
    SHARED,
    agreement,
    collection,
    emptied,
    indicator,
    malware,
    marked,
    relationship,
    report,
)  # fmt: skip

MANY = 100 if os.environ.get("EXCHANGE_SOAK") else 1
OTHER = "d94e2b71-8a06-4f5d-b3c8-1e70f6a2c549"
SENDS = st.builds(
    Send,
    ceiling=st.sampled_from([Tlp.GREEN, Tlp.AMBER]),
    onward=st.booleans(),
    pfc=st.booleans(),
    attribution=st.sampled_from(["named", "anonymous"]),
    redact=st.sampled_from([frozenset[str](), frozenset({"name"}), frozenset({"description", "labels"})]),
    granular=st.sampled_from(["join", "remove"]),
    personal=st.sampled_from([None, "allowed", "strip", "hold"]),
)


def under(one: Send, other: Send) -> Terms:
    """A giver, and two readers under an agreement each, who share a room; the second has another to itself."""
    takes = Receive(ceiling=Tlp.RED)
    peers = {
        "ccc": Peer(
            id="ccc", name="Canadian Centre", contact="mailto:soc@centre.example", identities=frozenset({CCC_IDENTITY})
        ),
        "cert-ee": Peer(id="cert-ee", name="CERT-EE", pap=False),
        "circl": Peer(id="circl", name="CIRCL", dialect="tlp1"),
    }
    rooms = {
        SHARED: collection(SHARED, "partenaires", ("cert-ee", "circl"), ceiling=Tlp.AMBER),
        OTHER: collection(OTHER, "autre", ("circl",), ceiling=Tlp.AMBER, duplicates="fold"),
    }
    agreements = (
        agreement("in", "ccc", receive=takes),
        agreement("one", "cert-ee", receive=takes, send=one),
        agreement("other", "circl", receive=takes, send=other),
    )
    return Terms(peers=peers, collections=rooms, agreements=agreements, node_identity=NODE)


@settings(max_examples=6 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@given(one=SENDS, other=SENDS, seed=st.integers(0, 2**32))
def test_r17_nothing_leaks_where_two_agreements_alter(memory: Store, one: Send, other: Send, seed: int) -> None:
    """R12 to R17: what leaves is permitted in that form, stricter never widens, and what is hidden leaves no trace."""
    terms = under(one, other)
    court, chance = Court(memory, terms, Visitor), Chance(terms, NOW, seed)
    for _ in range(3):
        leak = proof.attempt(court, chance)
        if leak is not None:
            pytest.fail(f"{leak.law} {leak.parts} {leak.channel} {leak.reader} {leak.what} {leak.case} {leak.second}")


def graph() -> list[dict[str, Any]]:
    """A producer's identity, and what it says of an attack; its name stands in texts too."""
    bad = indicator(name="Seen by the Canadian Centre", created_by_ref=CCC_IDENTITY)
    family = malware("m", created_by_ref=CCC_IDENTITY, description="Write to soc@centre.example")
    about = {**report(bad, family, name="The Canadian Centre on m"), "created_by_ref": CCC_IDENTITY}
    link = {**relationship(bad, family, tlp=Tlp.GREEN), "created_by_ref": CCC_IDENTITY}
    return [{**identity(), "contact_information": "mailto:soc@centre.example"}, bad, family, about, link]


HIDDEN = under(
    Send(ceiling=Tlp.GREEN, attribution="anonymous", personal="allowed"),
    Send(ceiling=Tlp.GREEN, attribution="anonymous", personal="allowed", redact=frozenset({"lang"})),
)


def told(store: Store, pages: list[list[dict[str, Any]]], besides: list[dict[str, Any]] | None = None) -> Reading:
    """A node that was brought these pages as one drain, and then what another peer says besides."""
    world = Reading(emptied(store), HIDDEN)
    with store.writing() as tx:
        audiences.set_note(tx, NODE_SECRET, "0" * 64)
    for place, objects in enumerate(pages):
        world.give("ccc/feed", *objects, last=place == len(pages) - 1)
    if besides:
        world.give("circl/feed", *besides)
    return world


def shape(items: list[dict[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {item["id"]: item for item in items}


@settings(max_examples=12 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@given(order=st.permutations(range(5)), cut=st.integers(1, 4))
def test_pain_45_nothing_in_the_graph_names_the_hidden_producer(memory: Store, order: list[int], cut: int) -> None:
    """In whichever order it comes, the whole graph goes under a pseudonym, is joined up, and names nobody."""
    made = graph()
    mixed = [made[place] for place in order]
    world = told(memory, [mixed[:cut], mixed[cut:]])
    ids = {item["id"] for item in made}
    seen = {name: world.read(name) for name in ("cert-ee", "circl")}
    for name, items in seen.items():
        text = world.body(name).decode().casefold()
        assert not [word for word in ("canadian", "centre", CCC_IDENTITY.removeprefix("identity--")) if word in text]
        assert {item["type"] for item in items} == {"identity", "indicator", "malware", "relationship", "report"}
        found = shape(items)
        assert not ids & found.keys()
        (link,) = (item for item in items if item["type"] == "relationship")
        (whole,) = (item for item in items if item["type"] == "report")
        assert {link["source_ref"], link["target_ref"], *whole["object_refs"]} <= found.keys()
        (producer,) = (item for item in items if item["type"] == "identity")
        assert {item["created_by_ref"] for item in items if item is not producer} == {producer["id"]}
    assert not shape(seen["cert-ee"]).keys() & shape(seen["circl"]).keys(), "R15: each class knows it by its own ids"


@settings(max_examples=8 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@given(hidden=st.lists(st.integers(0, 4), min_size=1, unique=True), strict=st.sampled_from([Tlp.AMBER, Tlp.RED]))
def test_r14_an_anonymous_reader_gets_the_same_bytes(memory: Store, hidden: list[int], strict: Tlp) -> None:
    """What another peer says of the same objects, or of its own, and this reader may not see, changes no byte."""
    made = graph()
    besides: list[dict[str, Any]] = [
        marked({**made[place], "name": "CIRCL says otherwise"} if "name" in made[place] else made[place], strict)
        for place in hidden
    ]
    besides += [marked(indicator("other.example", created_by_ref=CCC_IDENTITY), strict)]
    before = told(memory, [made]).body("cert-ee")
    assert told(memory, [made], besides).body("cert-ee") == before


def test_r17_a_later_word_of_whose_it_is_lets_it_go(memory: Store) -> None:
    """While nobody has told the name behind a creator's id, it cannot be taken out: nothing of its goes."""
    stranger = "identity--7c1d5e2a-93b4-4f06-8a2e-5d7f9b3c1e60"
    world = Reading(emptied(memory), HIDDEN)
    world.give("ccc/feed", indicator(created_by_ref=stranger, name="Vigie du Nord"))
    assert world.read("cert-ee") == []
    world.give("ccc/feed", {**identity("Vigie du Nord"), "id": stranger})
    assert {item["type"] for item in world.read("cert-ee")} == {"identity", "indicator"}
    assert b"Vigie" not in world.body("cert-ee")
