"""Canonical values of observables, and what there is to say of the spelling that was received.

What is compared is canonical; what was received is never rewritten. A value that is not what its property says is
*opaque*: it keeps its own trimmed text, so that it is never joined with a valid one, and `notes` says why. White space
around a value is never content. docs/identity.md lists every rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from exchange.model import hashes, hosts
from exchange.model.defanged import refang
from exchange.model.hashes import hash_name

__all__ = ["CANONICAL", "forms", "hash_name", "notes", "path_of", "refang", "strength", "value_of"]

Spelling = Callable[[str], str | None]
"""A trimmed text → its canonical spelling; None: the text is not what the property says."""

# --- registry keys, CVE ids, AS numbers --------------------------------------------------------------------------

_HIVES = {
    "hklm": "hkey_local_machine",
    "hkcu": "hkey_current_user",
    "hkcr": "hkey_classes_root",
    "hkcc": "hkey_current_config",
    "hku": "hkey_users",
    "hkpd": "hkey_performance_data",
}
_WHOLE_HIVES = frozenset({*_HIVES.values(), "hkey_dyn_data"})
_SLASHES = re.compile(r"\\{2,}")
_KERNEL = (("registry\\machine", "hkey_local_machine"), ("registry\\user", "hkey_users"))


def registry_key(text: str) -> str:
    r"""Lower case, the hive written out (`HKLM:`, `\REGISTRY\MACHINE` and `Computer\` too), single backslashes.

    Forward slashes are read as backslashes only after a hive and where there is no backslash: a name may have one.
    """
    key = text.lower()
    if "\\" not in key and "/" in key and _hive(key.partition("/")[0]):
        key = key.replace("/", "\\")
    if "\\\\" in key:
        key = _SLASHES.sub(r"\\", key)
    plain = key.strip("\\")
    for name, hive in _KERNEL:
        if key.startswith("\\" + name) and plain[len(name) : len(name) + 1] in ("", "\\"):
            return hive + plain[len(name) :]
    if plain.startswith("computer\\"):
        rest = plain.removeprefix("computer\\")
        plain = rest if _hive(rest.partition("\\")[0]) else plain
    first, slash, rest = plain.partition("\\")
    return f"{_hive(first) or first}{slash}{rest}"


def _hive(name: str) -> str:
    """The whole name of a hive; empty: it is the name of none."""
    name = name.removesuffix(":")
    whole = _HIVES.get(name, name)
    return whole if whole in _WHOLE_HIVES else ""


_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}\Z")


def cve(text: str) -> str | None:
    """`CVE-2021-44228` in upper case."""
    upper = text.upper()
    return upper if _CVE.match(upper) else None


_AS = re.compile(r"(?:AS[ N]?)?([0-9]{1,10})(?:\.([0-9]{1,5}))?\Z", re.I)
_HALF, _WHOLE = 1 << 16, 1 << 32


def as_number(text: str) -> str | None:
    """`AS64496`, `64496` and `0.64496` (RFC 5396) as the number that STIX has."""
    match = _AS.match(text)
    if match is None:
        return None
    high, low = match.groups()
    if low is None:
        return str(int(high)) if int(high) < _WHOLE else None
    return str(int(high) * _HALF + int(low)) if int(high) < _HALF and int(low) < _HALF else None


# --- which property holds what -----------------------------------------------------------------------------------

CANONICAL: dict[str, Spelling] = {
    "domain-name:value": hosts.domain,
    "hostname:value": hosts.domain,
    "ipv4-addr:value": hosts.ipv4,
    "ipv6-addr:value": hosts.ipv6,
    "url:value": hosts.url,
    "email-addr:value": hosts.email,
    "mac-addr:value": hosts.mac,
    "windows-registry-key:key": registry_key,
    "autonomous-system:number": as_number,
    "vulnerability:name": cve,
    "network-traffic:src_ref.value": hosts.host,
    "network-traffic:dst_ref.value": hosts.host,
    "domain-name:resolves_to_refs.value": hosts.host,
    "ipv4-addr:resolves_to_refs.value": hosts.mac,
    "ipv6-addr:resolves_to_refs.value": hosts.mac,
    "ipv4-addr:belongs_to_refs.number": as_number,
    "ipv6-addr:belongs_to_refs.number": as_number,
    **{f"email-message:{name}.value": hosts.email for name in ("from_ref", "sender_ref")},
    **{f"email-message:{name}.value": hosts.email for name in ("to_refs", "cc_refs", "bcc_refs")},
}
"""`type:property`, lists without their places → how its values are spelt."""

_NOT_ONE: dict[Spelling, str] = {
    hosts.domain: "value.not_a_domain",
    hosts.ipv4: "value.not_an_ipv4",
    hosts.ipv6: "value.not_an_ipv6",
    hosts.url: "value.not_a_url",
    hosts.email: "value.not_an_email",
    hosts.mac: "value.not_a_mac",
    hosts.host: "value.not_a_host",
    as_number: "value.not_an_as_number",
    cve: "value.not_a_cve",
}
_PLACES = re.compile(r"\[(?:\*|[0-9]+)\]")


def path_of(kind: str, name: str) -> str:
    """`type:property`, where `file:hashes.'SHA-256'` and `file:hashes.SHA256` are one."""
    head, dot, tail = name.partition(".")
    return f"{kind}:{head}.{hash_name(tail)}" if head == "hashes" and dot else f"{kind}:{name}"


def _hash(algorithm: str) -> Spelling:
    def spelling(text: str) -> str | None:
        return hashes.digest(algorithm, text)

    return spelling


@lru_cache(maxsize=4096)
def _spelling(path: str) -> Spelling | None:
    """How the values at `path` are spelt; None: as they are."""
    plain = _PLACES.sub("", path)
    head, mark, name = plain.rpartition("hashes.")
    if mark and head[-1:] in (":", "."):
        return _hash(hash_name(name))
    return CANONICAL.get(plain)


_USUAL = 300
"""Characters of a path that is remembered; longer ones are in no pattern that we know."""


def value_of(path: str, value: str) -> str:
    """The canonical value of the observable property `path` (`type:property`), defanged or not."""
    text = value.strip()
    spelling = _spelling(path) if len(path) <= _USUAL else None
    if spelling is None:
        return text
    found = spelling(text)
    if found is None:
        found = _refanged(spelling, text)
    return text if found is None else found


# In a file name or a command line the same signs are its own.
_HOSTED = frozenset({hosts.domain, hosts.ipv4, hosts.ipv6, hosts.url, hosts.email, hosts.host})


def _refanged(spelling: Spelling, text: str) -> str | None:
    """The canonical spelling of what a defanged text stands for; None: it stands for nothing of the kind."""
    if spelling not in _HOSTED:
        return None
    plain = refang(text)
    return None if plain == text else spelling(plain)


def notes(path: str, value: str) -> tuple[str, ...]:
    """What there is to say of a value as it was received, as message codes; empty: it is spelt as it should be.

    `value.defanged` (read as its owner wrote it), `value.trimmed`, `value.host_bits` (a network written with the
    address of a host), `value.mapped` (IPv4 inside IPv6), `value.no_hive`; and the reasons for which it is opaque,
    which begin with `value.not_`.
    """
    text = value.strip()
    found: list[str] = [] if text == value else ["value.trimmed"]
    spelling = _spelling(path) if len(path) <= _USUAL else None
    if spelling is None:
        return tuple(found)
    canonical = spelling(text)
    if canonical is None:
        canonical = _refanged(spelling, text)
        if canonical is None:
            return (*found, _NOT_ONE.get(spelling, "value.not_a_hash"))
        found.append("value.defanged")
    if spelling is registry_key:
        return (*found, "value.no_hive") if canonical.partition("\\")[0] not in _WHOLE_HIVES else tuple(found)
    if spelling in (hosts.ipv4, hosts.ipv6, hosts.host):
        if "/" in canonical and spelling(refang(text).partition("/")[0]) != canonical.partition("/")[0]:
            found.append("value.host_bits")
        if canonical.startswith("::ffff:") and "." in canonical:
            found.append("value.mapped")
    return tuple(found)


def is_opaque(path: str, value: str) -> bool:
    """Whether `value` is not what `path` says that it is, so that only the same text is the same value."""
    spelling = _spelling(path) if len(path) <= _USUAL else None
    text = value.strip()
    return spelling is not None and spelling(text) is None and _refanged(spelling, text) is None


_EVERY: tuple[Spelling, ...] = (*dict.fromkeys(CANONICAL.values()), *(_hash(name) for name in ("SHA-256", "TLSH")))


def forms(value: str) -> set[str]:
    """Every canonical value that `value`, as people have it (defanged, in any case), may stand for."""
    text, plain = value.strip(), refang(value)
    found = {text, plain, plain.lower()}
    for spelling in _EVERY:
        found.update(form for form in (spelling(text), spelling(plain)) if form)
    return found


def host_of(value: str) -> str | None:
    """The canonical host of what carries more: a URL, a host with a port or a path; None: it is nothing of the kind."""
    plain = refang(value)
    rest = plain.partition("://")[2]
    head = re.split(r"[/?#]", rest or plain, maxsplit=1)[0]
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::[0-9]{0,5})?", head.rpartition("@")[2] if rest else head)
    if found is None or re.search(r"^[0-9.]+/[0-9.]+$", plain):  # a network
        return None
    bare = found[1].strip("[]")
    return hosts.host(bare) if bare != plain else None


def strength(path: str) -> int:
    """What an equal hash at `path` proves of two files: 2, that they are one; 1, that, if nobody made a collision on
    purpose (MD5, SHA-1); 0, that they are alike at most, or it is the path of no hash."""
    head, mark, name = path.rpartition("hashes.")
    return hashes.STRENGTH.get(hash_name(name), 0) if mark and head[-1:] in (":", ".") else 0
