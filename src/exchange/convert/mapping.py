"""STIX observable properties and the MISP attribute types that say the same (MISP describeTypes; misp-stix mapping)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from exchange.model import facts

_NETWORK, _PAYLOAD = "Network activity", "Payload delivery"
_HASHES = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA3-256": "sha3-256",
    "SHA3-512": "sha3-512",
    "SSDEEP": "ssdeep",
    "TLSH": "tlsh",
}
TYPES: Mapping[str, tuple[str, str]] = {
    "domain-name:value": ("domain", _NETWORK),
    "ipv4-addr:value": ("ip-dst", _NETWORK),
    "ipv6-addr:value": ("ip-dst", _NETWORK),
    "url:value": ("url", _NETWORK),
    "mac-addr:value": ("mac-address", _NETWORK),
    "autonomous-system:number": ("AS", _NETWORK),
    "email-addr:value": ("email-src", _PAYLOAD),
    "email-message:subject": ("email-subject", _PAYLOAD),
    "email-message:from_ref.value": ("email-src", _PAYLOAD),
    "email-message:to_refs.value": ("email-dst", _PAYLOAD),
    "file:name": ("filename", _PAYLOAD),
    "mutex:name": ("mutex", "Artifacts dropped"),
    "windows-registry-key:key": ("regkey", "Persistence mechanism"),
    "x509-certificate:hashes.MD5": ("x509-fingerprint-md5", _NETWORK),
    "x509-certificate:hashes.SHA-1": ("x509-fingerprint-sha1", _NETWORK),
    "x509-certificate:hashes.SHA-256": ("x509-fingerprint-sha256", _NETWORK),
    **{f"file:hashes.{name}": (kind, _PAYLOAD) for name, kind in _HASHES.items()},
    **{f"artifact:hashes.{name}": (kind, _PAYLOAD) for name, kind in _HASHES.items()},
}
"""`type:property` → MISP type and category."""

Value = tuple[str, str]
"""`type:property` and the canonical value."""

_LONGEST = 4096
_JOINT = re.compile(r"\s*\]?\s+(AND|OR)\s+\[?\s*")
_COMPARISON = re.compile(r"[a-z0-9-]+:[^\s=']+(?:'[^']+'[^\s=']*)*\s*=\s*'(?:[^'\\]|\\.)*'")


def values_of(stix: Mapping[str, Any]) -> tuple[Value, ...]:
    """The values of `stix` that MISP can hold each by itself: of an observable, or of an indicator's pattern.

    A pattern is taken apart when each of its comparisons alone is what it means: alternatives of any kind, and file
    hashes that are given together. Anything else (a sequence, a port with its address) has no form as attributes.
    """
    if stix["type"] != "indicator":
        names = [("file:name", str(stix["name"]))] if stix["type"] == "file" and stix.get("name") else []
        return _known([*facts.observables(stix), *names])
    if stix.get("pattern_type", "stix") != "stix":
        return ()
    pattern = str(stix.get("pattern", ""))
    single = facts.comparison(pattern)
    return _known([single]) if single else _taken_apart(pattern)


def _known(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys((path, value) for path, value in values if path in TYPES and value))


def _taken_apart(pattern: str) -> tuple[Value, ...]:
    pattern = pattern.strip()
    if len(pattern) > _LONGEST or not (pattern.startswith("[") and pattern.endswith("]")):
        return ()
    text, found, joints = pattern[1:-1].strip(), [], set()
    while match := _COMPARISON.match(text):
        value = facts.comparison(f"[{match.group()}]")
        joint = _JOINT.match(text, match.end())
        if value is None or value[0] not in TYPES:
            return ()
        found.append(value)
        if joint is None:
            rest = text[match.end() :].strip()
            break
        joints.add(joint.group(1))
        text = text[joint.end() :]
    else:
        return ()
    together = all(path.startswith("file:hashes.") for path, _ in found)
    return () if rest or not (joints == {"OR"} or together) else _known(found)
