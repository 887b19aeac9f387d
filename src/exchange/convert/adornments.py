"""What is said of the entities of an event: sightings, analyst data, reports, proposals, references (misp.md §1.3).

Each is an entity of its own, under a label at least as strict as what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from exchange.convert.attributes import entity_of
from exchange.convert.forms import Unfit, minted
from exchange.convert.labels import listed, truth
from exchange.convert.making import Event, Made, identity, instant
from exchange.convert.naming import floor_of
from exchange.convert.objects import refused
from exchange.convert.outsiders import agreement
from exchange.convert.part import number
from exchange.convert.parts import NOTE_NAMES, OPINION_NAMES, RELATIONSHIP_NAMES
from exchange.model.envelope import Rejected, Skipped
from exchange.model.marking import Label
from exchange.model.misp import said

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_REFS = 1000
Found = Iterator[Made | Rejected | Skipped]


def adorn(event: Event, entity: Mapping[str, Any], carrier: str, label: Label) -> Found:
    """What stands inside an attribute, an object or the event itself: about `carrier`, which is under `label`."""
    for sighting in listed(entity, "Sighting") if entity.get("Sighting") else ():
        yield from _sighting(event, sighting, entity, carrier, label)
    for name, make in _ANALYST.items():
        for inner in listed(entity, name) if entity.get(name) else ():
            floor = floor_of(event, inner, name, label)
            event.believe(str(inner.get("uuid")), floor)
            about = {"object_uuid": str(entity["uuid"])} | {n: inner[n] for n in inner if inner[n] not in (None, "")}
            made = make(event, about, carrier, floor)
            yield made
            yield from adorn(event, inner, made.id, floor)
    for proposal in listed(entity, "ShadowAttribute") if entity.get("ShadowAttribute") else ():
        yield _proposal(event, proposal, carrier, floor_of(event, proposal, "ShadowAttribute", label))


def _sighting(
    event: Event, sighting: Mapping[str, Any], entity: Mapping[str, Any], carrier: str, label: Label
) -> Found:
    """Type 0 is a sighting, 1 (false positive) an opinion as in misp-stix, 2 (expiration) a note."""
    label = floor_of(event, sighting, "Sighting", label)
    kind, when = str(sighting.get("type") or "0"), number(sighting.get("date_sighting"), event.seconds)
    organisation = sighting.get("Organisation")
    who = identity(organisation)
    if who is not None and kind == "0":  # the others do not refer to it, so nothing would say what it is worth (R11)
        yield who
    told = {
        "type": kind,
        "source": str(sighting.get("source") or ""),
        "date_sighting": str(when),
        "attribute_uuid": str(sighting.get("attribute_uuid") or entity["uuid"]),
    }
    if who is not None and isinstance(organisation, dict):
        told["Organisation"] = {n: str(organisation[n]) for n in ("uuid", "name") if organisation.get(n)}  # type: ignore[assignment]
    names = {"0": "sighting", "1": "opinion"}
    stix = event.versioned(f"{names.get(kind, 'note')}--{sighting['uuid']}", max(when, 1))
    stix["created"] = stix["modified"]
    if kind == "0":
        if told["source"]:
            stix["description"] = told["source"]
        stix["sighting_of_ref"] = carrier
        stix["first_seen"] = stix["last_seen"] = instant(max(when, 1))
        if who is not None:
            stix["where_sighted_refs"] = [who.id]
    else:
        if kind == "1":
            stix |= {"explanation": "False positive Sighting", "opinion": "strongly-disagree"}
        else:
            stix["content"] = "Expiration Sighting" if kind == "2" else f"Sighting of type {kind}"
        if isinstance(organisation, dict) and organisation.get("name"):
            stix["authors"] = [str(organisation["name"])]
        stix["object_refs"] = [carrier]
    yield event.made(stix, label, "sighting", {n: v for n, v in told.items() if v}, digest=said(stix))


def _analyst(event: Event, identifier: str, data: Mapping[str, Any]) -> dict[str, Any]:
    stix = event.versioned(identifier, _time(data.get("modified")) or event.seconds)
    created = _time(data.get("created"))
    stix["created"] = min(instant(created), stix["modified"]) if created else stix["created"]
    if data.get("authors"):
        stix["authors"] = [str(data["authors"])]
    return stix


def _note(event: Event, data: Mapping[str, Any], carrier: str, label: Label) -> Made:
    stix = _analyst(event, f"note--{data['uuid']}", data)
    stix |= {"content": str(data.get("note") or ""), "object_refs": [carrier]}
    stix["labels"] = ['misp:context-layer="Analyst Note"']
    if re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", str(data.get("language") or "")):
        stix["lang"] = str(data["language"])
    return event.made(stix, label, "note", _named(data, NOTE_NAMES), digest=said(stix))


def _opinion(event: Event, data: Mapping[str, Any], carrier: str, label: Label) -> Made:
    stix = _analyst(event, f"opinion--{data['uuid']}", data)
    value = number(data.get("opinion"), 50)
    if data.get("comment"):
        stix["explanation"] = str(data["comment"])
    stix |= {"opinion": agreement(value), "object_refs": [carrier]}
    stix["labels"], stix["x_misp_opinion"] = ['misp:context-layer="Analyst Opinion"'], value
    return event.made(stix, label, "opinion", _named(data, OPINION_NAMES), digest=said(stix))


def _relationship(event: Event, data: Mapping[str, Any], carrier: str, label: Label) -> Made:
    """A relationship with what is in this event; with anything else a note, for nobody knows its type here."""
    target = event.carriers.get(str(data.get("related_object_uuid")))
    word = str(data.get("relationship_type") or "related-to")
    entity = _named(data, RELATIONSHIP_NAMES)
    if target is not None:
        stix = _analyst(event, f"relationship--{data['uuid']}", data)
        stix.pop("authors", None)
        stix |= {"relationship_type": word, "source_ref": carrier, "target_ref": target[0]}
        return event.made(stix, label.join(target[1]), "relationship", entity, digest=said(stix))
    stix = _analyst(event, f"note--{data['uuid']}", data)
    stix["content"] = f"{word} {data.get('related_object_type') or ''} {data.get('related_object_uuid') or ''}".strip()
    stix |= {"object_refs": [carrier], "labels": ['misp:context-layer="Analyst Relationship"']}
    return event.made(stix, label, "relationship", entity, digest=said(stix))


_ANALYST = {"Note": _note, "Opinion": _opinion, "Relationship": _relationship}


def _named(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(data[name]) for name in names if data.get(name) not in (None, "")}


def _time(text: Any) -> int:
    """MISP writes the times of analyst data as `YYYY-MM-DD HH:MM:SS`, in UTC; 0: none."""
    try:
        found = datetime.fromisoformat(str(text))
        return max(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


def report(event: Event, data: Mapping[str, Any], label: Label) -> Made:
    """An EventReport: a note about those entities that its text names and whoever reads it may have, else about the
    event."""
    stix = event.versioned(f"note--{data['uuid']}", number(data.get("timestamp"), event.seconds) or event.seconds)
    name, content = str(data.get("name") or ""), str(data.get("content") or "")
    if name:
        stix["abstract"] = name
    stix["content"] = content
    found = [event.carriers[u] for u in dict.fromkeys(_UUID.findall(content)) if u in event.carriers]
    public = [carrier for carrier, floor in found if label.join(floor) == label]
    stix["object_refs"] = public[:_MOST_REFS] or [event.frame]
    stix["labels"] = ['misp:data-layer="Event Report"']
    return event.made(stix, label, "report", {"name": name, "content": content})


def uuids_in(text: Any) -> list[str]:
    """The uuids that a report's text names."""
    return _UUID.findall(str(text or ""))


def _proposal(event: Event, data: Mapping[str, Any], carrier: str, label: Label) -> Made | Rejected:
    """A proposal is nobody's indicator: a note about what it would change."""
    gone = truth(data.get("proposal_to_delete"))
    try:
        entity = entity_of(data)
    except Unfit as wrong:
        return refused(data, str(wrong))
    seconds = number(data.get("timestamp"), event.seconds) or event.seconds
    entity |= {n: str(data[n]) for n in ("uuid", "old_id", "org_uuid") if data.get(n) not in (None, "", 0, "0")}
    entity["timestamp"] = str(seconds)
    if gone:
        entity["proposal_to_delete"] = True
    organisation = data.get("Org")
    if isinstance(organisation, dict):
        entity["Org"] = {n: str(organisation[n]) for n in ("uuid", "name") if organisation.get(n)}
    # A proposal to change an attribute has the attribute's uuid: the note gets one of its own.
    own_uuid = minted(f"{data['uuid']}/proposal/{seconds}")
    stix = event.versioned(f"note--{own_uuid}", seconds)
    stix["content"] = f"Proposal{' to delete' if gone else ''}: {entity['type']} {entity['value']}"[:1000]
    stix |= {"object_refs": [carrier], "labels": ['misp:data-layer="Proposal"']}
    return event.made(stix, label, "proposal", entity, digest=said(stix))


def reference(event: Event, source: Mapping[str, Any], data: Mapping[str, Any]) -> Made | None:
    """An object's reference to another entity of the event; None: the event has no such entity."""
    one = event.carriers.get(str(source["uuid"]))
    other = event.carriers.get(str(data.get("referenced_uuid")))
    if one is None or other is None or one[0] == other[0]:
        return None
    uuid = str(data.get("uuid") or minted(f"{source['uuid']}/{data.get('referenced_uuid')}"))
    stix = event.versioned(f"relationship--{uuid}", number(data.get("timestamp"), 0) or int(source["timestamp"]))
    stix["relationship_type"] = str(data.get("relationship_type") or "related-to")
    if data.get("comment"):
        stix["description"] = str(data["comment"])
    stix["source_ref"], stix["target_ref"] = one[0], other[0]
    return event.made(stix, one[1].join(other[1]))
