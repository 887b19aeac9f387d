"""Lineage: by which a node finds that a transformed object came of one that it had itself (RULES R16).

An object that was transformed is a new one under an id that tells nothing (R15). It carries a property extension (STIX
2.1 section 7.3) with one opaque token for each node that transformed it, the first one first:

    {"extension_type": "property-extension", "tokens": [HMAC-SHA-256 of the original id in hex, at most four]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

EXTENSION = "extension-definition--3472c22a-8272-4759-b6a4-2717a14846d4"
MOST = 4
_NAME = EXTENSION.encode()
_TOKEN = re.compile(r"[0-9a-f]{64}")


def tokens(stix: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens on an object; none where the extension is not one."""
    extensions = stix.get("extensions")
    said = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    found = said.get("tokens") if isinstance(said, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, str) and _TOKEN.fullmatch(each) for each in found):
        return ()
    return tuple(found)


def tokens_in(body: bytes) -> tuple[str, ...]:
    """The same of an object's bytes; of one that names no lineage they are only searched."""
    return tokens(orjson.loads(body)) if _NAME in body else ()


def extension(known: tuple[str, ...], token: str) -> dict[str, Any] | None:
    """The extension of what is transformed here; None: it has been through too many nodes to be told apart."""
    kept = (*known, token) if token not in known else known
    return None if len(kept) > MOST else {"extension_type": "property-extension", "tokens": list(kept)}
