"""A server that is made of a recording: it says what was said, and what it is asked is compared with what was asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lab.misp.servers import Call
from lab.web import site

from tests.misp.recordings import Exchange
from tests.misp.unlike import unlike

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

COMPARED = ("Accept", "Content-Type", "User-Agent", "Accept-Encoding", "If-None-Match", "Content-Encoding")


class Shelf:
    """Recorded answers, given in order; a request that was not recorded next gets the next answer to its like."""

    def __init__(self) -> None:
        self._left: list[Exchange] = []

    def lay(self, exchanges: Sequence[Exchange]) -> None:
        """Put the next answers on the shelf."""
        self._left = list(exchanges)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        wanted = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        found = next((place for place, e in enumerate(self._left) if (e.method, e.path) == wanted), None)
        if found is None:
            start("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"name":"not recorded"}']
        exchange = self._left.pop(found)
        headers = {name: value for name, value in exchange.headers.items() if name != "Content-Length"}
        if exchange.path == "/events/index" and "ETag" not in headers:
            headers["ETag"] = self._next_etag(exchange)
        body = b"" if exchange.method == "HEAD" else exchange.body.encode()
        length = {"Content-Length": str(len(body))}
        start(f"{exchange.status} {HTTPStatus(exchange.status).phrase}", list((headers | length).items()))
        return [body]

    def _next_etag(self, exchange: Exchange) -> str:
        later = [e.request_headers["If-None-Match"] for e in self._left if e.path == exchange.path]
        return next((etag for etag in later if etag != '""'), "")


@contextmanager
def shelf() -> Iterator[tuple[Shelf, str]]:
    """A shelf that answers, and its URL."""
    answers = Shelf()
    with site(answers) as running:
        yield answers, running.url


def otherwise(calls: Sequence[Call], exchanges: Sequence[Exchange]) -> list[str]:
    """Where the calls that were made are not those that were recorded."""
    ours, theirs = [(c.method, c.path) for c in calls], [(e.method, e.path) for e in exchanges]
    if ours != theirs:
        return [f"asked {ours},\n not {theirs}"]
    found = []
    for call, exchange in zip(calls, exchanges, strict=True):
        place = f"{exchange.file} {exchange.number} {call.method} {call.path[:60]}"
        said = {name: exchange.request_headers[name] for name in COMPARED if name in exchange.request_headers}
        mine = {name: call.headers.get(name) for name in said}
        found += [
            f"{place}: {name}: {mine[name]!r}, not {value!r}" for name, value in said.items() if mine[name] != value
        ]
        found += [f"{place} {line}" for line in _body(call, exchange)]
    return found


def _body(call: Call, exchange: Exchange) -> list[str]:
    if call.path == "/servers/postTest":
        return [] if set(json.loads(call.body)) == {"testString"} else ["another body"]  # its text is our own
    if not exchange.request:
        return []
    try:
        theirs: Any = json.loads(exchange.request)
    except ValueError:  # the recording is cut
        same = call.body.startswith(exchange.request)
        return [] if same else [f"body {call.body[: len(exchange.request)]!r}\n not {exchange.request!r}"]
    return unlike("", json.loads(call.body), theirs)
