"""What an altered object carries of the MISP entity that its original stands for (RULES R26, decision 0034).

An entity that can be altered as its object was goes along under uuids that tell nothing; of one that cannot be, what
the object itself says is all that there is. Who reads the extension checks it as any other (`convert.parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

from exchange.model import misp

Entity = dict[str, Any]
_WITHOUT: Mapping[str, frozenset[str]] = {
    "description": frozenset({"comment", "description"}),
    "x_misp_comment": frozenset({"comment"}),
    "labels": frozenset({"Tag"}),
    "confidence": frozenset({"Tag"}),
    "kill_chain_phases": frozenset({"Tag"}),
}
"""Property that an agreement redacts → the fields of MISP that say the same."""
_UUIDS = ("uuid", "referenced_uuid", "source_uuid", "object_uuid")


def redacted(document: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """`document` without the fields of MISP that say what these properties say, where it carries any."""
    fields = frozenset[str]().union(*(_WITHOUT[name] for name in names if name in _WITHOUT))
    extension = misp.carried(document)
    if not fields or extension is None:
        return document
    less = {name: _less(value, fields) if name in misp.KINDS else value for name, value in extension.items()}
    return {**document, "extensions": {**document["extensions"], misp.EXTENSION: less}}


def carried(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    mint: Callable[[str], str],
    *,
    redact: Collection[str],
    cut: bool,
) -> Entity | None:
    """The extension for `after`, which was made of `before` and has its new id already; None: it has none.

    `mint`: STIX id → the one that it has for these recipients. `redact`: the properties that went; `cut`: parts with
    marks of their own were removed, and nobody can say which fields of MISP are those.
    """
    old, new = misp.carried(before), misp.carried(after)
    if old is None or new is None:
        return None
    kind = next((name for name in misp.KINDS if name in old), "")
    bare = {name: old[name] for name in ("extension_type", "event", "kinds") if name in old}
    if not kind or kind in misp.APART:
        return bare
    if cut or kind == "sighting" or not _WITHOUT.keys() >= set(redact) & before.keys():
        return None
    if kind == "objects":
        return _objects(before, after, deepcopy(new.get(kind)), mint, bare)
    if not isinstance(new.get(kind), dict):
        return bare
    entity = {name: value for name, value in new[kind].items() if name != "uuid"}
    if entity.get("value") != old[kind].get("value"):
        entity["to_ids"] = False  # it is no indicator any more
    made = {**bare, kind: entity}
    return {**made, "digest": misp.said(after)} if after["type"] == "observed-data" else made


def _objects(
    before: Mapping[str, Any], after: Mapping[str, Any], entities: Any, mint: Callable[[str], str], bare: Entity
) -> Entity:
    """Objects of MISP, each with all in it under new uuids; one of which nothing is left is not there."""
    old = before["extensions"][misp.EXTENSION]
    if old.get("digest") != misp.said(before) or not (isinstance(entities, list) and isinstance(old["objects"], list)):
        return bare  # it was not true of its object: nobody may make it so
    values = {str(each.get("uuid")): each.get("value") for one in old["objects"] for each in _inside(one)}
    uuids = {_uuid(before["id"]): _uuid(after["id"])}
    for one in entities:
        for each in (one, *_inside(one)) if isinstance(one, dict) else ():
            uuid = str(each.get("uuid"))
            uuids.setdefault(uuid.lower(), _uuid(mint(f"x-misp-attribute--{uuid.lower()}")))
    kept = []
    for one in entities:
        if not isinstance(one, dict) or not _inside(one):
            continue
        for each in _inside(one):
            if each.get("value") != values.get(str(each.get("uuid"))):
                each["to_ids"] = False
        kept.append(_renamed(one, uuids, mint))
    if not any(one.get("uuid") == _uuid(after["id"]) for one in kept):
        return bare
    return {**bare, "objects": kept, "digest": misp.said(after)}


def _inside(entity: Any) -> list[Entity]:
    listed = entity.get("Attribute") if isinstance(entity, dict) else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _renamed(entity: Entity, uuids: Mapping[str, str], mint: Callable[[str], str]) -> Entity:
    """`entity` under new uuids, and with it all in it; references to what is elsewhere stay (RULES R13)."""
    references = entity.get("ObjectReference")
    named = [
        {**_under(each, uuids), "uuid": _uuid(mint(f"relationship--{str(each.get('uuid')).lower()}"))}
        for each in (references if isinstance(references, list) else ())
        if isinstance(each, dict)
    ]
    made = {**_under(entity, uuids), "Attribute": [_under(each, uuids) for each in _inside(entity)]}
    return {**made, "ObjectReference": named} if named else made


def _under(entity: Entity, uuids: Mapping[str, str]) -> Entity:
    return {
        name: uuids.get(value.lower(), value) if name in _UUIDS and isinstance(value, str) else value
        for name, value in entity.items()
    }


def _uuid(stix_id: str) -> str:
    return stix_id.partition("--")[2].lower()


def _less(entity: Any, fields: Collection[str]) -> Any:
    """A copy without these fields, at whatever depth."""
    if isinstance(entity, list):
        return [_less(each, fields) for each in entity]
    if not isinstance(entity, dict):
        return entity
    return {name: _less(value, fields) for name, value in entity.items() if name not in fields}
