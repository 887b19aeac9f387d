"""How far a change of terms has come: what is judged anew, then what is taken, then what is given, step by step.

The notes stand in the store, each written with its step, so that a change goes on where it was broken off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from exchange.errors import StoreOutdated
from exchange.model.party import Terms
from exchange.policy import Rules
from exchange.store import Store, audiences, classes, listings, notices, statements
from exchange.store.classes import Member
from exchange.store.clock import micros, moment
from exchange.sync.accept import STEP, judge, require
from exchange.sync.passes import Giving, Taking
from exchange.sync.shift import Effect, Shift

Clock = Callable[[], datetime]
MARK, JUDGE, TAKE, GIVE = "mark", "judge", "take", "give"
NAMES = (MARK, JUDGE, TAKE, GIVE)
_STAGE = "policy_stage"
"""The note of the stage that goes on; empty: none, everything is decided."""
_TERMS = "policy_terms"
"""The note of the terms by which what stands was decided: one, or several while a change goes on."""
_MOST_TERMS = 4
RETIRING = 5_000
"""Rows of one step that closes what nobody may read any more."""
FEWEST = 10
"""Statements of one step at least, however many audiences there are."""
_ROWS = 10_000
"""Rows of listings that one step writes at most, about."""
_TAKEN = 2_500
"""Rows that one step takes at most, about; each is closed, and a notice of it is listed."""


class Stage(NamedTuple):
    """A stage, the last statement that it has seen, and the last that it is to see: later ones know the new terms."""

    name: str
    after: int
    upto: int
    turn: int = 0
    """The number of the terms among all that were followed: the same may come back after others."""


def read(tx: Connection) -> Stage | None:
    """The stage that goes on; None: none does."""
    noted = audiences.note(tx, _STAGE)
    return msgspec.json.decode(noted, type=Stage) if noted else None


def put(tx: Connection, stage: Stage) -> None:
    """Note it."""
    audiences.set_note(tx, _STAGE, msgspec.json.encode(stage).decode())


def upto(tx: Connection) -> int:
    """The last statement."""
    return classes.last(tx)


class _Noted(msgspec.Struct):
    """Terms as they were adopted at `now`, in µs."""

    epoch: str
    now: int
    terms: Any


def before(tx: Connection, but: str = "") -> list[Rules]:
    """The rules by which what stands was decided, without those whose epoch is `but`; none: that is not known.

    What an earlier release noted, and this one does not read as the same terms, is not known.
    """
    found = []
    for noted in _noted(tx):
        if noted.epoch == but:
            continue
        try:
            rules = Rules(msgspec.convert(noted.terms, type=Terms), moment(noted.now))
        except msgspec.ValidationError:
            return []
        if rules.epoch != noted.epoch:
            return []
        found.append(rules)
    return found if len(found) <= _MOST_TERMS else []


def _noted(tx: Connection) -> list[_Noted]:
    noted = audiences.note(tx, _TERMS)
    return msgspec.json.decode(noted, type=list[_Noted]) if noted else []


def _note(tx: Connection, noted: Sequence[_Noted]) -> None:
    audiences.set_note(tx, _TERMS, msgspec.json.encode(noted).decode())


def _of(rules: Rules) -> _Noted:
    return _Noted(epoch=rules.epoch, now=micros(rules.now), terms=rules.terms)


def begin(tx: Connection, rules: Rules, turn: int) -> None:
    """These rules are followed from now on, as `turn`; what was decided until now is to be looked through."""
    known = _noted(tx)
    if known or not classes.last(tx):
        _note(tx, [*known, _of(rules)][-_MOST_TERMS - 2 :])
    put(tx, Stage(MARK, 0, classes.last(tx), turn))


def still(tx: Connection, rules: Rules, stage: Stage) -> None:
    """Raises StoreOutdated unless the store follows `rules`, and has followed no others since `stage` was read: these
    have taken and given where the steps have been already.
    """
    require(tx, rules)
    now = read(tx)
    if now is not None and now.turn != stage.turn:
        raise StoreOutdated("store.policy_changed", found=str(now.turn), needed=str(stage.turn))


def end(tx: Connection, rules: Rules) -> None:
    """All that stands is decided by these rules."""
    _note(tx, [_of(rules)])
    audiences.set_note(tx, _STAGE, "")


@dataclass(slots=True)
class Affected:
    """Statements for which something may change, up to the number `last`."""

    last: int
    done: bool = False
    """There are no more."""
    special: list[str] = field(default_factory=list)
    """Ids that are decided by themselves."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """Id → what changes for its class."""
    several: set[str] = field(default_factory=set)
    """Those of them that are not alone about their id."""
    alone: dict[str, int] = field(default_factory=dict)
    """The others, and their numbers."""


def affected(
    tx: Connection, shift: Shift, after: int, last: int, most: int, whose: Collection[str] | None = None
) -> Affected:
    """The next of them behind `after`, about `most`; `whose`: only those that these audiences lose."""
    found, seen = Affected(last=after), 0
    while not found.done and seen < max(_LOOK, 2 * most):
        members = classes.walk(tx, found.last, last, 2 * most)
        seen += len(members)
        found.done = len(members) < 2 * most
        if _look(tx, shift, members, found, most, whose):
            found.done = False
            break
    return found


def _look(
    tx: Connection, shift: Shift, members: Sequence[Member], found: Affected, most: int, whose: Collection[str] | None
) -> bool:
    """Add those of `members` to `found` for which something may change; whether `most` are found."""
    several = [member.stix_id for member in members if not member.plain and not shift.special(member)]
    groups = notices.others(statements.held(tx, dict.fromkeys(several)))
    for member in members:
        found.last = member.seq
        effect: Effect | None = None
        if not shift.special(member):
            group = groups.get(member.stix_id)
            if not member.plain and group is None:
                continue  # a notice of ours that somebody hands back
            effect = shift.of(member, _reader(tx, member)) if group is None else shift.of_group(group)
        if effect is None:
            found.special.append(member.stix_id)
        elif effect.any if whose is None else not effect.lose.isdisjoint(whose):
            found.effects[member.stix_id] = effect
            if member.plain:
                found.alone[member.stix_id] = member.seq
            else:
                found.several.add(member.stix_id)
        if len(found.special) + len(found.effects) >= most:
            return True
    return False


_LOOK = 2_000
"""Statements that one look goes through before it rests."""


def _reader(tx: Connection, member: Member) -> Any:
    return lambda: statements.by_seq(tx, [member.seq])[0]


def walk(store: Store, shift: Shift, stage: Stage, shut: Collection[str], clock: Clock) -> int:
    """All the steps of this stage that are left, each at the time of `clock`; the number of listings that changed."""
    steps = {MARK: _judged, JUDGE: _judged, TAKE: _taken, GIVE: _given}
    changed = 0
    if stage.name == MARK and not shift.strange:
        return 0
    if stage.name == JUDGE and not (shift.strange or shift.defaults):
        return 0
    while True:
        moved, stage, done = steps[stage.name](store, shift, stage, shut, clock())
        changed += moved
        if done:
            return changed


def retire(store: Store, rules: Rules, clock: Clock) -> None:
    """Close what stands in audiences that the terms no longer make; nobody reads there."""
    with store.reading() as tx:
        gone = [row.number for row in audiences.everyone(tx).values() if row.retired and row.open]
    for number in gone:
        after: int | None = 0
        while after is not None:
            with store.writing() as tx:
                require(tx, rules)
                after = listings.close_retired(tx, number, after, RETIRING, micros(clock()))
                if after is None:
                    audiences.emptied(tx, number)


_Step = tuple[int, Stage, bool]
"""How many listings changed, how far it has come, and whether that is all."""


def _judged(store: Store, shift: Shift, stage: Stage, _: Collection[str], __: datetime) -> _Step:
    """What statements are worth by the new terms: first which marks count at all, then what rests on those."""
    rules = shift.rules
    with store.writing() as tx:
        still(tx, rules, stage)
        seqs = [s for s in statements.walk(tx, stage.after, STEP, unknown=stage.name == MARK) if s <= stage.upto]
        if not seqs:
            return 0, stage, True
        held = statements.by_seq(tx, seqs)
        judge(tx, rules, [item.seq for item in held if not item.waiting and shift.judges_anew(item.peer, item.basis)])
        stage = stage._replace(after=seqs[-1])
        put(tx, stage)
    return 0, stage, False


def _taken(store: Store, shift: Shift, stage: Stage, shut: Collection[str], now: datetime) -> _Step:
    most = max(FEWEST, min(STEP, _TAKEN // max(1, len(shut))))
    with store.reading() as tx:
        still(tx, shift.rules, stage)
        found = affected(tx, shift, stage.after, stage.upto, most, shut)
    moved = 0
    if found.special or found.effects:
        with store.writing() as tx:
            still(tx, shift.rules, stage)
            step = Taking(tx, shift.rules, now, (stage.after, found.last), shut)
            refused = _refused(tx, shift, found.alone, shut)
            done = {stix_id for stix_id, seq in found.alone.items() if seq in refused}
            others = (stix_id for stix_id in (*found.special, *found.effects) if stix_id not in done)
            moved = step.take(others, refused)
            put(tx, stage._replace(after=found.last))
    return moved, stage._replace(after=found.last), found.done


def _refused(
    tx: Connection, shift: Shift, alone: Mapping[str, int], shut: Collection[str]
) -> dict[int, Mapping[str, str]]:
    """Of these statements, as they are now: those of which the class says all, and who is refused them, and why."""
    refused: dict[int, Mapping[str, str]] = {}
    for member in classes.again(tx, alone.values()):
        if member.plain and not shift.special(member):
            effect = shift.of(member, _reader(tx, member))
            lose = effect.lose.intersection(shut)
            if lose <= effect.codes.keys():
                refused[member.seq] = {key: effect.codes[key] for key in lose}
    return refused


def _given(store: Store, shift: Shift, stage: Stage, _: Collection[str], now: datetime) -> _Step:
    most = max(FEWEST, min(STEP, _ROWS // max(1, len(shift.rules.audiences))))
    with store.reading() as tx:
        still(tx, shift.rules, stage)
        found = affected(tx, shift, stage.after, stage.upto, most)
    moved = 0
    special, gained, others = list(found.special), {}, []
    whose: set[str] = set()
    for stix_id, effect in found.effects.items():
        if stix_id in found.several:
            others.append(stix_id)
            whose |= effect.gain | effect.lose | effect.move
        elif effect.gain and effect.move:
            special.append(stix_id)
        elif effect.gain:
            gained[stix_id] = effect.gain
        elif effect.move:
            others.append(stix_id)
            whose |= effect.move
    if special or gained or others:
        with store.writing() as tx:
            still(tx, shift.rules, stage)
            step = Giving(tx, shift.rules, now, (stage.after, found.last), whose)
            moved = step.give(special, gained, others)
            put(tx, stage._replace(after=found.last))
    return moved, stage._replace(after=found.last), found.done
