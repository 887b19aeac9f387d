"""CIRCL's MISP: a small double that answers like the recorded MISP 2.5.1, for clients that pull or push events.

    with misp(samples.circl_events()) as circl:
        PyMISP(circl.url, circl.key)

It is faithful where a client can tell: strings for numbers, named parameters in the path, ETag on the index, 403 in
MISP's words, distribution, soft deletion, local tags. `circl.site` remembers requests and makes trouble.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import falcon
import orjson

from lab.misp_store import Event, Events, Reader, RefusedError, View, metadata
from lab.web import Site, site

VERSION = "2.5.1"
CERT_QC = Reader(uuid="7c2f5a90-1d3b-4e86-b0f4-62a9d8c5e317", name="CERT-QC")
MINIMAL = ("id", "timestamp", "sighting_timestamp", "published", "uuid")
_UNKNOWN_KEY = (
    "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
    "Authorization header."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misp:
    """A running double: where it is, our key for it, what it holds, and its site."""

    url: str
    key: str = field(repr=False)
    events: Events
    site: Site


@contextmanager
def misp(events: Iterable[Event] = (), port: int = 0, *, reader: Reader = CERT_QC) -> Iterator[Misp]:
    """A MISP on loopback that holds `events` and shows them to `reader`, the organisation of the only account."""
    key = secrets.token_hex(20)
    held = Events(events, reader)
    with site(application(held, key), port) as running:
        yield Misp(url=running.url, key=key, events=held, site=running)


def application(events: Events, key: str) -> falcon.App[falcon.Request, falcon.Response]:
    """The double as a WSGI application."""
    app = falcon.App(media_type="application/json; charset=UTF-8", middleware=[_Account(key)])
    app.set_error_serializer(_say)
    app.add_error_handler(RefusedError, _refuse)
    instance, listing, event = _Instance(events.reader), _Listing(events), _Event(events)
    app.add_route("/servers/getVersion", instance, suffix="version")
    app.add_route("/servers/postTest", instance, suffix="test")
    app.add_route("/servers/getAvailableSyncFilteringRules", instance, suffix="rules")
    app.add_route("/users/view/me", instance, suffix="me")
    app.add_route("/shadow_attributes/index/{named:path}", instance, suffix="proposals")
    app.add_route("/sightings/restSearch/event", instance, suffix="sightings")
    app.add_route("/events/index", listing, suffix="index")
    app.add_route("/events/index/{named:path}", listing, suffix="index")
    app.add_route("/events/restSearch", listing, suffix="search")
    app.add_route("/events/filterEventIdsForPush", listing, suffix="offer")
    for template in ("/events/{key}", "/events/view/{key}", "/events/view/{key}/{named:path}"):
        app.add_route(template, event)
    for template in ("/events/add", "/events/add/{named:path}"):
        app.add_route(template, event, suffix="add")
    for template in ("/events/edit/{key}", "/events/edit/{key}/{named:path}"):
        app.add_route(template, event, suffix="edit")
    return app


class _Account:
    """Lets in who has the key, and undoes what CakePHP undoes: `.json` at the end of a path."""

    def __init__(self, key: str) -> None:
        self._key = key

    def process_request(self, request: falcon.Request, _: falcon.Response) -> None:
        request.path = request.path.removesuffix(".json")
        if request.get_header("Authorization") != self._key:
            raise falcon.HTTPForbidden(title=_UNKNOWN_KEY)


class _Instance:
    """What a client asks about the instance itself."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def on_get_version(self, _: falcon.Request, response: falcon.Response) -> None:
        response.media = {
            "version": VERSION,
            "pymisp_recommended_version": VERSION,
            "perm_sync": True,
            "perm_sighting": True,
            "uuid": "c1ca1c1a-0000-4000-8000-000000000001",
            "request_encoding": ["gzip"],
        }

    def on_post_test(self, request: falcon.Request, response: falcon.Response) -> None:
        headers = {"Accept": "application/json", "Content-type": "application/json", "Authorization": "OK"}
        response.media = {"body": _body(request), "headers": headers}

    def on_get_rules(self, _: falcon.Request, response: falcon.Response) -> None:
        response.media = {"organisations": [self._reader.name], "tags": []}

    def on_get_me(self, _: falcon.Request, response: falcon.Response) -> None:
        response.media = {
            "User": {"id": "2", "org_id": "2", "email": "sync@cert-qc.example", "role_id": "5", "disabled": False},
            "Role": {
                "id": "5",
                "name": "Sync user",
                "perm_sync": True,
                "perm_add": True,
                "perm_publish": True,
                "perm_site_admin": self._reader.site_admin,
            },
            "UserSetting": [],
            "Organisation": {"id": "2", "name": self._reader.name, "uuid": self._reader.uuid, "local": True},
        }

    def on_get_proposals(self, _: falcon.Request, response: falcon.Response, named: str) -> None:  # noqa: ARG002
        response.media = []

    def on_post_sightings(self, _: falcon.Request, response: falcon.Response) -> None:
        response.media = {"response": []}


class _Listing:
    """Many events at a time."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def on_get_index(self, request: falcon.Request, response: falcon.Response, named: str = "") -> None:
        self._index(request, response, {**request.params, **_named(named)})

    def on_post_index(self, request: falcon.Request, response: falcon.Response, named: str = "") -> None:
        self._index(request, response, {**_body(request), **_named(named)})

    def _index(self, request: falcon.Request, response: falcon.Response, wishes: dict[str, Any]) -> None:
        found = _sorted(self._events.search(wishes), wishes)
        rows = [self._row(event, minimal=bool(wishes.get("minimal"))) for event in _page(found, wishes)]
        body = orjson.dumps(rows)
        response.set_header("X-Result-Count", str(len(found)))
        response.etag = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        if response.get_header("ETag") == request.get_header("If-None-Match"):
            response.status = falcon.HTTP_304
        else:
            response.data = body

    def on_post_search(self, request: falcon.Request, response: falcon.Response) -> None:
        wishes = _body(request)
        found = self._events.search(wishes)
        shown = [View.of(self._events.reader, event, wishes).event(event) for event in _page(found, wishes)]
        response.set_header("X-Result-Count", str(len(shown)))
        response.media = {"response": [{"Event": event} for event in shown]}

    def on_post_offer(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = self._events.wanted(offer["Event"] for offer in _body(request))

    @staticmethod
    def _row(event: Event, *, minimal: bool) -> Event:
        if minimal:
            return {**{key: event[key] for key in MINIMAL}, "orgc_uuid": event["Orgc"]["uuid"]}
        tags = [{"Tag": tag, "local": tag.get("local", False)} for tag in event.get("Tag", [])]
        return {**metadata(event), "EventTag": tags}


class _Event:
    """One event."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def on_get(self, request: falcon.Request, response: falcon.Response, key: str, named: str = "") -> None:
        response.media = {"Event": self._found(key, {**request.params, **_named(named)})}

    def on_post(self, request: falcon.Request, response: falcon.Response, key: str, named: str = "") -> None:
        response.media = {"Event": self._found(key, {**_body(request), **_named(named)})}

    def on_head(self, _: falcon.Request, __: falcon.Response, key: str, named: str = "") -> None:
        self._found(key, _named(named))

    def on_post_add(self, request: falcon.Request, response: falcon.Response, named: str = "") -> None:  # noqa: ARG002
        sent = _body(request)
        event = sent.get("Event", sent)
        if held := self._events.view(event["uuid"], {}):
            raise falcon.HTTPNotFound(
                title="Event already exists, if you would like to edit it, use the url in the location header.",
                headers={"Location": f"{request.prefix}/events/{held['id']}"},
            )
        response.media = {"Event": self._events.add(event)}

    def on_post_edit(self, request: falcon.Request, response: falcon.Response, key: str, named: str = "") -> None:
        sent = _body(request)
        held = self._found(key, _named(named))
        response.media = {"Event": self._events.edit(held["uuid"], sent.get("Event", sent))}

    def _found(self, key: str, wishes: dict[str, Any]) -> Event:
        event = self._events.view(key, wishes)
        if event is None:
            raise falcon.HTTPNotFound(title="Invalid event")
        return event


def _named(text: str) -> dict[str, Any]:
    """CakePHP's named parameters: `deleted[]:0/deleted[]:1/excludeLocalTags:1`; `0` is no."""
    named: dict[str, Any] = {}
    for piece in filter(None, text.split("/")):
        name, _, value = piece.partition(":")
        if name.endswith("[]"):
            named.setdefault(name[:-2], []).append(value)
        elif value != "0":
            named[name] = value
    return named


def _body(request: falcon.Request) -> Any:
    raw = request.bounded_stream.read()
    if request.get_header("Content-Encoding") == "gzip":
        raw = gzip.decompress(raw)
    return orjson.loads(raw or b"{}")


def _sorted(events: list[Event], wishes: dict[str, Any]) -> list[Event]:
    key = wishes.get("sort")
    if not key:
        return events
    return sorted(events, key=lambda event: str(event.get(key)), reverse=wishes.get("direction") == "desc")


def _page(events: list[Event], wishes: dict[str, Any]) -> list[Event]:
    limit, page = int(wishes.get("limit") or 0), int(wishes.get("page") or 1)
    return events[(page - 1) * limit : page * limit] if limit else events


def _say(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    title = "Not Found" if error.title == falcon.HTTP_404 else error.title
    response.media = {"name": title, "message": title, "url": request.path}


def _refuse(request: falcon.Request, response: falcon.Response, error: RefusedError, _: Any) -> None:
    response.status = falcon.HTTP_403
    said = {"saved": False, "name": error.name, "message": error.name, "url": request.path}
    response.media = {**said, "errors": error.errors}
