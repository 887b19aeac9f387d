"""Cases at random: who says what of what, in which order. The same seed makes the same cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from random import Random

from exchange.model.party import Terms
from exchange.sync.proof.events import event
from exchange.sync.proof.mail import by_another, mail
from exchange.sync.proof.words import (
    AHEAD,
    CONTAINERS,
    IDENTITY,
    LINKS,
    MARKS,
    OBSERVABLES,
    PERSON,
    Case,
    Move,
    Thing,
    Word,
    id_of,
    name_of,
)

_PLAIN = ("tlp:clear", "tlp:green", "tlp:amber", "tlp:amber+strict", "tlp:red")
_KINDS = ("indicator", "indicator", "malware", "domain-name")
_HOLDING = (*LINKS, *CONTAINERS)
_THINGS = 6
TELLER = 50
"""The number of the producer whose names are told."""
_NAMED, _LET_GO, _HALF, _PERSONAL = 0.3, 0.25, 0.5, 0.3
_MAILED, _BORN_IN_MISP, _ANSWERED, _LOOKED_AT, _SHUFFLED = 0.2, 0.15, 0.4, 0.2, 0.7


class Chance:
    """Draws cases for one node's terms."""

    def __init__(self, terms: Terms, now: datetime, seed: int) -> None:
        self.terms = terms
        self.random = Random(seed)  # noqa: S311 (cases to try, no secret)
        self._besides = Random(f"{seed} besides")  # noqa: S311
        """For what is added to a case: what is in it without that stays as it is."""
        self._persons = Random(f"{seed} persons")  # noqa: S311
        self._victims = Random(f"{seed} victims")  # noqa: S311
        self.givers = sorted(terms.peers)
        self.moments = moments(terms, now)
        self.identities = sorted(
            identity
            for peer in terms.peers.values()
            for identity in peer.identities
            if identity.startswith("identity--")
        )
        self.orgs = sorted({i.removeprefix("identity--").lower() for p in terms.peers.values() for i in p.identities})

        self.called = called(terms)
        self._asked = 0.15 if len(self.called) > len(called_by_nobody()) else 0.05

    def case(self, *, victims: bool = True) -> Case:
        """A few things, said by one or two givers, in some order, at one of the moments that matter.

        `victims`: and in some, mail and events of MISP that say who was attacked.
        """
        kinds = self._kinds()
        moves: list[Move] = []
        for giver in self.random.sample(self.givers, min(len(self.givers), self.random.choice((1, 1, 2)))):
            things = [self._thing(number, kinds) for number in kinds if self._odds(0.85)]
            things += [self._newer(each) for each in things if each.kind not in OBSERVABLES and self._odds(0.2)]
            self.random.shuffle(things)
            moves += self._moves(giver, tuple(things))
        order = list(range(len(moves)))
        if self._odds(0.5):  # two givers take turns; the pages of each stay in order
            order.sort(key=lambda at: (self.random.random(), at))
            order = _steady(order, moves)
        arranged = [moves[at] for at in order]
        if self._besides.random() < _NAMED:
            arranged = self._telling(arranged)
        if self._besides.random() < _LET_GO:
            arranged = self._let_go(arranged)
        if self._persons.random() < _PERSONAL:
            arranged = self._of_persons(arranged)
        if victims:
            arranged = self._of_victims(arranged)
        return Case(moves=tuple(arranged), at=self.random.choice(self.moments))

    def _of_victims(self, moves: list[Move]) -> list[Move]:
        """The same, and mail, or what was born in MISP, in pages between the others and in any order."""
        chance = self._victims
        if chance.random() < _MAILED:
            by, things = chance.choice(moves), mail(chance)
            moves = self._scattered(moves, by, things)
            others = [each for each in moves if (each.giver, each.posted) != (by.giver, by.posted)]
            if others and chance.random() < _ANSWERED:
                moves = self._scattered(moves, chance.choice(others), by_another(chance, things))
        if chance.random() < _BORN_IN_MISP:
            by = chance.choice(moves)
            moves = self._scattered(moves, by, event(chance, self.givers.index(by.giver)))
        return moves

    def _scattered(self, moves: list[Move], by: Move, things: list[Thing]) -> list[Move]:
        chance, found = self._victims, list(moves)
        if chance.random() < _SHUFFLED:
            chance.shuffle(things)
        cuts = sorted(chance.randint(0, len(things)) for _ in range(chance.randint(0, 2)))
        at = 0
        for begin, end in pairwise((0, *cuts, len(things))):
            at = chance.randint(at, len(found))
            last, words = chance.random() < _HALF, tuple[Word, ...]()
            if begin < end and chance.random() < _LOOKED_AT:
                whom = chance.choice(["", *(a.id for a in self.terms.agreements)])
                number = chance.choice(things[begin:end]).number
                words = tuple(Word(number, whom, who) for who in ("marie", "jean")[: chance.randint(1, 2)])
            page = tuple(things[begin:end])
            found.insert(at, Move(giver=by.giver, things=page, last=last, posted=by.posted, words=words))
            at += 1
        return [*found, Move(giver=by.giver, things=(), posted=by.posted)]

    def _of_persons(self, moves: list[Move]) -> list[Move]:
        """The same, in which one giver writes of a person wherever there is room, and nothing keeps half of it in."""
        giver = self._persons.choice(moves).giver
        return [
            replace(move, things=tuple(self._of_person(each) for each in move.things)) if move.giver == giver else move
            for move in moves
        ]

    def _of_person(self, thing: Thing) -> Thing:
        text = f"Write to {PERSON}"
        if thing.kind == IDENTITY:  # its creator is its id
            return thing
        if thing.kind in _HOLDING or self._persons.random() < _HALF:
            return replace(thing, text=text)
        marks = (self._persons.choice(_PLAIN[:2]),)
        return Thing(number=thing.number, kind=thing.kind, version=thing.version, marks=marks, text=text)

    def _telling(self, moves: list[Move]) -> list[Move]:
        """The same with a producer whose names are told before, between or after what shows them."""
        chance = self._besides
        stranger = id_of(TELLER, IDENTITY)
        whose = chance.choice([*self.identities, stranger])
        by = chance.choice(moves)
        found = []
        for move in moves:
            things = tuple(
                replace(each, creator=whose, text=f"Seen by {name_of(TELLER, chance.randint(0, 3))}")
                if (move.giver, move.posted) == (by.giver, by.posted) and each.kind not in OBSERVABLES
                and chance.random() < _HALF else each
                for each in move.things
            )  # fmt: skip
            found.append(replace(move, things=things))
        for version in range(chance.randint(1, 3)):
            told = self._identity(whose, version)
            found.insert(
                chance.randint(0, len(found)), Move(giver=by.giver, things=(told,), last=False, posted=by.posted)
            )
        return [*found, Move(giver=by.giver, things=(), posted=by.posted)]

    def _identity(self, whose: str, version: int) -> Thing:
        marks = (self._besides.choice(("tlp:clear", "tlp:green", "tlp:amber")),)
        return Thing(number=TELLER, kind=IDENTITY, creator=whose, version=version, marks=marks)

    def _let_go(self, moves: list[Move]) -> list[Move]:
        """The same with persons who let something go, at some time."""
        chance = self._besides
        numbers = sorted({thing.number for move in moves for thing in move.things})
        whom = ["", "", *(a.id for a in self.terms.agreements), *(f"peer:{each}" for each in self.givers)]
        for _ in range(chance.randint(1, 3) if numbers else 0):
            said, at = chance.choice(whom), chance.randrange(len(moves))
            number = chance.choice(numbers)
            words = [Word(number, said, who) for who in ("marie", "jean")[: chance.randint(1, 2)]]
            moves[at] = replace(moves[at], words=(*moves[at].words, *words))
        return moves

    def others(self, case: Case, giver: str) -> Move:
        """What another giver says of the same things and of others, all at once."""
        said = [thing for move in case.moves for thing in move.things]
        kinds = {thing.number: thing.kind for thing in said if thing.kind in (*_KINDS, *_HOLDING) and not thing.given}
        more = dict(kinds) if self._odds(0.7) else {}
        extra = {len(kinds) + 100 + n: self.random.choice(_KINDS) for n in range(2)}
        known = {**kinds, **extra}
        things = [self._thing(number, known, creator=False) for number in (*more, *extra)]
        # What another one calls a producer is no name here (R14).
        told = sorted({t.creator for t in said if t.kind == IDENTITY and not t.given})
        things += [self._identity(whose, 3) for whose in told]
        things += by_another(self._victims, said)
        things += [each for each in said if each.given and self._victims.random() < _HALF]
        return Move(giver=giver, things=tuple(things))

    def _kinds(self) -> dict[int, str]:
        count = self.random.randint(1, _THINGS)
        plain = self.random.randint(1, count)
        kinds = {number: self.random.choice(_KINDS) for number in range(plain)}
        return kinds | {number: self.random.choice(_HOLDING) for number in range(plain, count)}

    def _thing(self, number: int, kinds: dict[int, str], *, creator: bool = True) -> Thing:
        kind, refs = kinds[number], tuple[int, ...]()
        if kind in _HOLDING:
            others = [other for other in kinds if other != number and kinds[other] not in _HOLDING] or [number]
            most = 1 if kind == "sighting" else 2  # a sighting is of one object
            refs = tuple(self.random.sample(others, min(len(others), self.random.randint(1, most))))
        return Thing(
            number=number,
            kind=kind,
            marks=self._marks(),
            parts=(*self._marks()[:1], *self._marks()[:1]) if self._odds(0.2) else (),
            refs=refs,
            version=0 if kind == "domain-name" else self.random.choice((0, 0, 1, 2, AHEAD if self._odds(0.2) else 0)),
            creator=self._creator() if creator and kind != "domain-name" and self._odds(0.25) else "",
            reach=self.random.choice((0, 0, 0, 0, 1, 2, 3)),
            iep=self._odds(0.03),
            draft=self._odds(0.05),
            orgs=self._orgs() if self._odds(0.12) else None,
            text=self._text() if self._odds(0.25) else "",
            confidence=self.random.choice((0, 50, 100)) if self._odds(0.15) and kind != "domain-name" else None,
            unnamed=self._odds(0.04),
            misp=self._called() if self._odds(self._asked) else (),
        )

    def _newer(self, thing: Thing) -> Thing:
        """Another version of it, or the same one with other marks."""
        version = thing.version if thing.version == AHEAD else thing.version + self.random.choice((0, 1))
        return replace(thing, version=version, marks=self._marks())

    def _marks(self) -> tuple[str, ...]:
        drawn = self.random.random()
        if drawn < 0.25:
            return ()
        if drawn < 0.75:
            return (self.random.choice(_PLAIN),)
        return tuple(self.random.sample(sorted(MARKS), self.random.randint(1, 3)))

    def _text(self) -> str:
        """About a person at the place that was attacked, or with the name of a producer in it."""
        names = [peer.name for peer in self.terms.peers.values()]
        return self.random.choice((f"Write to {PERSON}", f"Seen by {self.random.choice(names)}"))

    def _creator(self) -> str:
        return self.random.choice(self.identities) if self.identities else ""

    def _called(self) -> tuple[str, ...]:
        """What MISP calls it: of what agreements ask for, and of what nobody does."""
        return tuple(self.random.sample(self.called, self.random.randint(1, 2)))

    def _orgs(self) -> tuple[str, ...]:
        return tuple(self.random.sample(self.orgs, self.random.randint(0, min(3, len(self.orgs)))))

    def _moves(self, giver: str, things: tuple[Thing, ...]) -> list[Move]:
        posted = self._channel(giver) if self._odds(0.2) else ""
        if posted or self._odds(0.5) or not things:
            return [Move(giver=giver, things=things, posted=posted)]
        cut = self.random.randint(0, len(things))
        return [Move(giver=giver, things=things[:cut], last=self._odds(0.3)), Move(giver=giver, things=things[cut:])]

    def _channel(self, giver: str) -> str:
        rooms = [c.id for c in self.terms.collections.values() if giver in c.writers]
        return f"collection:{self.random.choice(rooms)}" if rooms else ""

    def _odds(self, chance: float) -> bool:
        return self.random.random() < chance


def _steady(order: list[int], moves: list[Move]) -> list[int]:
    """The order, but each giver's pages as they followed each other."""
    waiting: dict[str, list[int]] = {}
    for at in sorted(order):
        waiting.setdefault(moves[at].giver, []).append(at)
    return [waiting[moves[at].giver].pop(0) for at in order]


def called_by_nobody() -> tuple[str, ...]:
    """What MISP calls things that no agreement speaks of."""
    return ("type:comment", "category:Other", "name:annotation")


def called(terms: Terms) -> tuple[str, ...]:
    """What MISP calls things, as the agreements ask for it, and what none of them does."""
    asked = {word for a in terms.agreements if a.send is not None for word in (*a.send.misp, *a.send.no_misp)}
    return (*sorted(word.replace("template:", "name:") for word in asked), *called_by_nobody())


def moments(terms: Terms, now: datetime) -> list[datetime]:
    """Now, and noon of the days on which something begins or is over: those before, on and after them."""
    days = {day for a in terms.agreements for day in (a.start - _DAY, a.start, a.end, a.end + _DAY)}
    reasonable = sorted(day for day in days if abs((day - now.date()).days) < _FAR)
    return [now] * (len(reasonable) or 1) + [datetime.combine(day, time(12), tzinfo=UTC) for day in reasonable]


def after_all(terms: Terms, now: datetime) -> datetime:
    """Noon of the day after the last agreement is over."""
    last = max((a.end for a in terms.agreements), default=now.date())
    return max(datetime.combine(last + _DAY, time(12), tzinfo=UTC), now)


_DAY = timedelta(days=1)
_FAR = 3650
