"""The description of what is served, in OpenAPI 3.1: exact enough to test against, and without any content.

Its few words are the standard's own names of its endpoints and HTTP's own phrases, so it has no language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import falcon

from exchange.serve import media, tags
from exchange.serve.misp.address import PREFIX
from exchange.serve.misp.map import NAMED
from exchange.serve.roots import DISCOVERY, ROOT
from exchange.serve.site import Site

PATH = "/openapi.json"
_JSON = "application/json"
_TIMESTAMP = (
    r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
)
_LIST = r"^ *[^ ,][^,]*(, *[^ ,][^,]*){0,499}$"

Piece = dict[str, Any]


def _ref(kind: str, name: str) -> Piece:
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(required: Sequence[str] = (), **properties: Piece) -> Piece:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_TEXT: Piece = {"type": "string"}
_COUNT: Piece = {"type": "integer", "minimum": 0}
_DATE: Piece = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"}
_TEXTS: Piece = {"type": "array", "items": _TEXT, "minItems": 1}
_DETAILS: Piece = {"type": "array", "items": _ref("schemas", "status-details"), "minItems": 1}
_PAGE: Piece = {"more": {"type": "boolean"}, "next": _DATE}


def _schemas() -> Piece:
    """The resources of sections 3 to 5, as they are served here: no list is ever empty (section 2)."""
    record = _object(
        ("id", "date_added", "version", "media_type"), id=_TEXT, date_added=_DATE, version=_TEXT, media_type=_TEXT
    )
    objects: Piece = {"type": "array", "items": {"type": "object"}, "minItems": 1}
    records: Piece = {"type": "array", "items": record, "minItems": 1}
    collections: Piece = {"type": "array", "items": _ref("schemas", "collection"), "minItems": 1}
    counts = {f"{name}_count": _COUNT for name in ("total", "success", "failure", "pending")}
    return {
        "discovery": _object(
            ("title", "default", "api_roots"), title=_TEXT, description=_TEXT, contact=_TEXT, default=_TEXT,
            api_roots=_TEXTS,
        ),
        "api-root": _object(
            ("title", "versions", "max_content_length"), title=_TEXT, versions=_TEXTS,
            max_content_length={"type": "integer", "minimum": 1},
        ),
        "collection": _object(
            ("id", "title", "can_read", "can_write"), id={"type": "string", "format": "uuid"}, title=_TEXT,
            description=_TEXT, alias=_TEXT, can_read={"type": "boolean"}, can_write={"type": "boolean"},
            media_types=_TEXTS,
        ),
        "collections": _object(collections=collections),
        "envelope": _object(objects=objects, **_PAGE),
        "manifest": _object(objects=records, **_PAGE),
        "versions": _object(versions=_TEXTS, **_PAGE),
        # Each object is judged by itself: what is no object, or no valid one, is a failure in the status.
        "additions": _object(("objects",), objects={"type": "array"}, more={"type": "boolean"}),
        "status-details": _object(("id", "version"), id=_TEXT, version=_TEXT, message=_TEXT),
        "status": _object(
            ("id", "status", "request_timestamp", *counts), id={"type": "string", "format": "uuid"},
            status={"enum": ["complete", "pending"]}, request_timestamp=_DATE, **counts,
            successes=_DETAILS, failures=_DETAILS, pendings=_DETAILS,
        ),
        "error": _object(
            ("title", "http_status"), title=_TEXT, description=_TEXT, error_code=_TEXT, error_id=_TEXT,
            http_status={"type": "string", "pattern": "^[45][0-9]{2}$"},
        ),
        "nothing": {"type": "object", "maxProperties": 0},
        "misp-error": _object(("name", "message", "url"), name=_TEXT, message=_TEXT, url=_TEXT),
    }  # fmt: skip


def _parameters() -> Piece:
    instant: Piece = {"type": "string", "pattern": f"^{_TIMESTAMP}$"}
    versions = rf"^(all|first|last|first,last|last,first|((first|last),)?{_TIMESTAMP})$"
    query: Mapping[str, Piece] = {
        "added_after": instant,
        "next": instant,
        "limit": {"type": "integer", "minimum": 1},
        "match[id]": {"type": "string", "pattern": _LIST},
        "match[type]": {"type": "string", "pattern": _LIST},
        "match[spec_version]": {"type": "string", "pattern": _LIST},
        "match[version]": {"type": "string", "pattern": versions},
    }
    named = ("name", "object_id", "status_id", "file")
    return {
        **{_key(name): {"name": name, "in": "query", "schema": schema} for name, schema in query.items()},
        **{
            name: {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in named
        },
    }


def _key(parameter: str) -> str:
    """The name of a parameter among the components, where brackets are not allowed."""
    return parameter.replace("[", ".").replace("]", "")


_VERSIONS = ("added_after", "next", "limit", "match[spec_version]")
_ONE = (*_VERSIONS, "match[version]")
_MANY = (*_ONE, "match[id]", "match[type]")
_KNOCK = (401, 406, 429, 503)
_READ = (400, 403, 404, *_KNOCK)


def _headers(status: int, *, dated: bool) -> Piece:
    """The headers that a reader may count on besides Content-Type, Cache-Control and Vary."""
    text: Piece = {"schema": _TEXT}
    found: Piece = {}
    if status in (200, 304):
        found["ETag"] = text
    if dated and status in (200, 304):
        found |= {f"X-TAXII-Date-Added-{which}": {"schema": _DATE} for which in ("First", "Last")}
    if status == 401:
        found["WWW-Authenticate"] = {**text, "required": True}
    if status in (429, 503):
        found["Retry-After"] = {"schema": {"type": "integer"}, "required": True}
    return {"headers": found} if found else {}


def _responses(schema: str, good: Sequence[int], bad: Sequence[int], *, body: bool = True) -> Piece:
    made: Piece = {}
    dated = schema in ("envelope", "manifest", "versions")
    for status in (*good, *bad):
        answer: Piece = {"description": HTTPStatus(status).phrase, **_headers(status, dated=dated)}
        if body and status != 304:
            shape = _ref("schemas", schema if status in good else "error")
            answer["content"] = {media.TAXII: {"schema": shape}}
        made[str(status)] = answer
    return made


_OPTIONS: Piece = {
    "summary": "OPTIONS",
    "security": [],
    "responses": {"204": {"description": HTTPStatus.NO_CONTENT.phrase, "headers": {"Allow": {"schema": _TEXT}}}},
}


def _readable(summary: str, schema: str, bad: Sequence[int], query: Sequence[str] = ()) -> Piece:
    """GET and HEAD of a TAXII resource."""
    parameters = [_ref("parameters", _key(name)) for name in query]
    said = {"summary": summary, **({"parameters": parameters} if parameters else {})}
    return {
        "get": {**said, "responses": _responses(schema, (200, 304), bad)},
        "head": {**said, "responses": _responses(schema, (200, 304), bad, body=False)},
        "options": _OPTIONS,
    }


def _plain(summary: str, kinds: Sequence[str], good: Sequence[int], bad: Sequence[int], *, free: bool = True) -> Piece:
    """GET and HEAD of what is no TAXII resource."""
    said: Piece = {"summary": summary, **({"security": []} if free else {})}
    full, empty = _responses("error", (), bad), _responses("error", (), bad, body=False)
    for status in good:
        answer: Piece = {"description": HTTPStatus(status).phrase}
        empty[str(status)] = answer
        full[str(status)] = answer if status == 304 else {**answer, "content": {kind: {} for kind in kinds}}
    return {"get": {**said, "responses": full}, "head": {**said, "responses": empty}, "options": _OPTIONS}


def _post() -> Piece:
    shape = {"schema": _ref("schemas", "additions")}
    return {
        "summary": "Add Objects",
        "requestBody": {"required": True, "content": {media.TAXII: shape}},
        "responses": _responses("status", (202,), (400, 403, 404, 413, 415, 422, *_KNOCK)),
    }


def _delete() -> Piece:
    query = ("match[version]", "match[spec_version]")
    return {
        "summary": "Delete an Object",
        "parameters": [_ref("parameters", _key(name)) for name in query],
        "responses": _responses("nothing", (200,), _READ),
    }


_MISP = (400, 403, 404, 405, 413, 415, 422, 429, 503)


def _misp(action: str) -> Piece:
    """One of MISP's own addresses; its parameters stand in the path behind it (`/name:value`)."""
    refused = {_JSON: {"schema": _ref("schemas", "misp-error")}}
    made: Piece = {"options": _OPTIONS}
    for method in sorted(NAMED[action].methods):
        body = {} if method == "HEAD" else {"content": refused}
        answers: Piece = {str(n): {"description": HTTPStatus(n).phrase, **_headers(n, dated=False)} for n in _MISP}
        answers = {status: {**answer, **body} for status, answer in answers.items()}
        answers["304"] = {"description": HTTPStatus.NOT_MODIFIED.phrase}
        content: Piece = {} if method == "HEAD" else {"content": {_JSON: {}, "text/plain": {}}}
        answers["200"] = {"description": HTTPStatus.OK.phrase, **content}
        made[method.lower()] = {"summary": f"MISP {action}", "responses": answers}
    return made


def _paths() -> Piece:
    one = f"{ROOT}/collections/{{name}}"
    paths = {
        "/": _plain("HTML", ["text/html"], (200,), ()),
        "/health": _plain("Health", [_JSON], (200, 503), ()),
        PATH: _plain("OpenAPI", [_JSON], (200, 304), ()),
        f"{DISCOVERY}/": _readable("Server Discovery", "discovery", _KNOCK),
        f"{ROOT}/": _readable("Get API Root Information", "api-root", _KNOCK),
        f"{ROOT}/status/{{status_id}}/": _readable("Get Status", "status", (404, *_KNOCK)),
        f"{ROOT}/collections/": _readable("Get Collections", "collections", _KNOCK),
        f"{one}/": _readable("Get a Collection", "collection", (404, *_KNOCK)),
        f"{one}/manifest/": _readable("Get Object Manifests", "manifest", _READ, _MANY),
        f"{one}/objects/": _readable("Get Objects", "envelope", _READ, _MANY) | {"post": _post()},
        f"{one}/objects/{{object_id}}/": _readable("Get an Object", "envelope", _READ, _ONE) | {"delete": _delete()},
        f"{one}/objects/{{object_id}}/versions/": _readable("Get Object Versions", "versions", _READ, _VERSIONS),
        "/feeds/{name}/{file}": _plain(
            "MISP Feed", [_JSON, "text/csv"], (200, 304), (401, 403, 404, 429, 503), free=False
        ),
    }
    paths |= {f"{PREFIX}/{{name}}/{action}": _misp(action) for action in NAMED}
    for path, item in paths.items():
        named = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if named:
            item["parameters"] = [_ref("parameters", name) for name in named]
    return paths


def describe(site: Site) -> Piece:
    """The whole description of this node."""
    return {
        "openapi": "3.1.0",
        "info": {"title": site.title, "version": version("exchange")},
        **({"servers": [{"url": site.public_url.rstrip("/")}]} if site.public_url else {}),
        "security": [{"basic": []}, {"bearer": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "parameters": _parameters(),
            "schemas": _schemas(),
        },
    }


class Description:
    """`GET /openapi.json`, without an account."""

    def __init__(self, site: Site) -> None:
        self._described = describe(site)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The description."""
        tags.answer(req, resp, self._described)
        if resp.status == falcon.HTTP_200:
            resp.content_type = _JSON

    on_head = on_get
