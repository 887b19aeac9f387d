"""An HTTP adapter whose every read ends by a deadline, whatever the other side does.

The timeouts of requests hold for one read of the socket each: a peer that sends one byte a minute never meets them (a
poll hung for five days: oasis-open/cti-taxii-client#49). Here the time left of the whole request is the timeout of
each read, of the header as of the body.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadline:
    """A moment by which a request has to be over, and the longest that one read may take."""

    def __init__(self, total: float, read: float, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._stopwatch = stopwatch
        self._read = read
        self._end = stopwatch() + total

    def left(self) -> float:
        """Seconds that the next read may take; raises TimeoutError when there are none."""
        left = self._end - self._stopwatch()
        if left <= 0:
            raise TimeoutError("the deadline of the whole request has passed")
        return min(left, self._read)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """Requests started in this block, by this thread, end by `deadline`."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


class _Reader(io.RawIOBase):
    """The reading side of a socket, which sets the time left before each read."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        self._raw, self._connection, self._deadline = raw, connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = _current.get()
        if deadline is not None:
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, deadline))


class _Plain(HTTPConnection):
    response_class = _Response


class _Secure(HTTPSConnection):
    response_class = _Response


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class BoundedAdapter(HTTPAdapter):
    """requests' adapter on connections that obey `within`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
