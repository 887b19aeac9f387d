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


class _Range(NamedTuple):
    kind: str
    parameters: Mapping[str, str]
    quality: float


def _parse(text: str) -> _Range:
    kind, _, rest = text.partition(";")
    parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(";" + rest)}
    try:
        quality = float(parameters.pop("q", "1"))
    except ValueError:
        quality = 1.0
    return _Range(kind.strip().lower(), parameters, quality)


def _specific(entry: _Range) -> int:
    """How exactly the range names what we offer; -1: not at all."""
    if entry.kind == _BARE:
        version = entry.parameters.get("version")
        return {None: 2, _VERSION: 3}.get(version, -1)
    return {"*/*": 0, "*": 0, "application/*": 1}.get(entry.kind, -1)


@lru_cache(maxsize=256)
def acceptable(accept: str) -> bool:
    """Whether an `Accept` header allows TAXII 2.1. The most specific range decides (RFC 9110 section 12.5.1)."""
    entries = [_parse(part) for part in accept.split(",") if part.strip()]
    if not entries:
        return True
    best = max(entries, key=lambda entry: (_specific(entry), entry.quality))
    return _specific(best) >= 0 and best.quality > 0


@lru_cache(maxsize=64)
def is_taxii(content_type: str) -> bool:
    """Whether a body of this `Content-Type` is TAXII 2.1; other parameters (a charset) do no harm."""
    entry = _parse(content_type)
    return entry.kind == _BARE and entry.parameters.get("version", _VERSION) == _VERSION


@lru_cache(maxsize=256)
def language(accept: str, otherwise: Language) -> Language:
    """The reader's language by `Accept-Language`: French or English, whichever it prefers and names."""
    best: tuple[float, Language] = (0.0, otherwise)
    for part in accept.split(","):
        entry = _parse(part)
        name = entry.kind.partition("-")[0]
        if entry.quality > best[0] and name in ("fr", "en"):
            best = (entry.quality, "fr" if name == "fr" else "en")
    return best[1]
