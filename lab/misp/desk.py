"""What a test does with a running MISP, in the place of its analysts, its administrator and its background worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from lab.misp import connection, sightings
from lab.misp.capture import Capture
from lab.misp.feeds import Feed, Fetch
from lab.misp.instance import Instance
from lab.misp.load import put
from lab.misp.people import Organisation, Part
from lab.misp.pull import Pull
from lab.misp.push import Push
from lab.misp.servers import Connection, Report, Server
from lab.web import Site


class Events:
    """The events of an instance, for a test to look at and to load."""

    def __init__(self, instance: Instance) -> None:
        self._at = instance

    def __getitem__(self, uuid: str) -> Part:
        """What is stored of an event, whoever may see it."""
        with self._at.lock:
            return deepcopy(self._at.events[uuid])

    def __iter__(self) -> Iterator[str]:
        with self._at.lock:
            return iter(list(self._at.events))

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._at.events

    def __len__(self) -> int:
        return len(self._at.events)

    def put(self, event: Mapping[str, Any]) -> None:
        """Hold an event as it stands; one with the same uuid is replaced."""
        put(self._at, event)

    def values(self, uuid: str) -> dict[str, str]:
        """The attributes of an event that are not deleted, those of its objects too: uuid -> value."""
        with self._at.lock:
            held = self._at.events[uuid]
            return {part["uuid"]: part["value"] for part in self._at.attributes(held) if not part["deleted"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misp:
    """A running MISP: where it is, our key for it, what it holds, and its site."""

    url: str
    key: str = field(repr=False)
    reader: Organisation  # whose key it is
    instance: Instance
    events: Events
    site: Site
    servers: list[Server] = field(default_factory=list)

    # As an analyst

    def add(self, event: Mapping[str, Any]) -> str:
        """Make an event of our own; its uuid. Published or not, as it says."""
        with self.instance.lock:
            return str(Capture(self.instance, self.instance.admin).add(event)["uuid"])

    def edit(self, uuid: str, **changes: Any) -> None:
        """Change an event of ours: fields, and parts as `Attribute=[…]`; its timestamp rises."""
        with self.instance.lock:
            held = self.instance.events[uuid]
            now = str(max(self.instance.now, int(held["timestamp"]) + 1))
            said = {"uuid": uuid, "timestamp": now, "published": held["published"], **changes}
            Capture(self.instance, self.instance.admin).edit(held, said)

    def sight(self, attribute: str, uuid: str, *, type_: str = "0", source: str = "", publish: bool = True) -> None:
        """Add a sighting of ours to an attribute; published, others learn of it."""
        said = {"uuid": uuid, "attribute_uuid": attribute, "type": type_, "source": source}
        with self.instance.lock:
            sightings.add(self.instance, [said], self.instance.admin)
            if publish:
                sightings.publish(self.instance, self.instance.events[self.instance.places[attribute][0]])

    def delete(self, uuid: str) -> None:
        """Delete an event; its uuid is on the blocklist from then on."""
        with self.instance.lock:
            self.instance.forget(uuid)

    # As the administrator

    def connect(self, url: str, key: str, *, remote: Organisation | None = None, **ticked: Any) -> Server:
        """Add a remote instance under Sync Actions > Servers; its organisation is by default that of our key."""
        server = Server(
            url=url, key=key, remote=remote or self.reader, name=f"server {len(self.servers) + 1}", **ticked
        )
        self.servers.append(server)
        return server

    def test(self, server: Server) -> Connection:
        """Press the connection test."""
        return connection.tested(self.instance, server)

    def preview(self, server: Server, page: int = 1) -> tuple[list[Part], int]:
        """Look at what a pull would bring: rows, and how many there are."""
        return connection.preview(self.instance, server, page)

    def preview_event(self, server: Server, uuid: str) -> Part:
        """Look at one event before a pull."""
        return connection.preview_event(self.instance, server, uuid)

    def pull(self, server: Server, technique: str = "full") -> Report:
        """Pull: `full`, `update`, or the uuid of one event."""
        return Pull(self.instance, server).run(technique)

    def push(self, server: Server, technique: str = "full") -> Report:
        """Push: `full`, `incremental`, or the uuid of one event."""
        return Push(self.instance, server).run(technique)

    def fetch(self, feed: Feed) -> Report:
        """Fetch and store all feed data."""
        return Fetch(self.instance, feed).pull()

    def cache(self, feed: Feed) -> Report:
        """Cache a feed."""
        return Fetch(self.instance, feed).cache()

    def publish(self, uuid: str) -> list[Report]:
        """Publish an event, and let the worker push it."""
        with self.instance.lock:
            Capture(self.instance, self.instance.admin).publish(self.instance.events[uuid])
        return self.work()

    # As the worker

    def work(self) -> list[Report]:
        """Do what waits: push what was published to every server but the one it came from, then sightings."""
        with self.instance.lock:
            published, sighted = dict(self.instance.published), list(self.instance.sighted)
            self.instance.published.clear()
            self.instance.sighted.clear()
        reports = []
        for server in self.servers:
            for uuid, source in published.items():
                if server.push and server.name != source and uuid in self.instance.events:
                    reports.append(Push(self.instance, server).published(self.instance.events[uuid]))
            for uuid, source, new in sighted:
                if server.name != source and uuid in self.instance.events:
                    reports.append(Push(self.instance, server).sighted(self.instance.events[uuid], new))
        return reports
