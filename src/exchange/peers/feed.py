"""A MISP feed: a manifest and one file for each event, read over HTTP (MISP app/Model/Feed.php; reference misp.md §3).

The cursor is `{"etag": TEXT, "events": {uuid: timestamp}}`: what was taken, whatever became of it. Within a load
it also holds how far the load came (`at`) in which manifest (`of`), so that an interrupted load goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from exchange.errors import ContentError, PeerProtocol
from exchange.model.envelope import Cursor, Document, Entry, Outgoing, Page, Receipt, Rejected, Skipped
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.peers.access import Access
from exchange.peers.documents import check_event, is_uuid, pages_of, timestamp_of
from exchange.peers.probe import probe
from exchange.peers.session import Answer, Session

_ACCEPT = {"Accept": "application/json, text/plain, text/*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One event of the manifest that we do not have in this state."""

    timestamp: int
    uuid: str

    @property
    def place(self) -> list[Any]:
        return [self.timestamp, self.uuid]


class FeedClient:
    """Pull the events of a MISP feed (contract: `exchange.model.envelope.PeerClient`).

    A page holds the original of one event in `document` and no objects: converting is not done here.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Events that are new or changed by the manifest, oldest change first; unchanged manifest: one empty page."""
        with self._access.session(source.url) as session:
            yield from _Load(session, source, cursor).pages()

    def probe(self, flow: Source | Target, now: datetime) -> Profile:
        """How it behaves; see `peers.probe`."""
        return probe(self._access, flow, now=now)

    def index(self, flow: Source | Target) -> Iterator[Sequence[Entry]]:
        """The manifest as it is now; `version` is the event's timestamp."""
        with self._access.session(flow.url) as session:
            manifest = _manifest(session.get(_base(flow.url) + "manifest.json", headers=_ACCEPT), session)
            yield from pages_of((uuid, timestamp_of(row)) for uuid, row in manifest.items() if is_uuid(uuid))

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """The files of these events, one page for each."""
        with self._access.session(source.url) as session:
            load = _Load(session, source, {})
            for uuid in filter(is_uuid, ids):
                yield load.event(_Item(timestamp=0, uuid=uuid))
        yield Page(last=True)

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """A feed is read only."""
        raise PeerProtocol("peer.read_only", collection=target.id, count=len(objects), **self._access.blame)


class _Load:
    """The state of one load."""

    def __init__(self, session: Session, source: Source, cursor: Cursor) -> None:
        self._session, self._source, self._cursor = session, source, cursor
        self._base = _base(source.url)
        self._taken: dict[str, int] = dict(cursor.get("events") or {})
        self._complete = True

    def pages(self) -> Iterator[Page]:
        etag = str(self._cursor.get("etag") or "")
        headers = _ACCEPT | ({"If-None-Match": etag} if etag else {})
        answer = self._session.get(self._base + "manifest.json", headers=headers)
        if answer.status == HTTPStatus.NOT_MODIFIED:
            yield Page(cursor=self._cursor, last=True)
            return
        manifest = _manifest(answer, self._session)
        digest = hashlib.sha256(answer.body).hexdigest()[:32]
        changed, remarks = self._changed(manifest, digest)
        before = {"events": dict(self._cursor.get("events") or {}), "of": digest}
        for entry in changed:
            page = self.event(entry)
            yield Page(
                document=page.document,
                rejected=page.rejected,
                skipped=page.skipped,
                cursor=before | {"at": entry.place},
            )
        done = {"etag": answer.headers.get("ETag", "") if self._complete else "", "events": self._taken}
        yield Page(skipped=remarks, cursor=done, last=True)

    def _changed(self, manifest: Mapping[str, Any], digest: str) -> tuple[list[_Item], list[Skipped]]:
        """What is to be fetched, in order; what the same manifest's interrupted load had done is left out."""
        since = int(self._source.since.timestamp()) if self._source.since else 0
        at = self._cursor.get("at") if self._cursor.get("of") == digest else None
        entries, old, remarks = [], 0, []
        for uuid, row in manifest.items():
            timestamp = timestamp_of(row)
            if not is_uuid(uuid):
                remarks.append(Skipped(id=str(uuid)[:80], code="misp.bad_uuid", fields={"value": str(uuid)[:80]}))
            elif uuid in self._taken and timestamp <= self._taken[uuid]:
                continue
            elif timestamp < since:
                old += uuid not in self._taken
                self._taken[uuid] = timestamp
            else:
                entries.append(_Item(timestamp=timestamp, uuid=uuid))
        entries.sort(key=lambda entry: (entry.timestamp, entry.uuid))
        if at is not None:
            self._taken.update({e.uuid: e.timestamp for e in entries if e.place <= list(at)})
            entries = [entry for entry in entries if entry.place > list(at)]
        if old:
            remarks.append(
                Skipped(id=self._source.key, code="peer.before_since", fields={"count": old, "peer": self._source.peer})
            )
        return entries, remarks

    def event(self, entry: _Item) -> Page:
        """One event as a page. A file that is not there yet is asked for again next time."""
        try:
            answer = self._session.get(f"{self._base}{entry.uuid}.json", headers=_ACCEPT, expect={HTTPStatus.NOT_FOUND})
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            self._taken[entry.uuid] = entry.timestamp
            return Page(rejected=[Rejected(raw=b"", code=error.code, fields=error.fields, id=entry.uuid)])
        if answer.status == HTTPStatus.NOT_FOUND:
            self._complete = False
            return Page(skipped=[Skipped(id=entry.uuid, code="misp.no_file", fields={"peer": self._source.peer})])
        self._taken[entry.uuid] = entry.timestamp
        try:
            event = check_event(answer.body, entry.uuid)
        except ContentError as error:
            return Page(rejected=[Rejected(raw=answer.body, code=error.code, fields=error.fields, id=entry.uuid)])
        version = str(event.get("timestamp") or entry.timestamp)
        return Page(document=Document(kind="misp-event", id=entry.uuid, version=version, raw=answer.body))


def _manifest(answer: Answer, session: Session) -> Mapping[str, Any]:
    try:
        found = orjson.loads(answer.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise PeerProtocol("peer.malformed", url=answer.url, detail=str(error)[:200], **session.blame) from None
    if found == []:  # PHP writes an empty map so
        return {}
    if not isinstance(found, dict):
        detail = type(found).__name__
        raise PeerProtocol("peer.malformed", url=answer.url, detail=detail, **session.blame)
    return found


def _base(url: str) -> str:
    return url.rstrip("/") + "/"
