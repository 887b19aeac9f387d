"""Names and addresses of hosts, and what has one in it: domains, IP and MAC addresses, URLs, e-mail addresses.

Each function takes a trimmed text and gives its canonical spelling, or None: it is none of these. What is canonical is
its own canonical spelling, and two texts have the same one only where every reader of the standards named here reads
them as the same.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

import idna

_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # the other dots of RFC 3490 section 3.1
_LONGEST_NAME = 253
# Underscores and an asterisk in front are no host name's, but the DNS and its users have them.
_NAME = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+\Z)[a-z0-9_-]{1,63}\Z")


def domain(text: str) -> str | None:
    """Lower case, A-labels (RFC 5891, UTS 46 without its transitional part), no trailing dot."""
    if len(text) > _LONGEST_NAME + 1:
        return None
    name = text.lower()
    if _NAME.match(name):
        return name if len(name) <= _LONGEST_NAME else None
    if not text.isascii():
        return _international(text)
    return name[:-1] if name.endswith(".") and _NAME.match(name, 0, len(name) - 1) else None


def _international(text: str) -> str | None:
    """The A-labels of a name with letters outside of ASCII; its other labels may be such as only the DNS allows."""
    try:
        labels = idna.uts46_remap(text.translate(_DOTS), std3_rules=False).removesuffix(".").split(".")
        name = ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)
    except idna.IDNAError:
        return None
    return name if _NAME.match(name) and len(name) <= _LONGEST_NAME else None


def spellings(name: str) -> frozenset[str]:
    """A domain as it is written, as the DNS has it, and as people read it (RFC 5891), in lower case."""
    said, plain = {name.lower()}, domain(name)
    if plain is not None:
        said.add(plain)
        if "xn--" in plain:
            with suppress(idna.IDNAError):
                said.add(".".join(idna.ulabel(label) if "xn--" in label else label for label in plain.split(".")))
    return frozenset(said)


# --- addresses ---------------------------------------------------------------------------------------------------

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_IPV4 = re.compile(rf"{_QUAD}\Z")
_IPV4_NETWORK = re.compile(rf"{_QUAD}/(?:[0-9]{{1,2}}|{_QUAD})\Z")
_LONGEST_IPV6 = 49
_PREFIX = re.compile(r"0*([0-9]{1,3})\Z")
_BITS = 128
_MAPPED = 0xFFFF
_GROUP = "[1-9a-f][0-9a-f]{0,3}"
# Groups without a zero in front and none that is zero, all eight, or six at most around `::`: the short form already.
_IPV6_SHORT = re.compile(
    rf"{_GROUP}(?::{_GROUP}){{7}}\Z"
    rf"|(?!::ffff:|(?:[^:]*+:){{7}})(?:{_GROUP}(?::{_GROUP})*+)?::(?:{_GROUP}(?::{_GROUP})*+)?\Z"
)
_FIVE_DIGITS = re.compile("[0-9a-f]{5}")
_ZEROS = re.compile(":0{1,3}(?=[0-9a-f])")


def ipv4(text: str) -> str | None:
    """Four decimal bytes; a prefix of 32 is dropped, a shorter one stays without host bits, a mask is a prefix."""
    if _IPV4.match(text):
        return text
    if not _IPV4_NETWORK.match(text):
        return None
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def ipv6(text: str) -> str | None:
    """The short form of RFC 5952; a prefix as in `ipv4`. No zone (`%eth0`): it means something on one host only.

    An IPv4-mapped address (`::ffff:198.51.100.3`, always written so: RFC 5952 section 5) stays IPv6 and is never the
    IPv4 address in it: STIX has two types for them, sensors and filters see one and not the other.
    """
    if _IPV6_SHORT.match(text):
        return text
    if ":" not in text or len(text) > _LONGEST_IPV6 or "%" in text:
        return None
    plain = text.lower()
    if not _FIVE_DIGITS.search(plain) and _IPV6_SHORT.match(plain := _ZEROS.sub(":", f":{plain}")[1:]):
        return plain
    address, slash, given = text.partition("/")
    bits = _BITS
    if slash:
        match = _PREFIX.match(given)
        if match is None or int(match[1]) > _BITS:
            return None
        bits = int(match[1])
    try:
        number = int(ipaddress.IPv6Address(address))
    except ValueError:
        return None
    if bits == _BITS:
        return _short(number)
    rest = _BITS - bits
    return f"{_short(number >> rest << rest)}/{bits}"


def _short(number: int) -> str:
    """The text does not depend on the version of Python: 3.13 writes mapped addresses otherwise than 3.11."""
    if number >> 32 == _MAPPED:
        return f"::ffff:{ipaddress.IPv4Address(number & 0xFFFFFFFF)}"
    return str(ipaddress.IPv6Address(number))


_PAIRS = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}(?:(?::[0-9a-f]{2}){2})?\Z")
_MAC = re.compile(
    r"[0-9a-f]{2}(?:-[0-9a-f]{2}){5}(?:(?:-[0-9a-f]{2}){2})?\Z"
    r"|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2,3}\Z|[0-9a-f]{12}(?:[0-9a-f]{4})?\Z"
)
_SIGNS = str.maketrans("", "", "-.")


def mac(text: str) -> str | None:
    """48 or 64 bits in lower case with colons, as STIX 2.1 section 6.8 has them; of dashes, dots or nothing too."""
    lower = text.lower()
    if _PAIRS.match(lower):
        return lower
    if not _MAC.match(lower):
        return None
    digits = lower.translate(_SIGNS)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def host(text: str) -> str | None:
    """What may stand at the end of a connection: an address or a name."""
    return ipv4(text) or (":" in text and (ipv6(text) or mac(text))) or domain(text)


# --- what has a host in it ---------------------------------------------------------------------------------------

_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://"
    r"([^/?#\\]*@)?"
    r"(\[[^\]/?#\\]*\]|[^/?#:@\[\]\\\s]+)"
    r"(?::([0-9]{0,5}))?(?=[/?#]|\Z)"
    r"([^?#]*)(.*)\Z",
    re.S,
)
_HOSTLESS = re.compile(r"(?:about|bitcoin|blob|data|file|javascript|magnet|mailto|sips?|tel|urn|view-source):.", re.I)
_PORTS = {"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}
"""Schemes whose URLs have a path at least of `/` and no dot segments when they are sent, and their ports."""
_DEFANGED_SCHEMES = frozenset({"hxxp", "hxxps", "hxtp", "hxtps", "htxp", "htxps", "fxp", "fxps"})
_HIGHEST_PORT = 65535
_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_HALF_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DIGITS = "0123456789ABCDEFabcdef"
_OCTETS = {
    f"%{high}{low}": character if (character := chr(int(high + low, 16))) in _UNRESERVED else f"%{high}{low}".upper()
    for high in _DIGITS
    for low in _DIGITS
}
"""Each encoded octet, in any case → what it is in a canonical URL."""


def url(text: str) -> str | None:
    """Scheme and host as in RFC 3986 section 6.2.2 and 6.2.3: scheme and host in lower case, no default port, `/` for
    an empty path, no dot segments, percent-encoding in upper case and none where none is needed.

    The case of a path is content; so are query, fragment and whoever's name stands before the host.
    """
    match = _URL.match(text)
    if match is None:
        return text if _HOSTLESS.match(text) else None
    scheme, user, name, port, path, rest = match.groups()
    scheme = scheme.lower()
    where = _place(name)
    if where is None or scheme in _DEFANGED_SCHEMES or (port and int(port) > _HIGHEST_PORT):
        return None
    if "%" in text:
        path, rest = _encoded(path), _encoded(rest)
    usual = _PORTS.get(scheme)
    if usual is not None:
        path = _direct(path) if "/." in path else path or "/"
    shown = "" if not port or int(port) == usual else f":{int(port)}"
    return f"{scheme}://{user or ''}{where}{shown}{path}{rest}"


def _place(name: str) -> str | None:
    """The host of a URL."""
    if name[0] == "[":
        found = None if "/" in name else ipv6(name[1:-1])
        return found and f"[{found}]"
    if "%" in name:
        name = _encoded(name)
    return domain(name) or (name if _IPV4.match(name) else None)


def _encoded(text: str) -> str:
    """Percent-encoding with upper-case digits, and none of unreserved characters; text with a lone `%` stays as is."""
    return text if _HALF_ENCODED.search(text) else _ENCODED.sub(_octet, text)


def _octet(match: re.Match[str]) -> str:
    return _OCTETS[match[0]]


def _direct(path: str) -> str:
    """A path that begins with `/`, without its dot segments (RFC 3986 section 5.2.4)."""
    made: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del made[-1:]
        elif segment != ".":
            made.append(segment)
    if segments[-1] in (".", ".."):
        made.append("")
    return "/" + "/".join(made)


_LOCAL = re.compile(r'(?:[^\s@"(),:;<>\[\\\]]+|"(?:[^"\\]|\\.)*")\Z')


def email(text: str) -> str | None:
    """The domain as `domain` has it; the local part is its owner's business (RFC 5321 section 2.4)."""
    local, at, where = text.rpartition("@")
    if not at or not _LOCAL.match(local):
        return None
    if where[:1] == "[" and where[-1:] == "]":
        inner = where[1:-1]
        mapped = ipv6(inner[5:]) if inner[:5].lower() == "ipv6:" else None
        found = f"[IPv6:{mapped}]" if mapped else f"[{inner}]" if _IPV4.match(inner) else None
    else:
        found = domain(where)
    return found and f"{local}@{found}"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == "localhost"
