"""Facts between things: relationships, sightings, observed data, connections and messages (RULES R14, R23).

What such an object says depends on what its ends are, and that is a matter of whom one asks: who may not see a twin of
an end must not learn of it from what is folded. So its key is computed for one audience, from the ends as that audience
sees them, and stands in that audience's listing only.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchange.model import misp
from exchange.model.keys import Stix, content, instant, key, refs, replaced, text

COMPOSITE = ("network-traffic", "email-message", "observed-data", "sighting", "relationship")
"""Types of which `between` may give a key, each before those that refer to it."""
_OF_STATEMENTS = frozenset({"duplicate-of", "derived-from", "revoked-by"})
"""Relationships that speak of objects as somebody wrote them, not of what these say."""
IDLE = {
    "network-traffic": frozenset({"protocols", "is_active"}),
    "email-message": frozenset({"is_multipart"}),
    "file": frozenset({"name_enc", "mime_type"}),
}
"""Type → properties that say nothing alone: two connections over TCP are not one."""


def ends(stix: Stix) -> tuple[str, ...]:
    """The ids on whose facts the key of `stix` depends; none: `between` gives none whatever they are."""
    kind = stix["type"]
    if kind == "relationship":
        return _given(stix, "source_ref", "target_ref")
    if kind == "sighting":
        return _given(stix, "sighting_of_ref", "observed_data_refs")
    if kind == "observed-data":
        return _given(stix, "object_refs")
    return tuple(dict.fromkeys(refs(content(stix)))) if kind in COMPOSITE else ()


def between(stix: Stix, fact_of: Mapping[str, str]) -> str | None:
    """The key of what `stix` says between its ends, or None: it is said of no fact, and nothing is folded.

    `fact_of`: id → fact key, of those ends that the audience sees as facts; an id that is missing, or is its own key,
    is no fact (a domain object, something unknown) and stands for itself.
    """
    facts = {end: fact for end in ends(stix) if (fact := fact_of.get(end, end)) != end}
    if not facts:
        return None
    kind = stix["type"]
    if kind == "relationship":
        return _relationship(stix, facts)
    if kind == "sighting":
        return _sighting(stix, facts)
    if kind == "observed-data":
        return _observed(stix, facts)
    told = content(stix, IDLE[kind])
    return key(kind, text(replaced(told, facts))) if told else None


def _relationship(stix: Stix, facts: Mapping[str, str]) -> str | None:
    """Its kind, its ends in their order, and when it held; its description is commentary."""
    kind, source, target = (str(stix.get(name, "")) for name in ("relationship_type", "source_ref", "target_ref"))
    one, other = facts.get(source, source), facts.get(target, target)
    if kind in _OF_STATEMENTS or one == other:
        return None
    return key("relationship", kind, one, other, instant(stix.get("start_time")), instant(stix.get("stop_time")))


def _sighting(stix: Stix, facts: Mapping[str, str]) -> str | None:
    """Who saw it, when, how often, where and in which data. Two that say nothing of when are two that were counted,
    and nobody knows whether nobody saw the same: neither has a key without a creator."""
    creator = stix.get("created_by_ref")
    if not isinstance(creator, str):
        return None
    seen = [instant(stix.get(name)) for name in ("first_seen", "last_seen")]
    when = seen if any(seen) else ["created", instant(stix.get("created"))]
    extension = misp.carried(stix)
    entity = extension.get("sighting") if extension is not None else None
    sensor = str(entity.get("source") or "") if isinstance(entity, dict) else ""
    of = str(stix.get("sighting_of_ref", ""))
    return key(
        "sighting", creator, facts.get(of, of), *when, str(stix.get("count", "")), str(stix.get("summary") is True),
        sensor, _together(stix, "where_sighted_refs", {}), _together(stix, "observed_data_refs", facts),
    )  # fmt: skip


def _observed(stix: Stix, facts: Mapping[str, str]) -> str | None:
    """When, how often, and what, whoever says so; objects that it carries inside (STIX 2.0) have no facts."""
    if "objects" in stix:
        return None
    when = [instant(stix.get(name)) for name in ("first_observed", "last_observed")]
    return key("observed-data", *when, str(stix.get("number_observed", "")), _together(stix, "object_refs", facts))


def _together(stix: Stix, name: str, facts: Mapping[str, str]) -> str:
    """What a list refers to, whatever its order."""
    return " ".join(sorted({facts.get(each, each) for each in _given(stix, name)}))


def _given(stix: Stix, *names: str) -> tuple[str, ...]:
    """The ids in these properties, each once."""
    found: list[str] = []
    for name in names:
        value = stix.get(name)
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
    return tuple(dict.fromkeys(found))
