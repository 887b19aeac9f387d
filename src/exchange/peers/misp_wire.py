"""The calls of MISP's sync at one instance: addresses, headers, JSON, and what an instance need not offer.

Nothing outside misp-guard's allow-list is asked (reference misp.md §1.5); what is refused there is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import orjson

from exchange.errors import PeerError, PeerProtocol
from exchange.peers.documents import is_uuid, timestamp_of
from exchange.peers.session import Answer, Session

JSON = {"Accept": "application/json", "Content-Type": "application/json"}
VIEW = (
    "deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0/"
    "includeWarninglistHits:0/excludeLocalTags:1"
)
_ENDING = frozenset({"peer.interrupted", "peer.budget", "peer.too_large", "peer.proxy"})
"""Errors that are the same for every question, or that the asker wants to know."""
_LATEST = 2**53
"""What no clock shows: a number beyond it is no time, and no JSON reader agrees on it either."""


class NotOffered(Exception):
    """The instance does not answer this question, or not so that we understand it; the rest goes on without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event of the index; `sighted` is its `sighting_timestamp`, 0 where it has none."""

    timestamp: int
    uuid: str
    sighted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One instance over one session; `said` is what it says of itself (getVersion)."""

    session: Session
    url: str
    said: Mapping[str, Any] = field(default_factory=dict)

    def get(self, path: str, *, expect: Collection[int] = (), size: int | None = None) -> Answer:
        """GET `path` below the instance's URL; tried again when that may help."""
        return self.session.get(self._at(path), headers=JSON, expect=expect, size=self._within(size))

    def ask(
        self,
        path: str,
        wishes: Any,
        *,
        headers: Mapping[str, str] | None = None,
        size: int | None = None,
        expect: Collection[int] = (),
    ) -> Answer:
        """POST a question, which changes nothing there and so may be repeated."""
        body = orjson.dumps(wishes)
        return self.session.post(
            self._at(path), body, headers=JSON | dict(headers or {}), again=True, size=self._within(size), expect=expect
        )

    def beside(self, path: str, wishes: Any = None, *, size: int | None = None) -> bytes:
        """The answer to a question that is not necessary, asked once; raises NotOffered when there is none.

        An index of proposals may take a large instance minutes, and that must not keep its events from us. A wrong key
        and an instance that wants to be left alone (429) raise as ever, and so does `peer.too_large`.
        """
        body = None if wishes is None else orjson.dumps(wishes)
        method = "GET" if wishes is None else "POST"
        try:
            answer = self.session.request(method, self._at(path), headers=JSON, body=body, size=self._within(size))
        except PeerError as error:
            status = error.fields.get("status")
            if error.code in _ENDING or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
                raise
            raise NotOffered(str(status or error.code)) from None
        return answer.body

    def index(self, wishes: Mapping[str, Any], etag: str = "") -> Answer:
        """The minimal index of the published events, in one answer: MISP does not page it. 304: it is that of `etag`.

        Behind Apache, MISP's etags get the name of a coding at their end, which MISP does not know again.
        """
        for coding in ("-gzip", "-br"):
            etag = etag.removesuffix(f'{coding}"') + ('"' if etag.endswith(f'{coding}"') else "")
        return self.ask(
            "events/index", {"minimal": 1, "published": 1, **wishes}, headers={"If-None-Match": etag} if etag else {}
        )

    def rows(self, answer: Answer) -> tuple[list[Row], list[str]]:
        """The events of an index and the uuids that are none; raises PeerProtocol when it is no index."""
        found = self.read(answer)
        if not isinstance(found, list):
            raise self.malformed(answer, self.session.detail(answer))
        rows, odd = dict[str, Row](), []
        for row in found:
            uuid = row.get("uuid") if isinstance(row, dict) else None
            if isinstance(row, dict) and row.get("published") in (False, 0, "0"):
                continue  # asked for or not, what its creator did not publish is not ours to take
            if is_uuid(uuid):
                made = Row(
                    timestamp=timestamp_of(row), uuid=str(uuid).lower(), sighted=number_of(row, "sighting_timestamp")
                )
                rows[made.uuid] = max(made, rows.get(made.uuid, made), key=lambda each: each.timestamp)
            else:
                odd.append(str(uuid)[:80])
        return sorted(rows.values(), key=lambda row: (row.timestamp, row.uuid)), odd

    def standing(self, uuids: Sequence[str]) -> dict[str, int]:
        """Which of these events are published there, as far as we see, with their timestamps."""
        rows, _ = self.rows(self.index({"eventid": list(uuids)}))
        return {row.uuid: row.timestamp for row in rows if row.uuid in set(uuids)}

    def read(self, answer: Answer) -> Any:
        """The JSON in `answer`; raises PeerProtocol when it is none."""
        try:
            return orjson.loads(answer.body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise self.malformed(answer, str(error)) from None

    def malformed(self, answer: Answer, detail: str) -> PeerProtocol:
        """The error for an answer that cannot be read."""
        return PeerProtocol("peer.malformed", url=answer.url, detail=detail[:200], **self.session.blame)

    def may(self, right: str) -> bool:
        """Whether the instance says that our account has this right, or that it can do this."""
        return self.said.get(right) in (True, 1, "1")

    def _within(self, size: int | None) -> int:
        """The limit of an answer, which is never more than that of the session."""
        return min(size or self.session.limits.size, self.session.limits.size)

    def _at(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"


def number_of(row: Any, name: str) -> int:
    """A number that MISP may write as text; 0 for what is none."""
    try:
        found = int(row[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0
    return found if 0 <= found < _LATEST else 0


def records(body: bytes, name: str, inside: str = "") -> list[bytes]:
    """The bytes of each NAME in `[{NAME: {…}}, …]`, or in the list under `inside`; raises NotOffered when it is none.

    An element of another shape is left out: it is nothing that could be given on.
    """
    listed: Any = body
    if inside and not body.lstrip().startswith(b"["):
        listed = unpacked(body, dict[str, msgspec.Raw]).get(inside, b"null")
    rows = unpacked(listed, list[msgspec.Raw])
    kept = []
    for row in rows:
        try:
            inner = msgspec.json.decode(row, type=dict[str, msgspec.Raw]).get(name)
        except msgspec.DecodeError:
            continue
        if inner is not None and (raw := bytes(inner)).startswith(b"{"):
            kept.append(raw)
    return kept


def unpacked(body: Any, shape: Any) -> Any:
    """`body` as `shape`; raises NotOffered when it is something else."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotOffered(str(error)[:120]) from None


def chunks(items: Iterable[Any], most: int) -> list[list[Any]]:
    """`items` in lists of at most `most`."""
    whole = list(items)
    return [whole[start : start + most] for start in range(0, len(whole), most)]
