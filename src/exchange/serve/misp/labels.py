"""Names by which an administrator makes rules: the tags and organisations of what an account sees."""

from __future__ import annotations

from typing import Any

from exchange.serve.misp import filters, view
from exchange.serve.misp.instance import Answer, Ask


def filtering_rules(ask: Ask) -> Answer:
    """`GET /servers/getAvailableSyncFilteringRules`: names for the rules of a pull."""
    rows = view.index(ask, view.view(ask)).rows
    return Answer(
        body={
            "organisations": sorted({row.orgc_name for row in rows if row.orgc_name}),
            "tags": sorted({str(tag["name"]) for row in rows for tag in row.tags}),
        }
    )


def tags(ask: Ask) -> Answer:
    """`GET /tags/index` of MISP's API."""
    return Answer(body={"Tag": _tags(ask)})


def search(ask: Ask) -> Answer:
    """`POST /tags/search`: by name, `%` stands for anything."""
    given: Any = ask.given if isinstance(ask.given, dict) else {}
    wanted = [each.lower().strip("%") for each in filters.choices(given.get("tagname") or given.get("name") or [])]
    found = [tag for tag in _tags(ask) if any(each in tag["name"].lower() for each in wanted)]
    return Answer(body=[{"Tag": tag} for tag in found])


def _tags(ask: Ask) -> list[dict[str, Any]]:
    found = {str(tag["name"]): str(tag["colour"]) for row in view.index(ask, view.view(ask)).rows for tag in row.tags}
    return [
        {"id": str(n), "name": name, "colour": colour, "exportable": True, "hide_tag": False, "user_id": "0"}
        for n, (name, colour) in enumerate(sorted(found.items()), 1)
    ]
