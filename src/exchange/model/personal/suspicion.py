"""`suspect`: whether an object can have anything personal in it at all, by a look at its bytes.

Each rule of `find` needs certain signs (`signs`), whatever is around them. So False means that `find` would find
nothing, and True nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from exchange.model import spelling
from exchange.model.personal import sides
from exchange.model.personal.choice import USUAL, Choice
from exchange.model.personal.signs import Signs, signs


def suspect(body: bytes, choice: Choice = USUAL) -> bool:
    """Whether `find` may find something in the object that `body` is the JSON of (UTF-8); False: it finds nothing."""
    seen, text = signs(choice), body.decode("utf-8", "replace")
    if not seen.any(text):
        return b"@" in body and _of_somebody(body)
    return seen.body(text) or _meant(body, seen)


def _meant(body: bytes, seen: Signs) -> bool:
    """Whether a sign is in the plain form of the strings of the object: how JSON writes them is no part of that."""
    try:
        meant = _plain(orjson.loads(body))
    except orjson.JSONDecodeError:
        return True
    return seen.body(meant) or ((b"@" in body or "@" in meant) and _of_somebody(body))


def _plain(stix: dict[str, Any]) -> str:
    """What is meant by what is written otherwise, with what is around it; no string stands in one with another."""
    return "\0\n".join(part.text for part in spelling.parts("\0\n".join(_strings(stix))))


def _strings(stix: dict[str, Any]) -> Iterator[str]:
    """Every string in a document, and every name of a property."""
    waiting: list[Any] = [stix]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list):
            waiting += inner
        elif isinstance(inner, dict):
            waiting += inner.keys()
            waiting += inner.values()


def _of_somebody(body: bytes) -> bool:
    """Whether an `@` stands, or is meant, elsewhere than where a mailbox is the attacker's; under an internal suffix it
    was seen.
    """
    try:
        stix: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return True
    kind = stix.get("type")
    theirs = [name for name, value in stix.items() if isinstance(value, str) and _theirs(kind, name, stix)]
    for name in theirs:
        stix[name] = ""
    return b"@" in orjson.dumps(stix) or "@" in _plain(stix)


def _theirs(kind: Any, name: str, stix: dict[str, Any]) -> bool:
    if kind == "indicator" and name == "pattern":
        return not sides.worded(stix[name])
    side = sides.of(kind, "", name, stix) if isinstance(kind, str) else sides.FREE
    return side is sides.THEIRS or side is sides.UNREAD or (side is sides.VALUE and kind in sides.OBSERVABLES)
