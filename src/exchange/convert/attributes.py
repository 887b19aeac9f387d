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

from exchange.convert.forms import Named, Observed, Unfit, Unsaid, both_of, ids_beside
from exchange.convert.labels import truth
from exchange.convert.making import Event, Made, confidence_of, seen, shown_tags
from exchange.convert.table import ROWS, SDOS
from exchange.model.marking import Label
from exchange.model.misp import CATEGORY, TYPE

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
    """What an attribute may leave unsaid."""
    for name in _NEVER_EMPTY:
        if text := attribute.get(name):
            entity[name] = text if isinstance(text, str) else str(text)
    alone = attribute.get("disable_correlation")
    if alone and truth(alone):
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
    row = ROWS.get(entity["type"])
    if row is None or (row.observed is None and not entity["to_ids"]):
        return [_plain(event, entity, label, uuid, seconds)]
    ids = ids_beside(uuid)
    try:
        pattern, observed = both_of(row, entity["value"], entity.get("data", ""), ids)
    except Unsaid:
        return [_plain(event, entity, label, uuid, seconds)]
    if entity["to_ids"]:
        return _looked_for(event, entity, label, uuid, seconds, row.language, pattern, observed, ids)
    return _seen(event, entity, label, uuid, seconds, observed)


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


@lru_cache(maxsize=1024)
def _beside(kind: str, category: str) -> str:
    """What an object beside the carrier of such an attribute says of it."""
    return f',"kinds":{_text([CATEGORY + category, TYPE + kind])}'


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


# The hot path: its objects are written as text. Ids and dates need no escaping.


def _looked_for(
    event: Event,
    entity: dict[str, Any],
    label: Label,
    uuid: str,
    seconds: int,
    language: str,
    pattern: str,
    observed: Observed,
    ids: Named,
) -> list[Made]:
    """An indicator that carries the attribute; what it looks for stands beside."""
    created, beginning = event.beginning(seconds)
    before, after = event.tail(label)
    plain = f"{before}{_beside(entity['type'], entity['category'])}{after}"
    first, last = seen(entity, created)
    labels = _said(entity)
    identifier = f"indicator--{uuid}"
    if uuid in event.mentioned:
        event.note(uuid, identifier, label)
    comment = entity.get("comment")
    description = f'"description":{_text(comment)},' if comment else ""
    version = '"pattern_version":"2.1",' if language == "stix" else ""
    text = (
        f'{{"type":"indicator","spec_version":"2.1","id":"{identifier}",{beginning}{description}'
        f'"pattern":{_text(pattern)},"pattern_type":"{language}",{version}"valid_from":"{first}",'
        f'"kill_chain_phases":[{{"kill_chain_name":"misp-category","phase_name":"{entity["category"]}"}}],'
        f'"labels":{labels}{before},"attribute":{_text(entity)}{after}'
    )
    found = [Made(identifier, text.encode(), label, True)]
    if not observed:
        return found
    there, link = ids("observed-data"), ids("relationship")
    text = f"{_observation(there, beginning, first, last, observed)}{labels}{plain}"
    found.append(Made(there, text.encode(), label))
    found += _observables(observed, plain, label)
    text = (
        f'{{"type":"relationship","spec_version":"2.1","id":"{link}",{beginning}'
        f'"relationship_type":"based-on","source_ref":"{identifier}","target_ref":"{there}"{plain}'
    )
    found.append(Made(link, text.encode(), label))
    return found


def _seen(
    event: Event,
    entity: dict[str, Any],
    label: Label,
    uuid: str,
    seconds: int,
    observed: Observed,
) -> list[Made]:
    """An observed-data that carries the attribute, and what was observed."""
    created, beginning = event.beginning(seconds)
    before, after = event.tail(label)
    plain = f"{before}{_beside(entity['type'], entity['category'])}{after}"
    first, last = seen(entity, created)
    identifier = f"observed-data--{uuid}"
    if uuid in event.mentioned:
        event.note(uuid, identifier, label)
    text = (
        f"{_observation(identifier, beginning, first, last, observed)}{_said(entity)}"
        f'{before},"attribute":{_text(entity)}{after}'
    )
    return [Made(identifier, text.encode(), label, True), *_observables(observed, plain, label)]


def _observation(identifier: str, beginning: str, first: str, last: str, observed: Observed) -> str:
    refs = '","'.join([item["id"] for item in observed])
    return (
        f'{{"type":"observed-data","spec_version":"2.1","id":"{identifier}",{beginning}'
        f'"first_observed":"{first}","last_observed":"{last}","number_observed":1,"object_refs":["{refs}"],"labels":'
    )


def _observables(observed: Observed, plain: str, label: Label) -> list[Made]:
    end = f',"spec_version":"2.1"{plain}'.encode()
    return [Made(item["id"], orjson.dumps(item)[:-1] + end, label) for item in observed]


def _said(entity: Mapping[str, Any]) -> str:
    """The labels, and what the tags say of confidence."""
    if "Tag" not in entity:
        return _usual_labels(entity["type"], entity["category"])
    confidence = confidence_of(entity["Tag"])
    return _text(_labels(entity)) + ("" if confidence is None else f',"confidence":{confidence}')
