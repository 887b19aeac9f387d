"""`restSearch`: events and attributes by MISP's filters, and the attribute cache by which a MISP correlates."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from exchange.errors import RequestError
from exchange.serve.misp import filters, view
from exchange.serve.misp.index import whole
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.pushed import truth
from exchange.serve.misp.viewing import completed
from exchange.sync import events
from exchange.sync.events import Document, EventRow, View

_CACHE_PAGE = 50_000
_RENAMED = {"date_from": "datefrom", "date_to": "dateuntil", "last": "publish_timestamp", "tags": "tag"}
_OF_EVENTS = frozenset({"eventid", "event_id", "uuid", "eventinfo", "org", "published", "timestamp", "tag",
                        "publish_timestamp", "datefrom", "dateuntil", "threat_level_id", "sharinggroup"})  # fmt: skip
Test = Callable[[Mapping[str, Any]], bool]


def search_events(ask: Ask) -> Answer:
    """`POST /events/restSearch`: whole events; with `metadata` their frames alone."""
    _json_only(ask)
    asked = _asked(ask)
    rows, seen = _rows(ask, asked, of_events=True), view.view(ask)
    tests = _attribute_tests(asked)
    if truth(asked.get("minimal")) or truth(asked.get("metadata")):
        told = list(_slice(rows, asked))
        found = [{"Event": whole(row)} for row in told]
        offered = view.entities(told, len(told))
        return Answer(body={"response": found}, headers=_counted(len(rows)), offered=offered)
    if not tests:
        rows = list(_slice(rows, asked))
    pieces = _responses(ask, seen, rows, tests, asked)
    return view.spooled(ask, pieces, view.offered(rows))


def _responses(
    ask: Ask, seen: View, rows: Iterable[EventRow], tests: list[Test], asked: Mapping[str, Any]
) -> Iterator[bytes]:
    def found() -> Iterator[bytes]:
        for row in rows:
            document = events.document(ask.tx, seen, row, ask.visit.now)
            if not tests or any(all(test(each) for test in tests) for each in _attributes(document)):
                yield b"".join(completed(row, document, document.living()))

    yield b'{"response": ['
    for n, body in enumerate(_slice(found(), asked) if tests else found()):
        yield (b"," if n else b"") + body
    yield b"]}"


def search_attributes(ask: Ask) -> Answer:
    """`POST /attributes/restSearch`: attributes; in the format `cache`, `md5(value),event uuid` line by line."""
    asked = _asked(ask)
    if str(asked.get("returnFormat", "json")).lower() == "cache":
        return _cache(ask, asked)
    _json_only(ask)
    rows, seen = _rows(ask, asked, of_events=False), view.view(ask)
    tests = _attribute_tests(asked)

    def found() -> Iterator[bytes]:
        for row in rows:
            document = events.document(ask.tx, seen, row, ask.visit.now)
            about = {"Event": {name: whole(row)[name] for name in ("id", "uuid", "info", "org_id", "orgc_id", "Orgc")}}
            for each in _attributes(document):
                if all(test(each) for test in tests):
                    yield orjson.dumps({"event_id": about["Event"]["id"], **each, **about})

    def pieces() -> Iterator[bytes]:
        yield b'{"response": {"Attribute": ['
        for n, body in enumerate(_slice(found(), asked)):
            yield (b"," if n else b"") + body
        yield b"]}}"

    return view.spooled(ask, pieces(), view.offered(rows))


def _cache(ask: Ask, asked: Mapping[str, Any]) -> Answer:
    seen = view.view(ask)
    rows = view.index(ask, seen).rows
    limit, page = filters.count(asked.get("limit")) or _CACHE_PAGE, filters.count(asked.get("page")) or 1
    limit = min(limit, _CACHE_PAGE)
    lines = islice(events.hashes(ask.tx, seen, rows, ask.visit.now), (page - 1) * limit, page * limit)
    named = truth(asked.get("includeEventUuid"))
    body = "".join(f"{digest},{uuid}\n" if named else f"{digest}\n" for digest, uuid in lines).encode()
    return Answer(body=body, kind="text/plain; charset=utf-8", offered=view.offered(rows) if body else None)


def _asked(ask: Ask) -> dict[str, Any]:
    found = dict(ask.given) if isinstance(ask.given, dict) else {}
    for name, values in ask.address.lists.items():
        found.setdefault(name, values[0] if len(values) == 1 else list(values))
    return found


def _json_only(ask: Ask) -> None:
    wanted = str(ask.option("returnFormat", "json")).lower()
    if wanted != "json":
        raise RequestError("request.misp_format", format=wanted[:20])


def _rows(ask: Ask, asked: Mapping[str, Any], *, of_events: bool) -> list[EventRow]:
    """The events that may hold what is asked for. For attributes, uuid and tags are the attribute's own."""
    given = {_RENAMED.get(name, name): value for name, value in asked.items()}
    kept = {name: value for name, value in given.items() if name in _OF_EVENTS and not _empty(value)}
    if not of_events:
        kept = {name: value for name, value in kept.items() if name not in ("uuid", "tag", "timestamp")}
    if "event_id" in kept:
        kept["eventid"] = kept.pop("event_id")
    tests = filters.tests(kept, ask.visit.now // 1_000_000)
    return [row for row in view.index(ask, view.view(ask)).rows if all(test(row) for test in tests)]


def _attribute_tests(asked: Mapping[str, Any]) -> list[Test]:
    """The tests that an attribute has to pass."""
    made: list[Test] = []
    for name, value in asked.items():
        make = _TESTS.get(name)
        if make is not None and not _empty(value):
            made.append(make(value))
    return made


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _text(name: str) -> Callable[[Any], Test]:
    """`%` stands for anything, `!` for none of; composite values fit by either part."""

    def make(value: Any) -> Test:
        wanted = filters.choices(value)
        yes = [each.lower().replace("%", "*") for each in wanted if not each.startswith("!")]
        no = [each[1:].lower().replace("%", "*") for each in wanted if each.startswith("!")]

        def test(attribute: Mapping[str, Any]) -> bool:
            text = str(attribute.get(name) or "").lower()
            parts = {text, *text.split("|")}

            def fits(pattern: str) -> bool:
                return any(_fits(part, pattern) for part in parts)

            return not any(map(fits, no)) and (not yes or any(map(fits, yes)))

        return test

    return make


def _fits(text: str, pattern: str) -> bool:
    if "*" not in pattern:
        return text == pattern
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _tag(value: Any) -> Test:
    wanted = {each.lower() for each in filters.choices(value)}
    return lambda attribute: bool(wanted & {str(tag["name"]).lower() for tag in attribute.get("Tag") or ()})


def _to_ids(value: Any) -> Test:
    return lambda attribute: bool(attribute.get("to_ids")) == truth(value)


_TESTS: Mapping[str, Callable[[Any], Test]] = {
    "value": _text("value"),
    "type": _text("type"),
    "category": _text("category"),
    "comment": _text("comment"),
    "object_relation": _text("object_relation"),
    "to_ids": _to_ids,
}


def _attributes(document: Document) -> Iterator[Mapping[str, Any]]:
    yield from document.bodies("Attribute")
    for entity in document.bodies("Object"):
        yield from entity.get("Attribute") or ()


def _slice(found: Iterable[Any], asked: Mapping[str, Any]) -> Iterator[Any]:
    limit, page = filters.count(asked.get("limit")), filters.count(asked.get("page")) or 1
    return islice(found, (page - 1) * limit, page * limit) if limit else iter(found)


def _counted(count: int) -> dict[str, str]:
    return {"X-Result-Count": str(count), "X-Response-Format": "json"}
