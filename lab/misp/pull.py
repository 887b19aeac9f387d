"""A pull as MISP makes it: clusters, index, event by event, proposals, sightings, analyst data; then hop downgrade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from lab.misp import analyst, clusters, proposals, sightings
from lab.misp.calls import FORBIDDEN, NOT_MODIFIED, Calls, FailedError
from lab.misp.capture import Capture, flag
from lab.misp.instance import Instance, Refused
from lab.misp.people import Part
from lab.misp.servers import Report, Server

NOT_AUTHORISED = (
    "Not authorised. This is either due to an invalid auth key, or due to the sync user not having authentication "
    "permissions enabled on the remote server. Another reason could be an incorrect sync server setting."
)
LOCALLY_MADE = (
    "Blocked an edit to an event that was created locally. This can happen if a synchronised event that was created on "
    "this instance was modified by an administrator on the remote side."
)
NOT_SIGNED = (
    "Event failed the validation checks. The remote instance claims that the event can be signed with a valid key "
    "which is sus."
)
RELEVANT_CLUSTERS = "pull_relevant_clusters"
NINETY_DAYS = 90 * 86400
PROPOSALS_A_PAGE, SIGHTINGS_A_CALL, NOTES_A_CALL = 1000, 20, 100
_HOP = {"1": "0", "2": "1"}


class Pull:
    """One pull from one server."""

    def __init__(self, instance: Instance, server: Server) -> None:
        self._at, self._server = instance, server
        self._calls = Calls(server, instance.settings.version)
        self._report = Report(what="pulled")

    def run(self, technique: str = "full") -> Report:
        """`full`, `update` (only what is here already), `pull_relevant_clusters`, or the uuid of one event."""
        try:
            self._calls.info()
            if self._server.pull_galaxy_clusters and "perm_galaxy_editor" in self._calls.info():
                self._clusters(technique)
            if technique == RELEVANT_CLUSTERS:
                return self._report
            wanted = self._wanted(technique)
        except FailedError as error:
            self._report.errors.append(NOT_AUTHORISED if error.status == FORBIDDEN else str(error))
            return self._report
        for uuid in wanted:
            self._event(uuid)
        for uuid, why in self._report.fails.items():
            self._report.errors.append(f"Failed to pull event #{uuid}. Reason: {why}")
        if technique in ("full", "update"):
            self._proposals()
            self._sightings()
            self._analyst()
        return self._report

    # Events

    def _wanted(self, technique: str) -> list[str]:
        if technique not in ("full", "update"):
            return [technique]
        rows = event_index(self._calls, self._server, None if technique == "update" else self._server.pull_rules)
        left = [row["uuid"] for row in rows if self._news(row)]
        left.reverse()  # the old ones first
        return left if technique == "full" else [uuid for uuid in left if uuid in self._at.events]

    def _news(self, row: Mapping[str, Any]) -> bool:
        blocked = row["uuid"] in self._at.blocked_events or row.get("orgc_uuid") in self._at.blocked_organisations
        if blocked or not flag(row["published"]) or f"{row['uuid']}:{row['timestamp']}" in self._server.empty:
            return False
        held = self._at.events.get(row["uuid"])
        return held is None or (held["locked"] and int(held["timestamp"]) < int(row["timestamp"]))

    def _event(self, uuid: str) -> None:
        local = "" if self._server.internal else "/excludeLocalTags:1"
        wishes = "deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0"
        try:
            said = self._calls.get(f"/events/view/{uuid}/{wishes}/includeWarninglistHits:0{local}").json()["Event"]
        except (FailedError, KeyError, TypeError):
            self._report.fails[uuid] = "failed downloading the event"
            return
        event = arrived(said, internal=self._server.internal)
        if not _has_content(event):
            self._report.fails[uuid] = "Empty event detected."
            self._server.empty.add(f"{event['uuid']}:{event['timestamp']}")
            return
        if event.get("protected"):
            self._report.fails[uuid] = NOT_SIGNED  # what no key of ours has signed
            return
        with self._at.lock:
            self._keep(event, uuid)

    def _keep(self, event: Part, key: str) -> None:
        capture = Capture(self._at, self._at.admin, server=self._server.name, owner=self._at.organisation.uuid)
        held = self._at.events.get(event["uuid"])
        try:
            if held is None:
                capture.add(event)
            elif not held["locked"] and not self._server.internal:
                self._report.fails[key] = LOCALLY_MADE
                return
            else:
                capture.edit(held, event)
        except Refused as error:
            self._report.fails[key] = str(error.more.get("errors") or error.name)
        else:
            self._report.events.append(key)

    # What is beside events

    def _clusters(self, technique: str) -> None:
        held = {uuid for uuid, cluster in self._at.clusters.items() if not cluster["default"]}
        rules: dict[str, Any] = {"published": 1, "minimal": 1, "custom": 1}
        if technique == RELEVANT_CLUSTERS:
            tags = [tag["name"] for tag in self._at.tags.values() if tag["is_custom_galaxy"]]
            rules["uuid"] = [name.split('"')[1] for name in tags]
        if technique == "update" and not held:
            return
        try:
            found = self._calls.post("/galaxy_clusters/restSearch", rules).json()
        except FailedError as error:
            # MISP logs it and goes on with the events.
            self._report.remarks.append(f"Could not fetch galaxy clusters: {error}")
            return
        for row in found.get("response", found) if isinstance(found, dict) else found:
            uuid, number = row["GalaxyCluster"]["uuid"], int(row["GalaxyCluster"]["version"])
            known = self._at.clusters.get(uuid)
            if (known is not None and int(known["version"]) >= number) or (known is None and technique == "update"):
                continue
            try:
                cluster = self._calls.get(f"/galaxy_clusters/view/{uuid}").json()["GalaxyCluster"]
            except FailedError as error:
                self._report.errors.append(f"Could not fetch galaxy cluster {uuid}: {error}")
                continue
            with self._at.lock:
                hopped = _hopped(cluster, internal=self._server.internal)
                self._report.clusters += clusters.take(self._at, self._at.admin, hopped)

    def _proposals(self) -> None:
        if not self._calls.at_least(111):
            return
        page, since = 1, self._at.now - NINETY_DAYS
        while True:
            wishes = f"all:1/timestamp:{since}/limit:{PROPOSALS_A_PAGE}/page:{page}/deleted[]:0/deleted[]:1.json"
            try:
                found = self._calls.get(f"/shadow_attributes/index/{wishes}").json()
            except FailedError as error:
                self._report.errors.append(f"Could not fetch page {page} of proposals: {error}")
                return
            with self._at.lock:
                for row in found:
                    self._proposal(row["ShadowAttribute"])
            if len(found) < PROPOSALS_A_PAGE:
                return
            page += 1

    def _proposal(self, said: Part) -> None:
        event = self._at.events.get(said["event_uuid"])
        if event is not None and said.get("Org"):
            org = self._at.captured_organisation(said["Org"])
            self._report.proposals += proposals.take(self._at, event, said, org)

    def _sightings(self) -> None:
        try:
            rows = event_index(self._calls, self._server, self._server.pull_rules)
        except FailedError as error:
            self._report.errors.append(f"Could not fetch event IDs: {error}")
            return
        newer = {}
        for row in rows:
            held, at = self._at.events.get(row["uuid"]), str(row.get("sighting_timestamp") or "0")
            known = self._server.fetched.get(row["uuid"]) == at
            if held is not None and int(held["sighting_timestamp"]) < int(at) and not known:
                newer[row["uuid"]] = at
        uuids = list(newer)
        for start in range(0, len(uuids), SIGHTINGS_A_CALL):
            self._sightings_of(uuids[start : start + SIGHTINGS_A_CALL], newer)

    def _sightings_of(self, uuids: list[str], newer: Mapping[str, str]) -> None:
        body = {"returnFormat": "json", "last": 0, "includeUuid": True, "uuid": uuids}
        try:
            found = self._calls.post("/sightings/restSearch/event", body).json()["response"]
        except FailedError as error:
            self._report.errors.append(f"Failed to download sightings: {error}")
            return
        with self._at.lock:
            for uuid in uuids:
                named = [row["Sighting"] for row in found if row["Sighting"]["event_uuid"] == uuid]
                added = sightings.add(self._at, named, self._at.admin)
                if added:
                    self._report.sightings += len(added)
                    sightings.publish(self._at, self._at.events[uuid], self._server.name, added)
                else:
                    self._server.fetched[uuid] = newer[uuid]

    def _analyst(self) -> None:
        if not self._calls.allows("perm_analyst_data"):
            return
        try:
            there = self._calls.post("/analyst_data/indexMinimal", {"orgc_name": []}).json()
        except FailedError as error:
            self._report.remarks.append(f"Could not fetch analyst data IDs: {error}")
            return
        for kind, rows in there.items() if isinstance(there, dict) else ():
            held = self._at.analyst.get(kind, {})
            news = [u for u, at in rows.items() if u not in held or str(held[u]["modified"]) < str(at)] if rows else []
            for start in range(0, len(news), NOTES_A_CALL):
                self._notes(kind, news[start : start + NOTES_A_CALL])

    def _notes(self, kind: str, uuids: list[str]) -> None:
        named = "".join(f"/uuid[]:{uuid}" for uuid in uuids)
        try:
            found = self._calls.get(f"/analyst_data/index/{kind}{named}.json").json()
        except FailedError as error:
            self._report.errors.append(f"Failed downloading the chunked analyst data: {error}")
            return
        with self._at.lock:
            for row in found:
                note = _hopped(row[kind], internal=self._server.internal)
                self._report.analyst += analyst.take(self._at, self._at.admin, kind, note)


def event_index(calls: Calls, server: Server, rules: Mapping[str, Any] | None) -> list[Part]:
    """The index of a server, from what we kept of it if it has not changed."""
    kept = server.index
    body = {**(rules or {}), "minimal": 1, "published": 1}
    reply = calls.post("/events/index", body, etag=kept[0] if kept else '""')
    if reply.status == NOT_MODIFIED and kept:
        found = orjson.loads(kept[1])
    else:
        found = reply.json()
        etag = reply.headers.get("etag")
        server.index = (etag, reply.body) if etag else None
    return [found] if isinstance(found, dict) and "id" in found else list(found)


def arrived(said: Part, *, internal: bool) -> Part:
    """The event as it is stored after a pull: locked, one hop downgraded, without local tags."""
    event = _hopped({**said, "locked": True, "distribution": str(said.get("distribution", "1"))}, internal=internal)
    for kind in ("Attribute", "Object", "EventReport"):
        event[kind] = [_part(part, internal=internal) for part in said.get(kind) or []]
    return _untagged(event, internal=internal)


def _part(part: Part, *, internal: bool) -> Part:
    hopped = _untagged(_hopped(part, internal=internal), internal=internal)
    if part.get("Attribute"):
        hopped["Attribute"] = [_part(inner, internal=internal) for inner in part["Attribute"]]
    return hopped


def _hopped(part: Part, *, internal: bool) -> Part:
    level = str(part.get("distribution", "5"))
    return dict(part) if internal else {**part, "distribution": _HOP.get(level, level)}


def _untagged(part: Part, *, internal: bool) -> Part:
    if not internal and part.get("Tag"):
        return {**part, "Tag": [tag for tag in part["Tag"] if not tag.get("local")]}
    return part


def _has_content(event: Mapping[str, Any]) -> bool:
    alive = [part for part in event.get("Attribute") or [] if not flag(part.get("deleted"))]
    objects = [part for part in event.get("Object") or [] if not flag(part.get("deleted"))]
    inside = [a for part in objects for a in part.get("Attribute") or [] if not flag(a.get("deleted"))]
    reports = [part for part in event.get("EventReport") or [] if not flag(part.get("deleted"))]
    return bool(alive or inside or reports)
