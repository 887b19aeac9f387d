"""A MISP attribute → its STIX objects: the carrier, and what stands beside it (reference misp.md §5).

to_ids: an indicator carries it; an observed-data, the observables and the relationship stand beside. Otherwise the
observed-data carries it, and no indicator is made. What STIX has no form for is an `x-misp-attribute`. The mapping is
`forms.ROWS`; every object is the same as misp-stix's, but for what `docs/misp-mapping.md` says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import orjson

from exchange.convert.forms import Observed, Row, Unfit, Unsaid, beside, observed_of, pattern_of
from exchange.convert.labels import truth
from exchange.convert.making import Event, Made, confidence_of, instant, seen, shown_tags
from exchange.convert.table import ROWS, SDOS
from exchange.model.marking import Label

_NEVER_EMPTY = ("first_seen", "last_seen", "data", "comment")


def entity_of(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """What of an attribute is carried: MISP's own fields, without what the carrier and its label say. Raises Unfit."""
    kind, value, category = attribute.get("type"), attribute.get("value"), attribute.get("category")
    types, categories = known()
    usual = types.get(kind) if isinstance(kind, str) else None
    if usual is None:
        raise Unfit(f"MISP has no attribute type {str(kind)[:80]!r}")
    if type(value) in (int, float):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise Unfit("there is no value")
    category = category or usual[0]
    if category not in categories:
        raise Unfit(f"MISP has no category {str(category)[:80]!r}")
    flag = attribute.get("to_ids")
    to_ids = flag if isinstance(flag, bool) else usual[1] if flag is None else truth(flag)
    entity: dict[str, Any] = {"type": kind, "category": category, "value": value, "to_ids": to_ids}
    _more(entity, attribute)
    return entity


def _more(entity: dict[str, Any], attribute: Mapping[str, Any]) -> None:
    """What most attributes do not say."""
    for name in _NEVER_EMPTY:
        text = attribute.get(name)
        if text:
            entity[name] = text if isinstance(text, str) else str(text)
    if truth(attribute.get("disable_correlation")):
        entity["disable_correlation"] = True
    if attribute.get("Tag"):
        tags = shown_tags(attribute)
        if tags:
            entity["Tag"] = tags


@lru_cache(maxsize=1)
def known() -> tuple[Mapping[str, tuple[str, bool]], frozenset[str]]:
    """MISP's attribute types, each with its category and to_ids where nobody says them; and its categories."""
    text = files("pymisp").joinpath("data", "describeTypes.json").read_text(encoding="utf-8")
    found = json.loads(text)["result"]
    defaults = found["sane_defaults"]
    types = {kind: (str(defaults[kind]["default_category"]), bool(defaults[kind]["to_ids"])) for kind in found["types"]}
    return types, frozenset(found["categories"])


def convert_attribute(event: Event, attribute: Mapping[str, Any], label: Label) -> list[Made]:
    """The objects of one prepared attribute, the carrier first. Raises Unfit when its value is none of its type."""
    entity = entity_of(attribute)
    uuid, seconds = attribute["uuid"], int(attribute["timestamp"])
    kind, value, data = entity["type"], entity["value"], entity.get("data", "")
    row = ROWS.get(kind)
    if row is None or (row.observed is None and not entity["to_ids"]):
        return [_plain(event, entity, label, uuid, seconds)]
    try:
        pattern = pattern_of(row, value, data)
        observed = observed_of(row, value, data, lambda stix_type: beside(uuid, stix_type))
    except Unsaid:
        return [_plain(event, entity, label, uuid, seconds)]
    work = _Work(event, entity, label, uuid, seconds)
    if not entity["to_ids"]:
        return work.sighted(f"observed-data--{uuid}", observed, carrier=True)
    found = [work.indicator(pattern, row)]
    if observed:
        there = beside(uuid, "observed-data")
        found += work.sighted(there, observed, carrier=False)
        found.append(work.based_on(there))
    return found


def _labels(entity: Mapping[str, Any]) -> list[str]:
    names = [f'misp:type="{entity["type"]}"', f'misp:category="{entity["category"]}"']
    return names + [tag["name"] for tag in entity["Tag"]] if "Tag" in entity else names


def _plain(event: Event, entity: dict[str, Any], label: Label, uuid: str, seconds: int) -> Made:
    """A domain object of that name, or our own form for what STIX has none for."""
    kind, comment = SDOS.get(entity["type"], "x-misp-attribute"), entity.get("comment")
    stix = event.versioned(f"{kind}--{uuid}", seconds)
    confidence = confidence_of(entity.get("Tag", ()))
    if confidence is not None:
        stix["confidence"] = confidence
    stix["labels"] = _labels(entity)
    if kind == "x-misp-attribute":
        stix["x_misp_category"] = entity["category"]
        if comment:
            stix["x_misp_comment"] = comment
        stix["x_misp_type"] = entity["type"]
        stix["x_misp_value"] = entity["value"]
    else:
        stix["name"] = entity["value"]
        if comment:
            stix["description"] = comment
        if entity["value"].startswith("CVE-"):
            stix["external_references"] = [{"source_name": "cve", "external_id": entity["value"]}]
    event.note(uuid, stix["id"], label)
    return event.made(stix, label, "attribute", entity)


@lru_cache(maxsize=1024)
def _usual_labels(kind: str, category: str) -> str:
    return _text(_labels({"type": kind, "category": category}))


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


class _Work:
    """One attribute at work: the hot path, so its objects are written as text. Ids and dates need no escaping."""

    __slots__ = ("beginning", "entity", "event", "label", "labels", "seen", "tail", "uuid")

    def __init__(self, event: Event, entity: dict[str, Any], label: Label, uuid: str, seconds: int) -> None:
        modified = instant(seconds)
        created = min(event.day, modified)
        self.seen = seen(entity, created)
        self.event, self.entity, self.label, self.uuid = event, entity, label, uuid
        creator = f'"created_by_ref":"{event.creator}",' if event.creator else ""
        self.beginning = f'{creator}"created":"{created}","modified":"{modified}",'
        self.tail = event.tail(label)
        if "Tag" in entity:
            self.labels = _text(_labels(entity))
            confidence = confidence_of(entity["Tag"])
            if confidence is not None:
                self.labels += f',"confidence":{confidence}'
        else:
            self.labels = _usual_labels(entity["type"], entity["category"])

    def _made(self, identifier: str, text: str, *, carrier: bool) -> Made:
        if not carrier:
            return Made(identifier, (text + self.tail[2]).encode(), self.label)
        if self.uuid in self.event.mentioned:
            self.event.note(self.uuid, identifier, self.label)
        entity = _text(self.entity)
        whole = f'{text}{self.tail[0]},"attribute":{entity}{self.tail[1]}'
        return Made(identifier, whole.encode(), self.label, True)

    def indicator(self, pattern: str, row: Row) -> Made:
        identifier = f"indicator--{self.uuid}"
        comment = self.entity.get("comment")
        description = f'"description":{_text(comment)},' if comment else ""
        version = '"pattern_version":"2.1",' if row.language == "stix" else ""
        text = (
            f'{{"type":"indicator","spec_version":"2.1","id":"{identifier}",{self.beginning}{description}'
            f'"pattern":{_text(pattern)},"pattern_type":"{row.language}",{version}'
            f'"valid_from":"{self.seen[0]}",'
            f'"kill_chain_phases":[{{"kill_chain_name":"misp-category","phase_name":"{self.entity["category"]}"}}],'
            f'"labels":{self.labels}'
        )
        return self._made(identifier, text, carrier=True)

    def sighted(self, identifier: str, observed: Observed, *, carrier: bool) -> list[Made]:
        first, last = self.seen
        refs = '","'.join([item["id"] for item in observed])
        text = (
            f'{{"type":"observed-data","spec_version":"2.1","id":"{identifier}",{self.beginning}'
            f'"first_observed":"{first}","last_observed":"{last}","number_observed":1,'
            f'"object_refs":["{refs}"],"labels":{self.labels}'
        )
        found = [self._made(identifier, text, carrier=carrier)]
        for item in observed:
            text = f'{_text(item)[:-1]},"spec_version":"2.1"'
            found.append(self._made(item["id"], text, carrier=False))
        return found

    def based_on(self, observed: str) -> Made:
        identifier = beside(self.uuid, "relationship")
        text = (
            f'{{"type":"relationship","spec_version":"2.1","id":"{identifier}",{self.beginning}'
            f'"relationship_type":"based-on","source_ref":"indicator--{self.uuid}","target_ref":"{observed}"'
        )
        return self._made(identifier, text, carrier=False)
