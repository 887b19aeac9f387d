"""How a MISP attribute is said in STIX: a pattern, observables, and the ids of what stands beside its carrier.

The rows themselves are in `exchange.convert.table`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

MINTED = UUID("5b0f1d8e-6f0a-5c58-9a53-7d9c2f6c1d10")
"""Namespace of every uuid that we make for what has none of its own: UUIDv5 of `ENTITY-UUID/STIX-TYPE` for the objects
beside a carrier, of `EVENT-UUID/TEXT` for a malformed or missing uuid. All of it is released with them (RULES R15)."""

Named = Callable[[str], str]
"""STIX type → the id of the entity's observable of that type."""
Observed = list[dict[str, Any]]

_SPACE = MINTED.bytes
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def minted(text: str) -> str:
    """UUIDv5 of `text` under MINTED."""
    plain = _sha1(_SPACE + text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return f"{plain[:8]}-{plain[8:12]}-5{plain[13:16]}-{_VARIANT[plain[16]]}{plain[17:20]}-{plain[20:32]}"


def beside(uuid: str, kind: str) -> str:
    """The id of the object of type `kind` that stands beside the carrier of entity `uuid`."""
    return ids_beside(uuid)(kind)


def ids_beside(uuid: str) -> Named:
    """The ids of what stands beside the carrier of entity `uuid`, by type."""
    start = _SPACE + uuid.encode("utf-8", "surrogatepass") + b"/"

    def named(kind: str) -> str:
        plain = _sha1(start + kind.encode(), usedforsecurity=False).hexdigest()
        return f"{kind}--{plain[:8]}-{plain[8:12]}-5{plain[13:16]}-{_VARIANT[plain[16]]}{plain[17:20]}-{plain[20:32]}"

    return named


_sha1 = hashlib.sha1


class Unfit(ValueError):
    """The value is none of its type; the text says what is wrong."""


class Unsaid(ValueError):
    """MISP takes the value, but the form that STIX has for its type does not."""


class Row(NamedTuple):
    """How one attribute type is said in STIX."""

    pattern: Callable[[str], str]
    """value → pattern. Raises Unfit."""
    observed: Callable[[str, Named], Observed] | None = None
    """value, ids → observables; None: only a pattern can say it."""
    language: str = "stix"
    content: Mapping[str, str] | None = None
    """What its content in base64 (MISP's `data`) is, where it has one."""
    plain: Callable[[str], str] = str.strip
    """The value as STIX says it: without white space around it, and not defanged, for so it would match nothing."""


def text_of(value: str) -> str:
    """A string constant (STIX 2.1 section 9.2)."""
    return (
        "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if "\\" in value or "'" in value else f"'{value}'"
    )


def halves(value: str) -> tuple[str, str]:
    """The parts of a composite value, neither with white space around it. Raises Unfit."""
    first, bar, second = value.rpartition("|")
    if not bar or not first or not second:
        raise Unfit("two values, parted by |, are expected")
    return first.strip(), second.strip()


_SHOWN = 64 * 1024
"""Characters of content that a pattern holds; longer ones are looked for by their name and hash."""
_LONGEST = 100_000
"""Characters of a value; a pattern may be twice as long and is then refused (`model.pattern`)."""


def pattern_of(row: Row, value: str, data: str) -> str:
    """The pattern that looks for the value (`data`: its content in base64, or empty). Raises Unfit and Unsaid."""
    return _pattern(row, _said(row, value), data)


def observed_of(row: Row, value: str, data: str, ids: Named) -> Observed:
    """The observables that state the value; none: only a pattern can. Raises Unfit and Unsaid."""
    return [] if row.observed is None else _observed(row, _said(row, value), data, ids)


def both_of(row: Row, value: str, data: str, ids: Named) -> tuple[str, Observed]:
    """The pattern and the observables. Raises Unfit and Unsaid."""
    said = _said(row, value)
    return _pattern(row, said, data), _observed(row, said, data, ids)


def _said(row: Row, value: str) -> str:
    if len(value) > _LONGEST:
        raise Unsaid("too long for a pattern")
    found = row.plain(value)
    if not found:
        raise Unsaid("white space")
    return found


def _pattern(row: Row, said: str, data: str) -> str:
    text = row.pattern(said)
    if row.content is None or not data or len(data) > _SHOWN:
        return text
    held = {"payload_bin": data, **row.content}
    return text[:-1] + "".join(f" AND file:content_ref.{name} = '{each}'" for name, each in held.items()) + "]"


def _observed(row: Row, said: str, data: str, ids: Named) -> Observed:
    if row.observed is None:
        return []
    found = row.observed(said, ids)
    if row.content is None or not data:
        return found
    there = ids("artifact")
    artifact = {"type": "artifact", "id": there, "payload_bin": data, **row.content}
    return [{**found[0], "content_ref": there}, artifact]
