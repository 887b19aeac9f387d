"""Canonical values of observables, and the spellings that people use for them.

What is compared is canonical; what was received is never rewritten. A value that is not what its type says keeps its
own trimmed text, so that two different things never become one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

_DEFANGED = (
    (re.compile(r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)", re.I), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[://\]"), "://"),
    (re.compile(r"\[@\]|\[at\]|\(at\)", re.I), "@"),
    (re.compile(r"^h(?:xx|\*\*)p(s?)(?=:|\[)", re.I), r"http\1"),
    (re.compile(r"^fxp(s?)(?=:)", re.I), r"ftp\1"),
)
_ASCII = 128

HASH_NAMES = {
    name.replace("-", ""): name
    for name in ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-512", "SSDEEP", "TLSH")
}


def refang(value: str) -> str:
    """`hxxps://evil[.]example` as its owner would have written it; any other value is only trimmed."""
    value = value.strip()
    for pattern, plain in _DEFANGED:
        value = pattern.sub(plain, value)
    return value


def domain(value: str) -> str:
    """Lower case, IDNA A-labels, no trailing dot."""
    value = value.strip().rstrip(".").lower()
    if value and max(map(ord, value)) >= _ASCII:
        try:
            return value.encode("idna").decode("ascii")
        except UnicodeError:
            return value
    return value


def address(value: str) -> str:
    """IPv4 or IPv6 in its short form (RFC 5952); a prefix of the full length is dropped, host bits are cleared."""
    value = value.strip()
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return value
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def url(value: str) -> str:
    """Scheme and host in lower case, default port dropped; path, query and fragment are never touched."""
    value = value.strip()
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return value
    if not parts.scheme or not parts.hostname:
        return value
    host = f"[{parts.hostname}]" if ":" in parts.hostname else domain(parts.hostname)
    if port is not None and (parts.scheme.lower(), port) not in {("http", 80), ("https", 443), ("ftp", 21)}:
        host = f"{host}:{port}"
    if "@" in parts.netloc:
        host = parts.netloc.rsplit("@", 1)[0] + "@" + host
    return urlunsplit((parts.scheme.lower(), host, parts.path, parts.query, parts.fragment))


def email(value: str) -> str:
    """The domain in lower case; the local part is its owner's business."""
    local, at, host = value.strip().rpartition("@")
    return f"{local}{at}{domain(host)}" if at else value.strip()


def hash_name(name: str) -> str:
    """`sha256`, `SHA_256` and `SHA-256` are one algorithm."""
    key = name.strip("'\"").upper().replace("-", "").replace("_", "")
    return HASH_NAMES.get(key, name.strip("'\""))


def _lower(value: str) -> str:
    return value.strip().lower()


CANONICAL: dict[str, Callable[[str], str]] = {
    "domain-name:value": domain,
    "hostname:value": domain,
    "ipv4-addr:value": address,
    "ipv6-addr:value": address,
    "url:value": url,
    "email-addr:value": email,
    "mac-addr:value": _lower,
    "windows-registry-key:key": _lower,
}


def value_of(path: str, value: str) -> str:
    """The canonical value of the observable property `path` (`type:property`)."""
    if ":hashes." in path:
        return _lower(value)
    return CANONICAL.get(path, str.strip)(value)
