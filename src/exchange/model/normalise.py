"""Canonical values of observables, and the spellings that people use for them.

What is compared is canonical; what was received is never rewritten. A value that is not what its type says keeps its
own trimmed text, so that two different things never become one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

import idna

_DEFANGED = (
    (re.compile(r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)", re.I), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[://\]"), "://"),
    (re.compile(r"\[@\]|\[at\]|\(at\)", re.I), "@"),
    (re.compile(r"^h(?:xx|\*\*)p(s?)(?=:|\[)", re.I), r"http\1"),
    (re.compile(r"^fxp(s?)(?=:)", re.I), r"ftp\1"),
)
# Without a bracket, and not beginning like a defanged scheme: nearly every value.
_PLAIN = re.compile(r"(?!h..p|fxp)[^\[({]*\Z|https?:[^\[({]*\Z", re.I | re.S)
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # the other dots of RFC 3490 section 3.1
_END = re.compile(r"[.\s]+\Z")
_ASCII_END = "." + "".join(c for c in map(chr, range(128)) if c.isspace())
_LONGEST_NAME = 253
_DEFAULT_PORTS = {("http", 80), ("https", 443), ("ftp", 21)}
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:@\[\]]+)(?::([0-9]{1,5}))?(?=[/?#]|\Z)(.*)\Z", re.S
)

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}\Z")

HASH_NAMES = {
    name.replace("-", ""): name
    for name in ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-512", "SSDEEP", "TLSH")
}


def refang(value: str) -> str:
    """`hxxps://evil[.]example` as its owner would have written it; any other value is only trimmed."""
    value = value.strip()
    if _PLAIN.match(value):
        return value
    for pattern, plain in _DEFANGED:
        value = pattern.sub(plain, value)
    return value


def domain(value: str) -> str:
    """Lower case, IDNA A-labels (RFC 5891), no trailing dot. What is too long for a name is only trimmed."""
    if value.isascii():
        return value.strip().rstrip(_ASCII_END).lower()
    value = _END.sub("", value.strip().translate(_DOTS)).lower()
    if len(value) <= _LONGEST_NAME and not value.isascii():
        try:
            return idna.encode(value, uts46=True).decode("ascii")
        except idna.IDNAError:
            return value
    return value


def address(value: str) -> str:
    """IPv4 or IPv6 in its short form (RFC 5952); a prefix of the full length is dropped, host bits are cleared."""
    value = value.strip()
    if _IPV4.match(value):
        return value  # its short form already, as nearly all of them are
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return value
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def url(value: str) -> str:
    """Scheme and host in lower case, default port dropped, `/` for an empty path; what comes after is never touched."""
    value = value.strip()
    match = _URL.match(value)
    if match is None:
        return value
    scheme, user, host, port, rest = match.groups()
    scheme = scheme.lower()
    name = host.lower() if host.startswith("[") else domain(host)
    shown = "" if not port or (scheme, int(port)) in _DEFAULT_PORTS else f":{port}"
    if scheme in ("http", "https") and (not rest or rest[0] in "?#"):
        rest = "/" + rest
    return f"{scheme}://{user or ''}{name}{shown}{rest}"


def email(value: str) -> str:
    """The domain in lower case; the local part is its owner's business."""
    local, at, host = value.strip().rpartition("@")
    return f"{local}{at}{domain(host)}" if at else value.strip()


REFANGED = frozenset({"domain-name", "hostname", "ipv4-addr", "ipv6-addr", "url", "email-addr"})
"""Types whose values people defang; in a file name or a command line the same signs are its own."""


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
    """The canonical value of the observable property `path` (`type:property`), defanged or not."""
    if path.partition(":")[0] in REFANGED:
        value = refang(value)
    if ":hashes." in path:
        return value.strip() if path.endswith((".SSDEEP", ".TLSH")) else _lower(value)
    return CANONICAL.get(path, str.strip)(value)
