"""Fact keys: the canonical key by which statements say the same thing, and the values that people search by.

An object that says a thing which others may say has the key of that thing (`fact_key`); any other is its own key, its
id, so nothing is ever joined by chance. *Bad* and *seen* are different facts, and so are *bad* and *benign*. What is
said between two things has a key for one audience only (`between`). docs/identity.md tells each rule and its reason.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from exchange.errors import ContentError
from exchange.model import hashes, pattern
from exchange.model.composites import COMPOSITE, IDLE, between, ends
from exchange.model.keys import Stix, content, key, refs, text
from exchange.model.names import aliases, external_ids
from exchange.model.normalise import cve, hash_name, is_opaque, path_of, strength, value_of
from exchange.model.normalise import notes as notes_of
from exchange.model.pattern import Comparison, Constant, Joined, Observation, Qualified

__all__ = [
    "COMPOSITE", "aliases", "between", "ends", "external_ids", "fact_key", "notes", "observables", "read",
    "strength",
]  # fmt: skip

Values: TypeAlias = tuple[tuple[str, str], ...]
"""(`type:property`, canonical value) of each."""

_MOST = 64
"""Values of one object that are searched by, of those whose number it chooses itself."""
_LONGEST = 4096
"""Characters of a value that is searched by, of those that may be whole texts."""


def read(stix: Stix) -> tuple[str, Values]:
    """(fact key, values) of an object: of an indicator its pattern is read once for both."""
    kind = stix["type"]
    if kind == "indicator":
        return _indicator(stix)
    reader = _READERS.get(kind)
    if reader is None:
        return str(stix["id"]), ()
    parts, values = reader(stix)
    return (key("observable", *parts) if parts else str(stix["id"])), values


def fact_key(stix: Stix) -> str:
    """The key under which duplicates of the object meet; one that says what nobody else can is its own key (its id).

    It is made of what the object says by itself: it takes part in no decision about who may know it.
    """
    return read(stix)[0]


def observables(stix: Stix) -> Values:
    """What of `stix` people search by: every observable value that it states or looks for."""
    return read(stix)[1]


# --- indicators --------------------------------------------------------------------------------------------------


def _indicator(stix: Stix) -> tuple[str, Values]:
    """Polarity, language and canonical pattern; times, names and kill chains are about the fact."""
    text, language = stix.get("pattern"), stix.get("pattern_type", "stix")
    if not isinstance(text, str) or not isinstance(language, str):
        return str(stix["id"]), ()
    role = "benign" if _is_benign(stix.get("indicator_types")) else "indicator"
    if language != "stix":
        return key(role, language.lower(), _lines(text)), ()
    found = pattern.canonical(text)
    return key(role, "stix", found.text), pattern.named(text) if found.opaque in _TOO_LARGE else found.atoms


_TOO_LARGE = frozenset({"opaque.cost", "opaque.length"})


def _is_benign(kinds: Any) -> bool:
    """Whether an indicator says that what it finds does no harm (STIX 2.1 section 10.6), and nothing else."""
    return isinstance(kinds, list) and bool(kinds) and all(each == "benign" for each in kinds)


def _lines(text: str) -> str:
    """A rule in another language: its line endings are not content, all else may be."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


# --- observables -------------------------------------------------------------------------------------------------
# Each reader gives the parts of the key, none where nobody can say that an equal one is the same, and the values.

Reading: TypeAlias = tuple[tuple[str, ...], Values]


def _simple(kind: str, name: str) -> Callable[[Stix], Reading]:
    """An observable that one property tells from all others (STIX 2.1 section 2.9)."""
    path = f"{kind}:{name}"

    def reader(stix: Stix) -> Reading:
        value = stix.get(name)
        if type(value) is not str and type(value) is not int:
            return (), ()
        found = (path, value_of(path, str(value)))
        return found, (found,)

    return reader


def _digests(stix: Stix) -> Reading:
    """The strongest hash: files that share it are one. A weaker one that they share only makes them be found."""
    kind, given = stix["type"], stix.get("hashes")
    if not isinstance(given, dict):
        return (), ()
    values: list[tuple[str, str]] = []
    best: tuple[int, str, str] | None = None
    for written, value in sorted(given.items()):
        if isinstance(value, str):
            algorithm = hash_name(written)
            path = f"{kind}:hashes.{algorithm}"
            found = value_of(path, value)
            values.append((path, found))
            place = hashes.rank(algorithm)
            if algorithm in hashes.STRENGTH and (best is None or place < best[0]) and not is_opaque(path, value):
                best = (place, path, found)
    return (best[1:] if best else ()), tuple(dict.fromkeys(values))


def _file(stix: Stix) -> Reading:
    parts, values = _digests(stix)
    name = stix.get("name")
    if isinstance(name, str):
        values = (*values, ("file:name", value_of("file:name", name)))
        if not stix.get("hashes"):
            parts = _told(stix)  # only a file of which exactly the same is told is the same
    return parts, values


def _artifact(stix: Stix) -> Reading:
    """Its hash, or that of the content that it carries."""
    parts, values = _digests(stix)
    data = stix.get("payload_bin")
    if not parts and isinstance(data, str) and data:
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return (), values
        return ("artifact:hashes.SHA-256", hashlib.sha256(content).hexdigest()), values
    return parts, values


def _registry_key(stix: Stix) -> Reading:
    """The key with all its values: what it says is in them. Names of values have no case, their data has."""
    name, path = stix.get("key"), "windows-registry-key:key"
    if not isinstance(name, str):
        return (), ()
    canonical = value_of(path, name)
    held = [each for each in stix.get("values") or () if isinstance(each, dict)]
    told = sorted(
        orjson.dumps([str(each.get("name", "")).lower(), str(each.get("data", "")), str(each.get("data_type", ""))])
        for each in held
    )
    data = [("windows-registry-key:values.data", str(each["data"]).strip()) for each in held if each.get("data")]
    texts = [pair for pair in data[:_MOST] if len(pair[1]) <= _LONGEST]
    return (path, canonical, *(each.decode() for each in told)), tuple(dict.fromkeys([(path, canonical), *texts]))


_SERVICES = frozenset(
    {"facebook", "github", "gitlab", "instagram", "linkedin", "openid", "reddit", "skype", "telegram", "twitter", "vk"}
)
"""Account types of one service in the world; `root` of type `unix` is another account on every host."""


def _account(stix: Stix) -> Reading:
    told = [(name, stix[name].strip()) for name in ("user_id", "account_login") if isinstance(stix.get(name), str)]
    values = tuple((f"user-account:{name}", value) for name, value in told)
    service = str(stix.get("account_type", "")).lower()
    if service not in _SERVICES or not told:
        return (), values
    return ("user-account", service, *(part for pair in told for part in pair)), values


_OF_SOFTWARE = ("name", "cpe", "swid", "vendor", "version")


def _software(stix: Stix) -> Reading:
    """A product by all that names it, if that is more than a name that two makers may use."""
    told = {name: str(stix[name]).strip() for name in _OF_SOFTWARE if stix.get(name)}
    values = (("software:cpe", told["cpe"]),) if "cpe" in told else ()
    if not ("cpe" in told or "swid" in told or {"name", "vendor", "version"} <= set(told)):
        return (), values
    return ("software", *(told.get(name, "") for name in _OF_SOFTWARE)), values


def _certificate(stix: Stix) -> Reading:
    """By its hash alone: makers of bad certificates repeat issuers and serial numbers."""
    parts, values = _digests(stix)
    serial = stix.get("serial_number")
    more = (("x509-certificate:serial_number", serial.strip()),) if isinstance(serial, str) else ()
    return parts, (*values, *more)


def _mail(stix: Stix) -> Reading:
    texts = [(name, stix[name].strip()) for name in ("message_id", "subject") if isinstance(stix.get(name), str)]
    values = tuple((f"email-message:{name}", text) for name, text in texts if len(text) <= _LONGEST)
    return _told(stix), values


def _told(stix: Stix) -> tuple[str, ...]:
    """A thing that is nothing but what is told of it, all of it; none: too little, or it refers to others by ids."""
    told = content(stix, IDLE[stix["type"]])
    return (str(stix["type"]), text(told)) if told and not any(refs(told)) else ()


def _vulnerability(stix: Stix) -> Reading:
    """A domain object is joined with none (RULES R23), but a CVE id is what people search by."""
    name = stix.get("name")
    found = cve(name.strip()) if isinstance(name, str) else None
    return (), ((("vulnerability:name", found),) if found else ())


_READERS: Mapping[str, Callable[[Stix], Reading]] = {
    **{kind: _simple(kind, "value") for kind in ("domain-name", "ipv4-addr", "ipv6-addr", "url", "email-addr")},
    "mac-addr": _simple("mac-addr", "value"),
    "autonomous-system": _simple("autonomous-system", "number"),
    "mutex": _simple("mutex", "name"),
    "directory": _simple("directory", "path"),
    "file": _file,
    "artifact": _artifact,
    "windows-registry-key": _registry_key,
    "user-account": _account,
    "software": _software,
    "x509-certificate": _certificate,
    "email-message": _mail,
    "vulnerability": _vulnerability,
}
"""Type → how it is read. A process is never the same as another: its number is used again the next minute. Connections
are told by the ids of their ends, so only `between` tells them apart."""


# --- what there is to say of the spelling ------------------------------------------------------------------------


def notes(stix: Stix) -> tuple[tuple[str, str, str], ...]:
    """(`type:property`, the value as received, code) of each value of which `normalise.notes` has something to say."""
    return tuple((path, value, code) for path, value in dict.fromkeys(_written(stix)) for code in notes_of(path, value))


def _written(stix: Stix) -> Iterator[tuple[str, str]]:
    """The values of an indicator or observable as they were received."""
    kind = stix["type"]
    if kind == "indicator":
        if stix.get("pattern_type") == "stix" and isinstance(stix.get("pattern"), str):
            try:
                yield from _compared(pattern.parse(stix["pattern"]).root)
            except ContentError:
                return
        return
    given = stix.get("hashes")
    for name, value in given.items() if isinstance(given, dict) and kind in _READERS else ():
        if isinstance(value, str):
            yield f"{kind}:hashes.{hash_name(name)}", value
    for name in ("value", "number", "key", "name", "path"):
        if kind in _READERS and kind != "vulnerability" and isinstance(stix.get(name), str):
            yield f"{kind}:{name}", stix[name]


def _compared(node: Any) -> Iterator[tuple[str, str]]:
    """The strings for which a pattern looks."""
    if isinstance(node, Joined):
        for term in node.terms:
            yield from _compared(term)
    elif isinstance(node, Qualified):
        yield from _compared(node.observed)
    elif isinstance(node, Observation):
        yield from _compared(node.test)
    elif isinstance(node, Comparison):
        operands = node.operand if isinstance(node.operand, tuple) else (node.operand,)
        name = ".".join(step for step in node.path.steps if isinstance(step, str))
        if node.operator in ("=", "!=", "IN"):
            for each in operands:
                if isinstance(each, Constant) and each.kind == "string":
                    yield path_of(node.path.type, name), each.text
