"""Where the objects of an envelope, a bundle or a list begin and end, found without reading what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.errors import ContentError

# A string (perhaps cut off by the end of the chunk) or a bracket; brackets inside strings are no tokens.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)|[{}\[\]]', re.S)
_STRINGS = re.compile(rb'(?:[^"{}\[\]]|"(?:[^"\\]|\\.)*+")*+', re.S)
_BETWEEN_COMMAS = re.compile(rb"[^,]+")
_DEEPEST = 10_000
"""Levels that are followed to the end of an object; one that has more than `stix.DEEPEST` is then set aside."""
_CLOSES = {b"{": b"}", b"[": b"]"}


class Splitter:
    """The place in a JSON file where the objects of a list begin and end, fed chunk by chunk."""

    def __init__(self, patience: int = 2**62) -> None:
        self.patience = patience
        """How many more tokens are looked at."""
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
        self.span = (0, 0)
        """Where the list begins and ends, counted from the beginning of the file."""
        self.forgotten = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The elements that end in `chunk`; what is settled is forgotten."""
        self.buffer += chunk
        while token := _TOKEN.search(self.buffer, self._past_strings()):
            mark = token.group()
            if mark[:1] == b'"' and token["end"] != b'"':
                break
            self.patience -= 1
            if self.patience < 0:
                raise ContentError("content.envelope", detail="too many brackets")
            if not self._inside:
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
        self.forgotten += settled
        self.position -= settled
        self.start = min(self.start, 0)

    @property
    def _inside(self) -> bool:
        """Whether this is a place where nothing matters but where it ends."""
        return len(self.open) > max(self.listed, 1)

    def _past_strings(self) -> int:
        """Where to look for the next token: strings inside an object are none."""
        found = _STRINGS.match(self.buffer, self.position) if self._inside else None
        return found.end() if found else self.position

    @property
    def bare(self) -> bool:
        """Whether the list is all that there is."""
        return self.name == b""

    def end(self) -> None:
        """Raises ContentError unless the file is whole and held a list."""
        if self.open or not self.complete or self.buffer.strip():
            raise ContentError("content.envelope", detail="unexpected end" if self.open else "no list of objects")

    def _between(self, text: bytes) -> Iterator[bytes]:
        """Outside of everything nothing may stand; in the list, what is no object is an element all the same."""
        if not self.open and text.strip().removeprefix(b"\xef\xbb\xbf"):
            raise ContentError("content.envelope", detail="text around the list")
        if self.listed and len(self.open) == self.listed:
            yield from (found[0].strip() for found in _BETWEEN_COMMAS.finditer(text) if found[0].strip())

    def _string(self, mark: bytes) -> Iterator[bytes]:
        if not self.open:
            raise ContentError("content.envelope", detail="text around the list")
        if self.open == [b"{"]:
            self.name = mark
        if len(self.open) == self.listed:
            yield mark

    def _opened(self, mark: bytes, at: int) -> None:
        if not self.open and self.complete:
            raise ContentError("content.envelope", detail="text around the list")
        if self.listed and len(self.open) == self.listed:
            self.start = at
        if len(self.open) == _DEEPEST:
            raise ContentError("content.depth", limit=_DEEPEST)
        self.open.append(mark)
        whole, member = len(self.open) == 1, len(self.open) == 2 and self.name == b'"objects"'
        if not self.listed and mark == b"[" and (whole or (member and self.open[0] == b"{")):
            if self.complete:
                raise ContentError("content.duplicate", name="objects")
            self.listed = len(self.open)
            self.span = (self.forgotten + at, 0)

    def _closed(self, mark: bytes, at: int) -> Iterator[bytes]:
        if not self.open or _CLOSES[self.open.pop()] != mark:
            raise ContentError("content.envelope", detail="brackets do not match")
        if self.start >= 0 and len(self.open) == self.listed:
            yield bytes(self.buffer[self.start : at])
            self.start = -1
        if self.listed and len(self.open) < self.listed:
            self.listed, self.complete = 0, True
            self.span = (self.span[0], self.forgotten + at)
