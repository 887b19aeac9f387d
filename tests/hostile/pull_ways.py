"""The ways of reference/taxii.md section 3 in which a server misbehaves when it is read, by name."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime

import zstandard

from tests.hostile.server import Call, Concerns, Way, dates, edited, headed, said
from tests.peers.doubles import Asked, Told

USER, PASSWORD, TOKEN = "cert-qc", "s3cret-Pa55word", "t0ken-t0ken-t0ken"
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
LAST, FIRST = "X-TAXII-Date-Added-Last", "X-TAXII-Date-Added-First"
BOMB = 64 * 1024 * 1024
"""Bytes that a bomb unpacks to."""
Act = Callable[[Call], Told]


def pages(asked: Asked) -> bool:
    """The pages of the collection."""
    return asked.method == "GET" and asked.path.rstrip("/").endswith("/objects")


def manifest(asked: Asked) -> bool:
    """The manifest."""
    return asked.path.endswith("/manifest/")


def everything(_: Asked) -> bool:
    """Whatever is asked."""
    return True


def following(asked: Asked) -> bool:
    """The pages that are asked for with `next`."""
    return pages(asked) and "next" in asked.query


def _body(call: Call) -> bytes:
    told = call.told()
    assert isinstance(told.body, bytes)
    return told.body


def first(count: int, act: Act, concerns: Concerns = pages) -> Way:
    """So many times at first, and then no more."""
    return concerns, lambda call: act(call) if call.turn <= count else call.told()


def _from(turn: int, act: Act, concerns: Concerns = pages) -> Way:
    """From this turn on."""
    return concerns, lambda call: act(call) if call.turn >= turn else call.told()


def _always(told: Told) -> Act:
    return lambda _: told


def _with(act: Callable[[bytes], bytes], **headers: str | None) -> Way:
    """The body of each page made into another one."""

    def changed(call: Call) -> Told:
        told = call.told()
        return headed(Told(told.status, act(_body(call)), told.headers), **headers)

    return pages, changed


def _redated(change: Callable[[str], str | None]) -> Way:
    """Every Date-Added header said in another way."""

    def act(call: Call) -> Told:
        told = call.told()
        new = {name: change(value) for name, value in told.headers.items() if name in (FIRST, LAST) and value}
        return Told(told.status, told.body, {**told.headers, **new})

    return pages, act


def _javascript(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")


def _inclusive(call: Call) -> Told:
    after = call.asked.query.get("added_after")
    rows = [row for row in call.server.listed if not after or row[1] >= after]
    start = int(call.asked.query.get("next", "0"))
    here = rows[start : start + call.server.page]
    more = {"more": True, "next": str(start + len(here))} if rows[start + len(here) :] else {}
    return said({"objects": [item for item, _ in here]} | more, **dates(*(date for _, date in here)))


def _overlapping(call: Call) -> Told:
    """The list moved on while it was paged: what ended the page before begins this one too."""
    query = dict(call.asked.query)
    if "next" in query:
        query["next"] = str(int(query["next"]) - 10)
    return call.rest(Asked("GET", call.asked.path, query, call.asked.headers, b""))


def _ordered(key: Callable[[int], int]) -> Way:
    """The pages in another order than that of `date_added`."""

    def act(call: Call) -> Told:
        server, query = call.server, call.asked.query
        after, start = query.get("added_after", ""), int(query.get("next", "0"))
        kept = [n for n, row in enumerate(server.listed) if row[1] > after]
        here = [server.listed[n] for n in sorted(kept, key=key)][start : start + server.page]
        more = {"more": True, "next": str(start + server.page)} if start + server.page < len(kept) else {}
        return said({"objects": [item for item, _ in here]} | more, **dates(*(date for _, date in here)))

    return pages, act


def _circle(call: Call) -> Told:
    """After the last page comes the first."""
    told = call.told()
    return told if b'"more"' in _body(call) else edited(told, more=True, next="0")


def _same_page(call: Call) -> Told:
    query = {name: value for name, value in call.asked.query.items() if name != "next"}
    told = call.rest(Asked("GET", call.asked.path, query, call.asked.headers, b""))
    return edited(told, more=True, next="again")


def _chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def _bomb(pack: Callable[[bytes], bytes], finish: Callable[[], bytes]) -> Iterator[bytes]:
    """A page whose end never matters, packed piece by piece: the test itself may not need the memory."""
    yield from _chunked(filter(None, (pack(b" " * (1 << 20)) for _ in range(BOMB >> 20))))
    yield from _chunked(iter([finish()]))
    yield b"0\r\n\r\n"


def _packed(coding: str | None) -> Act:
    def act(_: Call) -> Told:
        if coding == "zstd":
            packer = zstandard.ZstdCompressor().compressobj()
            pieces = _bomb(packer.compress, packer.flush)
        else:
            zlibs = zlib.compressobj(9, wbits=15 if coding == "deflate" else 31)
            pieces = _bomb(zlibs.compress, zlibs.flush)
        return Told(200, pieces, {"Transfer-Encoding": "chunked", "Content-Encoding": coding})

    return act


def _twice_packed(_: Call) -> Told:
    once = zlib.compressobj(9, wbits=31)
    inner = b"".join(once.compress(b" " * (1 << 20)) for _ in range(BOMB >> 20)) + once.flush()
    return Told(200, gzip.compress(inner), {"Content-Encoding": "gzip, gzip"})


def _endless(_: Call) -> Told:
    return Told(200, (b" " * 65536 for _ in range(BOMB >> 16)), {"Connection": "close"})


def held_back(seconds: float, head: bytes = b"") -> Act:
    """What comes so slowly that nobody should wait for it: a byte at a time, for ever."""

    def drip() -> Iterator[bytes]:
        yield head
        never = threading.Event()
        for _ in range(200):
            never.wait(seconds)
            yield b" "

    return lambda _: Told(200, drip(), {"Content-Length": "9999"})


def _silent(_: Call) -> Told:
    threading.Event().wait(1.0)
    return Told(204)


def _cut(call: Call, *, length: bool) -> Told:
    told, body = call.told(), _body(call)
    headers = {"Connection": "close", "Content-Length": str(len(body)) if length else None}
    return Told(told.status, body[: len(body) // 2], {**told.headers, **headers})


def _echo(code: int) -> Act:
    """A server that repeats what it was sent wherever it can."""

    def act(call: Call) -> Told:
        sent = f"{PASSWORD} {BASIC} {call.asked.headers.get('Authorization')}"
        return Told(code, f"<p>{sent}</p>".encode(), {"Location": f"https://{USER}:{PASSWORD}@evil.example/{PASSWORD}"})

    return act


def _bad_object(text: str) -> Way:
    """One object of each page is spoilt; the others are as they should be."""

    def act(body: bytes) -> bytes:
        objects = json.loads(body).get("objects") or [{}]
        spoilt = {**objects[0], "id": objects[0].get("id", "").replace("4000", "4999")}
        return body.replace(
            b'"objects": [', b'"objects": [' + json.dumps(spoilt).encode()[:-1] + text.encode() + b"}, "
        )

    return _with(act)


WAYS: dict[str, Way] = {
    # Paging
    "no more": (pages, lambda c: edited(c.told(), more=None, next=None)),
    "no next": (pages, lambda c: edited(c.told(), next=None)),
    "the same page for ever": (pages, _same_page),
    "the first page again after the last": (pages, _circle),
    "more at the end": (
        pages,
        lambda c: c.told() if b'"more"' in _body(c) else edited(c.told(), more=True, next="9999"),
    ),
    "another next for ever": (pages, lambda c: edited(_same_page(c), next=str(c.turn + 1000))),
    "next as a number": (pages, lambda c: edited(c.told(), next=int(json.loads(_body(c)).get("next", 0)) or None)),
    "inclusive": (pages, _inclusive),
    "next is unknown (404)": (following, _always(Told(404))),
    "next is unknown (400)": (following, _always(Told(400))),
    "next is gone (410)": (following, _always(Told(410))),
    "every second next is unknown": (following, lambda c: Told(404) if c.turn % 2 == 0 else c.told()),
    "overlapping pages": (pages, _overlapping),
    "newest first": _ordered(lambda n: -n),
    "in no order": _ordered(lambda n: n * 37 % 101),
    "at most 100": (pages, lambda c: Told(400) if int(c.asked.query.get("limit", "1")) > 100 else c.told()),
    # Dates
    "no dates": _redated(lambda _: None),
    "empty dates": _redated(lambda _: ""),
    "undefined dates": _redated(lambda _: "undefined"),
    "no manifest": (manifest, _always(Told(404))),
    "manifest of nothing": (manifest, _always(Told(200, b'{"objects": null}'))),
    "the date of the first as the last": (
        pages,
        lambda c: headed(c.told(), **{LAST.replace("-", "_"): c.told().headers.get(FIRST)}),
    ),
    "dates in JavaScript": _redated(_javascript),
    "dates with an offset": _redated(lambda text: text.replace("Z", "+00:00")),
    "dates in milliseconds": _redated(lambda text: text.replace("000Z", "Z")),
    "dates of the year 1": _redated(lambda _: "0001-01-01T00:00:00Z"),
    "dates before all time": _redated(lambda _: "0001-01-01T00:00:00+14:00"),
    "dates of the year 9999": _redated(lambda _: "9999-12-31T23:59:59.999999Z"),
    "the last date in the year 9999": (
        pages,
        lambda c: (
            c.told()
            if b'"more"' in _body(c)
            else headed(c.told(), X_TAXII_Date_Added_Last="9999-12-31T23:59:59.999999Z")
        ),
    ),
    "the time of the query as the date of nothing": (
        pages,
        lambda c: (
            c.told()
            if b'"objects"' in _body(c)
            else headed(c.told(), X_TAXII_Date_Added_Last="2026-11-21T12:09:00.000000Z")
        ),
    ),
    "a clock of tomorrow": (everything, lambda c: headed(c.told(), Date="Sun, 22 Nov 2026 12:00:00 GMT")),
    "a clock of yesterday": (everything, lambda c: headed(c.told(), Date="Fri, 20 Nov 2026 12:00:00 GMT")),
    "no clock": (everything, lambda c: headed(c.told(), Date=None)),
    "a clock of nonsense": (everything, lambda c: headed(c.told(), Date="yesterday")),
    # Shapes
    "application/json": (everything, lambda c: headed(c.told(), Content_Type="application/json")),
    "text/html": (everything, lambda c: headed(c.told(), Content_Type="text/html; charset=utf-8")),
    "media type of 2.0": (
        everything,
        lambda c: headed(c.told(), Content_Type="application/vnd.oasis.taxii+json; version=2.0"),
    ),
    "no media type": (everything, lambda c: headed(c.told(), Content_Type=None)),
    "bundles": (pages, lambda c: edited(c.told(), type="bundle", id="bundle--1", spec_version="2.1")),
    "lists": _with(lambda body: json.dumps(json.loads(body).get("objects") or []).encode()),
    "objects are null": (pages, lambda c: said({"objects": None})),
    "objects are a text": (pages, lambda c: said({"objects": "none"})),
    "more is a text": (pages, lambda c: edited(c.told(), more="true")),
    "byte order mark": _with(lambda body: b"\xef\xbb\xbf" + body),
    "gzip that does not say so": _with(gzip.compress),
    "gzip": _with(gzip.compress, Content_Encoding="gzip"),
    "no gzip although it says so": _with(lambda body: body, Content_Encoding="gzip"),
    "NaN in one object": _bad_object(', "confidence": NaN'),
    "a lone surrogate in one object": _bad_object(', "name": "\\ud800"'),
    "a name twice in one object": _bad_object(', "name": "a", "name": "b"'),
    "invalid JSON": _with(lambda body: body[:-1] + b",}"),
    "NaN around the objects": _with(lambda body: body[:-1] + b', "x": NaN}'),
    "a page of HTML": (pages, _always(Told(200, b"<html><h1>Sign in</h1></html>", {"Content-Type": "text/html"}))),
    "an error under 200": (pages, lambda c: said({"title": "error", "http_status": "500"})),
    # Ways to say nothing
    "404 for nothing": (pages, lambda c: c.told() if b'"objects"' in _body(c) else Told(404)),
    **{f"{code} at first": first(1, _always(Told(code))) for code in (204, 206, 404, 416)},
    **{f"{code} from the second page on": _from(2, _always(Told(code))) for code in (204, 404, 416)},
    "no collection": (lambda a: "/collections/" in a.path, _always(Told(404))),
    # Come back later, stay away
    "429 for a moment": first(2, _always(Told(429, headers={"Retry-After": "7"}))),
    "503 until a date": first(2, _always(Told(503, headers={"Retry-After": "Sat, 21 Nov 2026 12:00:09 GMT"}))),
    "503 for an hour": (pages, _always(Told(503, headers={"Retry-After": "3600"}))),
    "429 until tomorrow": (pages, _always(Told(429, headers={"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}))),
    "429 until nonsense": (pages, _always(Told(429, headers={"Retry-After": "soon"}))),
    "429 for ever and a day": (pages, _always(Told(429, headers={"Retry-After": "9" * 40}))),
    "429 until a digit that is none": (pages, _always(Told(429, headers={"Retry-After": "\u00b2"}))),
    "429 until after all time": (
        pages,
        _always(Told(429, headers={"Retry-After": f"Sat, 21 Nov {'9' * 30} 12:00:00 GMT"})),
    ),
    "503 from the third page on": _from(3, _always(Told(503))),
    "502 now and then": (pages, lambda c: Told(502) if c.turn % 3 == 0 else c.told()),
    "500": (pages, _always(Told(500, b"<h1>Internal Server Error</h1>"))),
    "401 from the second page on": _from(2, _always(Told(401))),
    "401": (everything, _always(Told(401))),
    "406": (pages, _always(Told(406))),
    **{f"{code} that repeats our account": (pages, _echo(code)) for code in (400, 401, 500, 503, 302)},
    # Redirects
    "redirect to the address without slash": (
        everything,
        lambda c: (
            Told(301, headers={"Location": c.asked.path.rstrip("/")})
            if c.asked.path.endswith("/")
            else c.rest(Asked("GET", c.asked.path + "/", c.asked.query, c.asked.headers, b""))
        ),
    ),
    "redirect to another host": (pages, _always(Told(302, headers={"Location": "http://elsewhere.example/"}))),
    "redirect to https": (pages, lambda c: Told(308, headers={"Location": c.server.url.replace("http", "https")})),
    "redirect in a circle": (pages, lambda c: Told(307, headers={"Location": c.asked.path})),
    "redirect to nowhere": (pages, _always(Told(302))),
    "redirect to nonsense": (pages, _always(Told(302, headers={"Location": "http://[::1/"}))),
    # Bodies
    "silence": (pages, _silent),
    "a slow head": (pages, lambda c: Told(200, b"", {"X-Slow": " " * 10, "Content-Length": "5"})),
    "a slow body": (pages, held_back(0.02, b'{"objects": [')),
    "a slow body from the second page on": _from(2, held_back(0.02, b'{"objects": [')),
    "cut bodies": _from(2, lambda c: _cut(c, length=True)),
    "cut bodies of unknown length": _from(2, lambda c: _cut(c, length=False)),
    "a body cut to nothing": _from(2, _always(Told(200, b"", {"Content-Length": None, "Connection": "close"}))),
    "an endless body": (pages, _endless),
    **{f"a bomb of {coding}": (pages, _packed(coding)) for coding in ("gzip", "deflate", "zstd")},
    "a bomb of gzip that does not say so": (pages, _packed(None)),
    "a bomb in a bomb": (pages, _twice_packed),
    "an endless header": (pages, lambda c: headed(c.told(), X_Long="x" * 70_000)),
    "a thousand headers": (pages, lambda c: headed(c.told(), **{f"X_{n}": "x" for n in range(1000)})),
}
