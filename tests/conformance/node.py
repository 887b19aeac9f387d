"""A node with one collection of every kind, and the eleven endpoints of the standard as a client meets them.

`circl` writes and reads, `ccc` only reads, `maison` has nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import falcon.testing
from falcon.testing import Result

from exchange.store import Store
from tests.serve.house import OTHERS, TAXII, WRITABLE, House, house_terms
from tests.world import NOW, OPEN_WRITE, collection, indicator, malware

INBOX = "2f8a6c1e-9b3d-4e57-8c20-5d4f1a7b9e63"
EMPTY = "6b1e4d2c-7a95-4f08-b3d6-0c8e2f5a1d47"
WRITER, READER, NOBODY = "circl", "ccc", "maison"
BASE = f"/api/collections/{OPEN_WRITE}"
OLD, NEW = (indicator("a.example", modified=NOW - timedelta(days=days), description=f"{days}") for days in (2, 1))
OTHER = malware("m")
DOOMED = indicator("doomed.example")
"""Posted anew before each DELETE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address and a method of the standard, and what a good request to it is answered with."""

    section: str
    path: str
    payload: Literal[
        "discovery", "api-root", "status", "collections", "collection", "manifest", "envelope", "versions", ""
    ]
    method: str = "GET"
    status: int = 200

    def __str__(self) -> str:
        return f"{self.section} {self.method}"

    @property
    def dated(self) -> bool:
        """Whether its answers carry the Date-Added headers (section 3.2)."""
        return self.method == "GET" and self.section in ("5.3", "5.4", "5.6", "5.8")


STATUS = "{status}"
"""Stands in a path for the id of a status that there is."""
ENDPOINTS = [
    Endpoint(section="4.1", path="/taxii2/", payload="discovery"),
    Endpoint(section="4.2", path="/api/", payload="api-root"),
    Endpoint(section="4.3", path=f"/api/status/{STATUS}/", payload="status"),
    Endpoint(section="5.1", path="/api/collections/", payload="collections"),
    Endpoint(section="5.2", path=f"{BASE}/", payload="collection"),
    Endpoint(section="5.3", path=f"{BASE}/manifest/", payload="manifest"),
    Endpoint(section="5.4", path=WRITABLE, payload="envelope"),
    Endpoint(section="5.5", path=WRITABLE, payload="status", method="POST", status=202),
    Endpoint(section="5.6", path=f"{WRITABLE}{NEW['id']}/", payload="envelope"),
    Endpoint(section="5.7", path=f"{WRITABLE}{DOOMED['id']}/", payload="", method="DELETE"),
    Endpoint(section="5.8", path=f"{WRITABLE}{NEW['id']}/versions/", payload="versions"),
]


class Node(House):
    """The node, if it is `filled` with two versions of an indicator, and a malware family, that `circl` has posted."""

    def __init__(self, store: Store, *, filled: bool = True) -> None:
        given = house_terms()
        more = {
            INBOX: collection(INBOX, "boite", (READER,), writers=(WRITER,), read_back=False),
            EMPTY: collection(EMPTY, "vide", (READER, WRITER), only_posted=True, description={"en": "Nothing yet"}),
        }
        super().__init__(
            store, replace(given, collections={**given.collections, **more}), description={"en": "A node of tests"}
        )
        self.status = ""
        for item in (OLD, NEW, OTHER) if filled else ():
            self.status = self.post(WRITABLE, {"objects": [item]}).json["id"]

    def ask(self, endpoint: Endpoint, who: str | None = WRITER, *, path: str = "", **headers: str) -> Result:
        """A good request to `endpoint`, but for what the test changes."""
        sent = {"Accept": TAXII} | {name.replace("_", "-"): value for name, value in headers.items()}
        body = b""
        if endpoint.method == "POST":
            sent = {"Content-Type": TAXII} | sent
            body = json.dumps({"objects": [OTHER]}).encode()
        if endpoint.method == "DELETE":
            self.post(WRITABLE, {"objects": [DOOMED]})
        return self.send(
            endpoint.method, (path or endpoint.path).replace(STATUS, self.status), who, headers=sent, body=body
        )

    def without(self, endpoint: Endpoint, *names: str) -> int:
        """The status of the answer to a good request that lacks these headers."""
        if endpoint.method == "DELETE":
            self.post(WRITABLE, {"objects": [DOOMED]})
        environ = falcon.testing.create_environ(
            path=endpoint.path.replace(STATUS, self.status),
            method=endpoint.method,
            headers=self._headers(WRITER) | {"Accept": TAXII, "Content-Type": TAXII},
            body=json.dumps({"objects": [OTHER]}) if endpoint.method == "POST" else "",
        )
        for name in names:
            del environ[f"HTTP_{name.upper().replace('-', '_')}"]
        got = falcon.testing.StartResponseMock()
        b"".join(self.app(environ, got))
        return int(str(got.status).split()[0])


HIDDEN = f"/api/collections/{OTHERS}/"
"""A collection of which `ccc` and `maison` may not know."""
