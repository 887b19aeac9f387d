"""The published description: every address and method of the application, every parameter, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from exchange.serve import openapi
from exchange.serve.misp.address import addressed
from exchange.serve.misp.map import NAMED
from exchange.serve.question import LIST, ONE, PAGE, REMOVAL
from tests.serve.house import MANIFEST, OBJECTS, TAXII, WRITABLE, House
from tests.world import SHARED, indicator

METHODS = ("get", "head", "post", "delete", "options", "put", "patch", "trace")


@pytest.fixture
def described(house: House) -> Any:
    answer = house.get("/openapi.json", None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


def routes(node: Any) -> dict[str, Any]:
    """Path → the resource behind it, from Falcon's own tree."""
    found = {node.uri_template: node.resource} if node.resource is not None else {}
    for child in node.children:
        found |= routes(child)
    return found


def test_it_names_every_address_and_method(house: House, described: Any) -> None:
    there = {path: resource for root in house.app._router._roots for path, resource in routes(root).items()}
    ours = {path for path in there if ":path}" not in path and not addressed(path)}
    plain = {path: item for path, item in described["paths"].items() if not addressed(path)}
    assert {path.rstrip("/") or "/" for path in plain} == ours
    assert {path for path in described["paths"] if addressed(path)} == {f"/misp/{{name}}/{action}" for action in NAMED}
    for path, item in plain.items():
        resource = there[path.rstrip("/") or "/"]
        offered = {name for name in METHODS if hasattr(resource, f"on_{name}")} | {"options"}
        assert offered == item.keys() & set(METHODS), path


def test_it_names_the_parameters_that_have_effect(described: Any) -> None:
    names = {
        f"#/components/parameters/{key}": value["name"] for key, value in described["components"]["parameters"].items()
    }

    def of(path: str, method: str) -> set[str]:
        return {names[each["$ref"]] for each in described["paths"][path][method].get("parameters", ())}

    one = "/api/collections/{name}/objects/{object_id}/"
    for method in ("get", "head"):
        assert of("/api/collections/{name}/objects/", method) == set(LIST)
        assert of("/api/collections/{name}/manifest/", method) == set(LIST)
        assert of(one, method) == set(ONE)
        assert of(f"{one}versions/", method) == set(PAGE)
    assert of(one, "delete") == set(REMOVAL)


def test_every_reference_leads_somewhere(described: Any) -> None:
    for found in re.findall(r'"\$ref":\s*"#/([^"]+)"', json.dumps(described)):
        place: Any = described
        for part in found.split("/"):
            place = place[part]
    assert not re.search(r"[^A-Za-z0-9._-]", "".join(n for part in described["components"].values() for n in part))


def test_what_is_answered_is_what_is_described(house: House, described: Any) -> None:
    """Each body fits the schema of its status code, and each code is there."""
    house.give(indicator())
    posted = house.post(WRITABLE, {"objects": [indicator("a.example"), 7, indicator("b.example", tlp=None)]})
    one = "/api/collections/{name}/objects/{object_id}/"
    item = f"{OBJECTS}{indicator()['id']}/"
    answers = [
        ("/taxii2/", "get", house.get("/taxii2/")),
        ("/api/", "get", house.get("/api/")),
        ("/api/collections/", "get", house.get("/api/collections/")),
        ("/api/collections/", "get", house.get("/api/collections/", "maison")),
        ("/api/collections/{name}/", "get", house.get(f"/api/collections/{SHARED}/")),
        ("/api/collections/{name}/manifest/", "get", house.get(MANIFEST)),
        ("/api/collections/{name}/objects/", "get", house.get(OBJECTS)),
        ("/api/collections/{name}/objects/", "get", house.get(OBJECTS, params={"match[type]": "x"})),
        ("/api/collections/{name}/objects/", "get", house.get(OBJECTS, params={"limit": "x"})),
        ("/api/collections/{name}/objects/", "get", house.get(OBJECTS, None)),
        ("/api/collections/{name}/objects/", "post", posted),
        ("/api/collections/{name}/objects/", "post", house.post(WRITABLE, b"{")),
        ("/api/collections/{name}/objects/", "post", house.post(WRITABLE, b"{}")),
        ("/api/collections/{name}/objects/", "post", house.post(WRITABLE, b"{}", Content_Type="x")),
        ("/api/status/{status_id}/", "get", house.get(f"/api/status/{posted.json['id']}/", "circl")),
        (one, "get", house.get(item)),
        (one, "get", house.get(f"{OBJECTS}x/")),
        (one, "delete", house.send("DELETE", f"{WRITABLE}{indicator('a.example')['id']}/", "circl")),
        (one, "delete", house.send("DELETE", item)),
        (f"{one}versions/", "get", house.get(f"{item}versions/")),
        (f"{one}versions/", "get", house.get(f"{item}versions/", headers={"Accept": "text/x"})),
    ]
    for path, method, answer in answers:
        response = described["paths"][path][method]["responses"][str(answer.status_code)]
        schema = {"components": described["components"], **response["content"][TAXII]["schema"]}
        jsonschema_rs.validator_for(schema).validate(answer.json)
        for name, header in response.get("headers", {}).items():
            assert name in answer.headers or not header.get("required")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "added_after",
            ["2026-01-31T12:00:00Z"[:8] + "28T00:00:00.123456789Z", "1999-12-01t00:00:00+01:30"],
            ["", "x"],
        ),
        ("match.version", ["all", "first,last", "first,2020-01-01T00:00:00Z"], ["", "all,last", "last,last", ",last"]),
        ("match.id", ["a", "a,b", " a, b"], ["", ",", "a,", " "]),
    ],
)
def test_the_patterns_say_what_is_taken(
    house: House, described: Any, name: str, good: list[str], bad: list[str]
) -> None:
    parameter = described["components"]["parameters"][name]
    pattern = re.compile(parameter["schema"]["pattern"])
    for text in good:
        assert pattern.search(text)
        assert house.get(OBJECTS, params={parameter["name"]: text}).status_code == 200
    for text in bad:
        assert not pattern.search(text)
        assert house.get(OBJECTS, params={parameter["name"]: text}).status_code == 400


def test_it_holds_no_content_and_needs_no_account(house: House) -> None:
    house.give(indicator("secret.example"))
    text = house.get(openapi.PATH, None).text
    assert "secret.example" not in text
    assert SHARED not in text
    assert house.send("HEAD", openapi.PATH, None).status_code == 200
