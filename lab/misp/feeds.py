"""A MISP feed as MISP reads it: manifest with ETag, event files without, hashes for the cache; headers cut at ':'."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from lab.misp.calls import NOT_MODIFIED, FailedError, Reply, exchange
from lab.misp.capture import Capture
from lab.misp.instance import Instance, Refused
from lab.misp.people import Part
from lab.misp.servers import Call, Report

REDIRECTS = 5
INHERIT = "5"
_FOUND, _MOVED = 200, (301, 302, 303, 307, 308)
_OURS = ("commit", "MISP-version", "MISP-uuid", "User-Agent")


@dataclass(slots=True, kw_only=True)
class Feed:
    """A row under Sync Actions > Feeds. `headers` is its free text, a header a line."""

    url: str
    headers: str = ""
    distribution: str = "3"
    tag: str = ""
    unpublish_event: bool = False
    calls: list[Call] = field(default_factory=list)
    manifest: tuple[str, bytes] | None = None  # ETag and body
    cache: dict[str, set[str]] = field(default_factory=dict)  # md5 of a value -> uuids of events


class Fetch:
    """One job with one feed."""

    def __init__(self, instance: Instance, feed: Feed) -> None:
        self._at, self._feed = instance, feed
        self._base = feed.url.rstrip("/")

    def pull(self) -> Report:
        """Add what is unknown, edit what is newer in the manifest; what is no longer there stays."""
        report = Report(what="fetched")
        try:
            manifest = self._manifest()
        except FailedError as error:
            report.errors.append(f"Could not get new event uuids for feed: {error}")
            return report
        held = {uuid: self._at.events[uuid] for uuid in manifest if uuid in self._at.events}
        edits = [uuid for uuid, event in held.items() if int(event["timestamp"]) < int(manifest[uuid]["timestamp"])]
        for uuid in [uuid for uuid in manifest if uuid not in held] + edits:
            try:
                self._event(uuid)
            except (FailedError, Refused) as error:
                report.fails[uuid] = str(error)
                report.errors.append(f"Could not {'edit' if uuid in held else 'add'} event '{uuid}' from feed: {error}")
            else:
                report.events.append(uuid)
        return report

    def cache(self) -> Report:
        """Fill the cache of values from hashes.csv; without it from every event of the manifest."""
        report = Report(what="cached")
        self._feed.cache.clear()
        try:
            for line in self._get("/hashes.csv").body.decode().split():
                digest, _, uuid = line.partition(",")
                self._feed.cache.setdefault(digest, set()).add(uuid)
        except FailedError as error:
            report.remarks.append(f"Could not get cache file: {error}")
            self._cache_events(report)
        return report

    def _cache_events(self, report: Report) -> None:
        try:
            for uuid in self._manifest():
                event = self._get(f"/{uuid}.json").json()["Event"]
                for attribute in event.get("Attribute") or []:  # those of objects are not looked at
                    whole = str(attribute["value"])
                    for value in whole.split("|") if "|" in attribute["type"] else [whole]:
                        digest = hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
                        self._feed.cache.setdefault(digest, set()).add(uuid)
        except FailedError as error:
            report.errors.append(f"Could not get and parse event for feed: {error}")

    def _manifest(self) -> Mapping[str, Any]:
        kept = self._feed.manifest
        reply = self._get("/manifest.json", etag=kept[0] if kept else "")
        if reply.status == NOT_MODIFIED and kept:
            found = orjson.loads(kept[1])
        else:
            found = reply.json()
            etag = reply.headers.get("etag")
            self._feed.manifest = (etag, reply.body) if etag else None
        return found if isinstance(found, dict) else {}

    def _event(self, uuid: str) -> None:
        said = self._get(f"/{uuid}.json").json()
        event = self._prepared(said["Event"] if "Event" in said else said["response"]["Event"])
        with self._at.lock:
            held = self._at.events.get(uuid)
            if held is None:
                Capture(self._at, self._at.admin).add(event)  # not locked: it seems to be ours from then on
            else:
                Capture(self._at, self._at.admin).edit(held, event)

    def _prepared(self, event: Part) -> Part:
        """The feed's distribution instead of the event's, unless it is to be inherited and the event has one."""
        if self._feed.distribution != INHERIT or "distribution" not in event:
            level = self._feed.distribution if self._feed.distribution != INHERIT else "0"
            event = {**event, "distribution": level, "sharing_group_id": "0"}
            event["Attribute"] = [_inheriting(part) for part in event.get("Attribute") or []]
            event["Object"] = [_inheriting(part) for part in event.get("Object") or []]
        if self._feed.tag and self._feed.tag.lower() not in {tag["name"].lower() for tag in event.get("Tag") or []}:
            event = {**event, "Tag": [*(event.get("Tag") or []), {"name": self._feed.tag}]}
        return {**event, "published": False} if self._feed.unpublish_event else event

    def _get(self, path: str, etag: str = "") -> Reply:
        headers = self._headers() | ({"If-None-Match": etag} if etag else {})
        url = self._base + path
        for _ in range(REDIRECTS):
            reply = exchange("GET", url, headers)
            call = Call(method="GET", path=path, headers=headers, body=b"", status=reply.status, answer=reply.body)
            self._feed.calls.append(call)
            if reply.status not in _MOVED:
                break
            url = reply.headers["location"].strip("=")
        if reply.status == NOT_MODIFIED and etag:
            return reply
        if reply.status != _FOUND:
            raise FailedError(f"Remote server returns HTTP error code {reply.status} for {url}", reply)
        return reply

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept-Encoding": "deflate, gzip, br, zstd",
            "Accept": "application/json, text/plain, text/*",
            "MISP-version": self._at.settings.version,
            "MISP-uuid": self._at.uuid,
            "User-Agent": f"MISP {self._at.settings.version}",
        }
        for line in self._feed.headers.split("\n"):
            pieces = line.split(":")
            if len(pieces) > 1 and pieces[0] and pieces[1] and pieces[0] not in _OURS:
                headers[pieces[0].strip()] = pieces[1].strip()  # and what stands after a second ':' is gone
        return headers


def _inheriting(part: Part) -> Part:
    said = {**part, "distribution": INHERIT}
    if part.get("Attribute"):
        said["Attribute"] = [_inheriting(inner) for inner in part["Attribute"]]
    return said
