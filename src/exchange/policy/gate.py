"""The second gate: judges the exact bytes that are to leave, with marking tables of its own (RULES R25).

It shares no code with `decide` and trusts no label: it reads the marks in the bytes themselves, however they are
written there. A mistake in one of the two is stopped by the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

# Written out a second time on purpose: a slip in the model's table must not slip through here as well.
_RANK = {
    "613f2e26-407d-48c7-9eca-b8e91df99dc9": 0,
    "94868c89-83c2-464b-929b-a1a8aa3c8487": 0,
    "34098fce-860f-48ae-8e50-ebd3cc5e41da": 1,
    "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": 1,
    "f88d31f6-486f-44da-b317-01333bde0b82": 2,
    "55d920b0-5e8b-4f79-9ee9-91f868d9b421": 2,
    "939a9414-2ddd-4d32-a0cd-375ea402b003": 3,
    "826578e1-40ad-459f-bc73-ede076f81f37": 3,
    "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": 4,
    "e828b379-4e03-4974-9ac4-e53a884c97c1": 4,
}


_LEAST = min(_RANK.values())


def gate(body: bytes, clearance: int) -> bool:
    """Whether no TLP mark in `body` is stricter than `clearance` (0 CLEAR … 4 RED); what is no JSON does not pass."""
    return strictest(body) <= clearance


def strictest(body: bytes) -> int:
    """The strictest TLP mark in `body`; above all of them when it is no JSON, so that nobody may have it."""
    if b"\\u" not in body:
        named = body.count(b"marking_ref")
        own = _OWN.match(body, body.find(_NAME)) if named == 1 and _NAME in body else None
        # Where the bytes name marks but once, and that is a plain list of them, nothing else can stand anywhere.
        if not named or own is not None:
            return _of_list(own) if _is_json(body) else _ABOVE_ALL
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _ABOVE_ALL
    return max(map(_rank, _marks(document)), default=_LEAST)


_NAME = b'"object_marking_refs":['
_OWN = re.compile(re.escape(_NAME) + rb'("[^"\\,]{1,300}"(?:,"[^"\\,]{1,300}")*)\]')


def _of_list(own: re.Match[bytes] | None) -> int:
    if own is None:
        return _LEAST
    return max(_rank(mark[1:-1]) for mark in own[1].decode("utf-8", "replace").split(","))


def _is_json(body: bytes) -> bool:
    try:
        body.decode()  # which the other does not look at
        msgspec.json.decode(body, type=msgspec.Raw)  # reads all of it and makes nothing
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _rank(mark: str) -> int:
    return _RANK.get(mark.strip().lower()[-36:], _LEAST)


_ABOVE_ALL = 1 + max(_RANK.values())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _marks(document: Any) -> Iterator[str]:
    """Every marking id in the object, at whatever depth it stands."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in ("object_marking_refs", "marking_ref"):
                yield from _strings(value)
            else:
                yield from _marks(value)
    elif isinstance(document, list):
        for value in document:
            yield from _marks(value)
