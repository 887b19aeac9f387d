"""The whole header of an answer with each status code (pains 54): what a framework adds or forgets shows here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from falcon.testing import Result

from exchange.errors import StoreBusy
from exchange.serve import Site, application
from exchange.store import Store, accounts
from tests.serve.house import BASE, MANIFEST, OBJECTS, TAXII, WRITABLE, House, refused
from tests.world import indicator

ALWAYS = {
    "cache-control": "private, no-cache",
    "vary": "Authorization, Accept, Accept-Encoding",
    "x-content-type-options": "nosniff",
}
ADDED = "2026-11-21T12:00:00.000000Z"


def headers(answer: Result, **more: str | None) -> None:
    """These headers and no other; None: any value will do."""
    expected = {"content-type": TAXII, "content-length": str(len(answer.content)), **ALWAYS, **more}
    found = {
        name: None if name in expected and expected[name] is None else value for name, value in answer.headers.items()
    }
    assert found == expected


def dashed(**more: str | None) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in more.items()}


def braked(house: House, direction: str) -> None:
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", direction, "op", "why", 1)


DATED = dashed(x_taxii_date_added_first=ADDED, x_taxii_date_added_last=ADDED, etag=None)


def test_200(house: House) -> None:
    headers(house.get(OBJECTS), etag=None)
    house.give(indicator())
    for path in (OBJECTS, MANIFEST, f"{OBJECTS}{indicator()['id']}/", f"{OBJECTS}{indicator()['id']}/versions/"):
        headers(house.get(path), **DATED)
    for path in ("/taxii2/", "/api/", "/api/collections/", "/api/collections/partenaires/"):
        headers(house.get(path), etag=None)
    packed = house.get(OBJECTS, headers={"Accept-Encoding": "gzip, identity;q=0"})
    headers(packed, **DATED, **dashed(content_encoding="gzip"))


def test_202_and_200_without_a_tag(house: House) -> None:
    headers(house.post(WRITABLE, {"objects": [indicator()]}))
    headers(house.send("DELETE", f"{WRITABLE}{indicator()['id']}/", "circl"))


def test_204(house: House) -> None:
    answer = house.send("OPTIONS", OBJECTS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert dict(answer.headers) == {**ALWAYS, "allow": "GET, HEAD, POST, OPTIONS"}


def test_304(house: House) -> None:
    house.give(indicator())
    seen = house.get(OBJECTS).headers["ETag"]
    answer = house.get(OBJECTS, headers={"If-None-Match": seen})
    assert (answer.status_code, answer.content) == (304, b"")
    assert dict(answer.headers) == {**ALWAYS, **DATED, "etag": seen}


REFUSALS: list[tuple[int, str, Callable[[House], Result], dict[str, str | None]]] = [
    (400, "request.limit", lambda house: house.get(OBJECTS, params={"limit": "0"}), {}),
    (400, "request.json", lambda house: house.post(WRITABLE, b"{"), {}),
    (401, "request.no_account", lambda house: house.get(OBJECTS, None), dashed(www_authenticate=None)),
    (403, "request.read_only", lambda house: house.post(OBJECTS, {"objects": []}, "ccc"), {}),
    (403, "request.not_yours", lambda house: house.send("DELETE", f"{WRITABLE}{indicator()['id']}", "circl"), {}),
    (404, "request.not_found", lambda house: house.get("/nowhere/"), {}),
    (404, "request.no_object", lambda house: house.get(f"{OBJECTS}x/"), {}),
    (405, "request.method", lambda house: house.send("PUT", OBJECTS), dashed(allow="GET, HEAD, POST, OPTIONS")),
    (406, "request.not_acceptable", lambda house: house.get(OBJECTS, headers={"Accept": "text/html"}), {}),
    (406, "request.coding_not_offered", lambda house: house.get(OBJECTS, headers={"Accept-Encoding": "*;q=0"}), {}),
    (413, "request.too_large", lambda house: house.post(WRITABLE, b" " * 3000), {}),
    (415, "request.media_type", lambda house: house.post(WRITABLE, b"{}", Content_Type="text/x"), {"accept": TAXII}),
    (415, "request.content_coding", lambda house: house.post(WRITABLE, b"", Content_Encoding="gzip"),
     dashed(accept_encoding="identity")),
    (422, "request.envelope", lambda house: house.post(WRITABLE, b"{}"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "ask", "more"), REFUSALS, ids=[row[1] for row in REFUSALS])
def test_refusals(memory: Store, status: int, code: str, ask: Callable[[House], Result], more: dict[str, Any]) -> None:
    """Each is a TAXII error resource (section 3.6.1): `title`, and `http_status` as a string."""
    house = House(memory, max_content_length=2000)
    house.give(indicator())
    answer = ask(house)
    body = refused(answer, status, code)
    assert set(body) == {"title", "description", "error_code", "http_status"}
    headers(answer, **more)


def test_429(memory: Store) -> None:
    house = House(memory, requests_per_minute=1)
    answers = [house.get("/api/") for _ in range(100)]
    answer = answers[-1]
    refused(answer, 429)
    headers(answer, **dashed(retry_after=None))
    assert int(answer.headers["retry-after"]) > 0


def test_500(house: House) -> None:
    def broken() -> Any:
        raise ZeroDivisionError

    house.client.app = application(
        Site(store=house.store, rules=broken, public_url=BASE, title="CERT-QC", clock=lambda: house.world.now)
    )
    answer = house.get(OBJECTS)
    assert set(refused(answer, 500)) == {"title", "description", "error_code", "http_status", "error_id"}
    headers(answer)


def test_503(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paused, or the writer busy, or the ledger: a page that cannot be recorded leaves nothing of itself behind."""
    house.give(indicator())
    braked(house, "out")
    braked(house, "in")
    for answer in (house.get(OBJECTS, "circl"), house.post(WRITABLE, {"objects": []}, "circl")):
        refused(answer, 503, "request.paused")
        headers(answer, **dashed(retry_after="60"))

    def busy(*_: Any) -> Any:
        raise StoreBusy("store.busy", seconds=2)

    monkeypatch.setattr("exchange.serve.sheet.record", busy)
    answer = house.get(OBJECTS, headers={"Accept-Encoding": "gzip, identity;q=0"})
    refused(answer, 503, "store.busy")
    headers(answer, **dashed(retry_after="5"))
    assert b"a.example" not in answer.content


def test_the_body_of_every_refusal_is_whole(house: House) -> None:
    """HEAD of what is refused tells the same status and the same length."""
    for path, who in ((OBJECTS, None), (f"{OBJECTS}x/", "ccc"), ("/nowhere", "ccc")):
        get, head = house.get(path, who), house.send("HEAD", path, who)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert dict(head.headers) == dict(get.headers)
        assert json.loads(get.content)["http_status"] == str(get.status_code)
