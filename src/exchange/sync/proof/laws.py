"""The laws, each put to one case on a node in memory. A Leak is a case in which one does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from exchange.model import recall
from exchange.model.party import Terms
from exchange.store import Store
from exchange.sync.proof import altered
from exchange.sync.proof.chance import after_all
from exchange.sync.proof.oracle import Oracle, kinds_of
from exchange.sync.proof.record import Record, Room, Statement, levels
from exchange.sync.proof.stage import Opener, Stage, said_of
from exchange.sync.proof.words import Case, Move, id_of, kind_of, said, trail, value_of

PERMITTED = "permitted"
"""R17: what leaves is permitted by everything committed before it left. Its parts count what each of them keeps in."""
PARTS = (
    "unmarked", "unknown", "ceiling", "pfc", "pap", "reach", "group", "draft", "type", "returns", "onward",
    "agreement", "ended", "future", "confidence", "misp", "encrypted", "dialect", "named", "person",
    "redact",
)  # fmt: skip
MARKS, GATES, STRICTER, TRACE, LINEAGE, IDS = "marks", "gates", "stricter", "trace", "lineage", "ids"
LAWS = (PERMITTED, *PARTS, MARKS, LINEAGE, IDS, GATES, STRICTER, TRACE)
FORMS = ("named", "person", "redact")
"""Parts of R17 about the form in which something leaves: they keep nothing in by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A law that does not hold: in which case, who had what, and which parts of R17 forbid it."""

    law: str
    parts: tuple[str, ...]
    case: Case
    terms: Terms
    channel: str
    reader: str
    what: str
    """The id that leaked, or the path whose answer differs."""
    second: Move | None = None
    """For `trace` what was added, for `stricter` nothing."""
    place: int = 0
    """Before which move of the case it came."""
    tightened: tuple[int, str] | None = None
    """For `stricter`: the thing, by its number, and the mark that was added to it."""


class Court:
    """Puts laws to cases; keeps count of what it looked at."""

    def __init__(self, store: Store, terms: Terms, opener: Opener) -> None:
        self.terms = terms
        self.stage = Stage(store, terms, opener, datetime.min.replace(tzinfo=UTC))
        self.counts: Counter[str] = Counter(dict.fromkeys((*LAWS, "released"), 0))

    def permitted(self, case: Case, *, every_step: bool = True) -> Leak | None:
        """R17 after each move, again when all agreements are over, and again when that has been adopted."""
        stage, record, kinds, released = self._stage(case), Record(), kinds_of(case), self.counts["released"]
        for at, move in enumerate(case.moves):
            stage.play(move, kinds)
            record.add(move)
            if every_step or at == len(case.moves) - 1:
                leak = self.compare(stage, record, case, kinds)
                if leak is not None:
                    return leak
        over, before = after_all(self.terms, case.at), self.counts["released"] - released
        for adopted in (False, True):
            stage.set_clock(over, adopted=adopted)
            leak = self.compare(stage, record, case, kinds, only_seen=True)
            if leak is not None:
                return leak
            self.counts["ended"] += before
        return None

    def stricter(self, case: Case, number: int, mark: str) -> Leak | None:
        """A mark more on what was marked before adds nothing to what anybody sees."""
        oracle = Oracle(self.terms, case.at.date())
        given = ((move.giver, thing) for move in case.moves for thing in move.things if thing.number == number)
        if not all(oracle.says(giver, thing) for giver, thing in given):
            return None  # what it was worth was not its own
        tight = tightened(case, number, mark)
        before, after = self._ends(case), self._ends(tight)
        for room, ids in after.items():
            self.counts[STRICTER] += 1
            if ids - before[room]:
                return Leak(
                    law=STRICTER, parts=(), case=case, terms=self.terms, channel=room[0], reader=room[1],
                    what=min(ids - before[room]), tightened=(number, mark),
                )  # fmt: skip
        return None

    def trace(self, case: Case, second: Move, place: int) -> Leak | None:
        """R14: what another one says, and a reader may not see, changes no byte of what that reader is answered."""
        if self._speaks_for(second.giver, case):
            return None
        whole = Case(moves=(*case.moves[:place], second, *case.moves[place:]), at=case.at)
        hidden = [room for room in Oracle(self.terms, case.at.date()).rooms() if self._sees_none(whole, second, room)]
        if not hidden:
            return None
        kinds = kinds_of(whole)
        plain, more = self._answers(case, hidden, kinds), self._answers(whole, hidden, kinds)
        for (room, path), answer in plain.items():
            self.counts[TRACE] += 1
            if more[room, path] != answer:
                return Leak(
                    law=TRACE, parts=(), case=case, terms=self.terms, channel=room[0], reader=room[1], what=path,
                    second=second, place=place,
                )  # fmt: skip
        return None

    def _stage(self, case: Case) -> Stage:
        self.stage.begin(case.at)
        return self.stage

    def compare(
        self, stage: Stage, record: Record, case: Case, kinds: Mapping[int, str], *, only_seen: bool = False
    ) -> Leak | None:
        """What each room sees beside what the oracle forbids it. `only_seen`: without counting what is kept in."""
        oracle = Oracle(self.terms, stage.at.date())
        if stage.stopped:
            return self._leak(GATES, (), case, None, stage.stopped[0][0])
        self.counts[GATES] += len(record.statements)
        classes: dict[str, object] = {}
        for room in oracle.rooms():
            items = list(stage.seen(room, kinds))
            leak = self._made(items, record, case, kinds, room, oracle.class_of(room), classes)
            if leak is not None:
                return leak
            seen: dict[str, list[Mapping[str, Any] | None]] = {}
            for each in items:
                seen.setdefault(said_of(each), []).append(each)
            self.counts["released"] += len(items)
            nothing: list[Mapping[str, Any] | None] = [None]
            shown = ((each, item) for each in record.statements.values() for item in seen.get(each.trail, nothing))
            for statement, item in shown:
                if item is None and only_seen:
                    continue
                laws = oracle.forbids(record, statement, room, item)
                self.counts[PERMITTED] += 1
                self.counts.update(laws)
                if item is None:
                    continue
                self.counts.update(FORMS if altered.tokens(item) else ())
                if laws:
                    return self._leak(PERMITTED, tuple(sorted(laws)), case, room, item["id"])
                if not self._marked(record, statement, item):
                    return self._leak(MARKS, (), case, room, item["id"])
        return None

    def _made(
        self, items: list[Any], record: Record, case: Case, kinds: Mapping[int, str], room: Room, class_: object,
        classes: dict[str, object],
    ) -> Leak | None:  # fmt: skip
        """What we made ourselves: it says so (R16), under an id of its own class of recipients (R15), and where it
        shows no statement, one of its type was permitted in that form. `classes`: made id → who has it.
        """
        oracle, known = Oracle(self.terms, self.stage.at.date()), {id_of(n, kind) for n, kind in kinds.items()}
        trails = {statement.trail for statement in record.statements.values()}
        for item in items:
            if recall.EXTENSION in item.get("extensions", {}):
                continue
            own = item["id"] in known
            self.counts[LINEAGE] += 1
            if own == bool(altered.tokens(item)):
                return self._leak(LINEAGE, (), case, room, item["id"])
            if own:
                continue
            self.counts[IDS] += 1
            if any(item["id"] == act.made for acts in record.acts.values() for act in acts):
                continue  # a statement of ours, of which everybody knows the one id
            if classes.setdefault(item["id"], class_) != class_:
                return self._leak(IDS, (), case, room, item["id"])
            if said_of(item) in trails:
                continue
            like = [
                each for each in record.statements.values()
                if each.thing.kind == item["type"] and item.get("value", "") in ("", value_of(each.thing))
            ]  # fmt: skip
            found = [oracle.forbids(record, each, room, item) for each in like]
            if all(found):
                laws = sorted(frozenset[str]().union(*found))
                return self._leak(PERMITTED, tuple(laws), case, room, item["id"])
        return None

    def _marked(self, record: Record, statement: Statement, item: Mapping[str, Any]) -> bool:
        """Whether what leaves says all the levels that came with what is in it, or stricter ones (pain 44); or what a
        person widened says the level that was named then.
        """
        self.counts[MARKS] += 1
        if any(altered.levels_left(item) == {act.level} for act in record.acts.get(statement.trail, ())):
            return {name for name in statement.thing.marks if name[:4] == "pap:"} <= altered.marks_left(item)
        names = altered.marks_left(item)
        gone = altered.gone(statement.thing, item)
        given = {*statement.thing.marks, *(mark for mark in statement.thing.parts if mark not in gone)}
        return (
            all(
                max(levels(given, listed=listed), default=-1) <= max(levels(names, listed=listed), default=-1)
                for listed in (False, True)
            )
            and {name for name in given if name[:4] in ("pap:", "pfc:")} <= names
        )

    def _leak(self, law: str, parts: tuple[str, ...], case: Case, room: Room | None, what: str) -> Leak:
        return Leak(
            law=law, parts=parts, case=case, terms=self.terms, what=what, channel=room.channel if room else "",
            reader=room.members[0] if room else "",
        )  # fmt: skip

    def _ends(self, case: Case) -> dict[tuple[str, str], set[str]]:
        """(channel, reader) → what can be seen there when everything has come."""
        stage, kinds = self._stage(case), kinds_of(case)
        for move in case.moves:
            stage.play(move, kinds)
        rooms = Oracle(self.terms, case.at.date()).rooms()
        return {(room.channel, room.members[0]): _things(case, stage.seen(room, kinds)) for room in rooms}

    def _speaks_for(self, peer: str, case: Case) -> bool:
        """Whether the peer owns what others give here: its word then tightens theirs, seen or not (decision 0002)."""
        owned = {identity.removeprefix("identity--").lower() for identity in self.terms.peers[peer].identities}
        things = (thing for move in case.moves for thing in move.things)
        return any(thing.creator.removeprefix("identity--").lower() in owned for thing in things)

    def _sees_none(self, whole: Case, second: Move, room: Room) -> bool:
        """Whether the room may at no time see anything of what `second` brings."""
        if room.collection is None:
            return False
        oracle, record = Oracle(self.terms, whole.at.date()), Record()
        for move in whole.moves:
            record.add(move)
            theirs = (s for s in record.statements.values() if s.giver == second.giver)
            if any(oracle.may_have_some(record, statement, room) for statement in theirs):
                return False
        return True

    def _answers(self, case: Case, rooms: list[Room], kinds: Mapping[int, str]) -> dict[Any, Any]:
        """Everything that the readers of these rooms are answered, after every move."""
        stage = self._stage(case)
        found: dict[Any, Any] = {}
        for move in case.moves:
            stage.play(move, kinds)
        for room in rooms:
            for path in _paths(room, kinds):
                found[(room.channel, room.members[0]), path] = stage.ask(room.members[0], path)
        return found


def _things(case: Case, items: Iterator[Mapping[str, Any]]) -> set[str]:
    """What is seen, by the ids of which it was made: one of two givers may stand for both, in a form of its own."""
    known = {trail(said(each, move)): id_of(each.number, kind_of(each)) for move in case.moves for each in move.things}
    # A notice tells whoever had something that it is gone, which is the one exception (R8).
    told = (item for item in items if recall.EXTENSION not in item.get("extensions", {}))
    return {known.get(said_of(item), str(item.get("value", item["id"]))) for item in told}


def _paths(room: Room, kinds: Mapping[int, str]) -> Iterator[str]:
    if room.collection is None:
        return
    base = f"/api/collections/{room.collection.id}/"
    yield from (base, f"{base}objects/?match[version]=all", f"{base}objects/?limit=1", f"{base}manifest/")
    yield f"/feeds/{room.collection.id}/manifest.json"
    for number, kind in kinds.items():
        yield f"{base}objects/{id_of(number, kind)}/"


def tightened(case: Case, number: int, mark: str) -> Case:
    """The same case, but everybody who states the thing with a mark states this one as well."""
    moves = [
        replace(move, things=tuple(
            replace(each, marks=(*each.marks, mark)) if each.number == number and mark not in each.marks else each
            for each in move.things
        ))
        for move in case.moves
    ]  # fmt: skip
    return Case(moves=tuple(moves), at=case.at)


def again(court: Court, leak: Leak, case: Case, second: Move | None) -> Leak | None:
    """Put the law that was broken to another case; the same law broken again, or None."""
    if leak.law == STRICTER and leak.tightened is not None:
        return court.stricter(case, *leak.tightened)
    if leak.law == TRACE:
        return court.trace(case, second, leak.place) if second is not None else None
    found = court.permitted(case)
    return found if found is not None and found.law == leak.law else None
