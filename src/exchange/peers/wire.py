"""An HTTP adapter whose every read ends by a deadline, whatever the other side does.

The timeouts of requests hold for one read of the socket each: a peer that sends one byte a minute never meets them (a
poll hung for five days: oasis-open/cti-taxii-client#49). Here the time left of the whole request is the timeout of
each read, of the header as of the body. And each TLS handshake is told, with the certificate that was shown.
"""

from __future__ import annotations

import base64
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


Shaken = Callable[[bytes], None]
"""Told of each TLS handshake: the other side's certificate in DER form."""

_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
_shaken: ContextVar[Shaken | None] = ContextVar("shaken", default=None)


@contextmanager
def within(deadline: Deadline, shaken: Shaken | None = None) -> Iterator[None]:
    """Requests started in this block, by this thread, end by `deadline` and tell their handshakes to `shaken`."""
    tokens = _current.set(deadline), _shaken.set(shaken)
    try:
        yield
    finally:
        _current.reset(tokens[0])
        _shaken.reset(tokens[1])


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

    def connect(self) -> None:
        super().connect()
        shaken, seen = _shaken.get(), getattr(self.sock, "getpeercert", None)
        certificate = seen(binary_form=True) if shaken and seen else None
        if shaken and certificate:
            shaken(certificate)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class BoundedAdapter(HTTPAdapter):
    """requests' adapter on connections that obey `within`, to the other side or to a proxy.

    A proxy's secret is here and not in its URL, which errors repeat.
    """

    def __init__(self, proxy_user: str = "", proxy_password: str = "", **options: Any) -> None:
        self._proxy_login = {"Proxy-Authorization": _basic(proxy_user, proxy_password)} if proxy_user else {}
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002
        """What a proxy asks for, at CONNECT and with each plain request."""
        return self._proxy_login

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
