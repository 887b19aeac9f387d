"""MISP's sharing groups: who is in one, read as MISP reads it (`SharingGroup`, reference misp.md sections 1.6 and 2.1).

A group names organisations by uuid and, unless it is roaming, may name the servers to which content may be pushed. A
group that names nobody, that is not active or that is not there at all lets nobody have anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

NOBODY: frozenset[str] = frozenset()
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def organisations(group: Any) -> frozenset[str]:
    """The lower-case uuids of the organisations in the group; `group` is MISP's JSON of it, or anything else."""
    if not isinstance(group, Mapping) or not _active(group):
        return NOBODY
    named = (str(_inner(entry, "Organisation").get("uuid") or "").strip().lower() for entry in _entries(group, "Org"))
    return frozenset(uuid for uuid in named if _UUID.match(uuid))


def servers(group: Any) -> frozenset[str] | None:
    """The base URLs of the servers to which content in the group may be pushed, plain; None: to any.

    MISP looks at them only when it pushes, and only in a group that is not roaming and names any.
    """
    if not isinstance(group, Mapping):
        return NOBODY
    entries = list(_entries(group, "Server"))
    if not entries or _true(group.get("roaming")):
        return None
    return frozenset(filter(None, (plain_url(_inner(entry, "Server").get("url")) for entry in entries)))


def plain_url(url: Any) -> str:
    """A base URL as it is compared: without case and final slash."""
    return str(url or "").strip().rstrip("/").casefold()


def _active(group: Mapping[str, Any]) -> bool:
    return group.get("active") is None or _true(group["active"])


def _true(value: Any) -> bool:
    return value is True or str(value) == "1"


def _entries(group: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a group; PHP writes a single one without its list."""
    found = group.get(f"SharingGroup{kind}")
    for entry in found if isinstance(found, list) else [found]:
        if isinstance(entry, Mapping):
            yield entry


def _inner(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The organisation or server of a row; some versions of MISP write it into the row itself, some into a list."""
    inner = entry.get(name, entry)
    if isinstance(inner, list):
        inner = inner[0] if inner else {}
    return inner if isinstance(inner, Mapping) else {}
