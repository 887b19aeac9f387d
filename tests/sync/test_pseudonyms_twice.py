"""A pseudonym of which two sources tell: its dates are its own, and it is listed once (RULES R8, R15, R21)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store
from exchange.store.pages import Versions
from tests.world import SHARED, World, agreement, collection, terms

BODY = "identity--7a2f1c3e-0b6d-4c58-9e21-4d3f5a6b7c81"


def told(day: int, mark: Tlp = Tlp.CLEAR) -> dict[str, Any]:
    return {
        "type": "identity", "spec_version": "2.1", "id": BODY, "created": "2026-01-01T00:00:00.000Z",
        "modified": f"2026-01-0{day}T00:00:00.000Z", "name": f"Bureau {day}", "identity_class": "organization",
        "object_marking_refs": [TLP2_ID[mark]],
    }  # fmt: skip


@pytest.fixture
def world(memory: Store) -> World:
    """Whoever reads knows producers by pseudonyms; CIRCL owns the body's identity."""
    given = terms(agreements=[
        agreement("donne", "circl", receive=Receive(ceiling=Tlp.RED)),
        agreement("lit", "cert-ee", send=Send(ceiling=Tlp.GREEN, attribution="anonymous", personal="allowed")),
    ])  # fmt: skip
    peers = {**given.peers, "circl": replace(given.peers["circl"], identities=frozenset({BODY}))}
    room = {SHARED: collection(SHARED, "partenaires", ("cert-ee",))}
    return World(memory, replace(given, peers=peers, collections=room))


def read(world: World) -> list[str]:
    """Every version that is listed."""
    return world.listed("cert-ee", versions=Versions(every=True))


@pytest.mark.parametrize("second", ["circl/feed", "maison/misp"])
def test_each_version_is_listed_once_whoever_tells_it(world: World, second: str) -> None:
    """R21: what is listed already is known by the version that it has there."""
    world.give("maison/misp" if second == "circl/feed" else "circl/feed", told(1))
    assert len(read(world)) == 1
    world.give(second, told(2))
    assert len(read(world)) == 2
    world.give(second, told(3))
    assert len(read(world)) == 3


def test_what_becomes_stricter_goes_in_every_version(world: World) -> None:
    """R8: the newest version governs the older ones, of a pseudonym too."""
    world.give("maison/misp", told(1))
    world.give("circl/feed", told(2))
    world.give("maison/misp", told(2, Tlp.AMBER))
    world.give("circl/feed", told(3, Tlp.AMBER))
    assert read(world) == []
