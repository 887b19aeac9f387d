"""WSGI applications on loopback ports, in threads of this process; they remember what was asked, and can fail."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request that a site received, and the status it was given."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    status: int
    body: bytes = b""  # as it travelled

    def json(self) -> Any:
        """The JSON of its body, which may be compressed."""
        raw = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return json.loads(raw)


@dataclass(slots=True, kw_only=True)
class _Trouble:
    path: str
    status: int
    body: bytes
    headers: dict[str, str]
    times: int


@dataclass(slots=True)
class Site:
    """A running application: its address, what it has seen, and the troubles it will make."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    _troubles: list[_Trouble] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def disturb(
        self,
        path: str = "/",
        *,
        status: int = HTTPStatus.SERVICE_UNAVAILABLE,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next `times` requests whose path starts with `path` by this and nothing else."""
        with self._lock:
            self._troubles.append(_Trouble(path=path, status=status, body=body, headers=headers or {}, times=times))

    def count(self, path: str = "/", status: int | None = None) -> int:
        """How many requests came in under `path` (and were answered with `status`)."""
        return sum(request.path.startswith(path) and status in (None, request.status) for request in list(self.seen))

    def wrap(self, app: WSGIApplication) -> WSGIApplication:
        """Put remembering and disturbing before the application."""

        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            environ["lab.body"] = body
            trouble = self._trouble(environ["PATH_INFO"])
            if trouble is None:
                return app(environ, self._noting(environ, start))
            line = f"{trouble.status} {HTTPStatus(trouble.status).phrase}"
            length = {"Content-Length": str(len(trouble.body))}
            self._noting(environ, start)(line, list((length | trouble.headers).items()))
            return [trouble.body]

        return answer

    def _trouble(self, path: str) -> _Trouble | None:
        with self._lock:
            for trouble in self._troubles:
                if trouble.times > 0 and path.startswith(trouble.path):
                    trouble.times -= 1
                    return trouble
        return None

    def _noting(self, environ: WSGIEnvironment, start: StartResponse) -> Callable[..., Any]:
        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self.seen.append(
                Seen(
                    method=environ["REQUEST_METHOD"],
                    path=environ["PATH_INFO"],
                    query=environ.get("QUERY_STRING", ""),
                    headers={
                        name.removeprefix("HTTP_").replace("_", "-").lower(): value
                        for name, value in environ.items()
                        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
                    },
                    status=int(status.split()[0]),
                    body=environ["lab.body"],
                )
            )
            return start(status, headers, exc_info)

        return noting


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's asks the name server who 127.0.0.1 is, which can take long
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are remembered in `Site.seen`, not printed."""


@contextmanager
def site(app: WSGIApplication, port: int = 0) -> Iterator[Site]:
    """Serve `app` on 127.0.0.1 until the block is left; port 0 takes a free one."""
    with _Server(("127.0.0.1", port), _Quiet) as server:
        running = Site(f"http://127.0.0.1:{server.server_port}/")
        server.set_app(running.wrap(app))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="lab-site", daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
