"""The act of widening: what it would do is planned, persons say it, and what is made enters by the one door.

    plan = planned(store, rules, wish, now)                  who would newly have it, and why something may not be
    done = say(store, rules, plan, who=…, why=…, clock=…)    written down; made and decided when as many persons said it

Nothing else widens: an architecture test says that only the command asks for it. The original never changes; what
becomes of it later ends the act (`sync.widened`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from exchange.errors import UsageError
from exchange.model.envelope import Page
from exchange.policy import Rules
from exchange.store import Store, widenings
from exchange.store.clock import micros
from exchange.store.widenings import ASKED, ENDED, WIDENED, Word
from exchange.sync import widened
from exchange.sync.accept import Found, look, require, take
from exchange.sync.listing import Lister
from exchange.sync.loosening import Item, Plan, Planner, Wish, said_of

_TRIES = 3
"""How often a plan is made anew because something near it has changed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it. `waits`: for how many other persons; 0: it is done."""

    act: int
    waits: int
    made: tuple[str, ...]


def planned(store: Store, rules: Rules, wish: Wish, now: datetime) -> Plan:
    """What the wish would do; nothing is written. Raises UsageError that says why it may not be, and what may."""
    with store.reading() as tx:
        return Planner(tx, rules, wish, now).plan()


def say(
    store: Store, rules: Rules, plan: Plan, *, who: str, why: str, clock: Callable[[], datetime]
) -> Done:  # fmt: skip
    """One person's word for the plan; the last one that it needs makes and lists the new objects with it.

    It is planned anew before the writer lock is taken, and looked at in it whether that still holds (RULES R18). Word
    and objects are of one transaction: what is broken off has let nothing go, and leaves no act. Raises UsageError
    where the store says something else by now, or the same person speaks twice; StoreBusy and StoreOutdated.
    """
    for _ in range(_TRIES):
        now = clock()
        with store.reading() as tx:
            planner = Planner(tx, rules, plan.wish, now)
            fresh = planner.plan()
        if fresh.shape != plan.shape:
            break
        page = Page(objects=[item.made for item in fresh.items], last=True)
        found = look(rules, page, fresh.items[0].home)
        with store.writing() as tx:
            require(tx, rules)
            if planner.footing.stands(tx):
                return _said(tx, rules, fresh, page, found, who, why, now)
    raise UsageError("cli.widen.overtaken")


def _said(
    tx: Connection, rules: Rules, plan: Plan, page: Page, found: Found, who: str, why: str, now: datetime
) -> Done:  # fmt: skip
    before = said_of(tx, plan.wish, plan.items)
    persons = {word.who.casefold() for word in before}
    if who.casefold() in persons:
        raise UsageError("cli.widen.four_eyes", who=who)
    waits = plan.eyes - len(persons) - 1
    word, number = (WIDENED if waits <= 0 else ASKED), before[0].act if before else 0
    act = widenings.keep(tx, [_word(item, plan.wish, number, word, who, why, now) for item in plan.items])
    if word == ASKED:
        return Done(act=act, waits=waits, made=())
    home = plan.items[0].home
    # No plan is more than one step, so nothing of it waits for another transaction.
    taken, _ = take(tx, rules, page, found, widenings.source_of(home), home, now)
    refused = [outcome for outcome in taken.outcomes if not outcome.success]
    if refused:
        raise UsageError("cli.widen.refused", id=refused[0].id, reason=refused[0].reason or refused[0].code)
    return Done(act=act, waits=0, made=tuple(item.made.id for item in plan.items))


def finish(store: Store, rules: Rules, act: int, *, who: str, why: str, clock: Callable[[], datetime]) -> list[str]:
    """A person ends an act, done or only asked for, or takes note that it is over; the ids that go.

    Raises UsageError where there is none of this number, StoreBusy and StoreOutdated.
    """
    now = clock()
    with store.writing() as tx:
        require(tx, rules)
        last = {word.seq: word for word in widenings.of_act(tx, act)}
        over = (ENDED, widened.ENDED_BY_PERSON)
        open_ = [word for word in last.values() if (word.word, word.code) != over and word.stix_id]
        if not open_:
            raise UsageError("cli.widen.unknown_act", number=act)
        made = widened.end(tx, open_, widened.ENDED_BY_PERSON, now=now, who=who, why=why)
        Lister(tx, rules, now).relist(made)
        return made


def _word(item: Item, wish: Wish, act: int, word: str, who: str, why: str, now: datetime) -> Word:
    return Word(
        act=act, word=word, at=micros(now), who=who, why=why, right=wish.right, before=item.label.to_text(),
        level=wish.to.to_text(), source=item.held.source, seq=item.held.seq, stix_id=item.held.stix_id,
        version=item.held.version, made=item.made.id if word == WIDENED else "", code="",
        token=item.token if word == WIDENED else "",
    )  # fmt: skip
