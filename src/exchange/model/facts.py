"""Fact keys: the canonical key by which statements say the same thing, and the values that people search by.

Here a fact is the type and normalised value of a single comparison (`[domain-name:value = 'x']`) or of a
cyber-observable object; anything else is its own key, so nothing is ever joined by chance.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from exchange.model.normalise import hash_name, value_of

_SINGLE = re.compile(
    r"\s*+\[\s*+([a-z0-9-]++):([A-Za-z_][\w-]*+(?:\.(?:[A-Za-z_][\w-]*+|'[^']++'))*)\s*+=\s*+"
    r"'([^'\\]*+(?:\\.[^'\\]*+)*)'\s*+\]\s*\Z"
)
_ILLEGAL = re.compile(r"(?<!\\)(?:\\\\)*\\[^'\\]")
_LONGEST = 4096
_KEY = 18
"""Bytes of a key: 24 characters, and nobody finds two facts with the same one."""
_VALUE_TYPES = frozenset({"domain-name", "ipv4-addr", "ipv6-addr", "url", "email-addr", "mac-addr"})
_BY_PROPERTY = {
    "windows-registry-key": "key",
    "mutex": "name",
    "directory": "path",
    "autonomous-system": "number",
}


def _path(kind: str, name: str) -> str:
    """`file:hashes.'SHA-256'` and `file:hashes.SHA256` are one property."""
    head, dot, tail = name.partition(".")
    return f"{kind}:{head}.{hash_name(tail)}" if head == "hashes" and dot else f"{kind}:{name}"


def comparison(pattern: str) -> tuple[str, str] | None:
    """(`type:property`, canonical value) of a pattern that is one equality comparison; else None."""
    if len(pattern) > _LONGEST:
        return None
    match = _SINGLE.match(pattern)
    if match is None:
        return None
    kind, name, literal = match.groups()
    if "\\" in literal:
        if _ILLEGAL.search(literal):
            return None  # only \' and \\ are escapes (STIX 2.1 section 9.3); nobody can say what else is meant
        literal = re.sub(r"\\(.)", r"\1", literal)
    path = _path(kind, name)
    return path, value_of(path, literal)


def observables(stix: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What of `stix` people search by: (`type:property`, canonical value) for each observable value it states."""
    kind = stix["type"]
    if kind == "indicator":
        found = comparison(stix.get("pattern", "")) if stix.get("pattern_type", "stix") == "stix" else None
        return (found,) if found else ()
    if kind in _VALUE_TYPES and isinstance(stix.get("value"), str):
        path = f"{kind}:value"
        return ((path, value_of(path, stix["value"])),)
    if kind in {"file", "artifact"} and isinstance(stix.get("hashes"), dict):
        return tuple(
            (path, value_of(path, value))
            for name, value in sorted(stix["hashes"].items())
            if isinstance(value, str)
            for path in (f"{kind}:hashes.{hash_name(name)}",)
        )
    name = _BY_PROPERTY.get(kind)
    if kind == "windows-registry-key" and "values" in stix:
        return ()  # what it says is in its values, not in the key alone
    if name and name in stix:
        path = f"{kind}:{name}"
        return ((path, value_of(path, str(stix[name]))),)
    return ()


def fact_key(stix: Mapping[str, Any], values: tuple[tuple[str, str], ...]) -> str:
    """The key under which duplicates meet; an object that states no single value is its own key (its id).

    Indicators and observables with one value are different facts: one says *bad*, the other says *seen*.
    """
    if len(values) != 1:
        return str(stix["id"])
    path, value = values[0]
    role = "indicator" if stix["type"] == "indicator" else "observable"
    digest = hashlib.sha256(f"{role}|{path}|{value}".encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_KEY]).decode("ascii")
