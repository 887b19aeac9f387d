"""What is not published is held until its giver publishes it, under the same version: MISP changes no timestamp."""

from __future__ import annotations

from exchange.model.marking import Label, Reach
from exchange.store import Store
from exchange.sync.accept import accept
from tests.world import World, indicator, page


def _bring(world: World, label: Label) -> None:
    whole = page(indicator())
    brought = type(whole)(objects=[item.under(label) for item in whole.objects], last=True)
    accept(world.store, world.rules, brought, "circl/misp", "circl", world.now)


def test_a_draft_is_listed_once_it_is_published(memory: Store) -> None:
    """And held again when it is a draft again; what else it said of who may have it never loosens."""
    world = World(memory)
    _bring(world, Label(draft=True))
    assert world.listed("ccc") == []
    _bring(world, Label())
    assert world.listed("ccc") == [indicator()["id"]]
    _bring(world, Label(draft=True))
    assert world.listed("ccc") == []
    _bring(world, Label(reach=Reach.NODE))
    _bring(world, Label())
    assert world.listed("ccc") == []
