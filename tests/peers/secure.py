"""What stands between us and a server: its TLS, and an HTTP proxy."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doubles import _Server
from tests.serve.paper import Authority


def server_side(authority: Authority, *, days: int = 30, clients: Path | None = None) -> ssl.SSLContext:
    """The context of a server with a certificate of `authority`; `clients` names the authority of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", days=days))
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass
class Passed:
    """What a proxy let through: method, target and the login given."""

    url: str
    seen: list[tuple[str, str, str]] = field(default_factory=list)


class _Proxy(BaseHTTPRequestHandler):
    passed: Passed
    login: str
    status: int
    protocol_version = "HTTP/1.1"

    def _refused(self) -> bool:
        given = self.headers.get("Proxy-Authorization", "")
        self.passed.seen.append((self.command, self.path, given))
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode() if self.login else given
        answer = self.status or (0 if given == wanted else 407)
        if answer:
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return bool(answer)

    def do_CONNECT(self) -> None:
        if self._refused():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as far:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: far, far: self.connection}
            while ready := select.select(list(ends), [], [], 5)[0]:
                for end in ready:
                    some = end.recv(65536)
                    if not some:
                        self.close_connection = True
                        return
                    ends[end].sendall(some)

    def do_GET(self) -> None:
        if self._refused():
            return
        parts = urlsplit(self.path)
        far = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        kept = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        far.request("GET", parts._replace(scheme="", netloc="").geturl(), headers=kept)
        answer = far.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        far.close()

    def log_message(self, *_: Any) -> None:
        """Requests are remembered, not printed."""


@contextmanager
def proxying(login: str = "", status: int = 0) -> Iterator[Passed]:
    """An HTTP proxy on 127.0.0.1 that asks for `login` (USER:PASSWORD), or answers `status` to everything."""

    passed = Passed("")
    handler = type("Handler", (_Proxy,), {"passed": passed, "login": login, "status": status})
    server = _Server(("127.0.0.1", 0), handler)
    passed.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield passed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
