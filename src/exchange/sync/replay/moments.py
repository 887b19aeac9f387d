"""When decisions were made: sittings as points at which everything can be looked at again, and the rules of each."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import Connection

from exchange.model.party import Terms
from exchange.policy import Audience, Rules
from exchange.store import sittings
from exchange.store.clock import micros, moment
from exchange.store.past import STILL
from exchange.store.sittings import Followed, Sitting
from exchange.sync.sittings import terms_of

_KEPT = 32
"""Rules of different instants that are kept; a store is gone through by and large in order of time."""


class Point(NamedTuple):
    """One instant of the store: what had been committed by the sitting `number`, at the clock `at` (µs)."""

    number: int
    at: int
    ruled: int
    terms: int
    upto: int

    @property
    def when(self) -> datetime:
        """The clock."""
        return moment(self.at)


class Ruled(NamedTuple):
    """Rules, and their audiences by key."""

    rules: Rules
    audiences: dict[str, Audience]


class Moments:
    """The points of one store. `now`: that of whoever asks."""

    def __init__(self, tx: Connection, now: datetime) -> None:
        self._tx, self._now = tx, micros(now)
        self.followed = sittings.terms(tx)
        self.last_at = sittings.last_at(tx)
        """When listings were last decided, in µs."""
        self._terms: dict[int, Terms | None] = {}
        self._bases: dict[tuple[int, int], Ruled] = {}
        self._rules: OrderedDict[tuple[int, int], Ruled] = OrderedDict()
        self._points: OrderedDict[int, Point | None] = OrderedDict()

    def of(self, sitting: Sitting) -> Point:
        """The point of a sitting."""
        return Point(sitting.id, sitting.at, sitting.ruled, sitting.terms, sitting.upto)

    def numbered(self, number: int) -> Point | None:
        """The point of the sitting with this number; None: there was none."""
        if number not in self._points:
            found = sittings.numbered(self._tx, number)
            self._points[number] = None if found is None else self.of(found)
            if len(self._points) > 4 * _KEPT:
                self._points.popitem(last=False)
        return self._points[number]

    def present(self) -> Point:
        """As everything stands now, by the terms that the store follows."""
        return self._present

    @cached_property
    def _present(self) -> Point:
        last = self.followed[-1]
        ruled = self._now
        terms = self._terms_of(last)
        if terms is not None and Rules(terms, moment(ruled)).epoch != last.epoch:
            ruled = last.at  # an agreement has begun since, which the store does not follow yet
        return Point(STILL - 1, self._now, ruled, last.id, STILL)

    def began(self, terms: int) -> Followed:
        """When these terms were first followed."""
        return self.followed[terms - 1]

    def rules(self, point: Point) -> Ruled | None:
        """By what was decided at that point; None: this release does not read it as the same terms."""
        key = point.terms, point.ruled
        found = self._rules.get(key)
        if found is None:
            found = self._made(point)
            if found is None:
                return None
            self._rules[key] = found
            if len(self._rules) > _KEPT:
                self._rules.popitem(last=False)
        return found

    def _made(self, point: Point) -> Ruled | None:
        followed = self.began(point.terms)
        terms = self._terms_of(followed)
        if terms is None:
            return None
        when = moment(point.ruled)
        # What terms make of a day does not change in the course of it; only what is decided by the instant does.
        day = point.terms, when.toordinal()
        base = self._bases.get(day)
        if base is None:
            rules = Rules(terms, when)
            if rules.epoch != followed.epoch:
                return None
            base = self._bases[day] = Ruled(rules, {audience.key: audience for audience in rules.audiences})
            if len(self._bases) > _KEPT:
                del self._bases[next(iter(self._bases))]
        return Ruled(_at(base.rules, when), base.audiences)

    def _terms_of(self, followed: Followed) -> Terms | None:
        if followed.id not in self._terms:
            self._terms[followed.id] = terms_of(followed.terms)
        return self._terms[followed.id]


def _at(rules: Rules, when: datetime) -> Rules:
    """The same terms at another instant of the same day."""
    if rules.now == when:
        return rules
    other = copy(rules)
    other.now, other._cache = when, {}
    return other
