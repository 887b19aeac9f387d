"""What crosses between rooms: pages, cursors, receipts, and the wire shapes of envelopes and bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from typing import Any, Literal, Protocol

import msgspec

from exchange.errors import ContentError
from exchange.model import stix
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.model.splitter import Splitter
from exchange.model.stix import StixObject

PAGE = 500
"""Objects of a page that we cut ourselves; one transaction takes at most 1,000 (RULES R18)."""

Cursor = Mapping[str, Any]
"""Where a source stands: JSON values only, opaque to everyone but the client that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Something received that could not be taken: its bytes, the reason code and the reason's fields."""

    raw: bytes
    code: str
    fields: Mapping[str, Any]
    id: str = ""
    """The STIX id or MISP uuid, as far as it could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something seen and deliberately not taken (an organisation not on the list, not newer): why, for `why`."""

    id: str
    code: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An original that is the source of truth for the objects made of it (a MISP event), kept as received."""

    kind: Literal["misp-event", "misp-event-begun"]
    """The latter: more pages of it follow, and without them it is not here."""
    id: str
    version: str
    raw: bytes
    """Empty: they came with an earlier page of the same drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one step of a pull, a POST or a file brought. `cursor` holds once the page is committed.

    `last`: the drain (or envelope) is complete with this page, so unmarked objects can be decided (RULES R11).
    """

    objects: Sequence[StixObject] = ()
    rejected: Sequence[Rejected] = ()
    skipped: Sequence[Skipped] = ()
    document: Document | None = None
    cursor: Cursor | None = None
    last: bool = False


def cut(page: Page) -> Iterator[Page]:
    """`page` in pieces for one transaction each (RULES R18); only the last carries the cursor and the end."""
    starts = range(0, max(len(page.objects), len(page.rejected), len(page.skipped), 1), PAGE)
    for start in starts:
        here, final = slice(start, start + PAGE), start == starts[-1]
        yield Page(
            objects=page.objects[here],
            rejected=page.rejected[here],
            skipped=page.skipped[here],
            document=page.document,
            cursor=page.cursor if final else None,
            last=page.last and final,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One version of one object on its way to a partner: the exact bytes that will leave.

    For a MISP it is an event: `id` is its uuid, `version` its timestamp in seconds, `body` is `{"Event": …}` with the
    parts that changed. What stands in its own lists `Sighting`, `ShadowAttribute`, `Note`, `Opinion`, `Relationship`
    and `GalaxyCluster` travels by calls of its own.
    """

    id: str
    version: str
    body: bytes
    status: str = ""
    """The partner's name for what it is still doing with it, from the last receipt; empty: it has said nothing."""
    gone: bool = False
    """TAXII: every version of it is to be deleted there; `body` is empty. *Accepted* is then: it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a partner said of one object that we handed over."""

    id: str
    version: str
    outcome: Literal["accepted", "refused", "pending"]
    message: str = ""
    """Codes of ours with their fields (`CODE NAME=VALUE; CODE …`, see `i18n.spoken`), or the peer's own words."""
    status: str = ""
    """Where a *pending* can be asked about again, by the partner's name; empty: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that a peer holds now, by its index: a row of a TAXII manifest, a MISP event."""

    id: str
    """A STIX id; the uuid of a MISP event."""
    version: str
    """As the peer writes it (`timestamp` of an event); empty: it does not say."""
    added: str
    """`date_added` as the peer writes it; empty: it does not say."""


class PeerClient(Protocol):
    """How we speak with one partner over one protocol; run against every implementation by the contract suite.

    Every call has a deadline. A page whose bytes cannot be read raises and leaves the cursor where it was. Errors are
    PeerUnreachable, PeerBusy (with retry_after), PeerRefused and PeerProtocol.
    """

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Every page that is new since `cursor`, to the end; the last one has `last` set. May be left early."""
        ...

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Hand `objects` over; one receipt for each. Sending the same twice does no harm."""
        ...

    def probe(self, flow: Source | Target, now: datetime) -> Profile:
        """How the peer behaves there; nothing is written, and a question that fails is left open."""
        ...

    def index(self, flow: Source | Target) -> Iterator[Sequence[Entry]]:
        """Everything that the peer holds there now, page by page, in bounded memory.

        It ends only when that was everything: raises PeerProtocol when the peer cannot say. A target that we may not
        read gives nothing.
        """
        ...

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """These of the entries of `index`, as `pull` would bring them, without a cursor.

        What is no longer there is `skipped`; the last page has `last` set.
        """
        ...


_NULL = msgspec.Raw(b"null")


class _Outer(msgspec.Struct):
    objects: msgspec.Raw = _NULL


class _Frame(msgspec.Struct):
    more: bool = False
    next: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A TAXII 2.1 envelope (section 3.7) or a STIX bundle: the bytes of each object, untouched."""

    objects: Sequence[bytes]
    more: bool
    next: str
    listed: bool = True
    """False: there was no list of objects at all (`{}`, or `null` in its place)."""


class _Crowd(Exception):
    """So many values stand in a list that they are counted one by one, instead of taken all at once."""


MANY = 1_000_000
"""Objects of one envelope, where nothing smaller is said."""
_MEMBERS = 10_000
"""Commas in an envelope around its list of objects."""


def open_envelope(body: bytes, most: int = MANY) -> Envelope:
    """The envelope, bundle or bare list in `body`; what is wrong inside one object is left for that object to fail.

    Raises ContentError when it is none of these, says something twice (RFC 7493 section 2.3), or holds more than
    `most` objects (then the field `most` says so).
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return _open(body, most)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Crowd):
        return _open_by_hand(body, most)


def _open(body: bytes, most: int) -> Envelope:
    """All at once, when `body` is strict JSON throughout."""
    if body.lstrip()[:1] == b"[":
        return Envelope(objects=_elements(body, most), more=False, next="")
    objects = bytes(msgspec.json.decode(body, type=_Outer).objects)
    if objects[:1] != b"[":
        frame = _frame(body)
        return Envelope(objects=_elements(objects, most), more=frame.more, next=frame.next, listed=False)
    # The same bytes may stand in another member too; whichever goes, the names stay.
    frame = _frame(body.replace(objects, b"[]", 1))
    return Envelope(objects=_elements(objects, most), more=frame.more, next=frame.next)


def _elements(objects: bytes, most: int) -> list[bytes]:
    # Every value but the last is followed by a comma. Where there may be far too many, taking them all to count them
    # would cost twenty bytes of memory for each byte that came.
    if objects.count(b",") > 4 * most:
        raise _Crowd
    found = [bytes(element) for element in msgspec.json.decode(objects, type=list[msgspec.Raw] | None) or ()]
    if len(found) > most:
        raise _too_many(most)
    return found


def _too_many(most: int) -> ContentError:
    return ContentError("content.envelope", detail=f"more than {most} objects", most=most)


def _frame(body: bytes) -> Envelope:
    """What stands around the objects, of which `body` holds none any more."""
    if body.count(b",") > _MEMBERS:
        raise ContentError("content.envelope", detail="too much around the list of objects")
    _unique(body, msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
    frame = msgspec.json.decode(body, type=_Frame)
    return Envelope(objects=(), more=frame.more, next="" if frame.next is None else str(frame.next))


_SPACE = re.compile(rb"[ \t\n\r]*+")
_NAME = re.compile(rb'[ \t\n\r]*+("(?:[^"\\]|\\.)*+")[ \t\n\r]*+:[ \t\n\r]*+', re.S)


def _unique(body: bytes, members: Mapping[str, msgspec.Raw]) -> None:
    """Raises ContentError when a name stands twice: of two values the decoder keeps the last."""
    seen: set[str] = set()
    position = body.find(b"{")
    while members and (found := _NAME.match(body, position + 1)):
        name = msgspec.json.decode(found[1], type=str)
        value = bytes(members[name])
        if name in seen or not body.startswith(value, found.end()):
            raise ContentError("content.duplicate", name=name[:80])
        seen.add(name)
        position = _past_space(body, found.end() + len(value))


def _past_space(body: bytes, position: int) -> int:
    found = _SPACE.match(body, position)
    return found.end() if found else position


def _open_by_hand(body: bytes, most: int) -> Envelope:
    """Object by object, so that a lone surrogate, a NaN or a bomb in one of them is the fault of that one alone."""
    # No object that anybody means has so many brackets; without an end to patience, one body would cost seconds.
    splitter, objects = Splitter(patience=100_000 + len(body) // 10), list[bytes]()
    for raw in splitter.feed(body):
        if len(objects) == most:
            raise _too_many(most)
        objects.append(raw)
    splitter.end()
    begin, end = splitter.span
    _commas_between(body[begin + 1 : end - 1], objects)
    if splitter.bare:
        return Envelope(objects=objects, more=False, next="")
    try:
        frame = _frame(body[:begin] + b"[]" + body[end:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContentError("content.envelope", detail=str(error)[:200]) from None
    return Envelope(objects=objects, more=frame.more, next=frame.next)


def _commas_between(text: bytes, elements: Sequence[bytes]) -> None:
    """Raises ContentError unless `text` is `elements` with one comma between each two, and nothing else."""
    position = 0
    for n, element in enumerate(elements):
        position = _past_space(text, position)
        if n:
            position = _past_space(text, position + 1) if text[position : position + 1] == b"," else len(text)
        if not text.startswith(element, position):
            raise ContentError("content.envelope", detail="the list of objects is malformed")
        position += len(element)
    if _past_space(text, position) != len(text):
        raise ContentError("content.envelope", detail="the list of objects is malformed")


def sift(raws: Iterable[bytes], *, stix20: bool = True) -> tuple[list[StixObject], list[Rejected]]:
    """Parse each object by itself: one bad object is set aside with its reason, the others go on.

    `stix20`: whether objects of STIX 2.0 may be among them.
    """
    good, bad = [], []
    for raw in raws:
        try:
            good.append(stix.parse(raw, stix20=stix20))
        except ContentError as error:
            bad.append(Rejected(raw=raw, code=error.code, fields=error.fields, id=id_in(raw)))
    return good, bad


_ID = re.compile(rb'"id"\s*:\s*"([a-z0-9-]{1,250}--[0-9a-fA-F-]{36})"')


def id_in(raw: bytes) -> str:
    """The first STIX id in bytes that may be no object at all; empty: there is none."""
    match = _ID.search(raw[:100_000])
    return match.group(1).decode("ascii") if match else ""


_CHUNK = 1 << 20


def stream(file: BufferedIOBase) -> Iterator[bytes]:
    """The objects of a bundle, envelope or list, one by one, in memory bounded by the largest of them.

    Raises ContentError when the file is not JSON of that shape, or ends in the middle.
    """
    splitter = Splitter()
    while chunk := file.read1(_CHUNK):  # what there is: of a file that is cut, everything before the cut
        yield from splitter.feed(chunk)
        if len(splitter.buffer) > stix.LARGEST + _CHUNK:
            raise ContentError("content.size", size=len(splitter.buffer), limit=stix.LARGEST)
    splitter.end()
