"""MISP objects → STIX, by misp-stix, a few at a time; what it loses or fails on is an `x-misp-object` of ours.

misp-stix gives what it makes of one entity the entity's own uuid several times over, the time of conversion here and
there, and no creator. Here one STIX object carries each entity under its uuid, everything beside it gets an id of its
own, and dates are those of the entity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from exchange.convert import parser
from exchange.convert.attributes import entity_of
from exchange.convert.forms import Unfit, Unsaid, minted, pattern_of
from exchange.convert.labels import Labels, listed, merged
from exchange.convert.making import Event, Made, seen
from exchange.convert.table import ROWS, registry_key
from exchange.errors import ContentError
from exchange.model.envelope import Rejected, Skipped
from exchange.model.marking import KNOWN_IDS
from exchange.model.misp import said, words_of_object

_AT_ONCE = 100
"""Objects of one call; those that misp-stix may merge stay together."""
_ASIDE = frozenset({"report", "grouping", "marking-definition"})
_FIELDS = ("uuid", "timestamp", "name", "meta-category", "description", "template_uuid", "template_version", "comment",
           "first_seen", "last_seen")  # fmt: skip
_REFERENCE = ("uuid", "referenced_uuid", "relationship_type", "comment", "timestamp")


def convert_objects(
    event: Event, frame: Mapping[str, Any], objects: Sequence[dict[str, Any]], labels: Labels
) -> Iterator[Made | Rejected | Skipped]:
    """Everything made of prepared `objects`, each with its label; attributes that are none are rejected alone."""
    sound: list[dict[str, Any]] = []
    for entity in objects:
        kept, bad = _sift(entity)
        yield from bad
        if kept:
            sound.append({**entity, "Attribute": kept})
        else:
            fields = {"event": event.uuid}
            yield Skipped(id=entity["uuid"], code="misp.empty_object", fields=fields)
    for batch in _batches(sound):
        yield from _convert(event, frame, batch, labels)


def _sift(entity: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Rejected]]:
    kept, bad = [], []
    for attribute in listed(entity, "Attribute"):
        try:
            found = entity_of(attribute)
            if found["type"] in ROWS:
                pattern_of(ROWS[found["type"]], found["value"], "")
        except Unfit as wrong:
            bad.append(refused(attribute, str(wrong)))
            continue
        except Unsaid:
            pass
        kept.append(attribute)
    return kept, bad


def refused(entity: Mapping[str, Any], detail: str) -> Rejected:
    """An entity that cannot be converted, with the reason."""
    fields = {"type": str(entity.get("type") or entity.get("name") or ""), "detail": detail[:300]}
    return Rejected(raw=orjson.dumps(entity), code="convert.entity", fields=fields, id=str(entity.get("uuid") or ""))


def _batches(objects: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    together = merged(objects)
    by_uuid = {entity["uuid"]: entity for entity in objects}
    batch: list[dict[str, Any]] = []
    done: set[str] = set()
    for entity in objects:
        if entity["uuid"] in done:
            continue
        group = (
            [by_uuid[uuid] for uuid in by_uuid if uuid in together[entity["uuid"]]]
            if len(together[entity["uuid"]]) > 1
            else [entity]
        )
        done.update(item["uuid"] for item in group)
        batch += group
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _convert(
    event: Event, frame: Mapping[str, Any], batch: list[dict[str, Any]], labels: Labels
) -> Iterator[Made | Rejected | Skipped]:
    together = merged(batch)
    names = {entity["uuid"]: entity.get("name") for entity in batch}
    given = [_given(entity, {uuid: names.get(uuid) for uuid in together[entity["uuid"]]}) for entity in batch]
    try:
        converted = parser.convert({**frame, "Object": given})
        stix = [item for item in converted.objects if item["type"] not in _ASIDE and item["id"] not in KNOWN_IDS]
        yield from remarks_of(event, converted.remarks, {e["uuid"] for e in batch})
    except ContentError:
        stix = []
    stix = [item for item in stix if item["id"] != event.creator]
    owners = _Owners(batch, stix)
    for group in _groups(batch, together):
        yield from _Group(event, labels, group, owners.of(group)).made()


def remarks_of(event: Event, remarks: Iterable[str], uuids: set[str]) -> Iterator[Skipped]:
    """What misp-stix says of something else than these entities, which come through in any case."""
    for remark in dict.fromkeys(remarks):
        if remark.startswith("Error") and not any(uuid in remark for uuid in uuids):
            yield Skipped(id=event.uuid, code="convert.remark", fields={"detail": remark[:300]})


_WITHIN = ("Attribute", "ObjectReference")


def _given(entity: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """What misp-stix gets to see: the references inside of what it merges; the others are made here.

    `group`: uuid → name of what it may merge with it. It merges only where the reference says the name, as MISP does.
    """
    plain = {name: value for name, value in entity.items() if name in _FIELDS or name in _WITHIN}
    inside = [r for r in listed(entity, "ObjectReference") if r.get("referenced_uuid") in group]
    plain["ObjectReference"] = [
        {**r, "Object": {"uuid": r["referenced_uuid"], "name": group[r["referenced_uuid"]]}} for r in inside
    ]
    aside = ("Galaxy", "Sighting", "Note", "Opinion", "Relationship", "ShadowAttribute")
    plain["Attribute"] = [
        {name: value for name, value in a.items() if name not in aside} for a in listed(entity, "Attribute")
    ]
    return plain


def _groups(batch: Iterable[dict[str, Any]], together: Mapping[str, frozenset[str]]) -> list[list[dict[str, Any]]]:
    groups: dict[frozenset[str], list[dict[str, Any]]] = {}
    for entity in batch:
        groups.setdefault(together[entity["uuid"]], []).append(entity)
    return list(groups.values())


class _Owners:
    """Of which MISP object each STIX object was made: by its uuid, or by what refers to it or what it refers to."""

    def __init__(self, batch: Sequence[Mapping[str, Any]], stix: Sequence[dict[str, Any]]) -> None:
        self._stix = stix
        entities = {entity["uuid"]: entity["uuid"] for entity in batch}
        entities |= {a["uuid"]: entity["uuid"] for entity in batch for a in listed(entity, "Attribute")}
        self._known = {item["id"]: entities[_uuid(item)] for item in stix if _uuid(item) in entities}
        ids = {item["id"] for item in stix}
        links = {item["id"]: [ref for ref in references(item) if ref in ids] for item in stix}
        changed = True
        while changed:
            changed = False
            for source, targets in links.items():
                for one, other in ((source, target) for target in targets):
                    for known, unknown in ((one, other), (other, one)):
                        if known in self._known and unknown not in self._known:
                            self._known[unknown] = self._known[known]
                            changed = True

    def of(self, group: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The STIX objects made of these."""
        uuids = {entity["uuid"] for entity in group}
        return [item for item in self._stix if self._known.get(item["id"]) in uuids]


def _uuid(stix: Mapping[str, Any]) -> str:
    return str(stix["id"]).partition("--")[2]


def references(stix: Any) -> Iterator[str]:
    """Every id that an object refers to, at any depth."""
    for name, value in stix.items() if isinstance(stix, dict) else ():
        if isinstance(value, str) and name.endswith("_ref"):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, str) and name.endswith("_refs"):
                    yield item
                else:
                    yield from references(item)
        else:
            yield from references(value)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with ids replaced wherever they stand."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {name: _renamed(inner, names) for name, inner in value.items()}
    return value


class _Group:
    """MISP objects that come out together, and what misp-stix made of them."""

    def __init__(
        self, event: Event, labels: Labels, entities: list[dict[str, Any]], stix: list[dict[str, Any]]
    ) -> None:
        self._event, self._entities, self._stix = event, entities, stix
        self._label = labels.find(entities[0]["uuid"]) or labels.strictest
        self._ids = {item["id"] for item in stix}

    def made(self) -> Iterator[Made]:
        carried = self._carriers()
        if not carried:
            yield from map(self._own, self._entities)
            return
        names = {i: f"{i.partition('--')[0]}--{minted(f'{i[-36:]}/' + i.partition('--')[0])}" for i in self._ids}
        names = {i: new for i, new in names.items() if i not in carried}
        newest = max(_newest(entity) for entity in self._entities)
        words = sorted({word for entity in self._entities for word in words_of_object(_carried(entity))})
        for item in self._stix:
            if self._is_reference(item):
                continue  # it stands in its object, and becomes a relationship between carriers
            entities = carried.get(item["id"], [])
            first = entities[0] if entities else self._entities[0]
            stix = self._dated(_renamed(item, names), first, newest)
            if entities:
                for entity in entities:
                    self._note(entity, stix["id"])
                yield self._event.made(stix, self._label, "objects", [_carried(e) for e in entities], digest=said(stix))
            else:
                yield self._event.made(stix, self._label, entity=words)

    def _is_reference(self, stix: Mapping[str, Any]) -> bool:
        """Whether it says again what an object's reference says: where misp-stix does not merge, it relates."""
        if stix["type"] != "relationship" or stix["relationship_type"] == "based-on":
            return False
        inside = [r for entity in self._entities for r in listed(entity, "ObjectReference")]
        return any(stix["relationship_type"] == r.get("relationship_type") for r in inside)

    def _carriers(self) -> dict[str, list[dict[str, Any]]]:
        """Carrier → the entities that it carries; empty: misp-stix lost them all, or some have no place."""
        found: dict[str, list[dict[str, Any]]] = {}
        without = []
        for entity in self._entities:
            carrier = self._carrier(entity["uuid"])
            if carrier:
                found[carrier] = [entity]
            else:
                without.append(entity)
        for entity in without:
            if not found:
                break
            home = next((c for c, held in found.items() if any(_refers(h, entity) for h in held)), next(iter(found)))
            found[home].append(entity)
        return found

    def _carrier(self, uuid: str) -> str:
        """What carries the entity: the indicator, else the observed-data, else the object that it became."""
        for kind in ("indicator", "observed-data", "x-misp-object"):
            if f"{kind}--{uuid}" in self._ids:
                return f"{kind}--{uuid}"
        return next(
            (i for i in sorted(self._ids) if i.endswith(f"--{uuid}") and i.partition("--")[0] not in _BESIDE), ""
        )

    def _dated(self, stix: dict[str, Any], entity: Mapping[str, Any], newest: int) -> dict[str, Any]:
        stix = {name: value for name, value in stix.items() if name != "object_marking_refs"}
        if stix["type"] == "windows-registry-key" and isinstance(stix.get("key"), str):
            stix["key"] = _whole_key(stix["key"])
        if "modified" not in stix:
            return stix
        before = str(stix.get("modified", ""))[:19]
        stix |= self._event.versioned(stix["id"], newest)
        first, last = seen(entity, stix["created"])
        if stix["type"] == "indicator":
            stix["pattern"] = _KEY.sub(lambda key: key[1] + _whole_key(key[2]), stix["pattern"])
            stix["valid_from"] = first
            stix.pop("valid_until", None)
        if stix["type"] == "observed-data" and str(stix.get("first_observed"))[:19] == before:
            stix["first_observed"], stix["last_observed"] = first, last
        return stix

    def _own(self, entity: dict[str, Any]) -> Made:
        """Our own form, as misp-stix writes what it has no other for."""
        stix = self._event.versioned(f"x-misp-object--{entity['uuid']}", _newest(entity))
        name, kind = str(entity.get("name") or ""), str(entity.get("meta-category") or "misc")
        stix["labels"] = [f'misp:name="{name}"', f'misp:meta-category="{kind}"']
        stix["x_misp_name"], stix["x_misp_meta_category"] = name, kind
        if entity.get("comment"):
            stix["x_misp_comment"] = str(entity["comment"])
        shown = ("type", "object_relation", "value", "category", "comment", "to_ids", "uuid")
        stix["x_misp_attributes"] = [
            {n: a[n] for n in shown if a.get(n) not in (None, "")} for a in listed(entity, "Attribute")
        ]
        self._note(entity, stix["id"])
        return self._event.made(stix, self._label, "objects", [_carried(entity)], digest=said(stix))

    def _note(self, entity: Mapping[str, Any], carrier: str) -> None:
        for uuid in (entity["uuid"], *(a["uuid"] for a in listed(entity, "Attribute"))):
            self._event.carriers[uuid] = (carrier, self._label)


_KEY = re.compile(r"(windows-registry-key:key = ')((?:HK[A-Z]{1,2})\b)")


def _whole_key(key: str) -> str:
    try:
        return registry_key(key)
    except Unsaid:
        return key


_BESIDE = frozenset({"relationship", "file", "domain-name", "network-traffic", "artifact", "email-message", "process",
                     "ipv4-addr", "ipv6-addr", "url", "user-account", "windows-registry-key", "x509-certificate",
                     "autonomous-system", "directory", "mutex", "software", "mac-addr", "email-addr"})  # fmt: skip


def _refers(entity: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(r.get("referenced_uuid") == other["uuid"] for r in listed(entity, "ObjectReference"))


def _newest(entity: Mapping[str, Any]) -> int:
    """When the object or anything in it was last changed."""
    return max(int(entity["timestamp"]), *(int(a["timestamp"]) for a in listed(entity, "Attribute")))


def _carried(entity: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object is carried."""
    made: dict[str, Any] = {name: str(entity[name]) for name in _FIELDS if entity.get(name) not in (None, "")}
    made["Attribute"] = [
        {**entity_of(a), "uuid": a["uuid"], "timestamp": str(a["timestamp"]), **_relation(a)}
        for a in listed(entity, "Attribute")
    ]
    references = [r for r in listed(entity, "ObjectReference") if r.get("referenced_uuid")]
    made["ObjectReference"] = [
        {name: str(r[name]) for name in _REFERENCE if r.get(name) not in (None, "")} for r in references
    ]
    return made


def _relation(attribute: Mapping[str, Any]) -> dict[str, str]:
    relation = attribute.get("object_relation")
    return {"object_relation": str(relation)} if relation else {}
