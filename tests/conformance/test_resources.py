"""The resources themselves: names, types and what may not be empty (sections 2, 3.7, 3.8, 4.1.1 to 5.8.1, 7.1)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from exchange.model.marking import Tlp
from tests.conformance import node as here
from tests.conformance.node import BASE, EMPTY, ENDPOINTS, INBOX, NEW, NOBODY, OLD, READER, WRITER, Endpoint, Node
from tests.serve.house import TAXII, WRITABLE, House, refused
from tests.world import CCC_IDENTITY, NOW, OPEN_WRITE, indicator, marked

STIX = "application/stix+json;version=2.1"
MANIFEST = f"{BASE}/manifest/"


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def is_flag(value: Any) -> bool:
    return value is True or value is False


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def is_identifier(value: Any) -> bool:
    """A UUID of version 4 (section 2)."""
    return is_text(value) and uuid.UUID(value).version == 4 and str(uuid.UUID(value)) == value


def is_timestamp(value: Any) -> bool:
    """Microseconds, always six digits, in UTC, with `Z` (section 2)."""
    if not is_text(value) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value):
        return False
    return bool(datetime.fromisoformat(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ") == value)


def every(inner: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A list of these, with one value at least (section 2)."""
    return lambda value: isinstance(value, list) and bool(value) and all(map(inner, value))


def shaped(name: str) -> Callable[[Any], bool]:
    """A resource with all that is required of it, of the right types, and with nothing that nobody defined."""

    def fits(value: Any) -> bool:
        required, optional = SHAPES[name]
        known = required | optional
        return required.keys() <= value.keys() <= known.keys() and all(known[key](value[key]) for key in value)

    return fits


Fields = dict[str, Callable[[Any], bool]]
SHAPES: dict[str, tuple[Fields, Fields]] = {
    "discovery": ({"title": is_text},
                  {"description": is_text, "contact": is_text, "default": is_text, "api_roots": every(is_text)}),
    "api-root": ({"title": is_text, "versions": every(is_text), "max_content_length": is_count},
                 {"description": is_text}),
    "status": ({"id": is_identifier, "status": {"complete", "pending"}.__contains__, "total_count": is_count,
                "success_count": is_count, "failure_count": is_count, "pending_count": is_count},
               {"request_timestamp": is_timestamp, "successes": every(shaped("detail")),
                "failures": every(shaped("detail")), "pendings": every(shaped("detail"))}),
    "detail": ({"id": lambda value: isinstance(value, str), "version": is_text}, {"message": is_text}),
    "collections": ({}, {"collections": every(shaped("collection"))}),
    "collection": ({"id": is_identifier, "title": is_text, "can_read": is_flag, "can_write": is_flag},
                   {"description": is_text, "alias": is_text, "media_types": every(is_text)}),
    "manifest": ({}, {"more": is_flag, "next": is_text, "objects": every(shaped("record"))}),
    "record": ({"id": is_text, "date_added": is_timestamp, "version": is_text}, {"media_type": STIX.__eq__}),
    "envelope": ({}, {"more": is_flag, "next": is_text, "objects": every(lambda value: is_text(value["type"]))}),
    "versions": ({}, {"more": is_flag, "next": is_text, "versions": every(is_text)}),
    "": ({}, {}),
}  # fmt: skip
"""Resource → what is required, what is optional.

`next` in a manifest and in versions is ours (section 7.1.1). What was posted without an id has an empty one."""


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_each_resource_is_what_its_table_says(node: Node, endpoint: Endpoint) -> None:
    """Sections 2 and 3.8: every name to the letter, all that is required, each of its type."""
    assert shaped(endpoint.payload)(node.ask(endpoint).json)


@pytest.mark.parametrize(
    ("path", "who", "params"),
    [
        ("/api/collections/", NOBODY, {}),
        (f"/api/collections/{EMPTY}/objects/", READER, {}),
        (f"/api/collections/{EMPTY}/manifest/", READER, {}),
        (WRITABLE, READER, {"match[type]": "campaign"}),
        (MANIFEST, READER, {"added_after": "2100-01-01T00:00:00.000000Z"}),
        (f"{WRITABLE}{NEW['id']}/", READER, {"match[version]": "2001-01-01T00:00:00.000Z"}),
        (f"{WRITABLE}{NEW['id']}/versions/", READER, {"match[spec_version]": "2.0"}),
    ],
)
def test_nothing_found_is_an_empty_object(node: Node, path: str, who: str, params: dict[str, str]) -> None:
    """Sections 2, 5.1.1, 5.3.1, 5.4, 5.6 and 5.8.1: the key is left out, no list is ever empty."""
    answer = node.get(path, who, params=params)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, TAXII, b"{}")


def lists(value: Any) -> Iterator[list[Any]]:
    """Every list in it."""
    if isinstance(value, list):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from lists(inner)


@pytest.mark.parametrize("objects", [[], [NEW], [7], [indicator(tlp=None)], [NEW, 7, indicator(tlp=None)]])
def test_no_list_of_a_status_is_empty(house: House, objects: list[Any]) -> None:
    """Section 2; the counts stand there all the same."""
    body = house.post(WRITABLE, {"objects": objects}).json
    assert shaped("status")(body)
    assert all(lists(body))
    assert body["total_count"] == body["success_count"] + body["failure_count"] + body["pending_count"] == len(objects)


def test_discovery(node: Node) -> None:
    """Section 4.1.1: `default` stands literally among the roots, which are absolute, without a query."""
    body = node.get("/taxii2/").json
    assert body["default"] in body["api_roots"]
    for root in body["api_roots"]:
        assert re.fullmatch(r"https?://[^/?#]+/(?:[^?#]*/)?", root)
        assert node.get(root.removeprefix("http://node.test")).json["versions"] == [TAXII]


def test_the_api_root(node: Node) -> None:
    """Section 4.2.1: exactly the version that we speak, and a limit above zero."""
    body = node.get("/api/").json
    assert body["versions"] == [TAXII]
    assert body["max_content_length"] == node.site.max_content_length > 0


def test_collections_stand_in_the_same_order_each_time(node: Node) -> None:
    """Section 3.3, and to each account."""
    whole = [each["id"] for each in node.get("/api/collections/", WRITER).json["collections"]]
    for who in (WRITER, READER, WRITER):
        again = [each["id"] for each in node.get("/api/collections/", who).json["collections"]]
        assert [name for name in again if name in whole] == [name for name in whole if name in again]


def test_the_rights_that_a_collection_tells_are_those_that_hold(node: Node) -> None:
    """Section 5.2.1, for each account and each collection that it is shown."""
    for who in (WRITER, READER):
        for told in node.get("/api/collections/", who).json["collections"]:
            base = f"/api/collections/{told['id']}"
            assert node.get(f"{base}/", who).json == told
            for path in ("objects", "manifest"):
                assert (node.get(f"{base}/{path}/", who).status_code == 200) == told["can_read"]
            assert (node.post(f"{base}/objects/", {"objects": [NEW]}, who).status_code == 202) == told["can_write"]
            assert told["media_types"] == [STIX]
    rights = {each["id"]: (each["can_read"], each["can_write"]) for each in
              node.get("/api/collections/", WRITER).json["collections"]}  # fmt: skip
    assert (rights[OPEN_WRITE], rights[INBOX], rights[EMPTY]) == ((True, True), (False, True), (True, False))


def test_an_alias_is_good_for_the_id_everywhere(node: Node) -> None:
    """Section 5.2.1; it is the name of a file, so no two collections have the same."""
    told = node.get("/api/collections/", WRITER).json["collections"]
    assert len({each["alias"] for each in told}) == len(told)
    for path in ("", "manifest/", "objects/", f"objects/{NEW['id']}/", f"objects/{NEW['id']}/versions/"):
        by_alias, by_id = node.get(f"/api/collections/depot-commun/{path}"), node.get(f"{BASE}/{path}")
        assert (by_alias.status_code, by_alias.content) == (200, by_id.content)


def test_an_envelope_even_for_one(node: Node) -> None:
    """Section 3.7: the objects as they were given, value for value, in nothing but an envelope."""
    assert node.get(f"{WRITABLE}{NEW['id']}/").json == {"more": False, "objects": [NEW]}
    assert node.get(f"{WRITABLE}{NEW['id']}/", params={"match[version]": "all"}).json["objects"] == [OLD, NEW]
    every = {"match[version]": "all", "match[type]": "indicator,malware"}  # without what other tests left recalled
    assert node.get(WRITABLE, params=every).json["objects"] == [OLD, NEW, here.OTHER]


def test_a_manifest_record_is_of_one_version(node: Node) -> None:
    """Section 5.3.1: as many records as objects, in their order, each of one of the collection's media types."""
    params = {"match[version]": "all"}
    records = node.get(MANIFEST, params=params).json["objects"]
    objects = node.get(WRITABLE, params=params).json["objects"]
    assert [(each["id"], each["version"]) for each in records] == [(each["id"], each["modified"]) for each in objects]
    assert {each["media_type"] for each in records} <= set(node.get(f"{BASE}/").json["media_types"])


CREATED = "2026-01-02T03:04:05.678901Z"
BARE = {
    "type": "marking-definition", "spec_version": "2.1", "created": CREATED,
    "id": "marking-definition--9bc37ca2-4803-4d10-b3d2-33f4905a8933",
    "definition_type": "statement", "definition": {"statement": "x"},
}  # fmt: skip
NAMED = {
    "type": "extension-definition", "spec_version": "2.1", "name": "n", "version": "1.2.1", "created": CREATED,
    "id": "extension-definition--15842290-081f-4f20-ae16-665b011ef29e", "modified": CREATED,
    "created_by_ref": CCC_IDENTITY, "schema": "https://a.example/", "extension_types": ["property-extension"],
}  # fmt: skip
SEEN = {
    "type": "domain-name", "spec_version": "2.1", "id": "domain-name--e4fc165a-846a-4225-bf83-e7e3c1b5d791",
    "value": "é.example",
}  # fmt: skip


def told_versions(house: House, item: Mapping[str, Any]) -> set[str]:
    """What the status, the manifest and the versions resource call the version of this object."""
    (entry,) = house.post(WRITABLE, {"objects": [item]}).json["successes"]
    (record,) = house.get(MANIFEST, params={"match[id]": item["id"]}).json["objects"]
    (version,) = house.get(f"{WRITABLE}{item['id']}/versions/").json["versions"]
    assert house.get(f"{WRITABLE}{item['id']}/", params={"match[version]": version}).json["objects"] == [item]
    return {entry["version"], record["version"], version}


@pytest.mark.parametrize(
    ("item", "version"), [(BARE, CREATED), (NAMED, CREATED), (SEEN, "2026-11-21T12:00:00.000000Z")]
)
def test_the_version_of_what_has_no_modified(house: House, item: dict[str, Any], version: str) -> None:
    """Sections 3.4.1, 4.3.1, 5.3.1 and 5.8: `created`; where there is none either, the same value everywhere.

    A property that is called `version` is none. R14: where there is no date, it is that of the listing.
    """
    assert told_versions(house, marked(item, Tlp.GREEN)) == {version}


@pytest.mark.parametrize(
    "modified", ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.120Z", "2026-01-02T03:04:05.0000Z"]
)
def test_the_version_is_the_text_of_modified(house: House, modified: str) -> None:
    """Sections 4.3.1, 5.3.1 and 5.8: the version *is* the property."""
    assert told_versions(house, indicator() | {"modified": modified}) == {modified}


@pytest.mark.parametrize("fraction", ["000", "120", "0000", "123456", "1234567", "123456789"])
def test_the_version_is_the_instant_of_modified(house: House, fraction: str) -> None:
    """To the last digit, and found again by either notation."""
    item = indicator() | {"modified": f"2026-01-02T03:04:05.{fraction}Z"}
    (version,) = told_versions(house, item)
    assert version.rstrip("0Z").ljust(19, "0") == item["modified"].rstrip("0Z").ljust(19, "0")
    for asked in (version, item["modified"]):
        assert house.get(MANIFEST, params={"match[version]": asked}).json["objects"][0]["id"] == item["id"]


def test_custom_properties_of_an_envelope_are_ignored(house: House) -> None:
    """Section 7.1.1: what a server does not understand it may leave aside, and go on."""
    envelope = {"objects": [NEW], "x_acme_com_note": {"deep": [1]}, "foo": None, "id": "bundle--x", "type": "bundle"}
    assert house.post(WRITABLE, envelope).json["success_count"] == 1
    assert house.get(WRITABLE).json == {"more": False, "objects": [NEW]}


def test_our_own_custom_properties(node: Node) -> None:
    """Section 7.1.1: the one property that we add is `next`, where the standard has it for envelopes only.

    It has no prefix, as the clients that page a manifest by it ask for it by this name.
    """
    for path, name in ((MANIFEST, "objects"), (f"{WRITABLE}{NEW['id']}/versions/", "versions")):
        assert set(node.get(path, params={"match[version]": "all", "limit": "1"}).json) == {"more", "next", name}


def test_json_is_utf_8_and_strict(house: House) -> None:
    """Section 1.6.7: any Unicode is served as it came, and what is no I-JSON is never served."""
    item = indicator("é.example", name="À votre santé \U0001f600 \u2028 \x7f", x_empty="")
    assert house.post(WRITABLE, json.dumps({"objects": [item]}, ensure_ascii=False).encode()).json["success_count"] == 1
    nan = json.dumps({"objects": [indicator("b.example", x_number=float("nan"))]}).encode()
    assert house.post(WRITABLE, nan).json["failure_count"] == 1
    content = house.get(WRITABLE).content
    assert json.loads(content.decode("utf-8"), parse_constant=pytest.fail)["objects"] == [item]
    refused(house.post(WRITABLE, '{"objects":[]}'.encode("utf-16")), 400, "request.json")


def test_a_touch_is_a_success_and_no_new_version(house: House) -> None:
    """Our refinement (R9): equal content under a later `modified` is recorded, and no reader gets it again."""
    again = indicator("a.example", modified=NOW)
    assert house.post(WRITABLE, {"objects": [OLD]}).json["success_count"] == 1
    touch = OLD | {"modified": again["modified"]}
    assert house.post(WRITABLE, {"objects": [touch]}).json["success_count"] == 1
    assert house.get(WRITABLE, params={"match[version]": "all"}).json["objects"] == [OLD]
