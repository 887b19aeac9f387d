"""A collection that two peers write and a third reads, and the nodes that serve it: one store, one clock.

A node is a WSGI application over a store of its own opening, as another process or another machine would have it; only
a store in memory is opened once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import falcon.testing
from falcon.testing import Result

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.serve import application
from exchange.store import Store, open_store
from tests.serve.house import House, house_terms
from tests.world import OPEN_WRITE, agreement, collection

OBJECTS = f"/api/collections/{OPEN_WRITE}/objects/"
MANIFEST = f"/api/collections/{OPEN_WRITE}/manifest/"
READER, WRITERS = "ccc", ("cert-ee", "circl")


def depot_terms() -> Terms:
    """The collection alone: up to GREEN, unmarked content counts as GREEN, nothing is pushed."""
    given = house_terms()
    both_ways = agreement(
        "depot", READER, *WRITERS,
        receive=Receive(ceiling=Tlp.AMBER, unmarked=Tlp.GREEN), send=Send(ceiling=Tlp.GREEN),
    )  # fmt: skip
    return replace(
        given,
        peers={name: replace(peer, targets=()) for name, peer in given.peers.items()},
        collections={OPEN_WRITE: collection(OPEN_WRITE, "depot-commun", (READER,), writers=WRITERS)},
        agreements=(both_ways,),
    )


def _shut(store: Store) -> None:
    pool: Any = store.engine.pool
    store.close()
    assert store.memory or pool.checkedout() == 0


class Depot:
    """The nodes, and the house that they share: its clock, its rules, its accounts."""

    def __init__(self, url: str, nodes: int = 2) -> None:
        self.url = url
        self.house = House(open_store(url), depot_terms())
        self._stores: list[Store] = [self.house.store] * nodes
        self._clients = [self.house.client] * nodes
        for number in range(1, nodes):
            self.restart(number)

    def restart(self, number: int) -> None:
        """The node is started anew: it remembers nothing but what is in the store."""
        if not self.house.store.memory:
            self._close(number)
            self._stores[number] = open_store(self.url, create=False)
        site = replace(self.house.site, store=self._stores[number])
        self._clients[number] = falcon.testing.TestClient(application(site))

    def _close(self, number: int) -> None:
        """No connection may be left checked out."""
        if self._stores[number] is not self.house.store:
            _shut(self._stores[number])

    def close(self) -> None:
        """Every store is closed."""
        for number in range(len(self._stores)):
            self._close(number)
        _shut(self.house.store)

    def application(self, node: int) -> Any:
        """The node as a server would run it."""
        return self._clients[node].app

    def get(self, node: int, path: str, query: Mapping[str, str], **headers: str) -> Result:
        """What the reader is answered by this node."""
        headers["Authorization"] = f"Bearer {self.house.secrets[READER]}"
        return self._clients[node].simulate_get(path, params=dict(query), headers=headers)

    def post(self, node: int, who: str, body: bytes) -> Result:
        """What a writer is answered by this node."""
        headers = {"Authorization": f"Bearer {self.house.secrets[who]}", "Content-Type": "application/taxii+json"}
        return self._clients[node].simulate_post(OBJECTS, body=body, headers=headers)

    def delete(self, node: int, who: str, stix_id: str) -> Result:
        """What a writer is answered who takes its object out."""
        headers = {"Authorization": f"Bearer {self.house.secrets[who]}"}
        return self._clients[node].simulate_delete(f"{OBJECTS}{stix_id}/", headers=headers)
