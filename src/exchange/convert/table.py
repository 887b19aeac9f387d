"""MISP attribute types and the STIX that says the same, one row each: pattern and observables (STIX 2.1 sections 6, 9).

What misp-stix gives, except where it is wrong (`docs/misp-mapping.md` lists every difference with its reason). A type
without a row is an `x-misp-attribute`; a value that its type does not allow has no form at all (`Unfit`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from exchange.convert.forms import Named, Observed, Row, Unfit, Unsaid, halves, text_of
from exchange.errors import ContentError
from exchange.model import pattern as patterns
from exchange.model.normalise import refang


def _simple(path: str) -> Row:
    """`type:property` with one string value."""
    kind, _, name = path.partition(":")

    def pattern(value: str) -> str:
        return f"[{path} = {text_of(value)}]"

    def observed(value: str, ids: Named) -> Observed:
        return [{"type": kind, "id": ids(kind), name: value}]

    return Row(pattern, observed)


# --- addresses ---------------------------------------------------------------------------------------------------

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}(?:/(?:3[0-2]|[12]?[0-9]))?\Z")


@lru_cache(maxsize=256)  # a pattern and its observables ask for the same address
def address_type(value: str) -> str:
    """`ipv4-addr` or `ipv6-addr`; raises Unfit."""
    if _IPV4.match(value):
        return "ipv4-addr"
    try:
        return f"ipv{ipaddress.ip_network(value, strict=False).version}-addr"
    except ValueError:
        raise Unfit("no IP address") from None


def _port(text: str) -> str:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise Unfit("no port")
    return text


def _flow(end: str, *, port: bool) -> Row:
    """An address (and port) at one end of a connection: `src` or `dst`."""

    def split(value: str) -> tuple[str, str]:
        if not port:
            return value, ""
        address, number = halves(value)
        return address, _port(number)

    def pattern(value: str) -> str:
        address, number = split(value)
        kind = address_type(address)
        more = f" AND network-traffic:{end}_port = '{number}'" if number else ""
        traffic = f"network-traffic:{end}_ref"
        return f"[{traffic}.type = '{kind}' AND {traffic}.value = '{address}'{more}]"

    def observed(value: str, ids: Named) -> Observed:
        address, number = split(value)
        kind = address_type(address)
        there = ids(kind)
        traffic: dict[str, Any] = {"type": "network-traffic", "id": ids("network-traffic"), f"{end}_ref": there}
        if number:
            traffic[f"{end}_port"] = int(number)
        traffic["protocols"] = ["tcp"]
        return [traffic, {"type": kind, "id": there, "value": address}]

    return Row(pattern, observed)


def _domain_ip_pattern(value: str) -> str:
    name, address = halves(value)
    address_type(address)
    return f"[domain-name:value = {text_of(name)} AND domain-name:resolves_to_refs[*].value = '{address}']"


def _domain_ip(value: str, ids: Named) -> Observed:
    name, address = halves(value)
    kind = address_type(address)
    there = ids(kind)
    domain = {"type": "domain-name", "id": ids("domain-name"), "value": name, "resolves_to_refs": [there]}
    return [domain, {"type": kind, "id": there, "value": address}]


def _host_port_pattern(value: str) -> str:
    name, number = halves(value)
    return f"[domain-name:value = {text_of(name)} AND network-traffic:dst_port = '{_port(number)}']"


def _host_port(value: str, ids: Named) -> Observed:
    name, number = halves(value)
    there = ids("domain-name")
    traffic = {
        "type": "network-traffic",
        "id": ids("network-traffic"),
        "dst_ref": there,
        "dst_port": int(_port(number)),
        "protocols": ["tcp"],
    }
    return [{"type": "domain-name", "id": there, "value": name}, traffic]


_AS = re.compile(r"(?:AS|as)?([0-9]{1,10})\Z")


def _as_number(value: str) -> str:
    match = _AS.match(value)
    if match is None:
        raise Unfit("no AS number")
    return match[1]


_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")


def _mac(value: str) -> str:
    """Section 6.8: lower case, with colons."""
    if _MAC.match(value) is None:
        raise Unsaid("no MAC address of 48 bits in lower case with colons")
    return value


# --- files -------------------------------------------------------------------------------------------------------

_HEX = re.compile(r"[0-9a-fA-F]+\Z")
HASHES: Mapping[str, tuple[str, int]] = {
    "md5": ("MD5", 32),
    "sha1": ("SHA-1", 40),
    "sha224": ("SHA-224", 56),
    "sha256": ("SHA-256", 64),
    "sha384": ("SHA-384", 96),
    "sha512": ("SHA-512", 128),
    "sha512/224": ("SHA-512-224", 56),
    "sha512/256": ("SHA-512-256", 64),
    "sha3-224": ("SHA3-224", 56),
    "sha3-256": ("SHA3-256", 64),
    "sha3-384": ("SHA3-384", 96),
    "sha3-512": ("SHA3-512", 128),
    "authentihash": ("AUTHENTIHASH", 64),
    "cdhash": ("CDHASH", 0),
    "imphash": ("IMPHASH", 32),
    "impfuzzy": ("IMPFUZZY", 0),
    "pehash": ("PEHASH", 40),
    "ssdeep": ("SSDEEP", 0),
    "telfhash": ("TELFHASH", 0),
    "tlsh": ("TLSH", 0),
    "vhash": ("VHASH", 0),
}
"""Attribute type → the algorithm's name in STIX, and its hexadecimal digits (0: it has another form)."""
_UNNAMED_WITH = frozenset({"cdhash", "telfhash"})
"""Hashes of which MISP has no `filename|…`."""


def _digest(kind: str, value: str) -> str:
    digits = HASHES[kind][1]
    if digits and (len(value) != digits or _HEX.match(value) is None):
        raise Unfit(f"{digits} hexadecimal digits are expected")
    return value


def _tlsh(value: str) -> str:
    """As OASIS's patterns have it; MISP writes a T1 before it."""
    plain = value[2:] if value[:2] in ("T1", "t1") else value
    if len(plain) not in (70, 72) or _HEX.match(plain) is None:
        raise Unsaid("no TLSH")
    return value


def _hash(kind: str, of: str = "file") -> Row:
    name = HASHES[kind][0]
    path = f"{of}:hashes.{name if '-' not in name else repr(name)}"

    def pattern(value: str) -> str:
        return f"[{path} = {text_of(_digest(kind, value))}]"

    def observed(value: str, ids: Named) -> Observed:
        return [{"type": of, "id": ids(of), "hashes": {name: _digest(kind, value)}}]

    return Row(pattern, observed)


def _named_hash(kind: str) -> Row:
    name = HASHES[kind][0]
    path = f"file:hashes.{name if '-' not in name else repr(name)}"

    def pattern(value: str) -> str:
        file, digest = halves(value)
        return f"[file:name = {text_of(file)} AND {path} = {text_of(_digest(kind, digest))}]"

    def observed(value: str, ids: Named) -> Observed:
        file, digest = halves(value)
        return [{"type": "file", "id": ids("file"), "hashes": {name: _digest(kind, digest)}, "name": file}]

    return Row(pattern, observed)


_SAMPLE = {"mime_type": "application/zip", "encryption_algorithm": "mime-type-indicated", "decryption_key": "infected"}


def _sample_of(value: str) -> tuple[str, str]:
    name, bar, digest = value.rpartition("|")
    return (name, _digest("md5", digest)) if bar else (value, "")


def _sample_pattern(value: str) -> str:
    name, digest = _sample_of(value)
    md5 = f" AND file:hashes.MD5 = '{digest}'" if digest else ""
    return f"[file:name = {text_of(name)}{md5}]"


def _sample(value: str, ids: Named) -> Observed:
    name, digest = _sample_of(value)
    file: dict[str, Any] = {"type": "file", "id": ids("file"), "name": name}
    return [{**file, "hashes": {"MD5": digest}} if digest else file]


# --- messages, accounts, keys ------------------------------------------------------------------------------------


def _message(path: str, properties: Callable[[str], dict[str, Any]]) -> Row:
    def pattern(value: str) -> str:
        return f"[email-message:{path} = {text_of(value)}]"

    def observed(value: str, ids: Named) -> Observed:
        return [{"type": "email-message", "id": ids("email-message"), "is_multipart": False, **properties(value)}]

    return Row(pattern, observed)


def _header(name: str) -> Row:
    field = name.lower().replace("-", "_")
    return _message(f"additional_header_fields.{field}", lambda value: {"additional_header_fields": {name: value}})


def _correspondent(path: str, name: str) -> Row:
    def pattern(value: str) -> str:
        return f"[email-message:{path}.value = {text_of(value)}]"

    def observed(value: str, ids: Named) -> Observed:
        there = ids("email-addr")
        message = {"type": "email-message", "id": ids("email-message"), "is_multipart": False}
        message[name] = [there] if name.endswith("s") else there
        return [message, {"type": "email-addr", "id": there, "value": value}]

    return Row(pattern, observed)


def _enclosure(value: str, ids: Named) -> Observed:
    there = ids("file")
    part = {"body_raw_ref": there, "content_disposition": f"attachment; filename='{value}'"}
    message = {"type": "email-message", "id": ids("email-message"), "is_multipart": True, "body_multipart": [part]}
    return [message, {"type": "file", "id": there, "name": value}]


_HIVES = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKCC": "HKEY_CURRENT_CONFIG",
    "HKU": "HKEY_USERS",
}
_SHORTENED = re.compile("|".join(_HIVES), re.I)


def registry_key(text: str) -> str:
    """With its hive written out, as section 6.16 wants it."""
    hive, slash, rest = text.partition("\\")
    whole = _HIVES.get(hive.upper(), hive) + slash + rest
    if _SHORTENED.search(whole):
        raise Unsaid("the name of a hive is shortened")
    return whole


def _key(value: str, ids: Named) -> Observed:
    kind = "windows-registry-key"
    return [{"type": kind, "id": ids(kind), "key": registry_key(value)}]


def _key_and_value(text: str) -> tuple[str, str]:
    key, inner = halves(text)
    return registry_key(key), inner


def _key_value_pattern(value: str) -> str:
    key, inner = _key_and_value(value)
    return f"[windows-registry-key:key = {text_of(key)} AND windows-registry-key:values.data = {text_of(inner)}]"


def _key_value(value: str, ids: Named) -> Observed:
    key, inner = _key_and_value(value)
    kind = "windows-registry-key"
    return [{"type": kind, "id": ids(kind), "key": key, "values": [{"data": inner}]}]


def _rule(language: str) -> Row:
    """Detection rules are patterns as they stand."""
    return Row(str, language=language, plain=str)


def _stix(value: str) -> str:
    try:
        patterns.check(value)
    except ContentError as error:
        raise Unsaid(str(error.fields.get("detail", "no STIX pattern"))[:200]) from None
    return value


_ROWS: Mapping[str, Row] = {
    **{kind: _hash(kind) for kind in HASHES},
    **{f"filename|{kind}": _named_hash(kind) for kind in HASHES if kind not in _UNNAMED_WITH},
    **{f"x509-fingerprint-{kind}": _hash(kind, "x509-certificate") for kind in ("md5", "sha1", "sha256")},
    "tlsh": Row(lambda v: f"[file:hashes.TLSH = {text_of(_tlsh(v))}]", _hash("tlsh").observed),
    "filename": _simple("file:name"),
    "attachment": Row(*_simple("file:name")[:2], content={}),
    "malware-sample": Row(_sample_pattern, _sample, content=_SAMPLE),
    "ip-src": _flow("src", port=False),
    "ip-dst": _flow("dst", port=False),
    "ip-src|port": _flow("src", port=True),
    "ip-dst|port": _flow("dst", port=True),
    "domain": _simple("domain-name:value"),
    "hostname": _simple("domain-name:value"),
    "domain|ip": Row(_domain_ip_pattern, _domain_ip),
    "hostname|port": Row(_host_port_pattern, _host_port),
    "url": _simple("url:value"),
    "uri": _simple("url:value"),
    "link": _simple("url:value"),
    "port": Row(lambda v: f"[network-traffic:dst_port = '{_port(v)}']"),
    "mac-address": Row(
        lambda v: f"[mac-addr:value = '{_mac(v)}']",
        lambda v, ids: [{"type": "mac-addr", "id": ids("mac-addr"), "value": _mac(v)}],
    ),
    "AS": Row(
        lambda v: f"[autonomous-system:number = '{_as_number(v)}']",
        lambda v, ids: [{"type": "autonomous-system", "id": ids("autonomous-system"), "number": int(_as_number(v))}],
    ),
    "user-agent": Row(
        lambda v: f"[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = {text_of(v)}]"
    ),
    "email": _simple("email-addr:value"),
    "email-src": _correspondent("from_ref", "from_ref"),
    "email-dst": _correspondent("to_refs[*]", "to_refs"),
    "email-subject": _message("subject", lambda v: {"subject": v}),
    "email-body": _message("body", lambda v: {"body": v}),
    "email-header": _message("received_lines", lambda v: {"received_lines": [v]}),
    "email-message-id": _message("message_id", lambda v: {"message_id": v}),
    "email-reply-to": _header("Reply-To"),
    "email-x-mailer": _header("X-Mailer"),
    "email-attachment": Row(
        lambda v: f"[email-message:body_multipart[*].body_raw_ref.name = {text_of(v)}]", _enclosure
    ),
    "mutex": _simple("mutex:name"),
    "regkey": Row(lambda v: f"[windows-registry-key:key = {text_of(registry_key(v))}]", _key),
    "regkey|value": Row(_key_value_pattern, _key_value),
    "github-username": Row(
        lambda v: f"[user-account:account_type = 'github' AND user-account:account_login = {text_of(v)}]",
        lambda v, ids: [
            {"type": "user-account", "id": ids("user-account"), "account_login": v, "account_type": "github"}
        ],
    ),
    "stix2-pattern": Row(_stix),
    **{language: _rule(language) for language in ("yara", "sigma", "snort", "suricata")},
}
_NETWORK = (
    "ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "domain", "hostname", "domain|ip", "hostname|port", "url", "uri",
    "link", "email", "email-src", "email-dst", "email-reply-to",
)  # fmt: skip
ROWS: Mapping[str, Row] = {
    kind: row._replace(plain=refang if kind in _NETWORK else row.plain) for kind, row in _ROWS.items()
}
"""Attribute type → its row."""

SDOS: Mapping[str, str] = {"vulnerability": "vulnerability", "campaign-name": "campaign"}
"""Attribute type → the STIX domain object whose `name` is the value."""
