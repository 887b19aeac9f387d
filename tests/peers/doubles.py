"""Servers to pull from: one that answers by a function, a TAXII collection with chosen faults, one that drips."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from exchange.model.party import Credentials, Peer, Source, Target
from exchange.peers import Access, Limits, client_for

COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
TAXII = "application/taxii+json;version=2.1"
PEER = Peer(id="ccc", name="CCC", contact="echange@ccc.example")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HTTP_NOW = NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Told:
    """An answer. Of a body in pieces nobody says how long it is; a header that is None is left out."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


@dataclass
class Running:
    url: str
    asked: list[Asked]


@contextmanager
def serving(answer: Callable[[Asked], Told], tls: ssl.SSLContext | None = None) -> Iterator[Running]:
    """A server on 127.0.0.1 that answers by a function and remembers what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked.append(Asked(self.command, unquote(parts.path), query, dict(self.headers), body))
            told = answer(asked[-1])
            pieces = [told.body] if isinstance(told.body, bytes) else told.body
            length = str(len(told.body)) if isinstance(told.body, bytes) else None
            self.send_response_only(told.status)
            for name, value in {"Date": HTTP_NOW, "Content-Length": length, **told.headers}.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            for piece in pieces if self.command != "HEAD" else ():
                self.wfile.write(piece)

        def __getattr__(self, name: str) -> Any:
            if name in ("do_GET", "do_HEAD", "do_POST", "do_DELETE"):
                return self._reply
            raise AttributeError(name)

        def log_message(self, *_: Any) -> None:
            """Requests are remembered, not printed."""

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake is left to the thread of the connection: one that is never finished would hold up all others.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Running(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def dripping(head: bytes, pause: float = 0.02) -> Iterator[str]:
    """A server that sends `head` at once and then one byte every `pause` seconds, for ever."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def run() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(head)
                    while not stop.wait(pause):
                        connection.sendall(b" ")
                except OSError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stop.set()
        thread.join()
        listener.close()


@dataclass
class Waits:
    """A `wait` that does not, and remembers."""

    seconds: list[float] = field(default_factory=list)
    stopping: bool = False

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.stopping


def access(waits: Waits | None = None, **options: Any) -> Access:
    credentials = options.pop("credentials", Credentials(user="cert-qc", password="s3cret"))
    limits = Limits(**options)
    return Access(peer=PEER, credentials=credentials, clock=lambda: NOW, wait=waits or Waits(), limits=limits)


def client(
    kind: Any,
    waits: Waits | None = None,
    credentials: Credentials | None = None,
    clock: Callable[[], datetime] = lambda: NOW,
    **limits: Any,
) -> Any:
    return client_for(
        PEER,
        kind,
        credentials or Credentials(user="cert-qc", password="s3cret"),
        clock=clock,
        wait=waits or Waits(),
        limits=Limits(**limits) if limits else None,
    )


def source(url: str, kind: Any = "taxii", **more: Any) -> Source:
    return Source(peer="ccc", id="alertes", kind=kind, url=url, collection=COLLECTION, **more)


def target(url: str, kind: Any = "taxii") -> Target:
    return Target(peer="ccc", id="depot", kind=kind, url=url, collection=COLLECTION)


def indicator(number: int) -> dict[str, Any]:
    when = f"2026-01-01T00:00:00.{number % 1000:03d}Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": when,
        "modified": when,
        "pattern": f"[domain-name:value = 'h{number}.example']",
        "pattern_type": "stix",
        "valid_from": when,
    }


def stamp(tick: int) -> str:
    """`date_added` number `tick`: two ticks are two milliseconds apart."""
    return f"2026-02-01T00:{tick // 30000:02d}:{tick // 500 % 60:02d}.{tick % 500 * 2:03d}000Z"


@dataclass
class Shelf:
    """A TAXII collection: objects with the tick at which each was added, and the faults of its server."""

    ticks: list[int]
    page: int = 30
    gives_next: bool = True
    next_dies_after: int | None = None
    gives_dates: bool = True
    gives_manifest: bool = True
    gives_more: bool = True
    inclusive: bool = False
    date: Callable[[str], str] = lambda text: text
    _used: int = 0

    def __call__(self, asked: Asked) -> Told:
        if asked.path.endswith("/objects/"):
            return self._objects(asked.query)
        if asked.path.endswith("/manifest/") and self.gives_manifest:
            found, *_ = self._select(asked.query)
            rows = [{"id": indicator(n)["id"], "date_added": stamp(self.ticks[n])} for n in found]
            return Told(body=json.dumps({"objects": rows}).encode())
        return Told(404)

    def _select(self, query: Mapping[str, str]) -> tuple[list[int], int, int]:
        after = query.get("added_after", "").replace("+00:00", "Z")
        kept = [
            number
            for number, tick in enumerate(self.ticks)
            if not after or stamp(tick) > after or (self.inclusive and stamp(tick) == after)
        ]
        start = int(query.get("next", "0"))
        size = min(self.page, int(query.get("limit", self.page)))
        return kept[start : start + size], start + size, len(kept)

    def _objects(self, query: Mapping[str, str]) -> Told:
        if "next" in query:
            self._used += 1
            if self.next_dies_after is not None and self._used > self.next_dies_after:
                self._used = 0
                return Told(404)
        found, end, size = self._select(query)
        envelope: dict[str, Any] = {"objects": [indicator(n) for n in found]} if found else {}
        if end < size and self.gives_more:
            envelope["more"] = True
            if self.gives_next:
                envelope["next"] = str(end)
        headers = {"Content-Type": TAXII}
        if found and self.gives_dates:
            headers["X-TAXII-Date-Added-First"] = self.date(stamp(self.ticks[found[0]]))
            headers["X-TAXII-Date-Added-Last"] = self.date(stamp(self.ticks[found[-1]]))
        return Told(body=json.dumps(envelope).encode(), headers=headers)
