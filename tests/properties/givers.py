"""What writers give, and what must be listed because of it: kept by the rules alone, apart from the program.

Objects are told apart by a number; all that stand at one version share every timestamp that they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from exchange.model.marking import Tlp
from tests.world import marked

Kind = Literal["indicator", "observable", "unmarked", "hidden"]
"""Of an unmarked object it is decided at the end of the drain what it is worth (R11); a hidden one is AMBER."""
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
    indicator = {
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
    return marked(indicator, {"unmarked": None, "hidden": Tlp.AMBER}.get(kind, Tlp.GREEN))


def key(item: Mapping[str, Any]) -> Key:
    """The key of an object."""
    return Key(item["id"], item.get("modified", ""))


def recorded(entry: Mapping[str, Any]) -> Key:
    """The key of a manifest record; what has no version of its own shows its date there (R14)."""
    return Key(entry["id"], entry["version"] if entry["version"] != entry["date_added"] else "")


@dataclass(slots=True)
class Chain:
    """One object in the versions in which the source that gave it first has given it."""

    number: int
    kind: Kind
    source: str
    newest: int = FIRST
    oldest: int = FIRST
    fixed: bool = False
    """It gets no further version: it has none, or somebody else gives it too, whose versions would be opinions."""

    def at(self, version: int) -> dict[str, Any]:
        """It, at that version."""
        return made(self.number, self.kind, version)

    def later(self) -> dict[str, Any]:
        """Its next version."""
        self.newest += 1
        return self.at(self.newest)

    def belated(self) -> dict[str, Any]:
        """A version from before all that were given."""
        self.oldest -= 1
        return self.at(self.oldest)


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
    """Who gave which version, and what was withdrawn (R22). What is hidden does not come here."""

    def __init__(self) -> None:
        self._words: dict[str, dict[str, _Word]] = {}
        self._waiting: dict[str, set[Key]] = {}

    def pulled(self, source: str, items: Iterable[Mapping[str, Any]], *, last: bool) -> None:
        """A page of a pull; what is unmarked waits for the `last` one."""
        waiting = self._waiting.setdefault(source, set())
        peer = source.partition("/")[0]
        for item in items:
            if "object_marking_refs" in item:
                self._of(item["id"], peer).versions.add(key(item).version)
            else:
                waiting.add(key(item))
        if last:
            for stix_id, version in waiting:
                self._of(stix_id, peer).versions.add(version)
            waiting.clear()

    def posted(self, peer: str, items: Iterable[Mapping[str, Any]]) -> None:
        """An envelope: it undoes what the peer had withdrawn of the versions in it, and of no others."""
        for stix_id, version in map(key, items):
            word = self._of(stix_id, peer)
            if word.shut:
                word.shut, word.out = False, word.versions | self._awaited(peer, stix_id)
            word.versions.add(version)
            word.out.discard(version)

    def _awaited(self, peer: str, stix_id: str) -> set[str]:
        pulls = (keys for source, keys in self._waiting.items() if source.startswith(f"{peer}/"))
        return {found.version for keys in pulls for found in keys if found.id == stix_id}

    def _of(self, stix_id: str, peer: str) -> _Word:
        return self._words.setdefault(stix_id, {}).setdefault(peer, _Word())

    def withdrawn(self, peer: str, stix_id: str) -> None:
        """The peer takes the object out."""
        word = self._of(stix_id, peer)
        word.shut, word.out = True, set()

    def standing(self) -> list[tuple[str, str]]:
        """(id, peer) of what a peer could withdraw."""
        return [(i, peer) for i, words in self._words.items() for peer, word in words.items() if word.standing()]

    def givers(self, stix_id: str) -> list[str]:
        """The peers of whose words something stands."""
        return [peer for peer, word in self._words[stix_id].items() if word.standing()]

    def taken_out(self) -> list[tuple[str, str]]:
        """(id, peer) of what a peer has withdrawn, at least in part."""
        return [(i, peer) for i, words in self._words.items() for peer, word in words.items() if word.shut or word.out]

    def listed(self, asked: Mapping[str, str]) -> set[Key]:
        """What a reader that asks anew must get: every version, or the latest of each object."""
        found: set[Key] = set()
        for stix_id, words in self._words.items():
            versions = set[str]().union(*(word.standing() for word in words.values()))
            if stix_id.partition("--")[0] == asked.get("match[type]", stix_id.partition("--")[0]) and versions:
                every = "match[version]" in asked
                found |= {Key(stix_id, version) for version in (versions if every else {max(versions)})}
        return found
