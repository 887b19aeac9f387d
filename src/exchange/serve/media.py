"""Media types (TAXII 2.1 sections 1.6.8 and 3.1): what a request accepts, and what it brings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from exchange.i18n import Language

TAXII = "application/taxii+json;version=2.1"
STIX = "application/stix+json;version=2.1"
_BARE = TAXII.partition(";")[0]
_VERSION = "2.1"
# A parameter's value is a token or a quoted string (RFC 9110 section 5.6.6).
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)')
_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[^",]|")+?(?=,|\Z)')
LONGEST = 2_000
"""Characters of a header that are looked at: what is read by patterns, and remembered, has a bound."""
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z")


class Range(NamedTuple):
    """One element of an `Accept…` header: what it names, in lower case, its parameters, and how much it is wanted."""

    kind: str
    parameters: Mapping[str, str]
    quality: float


def _parse(text: str) -> Range:
    kind, _, rest = text.partition(";")
    parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(";" + rest)}
    quality = parameters.pop("q", "1")
    return Range(kind.strip().lower(), parameters, float(quality) if _QUALITY.match(quality) else 1.0)


def ranges(header: str) -> list[Range]:
    """The elements of an `Accept…` header (RFC 9110 section 12.5); a comma inside quotes divides nothing."""
    return [_parse(found[0]) for found in _ELEMENT.finditer(header[:LONGEST]) if found[0].strip(" \t,")]


def _specific(entry: Range) -> int:
    """How exactly the range names what we offer; -1: not at all."""
    if entry.kind == _BARE:
        version = entry.parameters.get("version")
        return {None: 2, _VERSION: 3}.get(version, -1)
    return {"*/*": 0, "*": 0, "application/*": 1}.get(entry.kind, -1)


def acceptable(accept: str) -> bool:
    """Whether an `Accept` header allows TAXII 2.1. The most specific range decides (RFC 9110 section 12.5.1)."""
    return _acceptable(accept[:LONGEST])


@lru_cache(maxsize=256)
def _acceptable(accept: str) -> bool:
    entries = ranges(accept)
    if not entries:
        return True
    best = max(entries, key=lambda entry: (_specific(entry), entry.quality))
    return _specific(best) >= 0 and best.quality > 0


def is_taxii(content_type: str) -> bool:
    """Whether a body of this `Content-Type` is TAXII 2.1; other parameters (a charset) do no harm."""
    entry = _parse(content_type[:LONGEST])
    return entry.kind == _BARE and entry.parameters.get("version", _VERSION) == _VERSION


def is_plain(content_encoding: str) -> bool:
    """Whether a body with this `Content-Encoding` is not packed."""
    return {each.strip().lower() for each in content_encoding.split(",")} <= {"", "identity"}


def language(accept: str, otherwise: Language) -> Language:
    """The reader's language by `Accept-Language`: French or English, whichever it prefers and names."""
    return _language(accept[:LONGEST], otherwise)


@lru_cache(maxsize=256)
def _language(accept: str, otherwise: Language) -> Language:
    best: tuple[float, Language] = (0.0, otherwise)
    for entry in ranges(accept):
        name = entry.kind.partition("-")[0]
        if entry.quality > best[0] and name in ("fr", "en"):
            best = (entry.quality, "fr" if name == "fr" else "en")
    return best[1]
