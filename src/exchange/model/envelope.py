"""What crosses between rooms: pages, cursors, receipts, and the wire shapes of envelopes and bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Literal, Protocol

import msgspec

from exchange.errors import ContentError
from exchange.model import stix
from exchange.model.party import Source, Target
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

    kind: Literal["misp-event"]
    id: str
    version: str
    raw: bytes


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
    """One version of one object on its way to a partner: the exact bytes that will leave."""

    id: str
    version: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a partner said of one object that we handed over."""

    id: str
    version: str
    outcome: Literal["accepted", "refused", "pending"]
    message: str = ""


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


class _Envelope(msgspec.Struct):
    objects: list[msgspec.Raw] | None = None
    more: bool = False
    next: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A TAXII 2.1 envelope (section 3.7) or a STIX bundle: the bytes of each object, untouched."""

    objects: Sequence[bytes]
    more: bool
    next: str


def open_envelope(body: bytes) -> Envelope:
    """The envelope, bundle or bare list in `body`. Raises ContentError when it is none of these."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        if body.lstrip()[:1] == b"[":
            return Envelope(
                objects=[bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])],
                more=False,
                next="",
            )
        found = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ContentError("content.envelope", detail=str(error)[:200]) from None
    except RecursionError:
        raise ContentError("content.depth", limit=stix.DEEPEST) from None
    following = "" if found.next is None else str(found.next)
    return Envelope(objects=[bytes(raw) for raw in found.objects or ()], more=found.more, next=following)


def sift(raws: Iterable[bytes]) -> tuple[list[StixObject], list[Rejected]]:
    """Parse each object by itself: one bad object is set aside with its reason, the others go on."""
    good, bad = [], []
    for raw in raws:
        try:
            good.append(stix.parse(raw))
        except ContentError as error:
            bad.append(Rejected(raw=raw, code=error.code, fields=error.fields, id=_id_in(raw)))
    return good, bad


_ID = re.compile(rb'"id"\s*:\s*"([a-z0-9-]{1,250}--[0-9a-fA-F-]{36})"')


def _id_in(raw: bytes) -> str:
    match = _ID.search(raw[:100_000])
    return match.group(1).decode("ascii") if match else ""


# A string (perhaps cut off by the end of the chunk) or a bracket; brackets inside strings are no tokens.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)|[{}\[\]]', re.S)
_CHUNK = 1 << 20
_CLOSES = {b"{": b"}", b"[": b"]"}


class _Splitter:
    """The place in a JSON file where the objects of a list begin and end, fed chunk by chunk."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.position = 0
        self.open: list[bytes] = []
        """The brackets that are open, outermost first."""
        self.listed = 0
        """How many were open when the list of objects began, that one included; 0: it has not, or is over."""
        self.start = -1
        self.name = b""
        """The last string of the outermost object: before a value that is its name."""
        self.complete = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The elements that end in `chunk`; what is settled is forgotten."""
        self.buffer += chunk
        for token in _TOKEN.finditer(self.buffer, self.position):
            mark = token.group()
            if mark[:1] == b'"' and token["end"] != b'"':
                break
            yield from self._between(bytes(self.buffer[self.position : token.start()]))
            if mark[:1] == b'"':
                yield from self._string(mark)
            elif mark in _CLOSES:
                self._opened(mark, token.start())
            else:
                yield from self._closed(mark, token.end())
            self.position = token.end()
        settled = self.start if self.start >= 0 else self.position
        del self.buffer[:settled]
        self.position -= settled
        self.start = min(self.start, 0)

    def end(self) -> None:
        """Raises ContentError unless the file is whole and held a list."""
        if self.open or not self.complete or self.buffer.strip():
            raise ContentError("content.envelope", detail="unexpected end" if self.open else "no list of objects")

    def _between(self, text: bytes) -> Iterator[bytes]:
        """Outside of everything nothing may stand; in the list, what is no object is an element all the same."""
        if not self.open and text.strip().removeprefix(b"\xef\xbb\xbf"):
            raise ContentError("content.envelope", detail="text around the list")
        if self.listed and len(self.open) == self.listed:
            yield from (element.strip() for element in text.split(b",") if element.strip())

    def _string(self, mark: bytes) -> Iterator[bytes]:
        if not self.open:
            raise ContentError("content.envelope", detail="text around the list")
        if len(self.open) == 1:
            self.name = mark
        if len(self.open) == self.listed:
            yield mark

    def _opened(self, mark: bytes, at: int) -> None:
        if not self.open and self.complete:
            raise ContentError("content.envelope", detail="text around the list")
        if self.listed and len(self.open) == self.listed:
            self.start = at
        self.open.append(mark)
        whole, member = len(self.open) == 1, len(self.open) == 2 and self.name == b'"objects"'
        if not self.listed and mark == b"[" and (whole or (member and self.open[0] == b"{")):
            self.listed = len(self.open)

    def _closed(self, mark: bytes, at: int) -> Iterator[bytes]:
        if not self.open or _CLOSES[self.open.pop()] != mark:
            raise ContentError("content.envelope", detail="brackets do not match")
        if self.start >= 0 and len(self.open) == self.listed:
            yield bytes(self.buffer[self.start : at])
            self.start = -1
        if self.listed and len(self.open) < self.listed:
            self.listed, self.complete = 0, True


def stream(file: BufferedIOBase) -> Iterator[bytes]:
    """The objects of a bundle, envelope or list, one by one, in memory bounded by the largest of them.

    Raises ContentError when the file is not JSON of that shape, or ends in the middle.
    """
    splitter = _Splitter()
    while chunk := file.read1(_CHUNK):  # what there is: of a file that is cut, everything before the cut
        yield from splitter.feed(chunk)
        if len(splitter.buffer) > stix.LARGEST + _CHUNK:
            raise ContentError("content.size", size=len(splitter.buffer), limit=stix.LARGEST)
    splitter.end()
