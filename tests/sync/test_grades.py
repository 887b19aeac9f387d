"""New statements are decided by class; a class has any confidence between two bounds of the agreements."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from exchange.model.marking import Label, Tlp
from exchange.model.party import Receive, Send
from exchange.policy import bounds
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
    assert bounds(world.rules.terms.agreements) == (30, 60)
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
