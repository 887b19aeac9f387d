"""What each audience should get of the samples, worked out by plain rules and without any code of the product.

STIX: the strictest stated mark; unmarked: the stricter of its ends and of its least restrictive marked referrer within
the same source, else the agreement's default, else held (RULES R10–R12). MISP: tags and distribution, the strictest of
event and entity; one object has the entity's uuid, what stands beside it a UUIDv5 of that (docs/misp-mapping.md). Then
ceilings, onward, and never back (R2, R3, decision 0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from lab import samples
from lab.samples import markings

Object = Mapping[str, Any]
CLEAR, GREEN, AMBER, STRICT, RED, UNKNOWN = range(6)
LEVELS = {
    markings.CLEAR: CLEAR,
    markings.WHITE_1: CLEAR,
    markings.GREEN: GREEN,
    markings.GREEN_1: GREEN,
    markings.AMBER: AMBER,
    markings.AMBER_1: AMBER,
    markings.AMBER_STRICT: STRICT,
    markings.RED: RED,
    markings.RED_1: RED,
}
TAGS = {
    "tlp:clear": CLEAR, "tlp:white": CLEAR, "tlp:green": GREEN, "tlp:amber": AMBER, "tlp:amber+strict": STRICT,
    "tlp:red": RED,
}  # fmt: skip
OWNERS = {samples.CCC_IDENTITY: "ccc", samples.CERT_EE_IDENTITY: "cert-ee", samples.CIRCL_IDENTITY: "circl"}
DEFAULTS: dict[str, int | None] = {"ccc": AMBER, "cert-ee": None, "circl": None}
RECEIVED = AMBER  # the ceiling of all three agreements for what we take
_ENDS = {
    "relationship": ("source_ref", "target_ref"),
    "sighting": ("sighting_of_ref", "observed_data_refs"),
    "note": ("object_refs",),
    "opinion": ("object_refs",),
}
_BESIDE = UUID("5b0f1d8e-6f0a-5c58-9a53-7d9c2f6c1d10")  # what stands beside an entity: UUIDv5 of UUID/TYPE
# What an attribute becomes besides the observed-data and, for to_ids, the indicator.
_OBSERVABLES = {
    "domain": ("domain-name",),
    "hostname": ("domain-name",),
    "ip-dst": ("network-traffic", "ipv4-addr"),
    "url": ("url",),
    "link": ("url",),
    "sha256": ("file",),
    "email-src": ("email-message", "email-addr"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that a partner said, under the name by which it is recognised at a reader."""

    name: str
    peer: str
    level: int | None  # None: held
    version: str = ""
    creator: str = ""
    values: tuple[str, ...] = field(default=())


def expected(member: str, ceiling: int) -> dict[str, str]:
    """Name → newest version ("": whatever it is) of all that an audience of this one member should have.

    Nothing goes back to where it came from, nor to its creator (R3). The definitions of TLP are left out: they are the
    same everywhere and from nobody, so it is no matter who gets them from whom.
    """
    said = everything()
    theirs = own(member)
    found: dict[str, str] = {}
    for one in said:
        level = _governed(one, said)
        if one.peer == member or (one.name, one.version) in theirs or level is None or one.name in LEVELS:
            continue
        if level <= min(ceiling, RECEIVED) and level < AMBER:  # nobody agreed that AMBER may go onward
            found[one.name] = max(found.get(one.name, ""), one.version)
    return found


def own(member: str) -> set[tuple[str, str]]:
    """Name and version of what is the member's own: what it gave, and what it created, whoever gave it."""
    return {(one.name, one.version) for one in everything() if member in (one.peer, one.creator)}


@cache
def everything() -> tuple[Said, ...]:
    """The newest version of everything that the partners say, once for each source."""
    stix = [*_stated("ccc", samples.ccc()), *_stated("cert-ee", samples.cert_ee())]
    seen = [event for event in samples.circl_events() if _shown(event)]
    return (*stix, *_converted(seen), *_converted(samples.circl_feed()))


def name_of(object_: Object) -> str:
    """How a reader recognises an object: by its id; one that was made of a MISP entity, by its ends."""
    if object_["type"] == "relationship" and object_["source_ref"].partition("--")[2] in _misp_uuids():
        return f"{object_['source_ref']} {object_['relationship_type']} {object_['target_ref']}"
    return str(object_["id"])


def stated_level(object_: Object) -> int | None:
    """The strictest mark on the object itself; None: none."""
    if object_["id"] in LEVELS:
        return CLEAR  # the definition of a level is no secret
    granular = [mark["marking_ref"] for mark in object_.get("granular_markings", [])]
    return max(
        (LEVELS.get(mark, UNKNOWN) for mark in [*object_.get("object_marking_refs", []), *granular]), default=None
    )


def facts(object_: Object) -> tuple[str, ...]:
    """What says the same as another: one simple comparison, or one observable value; otherwise the id."""
    kind = str(object_["type"])
    pattern = str(object_.get("pattern", ""))
    if kind == "indicator" and not object_.get("revoked") and pattern.count("'") in (2, 4) and " AND " not in pattern:
        case_matters = "app:" in pattern
        return ("indicator", "".join((pattern if case_matters else pattern.lower()).split()))
    if kind in ("domain-name", "ipv4-addr", "ipv6-addr", "url", "email-addr"):
        return (kind, str(object_["value"]).lower())
    if kind == "file" and len(object_.get("hashes", {})) == 1:
        return (kind, *map(str, object_["hashes"].items()))
    return (str(object_["id"]),)


def _governed(one: Said, said: Iterable[Said]) -> int | None:
    """Of another's object: no looser than its configured owner has it (decision 0002)."""
    if one.level is None or one.creator in ("", one.peer):
        return one.level
    owners = [other for other in said if other.name == one.name and other.peer == one.creator]
    if any(other.level is None for other in owners):
        return None
    return max([one.level, *(other.level or CLEAR for other in owners)])


def _stated(peer: str, objects: Iterable[Object]) -> Iterator[Said]:
    newest: dict[str, Object] = {}
    for object_ in objects:
        before = newest.get(object_["id"])
        if before is None or object_.get("modified", "") >= before.get("modified", ""):
            newest[object_["id"]] = object_
    referrers: dict[str, list[int]] = {}
    for object_ in newest.values():
        if (level := stated_level(object_)) is not None:
            for target in set(references(object_)):
                referrers.setdefault(target, []).append(level)
    for object_ in newest.values():
        if object_["type"] == "indicator" and "pattern" not in object_:
            continue  # invalid
        level = _worth(object_, newest, referrers.get(object_["id"], []), DEFAULTS[peer])
        creator = object_["id"] if object_["type"] == "identity" else object_.get("created_by_ref", "")
        yield Said(
            name=object_["id"],
            peer=peer,
            level=None if level is None or _tells_more(object_, level, newest) else level,
            version=str(object_.get("modified") or object_.get("created") or ""),
            creator=OWNERS.get(creator, ""),
        )


def _worth(object_: Object, held: Mapping[str, Object], referrers: list[int], default: int | None) -> int | None:
    own = stated_level(object_)
    if own is not None:
        return own
    around = [referred for name in _ENDS.get(object_["type"], ()) for referred in _listed(object_.get(name))]
    ends = [level for end in around if end in held and (level := stated_level(held[end])) is not None]
    return max([*ends, *([min(referrers)] if referrers else [])], default=default)


def _tells_more(object_: Object, level: int, held: Mapping[str, Object]) -> bool:
    """A container that names what its own source states stricter is held (R13; no agreement says: redact)."""
    if object_["type"] not in ("report", "grouping"):
        return False
    inside = (stated_level(held[ref]) for ref in object_["object_refs"] if ref in held)
    return any(other is not None and other > level for other in inside)


def references(value: Any, named: bool = False) -> Iterator[str]:
    """Every id that stands in a property of references, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from references(inner, str(name).endswith(("_ref", "_refs")))
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, named)
    elif named and isinstance(value, str):
        yield value


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


def _shown(event: Object) -> bool:
    """Whether our account gets it at all, and from an organisation that our configuration names."""
    return event["published"] and event["Orgc"]["uuid"] == samples.CIRCL_ORG and event["distribution"] in "123"


def _level(event: Object, *parts: Object) -> int | None:
    """The strictest tag; held without one; to nobody when a distribution ends here: 2 is spent by the hop to us."""
    if any(part.get("distribution", "5") not in ("3", "5") for part in (event, *parts)):
        return UNKNOWN
    names = (tag["name"].lower() for part in (event, *parts) for tag in part.get("Tag", []))
    return max((TAGS[name] for name in names if name in TAGS), default=None)


def _converted(events: Iterable[Object]) -> Iterator[Said]:
    identity: list[int] = []
    for event in events:
        level = _level(event)
        for attribute in event["Attribute"]:
            if "type" in attribute and not attribute["deleted"] and attribute.get("distribution", "5") != "0":
                yield from _attribute(event, attribute)
        for entity in event["Object"]:
            yield from _entity(event, entity)
        yield _said(f"report--{event['uuid']}", level, event["info"])  # it does not tell of what is stricter (R13)
        identity += [] if level is None else [level]
    yield _said(samples.CIRCL_IDENTITY, min(identity, default=None))


def _said(name: str, level: int | None, *values: str) -> Said:
    return Said(name=name, peer="circl", level=level, values=values, creator="circl")


def _attribute(event: Object, attribute: Object) -> Iterator[Said]:
    level, uuid = _level(event, attribute), attribute["uuid"]
    value = attribute["value"]
    if attribute["to_ids"]:
        yield from _indicator(uuid, level, value)
    else:
        yield _said(f"observed-data--{uuid}", level, value)
    yield from (_said(_beside(uuid, kind), level, value) for kind in _OBSERVABLES[attribute["type"]])


def _entity(event: Object, entity: Object) -> Iterator[Said]:
    inside = entity["Attribute"]
    level = _level(event, entity, *inside)
    value = inside[0]["value"]
    yield from _indicator(entity["uuid"], level, value)
    if entity["name"] == "file":
        yield _said(_beside(entity["uuid"], "file"), level, value)
    if entity["name"] == "domain-ip":
        names = {"domain": "domain-name", "ip-dst": "ipv4-addr"}
        yield from (_said(_beside(a["uuid"], names[a["type"]]), level, a["value"]) for a in inside)


def _indicator(uuid: str, level: int | None, value: str) -> Iterator[Said]:
    seen = _beside(uuid, "observed-data")
    yield from (
        _said(name, level, value) for name in (f"indicator--{uuid}", seen, f"indicator--{uuid} based-on {seen}")
    )


def _beside(uuid: str, kind: str) -> str:
    return f"{kind}--{uuid5(_BESIDE, f'{uuid}/{kind}')}"


@cache
def _misp_uuids() -> frozenset[str]:
    events = [*samples.circl_events(), *samples.circl_feed()]
    return frozenset(part["uuid"] for event in events for part in [*event["Attribute"], *event["Object"]])
