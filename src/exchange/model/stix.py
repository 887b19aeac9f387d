"""STIX 2.1 objects: parse, validate, version order, references, and the normal form that is compared.

`parse` takes the bytes of one object (STIX 2.0 is upgraded) and gives a `StixObject`, or raises `ContentError` with the
reason under which the object is quarantined. Sources: STIX 2.1 sections 2.7 (identifiers), 3.2 (common properties), 3.4
(versioning).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from exchange.errors import ContentError
from exchange.model import confidence, definitions, facts, marking, misp, pattern, schema, titles, upgrade
from exchange.model.marking import Label, Tlp
from exchange.model.strict import DECODER

LARGEST = 4 * 1024 * 1024
"""Bytes of one object; the largest in real data is 243 kB."""
DEEPEST = 64
"""Levels of nesting; real objects have fewer than ten."""

_ID = re.compile(r"[a-z][a-z0-9-]{1,250}--[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{1,248}[a-z0-9]\Z")
_INSTANT = re.compile(
    r"([0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))"
    r"(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60))(?:\.([0-9]{1,9}))?Z\Z"
)
_LONGEST_TIME = len("2026-01-01T00:00:00.123456789Z")
_UNVERSIONED_FIELDS = ("modified", "x_opencti_modified_at")
# Rearranging a relationship, a sighting, a note or an opinion says something about its ends (RULES R10).
END_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "relationship": ("source_ref", "target_ref"),
    "sighting": ("sighting_of_ref", "observed_data_refs"),
    "note": ("object_refs",),
    "opinion": ("object_refs",),
    # What a container holds is content of its own: it goes no further than that (RULES R13).
    "report": ("object_refs",),
    "grouping": ("object_refs",),
}
CONTAINERS = frozenset({"report", "grouping"})


class StixObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of one object as somebody stated it; `body` is what is served, `raw` what was received."""

    id: str
    type: str
    version: str
    """Sortable instant without its `Z`, at least six digits; empty for an object that has no version of its own."""
    precision: int
    """How many digits its fraction has where it is written: the same instant has several spellings."""
    raw: bytes
    body: bytes
    digest: bytes
    """Of the normal form without `modified`: equal content under a new version is a touch (RULES R9)."""
    label: Label
    creator: str
    """`created_by_ref`; empty: the creator is not named."""
    revoked: bool
    refs: frozenset[str]
    ends: frozenset[str]
    fact: str
    values: tuple[tuple[str, str], ...]
    repairs: tuple[str, ...] = ()
    event: str = ""
    """The uuid of the MISP event of which it says, in our extension, that it is a part."""
    day: str = ""
    """The day of its `created`."""
    names: tuple[tuple[str, str], ...] = ()
    """Of a domain object, see `model.titles`."""
    attributes: int = 0
    """How many MISP attributes it may be: what an index counts without reading the object."""
    aliases: tuple[str, ...] = ()
    """Other ids under which it says that it is known (`facts.aliases`)."""
    parts: Label | None = None
    """Its label without what only parts of it are marked with; None: no part is."""

    def under(self, floor: Label) -> StixObject:
        """The same object under a label at least as strict as `floor`."""
        label = self.label.join(floor)
        if label is self.label or label == self.label:
            return self
        parts = None if self.parts is None else self.parts.join(floor)
        return msgspec.structs.replace(self, label=label, parts=parts)


@lru_cache(maxsize=4096)
def instant(text: str) -> str:
    """A STIX timestamp as sortable text: digits of the fraction as received, at least six, no `Z`.

    Raises ContentError for a timestamp that STIX 2.1 section 2.2 does not allow.
    """
    match = _INSTANT.match(text)
    if match is None:
        raise ContentError("content.timestamp", value=text[:40])
    day, time, fraction = match.groups()
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ContentError("content.timestamp", value=text[:40]) from None
    return f"{day}{time}.{(fraction or '').rstrip('0').ljust(6, '0')}"


def version_of(stix: Mapping[str, Any]) -> str:
    """`modified`, else `created`, else empty (TAXII 2.1 section 3.4.1; RULES R14 for the empty case)."""
    text = stix.get("modified") or stix.get("created")
    return instant(text) if isinstance(text, str) else ""


def spelt(version: str, precision: int) -> str:
    """A version as its object writes it (TAXII 2.1 section 5.3.1: it is the text of `modified`)."""
    whole, _, fraction = version.partition(".")
    return f"{whole}.{fraction[:precision].ljust(precision, '0')}Z" if precision > 0 else f"{whole}Z"


def normal_form(stix: Mapping[str, Any]) -> bytes:
    """What is compared: keys in order, no white space. Values are never changed."""
    return orjson.dumps(stix, option=orjson.OPT_SORT_KEYS)


DIGEST = 20
"""Bytes of a digest: nobody finds two contents with the same one."""


def _digest(document: Mapping[str, Any]) -> bytes:
    plain = dict(document)
    for name in _UNVERSIONED_FIELDS:
        plain.pop(name, None)
    return hashlib.sha256(normal_form(plain)).digest()[:DIGEST]


@dataclass(slots=True)
class _Look:
    """What one walk through an object finds."""

    refs: set[str]
    """Every id in a property whose name ends in _ref or _refs, at any depth."""
    reals: bool = False
    """Whether there is a number that is no plain integer."""

    def into(self, value: dict[str, Any], depth: int = 0) -> None:
        """Walk on through an object; raises for too deep a nesting."""
        if depth > DEEPEST:
            raise ContentError("content.depth", limit=DEEPEST)
        for name, inner in value.items():
            kind = type(inner)
            if kind is str:
                if name[-4:] == "_ref":
                    self.refs.add(inner)
            elif kind is list:
                self._along(inner, depth + 1, named=name.endswith("_refs"))
            elif kind is dict:
                self.into(inner, depth + 1)
            elif kind is float:
                self.reals = True

    def _along(self, value: list[Any], depth: int, *, named: bool) -> None:
        """The same through a list. `named`: it stands under a name that ends in _refs."""
        if depth > DEEPEST:
            raise ContentError("content.depth", limit=DEEPEST)
        for inner in value:
            kind = type(inner)
            if kind is str:
                if named:
                    self.refs.add(inner)
            elif kind is list:
                self._along(inner, depth + 1, named=named)
            elif kind is dict:
                self.into(inner, depth + 1)
            elif kind is float:
                self.reals = True


def references(stix: dict[str, Any]) -> frozenset[str]:
    """Every id in a property whose name ends in _ref or _refs, but those of markings that everybody knows."""
    look = _Look(set())
    look.into(stix)
    return frozenset(look.refs - marking.KNOWN_IDS)


def _ends(stix: Mapping[str, Any]) -> frozenset[str]:
    found: set[str] = set()
    for name in END_PROPERTIES.get(stix["type"], ()):
        value = stix.get(name)
        found.update(value if isinstance(value, list) else [value] if value else [])
    return frozenset(found)


def _label(stix: Mapping[str, Any], extension: Mapping[str, Any] | None) -> Label:
    """What the object says of itself: its marks, and how sure its creator is."""
    label = marking.of_carrier(stix, extension)
    if extension is None and "confidence" not in stix and "labels" not in stix:
        return label
    return marking.with_confidence(label, confidence.lowest(stix))


def _repair(stix: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Lossless renderings that keep id and version (RULES R6), each with its code."""
    if upgrade.is_stix20(stix, schema.observable_types()):
        made, codes = _repair(upgrade.upgrade(stix))
        return made, (upgrade.CODE, *codes)
    identifier = stix["id"]
    if stix["type"] == "marking-definition" and identifier in marking.KNOWN_IDS:
        canonical = definitions.canonical(identifier)
        return (canonical, ("repair.tlp_definition",)) if canonical != stix else (stix, ())
    # `created` and `modified` have at least milliseconds (section 3.2); the same instant is written so.
    if _has_milliseconds(stix.get("created")) and _has_milliseconds(stix.get("modified")):
        return stix, ()
    whole = {
        name: stix[name].removesuffix("Z") + ".000Z"
        for name in ("created", "modified")
        if isinstance(stix.get(name), str) and "." not in stix[name] and _INSTANT.match(stix[name])
    }
    return ({**stix, **whole}, ("repair.milliseconds",)) if whole else (stix, ())


def _has_milliseconds(value: Any) -> bool:
    return value is None or (type(value) is str and "." in value)


def _check_frame(stix: Any) -> dict[str, Any]:
    """The properties without which an object has no name: type and id; and the version of the standard."""
    if not isinstance(stix, dict):
        raise ContentError("content.not_an_object")
    kind, identifier = stix.get("type"), stix.get("id")
    if not isinstance(kind, str) or not _TYPE.match(kind) or kind == "bundle":
        raise ContentError("content.type", value=str(kind)[:80])
    if not isinstance(identifier, str) or not _ID.match(identifier) or not identifier.startswith(kind + "--"):
        raise ContentError("content.id", value=str(identifier)[:120])
    version = stix.get("spec_version", "2.0")
    if version not in ("2.0", "2.1") or (stix.get("spec_version") == "2.0" and kind in schema.observable_types()):
        raise ContentError("content.spec_version", value=str(version)[:20])
    creator = stix.get("created_by_ref", "")
    if not isinstance(creator, str) or (creator and not _is_id(creator)):
        raise ContentError("content.id", value=str(creator)[:120])
    return stix


def _is_id(text: str) -> bool:
    return _known_id(text) if len(text) <= _USUAL else _ID.match(text) is not None


@lru_cache(maxsize=1024)
def _known_id(text: str) -> bool:
    return _ID.match(text) is not None


_USUAL = 300
"""Characters of an id that is remembered: the same few creators stand on nearly everything."""


def decode(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`; raises ContentError for what I-JSON does not allow (RFC 7493)."""
    return _decoded(raw)[0]


def _day_of(created: Any) -> str:
    """The day of a timestamp; empty: it is none, as an observable may have anything under that name."""
    return created[:10] if isinstance(created, str) and _INSTANT.match(created) else ""


def _decoded(raw: bytes) -> tuple[dict[str, Any], bytes, _Look]:
    """The object, its own JSON without white space, and what a walk through it finds."""
    if len(raw) > LARGEST:
        raise ContentError("content.size", size=len(raw), limit=LARGEST)
    try:
        stix = orjson.loads(raw)
    except orjson.JSONDecodeError:
        stix = _strictly(raw)  # it says more about what is wrong
    _check_frame(stix)
    look = _Look(set())
    look.into(stix)
    body = _dump(stix)
    if look.reals or _lost(raw, body):
        _strictly(raw)
    return stix, body, look


def _lost(raw: bytes, body: bytes) -> bool:
    """Whether a name may have been lost: of two equal ones the fast decoder keeps the last, and so loses a colon."""
    return raw != body and (raw.count(b":") != body.count(b":") or b"\\u003" in raw)


def _strictly(raw: bytes) -> Any:
    try:
        return DECODER.decode(raw.decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    except RecursionError:
        raise ContentError("content.depth", limit=DEEPEST) from None


def _check_times(stix: Mapping[str, Any]) -> None:
    """Every timestamp of the object itself names a day that there was."""
    for value in stix.values():
        if type(value) is str and value[-1:] == "Z" and len(value) <= _LONGEST_TIME:
            _check_day(value)


@lru_cache(maxsize=4096)
def _check_day(text: str) -> None:
    """Raises ContentError when `text` looks like a timestamp and names no day."""
    if _INSTANT.match(text):
        instant(text)


def _dump(stix: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(stix)
    except TypeError as error:  # a lone surrogate: no text, and nothing that can be served
        raise ContentError("content.json", detail=str(error)[:200]) from None


def parse(raw: bytes, *, stix20: bool = True) -> StixObject:
    """One STIX object from its bytes, one of STIX 2.0 in the form of STIX 2.1 if `stix20` may be given.

    Raises ContentError; nothing of the input is lost by that.
    """
    given, body, look = _decoded(raw)
    stix, repairs = _repair(given)
    if upgrade.CODE in repairs and not stix20:
        raise ContentError("content.spec_version", value=str(given.get("spec_version", "2.0")))
    if repairs:
        body = _dump(stix)
    if upgrade.CODE in repairs:
        look = _Look(set())
        look.into(stix)
    wrong = schema.problem(stix["type"], stix)
    if wrong is not None:
        raise ContentError("content.stix20" if upgrade.CODE in repairs else "content.schema", detail=wrong)
    _check_times(stix)
    if stix["type"] == "indicator" and stix["pattern_type"] == "stix":
        pattern.check(stix["pattern"])
    fact, values = facts.read(stix)
    identifier, kind, created = stix["id"], stix["type"], stix.get("created")
    dated = stix.get("modified") or created
    extension = misp.carried(stix) if "extensions" in stix else None
    return StixObject(
        id=identifier,
        type=kind,
        version=instant(dated) if isinstance(dated, str) else "",
        precision=len(dated.partition(".")[2]) - 1 if isinstance(dated, str) else -1,
        raw=raw,
        body=body,
        digest=_digest(stix),
        label=Label(tlp=Tlp.CLEAR) if identifier in marking.KNOWN_IDS else _label(stix, extension),
        creator=stix.get("created_by_ref", ""),
        revoked=stix.get("revoked") is True,
        refs=frozenset(look.refs - marking.KNOWN_IDS - {identifier}),
        ends=_ends(stix),
        fact=fact,
        values=values,
        repairs=repairs,
        event="" if extension is None else misp.event_of(extension),
        day=_day_of(created),
        names=titles.names_of(stix, schema.observable_types()),
        attributes=(
            misp.attributes_in(stix, values, observable=kind in schema.observable_types())
            if extension is None
            else misp.attributes_of(extension)
        ),
        aliases=facts.aliases(stix),
        parts=_label({**stix, "granular_markings": ()}, extension) if "granular_markings" in stix else None,
    )
