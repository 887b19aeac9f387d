"""Values of STIX that no MISP wrote, as MISP attributes: of patterns and of observables (reference misp.md §5).

A pattern becomes attributes when its alternatives are each one value, or values that MISP has one attribute for (an
address and its port, a file's name and hash). Any other is an attribute of type `stix2-pattern`, so no indicator is
lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from exchange.convert.forms import Unfit, Unsaid
from exchange.convert.table import HASHES, ROWS
from exchange.errors import ContentError
from exchange.model import pattern as patterns
from exchange.model.normalise import hash_name, refang, value_of
from exchange.model.pattern import Comparison, Joined, Observation


class Value(NamedTuple):
    """One attribute's worth."""

    type: str
    value: str
    data: str = ""


_NETWORK, _PAYLOAD, _DROPPED = "Network activity", "Payload delivery", "Artifacts dropped"
_CATEGORIES = {
    "mutex": _DROPPED,
    "regkey": "Persistence mechanism",
    "regkey|value": "Persistence mechanism",
    "github-username": "Social network",
    "vulnerability": "External analysis",
    "campaign-name": "Attribution",
    **dict.fromkeys(("yara", "sigma", "stix2-pattern"), "Payload installation"),
    **dict.fromkeys(("snort", "suricata", "user-agent", "port", "AS", "url", "mac-address"), _NETWORK),
    **dict.fromkeys(("domain", "hostname", "ip-src", "ip-dst", "domain|ip", "hostname|port"), _NETWORK),
    **dict.fromkeys(("ip-src|port", "ip-dst|port"), _NETWORK),
    **{f"x509-fingerprint-{kind}": _NETWORK for kind in ("md5", "sha1", "sha256")},
}


def category_of(kind: str) -> str:
    """The category under which MISP files this attribute type when nobody says another (describeTypes)."""
    return _CATEGORIES.get(kind, _PAYLOAD)


_BY_ALGORITHM = {hash_name(name): kind for kind, (name, _) in HASHES.items()}
_CERTIFICATE = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256"}
_SINGLE = {
    "domain-name:value": "domain",
    "domain-name:resolves_to_refs.value": "ip-dst",
    "ipv4-addr:value": "ip-dst",
    "ipv6-addr:value": "ip-dst",
    "network-traffic:dst_port": "port",
    "network-traffic:extensions.http-request-ext.request_header.User-Agent": "user-agent",
    "url:value": "url",
    "mac-addr:value": "mac-address",
    "autonomous-system:number": "AS",
    "email-addr:value": "email",
    "email-message:from_ref.value": "email-src",
    "email-message:sender_ref.value": "email-src",
    "email-message:to_refs.value": "email-dst",
    "email-message:subject": "email-subject",
    "email-message:body": "email-body",
    "email-message:message_id": "email-message-id",
    "email-message:body_multipart.body_raw_ref.name": "email-attachment",
    "email-message:additional_header_fields.reply_to": "email-reply-to",
    "email-message:additional_header_fields.x_mailer": "email-x-mailer",
    "file:name": "filename",
    "mutex:name": "mutex",
    "windows-registry-key:key": "regkey",
    **{f"file:hashes.{name}": kind for name, kind in _BY_ALGORITHM.items()},
    **{f"artifact:hashes.{name}": kind for name, kind in _BY_ALGORITHM.items()},
    **{f"x509-certificate:hashes.{name}": f"x509-fingerprint-{kind}" for name, kind in _CERTIFICATE.items()},
}
"""`type:property` → the attribute type that says the same of one value."""
_ENDS = {
    "network-traffic:dst_ref.value": ("network-traffic:dst_port", "ip-dst"),
    "network-traffic:src_ref.value": ("network-traffic:src_port", "ip-src"),
    "ipv4-addr:value": ("network-traffic:dst_port", "ip-dst"),
    "ipv6-addr:value": ("network-traffic:dst_port", "ip-dst"),
    "domain-name:value": ("network-traffic:dst_port", "hostname"),
}
_PAIRS = {
    ("domain-name:value", "domain-name:resolves_to_refs.value"): "domain|ip",
    ("windows-registry-key:key", "windows-registry-key:values.data"): "regkey|value",
}
_ACCOUNT = ("user-account:account_type", "user-account:account_login")
_KEPT = frozenset({"windows-registry-key:key", "file:name"})
"""Compared without regard to case, shown as they are."""


def _shown(path: str, value: str) -> str:
    """A value as MISP gets it: a URL as its owner wrote it, for what is equal to readers is not so to a sensor."""
    if path == "url:value":
        return refang(value)
    return value if path in _KEPT else value_of(path, value)


def of_pattern(text: str, language: str) -> list[Value]:
    """The attributes that an indicator's pattern comes to; none: MISP has no form for a pattern in this language."""
    if language != "stix":
        return [Value(language, text)] if language in ROWS and ROWS[language].language == language else []
    try:
        root = patterns.parse(text).root
    except ContentError:
        return []
    found = _alternatives(root)
    return list(dict.fromkeys(found)) if found else [Value("stix2-pattern", text)]


def _alternatives(node: Any) -> list[Value] | None:
    """The values of which one is enough; None: it is not so simple."""
    if isinstance(node, Observation):
        return _alternatives(node.test)
    if isinstance(node, Comparison):
        return _compared(node)
    if isinstance(node, Joined) and node.word == "OR":
        found: list[Value] = []
        for term in node.terms:
            one = _alternatives(term)
            if one is None:
                return None
            found += one
        return found
    if isinstance(node, Joined) and node.word == "AND" and all(isinstance(term, Comparison) for term in node.terms):
        return _together([term for term in node.terms if isinstance(term, Comparison)])
    return None


def _compared(node: Comparison) -> list[Value] | None:
    path, operand = _path(node), node.operand
    if node.negated or operand is None:
        return None
    if isinstance(operand, tuple):
        values = [constant.text for constant in operand] if node.operator == "IN" else []
    else:
        values = [operand.text] if node.operator == "=" else []
    found = [_one({path: value}) for value in values]
    return [value for value in found if value is not None] if found and all(found) else None


def _path(node: Comparison) -> str:
    """`type:property` without its list places; a hash by its one name."""
    steps = [step for step in node.path.steps if isinstance(step, str)]
    if steps[:1] == ["hashes"] and len(steps) == 2:
        steps[1] = hash_name(steps[1])
    return f"{node.path.type}:{'.'.join(steps)}"


def _together(terms: Iterable[Comparison]) -> list[Value] | None:
    facts: dict[str, str] = {}
    for term in terms:
        path = _path(term)
        single = term.operator == "=" and not term.negated and isinstance(term.operand, patterns.Constant)
        if not single or path in facts:
            return None
        facts[path] = term.operand.text  # type: ignore[union-attr]
    return _file(facts) if all(path.startswith("file:") for path in facts) else _as_list(_one(facts))


def _as_list(value: Value | None) -> list[Value] | None:
    return None if value is None else [value]


def _file(facts: Mapping[str, str]) -> list[Value] | None:
    """A file by its hashes, each of which names it alone, with its name or without."""
    name = facts.get("file:name")
    digests = [(_SINGLE.get(path, ""), value) for path, value in facts.items() if path != "file:name"]
    found = []
    for kind, digest in digests:
        joined = f"filename|{kind}"
        if name is None or joined in ROWS:
            found.append(_fit(kind if name is None else joined, digest.lower(), name))
        else:
            return None
    return [value for value in found if value is not None] if found and all(found) else None


def _fit(kind: str, value: str, name: str | None = None) -> Value | None:
    """The attribute, if MISP would take the value."""
    row = ROWS.get(kind)
    whole = value if name is None else f"{name}|{value}"
    if row is None or not value or "\n" in (name or ""):
        return None
    try:
        row.pattern(whole)
    except (Unfit, Unsaid):
        return None
    return Value(kind, whole)


def _one(facts: dict[str, str]) -> Value | None:
    """The one attribute that says all of these; None: there is none."""
    facts = {path: value for path, value in facts.items() if not path.endswith("_ref.type")}
    if len(facts) == 1:
        ((path, value),) = facts.items()
        kind = _SINGLE.get(path) or (_ENDS[path][1] if path.startswith("network-traffic:") and path in _ENDS else "")
        if kind == "ip-dst" or kind == "ip-src":
            path = "network-traffic:dst_ref.value"  # an address of either version
        return _fit(kind, _shown(path, value)) if kind else None
    if set(facts) == set(_ACCOUNT):
        return _fit("github-username", facts[_ACCOUNT[1]]) if facts[_ACCOUNT[0]] == "github" else None
    if len(facts) != 2:
        return None
    for (first, second), kind in _PAIRS.items():
        if first in facts and second in facts:
            return _fit(kind, f"{facts[first]}|{facts[second]}")
    for path, (port, kind) in _ENDS.items():
        if path in facts and port in facts:
            return _fit(f"{kind}|port", f"{facts[path]}|{facts[port]}")
    return None


# --- observables -------------------------------------------------------------------------------------------------

_PROPERTIES = {
    "domain-name": "value",
    "ipv4-addr": "value",
    "ipv6-addr": "value",
    "url": "value",
    "mac-addr": "value",
    "email-addr": "value",
    "mutex": "name",
    "autonomous-system": "number",
}


def of_observable(stix: Mapping[str, Any]) -> list[Value]:
    """The attributes that an observable comes to; none: MISP has no form for what it states."""
    kind = stix["type"]
    if kind in _PROPERTIES:
        value = stix.get(_PROPERTIES[kind])
        return _listed([_one({f"{kind}:{_PROPERTIES[kind]}": str(value)})]) if value is not None else []
    more = _MORE.get(kind)
    return _listed(more(stix)) if more else []


def _listed(values: Iterable[Value | None]) -> list[Value]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _files(stix: Mapping[str, Any]) -> list[Value | None]:
    hashes = stix.get("hashes")
    given = hashes.items() if isinstance(hashes, dict) else ()
    facts = {f"file:hashes.{hash_name(name)}": value for name, value in given if isinstance(value, str)}
    facts = {path: value for path, value in facts.items() if path in _SINGLE}
    name = stix.get("name")
    named = {"file:name": name} if isinstance(name, str) and name else {}
    joined = _file(facts | named) if facts else None
    if joined:
        return [*joined]
    return [_one({path: value}) for path, value in (facts | named).items()]


def _artifact(stix: Mapping[str, Any]) -> list[Value | None]:
    data, found = stix.get("payload_bin"), _files(stix)
    if isinstance(data, str) and data:
        found.append(Value("attachment", str(stix["id"]).partition("--")[2], data))
    return found


def _key(stix: Mapping[str, Any]) -> list[Value | None]:
    key = stix.get("key")
    if not isinstance(key, str):
        return []
    held = [item.get("data") for item in stix.get("values") or () if isinstance(item, dict)]
    pairs = [_fit("regkey|value", f"{key}|{data}") for data in held if isinstance(data, str) and data]
    return [*pairs] or [_fit("regkey", key)]


def _certificate(stix: Mapping[str, Any]) -> list[Value | None]:
    hashes = stix.get("hashes")
    given = hashes.items() if isinstance(hashes, dict) else ()
    return [
        _one({f"x509-certificate:hashes.{hash_name(name)}": value}) for name, value in given if isinstance(value, str)
    ]


def _mail(stix: Mapping[str, Any]) -> list[Value | None]:
    names = ("subject", "body", "message_id")
    return [_one({f"email-message:{name}": stix[name]}) for name in names if isinstance(stix.get(name), str)]


def _account(stix: Mapping[str, Any]) -> list[Value | None]:
    login = stix.get("account_login")
    return [_fit("github-username", login)] if stix.get("account_type") == "github" and isinstance(login, str) else []


_MORE = {
    "file": _files,
    "artifact": _artifact,
    "windows-registry-key": _key,
    "x509-certificate": _certificate,
    "email-message": _mail,
    "user-account": _account,
}
