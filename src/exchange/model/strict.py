"""Numbers and names of JSON that other readers would take otherwise are refused (RFC 8259, sections 4 and 6)."""

from __future__ import annotations

import json
import math
from typing import Any

from exchange.errors import ContentError

_INTEGERS = range(-(2**63), 2**64)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are unique: of two, nobody can say which one its creator meant (RFC 7493)."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ContentError("content.duplicate", name=next(n for n in names if names.count(n) > 1)[:80])
    return made


def integer(text: str) -> int:
    """A number that comes out as it came in; larger ones would change in silence."""
    value = int(text) if len(text) <= len(str(_INTEGERS.start)) else _INTEGERS.stop
    if value not in _INTEGERS:
        raise ContentError("content.number", value=text[:40])
    return value


def real(text: str) -> float:
    """A number that is one."""
    value = float(text)
    if not math.isfinite(value):
        raise ContentError("content.number", value=text[:40])
    return value


def no_constant(text: str) -> float:
    """NaN and Infinity are no JSON."""
    raise ContentError("content.number", value=text)


DECODER = json.JSONDecoder(object_pairs_hook=once, parse_int=integer, parse_float=real, parse_constant=no_constant)
"""Reads JSON by these rules."""
