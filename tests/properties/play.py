"""Writers and readers at one collection, step by step, with the laws that hold at every step (R20, R8).

- A reader that keeps dates whole gets each listing once, in the order in which it was added.
- One that cuts them gets things again but misses none, and goes on whenever its page is larger than the listings in
  one of its units.
- When the writers rest, every reader comes to an end, and has had all that is listed then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any, Literal, TypeVar

from falcon.testing import Result

from exchange.store.pages import Versions
from exchange.sync.withdrawal import withdraw
from tests.properties.depot import MANIFEST, Depot
from tests.properties.givers import Books, Chain, Key, Kind, key, recorded
from tests.properties.readers import Answer, Get, Reader, understood

SOURCES = ("cert-ee/feed", "circl/feed", "circl")
"""Two pulls, and a peer that posts."""
FILTERS: Sequence[Mapping[str, str]] = ({}, {"match[version]": "all"}, {"match[type]": "indicator"})
How = Literal["once", "twice", "in vain"]
"""In vain: the answer is lost on its way."""
MOST, DEFAULT = 10_000, 1_000
NODES = 2
Item = Mapping[str, Any]
T = TypeVar("T")


def some(things: Sequence[T], start: int, count: int) -> list[T]:
    """At most `count` of them, from anywhere on."""
    return [things[(start + n) % len(things)] for n in range(min(count, len(things)))]


class Reading:
    """A reader, and what it has had."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.had: set[tuple[Key, str]] = set()
        self.latest = ""

    def judge(self, window: Mapping[str, str], answer: Answer, size: int, calendar: Mapping[Key, str]) -> None:
        """The laws of one page that the reader asked for with `window`, when `calendar` stood in the collection."""
        reader = self.reader
        named = [(recorded if reader.path == MANIFEST else key)(item) for item in answer.items]
        dates = [calendar[name] for name in named]
        assert dates == sorted(set(dates))
        assert len(dates) <= size
        assert (answer.first, answer.last) == ((dates[0], dates[-1]) if dates else ("", ""))
        assert answer.more == (bool(dates) and dates[-1] < max(calendar.values()))
        if reader.exact and dates:
            assert dates[0] > self.latest, "a listing came twice, or out of order"
            self.latest = dates[-1]
        mark = max(window.values(), default="")
        alike = sum(date[: reader.kept] == mark[: reader.kept] for date in calendar.values())
        assert not answer.more or size <= alike or reader.window != window, "no progress"
        self.had.update(zip(named, dates, strict=True))


class Play:
    """The collection, who writes it and who reads it. The public methods up to `finish` are the steps."""

    def __init__(self, url: str, readers: Sequence[Reader]) -> None:
        self.depot = Depot(url, NODES)
        self.books = Books()
        self.readings = [Reading(reader) for reader in readers]
        self._chains: list[Chain] = []
        self._calendars: dict[tuple[str, ...], dict[Key, str]] = {}

    def load(self, source: int, count: int, kinds: Sequence[Kind], last: bool) -> None:
        """New objects; unless they are the `last`, the drain goes on and unmarked ones wait."""
        first = len(self._chains)
        fresh = [
            Chain(first + n, kind, SOURCES[source], fixed=kind == "observable")
            for n, kind in enumerate(islice(cycle(kinds), count))
        ]
        self._chains += fresh
        self._give(SOURCES[source], [(chain.kind, chain.at(chain.newest)) for chain in fresh], last)

    def renew(self, start: int, count: int, belated: bool, last: bool) -> None:
        """Later versions of known objects, or versions from before all others."""
        chains = some([chain for chain in self._chains if not chain.fixed], start, count)
        for source in SOURCES:
            own = [chain for chain in chains if chain.source == source]
            self._give(source, [(c.kind, c.belated() if belated else c.later()) for c in own], last)

    def repeat(self, start: int, count: int) -> None:
        """A pull gives again what it gave, as it stands."""
        chains = some([chain for chain in self._chains if "/" in chain.source], start, count)
        for source in SOURCES:
            own = [chain for chain in chains if chain.source == source]
            self._give(source, [(chain.kind, chain.at(chain.newest)) for chain in own], True)

    def second(self, source: int, start: int, count: int) -> None:
        """Another source gives the same."""
        chains = some([c for c in self._chains if c.newest == c.oldest and c.source != SOURCES[source]], start, count)
        for chain in chains:
            chain.fixed = True
        self._give(SOURCES[source], [(chain.kind, chain.at(chain.newest)) for chain in chains], True)

    def _give(self, source: str, items: Sequence[tuple[Kind, Item]], last: bool) -> None:
        objects, shown = [item for _, item in items], [item for kind, item in items if kind != "hidden"]
        self.changed()
        if "/" in source:
            self.depot.house.world.give(source, *objects, last=last)
            self.books.pulled(source, shown, last=last)
        elif objects:
            self._post(source, objects)
            self.books.posted(source, shown)

    def _post(self, peer: str, objects: Sequence[Item]) -> None:
        result = self.depot.post(len(objects) % NODES, peer, json.dumps({"objects": objects}).encode())
        assert result.status_code == 202, result.text

    def withdraw(self, start: int, count: int, over_http: bool) -> None:
        """Some givers take their objects out; one whose twin is listed in its place is told that it is not its own."""
        self.changed()
        for stix_id, peer in some(self.books.standing(), start, count):
            if self._delete(start % NODES, peer, stix_id) if over_http else self._take_out(peer, stix_id):
                self.books.withdrawn(peer, stix_id)
            else:
                assert len(self.books.givers(stix_id)) > 1

    def _delete(self, node: int, peer: str, stix_id: str) -> bool:
        status = self.depot.delete(node, peer, stix_id).status_code
        assert status in (200, 403)
        return status == 200

    def _take_out(self, peer: str, stix_id: str) -> bool:
        world = self.depot.house.world
        audience = next(a.key for a in world.rules.audiences if peer in a.members)
        gone = withdraw(
            world.store, world.rules, peer=peer, audience=audience, stix_id=stix_id, versions=Versions(every=True),
            now=world.now,
        )  # fmt: skip
        return bool(gone.removed)

    def restore(self, start: int, count: int, whole: bool) -> None:
        """A giver posts again what it took out: all of it, or the newest version."""
        self.changed()
        for stix_id, peer in some(self.books.taken_out(), start, count):
            chain = next(chain for chain in self._chains if chain.at(chain.newest)["id"] == stix_id)
            versions = range(chain.oldest if whole else chain.newest, chain.newest + 1)
            items = [chain.at(version) for version in versions]
            self._post(peer, items)
            self.books.posted(peer, items)

    def changed(self) -> None:
        """Something may have been committed: what stands in the collection is to be looked at again."""
        self._calendars.clear()

    def tick(self, seconds: float) -> None:
        """The clock goes on, by days too, or is set back a little."""
        self.depot.house.tick(seconds=seconds)

    def restart(self, node: int) -> None:
        """A node is started anew."""
        self.depot.restart(node)

    def ask(self, start: int, count: int, limit: int | None, node: int, how: How) -> None:
        """Some readers ask for one page each."""
        for reading in some(self.readings, start, count):
            self._page(reading, limit, node, how)

    def _page(self, reading: Reading, limit: int | None, node: int, how: How = "once") -> Answer:
        reader = reading.reader
        if how == "in vain":
            return understood(self.depot.get(node, reader.path, reader.query(limit)))
        calendar, window = self._calendar(reader.asked), dict(reader.window)
        answer = reader.ask(self._getter(node, twice=how == "twice"), limit)
        reading.judge(window, answer, limit or DEFAULT, calendar)
        return answer

    def _getter(self, node: int, *, twice: bool) -> Get:
        def get(path: str, query: Mapping[str, str]) -> Result:
            result = self.depot.get(node, path, query)
            if twice:
                again = self.depot.get((node + 1) % NODES, path, query)
                assert (again.content, dict(again.headers)) == (result.content, dict(result.headers))
                known = self.depot.get(node, path, query, **{"If-None-Match": result.headers["etag"]})
                assert known.status_code == 304
            return result

        return get

    def _calendar(self, asked: Mapping[str, str]) -> dict[Key, str]:
        """What stands in the collection for one who asks this, and since when: looked at once after each change."""
        name = tuple(asked)
        if name not in self._calendars:
            whole = understood(self.depot.get(0, MANIFEST, {**asked, "limit": str(MOST)}))
            assert not whole.more
            self._calendars[name] = {recorded(entry): entry["date_added"] for entry in whole.items}
        return self._calendars[name]

    def finish(self, limits: Sequence[int | None]) -> None:
        """The writers rest, and every reader reads to the end; `limits`: the size of the pages of each."""
        for source in SOURCES[:2]:
            self._give(source, [], True)
        for asked in FILTERS:
            objects = {name for name in self._calendar(asked) if not name.id.startswith("note--")}
            assert objects == self.books.listed(asked)
        for reading, limit in zip(self.readings, cycle(limits), strict=False):
            self._to_the_end(reading, limit)
            missed = set(self._calendar(reading.reader.asked).items()) - reading.had
            assert not missed, reading.reader

    def _to_the_end(self, reading: Reading, limit: int | None) -> None:
        reader = reading.reader
        for _ in range(len(self._calendar(reader.asked)) + 10):
            window = dict(reader.window)
            if not self._page(reading, limit, node=1).more:
                break
            if reader.window == window:  # its unit holds more than its page, so it needs a larger one
                limit = min(10 * (limit or DEFAULT), MOST)
        else:
            raise AssertionError(f"{reader} comes to no end")
        if reader.exact:
            assert not self._page(reading, limit, node=0).items
