"""A TAXII 2.1 server that keeps to the standard until it is told to misbehave, in ways that go by name and add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from tests.peers.doubles import COLLECTION, TAXII, Asked, Told, indicator, stamp

ROOT = "/api1/"
LARGEST = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request on its way through one way of misbehaving; `turn` counts those that this way has had, from 1."""

    server: Server
    asked: Asked
    turn: int
    rest: Callable[[Asked], Told]

    @cached_property
    def _told(self) -> Told:
        return self.rest(self.asked)

    def told(self) -> Told:
        """What the server would answer without this way; asked for once, however often it is looked at."""
        return self._told


Concerns = Callable[[Asked], bool]
Way = tuple[Concerns, Callable[[Call], Told]]


@dataclass
class Server:
    """A collection with the date at which each object was added, and what the server does wrong with it."""

    ways: Mapping[str, Way]
    doing: Sequence[str] = ()
    collection: str = COLLECTION
    page: int = 30
    listed: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    url: str = ""
    turns: Counter[str] = field(default_factory=Counter)
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Told:
        """The answer, through every way in turn; the first named is the nearest to the client."""
        self.asked.append(asked)
        answer: Callable[[Asked], Told] = self._answer
        for name in reversed(self.doing):
            answer = partial(self._through, name, answer)
        return answer(asked)

    def _through(self, name: str, rest: Callable[[Asked], Told], asked: Asked) -> Told:
        concerns, act = self.ways[name]
        if not concerns(asked):
            return rest(asked)
        self.turns[name] += 1
        return act(Call(server=self, asked=asked, turn=self.turns[name], rest=rest))

    def behave(self) -> None:
        """Keep to the standard from now on."""
        self.doing = ()

    def add(self, objects: Iterable[Mapping[str, Any]], date: str) -> list[dict[str, Any]]:
        """List those that are not listed yet; those."""
        known = self.versions()
        new = [dict(item) for item in objects if (item["id"], item["modified"]) not in known]
        self.listed += [(item, date) for item in new]
        return new

    def versions(self) -> set[tuple[str, str]]:
        """(id, `modified`) of everything that is listed."""
        return {(item["id"], item["modified"]) for item, _ in self.listed}

    def _answer(self, asked: Asked) -> Told:
        path, parts = asked.path, asked.path.strip("/").split("/")
        home = f"{ROOT}collections/{self.collection}/"
        if asked.method == "POST" and path == f"{home}objects/":
            return self._take(asked)
        if path == f"{home}objects/":
            return self._objects(asked.query)
        if path == f"{home}manifest/":
            rows, _ = self._select(asked.query)
            return said({"objects": [{"id": item["id"], "date_added": date} for item, date in rows]})
        if path.startswith(f"{home}objects/"):
            found = [item for item, _ in self.listed if item["id"] == parts[-1]]
            return said({"objects": found[-1:]}) if found else said({"title": "no such object"}, 404)
        if path == home:
            return said({"id": self.collection, "title": "t", "can_read": True, "can_write": True})
        if path == ROOT:
            return said({"title": "t", "versions": [TAXII], "max_content_length": LARGEST})
        return said({"title": "no such resource"}, 404)

    def _select(self, query: Mapping[str, str]) -> tuple[list[tuple[dict[str, Any], str]], int]:
        """The page that `query` names, and where the next one begins (0: there is none)."""
        after = query.get("added_after", "").replace("+00:00", "Z")
        kept = [row for row in self.listed if row[1] > after]
        start, size = int(query.get("next", "0")), min(self.page, int(query.get("limit", self.page)))
        end = start + size
        return kept[start:end], end if end < len(kept) else 0

    def _objects(self, query: Mapping[str, str]) -> Told:
        rows, following = self._select(query)
        envelope: dict[str, Any] = {"objects": [item for item, _ in rows]} if rows else {}
        if following:
            envelope |= {"more": True, "next": str(following)}
        return said(envelope, **dates(*(date for _, date in rows)))

    def _take(self, asked: Asked) -> Told:
        given = json.loads(asked.body)["objects"]
        self.add(given, stamp(len(self.listed)))
        return status(successes=given)


def said(document: Any, code: int = 200, **headers: str | None) -> Told:
    """`document` as TAXII sends it."""
    return Told(code, json.dumps(document).encode(), {"Content-Type": TAXII, **headers})


def dates(*added: str) -> dict[str, str | None]:
    """The Date-Added headers of a page."""
    return {"X-TAXII-Date-Added-First": added[0], "X-TAXII-Date-Added-Last": added[-1]} if added else {}


def status(code: int = 202, state: str = "complete", message: str = "", **lists: Sequence[Any]) -> Told:
    """A status resource; `lists` are `successes`, `failures` and `pendings` of objects."""
    entries = {
        name: [{"id": o["id"], "version": o["modified"]} | ({"message": message} if message else {}) for o in objects]
        for name, objects in lists.items()
    }
    counts = {
        count: len(entries.get(name, ()))
        for count, name in (
            ("success_count", "successes"), ("failure_count", "failures"), ("pending_count", "pendings"),
        )
    }  # fmt: skip
    return said({"id": "2d086da7", "status": state, "total_count": sum(counts.values()), **counts, **entries}, code)


def edited(told: Told, **members: Any) -> Told:
    """The same answer with these members of its document; None takes one out."""
    assert isinstance(told.body, bytes)
    document = json.loads(told.body) | members
    kept = {name: value for name, value in document.items() if value is not None}
    return Told(told.status, json.dumps(kept).encode(), told.headers)


def headed(told: Told, **headers: str | None) -> Told:
    """The same answer with these headers, `_` standing for `-`; None takes one out."""
    return Told(told.status, told.body, {**told.headers, **{n.replace("_", "-"): v for n, v in headers.items()}})


def shelf(ticks: Iterable[int]) -> list[tuple[dict[str, Any], str]]:
    """An indicator for each tick at which one was added."""
    return [(indicator(number), stamp(tick)) for number, tick in enumerate(ticks)]
