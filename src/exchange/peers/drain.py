"""Draining a TAXII collection: page after page until there is no more, on servers that do not keep to the standard.

The query is frozen during a drain: `next` is sent with the `added_after` that the drain began with. Where `next` is
missing or no longer taken, the drain goes on from the last `X-TAXII-Date-Added-Last`, one millisecond earlier, because
objects may share a `date_added` (medallion gives a whole POST one); what comes twice is recognised.
A page without anything new ends a drain, and so does a circle of pages, so no server can keep us for ever.

The cursor after a page is `{"added_after": TEXT, "partial": true}` within a drain and `{"added_after": TEXT}` at its
end. `next` is kept only for servers that give no dates: medallion's is consumed by use, so one sent again after a crash
would skip a page in silence. Until two pages have shown that the dates rise, the cursor stays where the drain began: a
server that lists the newest first would else be taken for read after its first page. A date that is still to come is
never a cursor: everything added before it would be passed over.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from exchange.errors import PeerBusy, PeerProtocol, PeerUnreachable
from exchange.model.envelope import PAGE, Cursor, Envelope, Page, Rejected, Skipped, sift
from exchange.model.party import Source
from exchange.model.stix import StixObject
from exchange.peers.dates import MILLISECOND, as_sent, moment_of, stamp
from exchange.peers.session import Session

_MOST = 8_000
"""The largest `limit` asked for, when one `date_added` fills a page."""
_LEAST = 50
_REMEMBERED = 20_000
"""Objects remembered to recognise what comes twice; memory must not grow with the collection."""
_PATIENCE = 2
"""Pages in a row without anything new, while `next` changes: some servers filter after paging."""
_MOST_BARREN = 8
"""The same by date, where the `limit` grows meanwhile."""
_RESUMES = 3
"""Times in a row that a drain goes on by date without anything new in between."""
_MARGIN = timedelta(minutes=10)
"""Subtracted from the server's `Date` where nothing says when objects were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request for a page."""

    added_after: str = ""
    next: str = ""
    limit: int | None = PAGE
    id: str = ""
    """Only this object."""

    def parameters(self) -> dict[str, Any]:
        """As taxii2-client's keyword arguments, which leave out what is empty."""
        return {"added_after": self.added_after, "next": self.next, "limit": self.limit, "id": self.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One page as the server gave it: envelope, `X-TAXII-Date-Added-First` and `-Last`, and `Date`, as text."""

    envelope: Envelope
    last: str
    date: str
    first: str = ""
    guessed: bool = False
    """That there is more is our guess (a full page); the server has promised nothing."""


class Reader(Protocol):
    """The collection that is drained."""

    def objects(self, query: Query) -> Reply | None:
        """A page; None when the server refuses this query (an expired `next`, a `limit` too large)."""
        ...

    def manifest(self, query: Query) -> Mapping[str, str]:
        """Id → `date_added`."""
        ...


@dataclass(slots=True)
class _Seen:
    """The objects that came last, by id and digest, as many as fit."""

    keys: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    forgot: bool = False
    """What seems new may have been forgotten."""

    def add(self, key: tuple[str, str], room: int) -> bool:
        """Whether `key` is new."""
        if key in self.keys:
            self.keys.move_to_end(key)
            return False
        self.keys[key] = None
        while len(self.keys) > room:
            self.keys.popitem(last=False)
            self.forgot = True
        return True


@dataclass(slots=True)
class _Lap:
    """Recognises a circle of pages that is longer than our memory (Brent): it keeps one page, and ever later ones."""

    kept: bytes = b""
    length: int = 1
    left: int = 1

    def closes(self, objects: Sequence[bytes]) -> bool:
        """Whether the page with these objects is the one that was kept."""
        digest = hashlib.sha256()
        for raw in objects:
            digest.update(raw)
        if digest.digest() == self.kept:
            return True
        self.left -= 1
        if self.left == 0:
            self.length *= 2
            self.kept, self.left = digest.digest(), self.length
        return False


class Drain:
    """The state of one drain; `pages` runs it."""

    def __init__(self, reader: Reader, source: Source, cursor: Cursor, session: Session) -> None:
        self._reader, self._source, self._session = reader, source, session
        begin = str(cursor.get("added_after") or "") or (stamp(source.since) if source.since else "")
        self._from: Cursor = dict(cursor)
        self._cursor: Cursor = self._from
        self._mark = begin
        self._sure = begin
        """The latest mark that is not still to come."""
        self._rising: bool | None = None
        """Whether the dates rise from page to page; None: not seen yet."""
        self._query = Query(added_after=begin, next=str(cursor.get("next") or ""))
        if cursor.get("partial") and not self._query.next:
            self._query = Query(added_after=_earlier(begin))
        self._seen = _Seen()
        self._lap = _Lap()
        self._room = _REMEMBERED
        self._largest = _MOST
        self._barren = 0
        self._allowance = 0
        """Barren pages to expect because pages that we have seen are being read again."""
        self._pages = 0
        self._resumes = 0
        self._first_date = ""
        self._dated = False
        """Whether this server says when objects were added."""
        self._has_manifest = True
        self._brought = False
        self._by_date = False
        """Whether the dates, and no `next`, have led from page to page."""
        self._promised = False
        """The page before this one said that there is more."""
        self._done = False
        self._clean = False
        """Done, and the server has nothing more as far as it says."""
        self._remarks: list[Skipped] = []

    def pages(self) -> Iterator[Page]:
        """The pages; the last one has `last` set, even when it is empty."""
        while not self._done:
            reply = self._ask()
            self._pages += 1
            self._first_date = self._first_date or reply.date
            self._room = max(_REMEMBERED, 2 * len(reply.envelope.objects))
            chunks = list(self._chunks(reply.envelope.objects))
            fresh = any(objects or rejected for objects, rejected in chunks)
            self._brought |= fresh
            self._advance(reply, fresh=fresh)
            yield from self._cut(chunks)

    def _cut(self, chunks: Sequence[tuple[list[StixObject], list[Rejected]]]) -> Iterator[Page]:
        """Pages of at most PAGE objects; only the last of a reply carries the new cursor."""
        before, self._cursor = self._cursor, self._position()
        filled = [chunk for chunk in chunks if chunk[0] or chunk[1]]
        for objects, rejected in filled[:-1]:
            yield Page(objects=objects, rejected=rejected, cursor=before)
        objects, rejected = filled[-1] if filled else ([], [])
        if objects or rejected or self._done:
            remarks = tuple(self._remarks)
            self._remarks.clear()
            yield Page(objects=objects, rejected=rejected, skipped=remarks, cursor=self._cursor, last=self._done)

    def _chunks(self, raws: Sequence[bytes]) -> Iterator[tuple[list[StixObject], list[Rejected]]]:
        for start in range(0, len(raws), PAGE):
            objects, rejected = sift(raws[start : start + PAGE])
            new = [o for o in objects if self._seen.add((o.id, o.version + o.digest.hex()), self._room)]
            bad = [r for r in rejected if self._seen.add(("", hashlib.sha256(r.raw).hexdigest()), self._room)]
            yield new, bad

    # What is asked

    def _ask(self) -> Reply:
        """The next page. A query that is not taken is changed until one is; the last refusal is raised."""
        while True:
            try:
                reply = self._reader.objects(self._query)
            except (PeerUnreachable, PeerBusy) as error:
                self._after_failure(error)
                continue
            except PeerProtocol as error:
                if error.code != "peer.too_large" or not self._smaller():
                    raise
                continue
            if reply is not None:
                return reply
            if not (self._query.next and self._resume()) and not self._ask_less():
                raise PeerProtocol("peer.query_refused", collection=self._source.collection, **self._session.blame)

    def _after_failure(self, error: PeerUnreachable | PeerBusy) -> None:
        """A request with `next` failed. It may have been consumed, so go on by date; others were tried enough."""
        if not self._query.next or error.code == "peer.interrupted":
            raise error
        pause = error.retry_after if isinstance(error, PeerBusy) and error.retry_after else 1.0
        if pause > self._session.limits.longest_pause or self._resumes >= _RESUMES:
            raise error
        self._session.rest(pause)
        if self._dated:
            self._resume()
        else:
            self._resumes += 1  # nowhere to resume from: ask the same again

    def _smaller(self) -> bool:
        """Ask for half as much: one page of large objects may be more than we read at once."""
        limit = self._query.limit
        if limit is None or limit <= _LEAST:
            return False
        self._largest = limit // 2
        self._query = replace(self._query, limit=self._largest)
        return not (self._query.next and self._dated) or self._resume()

    def _resume(self) -> bool:
        """Go on without `next`, from the last good date; False when that was tried often enough in vain."""
        if self._resumes >= _RESUMES:
            return False
        self._resumes += 1
        self._allowance = self._pages
        self._lap = _Lap()
        self._by_date |= self._dated
        after = _earlier(self._mark) if self._dated else self._query.added_after
        self._query = Query(added_after=after, limit=self._query.limit)
        return True

    def _ask_less(self) -> bool:
        """A smaller `limit`, another form of the date, no `limit`: whatever the server may have meant by its 400."""
        after, limit = self._query.added_after, self._query.limit
        moment = moment_of(after)
        if moment is not None and after != stamp(moment):
            self._query = Query(added_after=stamp(moment), limit=limit)
        elif limit is not None and limit > _LEAST:
            self._largest = limit // 2
            self._query = Query(added_after=after, limit=self._largest)
        elif limit is not None:
            self._query = Query(added_after=after, limit=None)
        else:
            return False
        return True

    # Where it stands

    def _advance(self, reply: Reply, *, fresh: bool) -> None:
        """Decide the next query, or that there is none."""
        envelope, limit = reply.envelope, self._query.limit
        full = limit is not None and len(envelope.objects) >= limit
        moved = self._move_mark(reply, fresh=fresh, ends=not envelope.more and not full)
        if fresh:
            self._barren = 0
        elif self._allowance > 0:
            self._allowance -= 1
        else:
            self._barren += 1
        if moved or (fresh and not self._seen.forgot):
            self._resumes = 0
        if fresh and self._lap.closes(envelope.objects):
            self._stop("peer.no_progress")
        elif envelope.more and envelope.next:
            self._follow(envelope.next)
        elif envelope.more or full:
            self._go_by_date(reply, fresh=fresh, moved=moved)
        else:
            self._end(fresh=fresh)
        self._promised = envelope.more and not reply.guessed

    def _end(self, *, fresh: bool) -> None:
        """Nothing more, says the server; if it has just promised more, it is not to be relied upon."""
        self._done = True
        lost = self._by_date and self._rising is False
        self._clean = not lost and (fresh or not self._promised)
        if not self._clean:
            self._remark("peer.no_position" if lost else "peer.cut_short")

    def _follow(self, following: str) -> None:
        # medallion gives the same token for every page, so a repeated token alone proves nothing.
        if self._barren > (0 if following == self._query.next else _PATIENCE):
            self._stop("peer.no_progress")
        else:
            self._query = Query(added_after=self._query.added_after, next=following, limit=self._query.limit)

    def _go_by_date(self, reply: Reply, *, fresh: bool, moved: bool) -> None:
        """No `next`: from the last date on, a little earlier, with a larger `limit` when one date fills the page."""
        limit = self._query.limit or PAGE
        self._by_date = True
        if not fresh and not moved and not reply.envelope.more:
            self._end(fresh=fresh)  # the page was full by chance and nothing follows
        elif not self._dated or self._rising is False:
            self._stop("peer.no_position")
        elif self._barren > _MOST_BARREN:
            self._stop("peer.no_progress")
        elif (after := _earlier(self._mark)) != self._query.added_after and (fresh or moved):
            self._query = Query(added_after=after, limit=limit)
        elif 2 * limit <= self._largest and self._query.added_after != self._mark:
            self._query = Query(added_after=self._query.added_after, limit=2 * limit)
        elif self._query.added_after != self._mark:
            self._remark("peer.one_date")
            self._query = Query(added_after=self._mark, limit=limit)
        else:
            self._stop("peer.no_progress")

    def _move_mark(self, reply: Reply, *, fresh: bool, ends: bool) -> bool:
        """Take over the page's last date if it is later; whether it was."""
        objects = reply.envelope.objects
        if not objects and not reply.envelope.more:
            return False  # some give the time of the query as the date of nothing
        last = reply.last if moment_of(reply.last) else self._manifest_date(objects, ends=ends)
        found, known = moment_of(last), moment_of(self._mark)
        if found is None:
            return False
        first = moment_of(reply.first) or found
        if fresh and (first > found or (known is not None and min(first, found) < known - MILLISECOND)):
            self._rising = False
        elif self._rising is None and self._dated and known is not None and found > known:
            self._rising = True
        self._dated = True
        if known is not None and found <= known:
            return False
        self._mark = as_sent(last)
        if found <= self._latest():
            self._sure = self._mark
        return True

    def _manifest_date(self, objects: Sequence[bytes], *, ends: bool) -> str:
        """The date of the page's last object as the manifest has it, for servers without the header."""
        last, _ = sift(objects[-1:])
        if not last or not self._has_manifest or (self._query.next and not ends):
            return ""
        dates = self._reader.manifest(Query(id=last[0].id) if self._query.next else self._query)
        self._has_manifest = bool(dates)
        return dates.get(last[0].id, "")

    def _latest(self) -> datetime:
        """Later than this, no object can have been added yet."""
        return self._session.clock() + _MARGIN

    def _position(self) -> Cursor:
        """The cursor that holds once this page is committed."""
        if self._done and self._clean:
            return self._final()
        if self._dated and self._rising:
            return {"added_after": self._sure, "partial": True}
        if not self._dated and not self._done:
            return {"added_after": self._query.added_after, "next": self._query.next}
        return self._from

    def _final(self) -> Cursor:
        """Where the next drain begins, everything having been read."""
        date, clock = moment_of(self._first_date), self._session.clock()
        then = min(date or clock, clock) - _MARGIN
        mark, sure = moment_of(self._mark), moment_of(self._sure)
        if self._dated and mark is not None and mark > self._latest():
            self._remark("peer.future_dates")
            return {"added_after": self._sure if sure is not None and sure > then else stamp(then)}
        if self._brought and not self._dated and date is not None:
            return {"added_after": stamp(then)}
        return {"added_after": self._mark} if self._mark else {}

    def _stop(self, code: str) -> None:
        self._remark(code)
        self._done = True

    def _remark(self, code: str) -> None:
        """Say so: the remark is kept with the pull, under the source's name."""
        fields = {"peer": self._source.peer, "collection": self._source.collection}
        self._remarks.append(Skipped(id=self._source.key, code=code, fields=fields))


def _earlier(text: str) -> str:
    """One millisecond before `text`; a text that is no date stays as it is."""
    moment = moment_of(text)
    return stamp(moment - MILLISECOND) if moment else text
