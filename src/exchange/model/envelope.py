"""What crosses between rooms: pages, cursors, receipts, and the wire shapes of envelopes and bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

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
    except msgspec.DecodeError as error:
        raise ContentError("content.envelope", detail=str(error)[:200]) from None
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
_NAME = 64
"""Bytes before a list that can hold `"objects":`."""


class _Splitter:
    """The place in a JSON file where the objects of a list begin and end, fed chunk by chunk."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.position = self.depth = self.listed = 0  # `listed`: the depth of the list while inside it
        self.start = -1
        self.complete = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The objects that end in `chunk`; what is settled is forgotten."""
        self.buffer += chunk
        for token in _TOKEN.finditer(self.buffer, self.position):
            mark = token.group()
            if mark[:1] == b'"':
                if token["end"] != b'"':
                    break
            elif mark in b"{[":
                self._open(mark, token.start())
            else:
                if self.start >= 0 and self.depth == self.listed + 1:
                    yield bytes(self.buffer[self.start : token.end()])
                    self.start = -1
                self._close()
            self.position = token.end()
        settled = self.start if self.start >= 0 else max(0, self.position - _NAME)
        del self.buffer[:settled]
        self.position -= settled
        self.start = min(self.start, 0)

    def _open(self, mark: bytes, at: int) -> None:
        self.depth += 1
        if not self.listed and mark == b"[" and self._opens_objects(at):
            self.listed = self.depth
        elif mark == b"{" and self.listed and self.depth == self.listed + 1:
            self.start = at

    def _close(self) -> None:
        self.depth -= 1
        if self.listed and self.depth < self.listed:
            self.listed, self.complete = 0, True

    def _opens_objects(self, at: int) -> bool:
        """Whether the `[` at `at` opens the list of objects: it is the whole file, or the value of `objects`."""
        if self.depth == 1:
            return True
        before = bytes(self.buffer[max(0, at - _NAME) : at]).rstrip().removesuffix(b":").rstrip()
        return self.depth == 2 and before.endswith(b'"objects"')


def stream(file: BinaryIO) -> Iterator[bytes]:
    """The objects of a bundle, envelope or list, one by one, in memory bounded by the largest of them.

    Raises ContentError when the file is not JSON of that shape, or ends in the middle.
    """
    splitter = _Splitter()
    while chunk := file.read(_CHUNK):
        yield from splitter.feed(chunk)
        if len(splitter.buffer) > stix.LARGEST + _CHUNK:
            raise ContentError("content.size", size=len(splitter.buffer), limit=stix.LARGEST)
    if splitter.depth or not splitter.complete:
        raise ContentError("content.envelope", detail="unexpected end" if splitter.depth else "no list of objects")
