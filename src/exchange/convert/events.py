"""One MISP event → STIX objects, each under a label at least as strict as what it was made of.

    frame → creator allowed? → prepare (deleted, ids, times) → labels → misp-stix → marks into the body → check

The order is the safety: labels are computed on MISP's terms before conversion, written into every object's
`object_marking_refs`, and checked on the parsed result. An event of which one object came out looser is rejected whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from exchange.convert.labels import Labels, listed, merged, truth
from exchange.convert.parser import Converted, convert
from exchange.convert.prepare import Prepared, prepare, strip
from exchange.errors import ContentError
from exchange.model.envelope import Document, Page, Rejected, Skipped, sift
from exchange.model.marking import KNOWN_IDS, UNMARKED, Label, ids_of, of_ids, says, tags_of
from exchange.model.party import ANYBODY, Source
from exchange.model.stix import StixObject

_CONTAINERS = frozenset({"report", "grouping"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DROPPING = ("Failed validation", "Error validating", "Error loading")
"""How PyMISP begins to say that it left a record out; after anything else misp-stix says, the record is carried."""


def to_page(raw: bytes, source: Source, *, now: datetime) -> Page:
    """The objects made of the one event in `raw` (wrapped or bare), and the original as the page's document.

    The page's objects keep the ids that MISP's uuids give (`indicator--UUID` of attribute UUID). Raises ContentError
    when there is no event in `raw`, or when the event must be rejected as a whole.
    """
    events = _events(raw)
    if len(events) != 1:
        raise ContentError("misp.not_an_event", count=len(events))
    event = events[0]
    refusal = _refusal(event, source)
    if refusal is not None:
        return Page(skipped=(refusal,))
    prepared = prepare(event, internal=source.internal, now=now)
    labels = Labels.of(event, internal=source.internal, drafts=source.kind == "misp")
    strip(event)
    converted = convert(event)
    objects, rejected, repeated = _objects(converted, labels, _organisations(event))
    lost, remarks = _account(prepared, converted, objects, rejected)
    return Page(
        objects=objects,
        rejected=(*prepared.rejected, *rejected, *lost),
        skipped=(*prepared.skipped, *repeated, *remarks, *labels.remarks()),
        document=Document(kind="misp-event", id=event["uuid"], version=event["timestamp"], raw=raw),
    )


def split(raw: bytes) -> list[bytes]:
    """The events of a file that may hold several, each as bytes that `to_page` takes."""
    events = _events(raw)
    return [raw] if len(events) == 1 else [orjson.dumps({"Event": event}) for event in events]


def _events(raw: bytes) -> list[dict[str, Any]]:
    """The events in `{"Event"}`, `{"response": [{"Event"}]}`, a list of these, or a bare event."""
    try:
        found = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ContentError("content.json", detail=str(error)[:200]) from None
    if isinstance(found, dict) and "response" in found:
        found = found["response"]
    wrapped = found if isinstance(found, list) else [found]
    events = [item.get("Event", item) for item in wrapped if isinstance(item, dict)]
    if not events or not all(isinstance(event, dict) and isinstance(event.get("info"), str) for event in events):
        raise ContentError("misp.not_an_event", count=0)
    return events


def _refusal(event: Mapping[str, Any], source: Source) -> Skipped | None:
    """Why this event is not taken at all: a creator not on the list, or a protected event, which we cannot re-sign."""
    creator = event.get("Orgc") if isinstance(event.get("Orgc"), dict) else {}
    identifier = str(event.get("uuid") or "")
    uuid = str((creator or {}).get("uuid") or "").lower()
    if source.kind != "file" and not source.orgs & {uuid, ANYBODY}:
        fields = {"org": str((creator or {}).get("name") or ""), "uuid": uuid, "source": source.key}
        return Skipped(id=identifier, code="misp.org_not_allowed", fields=fields)
    if truth(event.get("protected")):
        return Skipped(id=identifier, code="misp.protected", fields={"source": source.key})
    return None


_ALWAYS = "2020-01-01T00:00:00.000Z"
"""MISP says no date of an organisation; misp-stix gives it the event's, a new version for each event."""


def _organisations(event: Mapping[str, Any]) -> frozenset[str]:
    """The identities that stand for the event's creator and owner."""
    named = (event.get(name) for name in ("Orgc", "Org"))
    return frozenset(f"identity--{org.get('uuid')}" for org in named if isinstance(org, dict))


def _objects(
    converted: Converted, labels: Labels, organisations: frozenset[str]
) -> tuple[list[StixObject], list[Rejected], list[Skipped]]:
    """The objects with their marks, parsed and checked; one object a time, once each."""
    resolved = _Origins(converted.objects, labels)
    bodies: dict[str, bytes] = {}
    floors: dict[str, Label] = {}
    repeated = []
    for stix in converted.objects:
        identifier = str(stix.get("id"))
        if identifier in KNOWN_IDS:
            continue
        floor = resolved.label(stix)
        if identifier in organisations:
            # An organisation speaks in many events, each marked otherwise: it is worth what its words are worth (R11).
            floor = UNMARKED
            body = _marked({**stix, "created": _ALWAYS, "modified": _ALWAYS}, floor)
        else:
            body = _marked(stix, floor)
        if bodies.setdefault(identifier, body) != body:
            repeated.append(Skipped(id=identifier, code="convert.repeated_id", fields={}))
        floors.setdefault(identifier, floor)
    good, bad = sift(bodies.values())
    for made in good:
        _check(made, floors[made.id])
    return [made.under(floors[made.id]) for made in good], bad, repeated


def _marked(stix: dict[str, Any], floor: Label) -> bytes:
    """The object as bytes that carry the levels of `floor` by their canonical ids, and no others of their kind."""
    stated = stix.get("object_marking_refs") or []
    said = floor.join(of_ids(mark for mark in stated if mark in KNOWN_IDS))
    marks = [*(mark for mark in stated if mark not in KNOWN_IDS), *ids_of(said)]
    stix = {name: value for name, value in stix.items() if name != "object_marking_refs"}
    return orjson.dumps({**stix, "object_marking_refs": marks} if marks else stix)


def _check(made: StixObject, floor: Label) -> None:
    """The bytes say what the entity's label says, or the event does not come in (pains 44, 66)."""
    if not says(made.label, floor):
        raise ContentError("convert.label_lost", id=made.id, wanted=", ".join(tags_of(floor)))


class _Origins:
    """Of which entity each STIX object was made, and so under which label it stands.

    Most ids carry the entity's uuid. A relationship stands under its ends; anything else under what refers to it; and
    what nothing explains under the strictest label of the whole event.
    """

    def __init__(self, objects: Sequence[dict[str, Any]], labels: Labels) -> None:
        self._labels = labels
        self._by_id = {str(stix.get("id")): stix for stix in objects}
        self._referrers: dict[str, list[str]] = {}
        for stix in objects:
            if stix.get("type") not in _CONTAINERS:
                for reference in _references(stix):
                    self._referrers.setdefault(reference, []).append(str(stix.get("id")))
        self._known: dict[str, Label] = {}

    def label(self, stix: Mapping[str, Any]) -> Label:
        """The label of the entities that `stix` was made of."""
        return self._of(str(stix.get("id")), frozenset())

    def _of(self, identifier: str, asking: frozenset[str]) -> Label:
        if identifier in self._known:
            return self._known[identifier]
        label = self._labels.find(identifier.partition("--")[2])
        if label is None:
            label = self._derived(identifier, asking | {identifier})
        if not asking:
            self._known[identifier] = label
        return label

    def _derived(self, identifier: str, asking: frozenset[str]) -> Label:
        stix = self._by_id.get(identifier)
        if stix is None:
            return self._labels.strictest
        if stix.get("type") == "relationship":
            around = [str(stix.get("source_ref")), str(stix.get("target_ref"))]
        else:
            around = self._referrers.get(identifier, [])
        found = self._labels.event
        explained = False
        for other in around:
            if other in self._by_id and other not in asking:
                found, explained = found.join(self._of(other, asking)), True
        return found if explained else self._labels.strictest


def _references(stix: Mapping[str, Any]) -> Iterable[str]:
    for name, value in stix.items():
        if name.endswith("_ref") and isinstance(value, str):
            yield value
        elif name.endswith("_refs") and isinstance(value, list):
            yield from (item for item in value if isinstance(item, str))


def _account(
    prepared: Prepared, converted: Converted, objects: Iterable[StixObject], rejected: Iterable[Rejected]
) -> tuple[list[Rejected], list[Skipped]]:
    """Every attribute and object of the event ends somewhere: what came out nowhere is rejected with the reason."""
    event = prepared.event
    arrived = {made.id.partition("--")[2] for made in objects}
    arrived |= {entry.id.partition("--")[2] for entry in rejected}
    reasons = {str(entity["uuid"]): detail for entity, detail in converted.failed}
    for remark in converted.remarks:
        for uuid in _UUID.findall(remark.lower()) if remark.startswith(_DROPPING) else ():
            reasons.setdefault(uuid, remark)
    lost = [_lost(a, reasons) for a in listed(event, "Attribute") if a["uuid"] not in arrived]
    together = merged(listed(event, "Object"))
    for entity in listed(event, "Object"):
        if not arrived & together[entity["uuid"]]:
            reason = {a["uuid"]: reasons.get(entity["uuid"], "") for a in listed(entity, "Attribute")} | reasons
            lost += [_lost(entity, reasons), *(_lost(a, reason) for a in listed(entity, "Attribute"))]
        else:
            refused = (a for a in listed(entity, "Attribute") if a["uuid"] in reasons and a["uuid"] not in arrived)
            lost += [_lost(a, reasons) for a in refused]
    named = {entry.id for entry in lost}
    errors = [r for r in converted.remarks if r.startswith("Error") and not named & set(_UUID.findall(r.lower()))]
    remarks = [
        Skipped(id=event["uuid"], code="convert.remark", fields={"detail": remark[:300]})
        for remark in dict.fromkeys(errors)
    ]
    return lost, remarks


def _lost(entity: Mapping[str, Any], reasons: Mapping[str, str]) -> Rejected:
    uuid = str(entity["uuid"])
    fields = {"type": str(entity.get("type") or entity.get("name") or ""), "detail": reasons.get(uuid, "")[:300]}
    return Rejected(raw=orjson.dumps(entity), code="convert.entity", fields=fields, id=uuid)
