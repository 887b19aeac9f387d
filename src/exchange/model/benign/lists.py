"""The warninglists as MISP publishes them, read from the package that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from typing import Any

import orjson

_PACKAGE = "pymispwarninglists"
_FOLDER = "data/misp-warninglists/lists"
_FILE = "list.json"

ADDRESS, DOMAIN, URL, EMAIL, HASH, FILE = "address", "domain", "url", "email", "hash", "file"
_TYPES: Mapping[str, frozenset[str]] = {
    ADDRESS: frozenset({"ip-src", "ip-dst", "ip-src|port", "ip-dst|port"}),
    DOMAIN: frozenset({"domain", "hostname", "domain|ip", "hostname|port"}),
    URL: frozenset({"url", "uri", "link"}),
    EMAIL: frozenset({"email", "email-src", "email-dst", "email-reply-to", "target-email"}),
    HASH: frozenset(
        {
            f"{before}{name}"
            for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ssdeep")
            for before in ("", "filename|", "x509-fingerprint-")
        }
    ),
    FILE: frozenset({"filename"}),
}
"""What of ours a list speaks of, by the MISP attribute types that it says it matches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningList:
    """One list as published. `kind`: string, substring, hostname, cidr or regex."""

    name: str
    title: str
    kind: str
    version: str
    entries: tuple[str, ...]
    about: frozenset[str]
    """Which of address, domain, url, email, hash, file its entries are."""


@lru_cache(maxsize=1)
def _files() -> Mapping[str, Any]:
    """List → its file, for every list in the package."""
    # Found without importing it: the library reads every list as soon as it is asked for one.
    package = find_spec(_PACKAGE)
    if package is None or not isinstance(package.loader, SourceFileLoader):
        raise ModuleNotFoundError(_PACKAGE, name=_PACKAGE)
    root = package.loader.get_resource_reader(_PACKAGE).files().joinpath(_FOLDER)
    found = {folder.name: folder.joinpath(_FILE) for folder in root.iterdir()}
    return {name: file for name, file in found.items() if file.is_file()}


@lru_cache(maxsize=1)
def available() -> frozenset[str]:
    """The names of all lists in the package. Raises ModuleNotFoundError where it is not installed."""
    return frozenset(_files())


def content(name: str) -> bytes:
    """A list's file. Raises KeyError for a list that the package does not have."""
    raw: bytes = _files()[name].read_bytes()
    return raw


def parsed(name: str, raw: bytes) -> WarningList:
    """The list in `raw`."""
    found: dict[str, Any] = orjson.loads(raw)
    kind, types = str(found["type"]), found.get("matching_attributes") or []
    about = {ours for ours, theirs in _TYPES.items() if not types or theirs.intersection(types)}
    # `domain|ip` on a list of networks means the address in it.
    about = about & {ADDRESS} if kind == "cidr" else about - {ADDRESS} if kind == "hostname" else about
    return WarningList(
        name=name,
        title=str(found["name"]),
        kind=kind,
        version=str(found["version"]),
        entries=tuple(map(str, found["list"])),
        about=frozenset(about),
    )


_KINDS = {
    "ipv4-addr:value": ADDRESS,
    "ipv6-addr:value": ADDRESS,
    "domain-name:value": DOMAIN,
    "hostname:value": DOMAIN,
    "url:value": URL,
    "email-addr:value": EMAIL,
    "file:name": FILE,
}
KNOWN = tuple(_KINDS)


def kind_of(path: str, value: str) -> str:
    """What a list would call the value of the property `path`; empty: no list speaks of such."""
    kind = _KINDS.get(path)
    if kind is not None:
        return kind
    if ":hashes." in path:
        return HASH
    if not path.endswith("_ref.value"):
        return ""
    # What is referred to may be any of these (STIX 2.1 section 6.12: src_ref, dst_ref): the value itself says which.
    if "@" in value:
        return EMAIL
    return ADDRESS if ":" in value or value[-1:].isdigit() or "/" in value else DOMAIN
