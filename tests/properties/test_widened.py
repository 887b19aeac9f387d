"""No leak where persons widen: the oracle lets out what an act allows, while its ground holds, and nothing more.

Seconds by default; `make soak` draws a hundred times as many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exchange.errors import UsageError
from exchange.model import recall
from exchange.model.marking import Label
from exchange.model.party import Receive, Send, Terms
from exchange.policy import Rules
from exchange.policy import widening as pure
from exchange.serve import Visitor
from exchange.store import Store
from exchange.sync import listing, widened, widening
from exchange.sync.loosening import Planner, Wish
from exchange.sync.proof.acts import is_word_of
from exchange.sync.proof.chance import Chance, after_all
from exchange.sync.proof.laws import Court, Leak
from exchange.sync.proof.oracle import Oracle, kinds_of
from exchange.sync.proof.record import Act, Record, Statement, Worth, levels
from exchange.sync.proof.words import AHEAD, IDENTITY, Case, Move, Thing, id_of
from tests.sync.test_widening import BODY_IDENTITY, house
from tests.world import NODE, NOW, SHARED, Tlp, agreement, collection

MANY = 100 if os.environ.get("EXCHANGE_SOAK") else 1
LEVELS = ("tlp:clear", "tlp:green", "tlp:amber", "pfc:libre", "pfc:vert")
MAISON, BODY = "maison", "organisme"


def office() -> Terms:
    """Two agreements, one of which hides producers; a room that all read, the giver of PFC too."""
    given = house(ministry=True)
    agreements = (
        agreement("reseau", "ccc", "circl", receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.GREEN)),
        agreement(
            "europe", "cert-ee", receive=Receive(ceiling=Tlp.RED),
            send=Send(ceiling=Tlp.AMBER, attribution="anonymous", personal="allowed"),
        ),
        agreement(
            "quebec", BODY, receive=Receive(ceiling=Tlp.RED, confidence=10, unrated=True),
            send=Send(ceiling=Tlp.AMBER, pfc=True),
        ),
    )  # fmt: skip
    room = collection(SHARED, "partenaires", ("ccc", "cert-ee", "circl", BODY), ceiling=Tlp.AMBER)
    return replace(given, agreements=agreements, collections={SHARED: room})


class Drama:
    """A case in which persons widen between the moves."""

    def __init__(self, store: Store, terms: Terms, seed: int) -> None:
        self.court, self.random = Court(store, terms, Visitor), Random(seed)  # noqa: S311 (cases to try, no secret)
        chance = Chance(terms, NOW, seed)
        self.case = _ours(chance.case(victims=False), self.random)
        self.record, self.acts = Record(), 0

    def leak(self, *, forget: bool = False) -> Leak | None:
        """What the oracle finds after each move and each act. `forget`: nobody tells it of the acts."""
        stage, kinds = self.court.stage, kinds_of(self.case)
        stage.begin(self.case.at)
        for move in self.case.moves:
            stage.play(move, kinds)
            self.record.add(move)
            found = self._compare(kinds)
            for statement in list(self.record.statements.values()) if found is None else ():
                if self.random.random() < 0.6:
                    self._widen(statement, forget=forget)
            found = found or self._compare(kinds)
            if found is not None:
                return found
        return self._afterwards(kinds)

    def _afterwards(self, kinds: Any) -> Leak | None:
        """What is found when the ministry's right is gone, and when all agreements are over."""
        court, over = self.court, after_all(self.court.terms, self.case.at)
        court.terms = court.stage.terms = replace(court.terms, acts_for_mcn=False)
        for at, adopted in ((self.case.at, True), (over, False), (over, True)):
            court.stage.set_clock(at, adopted=adopted)
            found = self._compare(kinds, only_seen=True)
            if found is not None:
                return found
        return None

    def _compare(self, kinds: Any, **more: Any) -> Leak | None:
        return self.court.compare(self.court.stage, self.record, self.case, kinds, **more)

    def _widen(self, statement: Statement, *, forget: bool) -> None:
        stage, level = self.court.stage, self.random.choice(LEVELS)
        right = "pfc" if statement.thing.creator != NODE and self.random.random() < 0.9 else "creator"
        to = pure.wanted(level)
        assert to is not None
        wish = Wish(
            asked=id_of(statement.thing.number, statement.thing.kind), to=to, right=right, source=statement.source,  # type: ignore[arg-type]
            content=self.random.random() < 0.5,
        )  # fmt: skip
        try:
            plan = widening.planned(stage.store, stage.rules, wish, stage.at)
        except UsageError:
            return
        done = widening.say(stage.store, stage.rules, plan, who="a", why="b", clock=lambda: stage.at)
        oracle = Oracle(self.court.terms, stage.at.date())
        for item, made in zip(plan.items, done.made, strict=True):
            of = self._statement(item.held.stix_id, item.held.source)
            worths = [each for each in self._worths(oracle, of) if _is_same(each, item.label)]
            assert worths, (item.label, of)
            self.acts += 1
            for worth in () if forget else worths:  # what was judged is one of them, the least restrictive (R11)
                self.record.widen(Act(statement=of, worth=worth, level=level, right=right, made=made))

    def _worths(self, oracle: Oracle, of: Statement) -> list[Worth]:
        """What it may be worth, by itself and under the word of its creator (decision 0002)."""
        mine, whose = oracle.worths(self.record, of), of.thing.creator
        beside = [each for each in self.record.beside(of) if is_word_of(self.court.terms, each.giver, whose)]
        theirs = [worth for each in beside for worth in oracle.worths(self.record, each)]
        return mine + [each.with_(above) for each in mine for above in theirs]

    def _statement(self, stix_id: str, source: str) -> Statement:
        return next(
            newest
            for each in self.record.statements.values()
            if each.source == source and id_of(each.thing.number, each.thing.kind) == stix_id
            if (newest := self.record.of(source, each.thing.number)) is not None
        )


def _is_same(worth: Worth, label: Label) -> bool:
    """Whether the oracle's reading of what something is worth says the levels and the reach of ours."""
    read = [max(levels(worth.names, listed=listed), default=None) for listed in (True, False)]
    mine = [label.level(listed=listed) for listed in (True, False)]
    return (read, worth.reach) == ([None if each is None else int(each) for each in mine], int(label.reach))


def _newer(thing: Thing) -> Thing:
    return thing if thing.kind == "domain-name" else replace(thing, version=thing.version + 1)


def _ours(case: Case, random: Random) -> Case:
    """The same case, in which more is ours, or of the body of Québec, than chance would have.

    In some our house holds copies of what the body wrote.
    """
    whose: dict[int, str] = {}
    copies = random.random() < 0.3

    def said(thing: Thing, giver: str) -> Thing:
        same = random.random() < 0.1 if giver in (MAISON, BODY) and thing.kind != "domain-name" else True
        creator = thing.creator if same else NODE if giver == MAISON else BODY_IDENTITY
        if thing.kind == IDENTITY:  # its creator is its id: whoever tells it in whatever version, it is one identity
            creator = whose.setdefault(thing.number, creator)
        if same:
            return replace(thing, creator=creator)
        if giver == MAISON:
            return replace(thing, creator=creator, parts=())
        marks = (random.choice(("pfc:ambre", "pfc:ambre+strict")), *thing.marks[:1])
        text = random.choice((thing.text, "Seen by Ministère des Exemples"))
        return replace(thing, creator=creator, parts=(), marks=marks, text=text)

    moves = []
    for move in case.moves:
        giver = random.choice((MAISON, BODY)) if not move.posted and move.giver not in (MAISON, BODY) else move.giver
        things = tuple(said(each, giver) for each in move.things if each.version != AHEAD)
        if copies and giver == BODY and not move.posted:  # by us it comes first, and is newer where it comes from
            moves.append(Move(giver=MAISON, things=things))
            things = tuple(_newer(each) if random.random() < 0.5 else each for each in things)
        moves.append(Move(giver=giver, things=things, last=move.last, posted=move.posted))
    return Case(moves=tuple(moves), at=case.at)


def test_an_identity_is_one_whoever_tells_it() -> None:
    """A number is one thing, and the court knows it by its one id: under a second one it looks like our making."""
    tellers = ((MAISON, ""), (BODY, ""), ("ccc", ""), ("ccc", f"collection:{SHARED}"))
    told = [Thing(number=50, kind=IDENTITY, creator="identity--of-a-stranger", version=at) for at in range(4)]
    for seed, order in product(range(20), permutations(tellers)):
        said = zip(told, order, strict=True)
        case = Case(moves=tuple(Move(giver=who, things=(each,), posted=to) for each, (who, to) in said), at=NOW)
        ours = _ours(case, Random(seed))  # noqa: S311
        assert len({each.creator for move in ours.moves for each in move.things}) == 1, (seed, order)


@settings(max_examples=12 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@example(seed=624)
@example(seed=1657)
@example(seed=3175)
@example(seed=3177)
@given(seed=st.integers(0, 2**32))
def test_r17_what_leaves_is_what_was_permitted_or_widened(memory: Store, seed: int) -> None:
    """R17, decision 0032: in whatever order things come, are widened, change and are said again."""
    drama = Drama(memory, office(), seed)
    found = drama.leak()
    assert found is None, found


SEEDS = range(20)
FAR = range(200)
"""The first that shows a leak is the last that is tried."""


def found_in(memory: Store, terms: Terms, *, first: int = 0, **more: Any) -> bool:
    """Whether a drama shows a leak; those before `first` are known not to."""
    return any(Drama(memory, terms, seed).leak(**more) is not None for seed in FAR[first:])


def test_what_nobody_told_the_oracle_of_is_a_leak(memory: Store) -> None:
    """`policy prove` would find anything that widens by itself."""
    assert found_in(memory, office(), forget=True)


def _nothing_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(listing.widened, "lapse", lambda *_, **__: [])


def _pap_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pure, "widened", lambda label, to: to)
    patch.setattr(pure, "_marks", lambda made, to, said: recall.marks(to))


def _names_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pure, "UNNAMED", replace(pure.UNNAMED, anonymous=False))
    patch.setattr(widened, "hidden", lambda *_: pure.Making.__dataclass_fields__["names"].default)


def _anybodys_right(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pure, "lacking", lambda *_, **__: "")
    patch.setattr(pure, "_not_ministerial", lambda *_: "")


def _back_to_the_giver(patch: pytest.MonkeyPatch) -> None:
    true = Planner._item

    def item(self: Planner, *given: Any) -> Any:
        made = true(self, *given)
        return replace(made, made=msgspec.structs.replace(made.made, aliases=()))

    patch.setattr(Planner, "_item", item)


def _copies_live_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(widened, "overruled", lambda *_: "")


def _all_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "takes", lambda *_: True)


SPOILT = [
    _nothing_ends, _pap_is_lost, _names_stay, _anybodys_right, _back_to_the_giver, _copies_live_on, _all_is_taken,
]  # fmt: skip
SELDOM = {"_copies_live_on": 75, "_all_is_taken": 30}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__)
def test_a_spoilt_widening_is_found(
    memory: Store, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """The oracle is worth nothing if it finds nothing."""
    terms = office()
    if spoil is _back_to_the_giver:  # who has a room alone, so that nothing goes back to it (R3)
        own = collection("5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b", "seul", (BODY,), ceiling=Tlp.AMBER)
        terms = replace(terms, collections={**terms.collections, own.id: own})
        assert all(Drama(memory, terms, seed).leak() is None for seed in SEEDS)
    spoil(monkeypatch)
    assert found_in(memory, terms, first=SELDOM.get(spoil.__name__, 0))


def test_the_dramas_are_worth_something(memory: Store) -> None:
    """Persons do widen in them, by both rights."""
    counts = [0, 0]
    for seed in SEEDS:
        drama = Drama(memory, office(), seed)
        assert drama.leak() is None
        rights = [act.right for acts in drama.record.acts.values() for act in acts]
        counts = [counts[0] + rights.count("creator"), counts[1] + rights.count("pfc")]
    assert min(counts) > 5, counts
