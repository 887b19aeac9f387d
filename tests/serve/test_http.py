"""HTTP as TAXII 2.1 wants it: addresses, media types, errors, and the headers that every answer carries."""

from __future__ import annotations

import json
from typing import Any

import falcon.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import StoreBusy, StoreError
from exchange.serve import Site, application, media
from tests.serve.house import BASE, MANIFEST, OBJECTS, OTHERS, TAXII, WRITABLE, House, ids, refused
from tests.world import OPEN_WRITE, SHARED, indicator

ADDRESSES = ["/taxii2/", "/api/", "/api/collections/", f"/api/collections/{SHARED}/", OBJECTS, MANIFEST]


@pytest.mark.parametrize("path", ADDRESSES)
def test_with_and_without_the_slash_without_redirect(house: House, path: str) -> None:
    with_slash, without = house.get(path), house.get(path.rstrip("/"))
    assert with_slash.status_code == without.status_code == 200
    assert with_slash.content == without.content


@pytest.mark.parametrize("path", ADDRESSES)
def test_every_answer_has_its_headers(house: House, path: str) -> None:
    for who in ("ccc", None):
        headers = house.get(path, who).headers
        assert headers["content-type"] == TAXII
        assert headers["cache-control"] == "private, no-cache"
        assert headers["vary"] == "Authorization, Accept, Accept-Encoding"
        assert headers["x-content-type-options"] == "nosniff"


def test_discovery_and_root(house: House) -> None:
    """Sections 4.1 and 4.2; `default` is literally one of `api_roots`, absolute, one segment below the base."""
    discovery = house.get("/taxii2/").json
    assert discovery == {
        "title": "CERT-QC",
        "contact": "cert@node.test",
        "default": f"{BASE}/api/",
        "api_roots": [f"{BASE}/api/"],
    }
    assert house.get("/api/").json == {
        "title": "CERT-QC",
        "versions": [TAXII],
        "max_content_length": house.site.max_content_length,
    }


def test_only_the_collections_of_the_account(house: House) -> None:
    """Section 5.1; the rights are those of the account that asks."""
    listed = {c["id"]: c for c in house.get("/api/collections/", "circl").json["collections"]}
    assert set(listed) == {SHARED, OPEN_WRITE, OTHERS}
    assert (listed[SHARED]["can_read"], listed[SHARED]["can_write"]) == (True, False)
    # A writer reads back what it wrote, even where it is not named as a reader.
    assert (listed[OPEN_WRITE]["can_read"], listed[OPEN_WRITE]["can_write"]) == (True, True)
    assert OTHERS not in {c["id"] for c in house.get("/api/collections/", "ccc").json["collections"]}
    assert house.get("/api/collections/", "maison").json == {}


def test_absent_and_not_for_you_look_the_same(house: House) -> None:
    absent = house.get("/api/collections/00000000-0000-4000-8000-000000000000/")
    hidden = house.get(f"/api/collections/{OTHERS}/")
    refused(absent, 404, "request.no_collection")
    assert absent.content == hidden.content
    for path in (f"/api/collections/{OTHERS}/objects/", f"/api/collections/{OTHERS}/manifest/"):
        assert house.get(path).content == absent.content
    assert house.post(f"/api/collections/{OTHERS}/objects/", {"objects": []}, "ccc").content == absent.content


def test_an_alias_stands_for_the_id(house: House) -> None:
    house.give(indicator())
    assert house.get("/api/collections/partenaires/objects/").content == house.get(OBJECTS).content


@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json;version=2.1",
        "application/taxii+json; version=2.1",
        "application/taxii+json",
        'Application/TAXII+JSON ; Version="2.1"',
        "*/*",
        "application/*",
        "application/json, text/plain, */*",
        "application/json;q=0.9, application/taxii+json;version=2.1;q=0.1",
        "application/taxii+json;version=2.1,application/stix+json;version=2.1",
        "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
        "text/html, application/taxii+json;charset=utf-8",
        'text/x;a="b,c;q=0", application/taxii+json',
        "*/*;q=0.1, text/html",
        "application/taxii+json;q=0.001",
        "application/taxii+json;q=nan",
        "application/taxii+json;version=2.1;q=0.5, */*;q=0",
        "APPLICATION/TAXII+JSON;VERSION=2.1",
        " , ,application/taxii+json",
        "application/taxii+json ;\tversion=2.1",
        "*",
    ],
)
def test_accepted(house: House, accept: str) -> None:
    assert house.get(OBJECTS, headers={"Accept": accept}).status_code == 200


def test_no_accept_at_all(house: House) -> None:
    assert house.get(OBJECTS).status_code == 200
    assert house.get(OBJECTS, headers={"Accept": ""}).status_code == 200


@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json;version=2.0",
        "application/vnd.oasis.taxii+json;version=2.0",
        "application/json",
        "text/html",
        "application/taxii+json;version=2.1;q=0",
        "application/taxii+json;q=0, */*",
        "application/taxii+json;version=3.0",
        "application/taxii+json;version=2.10",
        'application/taxii+json;version="2.0"',
        "*/*;q=0",
        "application/*;q=0.000, */*",
        "application/stix+json;version=2.1",
        "application/vnd.oasis.taxii+json",
        "text/*",
    ],
)
def test_not_acceptable(house: House, accept: str) -> None:
    refused(house.get(OBJECTS, headers={"Accept": accept}), 406, "request.not_acceptable")


@given(st.text(max_size=80) | st.text('aplictonx/+jsvr=2.10;,q"*\\ ', max_size=80))
def test_any_header_has_an_answer(text: str) -> None:
    """Whatever a header holds, and however much of it: yes or no, at once."""
    for many in (1, 2000):
        assert media.acceptable(text * many) in (True, False)
        assert media.is_taxii(text * many) in (True, False)
        assert media.language(text * many, "en") in ("en", "fr")
        assert media.is_plain(text * many) in (True, False)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/taxii+json;version=2.1", 202),
        ("application/taxii+json", 202),
        ("application/taxii+json; version=2.1; charset=utf-8", 202),
        ("Application/Taxii+Json;Version=2.1", 202),
        (' application/taxii+json ; version="2.1" ', 202),
        ("application/taxii+json;version=2.0", 415),
        ("application/taxii+json;version=", 415),
        ("*/*", 415),
        ("application/stix+json;version=2.1", 415),
        ("application/taxii+json, application/taxii+json", 415),
        ("application/json", 415),
        ("application/vnd.oasis.stix+json;version=2.0", 415),
        ("", 415),
    ],
)
def test_content_type_of_a_post(house: House, content_type: str, status: int) -> None:
    answer = house.post(WRITABLE, {"objects": [indicator()]}, Content_Type=content_type)
    assert answer.status_code == status
    if status == 415:
        refused(answer, 415, "request.media_type")


def test_errors_of_the_framework_are_taxii_errors(house: House) -> None:
    refused(house.get("/nowhere/"), 404, "request.not_found")
    for path in ("/api/x", f"{OBJECTS}a/b/", "/%00", "/API/", "/api/collections/x/objects/y/versions/z/"):
        refused(house.get(path), 404, "request.not_found")
    headers = house._headers("circl") | {"Content-Type": TAXII}
    environ = falcon.testing.create_environ(path=WRITABLE, method="POST", headers=headers) | {"CONTENT_LENGTH": "x"}
    got = falcon.testing.StartResponseMock()
    assert json.loads(b"".join(house.app(environ, got)))["error_code"] == "request.invalid"
    assert str(got.status)[:3] == "400"


ALLOWED = {
    "/": "GET, HEAD, OPTIONS",
    "/health": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
    "/taxii2/": "GET, HEAD, OPTIONS",
    "/api/": "GET, HEAD, OPTIONS",
    "/api/status/x/": "GET, HEAD, OPTIONS",
    "/api/collections/": "GET, HEAD, OPTIONS",
    "/api/collections/x/": "GET, HEAD, OPTIONS",
    MANIFEST: "GET, HEAD, OPTIONS",
    OBJECTS: "GET, HEAD, POST, OPTIONS",
    f"{OBJECTS}x/": "GET, HEAD, DELETE, OPTIONS",
    f"{OBJECTS}x/versions/": "GET, HEAD, OPTIONS",
    "/feeds/x/manifest.json": "GET, HEAD, OPTIONS",
}


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("path", ALLOWED)
def test_methods(house: House, path: str) -> None:
    """OPTIONS says what there is, to anyone (no resource is looked up); other methods, known or not, are 405."""
    answer = house.send("OPTIONS", path, None, headers={"Origin": "https://a.test"})
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, ALLOWED[path], b"")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    for method in ("PUT", "PATCH", "TRACE", "CONNECT", "LOCK", "PROPFIND", "QUERY", "get", "options", "X" * 300):
        answer = house.send(method, path)
        refused(answer, 405, "request.method")
        assert answer.headers["allow"] == ALLOWED[path]
    assert ("POST" in ALLOWED[path]) == (house.send("POST", path).status_code != 405)
    assert ("DELETE" in ALLOWED[path]) == (house.send("DELETE", path).status_code != 405)
    refused(house.send("OPTIONS", "/nowhere", None), 404, "request.not_found")


@pytest.mark.parametrize("path", [*ADDRESSES, "/", "/health", "/openapi.json", f"{OBJECTS}{indicator()['id']}/"])
def test_head_tells_what_get_would(house: House, path: str) -> None:
    house.give(indicator())
    get, head = house.get(path), house.send("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(get.headers)
    assert int(head.headers["content-length"]) == len(get.content) > 0


def test_errors_speak_the_readers_language(house: House) -> None:
    french = refused(house.get("/nowhere/", headers={"Accept-Language": "fr-CA, en;q=0.5"}), 404)
    english = refused(house.get("/nowhere/", headers={"Accept-Language": "en, fr;q=0.5"}), 404)
    assert french["title"] == "Introuvable"
    assert english["title"] == "Not found"


def test_a_mistake_of_ours_gives_a_reference_and_nothing_else(memory: Any) -> None:
    house = House(memory)

    def broken() -> Any:
        raise ZeroDivisionError("secret detail")

    house.client.app = application(
        Site(store=memory, rules=broken, public_url=BASE, title="CERT-QC", clock=lambda: house.world.now)
    )
    body = refused(house.get(OBJECTS), 500, "error.internal")
    assert len(body["error_id"]) == 12
    assert "secret detail" not in str(body)


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [(StoreBusy("store.busy", seconds=2), 503, "5"), (StoreError("store.failed", detail="/var/lib/x.db"), 500, None)],
)
def test_a_store_that_cannot(house: House, monkeypatch: Any, error: Exception, status: int, retry: str | None) -> None:
    """StoreBusy asks to come back; the detail of a failure stays in the log."""

    def fail() -> Any:
        raise error

    monkeypatch.setattr(house.store, "reading", fail)
    answer = house.get(OBJECTS)
    assert "/var/lib" not in answer.text
    refused(answer, status, error.code)  # type: ignore[attr-defined]
    assert answer.headers.get("retry-after") == retry


def test_public_url_from_the_request_when_none_is_set(memory: Any) -> None:
    """R29: X-Forwarded-Proto counts only from a proxy of ours."""
    trusting = House(memory, public_url="", proxies=("127.0.0.1",))

    def root(address: str) -> str:
        headers = {"X-Forwarded-Proto": "https", "Host": "seen.test"}
        default: str = trusting.get("/taxii2/", headers=headers, remote_addr=address).json["default"]
        return default

    assert root("127.0.0.1") == "https://seen.test/api/"
    assert root("192.0.2.1") == "http://seen.test/api/"


def test_bytes_are_served_as_they_stand(house: House) -> None:
    item = indicator("é.example", name="“À votre santé”", x_custom={"b": [1, 2.50, None], "a": True})
    house.give(item)
    assert house.get(OBJECTS).json["objects"] == [item]
    assert ids(house.get(f"{OBJECTS}{item['id']}/")) == [item["id"]]
