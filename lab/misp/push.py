"""A push as MISP makes it: on publish, or a full or incremental one; what may not travel is stripped on our side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lab.misp import analyst, clusters, sightings
from lab.misp.calls import FORBIDDEN, NOT_FOUND, OK, Calls, FailedError, Reply
from lab.misp.instance import Instance
from lab.misp.people import SYNC, Part, User
from lab.misp.pull import event_index
from lab.misp.refusals import NOT_NEWER
from lab.misp.servers import Report, Server
from lab.misp.view import View, Wishes

NO_PERMISSION = "Remote instance is outdated or no permission to push."
BY_DISTRIBUTION = "The distribution level of this event blocks it from being pushed."
BY_RULES = "The server rules blocks it from being pushed."
_LEVELS = {"1": "High", "2": "Medium", "3": "Low", "4": "Undefined"}
_FRAME = (
    "id",
    "date",
    "threat_level_id",
    "info",
    "published",
    "uuid",
    "attribute_count",
    "analysis",
    "timestamp",
    "distribution",
    "publish_timestamp",
    "sharing_group_id",
    "disable_correlation",
    "extends_uuid",
    "protected",
    "event_creator_email",
)
_WHOLE = Wishes(deleted=frozenset({0, 1}), exclude_galaxy=True, related=False, sightings=False, all_tags=True)


class Push:
    """One job of pushing to one server."""

    def __init__(self, instance: Instance, server: Server) -> None:
        self._at, self._server = instance, server
        self._calls = Calls(server, instance.settings.version)
        self._report = Report(what="pushed")
        self._there = User(org=server.remote, role=SYNC.without("perm_site_admin"))  # who reads it at the other end

    # Jobs

    def run(self, technique: str = "full") -> Report:
        """`full`, `incremental` (events with higher numbers than the last), or the uuid of one event."""
        try:
            if not (self._calls.allows("perm_sync") or self._calls.allows("perm_sighting")):
                self._report.errors.append(NO_PERMISSION)
                return self._report
            if self._server.push and self._calls.allows("perm_sync"):
                self._events(technique)
                self._proposals()
            self._all_sightings()
            if self._calls.allows("perm_sync") or self._calls.allows("perm_analyst_data"):
                self._analyst()
        except FailedError as error:  # ends the job, whatever was done before
            self._report.errors.append(str(error))
        return self._report

    def published(self, event: Part) -> Report:
        """What happens to one server when an event is published."""
        if int(event["distribution"]) < 2 and not self._server.internal:
            return self._report
        self._clusters(self._tag_names(event))
        if self._event(event):
            try:
                self._sightings_of(event)
            except FailedError as error:
                self._report.remarks.append(f"Uploading sightings to server failed: {error}")
        return self._report

    def sighted(self, event: Part, uuids: Collection[str] = ()) -> Report:
        """What happens to one server when sightings of an event are published: these, or all of them."""
        if not self._server.push_sightings or not self._allowed(event, sighting=True):
            return self._report
        try:
            if self._calls.head(f"/events/view/{event['uuid']}").status != NOT_FOUND:
                self._sightings_of(event, uuids)
        except FailedError as error:
            self._report.errors.append(f"Uploading sightings to server failed: {error}")
        return self._report

    # Events

    def _events(self, technique: str) -> None:
        if technique == "full" and self._server.push_galaxy_clusters and self._calls.allows("perm_galaxy_editor"):
            self._clusters(None)
        offered = [event for event in self._candidates(technique) if self._by_rules(event)]
        rows = [{"Event": {key: event[key] for key in ("uuid", "timestamp")}} for event in offered]
        if not rows:
            return
        try:
            wanted = self._calls.post("/events/filterEventIdsForPush", rows).json()
        except FailedError as error:
            self._report.remarks.append(f"Could not filter events for push: {error}")
            return
        for uuid in wanted:
            event = self._at.events[uuid]
            if technique != "full" and self._server.push_galaxy_clusters and self._allowed(event):
                self._clusters(self._tag_names(event))
            self._event(event)
            self._server.last_pushed = max(self._server.last_pushed, int(event["id"]))

    def _candidates(self, technique: str) -> list[Part]:
        with self._at.lock:
            held = sorted(self._at.events.values(), key=lambda event: int(event["id"]))
        if technique == "incremental":
            held = [event for event in held if int(event["id"]) > self._server.last_pushed]
        elif technique != "full":
            held = [event for event in held if event["uuid"] == technique]
        groups = {group["id"] for group in self._at.sharing_groups.values() if self._server_in(group)}
        return [
            event
            for event in held
            if event["published"]
            and (
                event["distribution"] in "123" or (event["distribution"] == "4" and event["sharing_group_id"] in groups)
            )
        ]

    def _event(self, event: Part) -> bool:
        uuid = event["uuid"]
        if not self._by_rules(event) or not self._allowed(event):
            self._report.fails[uuid] = BY_DISTRIBUTION if self._by_rules(event) else BY_RULES
            return False
        try:
            if event["protected"]:
                raise FailedError("Invalid signing key. This should never happen.")
            if not self._calls.allows("perm_sync"):
                blocked = "The remote user is not a sync user - the upload of the event has been blocked."
                self._report.fails[uuid] = blocked
                return False
            answer = self._send(uuid, {"Event": self._prepared(event)})
            count = answer.json()["Event"].get("attribute_count")
        except FailedError as error:
            self._refused(uuid, error)
            return False
        except (KeyError, TypeError, AttributeError):
            count = None
        self._report.remarks.append(f"Pushed event {uuid}, {count} attributes there")
        self._report.events.append(uuid)
        return True

    def _send(self, uuid: str, body: Part) -> Reply:
        """Add or edit, as HEAD says; and the other one when the first answers 404."""
        try:
            status = self._calls.head(f"/events/view/{uuid}").status
        except FailedError:
            status = 0
        add, edit = "/events/add/metadata:1", f"/events/edit/{uuid}/metadata:1"
        try:
            return self._calls.post(edit if status in OK else add, body)
        except FailedError as error:
            if error.status != NOT_FOUND or error.reply is None:
                raise
            if status in OK:
                return self._calls.post(add, body)
            if not (location := error.reply.headers.get("location")):
                raise
            return self._calls.post(f"/events/edit/{location.rpartition('/')[2]}/metadata:1", body)

    def _refused(self, uuid: str, error: FailedError) -> None:
        text = str(error)
        if error.status == FORBIDDEN and error.reply is not None:
            try:
                text = error.reply.json().get("errors") or text
            except FailedError:
                text = str(error)
        self._report.fails[uuid] = str(text)
        if text != NOT_NEWER:  # this one MISP expects and does not log
            self._report.errors.append(f"Could not push event '{uuid}' to remote server: {text}")

    # What may travel

    def _by_rules(self, event: Part) -> bool:
        rules, tags = self._server.push_rules, {tag["name"] for tag in event["Tag"]}
        orgs = {event["Orgc"]["name"], event["Orgc"]["uuid"]}
        wanted = all(
            not rules.get(key) or present & set(rules[key]) for key, present in (("tags_or", tags), ("orgs_or", orgs))
        )
        return wanted and not tags & set(rules.get("tags_not", ())) and not orgs & set(rules.get("orgs_not", ()))

    def _allowed(self, part: Part, *, sighting: bool = False) -> bool:
        level = part["distribution"]
        if level == "4":
            group = self._at.group_of(part)
            return group is not None and self._server_in(group)
        return self._server.internal or sighting or int(level) >= 2

    def _server_in(self, group: Part) -> bool:
        """The remote organisation is named in the group; the server too, unless the group roams."""
        servers = group.get("SharingGroupServer") or []
        named = any(
            (place.get("Server") or {}).get("url", "").rstrip("/") == self._server.url.rstrip("/") for place in servers
        )
        orgs = [(place.get("Organisation") or {}).get("uuid") for place in group.get("SharingGroupOrg") or []]
        return self._server.remote.uuid in orgs and (bool(group.get("roaming")) or named or self._server.internal)

    def _prepared(self, event: Part) -> Part:
        """The event as it is sent: without what is private here, one hop downgraded, locked; in MISP's order."""
        with self._at.lock:
            shown = View(self._at, self._at.admin, _WHOLE).event(event)
        said: Part = {}
        for key in _FRAME:
            said[key] = shown[key]
            if key == "distribution":
                said |= {"distribution": self._level(event), "user_id": "1", "locked": 1}
        if self._server.unpublish_event:
            said["published"] = 0
        said["Attribute"] = self._attributes(shown["Attribute"])
        said["Object"] = [
            {**part, "distribution": self._level(part), "Attribute": self._attributes(part["Attribute"])}
            for part in shown["Object"]
            if self._allowed_part(part)
        ]
        said |= {key: shown[key] for key in ("Orgc", "SharingGroup", "ShadowAttribute") if key in shown}
        reports = [part for part in shown["EventReport"] if self._allowed_part(part)]
        if reports and self._reports_wanted(len(reports)):
            said["EventReport"] = [{**part, "distribution": self._level(part)} for part in reports]
        level = {"name": _LEVELS[event["threat_level_id"]], "id": event["threat_level_id"]}
        said |= {"CryptographicKey": shown["CryptographicKey"], "ThreatLevel": level, "Galaxy": []}
        tags = self._tags(shown.get("Tag", []))
        return {**said, "Tag": tags} if tags else said

    def _attributes(self, parts: Iterable[Part]) -> list[Part]:
        sent = []
        for part in parts:
            if self._allowed_part(part):
                tags = self._tags(part.get("Tag", []))
                said = {key: value for key, value in part.items() if key not in ("id", "Tag")}
                sent.append({**said, "distribution": self._level(part), **({"Tag": tags} if tags else {})})
        return sent

    def _allowed_part(self, part: Part) -> bool:
        return part["distribution"] == "5" or self._allowed(part)

    def _level(self, part: Part) -> str | int:
        down = part["distribution"] == "2" and not self._server.internal
        return 1 if down else str(part["distribution"])  # a number once it was changed, as in MISP

    def _tags(self, tags: Iterable[Part]) -> list[Part]:
        sent = []
        for tag in tags:
            if tag["exportable"] and (self._server.internal or not tag["local"]):
                head = {key: tag[key] for key in ("id", "name", "colour", "exportable")}
                sent.append({**head, "org_id": "0", **tag})
        return sent

    def _reports_wanted(self, count: int) -> bool:
        supported = False
        for _ in range(count):  # MISP asks once for each report
            try:
                supported = bool(self._calls.get("/eventReports/add").json().get("description"))
            except FailedError:
                supported = False
        return supported

    # Clusters, proposals, sightings, analyst data

    def _tag_names(self, event: Part) -> set[str]:
        names = {tag["name"] for tag in event["Tag"]}
        return names | {tag["name"] for attribute in self._at.attributes(event) for tag in attribute["Tag"]}

    def _clusters(self, tags: set[str] | None) -> None:
        """Push custom clusters that are newer than theirs; None: all that we have."""
        if not self._server.push_galaxy_clusters:
            return
        held = [
            cluster
            for cluster in sorted(self._at.clusters.values(), key=lambda cluster: int(cluster["id"]))
            if not cluster["default"] and cluster["published"] and (tags is None or cluster["tag_name"] in tags)
        ]
        if not held:
            return
        body = {"published": 1, "minimal": 1, "custom": 1, "uuid": [cluster["uuid"] for cluster in held]}
        try:
            found = self._calls.post("/galaxy_clusters/restSearch", body).json()
        except FailedError as error:
            self._report.remarks.append(f"Could not get eligible cluster IDs: {error}")
            return
        rows = found.get("response", found) if isinstance(found, dict) else found
        theirs = {row["GalaxyCluster"]["uuid"]: int(row["GalaxyCluster"]["version"]) for row in rows}
        for cluster in held:
            if int(cluster["version"]) > theirs.get(cluster["uuid"], -1) and self._allowed(cluster):
                self.cluster(cluster)

    def cluster(self, cluster: Part) -> None:
        """Push one cluster, which is also what publishing it does."""
        if not (self._calls.allows("perm_sync") and self._calls.allows("perm_galaxy_editor")):
            return
        whole = clusters.whole(self._at, cluster)
        dropped = ("id", "org_id", "orgc_id", "galaxy_id", "RelationshipInbound", "tag_count", "tag_id")
        said = {key: value for key, value in whole.items() if key not in dropped}
        try:
            self._calls.post(
                "/galaxies/pushCluster", [{"GalaxyCluster": {**said, "distribution": self._level(cluster)}}]
            )
            self._report.clusters += 1
        except FailedError as error:
            self._report.errors.append(f"Could not push galaxy cluster {cluster['uuid']}: {error}")

    def _proposals(self) -> None:
        try:
            rows = event_index(self._calls, self._server, None)
        except FailedError as error:
            self._report.remarks.append(f"Could not fetch event IDs: {error}")
            return
        there = {row["uuid"] for row in rows}
        held = sorted(self._at.events.values(), key=lambda event: int(event["id"]))
        for event in held:
            if event["uuid"] in there and event["ShadowAttribute"]:
                said = [self._proposal(event, part) for part in event["ShadowAttribute"]]
                reply = self._calls.post_plainly(f"/events/pushProposals/{event['uuid']}", said)
                if reply.status == 200:
                    self._report.proposals += int(reply.json().get("counter") or 0)

    def _proposal(self, event: Part, part: Part) -> Mapping[str, Any]:
        said = {key: value for key, value in part.items() if key not in ("id", "Org")}
        return {**said, "event_org_id": event["Org"]["id"], "data": ""}

    def _all_sightings(self) -> None:
        if not self._server.push_sightings:
            return
        try:
            rows = event_index(self._calls, self._server, self._server.pull_rules)
        except FailedError as error:
            self._report.remarks.append(f"Could not fetch event IDs: {error}")
            return
        for row in rows:
            event = self._at.events.get(row["uuid"])
            if event is None or int(event["sighting_timestamp"]) <= int(row.get("sighting_timestamp") or 0):
                continue
            if self._by_rules(event) and self._allowed(event):
                self._sightings_of(event)

    def _sightings_of(self, event: Part, chosen: Collection[str] = ()) -> None:
        seen = sightings.seen_by(self._at, event, self._there)
        held = [sighting for sighting in seen if not chosen or sighting["uuid"] in chosen]
        if not held:
            return
        uuids = sorted(sighting["uuid"] for sighting in held)
        known: list[str] = []
        if self._calls.allows("filter_sightings"):
            known = self._calls.post(f"/sightings/filterSightingUuidsForPush/{event['uuid']}", uuids).json()
        fresh = [sighting for sighting in held if sighting["uuid"] not in known]
        if fresh:
            said = [{key: value for key, value in part.items() if key != "event_uuid"} for part in fresh]
            self._calls.post(f"/sightings/bulkSaveSightings/{event['uuid']}", said)
            self._report.sightings += len(fresh)

    def _analyst(self) -> None:
        if not self._server.push_analyst_data:
            return
        offered: dict[str, dict[str, str]] = {}
        for kind, held in self._at.analyst.items():
            for note in sorted(held.values(), key=lambda note: int(note["id"])):
                if self._allowed(note):
                    offered.setdefault(kind, {})[note["uuid"]] = str(note["modified"])
        if not offered:
            return
        try:
            wanted = self._calls.post("/analyst_data/filterAnalystDataForPush", offered).json()
        except FailedError as error:
            self._report.remarks.append(f"Could not get eligible Analyst Data IDs: {error}")
            return
        for kind, rows in wanted.items() if isinstance(wanted, dict) else ():
            for uuid in rows or ():
                self._note(kind, self._at.analyst[kind][uuid])

    def _note(self, kind: str, note: Part) -> None:
        shown = analyst.index(self._at, self._at.admin, kind, [note["uuid"]])[0][kind]
        said = {key: value for key, value in shown.items() if key != "id"}
        try:
            whole = {**said, "locked": True, "distribution": self._level(note)}
            self._calls.post("/analyst_data/pushAnalystData", {kind: whole})
            self._report.analyst += 1
        except FailedError as error:
            self._report.errors.append(f"Could not push analyst data {note['uuid']}: {error}")


def _grouped(part: Part) -> bool:
    return str(part["distribution"]) == "4"
