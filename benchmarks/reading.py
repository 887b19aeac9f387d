"""A collection read whole, as a subscriber reads it, every object counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from benchmarks.client import Answer, Line
from benchmarks.content import index_of
from benchmarks.servers import LIMIT, Server

LAST = "x-taxii-date-added-last"


class WrongAnswer(Exception):
    """A server answered, but not what it was asked; the message says what."""


class NotOffered(Exception):
    """The server does not compress like this."""


@dataclass(slots=True)
class Reading:
    """What a reading brought. `wall`: seconds spent waiting for the server; ours for checking are not in it."""

    found: int = 0
    wall: float = 0.0
    bytes: int = 0
    last: str = ""
    """The date at which the last object was added."""
    complete: bool = False
    seen: bytearray = field(default_factory=bytearray)
    """One bit for each index."""

    def tick(self, index: int) -> None:
        """Index `index` came. Raises WrongAnswer when it came before."""
        place, bit = index >> 3, 1 << (index & 7)
        if place >= len(self.seen):
            self.seen.extend(bytes(place + 1 - len(self.seen)))
        if self.seen[place] & bit:
            raise WrongAnswer(f"object {index} came twice")
        self.seen[place] |= bit
        self.found += 1

    def require(self, count: int) -> None:
        """Raises WrongAnswer unless a complete reading brought exactly the indexes below `count`."""
        if not self.complete:
            return
        if self.found != count or any(not self.seen[i >> 3] & 1 << (i & 7) for i in range(count)):
            raise WrongAnswer(f"{self.found} objects instead of {count}")


def read(
    server: Server,
    *,
    after: str = "",
    what: str = "objects",
    coding: str = "",
    patience: float = float("inf"),
) -> Reading:
    """Every page behind `after`, by `next` or else by the clock; stops unfinished after `patience` seconds of waiting.

    Raises WrongAnswer, NotOffered (with `coding`), OSError.
    """
    reading, asker, target = Reading(), server.asker, f"{server.path}{what}/?limit={LIMIT}"
    window = f"&added_after={quote(after)}" if after else ""
    with Line(server.address) as line:
        while reading.wall < patience:
            begun = time.perf_counter()
            answer = line.ask(asker.get(target + window, coding))
            reading.wall += time.perf_counter() - begun
            page = _opened(answer, coding)
            reading.bytes += len(answer.body)
            for item in page.get("objects", ()):
                reading.tick(index_of(item["id"]))
            reading.last = answer.headers.get(LAST) or _dated(page) or reading.last
            if not page.get("more"):
                reading.complete = True
                break
            # `next` continues the question that it was given with, so the other filters come along (section 3.5).
            more = f"&next={quote(str(page['next']))}" if page.get("next") else f"&added_after={quote(reading.last)}"
            window = more if not page.get("next") or not after else f"&added_after={quote(after)}{more}"
    return reading


def _opened(answer: Answer, coding: str) -> dict[str, Any]:
    if answer.status != 200:
        raise WrongAnswer(f"{answer.status}: {answer.body[:200]!r}")
    if coding and answer.headers.get("content-encoding") != coding:
        raise NotOffered
    return envelope(answer.plain)


def envelope(body: bytes) -> dict[str, Any]:
    """The page in a body. Raises WrongAnswer."""
    try:
        page: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongAnswer(f"no JSON: {error}") from error
    return page


def _dated(page: dict[str, Any]) -> str:
    entries = page.get("objects") or [{}]
    return str(entries[-1].get("date_added", ""))


def wait_for(server: Server, after: str, count: int, patience: float = 30.0) -> Reading:
    """Ask until `count` objects stand behind `after`. Raises WrongAnswer when they never do."""
    until, ask = time.monotonic() + patience, _asking(server, after)
    while (found := ask()).found != count:
        if time.monotonic() > until:
            raise WrongAnswer(f"{found.found} objects behind {after} instead of {count}")
    return found


def _asking(server: Server, after: str) -> Callable[[], Reading]:
    return lambda: read(server, after=after)
