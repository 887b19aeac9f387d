"""A MISP instance in a few lines: an index with its etag, events, and what is beside them; and it takes what is pushed.

`broken` answers in its place: path prefix → answer, or a function that makes one (None: go on as ever).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.peers.doubles import NOW, Asked, Told

STAMP = int(NOW.timestamp())
VERSION = {
    "version": "2.5.1", "perm_sync": True, "perm_sighting": True, "perm_galaxy_editor": True, "perm_analyst_data": True,
    "request_encoding": ["gzip"], "filter_sightings": True,
}  # fmt: skip
GUARD = re.compile(
    r"/servers/getVersion|/events/index|/events/filterEventIdsForPush|/events/view/.*|/events/add.*|/events/edit/[\w-]{36}.*"
    r"|/shadow_attributes/index.*|/galaxies/pushCluster|/galaxy_clusters/restSearch|/galaxy_clusters/view/[\w-]{36}"
    r"|/sightings/restSearch/event|/sightings/bulkSaveSightings/[\w-]{36}|/sightings/filterSightingUuidsForPush/[\w-]{36}"
    r"|/analyst_data/indexMinimal|/analyst_data/index/\w+/.*\.json|/analyst_data/filterAnalystDataForPush"
    r"|/analyst_data/pushAnalystData|/events/pushProposals/[\w-]{36}|/eventReports/add"
)
"""What misp-guard lets through, and three calls of MISP's sync that it does not know yet (reference misp.md §1.5)."""
Answering = Callable[[Asked], Told | None]


def uuid(number: int) -> str:
    return f"5c4e0000-0000-4000-8000-{number:012d}"


def event(number: int, timestamp: int, **more: Any) -> dict[str, Any]:
    """An event as MISP shows it."""
    return {"uuid": uuid(number), "info": f"E{number}", "timestamp": str(timestamp), "date": "2026-11-20", **more}


def attribute(number: int, **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid(number), "type": "domain", "category": "Network activity", "value": f"h{number}.example",
        "to_ids": True, "deleted": False, "timestamp": str(STAMP - 900), "distribution": "5", **more,
    }  # fmt: skip


def said(document: Any, status: int = 200, **headers: str) -> Told:
    return Told(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


def refusal(text: Any, status: int = 403, **more: Any) -> Told:
    """A refusal in MISP's form."""
    return said({"name": text, "message": text, "url": "/", **more}, status)


@dataclass
class Instance:
    """Everything is public: tests put in what they need."""

    version: dict[str, Any] = field(default_factory=lambda: dict(VERSION))
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    sighted: dict[str, int] = field(default_factory=dict)
    sightings: list[dict[str, Any]] = field(default_factory=list)
    proposals: list[dict[str, Any]] = field(default_factory=list)
    analyst: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    unlocked: set[str] = field(default_factory=set)
    broken: dict[str, Told | Answering] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    before: Callable[[Asked], None] = lambda _: None
    _lock: Any = field(default_factory=threading.Lock)

    def put(self, *events: dict[str, Any]) -> None:
        self.events.update({each["uuid"]: each for each in events})

    def __call__(self, asked: Asked) -> Told:
        assert GUARD.fullmatch(asked.path), asked.path
        with self._lock:
            self.calls.append(f"{asked.method} {asked.path}")
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.before(asked)
            for prefix, answer in list(self.broken.items()):
                told = (answer(asked) if callable(answer) else answer) if asked.path.startswith(prefix) else None
                if told is not None:
                    return told
            return self._answer(asked, asked.path.strip("/").split("/"))
        finally:
            with self._lock:
                self.at_once -= 1

    def _answer(self, asked: Asked, parts: list[str]) -> Told:
        name = "_".join(re.sub(r"\W", "", part) for part in parts[:2])
        return getattr(self, f"_{name}")(asked, parts)

    def wishes(self, asked: Asked) -> Any:
        body = gzip.decompress(asked.body) if asked.headers.get("Content-Encoding") == "gzip" else asked.body
        return json.loads(body)

    # Reading

    def _servers_getVersion(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802 (MISP's own name)
        return said(self.version)

    def _events_index(self, asked: Asked, parts: list[str]) -> Told:
        wishes = self.wishes(asked)
        assert (wishes["minimal"], wishes["published"]) == (1, 1)
        rows = [
            {"id": "1", "uuid": u, "timestamp": e["timestamp"], "published": True,
             "sighting_timestamp": str(self.sighted.get(u, 0)), "orgc_uuid": uuid(900)}
            for u, e in self.events.items()
            if e.get("published", True) and u in wishes.get("eventid", self.events) and self._tagged(e, wishes)
        ]  # fmt: skip
        etag = f'"{hashlib.sha1(json.dumps(rows).encode()).hexdigest()}"'  # noqa: S324
        if asked.headers.get("If-None-Match") == etag:
            return Told(304, headers={"ETag": etag})
        return said(rows, ETag=etag)

    @staticmethod
    def _tagged(each: dict[str, Any], wishes: dict[str, Any]) -> bool:
        return "tag" not in wishes or bool({tag["name"] for tag in each.get("Tag", ())} & set(wishes["tag"]))

    def _events_view(self, asked: Asked, parts: list[str]) -> Told:
        found = self.events.get(parts[2])
        return refusal("Invalid event", 404) if found is None else said({"Event": found})

    def _shadow_attributes_index(self, asked: Asked, parts: list[str]) -> Told:
        page, limit = (int(re.search(rf"{name}:(\d+)", asked.path)[1]) for name in ("page", "limit"))
        return said([{"ShadowAttribute": each} for each in self.proposals[(page - 1) * limit : page * limit]])

    def _sightings_restSearch(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        wanted = self.wishes(asked)["uuid"]
        assert len(wanted) <= 20
        return said({"response": [{"Sighting": each} for each in self.sightings if each["event_uuid"] in wanted]})

    def _analyst_data_indexMinimal(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        return said(
            {kind: {u: n["modified"] for u, n in dict(notes).items()} or [] for kind, notes in self.analyst.items()}
        )

    def _analyst_data_index(self, asked: Asked, parts: list[str]) -> Told:
        wanted = re.findall(r"uuid\[\]:([\w-]{36})", asked.path)
        notes = self.analyst[parts[2]]
        return said([{parts[2]: notes[u]} for u in wanted if u in notes])

    def _galaxy_clusters_restSearch(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        rows = [{"GalaxyCluster": {"uuid": u, "version": c["version"]}} for u, c in self.clusters.items()]
        return said({"response": rows})

    def _galaxy_clusters_view(self, asked: Asked, parts: list[str]) -> Told:
        return said({"GalaxyCluster": self.clusters[parts[2]]})

    # Writing

    def _events_filterEventIdsForPush(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        offered = {each["Event"]["uuid"]: int(each["Event"]["timestamp"]) for each in self.wishes(asked)}
        return said([u for u, t in offered.items() if u not in self.events or self._takes(u, t)])

    def _takes(self, each: str, timestamp: int) -> bool:
        return each not in self.unlocked and int(self.events[each]["timestamp"]) < timestamp

    def _events_add(self, asked: Asked, parts: list[str]) -> Told:
        given = self.wishes(asked)["Event"]
        if given["uuid"] in self.events:
            return Told(404, b"{}", {"Location": "/events/7"})
        self.put(given | {"timestamp": str(given["timestamp"])})
        return self._shown(given["uuid"])

    def _events_edit(self, asked: Asked, parts: list[str]) -> Told:
        given, held = self.wishes(asked)["Event"], self.events.get(parts[2])
        if held is None:
            return refusal("Invalid event", 404)
        if int(given["timestamp"]) <= int(held["timestamp"]):
            text = "Event could not be saved: Event in the request not newer than the local copy."
            return refusal("Could not edit Event", saved=False, errors=text)
        for kind in ("Attribute", "Object"):
            merged = {each["uuid"]: each for each in (*held.get(kind, ()), *given.get(kind, ()))}
            given[kind] = list(merged.values())
        self.put(held | given | {"timestamp": str(given["timestamp"])})
        return self._shown(parts[2])

    def _shown(self, each: str) -> Told:
        held = self.events[each]
        every = [*held.get("Attribute", ()), *(a for o in held.get("Object", ()) for a in o.get("Attribute", ()))]
        count = sum(not a.get("deleted") for a in every)
        return said({"Event": {"uuid": each, "timestamp": held["timestamp"], "attribute_count": str(count)}})

    def _sightings_filterSightingUuidsForPush(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        there = {each["uuid"] for each in self.sightings}
        return said([each for each in self.wishes(asked) if each in there])

    def _sightings_bulkSaveSightings(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        given = self.wishes(asked)
        self.sightings += given
        return said({"saved": True, "success": f"{len(given)} sightings added."})

    def _events_pushProposals(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        self.proposals += self.wishes(asked)
        return said({"success": True, "message": "ok", "counter": 1})

    def _eventReports_add(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        return said({"name": "/eventReports/add", "description": "POST a report", "mandatory_fields": []})

    def _analyst_data_filterAnalystDataForPush(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        offered = self.wishes(asked)
        wanted = {
            kind: {u: m for u, m in news.items() if u not in self.analyst.get(kind, {})} or []
            for kind, news in offered.items()
        }
        return said({"Note": [], "Opinion": [], "Relationship": []} | wanted)

    def _analyst_data_pushAnalystData(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        for kind, note in self.wishes(asked).items():
            self.analyst.setdefault(kind, {})[note["uuid"]] = note
        return said({"saved": True, "success": True})

    def _galaxies_pushCluster(self, asked: Asked, parts: list[str]) -> Told:  # noqa: N802
        self.clusters.update({each["GalaxyCluster"]["uuid"]: each["GalaxyCluster"] for each in self.wishes(asked)})
        return said({"saved": True, "success": True})
