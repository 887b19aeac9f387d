"""What was said, written down as it came: the labels, statements and places that the oracle judges by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from exchange.model.party import Collection
from exchange.sync.proof.words import AHEAD, CONTAINERS, Move, Thing, said, source_of, trail

TLP = {"clear": 0, "green": 1, "amber": 2, "amber+strict": 3, "red": 4}
_PFC = {"libre": 0, "vert": 1, "ambre": 2, "ambre+strict": 3, "rouge": 4}


class Worth(NamedTuple):
    """A label: everything that was said."""

    names: frozenset[str] = frozenset()
    reach: int = 0
    draft: bool = False
    iep: bool = False
    orgs: frozenset[str] | None = None
    unnamed: bool = False

    def with_(self, other: Worth) -> Worth:
        """Both together."""
        orgs = other.orgs if self.orgs is None else self.orgs if other.orgs is None else self.orgs & other.orgs
        return Worth(
            self.names | other.names,
            max(self.reach, other.reach),
            self.draft or other.draft,
            self.iep or other.iep,
            orgs,
            self.unnamed or other.unnamed,
        )

    @property
    def says(self) -> bool:
        """Whether it says who may have it: PAP does not."""
        return self.iep or any(not name.startswith("pap:") for name in self.names)


def levels(names: Iterable[str], *, listed: bool) -> Iterator[int]:
    """The TLP level that each name comes to; `listed`: for those for whom PFC:VERT is (policy.md section 4)."""
    for name in names:
        protocol, _, level = name.partition(":")
        level = level.split(" ")[0]
        if protocol == "tlp":
            yield TLP[level]
        elif protocol == "pfc":
            yield _PFC[level] + (level == "ambre" and not listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One channel, and the peers who read it as one: the same agreements, the same clearance (R1)."""

    channel: str
    members: tuple[str, ...]
    collection: Collection | None
    """None: a push target."""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one source said of one thing in one version, however often."""

    thing: Thing
    giver: str
    source: str
    posted: str
    worth: Worth
    said: str

    @property
    def trail(self) -> str:
        """By which it is known in what leaves, altered or not."""
        return trail(self.said)


@dataclass(slots=True)
class Record:
    """Everything that was committed so far."""

    statements: dict[str, Statement] = field(default_factory=dict)
    _newest: dict[tuple[str, int], Statement] = field(default_factory=dict)
    _referring: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    _open: dict[str, set[str]] = field(default_factory=dict)
    """Source → what an unfinished drain of it has brought that is decided when that is complete (R11)."""

    def add(self, move: Move) -> None:
        """What a move brought; a repetition only tightens, but publishes what it calls published (R10)."""
        source = source_of(move)
        waiting = self._open.setdefault(source, set())
        for given in move.things:
            thing, key, worth = given, said(given, move), stated_by(given)
            before = self.statements.get(key)
            if before is not None:
                worth = before.worth.with_(worth)._replace(draft=given.draft)
                thing = before.thing
            made = Statement(thing=thing, giver=move.giver, source=source, posted=move.posted, worth=worth, said=key)
            self.statements[key] = made
            newest = self._newest.get((source, thing.number))
            if thing.version != AHEAD and (newest is None or thing.version >= newest.thing.version):
                self._newest[source, thing.number] = made
            if not worth.says or thing.kind in CONTAINERS:
                waiting.add(key)
            for ref in thing.refs:
                self._referring.setdefault((source, ref), set()).add(thing.number)

        if move.last:
            waiting.clear()

    def waits(self, statement: Statement) -> bool:
        """Whether it is not decided yet, so that it governs no version before it."""
        return statement.said in self._open.get(statement.source, ())

    def of(self, source: str, number: int) -> Statement | None:
        """The newest version of a thing that the source gave; one from the future is none yet."""
        return self._newest.get((source, number))

    def referring(self, source: str, number: int) -> Iterator[Statement]:
        """The newest versions of that source's things that hold or join this one."""
        for other in self._referring.get((source, number), ()):
            newest = self._newest.get((source, other))
            if newest is not None and number in newest.thing.refs:
                yield newest


def stated_by(thing: Thing) -> Worth:
    orgs = None if thing.orgs is None else frozenset(thing.orgs)
    return Worth(frozenset((*thing.marks, *thing.parts)), thing.reach, thing.draft, thing.iep, orgs, thing.unnamed)
