"""How a STIX object carries the MISP entity that it stands for: a property extension of ours (STIX 2.1 section 7.3).

The unit that is released is the entity: an attribute, an object, an event's frame, a report, a sighting (RULES R26).
Each has one STIX object that carries it, under the entity's own uuid, so whoever may have the STIX object may have the
entity, and nothing else of the event. What stands in the extension are MISP's own fields, as their creator wrote them,
without what is said elsewhere: `uuid` (the object's id), `timestamp` (its `modified`), `distribution` and sharing
groups (its label; never passed on), `deleted`, and the tags that its markings say.

    {"extension_type": "property-extension", "event": UUID of the event, and one of
     "attribute": {"type", "category", "value", "to_ids", …, "Tag": [{"name", "colour"}]},
     "objects":   [{"uuid", "name", "template_uuid", …, "Attribute": […], "ObjectReference": […]}, …]
     "frame":     {"info", "date", "threat_level_id", "analysis", "extends_uuid", "Tag"},
     "report":    {"name", "content"},
     "sighting":  {"type", "source", "date_sighting", "attribute_uuid"},
     "note", "opinion", "relationship", "proposal", "cluster": {…}}

An object that belongs to an event without carrying an entity (the observable beside an indicator) has instead
`"kinds": ["category:…", "type:…"]`: the words (`kinds_in`) of the entity of which it was made, so that it is decided on
as that is (RULES R26). A relationship that joins two carriers has none, for it was made of neither.
Where the entity cannot be made again from the object to compare it (all but attributes, frames and reports, and where
an attribute's observed-data was altered), `digest` beside it is that of what the object said then (`said`).
The extension speaks only for an object that still says the same: who reads it checks (`convert.parts`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

MINTED = UUID("5b0f1d8e-6f0a-5c58-9a53-7d9c2f6c1d10")
"""Namespace of the uuids of what stands beside a carrier: UUIDv5 of `ENTITY-UUID/STIX-TYPE` (RULES R15: both are
released with it)."""
EXTENSION = "extension-definition--8f6a6c1e-3f5b-4d0e-9d2f-6b1f0a7c2e54"
KINDS = (
    "attribute",
    "objects",
    "frame",
    "report",
    "sighting",
    "note",
    "opinion",
    "relationship",
    "proposal",
    "cluster",
)


_KINDS = frozenset(KINDS)
APART = frozenset({"note", "opinion", "relationship", "proposal", "cluster"})
"""Kinds that travel beside the event, by calls of their own."""


def carried(stix: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Our extension on `stix`; None: it has none, or none that is one."""
    extensions = stix.get("extensions")
    found = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None


def said(stix: Mapping[str, Any]) -> str:
    """A digest of what an object says beside our extension, its version and its marks; it stands in `digest`."""
    plain = {name: value for name, value in stix.items() if name not in _UNSAID}
    return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


_UNSAID = frozenset({"extensions", "modified", "revoked", "object_marking_refs", "granular_markings", "spec_version"})


def creators_in(extension: Mapping[str, Any]) -> Iterator[str]:
    """The uuids of the organisations that the entity in `extension` says are its creators."""
    for kind in KINDS:
        entity = extension.get(kind)
        if isinstance(entity, dict):
            orgs = [entity.get(name) for name in ("Organisation", "Org", "Orgc")]
            said = [entity.get("org_uuid"), entity.get("orgc_uuid")]
            said += [org.get("uuid") for org in orgs if isinstance(org, dict)]
            yield from (str(uuid).lower() for uuid in said if uuid)


def tags_in(extension: Mapping[str, Any]) -> Iterator[str]:
    """The names of the tags on the entity in `extension`, and on the attributes of a MISP object."""
    for kind, found in extension.items():
        if kind not in _KINDS:
            continue
        for entity in found if isinstance(found, list) else (found,):
            if isinstance(entity, dict):
                yield from _tags_on(entity)
                inside = entity.get("Attribute")
                for attribute in inside if isinstance(inside, list) else ():
                    if isinstance(attribute, dict):
                        yield from _tags_on(attribute)


def _tags_on(entity: Mapping[str, Any]) -> Iterator[str]:
    tags = entity.get("Tag")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and isinstance(tag.get("name"), str):
            yield tag["name"]


TYPE, CATEGORY, TEMPLATE = "type:", "category:", "template:"
"""What a word of `kinds_in` begins with."""
UNSAID = "?"
"""The word of an object that is part of an event and does not say of which entity in it."""
_NOTHING: frozenset[str] = frozenset()
_UNTOLD = frozenset({UNSAID})
_PREFIXES = {"type": TYPE, "category": CATEGORY, "name": TEMPLATE}
_LONG = 300
_LABEL = re.compile(r'misp:(type|category|name)="([^"]+)"')


def kinds_in(stix: Mapping[str, Any], extension: Mapping[str, Any] | None) -> frozenset[str]:
    """What MISP calls the entity that `stix` stands for, or beside whose carrier it stands: `type:domain`,
    `category:Network activity`, `template:domain-ip`; of a MISP object also those of its attributes.

    What has no extension of ours may say it among its `labels`, as misp-stix writes them. Nothing: it is no attribute,
    object or proposal.
    """
    if extension is None:
        labels = stix.get("labels")
        texts = [each for each in labels if isinstance(each, str)] if isinstance(labels, list) else []
        said = tuple(each for each in texts if each.startswith("misp:") and len(each) < _LONG)
        return _of_labels(said) if said else _NOTHING
    kind = next((name for name in extension if name in _KINDS), "")
    if not kind:
        joins = stix["type"] == "relationship" and "kinds" not in extension
        return _NOTHING if joins else _listed(extension.get("kinds"))
    found: set[str] = set()
    whole = extension[kind]
    if kind in ("attribute", "proposal"):
        found.update(_words(whole))
    elif kind == "objects":
        for entity in whole if isinstance(whole, list) else ():
            found.update(words_of_object(entity))
    else:
        return _NOTHING
    return frozenset(found) or _UNTOLD


def words_of_object(entity: Any) -> Iterator[str]:
    """The words of a MISP object: the name of its template, and those of its attributes."""
    if not isinstance(entity, dict):
        return
    if name := entity.get("name"):
        yield TEMPLATE + str(name)
    inside = entity.get("Attribute")
    for attribute in inside if isinstance(inside, list) else ():
        yield from _words(attribute)


def _words(attribute: Any) -> Iterator[str]:
    if isinstance(attribute, dict):
        for name, prefix in (("type", TYPE), ("category", CATEGORY)):
            if said := attribute.get(name):
                yield prefix + str(said)


def _listed(words: Any) -> frozenset[str]:
    """Those of an object that stands beside a carrier; what it does not say could be anything."""
    said = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return frozenset(words) if said else _UNTOLD


@lru_cache(maxsize=1024)
def _of_labels(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_PREFIXES[match[1]] + match[2] for label in labels if (match := _LABEL.fullmatch(label)))


def labels_of(kinds: Iterable[str]) -> list[str] | None:
    """These words of `kinds_in` as labels, from which it reads them without our extension; None: one cannot be said."""
    names = {prefix: name for name, prefix in _PREFIXES.items()}
    made = []
    for word in sorted(kinds):
        prefix, _, rest = word.partition(":")
        label = f'misp:{names.get(prefix + ":", "")}="{rest}"'
        if len(label) >= _LONG or not _LABEL.fullmatch(label):
            return None
        made.append(label)
    return made


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def event_of(extension: Mapping[str, Any]) -> str:
    """The uuid of the event to which the extension says that its object belongs, in lower case; empty: it is none."""
    uuid: str = extension["event"].lower()
    return uuid if _UUID.fullmatch(uuid) else ""


_ONE = frozenset({"indicator", "vulnerability", "campaign", "x-misp-attribute"})


def attributes_in(stix: Mapping[str, Any], values: Iterable[tuple[str, str]], *, observable: bool) -> int:
    """How many attributes `stix`, which carries nothing of ours, may be, by a look: one for each hash of `values`."""
    if observable:
        return max(1, sum(":hashes." in path for path, _ in values))
    if stix["type"] in _ONE:
        return 1
    listed = stix.get("x_misp_attributes")
    return len(listed) if isinstance(listed, list) else int(stix["type"] == "observed-data" and "objects" in stix)


def attributes_of(extension: Mapping[str, Any]) -> int:
    """How many attributes the extension carries, by a look."""
    objects = extension.get("objects")
    if not isinstance(objects, list):
        return int("attribute" in extension)
    inside = (each.get("Attribute") for each in objects if isinstance(each, dict))
    return ("attribute" in extension) + sum(len(listed) for listed in inside if isinstance(listed, list))
