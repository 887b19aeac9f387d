"""STIX that no MISP wrote (or that no longer says what its extension says) → MISP entities, by table.

What MISP has no form for is lost, and said so: relationships between domain objects, processes, directories, software,
locations, infrastructure, custom objects of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.convert.foreign import Value, category_of, of_observable, of_pattern
from exchange.convert.forms import minted
from exchange.convert.part import INHERIT, Found, Lost, Part, attribute_body, seconds_of, tags, tombstone, uuid_of
from exchange.model.confidence import misp_tag
from exchange.model.marking import KNOWN_IDS, Label
from exchange.model.misp import carried

_COMMENT = 1000
_NAME = 255
_HARMLESS = frozenset({"benign"})


def of_foreign(stix: Mapping[str, Any], label: Label) -> Found:
    """The MISP entities of one object of foreign STIX, and what was lost of it."""
    reader = _READERS.get(stix["type"])
    if reader is not None:
        found: Found = reader(stix, label)
    else:
        found = _attributes(stix, label, of_observable(stix))
    return found


def _none(_stix: Mapping[str, Any], _label: Label) -> Found:
    """MISP needs nothing of it: the parts that it stands between are carried by themselves."""
    return [], []


def _lost(stix: Mapping[str, Any], _label: Label) -> Found:
    return [], [Lost(id=str(stix["id"]), code="convert.no_form")]


def _event(stix: Mapping[str, Any]) -> str:
    """The event that an extension of ours names, even if what it says of the entity is not true."""
    extension = carried(stix)
    return "" if extension is None else str(extension["event"])


# --- attributes --------------------------------------------------------------------------------------------------


def _attributes(
    stix: Mapping[str, Any], label: Label, values: Iterable[Value], *, to_ids: bool = False, more: Any = None
) -> Found:
    """One attribute for each value: under the object's own uuid if it is the only one."""
    found, own, seconds = list(values), uuid_of(stix), seconds_of(stix)
    if not found:
        return _lost(stix, label)
    made = []
    for value in found:
        uuid = own if len(found) == 1 else minted(f"{own}/{value.type}|{value.value}")
        entity = {
            "type": value.type,
            "category": category_of(value.type),
            "value": value.value,
            "to_ids": to_ids,
            "comment": comment(stix),
            **({"data": value.data} if value.data else {}),
            **(more or {}),
        }
        body = attribute_body(entity, uuid, seconds, tags(label, _sure(stix)))
        if stix.get("revoked") is True:
            body = tombstone(body)
        made.append(Part(kind="attribute", event=_event(stix), uuid=uuid, timestamp=seconds, body=body))
    return made, []


def _sure(stix: Mapping[str, Any]) -> list[dict[str, str]]:
    """The tag that comes nearest to its confidence; none where none is stated, for that is unspecified."""
    number = stix.get("confidence")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 100:
        return []
    return [{"name": misp_tag(number)}]


def comment(stix: Mapping[str, Any]) -> str:
    """What a domain object says of itself in words, in one line."""
    words = [str(stix[name]) for name in ("name", "description") if stix.get(name) and "created" in stix]
    return " ".join(" – ".join(dict.fromkeys(words)).split())[:_COMMENT]


def _indicator(stix: Mapping[str, Any], label: Label) -> Found:
    types = stix.get("indicator_types")
    harmless = isinstance(types, list) and bool(types) and _HARMLESS.issuperset(map(str, types))
    values = of_pattern(str(stix.get("pattern", "")), str(stix.get("pattern_type", "stix")))
    return _attributes(stix, label, values, to_ids=not harmless)


def _observed(stix: Mapping[str, Any], label: Label) -> Found:
    """What it refers to is carried by itself; what it holds inside (deprecated, section 4.14) is taken out."""
    held = stix.get("objects")
    if not isinstance(held, dict):
        return [], []
    values: list[Value] = []
    for item in held.values():
        if isinstance(item, dict) and isinstance(item.get("type"), str):
            values += of_observable({"id": stix["id"], **item})
    return _attributes(stix, label, dict.fromkeys(values))


def _named(kind: str) -> Any:
    """A domain object whose name is an attribute's value."""

    def read(stix: Mapping[str, Any], label: Label) -> Found:
        name = stix.get("name")
        values = [Value(kind, name)] if isinstance(name, str) and name else []
        description = " ".join(str(stix.get("description") or "").split())[:_COMMENT]
        return _attributes(stix, label, values, more={"comment": description})

    return read


def _misp_attribute(stix: Mapping[str, Any], label: Label) -> Found:
    """As misp-stix writes what STIX has no form for."""
    kind, value = stix.get("x_misp_type"), stix.get("x_misp_value")
    if not isinstance(kind, str) or not isinstance(value, str):
        return _lost(stix, label)
    said = {"category": stix.get("x_misp_category"), "comment": stix.get("x_misp_comment")}
    data = stix.get("x_misp_data")
    values = [Value(kind, value, data if isinstance(data, str) else "")]
    more = {name: text for name, text in said.items() if isinstance(text, str)}
    return _attributes(stix, label, values, to_ids=stix.get("x_misp_to_ids") is True, more=more)


def _misp_object(stix: Mapping[str, Any], label: Label) -> Found:
    name, inner = stix.get("x_misp_name"), stix.get("x_misp_attributes")
    uuid, seconds = uuid_of(stix), seconds_of(stix)
    if not isinstance(name, str) or not isinstance(inner, list):
        return _lost(stix, label)
    made = []
    for number, item in enumerate(inner):
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("type", "value")):
            continue
        own = item.get("uuid") if isinstance(item.get("uuid"), str) else minted(f"{uuid}/{number}/{item['type']}")
        body = attribute_body(item, str(own), seconds, tags(label))
        made.append(body | {"object_relation": str(item.get("object_relation") or item["type"])})
    if not made:
        return _lost(stix, label)
    body = {
        "uuid": uuid,
        "name": name,
        "meta-category": str(stix.get("x_misp_meta_category") or "misc"),
        "timestamp": str(seconds),
        "distribution": INHERIT,
        "deleted": False,
        "comment": str(stix.get("x_misp_comment") or ""),
        "Attribute": made,
        "ObjectReference": [],
    }
    if stix.get("revoked") is True:
        body = tombstone(body)
    return [Part(kind="object", event=_event(stix), uuid=uuid, timestamp=seconds, body=body)], []


# --- words -------------------------------------------------------------------------------------------------------


def _report(stix: Mapping[str, Any], _label: Label) -> Found:
    """Reports, groupings and notes: what they say in words."""
    uuid, seconds = uuid_of(stix), seconds_of(stix)
    body = {
        "uuid": uuid,
        "name": str(stix.get("name") or stix.get("abstract") or stix["type"])[:_NAME],
        "content": str(stix.get("content") or stix.get("description") or ""),
        "distribution": INHERIT,
        "timestamp": str(seconds),
        "deleted": stix.get("revoked") is True,
    }
    return [Part(kind="report", event=_event(stix), uuid=uuid, timestamp=seconds, body=body)], []


# --- sightings and opinions --------------------------------------------------------------------------------------

_AS_ATTRIBUTES = frozenset({"indicator", "observed-data", "x-misp-attribute", "vulnerability", "campaign"})
_AS_OBJECTS = frozenset({"x-misp-object"})
_AS_EVENTS = frozenset({"report", "grouping"})
_WORTH = {"strongly-disagree": 0, "disagree": 25, "neutral": 50, "agree": 75, "strongly-agree": 100}
_LEAST = 3
"""Letters of the shortest type of an observable (`url`)."""


def about(ref: Any) -> tuple[str, str]:
    """(MISP's kind of entity, uuid) of what a reference points to; empty: no MISP entity."""
    kind, dashes, uuid = str(ref).partition("--")
    if not dashes:
        return "", ""
    for name, types in (("Attribute", _AS_ATTRIBUTES), ("Object", _AS_OBJECTS), ("Event", _AS_EVENTS)):
        if kind in types:
            return name, uuid
    return ("EventReport", uuid) if kind == "note" else ("Attribute", uuid) if kind in _OBSERVABLES else ("", "")


_OBSERVABLES = frozenset(
    {"domain-name", "ipv4-addr", "ipv6-addr", "url", "mac-addr", "email-addr", "mutex", "file", "artifact",
     "autonomous-system", "windows-registry-key", "x509-certificate", "email-message", "user-account"}
)  # fmt: skip


def _sighting(stix: Mapping[str, Any], label: Label) -> Found:
    kind, target = about(stix.get("sighting_of_ref"))
    if kind != "Attribute" or stix.get("revoked") is True:
        return _lost(stix, label)
    seen = seconds_of({"modified": stix.get("last_seen") or stix.get("first_seen") or stix.get("modified")})
    where = stix.get("where_sighted_refs")
    organisation = (
        {"Organisation": {"uuid": str(where[0]).partition("--")[2]}} if isinstance(where, list) and where else {}
    )
    return [_seen(stix, "0", target, seen, str(stix.get("description") or "")[:_NAME], organisation)], []


def _seen(stix: Mapping[str, Any], kind: str, attribute: str, seen: int, source: str, more: Mapping[str, Any]) -> Part:
    uuid = uuid_of(stix)
    body = {
        "uuid": uuid,
        "type": kind,
        "source": source,
        "date_sighting": str(seen),
        "attribute_uuid": attribute,
        "event_uuid": _event(stix),
        **more,
    }
    return Part(kind="sighting", event=_event(stix), uuid=uuid, timestamp=seconds_of(stix), body=body)


def _opinion(stix: Mapping[str, Any], label: Label) -> Found:
    """Strong disagreement on an attribute is a false positive (sighting of type 1); any other is analyst data."""
    refs = stix.get("object_refs")
    kind, target = about(refs[0]) if isinstance(refs, list) and refs else ("", "")
    said = str(stix.get("opinion"))
    if not kind or said not in _WORTH or stix.get("revoked") is True:
        return _lost(stix, label)
    seconds, uuid = seconds_of(stix), uuid_of(stix)
    if said == "strongly-disagree" and kind == "Attribute":
        return [_seen(stix, "1", target, seconds, "", {})], []
    authors = stix.get("authors")
    body = {
        "uuid": uuid,
        "opinion": str(_WORTH[said]),
        "comment": str(stix.get("explanation") or ""),
        "authors": ", ".join(map(str, authors)) if isinstance(authors, list) else "",
        "object_uuid": target,
        "object_type": kind,
        "timestamp": str(seconds),
        "distribution": INHERIT,
    }
    return [Part(kind="opinion", event=_event(stix), uuid=uuid, timestamp=seconds, body=body)], []


def agreement(opinion: int) -> str:
    """MISP's opinion, 0 to 100, in the words of STIX (section 4.14, opinion-enum), in five parts as misp-stix does."""
    words = ("strongly-disagree", "disagree", "neutral", "agree", "strongly-agree")
    return words[sum(opinion > bound for bound in (20, 40, 60, 80))]


# --- domain objects ----------------------------------------------------------------------------------------------

_MITRE = {
    "attack-pattern": "mitre-attack-pattern",
    "course-of-action": "mitre-course-of-action",
    "intrusion-set": "mitre-intrusion-set",
    "malware": "mitre-malware",
    "tool": "mitre-tool",
}
_GALAXY_COLOUR = "#0088cc"


def _galaxy(stix: Mapping[str, Any], label: Label) -> Found:
    """The tag of the galaxy cluster of that name; MITRE's own under MITRE's number. Its words are lost.

    What was made of a cluster by misp-stix, or here, has the cluster's tag among its labels.
    """
    if stix.get("revoked") is True:
        return _lost(stix, label)
    named = next((text for text in stix.get("labels") or () if str(text).startswith("misp-galaxy:")), "")
    if named:
        return [_tagged(stix, str(named))], []
    name = str(stix.get("name") or "").replace('"', "'").strip()
    if not name:
        return _lost(stix, label)
    kind = stix["type"]
    number = next((str(ref.get("external_id")) for ref in stix.get("external_references") or ()
                   if isinstance(ref, dict) and ref.get("source_name") == "mitre-attack" and ref.get("external_id")),
                  "")  # fmt: skip
    if number and kind in _MITRE:
        galaxy, name = _MITRE[kind], f"{name} - {number}"
    else:
        galaxy = "threat-actor" if kind == "threat-actor" else "tool" if kind == "tool" else f"stix-2.1-{kind}"
    return [_tagged(stix, f'misp-galaxy:{galaxy}="{name}"')], [Lost(id=str(stix["id"]), code="convert.name_only")]


def _tagged(stix: Mapping[str, Any], name: str) -> Part:
    tag = {"name": name, "colour": _GALAXY_COLOUR, "exportable": True, "local": False}
    return Part(kind="tag", event=_event(stix), uuid=uuid_of(stix), timestamp=seconds_of(stix), body={"Tag": [tag]})


def _marking(stix: Mapping[str, Any], label: Label) -> Found:
    return ([], []) if stix["id"] in KNOWN_IDS else _lost(stix, label)


def _relationship(stix: Mapping[str, Any], label: Label) -> Found:
    """An indicator based on what was observed is one attribute in MISP."""
    return ([], []) if stix.get("relationship_type") == "based-on" else _lost(stix, label)


_READERS: Mapping[str, Any] = {
    "indicator": _indicator,
    "observed-data": _observed,
    "x-misp-attribute": _misp_attribute,
    "x-misp-object": _misp_object,
    "vulnerability": _named("vulnerability"),
    "campaign": _named("campaign-name"),
    "report": _report,
    "grouping": _report,
    "note": _report,
    "opinion": _opinion,
    "sighting": _sighting,
    "relationship": _relationship,
    "identity": _none,
    "marking-definition": _marking,
    "network-traffic": _lost,
    **dict.fromkeys(
        (
            "threat-actor",
            "intrusion-set",
            "malware",
            "tool",
            "attack-pattern",
            "course-of-action",
            "x-misp-galaxy-cluster",
        ),
        _galaxy,
    ),
}
