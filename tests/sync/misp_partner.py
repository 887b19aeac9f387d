"""A MISP instance at the boundary of a client: what it keeps of the events that it is handed (misp.md section 2.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from exchange.model.envelope import Entry, Outgoing, Receipt
from exchange.model.party import Source, Target, Terms
from exchange.store import Store
from exchange.sync.pull import Run, Work
from exchange.sync.push import push
from tests.sync.partners import ALERTS, MISP, OTHER, Desk, with_sources
from tests.world import terms

INSTANCE = Target(peer="ccc", id="misp", kind="misp", url="https://misp.ccc.example/")


class Instance:
    """Keeps what it is handed, by MISP's rules: nothing that is not newer, tags only add, deletion is a flag."""

    def __init__(self, say: Callable[[Outgoing], str] = lambda _: "accepted") -> None:
        self.say = say
        self.events: dict[str, dict[str, Any]] = {}
        self.parts: dict[str, dict[str, Any]] = {}
        """uuid → attribute, object or report as it stands there; `event` is whose."""
        self.handed: list[dict[str, Any]] = []
        self.raises: list[Exception | None] = []
        """Raised after taking, in turn."""
        self.during: Callable[[], object] = lambda: None

    def __call__(self) -> Instance:
        """The client, made when its turn comes."""
        return self

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """One receipt for each event, unless the answer is lost."""
        receipts = []
        for item in objects:
            event = json.loads(item.body)["Event"]
            assert (event["uuid"], event["timestamp"]) == (item.id, item.version)
            self.handed.append(event)
            outcome = self.say(item)
            if outcome == "accepted":
                self._take(event)
            receipts.append(Receipt(id=item.id, version=item.version, outcome=outcome, message=""))  # type: ignore[arg-type]
        self.during()
        lost = self.raises.pop(0) if self.raises else None
        if lost is not None:
            raise lost
        return receipts

    def index(self, entry: Source | Target) -> Iterator[Sequence[Entry]]:
        """What is published there."""
        yield [
            Entry(id=uuid, version=event["timestamp"], added="")
            for uuid, event in self.events.items()
            if event["published"]
        ]

    def _take(self, event: dict[str, Any]) -> None:
        known = self.events.get(event["uuid"])
        if known is not None:
            assert int(event["timestamp"]) > int(known["timestamp"]), "not newer than the local copy"
        frame = {name: value for name, value in event.items() if not isinstance(value, list)}
        tags = _tagged(known, event)
        self.events[event["uuid"]] = {**frame, "Tag": tags}
        for name in ("Attribute", "Object", "EventReport"):
            for part in event.get(name, ()):
                self._part(event["uuid"], part)

    def _part(self, event: str, part: dict[str, Any]) -> None:
        known = self.parts.get(part["uuid"])
        if known is None:
            if "value" in part or "name" in part:
                self.parts[part["uuid"]] = {**part, "event": event, "Tag": _tagged(None, part)}
        elif known["event"] == event and int(part["timestamp"]) > int(known["timestamp"]):
            self.parts[part["uuid"]] = {**known, **part, "Tag": _tagged(known, part)}

    def values(self) -> list[str]:
        """The values that are there and not deleted."""
        return sorted(part["value"] for part in self.parts.values() if "value" in part and not part["deleted"])

    def tags_of(self, value: str) -> list[str]:
        """The names of the tags of the attribute with this value."""
        (part,) = [part for part in self.parts.values() if part.get("value") == value]
        return [tag["name"] for tag in part["Tag"]]


def _tagged(known: dict[str, Any] | None, given: dict[str, Any]) -> list[dict[str, Any]]:
    tags = {tag["name"]: tag for tag in (known or {}).get("Tag", ())}
    for tag in given.get("Tag", ()):
        if tag.get("deleted"):
            tags.pop(tag["name"], None)
        else:
            tags[tag["name"]] = tag
    return list(tags.values())


def with_instance(given: Terms, target: Target = INSTANCE) -> Terms:
    """The same terms, ccc having a MISP instead of its depot."""
    peers = dict(given.peers)
    peers["ccc"] = replace(peers["ccc"], targets=(target,))
    return replace(given, peers=peers)


class MispDesk(Desk):
    """The desk, with a MISP target."""

    def __init__(self, store: Store, given: Terms | None = None, target: Target = INSTANCE) -> None:
        self.target = target
        super().__init__(store, with_instance(with_sources(given or terms()), target), ALERTS, OTHER, MISP)

    def worker(self, owner: str) -> Work:
        """A worker that knows the node's name."""
        return replace(super().worker(owner), node="CERT-QC")

    def push(self, client: Callable[[], Any], **more: Any) -> Run | None:
        """Push to the instance; a second passes first, as MISP counts in them."""
        self.world.now += timedelta(seconds=more.pop("after", 1))
        return push(more.pop("work", self.work), self.target, client, **more)
