"""What other terms would change for each partner, before they are adopted: only read, by class (RULES R35).

It judges what is held under the terms that run and under those that are planned, as `sync.terms` would, and counts
the objects that a partner would see besides, no longer, or in another form: with its producer, for one. Four things
it does not look at one by one: what has grown too old by itself, what a twin folds away (it stays within reach by its
id), what the second gate stops, and what must be altered and of which nothing can be made, or in which nothing is
altered: it counts as seen, and as altered, so the numbers are at most that. Only where the alteration itself changes
may more be seen than is counted: what it refuses now and would no longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model.marking import Label
from exchange.model.party import Terms
from exchange.model.stix import CONTAINERS
from exchange.policy import Audience, Basis, Rules, Transform
from exchange.store import Store, notices, statements
from exchange.store.alike import Alike, alone, apart
from exchange.store.columns import chunks
from exchange.store.statements import Held
from exchange.sync.accept import worths
from exchange.sync.subjects import Judged, horizon_at, judged

MOST = 100_000
"""Ids with several statements, and the like, that are looked at one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What changes for one partner in one channel, in objects."""

    peer: str
    channel: str
    more: Mapping[str, int]
    """What it would see besides: label, as it would be judged → number of objects."""
    fewer: Mapping[str, int]
    """What it would no longer see: label, as it is judged now → number."""
    reshaped: int = 0
    """What it sees now and would see then, but in another form: each counts in one or more of the following."""
    bared: Mapping[str, int] = field(default_factory=dict)
    """Code of an alteration that would no longer be done to it → number."""
    altered: Mapping[str, int] = field(default_factory=dict)
    """Code of an alteration that would be done to it besides → number."""
    renamed: int = 0
    """What is altered for the same reasons, but otherwise, or for another class of recipients: under another id."""


Turning = Literal[
    "source_new", "source_gone", "target_new", "target_gone", "collection_new", "collection_gone", "collection_id",
    "agreement_over", "agreement_begun", "account_shut",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Something that begins or ends, whatever is held."""

    kind: Turning
    name: str
    """A source or target as `peer/name`, a collection's alias, an agreement, an account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What changes for everybody; a partner for whom nothing does is not named."""

    found: Sequence[Effect]
    unseen: int = 0
    """Objects stated several times that were too many to be looked at: they are in no number above."""
    altered: bool = False
    """Something goes, or would go, only altered: whether that can be done was not looked at."""


def effects(store: Store, before: Rules, after: Rules, now: datetime, *, most: int = MOST) -> Effects:
    """What `after` would change where `before` runs. Nothing is written."""
    if before.epoch == after.epoch:
        return Effects(found=())
    count = _Count(before, after, now)
    with store.reading() as tx:
        for each in alone(tx, horizon_at(now), CONTAINERS, count.changed, count.recast):
            count.add_class(each)
        ids, unseen = apart(tx, CONTAINERS, count.changed, count.recast, most)
        for some in chunks(ids):
            count.add_apart(tx, some)
    return Effects(found=count.told(), unseen=unseen, altered=count.altered)


def turns(before: Rules, after: Rules, accounts: Iterable[tuple[str, str]]) -> list[Turn]:
    """What begins and what ends; `accounts`: name and peer of those that may log in."""
    old, new = before.terms, after.terms
    found = [*_begun_and_gone("source", _sources(old), _sources(new))]
    found += _begun_and_gone("target", _targets(old), _targets(new))
    then, planned = ({each.alias: each.id for each in terms.collections.values()} for terms in (old, new))
    found += _begun_and_gone("collection", set(then), set(planned))
    both = sorted(then.keys() & planned.keys())
    found += [Turn(kind="collection_id", name=name) for name in both if then[name] != planned[name]]
    ruling, will = ({a.id for a in rules.terms.agreements if a.active(rules.now)} for rules in (before, after))
    found += [Turn(kind="agreement_over", name=name) for name in sorted(ruling - will)]
    found += [Turn(kind="agreement_begun", name=name) for name in sorted(will - ruling)]
    shut = sorted(name for name, peer in accounts if peer in old.peers and peer not in new.peers)
    return found + [Turn(kind="account_shut", name=name) for name in shut]


def _begun_and_gone(kind: Literal["source", "target", "collection"], old: set[str], new: set[str]) -> list[Turn]:
    begun: dict[str, Turning] = {"source": "source_new", "target": "target_new", "collection": "collection_new"}
    gone: dict[str, Turning] = {"source": "source_gone", "target": "target_gone", "collection": "collection_gone"}
    return [
        *(Turn(kind=begun[kind], name=name) for name in sorted(new - old)),
        *(Turn(kind=gone[kind], name=name) for name in sorted(old - new)),
    ]


def _sources(terms: Terms) -> set[str]:
    return {each.key for peer in terms.peers.values() for each in peer.sources if each.enabled}


def _targets(terms: Terms) -> set[str]:
    return {each.key for peer in terms.peers.values() for each in peer.targets if each.enabled}


def _places(rules: Rules) -> dict[tuple[str, str], Audience]:
    """(peer, channel) → the audience in which the peer is there."""
    return {(peer, each.channel): each for each in rules.audiences for peer in each.members}


class _Tally:
    """What is counted for all who pass between the same two audiences."""

    def __init__(self) -> None:
        self.more: Counter[str] = Counter()
        self.fewer: Counter[str] = Counter()
        self.bared: Counter[str] = Counter()
        self.altered: Counter[str] = Counter()
        self.reshaped = self.renamed = 0

    @property
    def any(self) -> bool:
        """Whether anything changes."""
        return bool(self.more or self.fewer or self.reshaped)

    def reshape(self, now: _Seen, then: _Seen, count: int) -> None:
        """So many are seen before and after: in which form?"""
        # Where no word of it is seen both times, the newest of each time.
        both = [(now.forms[each], then.forms[each]) for each in now.forms.keys() & then.forms.keys()]
        pairs = [(old, new) for old, new in both or [(now.newest, then.newest)] if old != new]
        if not pairs:
            return
        self.reshaped += count
        codes = [(frozenset(_codes(old)), frozenset(_codes(new))) for old, new in pairs]
        for counted, changed in (
            (self.bared, frozenset[str]().union(*(old - new for old, new in codes))),
            (self.altered, frozenset[str]().union(*(new - old for old, new in codes))),
        ):
            for code in changed:
                counted[code] += count
        self.renamed += count * any(old == new for old, new in codes)


class _Seen(NamedTuple):
    """What an audience sees of one id."""

    label: str
    """Of the newest that it may see."""
    newest: Transform | None
    """What is done to that."""
    forms: Mapping[int, Transform | None]
    """The place of each statement that it may see, in the group → what is done to it."""


def _codes(transform: Transform | None) -> tuple[str, ...]:
    return () if transform is None else transform.codes


class _Count:
    """Adds up, for each pair of an audience now and an audience then that some peer passes between."""

    def __init__(self, before: Rules, after: Rules, now: datetime) -> None:
        self._before, self._after, self._now = before, after, now
        peers = before.terms.peers.keys() | after.terms.peers.keys()
        self.changed = {peer for peer in peers if before.default_label(peer) != after.default_label(peer)}
        """The peers whose unmarked content would be worth something else."""
        self.recast = {peer for peer in peers if _ignored(before, peer) != _ignored(after, peer)}
        """The peers of whom other marks would count."""
        self.altered = False
        self.changed |= self.recast
        then, planned = _places(before), _places(after)
        self._passing: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._audiences: dict[tuple[str, str], tuple[Audience | None, Audience | None]] = {}
        for place in sorted(then.keys() | planned.keys()):
            old, new = then.get(place), planned.get(place)
            pair = ("" if old is None else old.key, "" if new is None else new.key)
            self._passing.setdefault(pair, []).append(place)
            self._audiences[pair] = (old, new)
        self._tallies = {pair: _Tally() for pair in self._audiences}

    def add_class(self, each: Alike) -> None:
        """What is alone, is alike: judged once."""
        held = _one_of(each)
        planned = replace(held, label=self._worth(each)) if each.peer in self.changed else held
        self._add(judged(self._before, [held], self._now), judged(self._after, [planned], self._now), each.number)

    def add_apart(self, tx: Connection, stix_ids: Sequence[str]) -> None:
        """What stands beside other statements: judged with them."""
        groups = notices.others(statements.held(tx, stix_ids))
        anew = {
            worth.seq: worth.label
            for worth in worths(
                tx,
                self._after,
                [i for group in groups.values() for i in group if i.peer in self.changed and not i.waiting],
            )
        }
        for group in groups.values():
            planned = [replace(item, label=anew[item.seq]) if item.seq in anew else item for item in group]
            self._add(judged(self._before, group, self._now), judged(self._after, planned, self._now), 1)

    def _worth(self, each: Alike) -> Label | None:
        """What it is worth where its source's unmarked content becomes worth something else."""
        if each.basis not in (Basis.DEFAULT, Basis.NONE):
            return each.label
        default = self._after.default_label(each.peer)
        if default is None:
            return None
        return replace(each.stated if each.label is None else each.label, tlp=default)

    def _add(self, now: Sequence[Judged], then: Sequence[Judged], count: int) -> None:
        for pair, (old, new) in self._audiences.items():
            seen = None if old is None else self._seen(self._before, old, now)
            would = None if new is None else self._seen(self._after, new, then)
            tally = self._tallies[pair]
            if seen is None and would is not None:
                tally.more[would.label] += count
            elif would is None and seen is not None:
                tally.fewer[seen.label] += count
            elif seen is not None and would is not None:
                tally.reshape(seen, would, count)

    def _seen(self, rules: Rules, audience: Audience, group: Sequence[Judged]) -> _Seen | None:
        """What the audience sees of one id, and in which form; None: nothing of it."""
        decided = [item.decide(rules, audience) for item in group]
        forms = {place: each.transform for place, each in enumerate(decided) if each.released}
        if not forms:
            return None
        self.altered |= any(each.transform is not None for each in decided)
        newest = max(forms, key=lambda place: group[place].held.version)
        label = group[newest].subject.label
        return _Seen("" if label is None else label.to_text(), forms[newest], forms)

    def told(self) -> list[Effect]:
        """The partners for whom something changes, in order."""
        found = [
            Effect(
                peer=peer, channel=channel, more=dict(tally.more), fewer=dict(tally.fewer), reshaped=tally.reshaped,
                bared=dict(sorted(tally.bared.items())), altered=dict(sorted(tally.altered.items())),
                renamed=tally.renamed,
            )
            for pair, places in self._passing.items()
            for tally in (self._tallies[pair],)
            for peer, channel in places
            if tally.any
        ]  # fmt: skip
        return sorted(found, key=lambda each: (each.peer, each.channel))


def _ignored(rules: Rules, peer: str) -> frozenset[str]:
    """Which marks of the peer do not count, by its agreements that have begun."""
    begun = [a for a in rules.terms.agreements if peer in a.parties and a.start <= rules.now.date()]
    return frozenset[str]().union(*(a.receive.informational_markings for a in begun if a.receive is not None))


def _one_of(each: Alike) -> Held:
    """A statement as every one of the class is, as far as a decision looks."""
    identity = each.type == "identity"
    return Held(
        seq=0, source="", peer=each.peer, posted=each.posted, stix_id=each.creator if identity else "", type=each.type,
        version="", precision=0, digest=b"", creator="" if identity else each.creator, fact=None, stated=each.stated,
        marked=False, label=each.label, basis=each.basis, waiting=False, newest=True, touch=each.touch,
        revoked=each.revoked, repairs="", received=0, event=0, attributes=0, doubt=each.doubt, marks=None,
        block=0, start=0, stop=0,
    )  # fmt: skip
