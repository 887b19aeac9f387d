"""What was said, written down as it came: the labels, statements and places that the oracle judges by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from exchange.model.party import Collection
from exchange.sync.proof.words import (
    AHEAD,
    CONTAINERS,
    IDENTITY,
    MAILBOX,
    MESSAGE,
    RECIPIENTS,
    Move,
    Thing,
    Word,
    id_of,
    kind_of,
    name_in,
    said,
    source_of,
    trail,
    value_of,
)

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


def bare(identity: str) -> str:
    """The uuid of an identity, as it is compared."""
    return identity.removeprefix("identity--").lower()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person widened: a statement as it was then, to a level, by a right (decision 0032)."""

    statement: Statement
    worth: Worth
    """What it was worth then."""
    level: str
    """Of TLP or PFC, as `tlp:green`."""
    right: str
    made: str
    """The id of the new object."""


@dataclass(slots=True)
class Record:
    """Everything that was committed so far."""

    statements: dict[str, Statement] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    """Trail of a statement → what persons widened of it; in a play of `policy prove` nobody does."""
    _newest: dict[tuple[str, int], Statement] = field(default_factory=dict)
    _referring: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    _made_by: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(source, identity) → what it says was created by that."""
    _open: dict[str, set[str]] = field(default_factory=dict)
    """Source → what an unfinished drain of it has brought that is decided when that is complete (R11)."""

    _told: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """Source → identity, as `bare` writes it → the names that it was ever given there."""
    _approved: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _written_to: dict[str, set[int]] = field(default_factory=dict)
    """Source → the mailboxes to which a message that it told of went."""

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
            if thing.kind == IDENTITY:
                names = self._told.setdefault(source, {}).setdefault(bare(id_of(thing.number, kind_of(thing))), set())
                names.add(name_in(thing))
            if thing.kind == MESSAGE:
                to = {ref for ref, role in zip(thing.refs, thing.roles, strict=False) if role in RECIPIENTS}
                self._written_to.setdefault(source, set()).update(to)
            if thing.creator and thing.kind != IDENTITY:
                self._made_by.setdefault((source, thing.creator), set()).add(thing.number)
            for ref in thing.refs:
                self._referring.setdefault((source, ref), set()).add(thing.number)

        if move.last:
            waiting.clear()
        self.let_go(move.words)

    def let_go(self, words: Iterable[Word]) -> None:
        """What persons said: of the newest version of each source, and of no other."""
        for word in words:
            for (_, number), newest in self._newest.items():
                if number == word.number:
                    self._approved.setdefault((newest.said, word.whom), set()).add(word.who)

    def persons(self, statement: Statement, whom: str) -> int:
        """How many let it go, for these."""
        return len(self._approved.get((statement.said, whom), ()))

    def told(self, source: str, ids: Iterable[str]) -> dict[str, set[str]]:
        """Of each of these identities that the source told anything of: by which names."""
        known = self._told.get(source, {})
        return {each: known[each] for each in ids if each in known}

    def victims(self, statement: Statement) -> frozenset[str]:
        """What of it is a victim's: what it was born with, whoever is shown with a mailbox, and a mailbox to which any
        message went, if the same source says so (R14), before or after. Who else wrote from it is no matter.
        """
        thing = statement.thing
        found = set(thing.victims)
        if thing.kind == MAILBOX and not thing.given:
            found |= {thing.text} - {""}
            if thing.number in self._written_to.get(statement.source, ()):
                found.add(value_of(thing))
        return frozenset(found)

    def widen(self, act: Act) -> None:
        """What a person did."""
        self.acts.setdefault(act.statement.trail, []).append(act)

    def waits(self, statement: Statement) -> bool:
        """Whether it is not decided yet, so that it governs no version before it."""
        return statement.said in self._open.get(statement.source, ())

    def of(self, source: str, number: int) -> Statement | None:
        """The newest version of a thing that the source gave; one from the future is none yet."""
        return self._newest.get((source, number))

    def beside(self, statement: Statement) -> Iterator[Statement]:
        """The newest versions of the same thing that other sources gave."""
        for (source, number), newest in self._newest.items():
            if number == statement.thing.number and source != statement.source:
                yield newest

    def referring(self, source: str, number: int) -> Iterator[Statement]:
        """The newest versions of that source's things that hold or join this one, or name it as their creator."""
        this = self._newest.get((source, number))
        whose = kind_of(this.thing) if this is not None and this.thing.kind == IDENTITY else ""
        for other in (*self._referring.get((source, number), ()), *self._made_by.get((source, whose), ())):
            newest = self._newest.get((source, other))
            if newest is not None and (number in newest.thing.refs or (whose and newest.thing.creator == whose)):
                yield newest


def stated_by(thing: Thing) -> Worth:
    orgs = None if thing.orgs is None else frozenset(thing.orgs)
    return Worth(frozenset((*thing.marks, *thing.parts)), thing.reach, thing.draft, thing.iep, orgs, thing.unnamed)
