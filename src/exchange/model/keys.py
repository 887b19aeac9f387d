"""What fact keys are made of: their parts, and the content of an object without what only accompanies it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from exchange.model import misp

Stix: TypeAlias = Mapping[str, Any]

_KEY = 18
"""Bytes of a key: 24 characters, and nobody finds two facts with the same one."""
OPENCTI = frozenset(
    {
        "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba",
        "extension-definition--f93e2c80-4231-4f9a-af8b-95c9bd566a82",
    }
)
"""Extensions in which OpenCTI keeps its own bookkeeping: internal ids, scores, dates."""
_BESIDE = frozenset(
    {
        "type", "id", "spec_version", "created", "modified", "created_by_ref", "revoked", "labels", "confidence",
        "lang", "external_references", "object_marking_refs", "granular_markings", "defanged",
    }
)  # fmt: skip
"""Properties that any object may have: whose it is, to whom it may go, what else is known of it."""
_TIMES = frozenset({"start", "end", "date", "ctime", "mtime", "atime"})
_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]*?)0*)?Z\Z")


def key(*parts: str) -> str:
    """The key of a fact that consists of these parts, of any text."""
    whole = "".join([f"{len(part)}:{part}," for part in parts])
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_KEY]).decode("ascii")


def instant(text: Any) -> str:
    """A timestamp without idle zeros: `…:00Z` and `…:00.000Z` are one; empty: there is none."""
    match = _INSTANT.match(text) if isinstance(text, str) else None
    if match is None:
        return str(text or "")
    return f"{match[1]}.{match[2]}Z" if match[2] else f"{match[1]}Z"


def content(stix: Stix, idle: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the object says: without what accompanies it, custom properties (`x_…`) and bookkeeping extensions.

    Empty: it says nothing but what is in `idle`.
    """
    told = {
        name: instant(value) if name in _TIMES else value
        for name, value in stix.items()
        if name not in _BESIDE and not name.startswith("x_") and name != "extensions"
    }
    extensions = stix.get("extensions")
    if isinstance(extensions, dict):
        kept = {name: value for name, value in extensions.items() if name != misp.EXTENSION and name not in OPENCTI}
        told |= {"extensions": kept} if kept else {}
    if isinstance(told.get("protocols"), list):
        told["protocols"] = [str(each).lower() for each in told["protocols"]]
    return told if told.keys() - idle else {}


def refs(value: Any, name: str = "") -> Iterator[str]:
    """The ids in properties whose name ends in _ref or _refs, at any depth, in the order of the object."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from refs(each, inner)
    elif isinstance(value, list):
        for each in value:
            yield from refs(each, name)
    elif isinstance(value, str) and name.endswith(("_ref", "_refs")):
        yield value


def replaced(value: Any, facts: Mapping[str, str], name: str = "") -> Any:
    """The same with the facts of what is referred to in the place of its ids."""
    if isinstance(value, dict):
        return {inner: replaced(each, facts, inner) for inner, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, facts, name) for each in value]
    return facts.get(value, value) if isinstance(value, str) and name.endswith(("_ref", "_refs")) else value


def text(told: Mapping[str, Any]) -> str:
    """Content as text, whatever the order of its properties."""
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
