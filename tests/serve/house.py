"""A node in process, entered by its front door: a World with accounts, a clock and the WSGI application over it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import falcon.testing
import requests
import urllib3
from falcon.testing import Result
from requests.adapters import BaseAdapter

from exchange.model.party import Terms
from exchange.serve import Site, application
from exchange.store import Store, accounts, micros
from exchange.store.accounts import new_secret
from tests.world import OPEN_WRITE, SHARED, World, collection, terms

TAXII = "application/taxii+json;version=2.1"
OTHERS = "7e1d0f2a-5b44-4c0e-8b1d-2f6a9c3e4d55"
BASE = "http://node.test"
OBJECTS = f"/api/collections/{SHARED}/objects/"
MANIFEST = f"/api/collections/{SHARED}/manifest/"
WRITABLE = f"/api/collections/{OPEN_WRITE}/objects/"


def house_terms(**more: Any) -> Terms:
    """The terms of the World, with a collection that circl writes and one of which only circl knows."""
    return terms(
        writable=collection(OPEN_WRITE, "depot-commun", ("ccc",), writers=("circl",)),
        others=collection(OTHERS, "autres", ("circl",)),
        **more,
    )


class House:
    """The node. `values` replace those of its Site."""

    def __init__(self, store: Store, given: Terms | None = None, **values: Any) -> None:
        self.store = store
        self.world = World(store, given or house_terms())
        self.secrets: dict[str, str] = {}
        with store.writing() as tx:
            for name in self.world.terms.peers:
                self.secrets[name], digest = new_secret()
                accounts.open_account(tx, name, name, digest, micros(self.world.now))
        self.site = Site(
            store=store,
            rules=lambda: self.world.rules,
            clock=lambda: self.world.now,
            **{"public_url": BASE, "title": "CERT-QC", "contact": "cert@node.test", **values},
        )
        self.app = application(self.site)
        self.client = falcon.testing.TestClient(self.app)

    def tick(self, **more: float) -> None:
        """The clock goes on, without anything else happening."""
        self.world.now += timedelta(**(more or {"seconds": 1}))

    def give(self, *objects: Mapping[str, Any], source: str = "cert-ee/feed") -> None:
        """What a pull brings."""
        self.world.give(source, *objects)

    def get(self, path: str, who: str | None = "ccc", **more: Any) -> Result:
        """A GET as `who`; None: nobody."""
        headers = self._headers(who) | more.pop("headers", {})
        return self.client.simulate_get(path, headers=headers, **more)

    def send(self, method: str, path: str, who: str | None = "ccc", **more: Any) -> Result:
        """Any method as `who`."""
        headers = self._headers(who) | more.pop("headers", {})
        return self.client.simulate_request(method, path, headers=headers, **more)

    def post(self, path: str, body: Any, who: str | None = "circl", **headers: str) -> Result:
        """A POST as `who`; `body`: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": TAXII} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.simulate_post(path, body=data, headers=self._headers(who) | sent)

    def _headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.secrets[who]}"}

    def reads(self) -> Sequence[tuple[str, str, int]]:
        """The read ledger: (account, query, count)."""
        with self.store.noting() as tx:
            rows = tx.exec_driver_sql("SELECT account, query, count FROM read ORDER BY id").all()
            return [(row[0], row[1], row[2]) for row in rows]


def ids(result: Result) -> list[str]:
    """The ids on a page, in order."""
    assert result.status_code == 200, result.text
    return [item["id"] for item in result.json.get("objects", [])]


def refused(result: Result, status: int, code: str = "") -> dict[str, Any]:
    """The TAXII error resource, which every refusal is (section 3.6.1)."""
    assert result.status_code == status, result.text
    assert result.headers["content-type"] == TAXII
    body: dict[str, Any] = result.json
    assert body["title"]
    assert body["description"]
    assert body["http_status"] == str(status)
    assert not code or body["error_code"] == code
    assert result.headers["cache-control"] == "private, no-cache"
    return body


def ending(given: Terms, **changes: Any) -> Terms:
    """The same terms, the agreements changed."""
    return replace(given, agreements=tuple(replace(a, **changes) for a in given.agreements))


class Wsgi(BaseAdapter):
    """Carries `requests` into a WSGI application with no socket in between."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.app = app

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = urlsplit(str(request.url))
        body = request.body or b""
        environ = falcon.testing.create_environ(
            path=url.path,
            query_string=url.query,
            method=str(request.method),
            headers=dict(request.headers),
            host=str(url.hostname),
            scheme=url.scheme,
            body=body.encode() if isinstance(body, str) else bytes(body),
        )
        got = falcon.testing.StartResponseMock()
        answer = b"".join(self.app(environ, got))
        response = requests.Response()
        response.status_code = int(str(got.status).split()[0])
        response.headers.update(dict(got.headers or ()))
        response.raw = urllib3.HTTPResponse(  # unpacks what is packed
            io.BytesIO(answer), headers=dict(got.headers or ()), status=response.status_code, preload_content=False
        )
        response.url, response.request = str(request.url), request
        return response

    def close(self) -> None:
        """Nothing is open."""
