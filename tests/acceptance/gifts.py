"""What is given away in a campaign: invented objects, the same for the same seed, and what becomes of them by right."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.samples.markings import AMBER, GREEN

Object = dict[str, Any]
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Giver:
    """Somebody who gives. Of its objects one in eight each is AMBER, unmarked, a new version, or has no version."""

    random: random.Random
    given: list[Object] = field(default_factory=list)

    def some(self, count: int) -> list[Object]:
        """The next `count` objects; no two of them have the same id."""
        made: list[Object] = []
        while len(made) < count:
            object_ = self._one()
            if object_["id"] not in {other["id"] for other in made}:
                made.append(object_)
        self.given += made
        return made

    def _one(self) -> Object:
        kind, free = self.random.randrange(8), [o for o in self.given[-40:] if o["type"] == "indicator"]
        if kind == 0:
            return self._indicator(AMBER)
        if kind == 1 and len(free) > 1:
            return self._relationship(*self.random.sample(free, 2))
        if kind == 2 and free:
            return self._newer(self.random.choice(free))
        return self._address() if kind == 3 else self._indicator(GREEN)

    def _id(self, type_: str) -> str:
        return f"{type_}--{uuid.UUID(int=self.random.getrandbits(128), version=4)}"

    def _dated(self, type_: str) -> Object:
        at = _stamp(_BEGIN + timedelta(milliseconds=self.random.randrange(10**9)))
        return {"type": type_, "spec_version": "2.1", "id": self._id(type_), "created": at, "modified": at}

    def _indicator(self, level: str) -> Object:
        value = f"{self.random.getrandbits(60):x}.example"
        made = self._dated("indicator")
        return made | {
            "name": value, "pattern": f"[domain-name:value = '{value}']", "pattern_type": "stix",
            "valid_from": made["created"], "object_marking_refs": [level],
        }  # fmt: skip

    def _relationship(self, one: Object, other: Object) -> Object:
        ends = {"source_ref": one["id"], "target_ref": other["id"]}
        return self._dated("relationship") | {"relationship_type": "related-to"} | ends

    def _address(self) -> Object:
        value = ".".join(str(self.random.randrange(256)) for _ in range(4))
        made = {"type": "ipv4-addr", "spec_version": "2.1", "id": self._id("ipv4-addr")}
        return made | {"value": value, "object_marking_refs": [GREEN]}

    def _newer(self, object_: Object) -> Object:
        newest = max(o["modified"] for o in self.given if o["id"] == object_["id"])
        later = _stamp(datetime.fromisoformat(newest) + timedelta(seconds=1))
        return object_ | {"modified": later, "description": f"As of {later}."}


def may_leave(objects: list[Object]) -> dict[str, Object]:
    """Id → the newest version of what may go to others: what its giver does not hold at TLP:AMBER.

    A relationship without a mark is worth what its ends are worth, as the same giver marked them (RULES R10).
    """
    newest: dict[str, Object] = {}
    for object_ in objects:
        if object_["id"] not in newest or newest[object_["id"]]["modified"] < object_["modified"]:
            newest[object_["id"]] = object_
    strict = {id_ for id_, object_ in newest.items() if AMBER in object_.get("object_marking_refs", ())}
    strict |= {id_ for id_, o in newest.items() if {o.get("source_ref"), o.get("target_ref")} & strict}
    return {id_: object_ for id_, object_ in newest.items() if id_ not in strict}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
