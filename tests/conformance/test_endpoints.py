"""Every endpoint of sections 4 and 5: what it takes, what it answers, and whom it lets in (1.6, 3.1, 3.2, 8.2)."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from falcon.testing import Result

from tests.conformance.node import BASE, EMPTY, ENDPOINTS, HIDDEN, INBOX, NEW, NOBODY, READER, WRITER, Endpoint, Node
from tests.serve.house import MANIFEST, OTHERS, TAXII, WRITABLE, refused
from tests.world import OPEN_WRITE

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
DATES = ("x-taxii-date-added-first", "x-taxii-date-added-last")
ABSENT = "00000000-0000-4000-8000-000000000000"


def succeeded(endpoint: Endpoint, answer: Result) -> Any:
    """The body of a success, which has the status and the type that the standard gives it."""
    assert answer.status_code == endpoint.status, answer.text
    assert answer.headers["content-type"] == TAXII
    return answer.json


@EACH
def test_it_answers(node: Node, endpoint: Endpoint) -> None:
    """The code, the type and the resource that its table names (3.1); a DELETE has none, and is answered `{}`."""
    body = succeeded(endpoint, node.ask(endpoint))
    told = {
        "discovery": {"title", "description", "contact", "default", "api_roots"},
        "api-root": {"title", "versions", "max_content_length"},
        "status": {"id", "status", "request_timestamp", "total_count", "success_count", "successes", "failure_count",
                   "pending_count"},
        "collections": {"collections"},
        "collection": {"id", "title", "alias", "can_read", "can_write", "media_types"},
        "manifest": {"more", "objects"},
        "envelope": {"more", "objects"},
        "versions": {"more", "versions"},
        "": set(),
    }  # fmt: skip
    assert set(body) == told[endpoint.payload]


@EACH
def test_the_date_added_headers(node: Node, endpoint: Endpoint) -> None:
    """Section 3.2: on the four endpoints that read a collection, each a timestamp of exactly six digits."""
    headers = node.ask(endpoint).headers
    assert [name in headers for name in DATES] == [endpoint.dated] * 2
    assert all(TIMESTAMP.fullmatch(headers[name]) for name in DATES if name in headers)


def test_the_dates_are_those_of_the_first_and_the_last(node: Node) -> None:
    """Six digits also for a whole second: `.000000` is written out."""
    records = node.get(f"{BASE}/manifest/", params={"match[version]": "all"}).json["objects"]
    assert records[0]["date_added"] == "2026-11-21T12:00:00.000000Z"
    for path in (f"{BASE}/manifest/", WRITABLE):
        headers = node.get(path, params={"match[version]": "all"}).headers
        assert [headers[name] for name in DATES] == [records[0]["date_added"], records[-1]["date_added"]]
    headers = node.get(f"{WRITABLE}{NEW['id']}/versions/").headers
    assert [headers[name] for name in DATES] == [records[0]["date_added"], records[1]["date_added"]]


def test_an_empty_page_has_no_dates(node: Node) -> None:
    """Our departure from 3.2: nothing was added, and an invented date would make readers miss what comes next."""
    for path in (f"/api/collections/{EMPTY}/objects/", f"/api/collections/{EMPTY}/manifest/"):
        answer = node.get(path)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"{}", TAXII)
        assert not any(name in answer.headers for name in DATES)


@pytest.mark.parametrize(
    "accept",
    [TAXII, "application/taxii+json", "application/taxii+json; version=2.1", "APPLICATION/TAXII+JSON;Version=2.1",
     "application/taxii+json;version=2.1,application/stix+json;version=2.1", "*/*"],
)  # fmt: skip
@EACH
def test_a_defined_accept_is_never_406(node: Node, endpoint: Endpoint, accept: str) -> None:
    """Section 3.1; without a version the highest is meant, and the fifth is what 5.3 prescribes for the manifest."""
    succeeded(endpoint, node.ask(endpoint, Accept=accept))


@pytest.mark.parametrize("accept", ["application/taxii+json;version=2.0", "application/json", "text/html"])
@EACH
def test_another_accept_is_406(node: Node, endpoint: Endpoint, accept: str) -> None:
    """The tables of sections 4 and 5; that it MAY be answered all the same is not made use of."""
    refused(node.ask(endpoint, Accept=accept), 406, "request.not_acceptable")


@EACH
def test_without_accept_or_user_agent(node: Node, endpoint: Endpoint) -> None:
    """Section 8.2.1: no valid request is refused for want of a User-Agent; and we do not insist on Accept."""
    for without in (["User-Agent"], ["Accept"], ["User-Agent", "Accept"]):
        assert node.without(endpoint, *without) == endpoint.status


@pytest.mark.parametrize(
    "shown", [None, "Bearer wrong", f"Basic {base64.b64encode(b'circl:wrong').decode()}", "Digest x"]
)
@EACH
def test_whoever_fails_to_log_in_is_told_401_and_how(node: Node, endpoint: Endpoint, shown: str | None) -> None:
    """Sections 1.6.9 and 5.1 to 5.8, whatever the method, and before anything else is looked at."""
    node.tick(minutes=2)
    answer = node.ask(endpoint, None, **({"Authorization": shown} if shown else {}), Accept="text/html")
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == 'Basic realm="exchange", Bearer'


@EACH
def test_basic_opens(node: Node, endpoint: Endpoint) -> None:
    """Section 8.2.2: HTTP Basic, and Bearer besides."""
    secret = node.secrets[WRITER]
    for header in (f"Basic {base64.b64encode(f'{WRITER}:{secret}'.encode()).decode()}", f"Bearer {secret}"):
        succeeded(endpoint, node.ask(endpoint, None, Authorization=header))


@EACH
def test_the_slash_at_the_end(node: Node, endpoint: Endpoint) -> None:
    """Section 3.1 asks it of clients; without it we answer the same, and do not redirect."""
    succeeded(endpoint, node.ask(endpoint, path=endpoint.path.rstrip("/")))


@EACH
def test_head_and_options(node: Node, endpoint: Endpoint) -> None:
    """Section 8.2.1 allows further methods: HEAD tells what GET would, OPTIONS what there is."""
    path = endpoint.path.replace("{status}", node.status)
    allowed = node.send("OPTIONS", path, None).headers["allow"].split(", ")
    assert {endpoint.method, "GET", "HEAD", "OPTIONS"} <= set(allowed)
    get, head = node.get(path, WRITER), node.send("HEAD", path, WRITER)
    assert (head.status_code, dict(head.headers), head.content) == (get.status_code, dict(get.headers), b"")


@pytest.mark.parametrize("path", ["/api1/", "/api/nothing/", "/api/channels/", "/api/channels/x/", f"{WRITABLE}x/y/"])
def test_what_there_is_not(node: Node, path: str) -> None:
    """Section 3.6; section 6 is reserved, so there are no channels."""
    refused(node.get(path), 404, "request.not_found")


@pytest.mark.parametrize(
    "path",
    ["", "manifest/", "objects/", f"objects/{NEW['id']}/", f"objects/{NEW['id']}/versions/"],
    ids=["5.2", "5.3", "5.4", "5.6", "5.8"],
)
def test_a_collection_not_for_you_is_not_there(node: Node, path: str) -> None:
    """404 and not 403, byte for byte what a collection gets that does not exist: existence is told to nobody."""
    absent = node.get(f"/api/collections/{ABSENT}/{path}", NOBODY)
    hidden = node.get(f"/api/collections/{OPEN_WRITE}/{path}", NOBODY)
    refused(absent, 404, "request.no_collection")
    assert (absent.content, dict(absent.headers)) == (hidden.content, dict(hidden.headers))
    for method in ("POST", "DELETE"):
        if method in node.send("OPTIONS", f"{HIDDEN}{path}", None).headers["allow"]:
            answers = [node.send(method, f"/api/collections/{name}/{path}", READER) for name in (ABSENT, OTHERS)]
            assert (answers[0].content, dict(answers[0].headers)) == (answers[1].content, dict(answers[1].headers))
            refused(answers[0], 404, "request.no_collection")


@pytest.mark.parametrize("path", ["manifest/", "objects/", f"objects/{NEW['id']}/", f"objects/{NEW['id']}/versions/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_can_read_false_is_403(node: Node, method: str, path: str) -> None:
    """Sections 5.3, 5.4, 5.6 and 5.8; also where the object is not there."""
    answer = node.send(method, f"/api/collections/{INBOX}/{path}", WRITER)
    assert answer.status_code == 403
    if method == "GET":
        refused(answer, 403, "request.write_only")


def test_can_write_false_is_403(node: Node) -> None:
    """Section 5.5; and before the body is looked at."""
    for body in ({"objects": [NEW]}, b"{"):
        refused(node.post(WRITABLE, body, READER), 403, "request.read_only")
        refused(node.post(MANIFEST.replace("manifest", "objects"), body, READER), 403, "request.read_only")


@pytest.mark.parametrize(
    ("who", "name", "status", "code"),
    [
        (NOBODY, OPEN_WRITE, 404, "request.no_collection"),
        (READER, OPEN_WRITE, 403, "request.read_only"),
        (WRITER, INBOX, 403, "request.write_only"),
        (WRITER, EMPTY, 403, "request.read_only"),
    ],
    ids=["neither", "can_read", "can_write", "can_read"],
)
def test_who_may_delete(node: Node, who: str, name: str, status: int, code: str) -> None:
    """The table of section 5.7, whether or not the object is there."""
    for stix_id in (NEW["id"], f"indicator--{ABSENT}"):
        refused(node.send("DELETE", f"/api/collections/{name}/objects/{stix_id}/", who), status, code)
    assert node.get(f"{WRITABLE}{NEW['id']}/", WRITER).status_code == 200


def test_a_status_is_told_to_its_owner_alone(node: Node) -> None:
    """Section 4.3: to anyone else it is not there, just as one that never was."""
    mine, absent = f"/api/status/{node.status}/", f"/api/status/{ABSENT}/"
    assert node.get(mine, WRITER).status_code == 200
    for who in (READER, NOBODY):
        refused(node.get(mine, who), 404, "request.no_status")
        assert node.get(mine, who).content == node.get(absent, who).content
    refused(node.get(absent, WRITER), 404, "request.no_status")


@pytest.mark.parametrize("content_type", [TAXII, "application/taxii+json", "application/taxii+json; version=2.1"])
def test_a_defined_content_type_is_never_415(node: Node, content_type: str) -> None:
    """Section 3.1."""
    assert node.post(WRITABLE, {"objects": [NEW]}, Content_Type=content_type).status_code == 202


@pytest.mark.parametrize(
    "content_type", ["application/taxii+json;version=2.0", "application/stix+json;version=2.1", "application/json", ""]
)
def test_another_content_type_is_415(node: Node, content_type: str) -> None:
    """Section 5.5; that it MAY be taken all the same is not made use of."""
    refused(node.post(WRITABLE, {"objects": [NEW]}, Content_Type=content_type), 415, "request.media_type")
