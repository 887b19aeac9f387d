"""How a TAXII server keeps to the standard where a subscriber depends on it (reference: TAXII 2.1 sections 3 to 5)."""

from __future__ import annotations

import re
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from exchange.errors import ContentError, PeerProtocol
from exchange.model.envelope import PAGE, Envelope, id_in, open_envelope
from exchange.model.party import Source, Target
from exchange.peers.collection import collection_url, open_collection
from exchange.peers.connection import ASK_AGAIN, MEDIA_TYPE, Connection
from exchange.peers.dates import moment_of
from exchange.peers.notes import Notes, text, texts
from exchange.peers.roots import Roots, version_of
from exchange.peers.session import Answer
from exchange.peers.taxii20 import Connection20

_STIX_20 = "application/vnd.oasis.stix+json; version=2.0"
_MOST_BYTES = 1 << 53
_SIX = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z\Z")
_DIGITS = re.compile(r"[0-9-]{10}T[0-9:]{8}(\.[0-9]+)?Z\Z", re.IGNORECASE)
_OFFSET = re.compile(r"[0-9-]{10}[T ][0-9:]{8}(\.[0-9]+)?[+-][0-9:]{4,5}\Z", re.IGNORECASE)
_HTTP = re.compile(r"[A-Za-z]{3}, ")


def look(notes: Notes) -> None:
    """Write down everything about a TAXII source or target; what fails is left out."""
    roots = Roots(notes.access)
    notes.step(lambda: _discovery(notes, roots))
    root = notes.step(lambda: _root(notes, roots))
    if root is None:
        return
    version = version_of(notes.entry)
    with notes.access.session(root) as session:
        connection = Connection20(session) if version == "2.0" else Connection(session)
        notes.found(speaks=f"TAXII {version}")
        notes.step(lambda: _about(notes, connection, root))
        can_read = notes.step(lambda: _rights(notes, connection, root))
        notes.step(lambda: _others(notes, connection, root))
        if can_read:
            pages = _Pages(notes, connection, collection_url(root, notes.entry.collection))
            notes.step(pages.look)


def _discovery(notes: Notes, roots: Roots) -> None:
    version = version_of(notes.entry)
    for place in roots.places(notes.entry):
        found = roots.named(place, version)
        if found:
            notes.found(roots=tuple(found))
            return


def _root(notes: Notes, roots: Roots) -> str:
    """The API root that has the collection: the configured one, else by discovery."""
    entry = notes.entry
    root = roots.of(entry)
    with notes.access.session(root) as session:
        try:
            open_collection(Connection(session, version_of(entry)), root, entry.collection)
        except PeerProtocol as error:
            if error.code != "peer.no_collection":
                raise
            return roots.find(entry, error)
    return root


def _about(notes: Notes, connection: Connection, root: str) -> None:
    said = connection.get(root)
    notes.found(title=text(said, "title") or text(said, "display_name"), versions=texts(said.get("versions")))
    try:
        notes.found(max_content_length=min(max(1, int(said["max_content_length"])), _MOST_BYTES))
    except (KeyError, TypeError, ValueError, OverflowError):
        return


def _rights(notes: Notes, connection: Connection, root: str) -> bool:
    """Whether we may read; what we may do too much or too little is a remark."""
    entry = notes.entry
    collection = open_collection(connection, root, entry.collection)
    notes.found(can_read=collection.can_read, can_write=collection.can_write)
    handed = {target.collection for target in notes.access.peer.targets}
    if isinstance(entry, Source) and not collection.can_read:
        notes.remark("probe.may_not_read", collection=entry.collection)
    if isinstance(entry, Target) and not collection.can_write:
        notes.remark("peer.read_only", collection=entry.collection)
    if isinstance(entry, Source) and collection.can_write and entry.collection not in handed:
        notes.remark("probe.may_write", collection=entry.collection)
    return bool(collection.can_read)


def _others(notes: Notes, connection: Connection, root: str) -> None:
    """The other collections that our account may use, though nothing of ours asks for them."""
    said = connection.get(f"{root.rstrip('/')}/collections/").get("collections")
    rows = [row for row in said if isinstance(row, dict)] if isinstance(said, list) else []
    peer = notes.access.peer
    named = {flow.collection for flow in (notes.entry, *peer.sources, *peer.targets)}
    seen = [row for row in rows if row.get("can_read") is True or row.get("can_write") is True]
    notes.found(collections=len(seen))
    extra = [row for row in seen if not named & {text(row, "id"), text(row, "alias")}]
    if extra and not notes.access.credentials.anonymous:
        notes.remark("probe.sees_more", count=len(extra))


class _Pages:
    """How a collection is paged, by at most five questions."""

    def __init__(self, notes: Notes, connection: Connection, url: str) -> None:
        self._notes, self._connection, self._url = notes, connection, url
        self._old = connection.version == "2.0"

    def look(self) -> None:
        """One object, a page as in a drain, the same date again, the manifest."""
        answer, envelope = self._page(1)
        if answer.status in ASK_AGAIN:
            self._refused(1)
            return
        self._media_type(answer)
        self._one(answer, envelope)
        self._notes.step(self._many)
        first = answer.headers.get("X-TAXII-Date-Added-First", "") or answer.headers.get("X-TAXII-Date-Added-Last", "")
        if envelope.objects and len(envelope.objects) == 1 and moment_of(first):
            self._notes.step(lambda: self._again(first, envelope))
        self._notes.step(lambda: self._manifest(empty=not envelope.objects))

    def _page(self, limit: int, resource: str = "objects", after: str = "") -> tuple[Answer, Envelope]:
        """An answer and what is in it; it is read as objects or rows, which look alike from outside."""
        params = {"added_after": after} if after else {}
        headers = {"Accept": _STIX_20 if self._old and resource == "objects" else MEDIA_TYPE[self._connection.version]}
        if self._old:
            headers["Range"] = f"items=0-{limit - 1}"
        else:
            params["limit"] = str(limit)
        place = f"{self._url}{resource}/"
        answer = self._notes.timed(lambda: self._connection.get(place, headers, params))
        if answer.status >= HTTPStatus.BAD_REQUEST or not answer.body.strip():
            return answer, Envelope(objects=(), more=False, next="")
        try:
            return answer, open_envelope(answer.body)
        except ContentError as error:
            detail, blame = str(error.fields.get("detail", "")), self._connection.session.blame
            raise PeerProtocol("peer.malformed", url=answer.url, detail=detail, **blame) from None

    def _media_type(self, answer: Answer) -> None:
        got = answer.headers.get("Content-Type", "")
        self._notes.found(media_type=got)
        right = _STIX_20 if self._old else MEDIA_TYPE["2.1"]
        plain = got.replace(" ", "").lower()
        if answer.body.strip() and not all(part in plain for part in right.replace(" ", "").split(";")):
            self._notes.remark("probe.media_type", got=got or "-")

    def _one(self, answer: Answer, envelope: Envelope) -> None:
        """What a page of one object says: `limit`, `next`, dates."""
        if not envelope.objects:
            return  # an empty collection says nothing of how it is paged
        count = len(envelope.objects)
        self._notes.found(limit="honoured" if count == 1 else "ignored")
        if count > 1:
            self._notes.remark("probe.limit_ignored", count=count)
        if self._old:
            self._notes.found(following="range" if answer.headers.get("Content-Range") else "missing")
        elif envelope.more:
            following = ("timestamp" if moment_of(envelope.next) else "opaque") if envelope.next else "missing"
            self._notes.found(following=following)
            if not envelope.next:
                self._notes.remark("probe.no_next")
        form = date_form(answer.headers.get("X-TAXII-Date-Added-Last", ""))
        self._notes.found(dates=form)
        if form in ("missing", "unreadable"):
            self._notes.remark("probe.no_dates")
        elif form != "six digits":
            self._notes.remark("probe.date_form", form=answer.headers.get("X-TAXII-Date-Added-Last", "")[:60])

    def _many(self) -> None:
        """A page as large as in a drain."""
        answer, envelope = self._page(PAGE)
        if answer.status in ASK_AGAIN:
            self._refused(PAGE)
            return
        count = len(envelope.objects)
        self._notes.found(page=count)
        ranged = re.search(r"/([0-9]{1,15})\s*\Z", answer.headers.get("Content-Range", ""))
        if count < PAGE and (envelope.more or (ranged and int(ranged[1]) > count)):
            self._notes.found(limit="cut")

    def _refused(self, limit: int) -> None:
        self._notes.found(limit="refused")
        self._notes.remark("probe.limit_refused", limit=limit)

    def _again(self, date: str, before: Envelope) -> None:
        """What is added after the first object's date: that same object, at some servers."""
        answer, envelope = self._page(1, after=date)
        if answer.status not in ASK_AGAIN:
            same = bool(envelope.objects) and id_in(envelope.objects[0]) == id_in(before.objects[0])
            self._notes.found(inclusive=same)
            if same:
                self._notes.remark("probe.inclusive")

    def _manifest(self, *, empty: bool) -> None:
        answer, envelope = self._page(PAGE, "manifest")
        if answer.status in ASK_AGAIN:
            if not empty:
                self._notes.found(manifest="missing")
                self._notes.remark("probe.no_manifest")
            return
        dates = [moment for row in envelope.objects if (moment := _added(row))]
        if envelope.objects:
            self._notes.found(manifest="dated" if len(dates) == len(envelope.objects) else "undated")
            tied = len(set(dates)) < len(dates)
            self._notes.found(ties=tied)
            if tied:
                self._notes.remark("probe.ties")


def _added(row: bytes) -> datetime | None:
    try:
        said: Any = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    return moment_of(text(said, "date_added")) if isinstance(said, dict) else None


def date_form(value: str) -> str:
    """How a Date-Added header is written, by the words of `Profile.dates`."""
    value = value.strip()
    if not value:
        return "missing"
    forms = ((_SIX, "six digits"), (_DIGITS, "other digits"), (_OFFSET, "offset"), (_HTTP, "http"))
    for form, name in forms:
        if form.match(value):
            return name
    return "javascript" if moment_of(value) else "unreadable"
