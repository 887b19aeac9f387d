"""Census: how much a peer has of what we hold, in which collection, and why it has no more; the first question of all.

Objects are counted by class in the store and each class is decided once, by the same `policy.decide`. What stands there
altered, and what may go by its class and does not stand there, is looked at one by one, as far as `LOOKED`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.model.marking import Label
from exchange.policy import Audience, Decision, Rules, Subject
from exchange.store import Store, audiences, census, statements
from exchange.store.census import Class
from exchange.store.clock import micros
from exchange.sync.ageing import Ageing
from exchange.sync.rooms import fetched, room_of
from exchange.sync.traced import Census, Count, Room
from exchange.sync.tracing import Case, Look, asked_of, cases

LOOKED = 2_000
"""Statements that one question looks at one by one."""
_STEP = 200


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of some statements, for one audience."""

    channel: str
    members: tuple[str, ...]
    state: str
    verdict: str
    reasons: tuple[str, ...]
    agreement: str
    alarm: str


@dataclass(slots=True)
class _Tally:
    """Fates with their counts by type; and what was not looked at."""

    counts: dict[_Fate, Counter[str]]
    left: int
    unlooked: int = 0

    def add(self, fate: _Fate, kind: str, count: int) -> None:
        """So many of one type fared so."""
        self.counts.setdefault(fate, Counter())[kind] += count


def census_of(
    store: Store, rules: Rules, now: datetime, *, peer: str = "", channel: str = "", looked: int = LOOKED
) -> Census:
    """How much of what is held `peer` may have, in `channel`, and for which reasons not; empty: any.

    `looked`: how many may be looked at one by one.
    """
    wanted, tally = asked_of(rules, peer, channel), _Tally({}, looked)
    owned = {identity for each in rules.terms.peers.values() for identity in each.identities}
    owned |= {"identity--" + identity.removeprefix("identity--").lower() for identity in owned}
    rooms: list[Room] = []
    with store.reading() as tx:
        held = census.held(tx, owned)
        look = Look(tx, rules, now, peer, None, audiences.everyone(tx), Ageing.of(tx, rules, now))
        for audience in wanted:
            rooms.append(room_of(tx, audience, look.places.get(audience.key), peer, now))
            _count(look, audience, held, owned, tally)
    counts = [
        Count(
            channel=fate.channel, members=fate.members, state=fate.state, verdict=fate.verdict, reasons=fate.reasons,
            agreement=fate.agreement, alarm=fate.alarm,
            count=types.total(), types=dict(sorted(types.items())),
        )
        for fate, types in tally.counts.items()
    ]  # fmt: skip
    return Census(
        peer=peer,
        channel=channel,
        rooms=tuple(fetched(store, rooms, peer)),
        held=sum(count for _, count in held),
        counts=tuple(
            sorted(counts, key=lambda each: (each.channel, each.members, _ORDER.index(each.state), -each.count))
        ),
        unlooked=tally.unlooked,
    )


_ORDER = ("listed", "folded", "ended", "out")


def _count(look: Look, audience: Audience, held: list[tuple[Class, int]], owned: set[str], tally: _Tally) -> None:
    """What of everything that is held stands in one listing, and why the rest does not."""
    place, out, altered = look.places.get(audience.key), Counter(dict(held)), 0
    for some in census.standing(look.tx, place.number, micros(look.now), owned) if place is not None else ():
        out[some.of] -= some.number
        if some.altered:
            altered += some.number
            continue
        decision = _decided(look.rules, audience, some.of)
        state = "ended" if some.lapsed else "folded" if some.folded else "listed"
        alarm = "" if decision.lets_go else "trace.still_listed"
        tally.add(_fate(audience, state, decision, alarm), some.of.type, some.number)
    if place is not None and altered:
        seqs = census.altered(look.tx, place.number, min(altered, tally.left))
        _one_by_one(look, audience, seqs, altered, tally)
    for of, count in out.items():
        decision = _decided(look.rules, audience, of)
        if count > 0 and not decision.released:
            tally.add(_fate(audience, "out", decision), of.type, count)
        elif count > 0:
            seqs = list(census.out(look.tx, place.number if place else -1, of, owned, min(count, tally.left)))
            _one_by_one(look, audience, seqs, count, tally)


def _fate(audience: Audience, state: str, decision: Decision, alarm: str = "") -> _Fate:
    return _Fate(
        audience.channel, audience.members, state, str(decision.verdict), decision.reasons, decision.agreement, alarm
    )


def _decided(rules: Rules, audience: Audience, of: Class) -> Decision:
    """What is decided of a class."""
    subject = Subject(
        peer=of.peer,
        type=of.type,
        label=None if of.label is None or of.waiting else Label.from_text(of.label),
        owner=rules.owner(of.creator) if of.creator else "",
        posted=of.posted,
        doubt=of.doubt,
    )
    decision = rules.decide(subject, audience)
    return replace(decision, reasons=("label.waiting",)) if of.waiting else decision


def _one_by_one(look: Look, audience: Audience, seqs: list[int], count: int, tally: _Tally) -> None:
    """Those of `count` that are looked at: they stand there altered; or may go, and do not, by version, age or twin."""
    tally.left -= len(seqs)
    tally.unlooked += count - len(seqs)
    for some in statements.chunks(seqs, _STEP):
        look.history.clear()
        for case in cases(look, statements.by_seq(look.tx, some), [audience]):
            fate = _Fate(
                audience.channel, audience.members, _state(look, case), str(case.verdict), case.more or case.reasons,
                case.agreement, case.alarm,
            )  # fmt: skip
            tally.add(fate, case.item.held.type, 1)


def _state(look: Look, case: Case) -> str:
    row = case.standing
    if row is None:
        return "out"
    return "ended" if row["not_after"] <= micros(look.now) else "folded" if row["folded"] else "listed"
