"""`events/index`: what a MISP compares by uuid and timestamp, and what its preview shows (misp.md 1.2 and 1.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import Any

import orjson

from exchange.serve import tags
from exchange.serve.misp import filters, view
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.parties import number
from exchange.sync.events import EventRow

_SORTS: Mapping[str, Callable[[EventRow], str | int]] = {
    "timestamp": lambda row: row.timestamp,
    "publish_timestamp": lambda row: row.timestamp,
    "date": lambda row: row.date,
    "info": lambda row: row.info.lower(),
    "attribute_count": lambda row: row.attribute_count,
    "threat_level_id": lambda row: row.threat_level_id,
    "analysis": lambda row: row.analysis,
    "uuid": lambda row: row.uuid,
}


def events_index(ask: Ask) -> Answer:
    """The index: minimal for a sync, whole rows for a preview or a search. 304 when it is what the asker has."""
    asked = _asked(ask)
    seen = view.view(ask)
    tests = filters.tests(asked, ask.visit.now // 1_000_000)
    rows = [row for row in view.index(ask, seen).rows if all(test(row) for test in tests)]
    page = _page(rows, asked)
    minimal = str(asked.get("minimal", asked.get("searchminimal", ""))) in ("1", "True", "true")
    body = orjson.dumps([_minimal(row) if minimal else whole(row) for row in page])
    quoted = f'"{sha1(body, usedforsecurity=False).hexdigest()}"'
    headers = {"ETag": quoted, "X-Result-Count": str(len(rows))}
    if tags.names(ask.req.get_header("If-None-Match"), quoted):
        return Answer(status=304, headers=headers)
    return Answer(body=body, headers=headers, offered=None if minimal else view.entities(page, len(page)))


def _asked(ask: Ask) -> dict[str, Any]:
    """Body, path and query together; what the body says holds."""
    found: dict[str, Any] = {name: value for name, value in ask.req.params.items() if isinstance(value, str | list)}
    for name, values in ask.address.lists.items():
        found[name] = values[0] if len(values) == 1 else list(values)
    return {**found, **ask.given} if isinstance(ask.given, dict) else found


def _page(rows: Sequence[EventRow], asked: Mapping[str, Any]) -> Sequence[EventRow]:
    by = _SORTS.get(str(asked.get("sort", "")))
    if by is not None:
        rows = sorted(rows, key=by, reverse=str(asked.get("direction", "")).lower() == "desc")
    limit, page = filters.count(asked.get("limit")), filters.count(asked.get("page")) or 1
    return rows[(page - 1) * limit : page * limit] if limit else rows


def _minimal(row: EventRow) -> dict[str, Any]:
    return {
        "id": number(row.uuid),
        "timestamp": str(row.timestamp),
        "sighting_timestamp": str(row.sighting_timestamp),
        "published": True,
        "uuid": row.uuid,
        "orgc_uuid": row.orgc_uuid,
    }


def whole(row: EventRow) -> dict[str, Any]:
    """A row of the preview."""
    org = {"id": number(row.orgc_uuid) if row.orgc_uuid else "0", "name": row.orgc_name, "uuid": row.orgc_uuid}
    identifier = number(row.uuid)
    return {
        "id": identifier,
        "org_id": org["id"],
        "date": row.date,
        "info": row.info,
        "uuid": row.uuid,
        "published": True,
        "analysis": row.analysis,
        "attribute_count": str(row.attribute_count),
        "orgc_id": org["id"],
        "timestamp": str(row.timestamp),
        "distribution": row.distribution,
        "sharing_group_id": "0",
        "proposal_email_lock": False,
        "locked": True,
        "threat_level_id": row.threat_level_id,
        "publish_timestamp": str(row.timestamp),
        "sighting_timestamp": str(row.sighting_timestamp),
        "disable_correlation": False,
        "extends_uuid": row.extends_uuid,
        "protected": None,
        "Org": org,
        "Orgc": org,
        "EventTag": [
            {"id": str(n), "event_id": identifier, "tag_id": str(n), "local": False, "relationship_type": "", "Tag": {
                "id": str(n), "name": tag["name"], "colour": tag["colour"],
                "is_galaxy": str(tag["name"]).startswith("misp-galaxy:"),
            }}
            for n, tag in enumerate(row.tags, 1)
        ],
    }  # fmt: skip
