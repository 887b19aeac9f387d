"""A reader in the same process: asks the node's own application, as an account of a peer, with no socket between."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from exchange.policy import Rules
from exchange.serve.site import Site
from exchange.serve.wsgi import application
from exchange.store import Store, accounts, micros
from exchange.sync.proof import Answer


class Visitor:
    """Asks the application over `store` as peers' accounts."""

    def __init__(self, store: Store, rules: Callable[[], Rules], clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        site = Site(store=store, rules=rules, clock=clock, public_url="https://node.example", title="proof")
        self._app = application(site)

    def admit(self, peers: Sequence[str]) -> None:
        """Open an account for each of the peers, in a store that has none."""
        with self._store.writing() as tx:
            for peer in peers:
                accounts.open_account(tx, peer, peer, accounts.digest_of(_secret(peer)), micros(self._clock()))

    def ask(self, peer: str, path: str) -> Answer:
        """A GET of `path` (with its query) as the account of `peer`."""
        told: list[tuple[str, tuple[tuple[str, str], ...]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            told.append((status, tuple(headers)))
            return io.BytesIO().write

        body = b"".join(self._app(_environ(path, _secret(peer)), start))
        return Answer(*told[-1], body)


def _secret(peer: str) -> str:
    """Of forty characters, as ours are; it opens nothing but a node in memory."""
    return sha256(peer.encode()).hexdigest()[:40]


def _environ(path: str, secret: str) -> dict[str, Any]:
    """A GET as PEP 3333 has it."""
    where, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": where, "QUERY_STRING": query, "CONTENT_LENGTH": "",
        "SERVER_NAME": "node.example", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "node.example", "HTTP_ACCEPT": "*/*", "HTTP_AUTHORIZATION": f"Bearer {secret}",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
        "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
