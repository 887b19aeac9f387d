"""The paging of taxii2-client itself, over objects and manifests, while others write."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from taxii2client.v21 import as_pages

from tests.properties.client import collection_of
from tests.properties.depot import Depot
from tests.properties.givers import made


class Crowd:
    """Two who give, by turns, objects that share every timestamp; `ids` in the order in which they were given."""

    def __init__(self, depot: Depot) -> None:
        self.depot = depot
        self.ids: list[str] = []

    def give(self, count: int) -> None:
        """Some more, while the clock steps back a little."""
        for source in ("cert-ee/feed", "circl/feed"):
            objects = [made(len(self.ids) + n) for n in range(count)]
            self.depot.house.give(*objects, source=source)
            self.ids += [item["id"] for item in objects]
        self.depot.house.tick(seconds=-0.2)


@pytest.mark.parametrize("per_request", [1, 7, 100])
@pytest.mark.parametrize("what", ["get_objects", "get_manifest"])
def test_as_pages_while_others_write(tmp_path: Path, what: str, per_request: int) -> None:
    """R20: what is given between two pages comes too, once; nothing stops the last page from coming."""
    with closing(Depot(f"sqlite:///{tmp_path}/exchange.db")) as depot:
        crowd = Crowd(depot)
        crowd.give(2 * per_request + 10)
        got = []
        for number, page in enumerate(as_pages(getattr(collection_of(depot, 1), what), per_request=per_request)):
            got += [item["id"] for item in page["objects"]]
            if number < 4:
                crowd.give(3)
        assert got == crowd.ids


def test_dates_that_it_writes_itself(tmp_path: Path) -> None:
    """It drops the zeros at the end of a date; whatever date a manifest gave, the rest begins right behind it."""
    with closing(Depot(f"sqlite:///{tmp_path}/exchange.db")) as depot:
        crowd = Crowd(depot)
        for _ in range(4):
            crowd.give(6)
        collection = collection_of(depot, 1)
        for number, entry in enumerate(collection.get_manifest()["objects"][:-1], start=1):
            rest = collection.get_objects(added_after=datetime.fromisoformat(entry["date_added"]))
            assert [item["id"] for item in rest["objects"]] == crowd.ids[number:]
