"""One collection at a TAXII 2.0 server, in the shape in which the drain loop reads TAXII 2.1.

TAXII 2.0 pages by the header `Range: items FIRST-LAST` and answers `Content-Range: items FIRST-LAST/TOTAL` (section
3.4); the place in the collection is what stands for `next` here. Its text shows `items 0-9`, taxii2-client sends
`items=0-9`, and servers take one or the other: the second is tried when the first is refused. A server that takes
neither gives everything at once.

`added_after` is inclusive at some servers, so the last objects come at every poll and are known; the offset proves
progress within a drain, so no page can be asked for twice (OpenCTI-Platform/connectors#7604).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
from taxii2client import v20

from exchange.model.envelope import Entry, Envelope
from exchange.peers.collection import Listed, Reader
from exchange.peers.connection import Connection
from exchange.peers.drain import Query, Reply
from exchange.peers.session import Answer, Session

_RANGE = re.compile(r"items[ =]\s*([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)\s*\Z", re.IGNORECASE)


class Connection20(Connection):
    """A connection that says `Range` in the form that the server takes."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, "2.0")
        self._sign = " "

    def get(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None) -> Any:
        """As for TAXII 2.1; a refused `Range` is said once more in its other form."""
        wanted = dict(headers or {})
        place = wanted.pop("Range", "").removeprefix("items=")
        if not place:
            return super().get(url, wanted, params)
        answer = super().get(url, {**wanted, "Range": f"items{self._sign}{place}"}, params)
        first = answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and place.startswith("0-")
        if (first or answer.status == HTTPStatus.BAD_REQUEST) and self._sign == " ":
            second = super().get(url, {**wanted, "Range": f"items={place}"}, params)
            if second.status < HTTPStatus.BAD_REQUEST:
                self._sign = "="
                return second
        return answer


class Reader20(Reader):
    """A query in, an envelope with its dates out."""

    resource: ClassVar[Any] = v20.Collection

    def _parameters(self, query: Query) -> dict[str, Any]:
        return {"added_after": query.added_after, "start": _start(query), "per_request": query.limit or 0}

    def _reply(self, answer: Answer, envelope: Envelope, query: Query) -> Reply:
        following = _following(answer, query, len(envelope.objects))
        whole = Envelope(objects=envelope.objects, more=bool(following), next=following)
        total = _RANGE.search(answer.headers.get("Content-Range", ""))
        guessed = total is None or total[3] == "*"
        reply = replace(super()._reply(answer, whole, query), guessed=guessed)
        if envelope.objects and not reply.last:
            reply = replace(reply, envelope=whole, last=self._last(envelope, query))
        return reply

    def _last(self, envelope: Envelope, query: Query) -> str:
        """When the page's last object was added, as the manifest of the same range says."""
        dates = self.manifest(query)
        try:
            last = msgspec.json.decode(envelope.objects[-1], type=dict[str, Any]).get("id")
        except msgspec.DecodeError:
            return ""
        return dates.get(str(last), "")

    def _listing(self, answer: Answer, said: Mapping[str, Any], entries: list[Entry], query: Query) -> Listed:
        rows = said.get("objects")
        following = _following(answer, query, len(rows) if isinstance(rows, list) else 0)
        return Listed(entries=entries, more=bool(following), next=following)

    def _entry(self, row: Any) -> Entry | None:
        entry = super()._entry(row)
        versions = row.get("versions") if entry else None
        if entry is None or not isinstance(versions, list):
            return entry
        newest = max((text for text in versions if isinstance(text, str)), default="")
        return Entry(id=entry.id, version=newest, added=entry.added)


def _start(query: Query) -> int:
    return int(query.next) if query.next.isdecimal() else 0


def _following(answer: Answer, query: Query, count: int) -> str:
    """Where the next page begins; empty: there is none.

    What the server says of its range is believed as far as it moves us on.
    """
    if count == 0 or query.limit is None:
        return ""
    end = str(_start(query) + count)
    found = _RANGE.search(answer.headers.get("Content-Range", ""))
    if found and int(found[1]) == _start(query):
        return end if found[3] == "*" or int(found[3]) > int(end) else ""
    # Without a range, anything but a full page is everything that there is.
    return end if answer.status == HTTPStatus.PARTIAL_CONTENT or count == query.limit else ""
