"""Age: when something expires for an audience, by the rules of the configuration and by what this audience may see.

An audience's own listing decides: a sighting, or an opinion that denies it, counts where it stands in the same listing,
for its target and for those twins of its target that this audience may see (RULES R14). The newest version of a chain
speaks for the older ones, and where the owner has spoken nobody else's words last longer than the owner's (R5, R8).
Relationships, notes and sightings of what has expired stay, and dangle (R13).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection

from exchange.policy import Audience, Decision, Rules, unless_expired
from exchange.policy.expiry import BEST, End, Life, base, end, kinds, rule_for
from exchange.store import ages, audiences, blocks, statements
from exchange.store.clock import micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync.subjects import Judged, creator, horizon_at, judged

_DENIES = "strongly-disagree"
"""What MISP's false positives are in STIX, and nothing milder (opinion-enum, STIX 2.1 section 10.17)."""


class _Words(msgspec.Struct, gc=False):
    """Of an object, what its age may rest on, whatever its type; of the types that a peer wrote."""

    valid_from: Any = None
    valid_until: Any = None
    confidence: Any = None
    pattern: Any = None
    pattern_type: Any = None
    modified: Any = None
    created: Any = None
    first_seen: Any = None
    last_seen: Any = None
    sighting_of_ref: Any = None
    count: Any = None
    opinion: Any = None


_words = msgspec.json.Decoder(_Words).decode


@dataclass(slots=True)
class _Seen:
    """What one audience is told of one object."""

    last: int | None = None
    against: dict[str, int] = field(default_factory=dict)
    """Peer → when it last said that it is a false positive."""


_MANY = 20
"""Tellings of one object, or twins of it, from which on what is told of it is kept."""
_AT_ONCE = 500
"""Twins that are read together."""
_sums = msgspec.json.Decoder(dict[str, tuple[int | None, dict[str, int]]]).decode


class Ageing:
    """When what is given to `look` expires, for any audience; without rules it costs nothing and nothing expires."""

    def __init__(self, tx: Connection, rules: Rules, now: datetime, numbers: Mapping[str, int]) -> None:
        self.tx, self.rules = tx, rules
        self.spreads = True
        """Whether twins of what is decided, and was seen, are to be decided again too; not where they caused it."""
        self._numbers = numbers
        self._keeps = True
        self._expiry = rules.terms.expiry
        self._types = frozenset[str]().union(*(rule.types for rule in self._expiry))
        self._by_kind = any(rule.kinds is not None for rule in self._expiry)
        self._now, self._horizon = micros(now), horizon_at(now)
        self._at = now
        self._facts: set[str] = set()
        self._begin()

    @classmethod
    def of(cls, tx: Connection, rules: Rules, now: datetime) -> Ageing:
        """The same for whoever only asks."""
        numbers = {key: row.number for key, row in audiences.everyone(tx).items()} if rules.terms.expiry else {}
        made = cls(tx, rules, now, numbers)
        made._keeps = False
        return made

    def _begin(self) -> None:
        self._groups: dict[str, Sequence[Held]] = {}
        self._judged: dict[str, list[Judged]] = {}
        self._speaking: dict[int, tuple[Held, ...]] = {}
        self._lives: dict[int, Life] = {}
        self._plain: dict[int, End | None] = {}
        self._told: dict[str, dict[int, _Seen]] = {}
        self._twins: dict[str, list[str]] = {}
        self._sees: dict[tuple[str, str, str], bool] = {}
        self._around: dict[tuple[str, str], _Seen | None] = {}

    def look(self, groups: Iterable[Sequence[Held]], bodies: Mapping[int, bytes], *, alone: bool = False) -> None:
        """Read what the ends of these statements rest on, each group being all that is held about one id.

        `bodies`: number → bytes of some of them, so that they are not read again; `alone`: without what others saw.
        """
        self._begin()
        if not self._expiry:
            return
        speaking: dict[int, Held] = {}
        for group in groups:
            if group[0].type in self._types:
                self._groups[group[0].stix_id] = group
                self._speaking |= self._who_speaks(group)
        for found in self._speaking.values():
            speaking.update((held.seq, held) for held in found if not held.revoked)
        given = {seq: bodies[seq] for seq in speaking if seq in bodies}
        given |= statements.bodies(self.tx, speaking.keys() - given.keys())
        for seq, held in speaking.items():
            life = self._life(held, given[seq])
            if life is not None:
                self._lives[seq] = life
                self._plain[seq] = end(life)
        if not alone:
            self._look_around([speaking[seq] for seq, life in self._lives.items() if life.rule.half_life is not None])

    def _who_speaks(self, group: Sequence[Held]) -> dict[int, tuple[Held, ...]]:
        """Number → whose ends count for it: that of its source's newest version, and that of the owner's."""
        if len(group) == 1:
            return {group[0].seq: (group[0],)}
        current = [held for held in group if held.version <= self._horizon and not held.touch]
        current.sort(key=lambda held: held.version)
        newest = {held.source: held for held in current}
        by_peer = {held.peer: held for held in current}
        found = {}
        for held in group:
            owner = by_peer.get(self.rules.owner(creator(held)))
            mine = newest.get(held.source)
            found[held.seq] = tuple({each.seq: each for each in (mine, owner) if each is not None}.values())
        return found

    def _life(self, held: Held, body: bytes) -> Life | None:
        words = _words(body)
        about = kinds(words.pattern, words.pattern_type) if self._by_kind and held.type == "indicator" else ()
        rule = rule_for(self._expiry, held.type, held.peer, about)
        if rule is None:
            return None
        # A date that lies ahead of the day on which we got it would make it live as long as its source likes.
        dates = [at for text in (words.valid_from, held.version) if (at := _micros(text)) is not None]
        peer = self.rules.terms.peers.get(held.peer)
        sure = words.confidence if type(words.confidence) is int and 0 <= words.confidence <= BEST else None
        return Life(
            rule=rule,
            begun=min(max(dates, default=held.received), held.received),
            until=_micros(words.valid_until) if rule.valid_until else None,
            base=base(None if peer is None else peer.quality, sure),
        )

    def _look_around(self, ageing: Sequence[Held]) -> None:
        """Who was told what of these objects and of their twins."""
        if not ageing:
            return
        own = {held.stix_id for held in ageing}
        for fact, stix_id in ages.seen_twins(self.tx, {held.fact for held in ageing if held.fact is not None}):
            self._twins.setdefault(fact, []).append(stix_id)
        twins = {stix_id for ids in self._twins.values() for stix_id in ids}
        upto = {}
        for kept in ages.sums(self.tx, own | twins):
            upto[kept.target] = kept.upto
            told = {int(number): _Seen(*said) for number, said in _sums(kept.told).items()}
            self._told[kept.target] = told
        rows = ages.told(self.tx, own | twins)
        places = {row.seq: (row.block, row.start, row.stop) for row in rows}
        read = dict(zip(places, map(_words, blocks.read(self.tx, list(places.values()))), strict=True))
        for row in rows:
            self._hear(row, read[row.seq])
        if self._keeps:
            self._keep(rows, upto)
        facts = (held.fact for stix_id in own & self._told.keys() for held in self._groups[stix_id])
        self._facts.update(fact for fact in facts if fact is not None)

    def _keep(self, rows: Iterable[ages.Told], upto: Mapping[str, int]) -> None:
        """What was told of what many have seen, or state, is kept: only what comes later is read again (R18)."""
        last: dict[str, int] = {}
        for row in rows:
            last[row.target] = max(row.seq, last.get(row.target, 0))
        many = Counter(row.target for row in rows)
        crowded = {stix_id for twins in self._twins.values() if len(twins) >= _MANY for stix_id in twins}
        made = [
            ages.Heard(target, seq, json.dumps({n: (s.last, s.against) for n, s in self._told[target].items()}))
            for target, seq in last.items()
            if target in self._told and (target in upto or target in crowded or many[target] >= _MANY)
        ]
        ages.keep(self.tx, made)

    def _hear(self, row: ages.Told, words: _Words) -> None:
        dates = (words.last_seen, words.first_seen, words.modified, words.created)
        when = next((at for text in dates if (at := _micros(text)) is not None), row.received)
        when = min(when, row.received)
        seen = self._told.setdefault(row.target, {}).setdefault(row.audience, _Seen())
        if row.type == "sighting":
            # `count` 0: it was looked for and not seen (STIX 2.1, section 5.2).
            if words.sighting_of_ref == row.target and words.count != 0:
                seen.last = max(when, seen.last or when)
        elif words.opinion == _DENIES:
            seen.against[row.peer] = max(when, seen.against.get(row.peer, when))

    def decide(self, item: Judged, audience: Audience) -> Decision:
        """May `audience` have it, and is it not too old?"""
        decision = item.decide(self.rules, audience)
        return unless_expired(decision, self.end(item.held, audience), self._now) if self._lives else decision

    def end(self, held: Held, audience: Audience) -> End | None:
        """When it expires for this audience, and why; None: never."""
        ends = [self._end(each, audience) for each in self._speaking.get(held.seq, ()) if each.seq in self._lives]
        return min((each for each in ends if each is not None), default=None)

    def expires(self, held: Held, audience: Audience) -> int | None:
        """When it expires for this audience; None: never."""
        found = self.end(held, audience) if self._lives else None
        return None if found is None else found.at

    def ends(self, audience: Audience, alone: Iterable[Held]) -> Mapping[int, End | None]:
        """Number → the end of each of these, the only ones about their ids; what is not there has none."""
        if not self._told:
            return self._plain
        return {held.seq: self.end(held, audience) for held in alone}

    def _end(self, held: Held, audience: Audience) -> End | None:
        number = self._numbers.get(audience.key, 0)  # none yet: nothing has been listed to it
        seen = self._told.get(held.stix_id, {}).get(number)
        twins = self._of_twins(held.fact, audience, number) if held.fact in self._twins else None
        if seen is None and twins is None:
            return self._plain[held.seq]
        both = _together(each for each in (seen, twins) if each is not None)
        return end(self._lives[held.seq], both.last, both.against.values())

    def _of_twins(self, fact: str | None, audience: Audience, number: int) -> _Seen | None:
        """What this audience is told of everything that states `fact` to it; worked out once, however many they are."""
        name = (fact or "", audience.key)
        if name not in self._around:
            told = [
                (stix_id, found)
                for stix_id in self._twins[name[0]]
                if (found := self._told.get(stix_id, {}).get(number)) is not None
            ]
            visible = partial(self._may_see, fact, {stix_id for stix_id, _ in told}, audience)
            self._around[name] = _best(told, visible)
        return self._around[name]

    def _may_see(self, fact: str | None, others: Collection[str], audience: Audience, stix_id: str) -> bool:
        """Whether this audience may have something about `stix_id` that states `fact`, old or not.

        `others`: those of which it may be asked next; they are read together.
        """
        name = (fact or "", stix_id, audience.key)
        if name not in self._sees:
            if stix_id not in self._judged:
                if stix_id not in self._groups:
                    next_ones = islice((each for each in others if each not in self._groups), _AT_ONCE)
                    self._groups |= statements.held(self.tx, {stix_id, *next_ones})
                self._judged[stix_id] = judged(self.rules, self._groups[stix_id], self._at)
            self._sees[name] = any(
                item.held.fact == fact and item.held.newest and item.decide(self.rules, audience).released
                for item in self._judged[stix_id]
            )
        return self._sees[name]

    def owe(self, moved: Iterable[Listed]) -> None:
        """After these rows were listed or closed: what they say was seen, and twins of that, is decided again soon."""
        if not self._expiry:
            return
        seqs = {row.seq for row in moved if row.type in ages.TELLING}
        if seqs:
            ages.lose(self.tx, seqs)
            ages.owe_seen(self.tx, seqs)
        if self._facts and self.spreads:
            ages.owe_facts(self.tx, self._facts)
        self._facts = set()


def _best(told: Sequence[tuple[str, _Seen]], visible: Callable[[str], bool]) -> _Seen | None:
    """What these (id, what is told of it) say together of those that are visible; None: nothing is.

    The latest are asked first, so that of many twins few need be.
    """
    found = _Seen()
    seen = ((each.last, stix_id) for stix_id, each in told if each.last is not None)
    found.last = next((last for last, stix_id in sorted(seen, reverse=True) if visible(stix_id)), None)
    denied = sorted(((at, peer, stix_id) for stix_id, each in told for peer, at in each.against.items()), reverse=True)
    for at, peer, stix_id in denied:
        if peer not in found.against and visible(stix_id):
            found.against[peer] = at
    return found if found.last is not None or found.against else None


def _together(told: Iterable[_Seen]) -> _Seen:
    """What is told of several that state one fact: the last sight, and each peer's last denial."""
    found = _Seen()
    for each in told:
        if each.last is not None:
            found.last = max(each.last, found.last or each.last)
        for peer, at in each.against.items():
            found.against[peer] = max(at, found.against.get(peer, at))
    return found


def _micros(text: object) -> int | None:
    """A STIX timestamp, with its Z or as a version is stored; None: there is none, or it is no date that exists."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) and text else None
    except ValueError:
        return None
    return None if found is None else micros(found if found.tzinfo else found.replace(tzinfo=UTC))
