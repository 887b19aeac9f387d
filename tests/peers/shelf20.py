"""A TAXII 2.0 collection with chosen faults, on the `Shelf` of TAXII 2.1."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from doubles import COLLECTION, Asked, Shelf, Told, indicator, stamp

STIX = "application/vnd.oasis.stix+json; version=2.0"
TAXII = "application/vnd.oasis.taxii+json; version=2.0"


def indicator20(number: int) -> dict[str, Any]:
    bare = indicator(number)
    del bare["spec_version"], bare["pattern_type"]
    return {**bare, "labels": ["malicious-activity"]}


@dataclass
class Shelf20(Shelf):
    """Pages by `Range`; `form` is the one that it takes (None: it gives everything at once)."""

    form: str | None = "items "
    gives_total: bool = True
    gives_range: bool = True
    empty: int = 404

    def __call__(self, asked: Asked) -> Told:
        if not asked.path.endswith(("/objects/", "/manifest/")):
            rights = {"id": COLLECTION, "title": "x", "can_read": True, "can_write": False}
            return Told(body=json.dumps(rights).encode()) if asked.path.endswith(f"/{COLLECTION}/") else Told(404)
        paged = asked.path.endswith("/objects/")
        if asked.headers["Accept"] != (STIX if paged else TAXII):
            return Told(406)
        if not paged and not self.gives_manifest:
            return Told(404)
        wanted = asked.headers.get("Range", "")
        if wanted and self.form and not wanted.startswith(self.form):
            return Told(400)
        found = re.search(r"([0-9]+)-([0-9]+)", wanted) if self.form else None
        first, last = (int(found[1]), int(found[2])) if found else (0, 10**9)
        after = asked.query.get("added_after", "")
        kept = [
            number
            for number, tick in enumerate(self.ticks)
            if not after or stamp(tick) > after or (self.inclusive and stamp(tick) == after)
        ]
        here = kept[first : min(last + 1, first + self.page)] if self.form else kept
        if not here:
            return Told(416 if first else self.empty)
        return self._range(here, first, len(kept), paged=paged)

    def _range(self, here: list[int], first: int, total: int, *, paged: bool) -> Told:
        headers = {"Content-Type": STIX if paged else TAXII}
        if self.form and self.gives_range:
            headers["Content-Range"] = f"items {first}-{first + len(here) - 1}/{total if self.gives_total else '*'}"
        if self.gives_dates:
            headers["X-TAXII-Date-Added-First"] = self.date(stamp(self.ticks[here[0]]))
            headers["X-TAXII-Date-Added-Last"] = self.date(stamp(self.ticks[here[-1]]))
        rows: list[dict[str, Any]] = [
            indicator20(n)
            if paged
            else {"id": indicator(n)["id"], "date_added": stamp(self.ticks[n]), "versions": [indicator(n)["modified"]]}
            for n in here
        ]
        about = {"type": "bundle", "id": f"bundle--{'0' * 8}-0000-4000-8000-{'0' * 12}", "spec_version": "2.0"}
        body = {**(about if paged else {}), "objects": rows}
        return Told(206 if self.form else 200, json.dumps(body).encode(), headers)
