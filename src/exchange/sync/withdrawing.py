"""An operator's withdrawal (RULES R31): out of every collection and outbox at once, until it is lifted.

Up to a thousand statements go in one transaction. Of more, one statement shuts the audiences that have them, which
then answer 503 (R18, R19), and they are closed a step at a time; if that is broken off, the daemon goes on with it.
Whoever had something is told by the notices of R8, as of any other withdrawal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, RowMapping

from exchange.model import normalise
from exchange.policy import Rules
from exchange.store import Store, audiences, derived, removals, scopes, statements
from exchange.store.audiences import EPOCH
from exchange.store.clock import micros
from exchange.store.removals import CLOSING, LIFTED, LIFTING, STANDING
from exchange.store.scopes import Scope
from exchange.sync import stages
from exchange.sync.accept import STEP, require
from exchange.sync.deletion import beside
from exchange.sync.explain import is_stix_id, is_uuid
from exchange.sync.listing import Lister

log = structlog.get_logger()

AT_ONCE = 1_000
"""Statements of one transaction (RULES R18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A withdrawal, or its end. `objects`: how many ids it is about."""

    number: int
    objects: int


def named(tx: Connection, asked: str) -> Scope:
    """What an operator names: a STIX id, the uuid of a MISP entity, or a value; without targets: nothing is held."""
    asked = asked.strip()
    if is_stix_id(asked):
        found = statements.find(tx, stix_id=asked)
    elif is_uuid(asked):
        uuid = asked.lower()
        found = [held for held in statements.find(tx, uuid=uuid) if held.stix_id.endswith("--" + uuid)]
        found += [held for group in statements.held(tx, beside([uuid])).values() for held in group]
    else:
        values = tuple(sorted(normalise.forms(asked)))
        scope = Scope(kind="value", asked=asked, targets=values)
        return scope if scopes.size(tx, scope, 1) else Scope(kind="value", asked=asked, targets=())
    ids = dict.fromkeys(held.stix_id for held in found)
    ours = derived.originals(tx, ids)  # by the id that we gave to what was altered, the original is meant
    return Scope(kind="object", asked=asked, targets=tuple(dict.fromkeys(ours.get(each, each) for each in ids)))


def in_event(tx: Connection, asked: str) -> Scope:
    """An event by its MISP uuid, or the id of a report or grouping; without targets: nothing is held of it."""
    return Scope(kind="event", asked=asked.strip(), targets=scopes.events_of(tx, asked.strip().lower()))


def withdraw_from_all(
    store: Store, rules: Rules, scope: Scope, *, who: str, why: str, clock: Callable[[], datetime]
) -> Done:
    """Take it out of every collection and outbox; it is out, or shut away, when the first transaction ends.

    Raises StoreBusy and StoreOutdated; after the first transaction the daemon does what is left.
    """
    with store.reading() as tx:
        large = scopes.size(tx, scope, AT_ONCE + 1) > AT_ONCE
        shut = scopes.audiences_of(tx, scope) if large else []
    now = clock()
    with store.writing() as tx:
        require(tx, rules)
        state = CLOSING if large else STANDING
        number = removals.begin(tx, scope, state=state, shut=shut, who=who, why=why, now=micros(now))
        if not large:
            # What came since it was counted is no more than a transaction may do.
            ids = removals.mark(tx, number, scope, scopes.steps(tx, scope, 0, 2 * AT_ONCE), micros(now))
            Lister(tx, rules, now).relist(ids)
            return Done(number=number, objects=len(ids))
    return Done(number=number, objects=go_on(store, rules, number, clock, lambda: False))


def lift(store: Store, rules: Rules, number: int, *, who: str, why: str, clock: Callable[[], datetime]) -> Done:
    """End a withdrawal: what it held is decided again, as everything else is. Raises StoreBusy and StoreOutdated."""
    with store.writing() as tx:
        require(tx, rules)
        removals.lift(tx, number, who=who, why=why, now=micros(clock()))
    return Done(number=number, objects=go_on(store, rules, number, clock, lambda: False))


def go_on(
    store: Store, rules: Rules, number: int, clock: Callable[[], datetime], stopping: Callable[[], bool]
) -> int:  # fmt: skip
    """Do what is left of a withdrawal or of its end, a step at a time; how many ids that was."""
    done = 0
    while not stopping():
        now = clock()
        with store.writing() as tx:
            require(tx, rules)
            row = removals.find(tx, number)
            if row is None or row["state"] not in (CLOSING, LIFTING):
                break
            scope = scopes.of_row(row)
            if row["state"] == CLOSING:
                ids = _close(tx, number, scope, row["upto"], now)
                if not ids:
                    _over(tx, rules, row, STANDING)
            else:
                source = scope.targets[0] if scope.kind == "source" else ""
                ids = removals.let_go(tx, number, source, STEP)
                if not ids:
                    _over(tx, rules, row, LIFTED)
            Lister(tx, rules, now).relist(ids)
            done += len(ids)
    return done


def _close(tx: Connection, number: int, scope: Scope, upto: int, now: datetime) -> list[str]:
    held = scopes.steps(tx, scope, upto, STEP)
    if held:
        removals.advance(tx, number, upto=held[-1].seq)
        return removals.mark(tx, number, scope, held, micros(now))
    return []


def _over(tx: Connection, rules: Rules, row: RowMapping, state: str) -> None:
    """Nothing is left to do; what was shut for it may be read again, unless the terms are being adopted."""
    removals.advance(tx, row["id"], state=state)
    if audiences.note(tx, EPOCH) == rules.epoch and stages.read(tx) is None:
        removals.reopen(tx, scopes.shut_of(row))


def resume(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Go on with what was broken off; how many ids were decided."""
    with store.reading() as tx:
        numbers = removals.unfinished(tx)
    return sum(go_on(store, rules, number, clock, stopping) for number in numbers)
