"""The one HTTP client for all servers: light, so that what is measured is the server."""

from __future__ import annotations

import gzip
import importlib.util
import io
import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from lab.partners import TAXII

Address = tuple[str, int]
TIMEOUT = 120.0
_PIECE = 1 << 18
CODINGS = ("gzip", *(["zstd"] if importlib.util.find_spec("zstandard") else []))
"""What this client can unpack."""


class BrokenAnswer(OSError):
    """The server hung up in the middle of an answer, or answered what is no HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def plain(self) -> bytes:
        """The body as it was before it was compressed."""
        coding = self.headers.get("content-encoding", "")
        if coding == "gzip":
            return gzip.decompress(self.body)
        if coding == "zstd":
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(self.body), read_across_frames=True) as stream:
                return bytes(stream.read())
        return self.body


@dataclass(slots=True)
class Reply:
    """The bytes of a response as they come in."""

    _bytes: bytearray = field(default_factory=bytearray)
    _status: int = 0
    _headers: dict[str, str] = field(default_factory=dict)
    _start: int = 0
    _length: int | None = None

    def feed(self, piece: bytes) -> Answer | None:
        """Take what came (nothing: the server hung up); the answer, when it is complete."""
        self._bytes += piece
        if not self._start and not self._head():
            if not piece:
                raise BrokenAnswer("hung up")
            return None
        if self._length is not None:
            if len(self._bytes) - self._start >= self._length:
                return self._answer(bytes(self._bytes[self._start : self._start + self._length]))
        elif self._headers.get("transfer-encoding") == "chunked":
            if self._bytes.endswith(b"0\r\n\r\n") and (body := _joined(self._bytes, self._start)) is not None:
                return self._answer(body)
        elif not piece:
            return self._answer(bytes(self._bytes[self._start :]))
        if not piece:
            raise BrokenAnswer("hung up")
        return None

    @property
    def closes(self) -> bool:
        """Whether the server hangs up after this response."""
        return self._headers.get("connection", "").lower() == "close"

    def _head(self) -> bool:
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self._bytes[:end].decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1."):
            raise BrokenAnswer(first[:100])
        self._status = int(first.split(" ", 2)[1])
        self._headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = self._headers.get("content-length")
        self._length = 0 if self._status in (204, 304) else int(length) if length is not None else None
        self._start = end + 4
        return True

    def _answer(self, body: bytes) -> Answer:
        return Answer(self._status, self._headers, body)


def _joined(raw: bytearray, at: int) -> bytes | None:
    """The chunks of a body; None: there are more to come."""
    parts: list[bytes] = []
    while (end := raw.find(b"\r\n", at)) >= 0:
        size = int(raw[at:end].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(bytes(raw[end + 2 : end + 2 + size]))
        at = end + 4 + size
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Writes requests for one server and account."""

    address: Address
    auth: tuple[str, str] | None = None

    def get(self, target: str, coding: str = "") -> bytes:
        """The bytes of a GET."""
        return self._head("GET", target, f"Accept-Encoding: {coding}\r\n" if coding else "")

    def post(self, target: str, body: bytes) -> bytes:
        """The bytes of a POST of an envelope."""
        return self._head("POST", target, f"Content-Type: {TAXII}\r\nContent-Length: {len(body)}\r\n") + body

    def _head(self, method: str, target: str, more: str) -> bytes:
        host, port = self.address
        if self.auth:
            more += f"Authorization: Basic {b64encode(':'.join(self.auth).encode()).decode()}\r\n"
        return f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: {TAXII}\r\n{more}\r\n".encode()


class Line:
    """A connection that is kept, and made anew where the server does not keep it."""

    def __init__(self, address: Address, timeout: float = TIMEOUT) -> None:
        self._address, self._timeout = address, timeout
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> Answer:
        """Send, and wait for the whole answer. Raises OSError."""
        kept = self._socket is not None
        try:
            return self._ask(request)
        except (BrokenAnswer, ConnectionError):
            self.close()
            if not kept:
                raise
        return self._ask(request)  # the server had let go of the idle connection

    def _ask(self, request: bytes) -> Answer:
        line = self._socket = self._socket or socket.create_connection(self._address, self._timeout)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(request)
        reply = Reply()
        while True:
            answer = reply.feed(line.recv(_PIECE))
            if answer is not None:
                if reply.closes:
                    self.close()
                return answer

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
