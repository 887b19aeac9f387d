"""Writers and readers at one collection, step by step, with the laws that hold at every step (R20, R8).

- An exact reader gets each listing once, in the order in which it was added.
- One that cuts dates gets things again, but never misses any, and goes on whenever its page is larger than the
  listings in one of its units.
- Once the writers rest, every reader comes to an end, and holds all that is listed then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from falcon.testing import Result

from exchange.model.envelope import cut
from exchange.policy import audience
from exchange.store.pages import Versions
from exchange.sync.withdrawal import withdraw
from tests.properties.depot import MANIFEST, Depot
from tests.properties.givers import FIRST, KINDS, Books, Key, Kind, key, made, recorded
from tests.properties.readers import READERS, Answer, Next, NextThenMilliseconds, Reader, understood
from tests.world import OPEN_WRITE

MOST = 10_000
"""The largest page that is served."""
DEFAULT = 1_000
NODES = 2
"""Nodes that serve the collection."""
SOURCES = ("cert-ee/feed", "circl/feed", "circl")
"""Two pulls, and a peer that posts."""
How = Literal["plain", "twice", "lost"]
ALL = {"match[version]": "all"}
FILTERS: Sequence[Mapping[str, str]] = ({}, ALL, {"match[type]": "indicator"})


class Given:
    """One object in all its versions so far; only the source that gave it first gives new ones."""

    def __init__(self, number: int, kind: Kind, source: str) -> None:
        self.number, self.kind, self.source = number, kind, source
        self.newest = self.oldest = FIRST
        self.single = kind == "observable"
        """Two give it, or it has no versions: it stays as it is."""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.version(FIRST)["id"])

    def version(self, version: int) -> dict[str, Any]:
        """It, at that version."""
        return made(self.number, self.kind, version)
