"""What writers give, and what must be listed because of it: kept by the rules alone, apart from the program.

Objects are told apart by a number; all that stand at one version share every timestamp that they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from exchange.model.marking import Tlp
from tests.world import marked

Kind = Literal["indicator", "observable", "unmarked", "hidden"]
"""Of an unmarked object it is decided at the end of the drain what it is worth (R11); a hidden one is AMBER."""
KINDS: Sequence[Kind] = ("indicator", "observable", "unmarked", "hidden")
FIRST = 30
"""The version at which an object is first given; later ones count up, belated older ones down."""


class Key(NamedTuple):
    """One version of one object, as an object or a manifest record names it; no version: it has none of its own."""

    id: str
    version: str


def timestamp(version: int) -> str:
    """The only moment that an object of this version knows."""
    return f"2026-01-01T00:00:{version:02}.000000Z"


def made(number: int, kind: Kind = "indicator", version: int = FIRST) -> dict[str, Any]:
    """An object."""
    tail = f"--{number:08x}-0000-4000-8000-000000000000"
    if kind == "observable":
        observable = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name{tail}"}
        return marked(observable | {"value": f"n{number}.example"}, Tlp.GREEN)
    made = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator{tail}",
        "created": timestamp(0),
        "modified": timestamp(version),
        "valid_from": timestamp(0),
        "pattern": f"[domain-name:value = 'n{number}.example']",
        "pattern_type": "stix",
        "description": f"as of {version}",
    }
    return marked(made, {"unmarked": None, "hidden": Tlp.AMBER}.get(kind, Tlp.GREEN))


def key(item: Mapping[str, Any]) -> Key:
    """The key of an object."""
    return Key(item["id"], item.get("modified", ""))


def recorded(entry: Mapping[str, str]) -> Key:
    """The key of a manifest record; what has no version of its own shows its date there (R14)."""
    own = entry["version"] if entry["version"] != entry["date_added"] else ""
    return Key(entry["id"], own)


@dataclass(slots=True)
class _Word:
    """What one peer says of one id."""

    versions: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    """The versions that it has withdrawn and not posted again."""
    shut: bool = False
    """It has withdrawn the object with all that may come, and posted nothing of it since."""

    def standing(self) -> set[str]:
        return set() if self.shut else self.versions - self.out


class Books:
    """Who gave which version, and what was withdrawn (R22)."""

    def __init__(self) -> None:
        self._words: dict[str, dict[str, _Word]] = {}
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}

    def pulled(self, source: str, items: Iterable[Mapping[str, Any]], *, last: bool) -> None:
        """A page of a pull; what is unmarked waits for the `last` one."""
        waiting = self._waiting.setdefault(source, [])
        for item in items:
            if "object_marking_refs" in item:
                self._say(source.partition("/")[0], item)
            else:
                waiting.append(item)
        if last:
            for item in waiting:
                self._say(source.partition("/")[0], item)
            waiting.clear()

    def posted(self, peer: str, items: Sequence[Mapping[str, Any]]) -> None:
        """An envelope: it undoes what the peer had withdrawn of the versions in it."""
        for item in items:
            self._say(peer, item)
            word = self._words[item["id"]][peer]
            if word.shut:
                word.shut, word.out = False, set(word.versions)
        for item in items:
            self._words[item["id"]][peer].out.discard(key(item).version)

    def _say(self, peer: str, item: Mapping[str, Any]) -> None:
        self._words.setdefault(item["id"], {}).setdefault(peer, _Word()).versions.add(key(item).version)

    def withdrawn(self, peer: str, stix_id: str) -> None:
        """The peer takes the object out."""
        word = self._words[stix_id][peer]
        word.shut, word.out = True, set()

    def listed(self, *, every: bool, hidden: Iterable[str] = ()) -> set[Key]:
        """What a reader that asks anew must get: every version, or the latest of each object."""
        found: set[Key] = set()
        for stix_id in self._words.keys() - set(hidden):
            versions = set[str]().union(*(word.standing() for word in self._words[stix_id].values()))
            latest = [max(versions)] if versions else []
            found |= {Key(stix_id, version) for version in (versions if every else latest)}
        return found
