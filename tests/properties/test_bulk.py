"""R20 at full size: two writers give 100,000 objects each that share every timestamp, and every reader reads them."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest
from falcon.testing import Result
from taxii2client.v21 import as_pages

from exchange.model.envelope import Page, cut, sift
from exchange.model.marking import TLP2_ID, Tlp
from exchange.sync.accept import accept
from tests.properties.client import collection_of
from tests.properties.depot import Depot
from tests.properties.readers import (
    Answer,
    Both,
    DateOfManifest,
    Header,
    HeaderInMilliseconds,
    HeaderInSeconds,
    ManifestByDate,
    Next,
    NextAsDate,
    Reader,
)

pytestmark = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")
EACH = 100_000
ENVELOPE = 2_000
"""Objects that each writer gives in one round."""
ROUNDS = EACH // ENVELOPE
STILL = 42
"""From this round on the clock stands still, so that one second holds more than the largest page."""
MOST = 10_000
SIZE = 1_000
DAYS = 86_400.0


def tool(number: int) -> str:
    """An object as JSON, cheaply made."""
    return (
        f'{{"type":"tool","spec_version":"2.1","id":"tool--{number:08x}-0000-4000-8000-000000000000",'
        f'"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"tool {number}",'
        f'"object_marking_refs":["{TLP2_ID[Tlp.GREEN]}"]}}'
    )


def number_in(stix_id: str) -> int:
    """The number of which an id was made."""
    return int(stix_id[len("tool--") :][:8], 16)


def clock(number: int) -> float:
    """By how much the clock goes on before a round: it steps back once, and once days go by."""
    return {20: -0.95, 30: 3 * DAYS}.get(number, 1.2 if number < STILL else 0.0)


def fill(depot: Depot, number: int) -> None:
    """One round: a pull that brings its share in several pages, and a POST of as many objects."""
    house = depot.house
    house.tick(seconds=clock(number))
    pulled = range(number * ENVELOPE, (number + 1) * ENVELOPE)
    objects, rejected = sift(tool(each).encode() for each in pulled)
    assert not rejected
    for page in cut(Page(objects=objects, last=True)):
        accept(house.store, house.world.rules, page, "cert-ee/feed", "cert-ee", house.world.now)
    body = ",".join(tool(EACH + each) for each in pulled)
    status = depot.post(number % 2, "circl", b'{"objects":[%s]}' % body.encode())
    assert status.json["success_count"] == ENVELOPE


class Track:
    """A reader and the numbers of what it got, each where it came first."""

    def __init__(self, reader: Reader, sizes: Sequence[int] = (SIZE,), *, twice: bool = False) -> None:
        self.reader, self.twice = reader, twice
        self.sizes = cycle(sizes)
        self.numbers = array("I")
        self.stuck = ""
        """The second, or millisecond, that is larger than the largest page."""
        self._known = bytearray(2 * EACH)

    def page(self, depot: Depot, node: int, size: int | None = None) -> Answer:
        """The next page; an exact reader gets nothing a second time."""
        answer = self.reader.ask(self._getter(depot, node), size or next(self.sizes))
        for item in answer.items:
            number = number_in(item["id"])
            assert not (self.reader.exact and self._known[number])
            if not self._known[number]:
                self._known[number] = 1
                self.numbers.append(number)
        return answer

    def _getter(self, depot: Depot, node: int) -> Callable[..., Result]:
        def get(path: str, query: dict[str, str]) -> Result:
            result = depot.get(node, path, query)
            assert not self.twice or depot.get(node, path, query).content == result.content
            return result

        return get

    def to_the_end(self, depot: Depot, node: int) -> None:
        """Every page that is left. A reader that is stuck asks for the largest page; it may be stuck for good then."""
        size = None
        while True:
            window = dict(self.reader.window)
            if not self.page(depot, node, size).more:
                return
            if self.reader.window == window and size == MOST:
                self.stuck = window["added_after"]
                return
            if self.reader.window == window:
                size = MOST


def everything(depot: Depot) -> Iterator[tuple[int, str]]:
    """Number and date of all that is listed, by the manifest in its largest pages."""
    reader, more = ManifestByDate(), True
    while more:
        answer = reader.ask(lambda path, query: depot.get(0, path, query), MOST)
        yield from ((number_in(entry["id"]), entry["date_added"]) for entry in answer.items)
        more = answer.more


def check(track: Track, numbers: array[int], dates: Sequence[str]) -> None:
    """It had all in order, or R20 lets it be stuck: then it missed nothing before the unit in which it stands."""
    assert track.numbers == numbers[: len(track.numbers)], track.reader
    if not track.stuck:
        assert len(track.numbers) == len(numbers), track.reader
        return
    unit = track.stuck[:-1]
    held = bisect_left(dates, unit + "~") - bisect_left(dates, unit)
    assert held >= MOST
    assert len(track.numbers) >= bisect_left(dates, unit) + MOST


@pytest.mark.bulk
def test_r20_two_hundred_thousand_objects_of_one_moment(tmp_path: Path) -> None:
    """Every reader reads while both write, and then to the end; one goes away for days and comes back elsewhere."""
    away, one = Track(Next()), Track(Header(), sizes=(1,))
    tracks = [
        Track(Header()),
        Track(HeaderInMilliseconds()),
        Track(HeaderInSeconds()),
        Track(DateOfManifest()),
        Track(Both(), twice=True),
        Track(NextAsDate(), sizes=(SIZE, 10, MOST, 333)),
    ]
    with closing(Depot(f"sqlite:///{tmp_path}/exchange.db")) as depot:
        for number in range(ROUNDS):
            fill(depot, number)
            for track in [*tracks, away] if number < ROUNDS // 2 else tracks:
                track.page(depot, number % 2)
            for _ in range(10):
                one.page(depot, 0)
        assert "next" in away.reader.window
        depot.house.tick(seconds=3 * DAYS)
        depot.restart(0)
        depot.restart(1)
        numbers, dates = array("I"), []
        for number, date in everything(depot):
            numbers.append(number)
            dates.append(date)
        assert dates == sorted(set(dates))
        assert sorted(numbers) == list(range(2 * EACH))
        for track in [*tracks, away]:
            track.to_the_end(depot, node=1)
            check(track, numbers, dates)
        assert one.numbers == numbers[: 10 * ROUNDS]
        assert [type(track.reader) for track in [*tracks, away] if track.stuck] == [HeaderInSeconds]
        one.reader.window = {"added_after": dates[-301]}
        assert [number_in(one.page(depot, 1).items[0]["id"]) for _ in range(300)] == list(numbers[-300:])
        pages = as_pages(collection_of(depot, 0).get_objects, per_request=SIZE)
        assert array("I", (number_in(item["id"]) for page in pages for item in page["objects"])) == numbers
