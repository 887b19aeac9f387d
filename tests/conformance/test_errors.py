"""Error messages (sections 3.1, 3.6 and 3.6.1): the whole answer with each status, to the letter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from falcon.testing import Result

from exchange.errors import StoreBusy
from exchange.model.marking import Tlp
from exchange.serve import Site, application
from exchange.store import open_store
from tests.conformance.node import INBOX, NEW, WRITER, Node
from tests.serve.house import BASE, OBJECTS, TAXII, WRITABLE, House, refused
from tests.world import indicator

ALWAYS = {
    "content-type": TAXII,
    "cache-control": "private, no-cache",
    "vary": "Authorization, Accept, Accept-Encoding",
    "x-content-type-options": "nosniff",
}
KNOWN = {"title", "description", "error_id", "error_code", "http_status", "external_details", "details"}
"""What section 3.6.1 defines."""


def broken(house: House) -> Result:
    """A node that makes a mistake."""

    def fail() -> Any:
        raise ZeroDivisionError("secret detail")

    house.client.app = application(
        Site(store=house.store, rules=fail, public_url=BASE, title="CERT-QC", clock=lambda: house.world.now)
    )
    return house.get(OBJECTS)


def busy(house: House) -> Result:
    """A node whose writer is at work for too long."""

    def wait() -> Any:
        raise StoreBusy("store.busy", seconds=2)

    house.store.writing = wait  # type: ignore[method-assign]
    return house.post(WRITABLE, {"objects": [indicator()]})


def hasty(house: House) -> Result:
    """An account that asks too often."""
    return [house.get("/api/") for _ in range(31)][-1]


Ask = Callable[[House], Result]
GOLDEN: list[tuple[int, str, str, Ask, dict[str, str]]] = [
    (400, "Invalid request [request.limit]",
     "The parameter `limit` must be a positive integer, not “0”.",
     lambda house: house.get(OBJECTS, params={"limit": "0"}), {}),
    (401, "Login required [request.no_account]",
     "An account is needed. Present its secret as a Bearer token, a Basic password or a MISP key in the `Authorization`"
     " header.",
     lambda house: house.get(OBJECTS, None), {"www-authenticate": 'Basic realm="exchange", Bearer'}),
    (403, "Access refused [request.read_only]",
     "This account may read the collection “partenaires” but not write to it. Ask the team that runs this node for that"
     " right.",
     lambda house: house.post(OBJECTS, {"objects": []}, "ccc"), {}),
    (404, "Not found [request.no_object]",
     "This object, or this version of it, does not exist or is not visible to this account in this collection.",
     lambda house: house.get(f"{OBJECTS}{indicator()['id']}/"), {}),
    (405, "Method not allowed [request.method]",
     "The method PUT is not offered at this address. The `Allow` header names those that are.",
     lambda house: house.send("PUT", OBJECTS), {"allow": "GET, HEAD, POST, OPTIONS"}),
    (406, "Format not offered [request.not_acceptable]",
     "The request does not accept the only form offered here. Ask for `application/taxii+json;version=2.1`.",
     lambda house: house.get(OBJECTS, headers={"Accept": "text/html"}), {}),
    (413, "Content too large [request.too_large]",
     "The content is larger than 2000 bytes. Send it in several smaller envelopes.",
     lambda house: house.post(WRITABLE, b" " * 2001), {}),
    (415, "Unsupported content type [request.media_type]",
     "The type of the content sent is not supported. Send it as `application/taxii+json;version=2.1`.",
     lambda house: house.post(WRITABLE, b"{}", Content_Type="text/plain"), {"accept": TAXII}),
    (422, "Unusable content [request.envelope]",
     "The content is JSON, but neither a TAXII envelope nor a STIX bundle. Send an object with a list `objects`.",
     lambda house: house.post(WRITABLE, b"{}"), {}),
    (429, "Too many requests [request.too_many_requests]",
     "This account has made more than 30 requests in a minute. Wait 2 seconds; larger pages (`limit`) need fewer"
     " requests.",
     hasty, {"retry-after": "2"}),
    (500, "Internal error [error.internal]",
     "Internal error. Nothing was lost; note the reference in the log and report it to the team that runs this node.",
     broken, {}),
    (503, "Unavailable for now [store.busy]",
     "The database is busy with another write. Try again in a few seconds.",
     busy, {"retry-after": "5"}),
]  # fmt: skip
"""Status; title and code; description; how it comes about; the headers that go with it."""


@pytest.mark.parametrize(("status", "head", "told", "ask", "more"), GOLDEN, ids=[str(row[0]) for row in GOLDEN])
def test_the_whole_answer(status: int, head: str, told: str, ask: Ask, more: dict[str, str]) -> None:
    """No header and no property but these; `http_status` is the status, as a string."""
    store = open_store("sqlite://")
    try:
        answer = ask(House(store, max_content_length=2000, requests_per_minute=30))
    finally:
        store.close()
    title, _, code = head.rstrip("]").partition(" [")
    body: dict[str, Any] = json.loads(answer.content)
    reference = body.pop("error_id", None)
    assert answer.status_code == status
    assert list(body.items()) == [
        ("title", title), ("description", told), ("error_code", code), ("http_status", str(status)),
    ]  # fmt: skip
    assert (reference is not None) == (status == 500)
    assert dict(answer.headers) == {**ALWAYS, "content-length": str(len(answer.content)), **more}
    assert body.keys() <= KNOWN


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node of which only questions are asked."""
    store = open_store("sqlite://")
    yield Node(store)
    store.close()


@pytest.mark.parametrize("path", ["/nowhere/", f"{WRITABLE}x/", f"/api/collections/{INBOX}/objects/"])
def test_in_the_readers_language(node: Node, path: str) -> None:
    """The sentences are the reader's, the rest is the same in both."""
    answers = [node.get(path, WRITER, headers={"Accept-Language": language}) for language in ("fr", "en")]
    french, english = (refused(answer, answer.status_code) for answer in answers)
    assert french["title"] != english["title"]
    assert french["description"] != english["description"]
    assert (french["error_code"], french["http_status"]) == (english["error_code"], english["http_status"])


@pytest.mark.parametrize(
    "path", ["/nowhere/", f"{WRITABLE}x/", WRITABLE + "?limit=0", f"/api/collections/{INBOX}/manifest/"]
)
def test_head_has_the_status_and_no_body(node: Node, path: str) -> None:
    """Section 3.1: an error in answer to HEAD has no message."""
    address, _, query = path.partition("?")
    get, head = (node.send(method, address, WRITER, query_string=query) for method in ("GET", "HEAD"))
    assert get.status_code == head.status_code >= 400
    assert (head.content, dict(head.headers)) == (b"", dict(get.headers))


def test_an_error_tells_nothing_that_is_not_the_readers(house: House) -> None:
    """Appendix B: what is absent, what is hidden and what belongs to others are one answer, to the byte."""
    hidden, absent = indicator("hidden.example", tlp=Tlp.RED), indicator("absent.example")
    house.give(hidden, source="maison/misp")
    for path in ("", "versions/"):
        answers = [house.get(f"{WRITABLE}{item['id']}/{path}", "circl") for item in (hidden, absent)]
        assert {(each.status_code, each.content, *sorted(each.headers.items())) for each in answers} == {
            (404, answers[0].content, *sorted(answers[0].headers.items()))
        }
    removals = [house.send("DELETE", f"{WRITABLE}{item['id']}/", "circl") for item in (hidden, absent)]
    assert removals[0].content == removals[1].content
    assert removals[0].status_code == removals[1].status_code == 404


def test_a_mistake_of_ours_is_told_by_a_reference_alone(house: House) -> None:
    """Appendix B: no detail of the application leaves."""
    answer = broken(house)
    assert "secret detail" not in answer.text
    assert set(refused(answer, 500)) == {"title", "description", "error_code", "http_status", "error_id"}
    assert NEW["id"] not in answer.text
