"""Readers of a collection, each with its habit: how it asks for the next page, as real clients do.

A reader keeps nothing but the window of its next question. It has no notion of nodes, of time or of who else reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from falcon.testing import Result

from tests.properties.depot import MANIFEST, OBJECTS

Get = Callable[[str, Mapping[str, str]], Result]
"""Asks one address with one query."""
WHOLE = len("2026-11-21T12:00:00.000000")
MILLISECONDS = len("2026-11-21T12:00:00.000")
SECONDS = len("2026-11-21T12:00:00")


@dataclass(frozen=True, slots=True)
class Answer:
    """A page as a client understands it; `first` and `last` are the Date-Added headers, empty when there are none."""

    items: Sequence[Mapping[str, Any]]
    more: bool
    next: str
    first: str
    last: str


def understood(result: Result) -> Answer:
    """The page in a response, which must be one."""
    assert result.status_code == 200, result.text
    body = orjson.loads(result.content)
    headers = result.headers
    return Answer(
        items=body.get("objects", ()),
        more=body.get("more", False),
        next=body.get("next", ""),
        first=headers.get("x-taxii-date-added-first", ""),
        last=headers.get("x-taxii-date-added-last", ""),
    )


class Reader(ABC):
    """Asks `path` for what is new, page by page; `asked` is what it asks for besides."""

    path: ClassVar[str] = OBJECTS
    kept: ClassVar[int] = WHOLE
    """How much of a date it keeps: one that cuts dates may get things again, but may miss nothing (RULES R20)."""

    def __init__(self, asked: Mapping[str, str] | None = None) -> None:
        self.asked = dict(asked or {})
        self.window: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.asked})"

    @property
    def exact(self) -> bool:
        """Whether it gets each listing exactly once."""
        return self.kept == WHOLE

    def cut(self, date: str) -> str:
        """A date as this reader keeps it."""
        return f"{date[: self.kept]}Z"

    def query(self, limit: int | None) -> dict[str, str]:
        """Its next question; `limit` None: it leaves the size of the page to the server."""
        return self.asked | self.window | ({} if limit is None else {"limit": str(limit)})

    def ask(self, get: Get, limit: int | None = None) -> Answer:
        """One page."""
        query = self.query(limit)
        answer = understood(get(self.path, query))
        self.learn(answer, get, query)
        return answer

    @abstractmethod
    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        """What it takes from an answer for its next question; an empty one leaves its mark where it is."""


class Header(Reader):
    """`X-TAXII-Date-Added-Last` as the next `added_after` (section 3.5)."""

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        if answer.last:
            self.window = {"added_after": self.cut(answer.last)}


class HeaderInMilliseconds(Header):
    """The same by way of a JavaScript date."""

    kept = MILLISECONDS


class HeaderInSeconds(Header):
    """The same by way of a Unix time."""

    kept = SECONDS


class Next(Header):
    """The same question with `next` while there is more; the next round begins after the last date."""

    def __init__(self, asked: Mapping[str, str] | None = None) -> None:
        super().__init__(asked)
        self._mark: dict[str, str] = {}

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        if answer.last:
            self._mark = {"added_after": self.cut(answer.last)}
        self.window = {**self.window, "next": answer.next} if answer.more else self._mark


class NextThenMilliseconds(Next):
    """OpenCTI: `next` within a round, and rounds that begin after the last date cut to milliseconds."""

    kept = MILLISECONDS


class Both(Header):
    """OpenCTI before 2024: `next` and a moved `added_after` together."""

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        super().learn(answer, get, query)
        if answer.more:
            self.window["next"] = answer.next


class NextAsDate(Header):
    """The early XSOAR feed: what came as `next` is sent as `added_after`."""

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        super().learn(answer, get, query)
        if answer.more:
            self.window = {"added_after": answer.next}


class DateOfManifest(Reader):
    """Takes objects, and then the last `added_after` from the manifest of the same window."""

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        entries = understood(get(MANIFEST, query)).items
        if entries:
            self.window = {"added_after": entries[-1]["date_added"]}


class Manifest(Next):
    """Reads the manifest alone, by `next`."""

    path = MANIFEST


class ManifestByDate(Reader):
    """Reads the manifest alone, by the dates in it."""

    path = MANIFEST

    def learn(self, answer: Answer, get: Get, query: Mapping[str, str]) -> None:
        if answer.items:
            self.window = {"added_after": answer.items[-1]["date_added"]}


READERS: Sequence[type[Reader]] = (
    Next,
    Header,
    HeaderInMilliseconds,
    HeaderInSeconds,
    NextThenMilliseconds,
    Both,
    NextAsDate,
    DateOfManifest,
    Manifest,
    ManifestByDate,
)
