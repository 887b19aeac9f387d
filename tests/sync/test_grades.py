"""New statements are decided by class: a class has any confidence between two bounds of the agreements, and is called
by MISP whatever the agreements answer alike."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from exchange.model.marking import Label, Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store, tables
from tests.world import World, agreement, indicator, terms

SURE = [0, 29, 30, 31, 59, 60, 61, 100]
ASKED = agreement(
    "reseau", "ccc", "cert-ee", "circl",
    receive=Receive(ceiling=Tlp.AMBER, confidence=30), send=Send(ceiling=Tlp.GREEN, confidence=60),
)  # fmt: skip


@pytest.mark.parametrize("apart", [False, True])
def test_each_is_decided_by_its_own_confidence(memory: Store, apart: bool) -> None:
    """In one page, where they share classes, as in pages of their own; each row says how sure its object is."""
    world = World(memory, terms(agreements=[ASKED]))
    made = {sure: indicator(f"c{sure}.example", confidence=sure, tlp=Tlp.GREEN) for sure in SURE}
    unrated = indicator("none.example", tlp=Tlp.GREEN)
    for page in [[each] for each in (*made.values(), unrated)] if apart else [[*made.values(), unrated]]:
        world.give("ccc/alertes", *page)
    assert set(world.listed("circl")) == {made[sure]["id"] for sure in SURE if sure >= 60}
    listing, statement = tables.listing.c, tables.statement.c
    query = select(statement.stix_id, listing.label).where(statement.seq == listing.seq)
    with memory.reading() as tx:
        rows = tx.execute(query).all()
    said = {stix["id"]: sure for sure, stix in made.items()}
    assert rows and all(Label.from_text(text).confidence == said.get(stix_id) for stix_id, text in rows)


@pytest.mark.parametrize("apart", [False, True])
def test_each_is_decided_by_what_misp_calls_it(memory: Store, apart: bool) -> None:
    """So are these; each row keeps the words of its object."""
    asked = agreement(
        "reseau", "ccc", "cert-ee", "circl",
        receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN, no_misp=frozenset({"type:md5", "type:sha1"})),
    )  # fmt: skip
    world = World(memory, terms(agreements=[asked]))
    kinds = ("domain", "md5", "hostname", "sha1", "")
    made = {
        kind: indicator(f"k{kind}.example", tlp=Tlp.GREEN, **({"labels": [f'misp:type="{kind}"']} if kind else {}))
        for kind in kinds
    }
    for page in [[each] for each in made.values()] if apart else [[*made.values()]]:
        world.give("ccc/alertes", *page)
    assert set(world.listed("circl")) == {made[kind]["id"] for kind in ("domain", "hostname", "")}
    listing, statement = tables.listing.c, tables.statement.c
    query = select(statement.stix_id, listing.label).where(statement.seq == listing.seq)
    with memory.reading() as tx:
        rows = tx.execute(query).all()
    said = {stix["id"]: frozenset({f"type:{kind}"} if kind else ()) for kind, stix in made.items()}
    assert rows
    assert all(Label.from_text(text).kinds == said[stix_id] for stix_id, text in rows)
