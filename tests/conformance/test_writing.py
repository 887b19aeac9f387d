"""What POST and DELETE leave behind (sections 4.3, 5.5 and 5.7), where other tests do not look."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from exchange.store import Store
from tests.conformance.node import BASE
from tests.serve.house import OBJECTS, WRITABLE, House, ids, refused
from tests.world import NOW, indicator, marked

MANIFEST = f"{BASE}/manifest/"
VERSIONS = [indicator("a.example", modified=NOW - timedelta(days=9 - n), description=f"{n}") for n in range(3)]
ONE = f"{WRITABLE}{VERSIONS[0]['id']}/"


def test_a_version_that_was_deleted_is_gone_from_everywhere(house: House) -> None:
    """Section 5.7: from the object, its versions, the collection and its manifest; the other versions stay."""
    for item in VERSIONS:
        house.post(WRITABLE, {"objects": [item]})
    gone = VERSIONS[2]["modified"]
    assert house.send("DELETE", ONE, "circl", params={"match[version]": gone}).status_code == 200
    for who in ("circl", "ccc"):
        assert house.get(ONE, who, params={"match[version]": gone}).json == {}
        assert house.get(f"{ONE}versions/", who).json["versions"] == [item["modified"] for item in VERSIONS[:2]]
        for path in (WRITABLE, MANIFEST):
            assert len(ids(house.get(path, who, params={"match[version]": "all"}))) == 2
            assert house.get(path, who, params={"match[version]": gone}).json == {}
    assert house.get(ONE).json["objects"] == [VERSIONS[1]]
    refused(house.send("DELETE", ONE, "circl", params={"match[version]": gone}), 404, "request.no_object")


def test_a_deleted_object_is_404_by_id_and_nothing_in_a_list(house: House) -> None:
    """Section 5.7 wants 404 and section 5.4 an empty envelope: the one is for its address, the other for a search."""
    house.post(WRITABLE, {"objects": VERSIONS})
    house.send("DELETE", ONE, "circl")
    for who in ("circl", "ccc"):
        refused(house.get(ONE, who), 404, "request.no_object")
        refused(house.get(f"{ONE}versions/", who), 404, "request.no_object")
        for path in (WRITABLE, MANIFEST):
            assert house.get(path, who, params={"match[id]": VERSIONS[0]["id"], "match[version]": "all"}).json == {}


@pytest.mark.parametrize("spec_version", ["2.0", "2.2", "3.0", None])
def test_a_version_of_stix_that_we_do_not_take(house: House, spec_version: str | None) -> None:
    """Section 5.5 has 422 for it; since each object stands by itself, it fails alone."""
    strange = indicator("strange.example") | {"spec_version": spec_version}
    if spec_version is None:
        del strange["spec_version"]
    body = house.post(WRITABLE, {"objects": [strange, VERSIONS[0]]}).json
    assert (body["success_count"], body["failure_count"]) == (1, 1)
    (failure,) = body["failures"]
    assert (failure["id"], failure["version"]) == (strange["id"], strange["modified"])
    assert failure["message"].endswith("[content.spec_version]")


def test_what_is_from_the_future_is_pending(house: House) -> None:
    """Section 4.3.1 with R5: more than five minutes ahead of the clock it waits."""
    early = indicator(modified=NOW + timedelta(minutes=10))
    answer = house.post(WRITABLE, {"objects": [early]}).json
    assert (answer["status"], answer["pending_count"]) == ("pending", 1)
    (pending,) = answer["pendings"]
    assert (pending["id"], pending["version"]) == (early["id"], early["modified"])
    assert "[version.future]" in pending["message"]


def test_every_object_is_in_one_list_by_id_and_version(house: House) -> None:
    """Section 4.3.1: each posted object stands in one list of details."""
    good, held, bad = indicator("a.example"), indicator("b.example", tlp=None), indicator("c.example") | {"pattern": 7}
    body = house.post(WRITABLE, {"objects": [good, held, bad]}).json
    for name, item in (("successes", good), ("pendings", held), ("failures", bad)):
        (entry,) = body[name]
        assert (entry["id"], entry["version"]) == (item["id"], item["modified"])
    assert (body["success_count"], body["pending_count"], body["failure_count"]) == (1, 1, 1)


def test_the_same_word_from_two_is_no_error(house: House) -> None:
    """Section 5.5: an exact duplicate never is one, in one envelope, in two, or when another source has it already."""
    item = indicator()
    house.give(item)
    for objects in ([item, item], [item]):
        body = house.post(WRITABLE, {"objects": objects}).json
        assert (body["success_count"], body["failure_count"]) == (len(objects), 0)
    assert ids(house.get(WRITABLE)) == [item["id"]]


def test_an_object_is_stored_as_it_came(house: House) -> None:
    """Sections 3.7 and 5.5: custom types and properties, numbers and escapes, value for value."""
    thing: dict[str, Any] = marked(
        {"type": "x-acme-thing", "spec_version": "2.1", "id": "x-acme-thing--92340866-ebfa-4c73-81b4-77886e77b72f",
         "created": "2026-01-01T00:00:00.000000Z", "modified": "2026-01-01T00:00:00.000000Z",
         "x_deep": [{"a": [1, 2.5, -0.0, 1e3, True]}], "x_text": "\u0001\U0001f600 \\ / \""}, None,
    )  # fmt: skip
    thing["object_marking_refs"] = indicator()["object_marking_refs"]
    assert house.post(WRITABLE, {"objects": [thing]}).json["success_count"] == 1
    assert house.get(WRITABLE).json["objects"] == [thing]


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_exactly_as_much_as_was_announced(memory: Store, over: int) -> None:
    """Section 4.2.1: below `max_content_length` never 413; above it always."""
    house = House(memory, max_content_length=4000)
    limit = house.get("/api/").json["max_content_length"]
    body = json.dumps({"objects": [indicator()]}).encode()
    body += b" " * (limit + over - len(body))
    assert house.post(WRITABLE, body).status_code == (413 if over > 0 else 202)


def test_a_delete_takes_it_out_of_one_collection(house: House) -> None:
    """Section 5.7: whether others go on listing it is the server's affair; ours do, for R22 is about that one alone."""
    item = indicator()
    assert house.post(WRITABLE, {"objects": [item]}).json["success_count"] == 1
    assert ids(house.get(OBJECTS)) == [item["id"]]
    assert house.send("DELETE", f"{WRITABLE}{item['id']}/", "circl").status_code == 200
    left = [ids(house.get(path, params={"match[type]": "indicator"})) for path in (WRITABLE, OBJECTS)]
    assert left == [[], [item["id"]]]
    assert [each["object_refs"] for each in house.get(WRITABLE).json["objects"]] == [[item["id"]]], "its recall (R8)"
