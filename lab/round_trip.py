"""What proves that the exchange works, looked up where partners would look: CCC's letterbox, our feed for CIRCL, the
MISP of CIRCL that we push to, and another that pulls from us."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import requests

from lab import samples
from lab.misp import Misp, Server
from lab.partners import Partner

NEEDED = frozenset({"to_ccc", "to_circl", "to_misp", "to_second"})


@dataclass(frozen=True, slots=True)
class News:
    """Something that has come true since the last look: a text of `texts`, and what goes into it."""

    key: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RoundTrip:
    """Looks at the far ends again and again, and tells what is new."""

    letterboxes: Mapping[str, Partner]  # collection -> the partner that has it
    feed_url: str
    secret: str = field(repr=False)
    of_circl: Collection[str]  # the uuids of what CIRCL made
    misp: Misp  # CIRCL's, which we push to
    second: Misp  # another of CIRCL's, which pulls from us: one that was pushed to has the same attributes already
    server: Server  # the row for us in the second
    of_ccc: str = samples.CCC_ONLY_DOMAIN
    reached: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _read: dict[str, str] = field(default_factory=dict)  # event -> the manifest's timestamp when it was read

    @property
    def complete(self) -> bool:
        """Whether something has gone all the way in both directions."""
        return self.reached >= NEEDED

    def look(self) -> Iterator[News]:
        """What is new."""
        for collection, partner in self.letterboxes.items():
            yield from self._look_into(collection, partner)
        yield from self._look_at_feed()
        yield from self._look_into_misp()
        yield from self._pull_into_second()

    def _look_into(self, collection: str, partner: Partner) -> Iterator[News]:
        held = [object_["id"] for object_ in partner.objects(collection)]
        wanted = [id_ for id_ in held if id_.partition("--")[2] in self.of_circl]
        if held and self._grown(collection, len(held)):
            yield News("depot", {"name": partner.name, "count": len(held), "wanted": len(wanted)})
        if wanted and partner.name == "CCC":
            yield from self._once("to_ccc", wanted[0])

    def _look_at_feed(self) -> Iterator[News]:
        manifest = self._get("manifest.json")
        if manifest and self._grown("feed", len(manifest)):
            yield News("feed", {"count": len(manifest)})
        for uuid, entry in manifest.items():
            if "to_circl" in self.reached or self._read.get(uuid) == str(entry.get("timestamp")):
                continue
            self._read[uuid] = str(entry.get("timestamp"))
            if any(value == self.of_ccc for value in _values(self._get(f"{uuid}.json"))):
                yield from self._once("to_circl", self.of_ccc)

    def _look_into_misp(self) -> Iterator[News]:
        pushed = [uuid for uuid in self.misp.events if uuid not in self.of_circl]
        if pushed and self._grown("misp", len(pushed)):
            yield News("misp", {"count": len(pushed)})
        if any(self.of_ccc in self.misp.events.values(uuid).values() for uuid in pushed):
            yield from self._once("to_misp", self.of_ccc)

    def _pull_into_second(self) -> Iterator[News]:
        self.second.pull(self.server)
        if len(self.second.events) and self._grown("second", len(self.second.events)):
            yield News("second", {"count": len(self.second.events)})
        if any(self.of_ccc in self.second.events.values(uuid).values() for uuid in self.second.events):
            yield from self._once("to_second", self.of_ccc)

    def _get(self, name: str) -> dict[str, Any]:
        """A file of our feed; empty as long as there is none."""
        try:
            bearer = {"Authorization": f"Bearer {self.secret}"}
            answer = requests.get(self.feed_url + name, headers=bearer, timeout=10)
            found: dict[str, Any] = answer.json() if answer.ok else {}
        except requests.RequestException:
            return {}
        return found

    def _grown(self, what: str, count: int) -> bool:
        before, self._counts[what] = self._counts.get(what, 0), count
        return count != before

    def _once(self, key: str, what: str) -> Iterator[News]:
        if key not in self.reached:
            self.reached.add(key)
            yield News(key, {"what": what})


def uuids_of(events: Collection[Mapping[str, Any]]) -> set[str]:
    """The uuids of events and of everything in them."""
    found: set[str] = set()
    for event in events:
        objects = event.get("Object", [])
        inside = [attribute for object_ in objects for attribute in object_.get("Attribute", [])]
        parts = [event, *event.get("Attribute", []), *objects, *inside]
        found.update(part["uuid"] for part in parts if _is_uuid(part.get("uuid")))
    return found


def _values(event_file: Mapping[str, Any]) -> Iterator[str]:
    event = event_file.get("Event", {})
    inside = [attribute for object_ in event.get("Object", []) for attribute in object_.get("Attribute", [])]
    for attribute in [*event.get("Attribute", []), *inside]:
        if "value" in attribute:  # what was withdrawn is deleted and has none
            yield attribute["value"]


def _is_uuid(text: object) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True
