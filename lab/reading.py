"""A TAXII 2.1 collection read with taxii2-client, in both ways that real clients page: by `next`, and by the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from taxii2client import v21
from taxii2client.common import _HTTPConnection

LAST = "X-TAXII-Date-Added-Last"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """One account's view of one collection."""

    url: str
    user: str
    password: str = field(repr=False)

    def by_next(self, limit: int = 97) -> list[Object]:
        """Every object, by following `next`."""
        with _open(self) as (collection, _):
            pages = v21.as_pages(collection.get_objects, per_request=limit)
            return [object_ for page in pages for object_ in page.get("objects", [])]

    def by_clock(self, limit: int = 97, after: str = "") -> list[Object]:
        """Every object, each page asked for by the time at which the last one of the page before was added."""
        return [object_ for page in self.pages_by_clock(limit, after) for object_ in page]

    def pages_by_clock(self, limit: int, after: str = "") -> Iterator[list[Object]]:
        """The pages of `by_clock`, one at a time: memory stays that of a page."""
        with _open(self) as (collection, headers):
            while True:
                headers.clear()
                wishes = {"added_after": after} if after else {}
                page = collection.get_objects(limit=limit, **wishes)
                yield page.get("objects", [])
                if not page.get("more"):
                    return
                after = headers[LAST]

    def last_added(self) -> str:
        """When the newest object was added."""
        with _open(self) as (collection, headers):
            after = ""
            while True:
                page = collection.get_objects(limit=1000, **({"added_after": after} if after else {}))
                after = headers.get(LAST, after)
                if not page.get("more"):
                    return after

    def one(self, id_: str) -> list[Object]:
        """The object with this id, if it is there."""
        with _open(self) as (collection, _):
            found: list[Object] = collection.get_object(id_).get("objects", [])
            return found


class _open:  # noqa: N801 - used as a function
    """The client's collection, and the headers of its last answer, which it hides."""

    def __init__(self, reader: Reader) -> None:
        self._conn = _HTTPConnection(reader.user, reader.password, version="2.1")
        self._url, self._headers = reader.url, CaseInsensitiveDict[str]()

    def __enter__(self) -> tuple[Any, CaseInsensitiveDict[str]]:
        def note(answer: requests.Response, *_: object, **__: object) -> None:
            self._headers.update(answer.headers)

        self._conn.session.hooks["response"].append(note)
        return v21.Collection(self._url, conn=self._conn), self._headers

    def __exit__(self, *_: object) -> None:
        self._conn.session.close()


def key(object_: Mapping[str, Any]) -> tuple[str, str]:
    """What tells objects apart: id and version."""
    return object_["id"], str(object_.get("modified") or object_.get("created") or "")


def repeated(objects: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What came more than once."""
    return [name for name, count in Counter(map(key, objects)).items() if count > 1]
