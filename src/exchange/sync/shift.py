"""What a change of terms does to each class of equal statements: computed once for a class and an audience (R35).

The terms before are known, and what stands in the listings is what they said; so a class whose decision is the same by
both needs no look at its members. What several say of one id has a class as a whole, if the same could be said of
another id. What is judged or grows old otherwise than before has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from exchange.model.party import Expiry, Terms
from exchange.policy import Audience, Basis, Decision, Rules, stamped, within
from exchange.store import ages
from exchange.store.classes import Key, Member
from exchange.store.statements import Held
from exchange.sync.subjects import Judged, creator, horizon_at, judged

_REMEMBERED = 20_000
_UNSTATED = (Basis.DEFAULT, Basis.NONE)
_ENDED = ("agreement.ended",)
_Found = tuple[Decision, bool]
"""A decision, and whether the second gate agrees to it."""


class Effect(NamedTuple):
    """The audiences, by key, whose listings of a class change."""

    gain: frozenset[str] = frozenset()
    """They may have it now, and might not."""
    lose: frozenset[str] = frozenset()
    """They might have it, and may not now, or not at this moment."""
    move: frozenset[str] = frozenset()
    """They may have it as before, under another agreement or until another day."""
    codes: Mapping[str, str] = {}
    """Of those that lose it, who is refused it, and why; the others' rows rest, or begin again. Of what is alone."""

    @property
    def any(self) -> bool:
        """Whether anything changes."""
        return bool(self.gain or self.lose or self.move)


class Shift:
    """From the terms `before` to those of `rules`. Several before: a change that was not completed stands between them.

    None before: nothing is known of what stands in the listings, and no statement has a class.
    """

    def __init__(self, before: Sequence[Rules], rules: Rules, now: datetime) -> None:
        self.rules, self.now = rules, now
        self.before = before
        self._shelves = [{audience.key: audience for audience in each.audiences} for each in before]
        self._effects: dict[Key, Effect] = {}
        self._horizon = horizon_at(now)
        terms = [each.terms for each in (*before, rules)]
        self._ageing = _ageing(terms)
        self._alters = rules.alters or any(each.alters for each in before)
        peers = {peer for each in terms for peer in each.peers}
        self.strange = not before or any(each.ignored(p) != rules.ignored(p) for each in before for p in peers)
        """Whether other marks count than before: then everything is judged anew."""
        self.defaults = frozenset(
            p for p in peers if any(each.default_label(p) != rules.default_label(p) for each in before)
        )
        """The peers whose unmarked content is worth something else now."""

    def judges_anew(self, peer: str, basis: str) -> bool:
        """Whether what is worth something on this basis may be worth something else by these terms."""
        return self.strange or (peer in self.defaults and basis in _UNSTATED)

    def special(self, member: Member) -> bool:
        """Whether it is decided by itself, whatever its class would say."""
        kind, peer = member.key[0], member.key[1]
        return self._special(kind, peer, member.basis, member.marks)

    def _special(self, kind: str, peer: str, basis: str, marks: int | None) -> bool:
        altered = self._alters  # each recipient has a form of its own
        return altered or kind in self._ageing or stamped(marks) is None or self.judges_anew(peer, basis)

    def of(self, member: Member, held: Callable[[], Held]) -> Effect:
        """What changes for its class; `held` reads the member itself, which is done once for a class."""
        return self._remembered(member.key, lambda: self._effect([held()], 0))

    def of_group(self, group: Sequence[Held]) -> Effect | None:
        """What changes for all that is stated about one id; None: it is decided by itself."""
        if any(held.parts is not None or held.personal or held.approved for held in group):
            return None
        if any(self._special(held.type, held.peer, held.basis, held.marks) for held in group):
            return None
        versions = sorted({held.version for held in group})
        key = tuple(_place(held, versions.index(held.version), held.version > self._horizon) for held in group)

        def found() -> Effect:
            each = [self._effect(group, index) for index in range(len(group))]
            gain, lose, move = (frozenset[str]().union(*(part[kind] for part in each)) for kind in range(3))
            return Effect(gain, lose, move)

        return self._remembered(key, found)

    def _remembered(self, key: Key, make: Callable[[], Effect]) -> Effect:
        effect = self._effects.get(key)
        if effect is None:
            if len(self._effects) >= _REMEMBERED:
                self._effects.clear()  # creators are chosen by peers, so there is no end to them
            effect = self._effects[key] = make()
        return effect

    def _effect(self, group: Sequence[Held], index: int) -> Effect:
        """For one of the statements about an id."""
        marks = stamped(group[index].marks)
        gain, lose, move = set(), set(), set()
        codes: dict[str, str] = {}
        now = judged(self.rules, group, self.now)[index]
        then = [judged(each, group, self.now)[index] for each in self.before]
        for audience in self.rules.audiences:
            known = [
                (shelf.get(audience.key), each, item)
                for shelf, each, item in zip(self._shelves, self.before, then, strict=True)
            ]
            before = [None if a is None else _found(each, item, a, marks) for a, each, item in known]
            changed = any(a is not None and a.fold != audience.fold for a, _, _ in known)
            after = _found(self.rules, now, audience, marks)
            if all(each == after for each in before) and not changed:
                if _stands(after) and self._lapsed(after):
                    move.add(audience.key)
                continue
            stood = [each for each in before if each is not None and _stands(each)]
            if stood and (not _stands(after) or not after[0].released):
                lose.add(audience.key)
                if not after[0].released and after[0].reasons != _ENDED:
                    codes[audience.key] = after[0].reasons[0]
            if _stands(after) and after[0].released and len(stood) < len(before):
                gain.add(audience.key)
            elif stood and _stands(after):
                move.add(audience.key)
        return Effect(frozenset(gain), frozenset(lose), frozenset(move), codes)

    def _lapsed(self, found: _Found) -> bool:
        """Whether what stands of it may have been read past while no agreement permitted it (RULES R19 and R20)."""
        until = found[0].not_after
        return until is not None and until <= self.now


def _place(held: Held, version: int, ahead: bool) -> tuple[object, ...]:
    """All of one statement that decisions about its id rest on (`subjects.judged`); `version`: its place among all."""
    return (
        held.type, held.source, held.peer, held.posted, creator(held), held.label, held.revoked, held.doubt, held.marks,
        held.waiting, held.touch, held.newest, held.withdrawn, held.copied, version, ahead,
    )  # fmt: skip


def _found(rules: Rules, item: Judged, audience: Audience, marks: int | None) -> _Found:
    decision = item.decide(rules, audience)
    return decision, marks is not None and within(marks, rules.clearance(audience))


def _stands(found: _Found) -> bool:
    """Whether a row of it is open: one whose agreement has ended rests (RULES R19)."""
    decision, passes = found
    return passes and decision.lets_go


def _ageing(terms: Sequence[Terms]) -> frozenset[str]:
    """The types of what is decided by itself because of its age, or because the age of others rests on it."""
    rules: list[Expiry] = [rule for each in terms for rule in each.expiry]
    if not rules:
        return frozenset()
    qualities = [{name: peer.quality for name, peer in each.peers.items()} for each in terms]
    same = all(each.expiry == terms[0].expiry for each in terms) and all(each == qualities[0] for each in qualities)
    plain = same and all(rule.half_life is None for rule in rules)
    types = frozenset[str]().union(*(rule.types for rule in rules))
    return frozenset(ages.TELLING) if plain else types | frozenset(ages.TELLING)
