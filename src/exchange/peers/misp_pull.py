"""One pull of a MISP instance: its index, the events that are new or changed, and what is beside them.

The cursor is `{"etag", "events", "sightings", "beside"}`: what was taken, as `misp_marks` remembers it, and the etag of
an index of which everything was taken. Events come in one order, oldest change first, and are fetched a few at a time;
the cursor moves over what was yielded, so whoever breaks off goes on where they were. In a large instance not every
page carries a cursor, or the cursors would weigh more than the events.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from typing import Any

from exchange.errors import ContentError, PeerProtocol
from exchange.model.envelope import Cursor, Document, Page, Rejected, Skipped
from exchange.model.party import Source
from exchange.peers.access import Access
from exchange.peers.documents import check_event, is_uuid, timestamp_of
from exchange.peers.misp_beside import TOGETHER, Beside, Extra, spliced
from exchange.peers.misp_marks import Marks
from exchange.peers.misp_wire import VIEW, Row, Wire, chunks
from exchange.peers.session import Answer

AT_ONCE = 4
"""Events fetched at a time."""
SMALL = 8 * 1024 * 1024
"""Bytes of an event that may wait beside others; a larger one is fetched alone, in its turn."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})
_AHEAD = timedelta(minutes=5)
_SPARSE = 1000
"""One more page without a cursor for each so many events that the cursor remembers."""


class Drain:
    """The state of one drain."""

    def __init__(self, wire: Wire, access: Access, source: Source, cursor: Cursor) -> None:
        self._wire, self._source, self._cursor = wire, source, cursor
        self._viewer = Viewer(wire, access, source)
        self._marks = {name: Marks(cursor.get(name)) for name in ("events", "sightings", "beside")}
        now = wire.session.clock()
        self._beside = Beside(wire, source.key, source.peer, self._marks, now)
        self._latest = int((now + _AHEAD).timestamp())
        self._bare = 0
        """Pages since the last cursor."""

    def pages(self) -> Iterator[Page]:
        """Everything that is new, to the end."""
        etag = str(self._cursor.get("etag") or "")
        answer = self._index(etag)
        self._beside.ask(first=not len(self._marks["events"]))
        if answer.status == HTTPStatus.NOT_MODIFIED:
            if not self._beside.has_news():
                yield Page(skipped=self._beside.remarks, cursor=self._cursor, last=True)
                return
            answer = self._index("")
        rows, odd = self._wire.rows(answer)
        self._beside.remarks += [Skipped(id=text, code="misp.bad_uuid", fields={"value": text}) for text in odd]
        yield from self._changed(rows)
        self._beside.end()
        self._marks["events"].only((row.uuid, row.timestamp) for row in rows)
        self._marks["sightings"].only((row.uuid, row.sighted) for row in rows)
        etag = answer.headers.get("ETag", "") if self._beside.complete else ""
        yield Page(skipped=self._beside.remarks, cursor=self._position() | {"etag": etag}, last=True)

    def _index(self, etag: str) -> Answer:
        since = self._source.since
        return self._wire.index({"publish_timestamp": str(int(since.timestamp()))} if since else {}, etag)

    def _changed(self, rows: Sequence[Row]) -> Iterator[Page]:
        news = self._beside.events()
        due = [row for row in rows if self._is_due(row) or row.uuid in news]
        with self._viewer.open() as viewer:
            for some in chunks(due, TOGETHER):
                sightings = self._beside.sightings(some)
                # Whose sightings are not to be had, or not now, is left alone where nothing else is new.
                wanted = [row for row in some if row.uuid in news or self._is_due(row, sightings)]
                for row, answer in viewer.views(wanted):
                    page = self._page(row, answer, sightings.get(row.uuid, []))
                    del answer  # one event may have a hundred megabytes
                    yield page
                    del page

    def _is_due(self, row: Row, had: Mapping[str, Any] | None = None) -> bool:
        if (row.uuid, row.timestamp) not in self._marks["events"]:
            return True
        sighted = row.sighted and self._beside.shows_sightings and (had is None or had.get(row.uuid) is not None)
        return bool(sighted) and (row.uuid, row.sighted) not in self._marks["sightings"]

    def _page(self, row: Row, answer: Answer | PeerProtocol, sightings: list[Extra] | None) -> Page:
        extras = [] if not isinstance(answer, Answer) else self._beside.of(row.uuid, answer.body)
        page = page_of(row, answer, [*(sightings or ()), *extras], self._source.peer)
        self._marks["events"].add((row.uuid, row.timestamp))
        self._marks["beside"].add(*(extra.mark for extra in extras))
        if row.sighted and sightings is not None and self._beside.shows_sightings:
            self._marks["sightings"].add((row.uuid, row.sighted))
        if row.timestamp > self._latest:
            fields = {"peer": self._source.peer, "timestamp": row.timestamp}
            page = replace(page, skipped=[*page.skipped, Skipped(id=row.uuid, code="misp.future", fields=fields)])
        self._bare += 1
        if self._bare > len(self._marks["events"]) // _SPARSE:
            self._bare = 0
            return replace(page, cursor=self._position())
        return page

    def _position(self) -> dict[str, Any]:
        return {name: marks.text() for name, marks in self._marks.items()}


def fetched(wire: Wire, access: Access, source: Source, ids: Sequence[str]) -> Iterator[Page]:
    """These events with what is beside them, a page for each, and one more with the remarks."""
    rows = [Row(uuid=uuid.lower(), timestamp=0, sighted=1) for uuid in ids if is_uuid(uuid)]
    nothing = {name: Marks() for name in ("events", "sightings", "beside")}
    beside = Beside(wire, source.key, source.peer, nothing, wire.session.clock())
    if rows:
        beside.ask(first=True, analyst_data=False)  # what there is of these events stands in them
    with Viewer(wire, access, source).open() as viewer:
        for some in chunks(rows, TOGETHER):
            sightings = beside.sightings(some)
            for row, answer in viewer.views(some):
                extras = [] if not isinstance(answer, Answer) else beside.of(row.uuid, answer.body)
                page = page_of(row, answer, [*(sightings.get(row.uuid) or ()), *extras], source.peer)
                del answer
                yield page
                del page
    # What the instance does not give at all is said by the pull.
    yield Page(skipped=[remark for remark in beside.remarks if remark.id != source.key], last=True)


def page_of(row: Row, answer: Answer | PeerProtocol, extras: Sequence[Extra], peer: str) -> Page:
    """The page of one event; one that is not shown is skipped, one that is none or is too large set aside."""
    if isinstance(answer, PeerProtocol):
        return Page(rejected=[Rejected(raw=b"", code=answer.code, fields=answer.fields, id=row.uuid)])
    if answer.status in _GONE:
        fields = {"peer": peer, "status": answer.status}
        return Page(skipped=[Skipped(id=row.uuid, code="misp.gone", fields=fields)])
    try:
        event = check_event(answer.body, row.uuid)
    except ContentError as error:
        return Page(rejected=[Rejected(raw=answer.body, code=error.code, fields=error.fields, id=row.uuid)])
    version = str(timestamp_of(event) or row.timestamp)
    raw = spliced(answer.body, extras)
    return Page(document=Document(kind="misp-event", id=row.uuid, version=version, raw=raw))


@dataclass(slots=True)
class Viewer:
    """Fetches events, AT_ONCE at a time, each thread over a session of its own."""

    _wire: Wire
    _access: Access
    _source: Source

    @contextmanager
    def open(self) -> Iterator[_Views]:
        """Threads and sessions, given back at the end; what is under way is waited for, what only waits is not made."""
        with ExitStack() as sessions:
            pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"pull {self._source.key}")
            try:
                yield _Views(self._wire, self._access, self._source, pool, sessions)
            finally:
                pool.shutdown(cancel_futures=True)


class _Views:
    def __init__(
        self, wire: Wire, access: Access, source: Source, pool: ThreadPoolExecutor, sessions: ExitStack
    ) -> None:
        self._wire, self._access, self._source = wire, access, source
        self._pool, self._sessions = pool, sessions
        self._lock, self._own = threading.Lock(), threading.local()
        self._asked_again = False

    def views(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Answer | PeerProtocol]]:
        """The answers in the order of `rows`; PeerProtocol stands for an event that is too large."""
        rest = iter(rows)
        waiting: deque[tuple[Row, Future[Answer | None]]] = deque()
        waiting.extend((row, self._pool.submit(self._small, row)) for row in islice(rest, AT_ONCE))
        while waiting:
            row, future = waiting.popleft()
            answer = future.result()
            if answer is None:
                yield row, self._large(row)
            else:
                if answer.status == HTTPStatus.FORBIDDEN:
                    self._still_welcome()
                yield row, answer
            del answer, future  # while the next one comes, this one need not stay
            following = next(rest, None)
            if following is not None:
                waiting.append((following, self._pool.submit(self._small, following)))

    def _small(self, row: Row) -> Answer | None:
        """The event, in one of the threads; None: it is too large to wait beside others."""
        wire = getattr(self._own, "wire", None)
        if wire is None:
            with self._lock:
                session = self._sessions.enter_context(self._access.session(self._source.url))
            wire = self._own.wire = replace(self._wire, session=session)
        try:
            return self._view(wire, row, SMALL)
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            return None

    def _large(self, row: Row) -> Answer | PeerProtocol:
        try:
            return self._view(self._wire, row, self._wire.session.limits.size)
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            return error

    @staticmethod
    def _view(wire: Wire, row: Row, size: int) -> Answer:
        return wire.get(f"events/view/{row.uuid}/{VIEW}", expect=_GONE, size=size)

    def _still_welcome(self) -> None:
        """Raises PeerRefused when it is not this event that we may not see, but our key that is no longer good."""
        if not self._asked_again:
            self._asked_again = True
            self._wire.read(self._wire.get("servers/getVersion"))
