"""Which attributes MISP takes; what is not valid in type, category or value is dropped, and the answer is still 200."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from exchange.imports import without_grammars

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-9a-f][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS = {"md5": 32, "imphash": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_LOWER = {"domain", "hostname", "domain|ip", "email-src", "email-dst", *_DIGITS}


@cache
def types() -> Mapping[str, Any]:
    """MISP's own table: `sane_defaults`, `types`, `category_type_mappings`."""
    with without_grammars():
        from pymisp import MISPAttribute

    described: Mapping[str, Any] = MISPAttribute().describe_types
    return described


def is_uuid(text: Any) -> bool:
    """Whether MISP takes this for a uuid."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def fault(attribute: Mapping[str, Any]) -> str:
    """Why MISP would drop this attribute; empty: it is valid."""
    kind, value = attribute.get("type"), attribute.get("value")
    if kind not in types()["types"]:
        return "Invalid type."
    if attribute.get("category") not in types()["category_type_mappings"]:
        return "Invalid category."
    if kind not in types()["category_type_mappings"][attribute["category"]]:
        return "Invalid combination of category and type."
    if "uuid" in attribute and not is_uuid(attribute["uuid"]):
        return "Please provide a valid RFC 4122 UUID"
    if not isinstance(value, str) or not value.strip():
        return "Value not set."
    return _value_fault(str(kind), value)


def _value_fault(kind: str, value: str) -> str:
    parts = kind.split("|")
    if len(parts) == 2 and kind != "malware-sample" and value.count("|") != 1 and "regkey" not in kind:
        return "Composite type, but value not explicitly composite"
    hash_ = parts[-1]
    if hash_ in _DIGITS and not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[hash_]}}}", value.split("|")[-1], re.IGNORECASE):
        return "Checksum has an invalid length or format."
    if parts[0] in ("ip-src", "ip-dst"):
        try:
            ipaddress.ip_network(value.split("|")[0], strict=False)
        except ValueError:
            return "IP address has an invalid format."
    return ""


def massaged(kind: str, value: str) -> str:
    """The value as MISP would store it."""
    value = value.strip()
    if kind in _LOWER:
        return value.lower()
    return value.replace("\r\n", "\n")


def default_to_ids(kind: str) -> bool:
    """Whether attributes of this type go to detection unless they say otherwise."""
    return bool(types()["sane_defaults"].get(kind, {}).get("to_ids"))
