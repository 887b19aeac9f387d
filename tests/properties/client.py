"""taxii2-client, the library under MISP, XSOAR, the OpenCTI connectors and many scripts, carried into a node."""

from __future__ import annotations

from typing import Any

from taxii2client.v21 import Collection

from tests.properties.depot import OBJECTS, READER, Depot
from tests.serve.house import BASE, Wsgi


def collection_of(depot: Depot, node: int) -> Any:
    """The collection as its reader's client sees it, through this node."""
    url = BASE + OBJECTS.removesuffix("objects/")
    found = Collection(url, user=READER, password=depot.house.secrets[READER])
    found._conn.session.mount("http://", Wsgi(depot.application(node)))
    return found
