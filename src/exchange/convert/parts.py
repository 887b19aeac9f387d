"""One released STIX object → the MISP entities that it stands for (design of the MISP view; RULES R26).

An object that carries an entity of ours (`model.misp`) gives that entity back as its creator wrote it, if the extension
is true of the object: what the object says is made again from the entity, and compared. Otherwise it is foreign STIX,
and the mapping table speaks. Tags that markings say are written from the label, never from the extension; distribution
is never read from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.convert.forms import Unfit, Unsaid, ids_beside, observed_of, pattern_of
from exchange.convert.outsiders import of_foreign
from exchange.convert.part import (
    INHERIT,
    Found,
    Lost,
    Part,
    attribute_body,
    number,
    seconds_of,
    tags,
    texts,
    tombstone,
    uuid_of,
)
from exchange.convert.table import ROWS, SDOS
from exchange.model import lineage
from exchange.model.marking import Label
from exchange.model.misp import EXTENSION, carried, said
from exchange.model.stix import CONTAINERS


def parts(stix: Mapping[str, Any], label: Label) -> Found:
    """The MISP entities that `stix`, released under `label`, stands for, and what of it MISP cannot hold.

    Nothing in both: MISP needs nothing of it (a label, the creator's identity, what stands beside a carrier).
    """
    extension = carried(stix)
    if extension is None:
        return of_foreign(stix, label)
    kind = next((name for name in _READERS if name in extension), "")
    if not kind:
        return [], []
    whole = extension[kind]
    told = isinstance(whole, list if kind == "objects" else dict) and _TRUE[kind](stix, whole)
    if not told:
        found, lost = of_foreign(stix, label)
        return found, [*lost, Lost(id=str(stix["id"]), code="convert.untrue_extension")]
    return _READERS[kind](stix, whole, _Around(extension["event"], uuid_of(stix), seconds_of(stix), label)), []


@dataclass(frozen=True, slots=True)
class _Around:
    """What of a carrier goes into its part."""

    event: str
    uuid: str
    seconds: int
    label: Label

    def part(self, kind: str, body: dict[str, Any]) -> Part:
        return Part(kind=kind, event=self.event, uuid=body["uuid"], timestamp=self.seconds, body=body)


# --- what an extension says --------------------------------------------------------------------------------------


def _attribute(stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
    given = tags(around.label, whole.get("Tag"))
    body = attribute_body(whole, around.uuid, around.seconds, given)
    if stix.get("revoked") is True:
        body = tombstone(body)
    return [around.part("attribute", body)]


_OBJECT_TEXTS = ("name", "meta-category", "description", "template_uuid", "template_version", "comment",
                 "first_seen", "last_seen")  # fmt: skip
_REFERENCE_TEXTS = ("uuid", "referenced_uuid", "source_uuid", "relationship_type", "comment", "timestamp")


def _objects(stix: Mapping[str, Any], whole: list[Any], around: _Around) -> list[Part]:
    found = []
    given = tags(around.label)
    for entity in whole:
        seconds = number(entity.get("timestamp"), around.seconds)
        body: dict[str, Any] = {"uuid": entity["uuid"], **texts(entity, _OBJECT_TEXTS)}
        body |= {"timestamp": str(seconds), "distribution": INHERIT, "deleted": False}
        inner = [item for item in entity.get("Attribute") or () if _is_attribute(item)]
        body["Attribute"] = [_inner(item, given, seconds) for item in inner]
        if stix.get("revoked") is True:
            found.append(Part(kind="object", event=around.event, uuid=body["uuid"], timestamp=seconds,
                              body=tombstone(body)))  # fmt: skip
            continue
        references = [item for item in entity.get("ObjectReference") or () if isinstance(item, dict)]
        body["ObjectReference"] = [
            {**texts(item, _REFERENCE_TEXTS), "object_uuid": entity["uuid"], "deleted": False} for item in references
        ]
        found.append(Part(kind="object", event=around.event, uuid=body["uuid"], timestamp=seconds, body=body))
    return found


def _inner(entity: Mapping[str, Any], given: list[dict[str, Any]], default: int) -> dict[str, Any]:
    seconds = number(entity.get("timestamp"), default)
    others = tags(_PLAIN, entity.get("Tag"))
    body = attribute_body(entity, entity["uuid"], seconds, [*map(dict, given), *others])
    relation = entity.get("object_relation")
    return {**body, "object_relation": relation} if isinstance(relation, str) else body


_PLAIN = Label()


def _frame(stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
    names = ("info", "date", "threat_level_id", "analysis", "extends_uuid")
    body: dict[str, Any] = {"uuid": around.uuid, **texts(whole, names), "timestamp": str(around.seconds)}
    body |= {"published": stix["type"] == "report", "Tag": tags(around.label, whole.get("Tag"))}
    return [around.part("frame", body)]


def _plain(kind: str, names: tuple[str, ...], *, dated: bool = False) -> Any:
    """A reader of an entity that is the named fields of it."""

    def read(stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
        uuid = whole.get("uuid")
        body: dict[str, Any] = {"uuid": uuid if isinstance(uuid, str) else around.uuid, **texts(whole, names)}
        body["timestamp"] = str(around.seconds)
        if not dated:
            body |= {"distribution": INHERIT, "deleted": stix.get("revoked") is True}
        return [around.part(kind, body)]

    return read


def _sighting(_stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
    body: dict[str, Any] = {"uuid": around.uuid}
    body |= texts(whole, ("type", "source", "date_sighting", "attribute_uuid", "object_uuid"))
    body["event_uuid"] = around.event
    organisation = whole.get("Organisation")
    if isinstance(organisation, dict):
        body["Organisation"] = texts(organisation, ("uuid", "name"))
    return [around.part("sighting", body)]


def _proposal(_stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
    names = ("uuid", "old_id", "type", "category", "value", "comment", "first_seen", "last_seen", "org_uuid",
             "event_uuid", "data", "timestamp")  # fmt: skip
    body: dict[str, Any] = {"uuid": around.uuid, "timestamp": str(around.seconds), **texts(whole, names)}
    body |= {"to_ids": whole.get("to_ids") is True, "deleted": False}
    body |= {"proposal_to_delete": whole.get("proposal_to_delete") is True, "event_uuid": around.event}
    organisation = whole.get("Org")
    if isinstance(organisation, dict):
        body["Org"] = texts(organisation, ("uuid", "name"))
    return [around.part("proposal", body)]


def _cluster(_stix: Mapping[str, Any], whole: Mapping[str, Any], around: _Around) -> list[Part]:
    body = {name: value for name, value in whole.items() if name in CLUSTER_NAMES}
    body |= {"uuid": around.uuid, "distribution": INHERIT}
    return [around.part("cluster", body)]


CLUSTER_NAMES = ("collection_uuid", "type", "value", "tag_name", "description", "source", "authors", "version",
                 "extends_uuid", "extends_version", "published", "default", "Galaxy", "GalaxyElement",
                 "GalaxyClusterRelation", "Orgc", "meta")  # fmt: skip
NOTE_NAMES = ("note", "language", "authors", "object_uuid", "object_type", "created", "modified", "orgc_uuid")
OPINION_NAMES = ("opinion", "comment", "authors", "object_uuid", "object_type", "created", "modified", "orgc_uuid")
RELATIONSHIP_NAMES = ("relationship_type", "related_object_uuid", "related_object_type", "authors", "object_uuid",
                      "object_type", "created", "modified", "orgc_uuid")  # fmt: skip
_READERS: Mapping[str, Any] = {
    "attribute": _attribute,
    "objects": _objects,
    "frame": _frame,
    "report": _plain("report", ("name", "content")),
    "sighting": _sighting,
    "note": _plain("note", NOTE_NAMES),
    "opinion": _plain("opinion", OPINION_NAMES),
    "relationship": _plain("relationship", RELATIONSHIP_NAMES),
    "proposal": _proposal,
    "cluster": _cluster,
}


# --- whether it is true ------------------------------------------------------------------------------------------


def _is_attribute(entity: Any) -> bool:
    return (
        isinstance(entity, dict)
        and isinstance(entity.get("type"), str)
        and isinstance(entity.get("value"), str)
        and isinstance(entity.get("uuid"), str)
    )


def _attribute_true(stix: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    """The pattern, the observables' ids or the value, made again from the attribute, are those of the object."""
    kind, value, data = whole.get("type"), whole.get("value"), whole.get("data")
    if not isinstance(kind, str) or not isinstance(value, str):
        return False
    carrier, row = stix["type"], ROWS.get(kind)
    if carrier == "indicator":
        if whole.get("to_ids") is not True or row is None or row.language != stix.get("pattern_type"):
            return False
        try:
            return pattern_of(row, value, data if isinstance(data, str) else "") == stix.get("pattern")
        except (Unfit, Unsaid):
            return False
    if carrier == "x-misp-attribute":
        return stix.get("x_misp_type") == kind and stix.get("x_misp_value") == value
    if carrier == "observed-data":
        return row is not None and _observes(stix, row, value, data, whole.get("to_ids"))
    return SDOS.get(kind) == carrier and stix.get("name") == value


def _observes(stix: Mapping[str, Any], row: Any, value: str, data: Any, to_ids: Any) -> bool:
    if to_ids is True or row.observed is None:
        return False
    uuid = uuid_of(stix)
    try:
        made = observed_of(row, value, data if isinstance(data, str) else "", ids_beside(uuid))
    except (Unfit, Unsaid):
        return False
    named, given = [item["id"] for item in made], stix.get("object_refs")
    if named == given:
        return True
    # What was altered has an id of its own, and refers to the observables of the original.
    return bool(
        lineage.tokens(stix)
        and isinstance(given, list)
        and [_type(each) for each in given] == [_type(each) for each in named]
        and stix["extensions"][EXTENSION].get("digest") == said(stix)
    )


def _type(stix_id: Any) -> str:
    return str(stix_id).partition("--")[0]


def _objects_true(stix: Mapping[str, Any], whole: list[Any]) -> bool:
    uuid = uuid_of(stix)
    named = [entity.get("uuid") if isinstance(entity, dict) else None for entity in whole]
    extension = stix["extensions"][EXTENSION]
    return uuid in named and all(isinstance(name, str) for name in named) and extension.get("digest") == said(stix)


def _same(types: frozenset[str], pairs: Mapping[str, str]) -> Any:
    """An object of one of `types` on which each property says what the entity's field says, or both are absent."""

    def check(stix: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
        same = all((stix.get(ours) or "") == str(whole.get(theirs) or "") for ours, theirs in pairs.items())
        return same and stix["type"] in types

    return check


def _unchanged(stix: Mapping[str, Any], _whole: Mapping[str, Any]) -> bool:
    return bool(stix["extensions"][EXTENSION].get("digest") == said(stix))


_TRUE: Mapping[str, Any] = {
    "attribute": _attribute_true,
    "objects": _objects_true,
    "frame": _same(CONTAINERS, {"name": "info"}),
    "report": _same(frozenset({"note"}), {"abstract": "name", "content": "content"}),
    **dict.fromkeys(("sighting", "note", "opinion", "relationship", "proposal", "cluster"), _unchanged),
}
