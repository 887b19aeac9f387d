"""What goes beside an event to a MISP target: it never stops the event, nor goes further than it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from exchange.convert import pages
from exchange.model.party import Source
from exchange.store import Store
from exchange.sync.accept import accept
from tests.serve.test_misp_clusters import cluster
from tests.serve.wire import attribute, event
from tests.sync.misp_partner import Instance, MispDesk


def taken(desk: MispDesk, made: dict[str, Any], own: dict[str, Any]) -> None:
    """An event of CIRCL with a cluster beside it."""
    source = Source(peer="circl", id="misp", kind="misp", orgs=frozenset({"*"}))
    raw = json.dumps({"Event": made, "GalaxyCluster": [own]}).encode()
    *more, last = pages(raw, source, now=desk.world.now)
    for page in (*more, replace(last, last=True)):
        accept(desk.store, desk.world.rules, page, source.key, source.peer, desk.world.now)


def test_a_custom_cluster_goes_with_its_event(memory: Store) -> None:
    """Whoever is pushed to takes a distribution as it stands: GREEN is for their community."""
    desk, there = MispDesk(memory), Instance()
    taken(desk, event(attribute("a.example", 1)), cluster("3"))
    desk.push(there)
    assert "stopped" not in desk.outbox()
    (sent,) = [each for each in there.handed if each.get("GalaxyCluster")]
    assert [each["distribution"] for each in sent["GalaxyCluster"]] == ["1"]
