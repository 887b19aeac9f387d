"""What a peer hands back under another id, with the old one beside it: found by either, and sent in no circle (R3)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Terms
from exchange.store import Store, aliases
from exchange.sync.explain import search
from tests.world import World, collection, indicator, terms

OURS = "aaaaaaaa-0000-4000-8000-000000000001"
BOX = "0c6b5f0a-6f2d-4c35-9a57-00000000000%d"
ROOMS = {"ccc": BOX % 1, "cert-ee": BOX % 2, "circl": BOX % 3}


def copy_of(*others: dict[str, Any], value: str = "a.example", **more: Any) -> dict[str, Any]:
    """What an OpenCTI makes of them."""
    made = indicator(value, id_="indicator--cccccccc-0000-5000-8000-000000000001", **more)
    return {**made, "x_opencti_stix_ids": [other["id"] for other in others]} if others else made


def rooms() -> Terms:
    """A room for each partner alone."""
    made = {f"r{n}": collection(room, f"salle-{peer}", (peer,)) for n, (peer, room) in enumerate(ROOMS.items())}
    return terms(**made)


@pytest.fixture
def world(memory: Store) -> World:
    return World(memory, rooms())


def seen(world: World) -> dict[str, list[str]]:
    """Partner → the ids in its own room."""
    return {peer: world.listed(peer, room) for peer, room in ROOMS.items()}


ORIGINAL = indicator("a.example", id_=f"indicator--{OURS}")


@pytest.mark.parametrize("first", ["original", "copy"])
def test_r3_a_copy_does_not_come_to_who_gave_the_original(world: World, first: str) -> None:
    """Whatever came first; the others get both."""
    gifts = [("ccc/alertes", ORIGINAL), ("circl/misp", copy_of(ORIGINAL))]
    for source, item in gifts if first == "original" else reversed(gifts):
        world.give(source, item)
    copy = copy_of()["id"]
    found = {peer: set(ids) for peer, ids in seen(world).items()}
    assert found == {"ccc": set(), "cert-ee": {ORIGINAL["id"], copy}, "circl": {ORIGINAL["id"]}}
    assert copy not in world.waiting()


def test_r3_what_the_newest_version_says_counts_for_the_older_too(world: World) -> None:
    world.give("ccc/alertes", ORIGINAL)
    world.give("circl/misp", copy_of(value="b.example", modified=world.now.replace(year=2025)))
    assert seen(world)["ccc"] == [copy_of()["id"]]
    world.give("circl/misp", copy_of(ORIGINAL, value="b.example"))
    assert seen(world)["ccc"] == []


def test_r5_nobody_keeps_anothers_words_from_a_partner_by_an_alias(world: World) -> None:
    """A lie about aliases reaches no further than the liar's own statement, were it even the owner's."""
    world.give("cert-ee/s", copy_of())
    world.give("circl/misp", copy_of(ORIGINAL, description="mine"))
    world.give("ccc/alertes", ORIGINAL)
    assert copy_of()["id"] in seen(world)["ccc"]
    liar = indicator("c.example") | {"x_opencti_stix_ids": [copy_of()["id"]]}
    world.give("circl/misp", liar)
    assert ORIGINAL["id"] in seen(world)["cert-ee"]
    assert copy_of()["id"] in seen(world)["circl"]


def test_r14_what_somebody_else_gave_decides_nothing(world: World) -> None:
    """That a third one holds the original in secret is no reason that the reader could know of."""
    world.give("maison/m", indicator("a.example", id_=ORIGINAL["id"], tlp=Tlp.RED, created_by_ref="identity--" + OURS))
    world.give("circl/misp", copy_of(ORIGINAL))
    assert seen(world)["ccc"] == seen(world)["cert-ee"] == [copy_of()["id"]]


def test_what_is_given_back_at_the_same_version_is_known_there(world: World) -> None:
    """It need not be handed over again; a version that they did not give back is."""
    world.give("circl/misp", copy_of(ORIGINAL))
    later = ORIGINAL | {"modified": "2026-11-21T12:00:01.000Z"}
    with world.store.reading() as tx:
        held = aliases.held_by(tx, "circl", [ORIGINAL["id"]])
    assert held == {(ORIGINAL["id"], world_version(ORIGINAL))}
    assert world_version(later) not in {version for _, version in held}


def world_version(item: dict[str, Any]) -> str:
    return str(item["modified"]).removesuffix("Z")


@pytest.mark.parametrize("asked", [ORIGINAL["id"], copy_of()["id"]])
def test_either_id_finds_both(store: Store, asked: str) -> None:
    """`exchange show` and `why` by any id under which somebody knows it."""
    world = World(store)
    world.give("ccc/alertes", ORIGINAL)
    world.give("circl/misp", copy_of(ORIGINAL))
    with store.reading() as tx:
        assert {held.stix_id for held in search(tx, asked)} == {ORIGINAL["id"], copy_of()["id"]}


def test_an_id_that_only_others_use_finds_what_we_hold(world: World) -> None:
    world.give("circl/misp", copy_of(ORIGINAL))
    with world.store.reading() as tx:
        (held,) = search(tx, ORIGINAL["id"])
    assert held.stix_id == copy_of()["id"]
