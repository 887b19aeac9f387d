"""Which objects may be one: suggested with a reason, accepted or refused by an operator, undone (identity.md, docs).

    suggest(tx, rules, after=…)        a page of suggestions over everything that is held
    suggest_of(tx, rules, stix_ids)    those about these objects
    certain(tx, rules, stix_ids)       what is one without anybody's word
    accept(store, a, b, who, why, now) / refuse(…) / undo(…)

Certain is an equal id, a foreign id that a source names, and the creator's own external id. A name is never more than a
suggestion. Links change what operators are told, and nothing that is listed or served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection

from exchange.errors import UsageError
from exchange.model import stix
from exchange.model import titles as naming
from exchange.model.normalise import strength
from exchange.policy import Rules
from exchange.store import Store, links, micros, names, statements
from exchange.store.links import Pair, Word
from exchange.store.names import Known

PAGE = 50
MOST = 200
"""Things that are known by one name, of which pairs are made."""
_ROUNDS = 25
"""Steps of some thousand rows of one call."""
_KINDS = ("name", "hash")
_PROOF = 2
"""Strength of a hash that proves two files to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Two objects that may be one, and why."""

    one: str
    """The one that we have known longer."""
    other: str
    code: str
    """link.alias, link.own_id (both certain), link.external_id, link.same_name, link.weak_hash."""
    fields: Mapping[str, str]
    certain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some suggestions, and where to go on; empty: that was all."""

    suggestions: Sequence[Suggestion] = field(default_factory=list)
    after: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Id → what a person knows it by."""


def suggest(tx: Connection, rules: Rules, *, after: str = "", most: int = PAGE) -> Page:
    """Suggestions over everything, value by value behind `after` (`name:VALUE` or `hash:VALUE`, of the page before).

    A bounded number of rows is looked at, so a page may be short, even empty, and not the last. What was accepted or
    refused is not suggested again; what is certain needs no suggestion.
    """
    kind, _, value = after.partition(":") if after else (_KINDS[0], "", "")
    if kind not in _KINDS:
        raise UsageError("cli.links.after", after=after)
    found: list[Suggestion] = []
    for _ in range(_ROUNDS):
        groups, last = names.alike(tx, kind, value)
        for value, known in groups.items():
            found += [each for each in _open(tx, _pairs(tx, rules, known)) if not each.certain]
            if len(found) >= most:
                return Page(suggestions=found, after=f"{kind}:{value}")
        value = last
        if not last:
            if kind == _KINDS[-1]:
                return Page(suggestions=found)
            kind = _KINDS[1 + _KINDS.index(kind)]
    return Page(suggestions=found, after=f"{kind}:{value}")


def suggest_of(
    tx: Connection, rules: Rules, stix_ids: Sequence[str], most: int = PAGE, *, within: bool = False
) -> list[Suggestion]:
    """Suggestions with one of these objects in them, without what is certain or was decided; `within`: between two of
    them too."""
    found = [each for each in _open(tx, _about(tx, rules, stix_ids)) if not each.certain]
    return [each for each in found if within or not {each.one, each.other} <= set(stix_ids)][:most]


def certain(tx: Connection, rules: Rules, stix_ids: Sequence[str], most: int = PAGE) -> list[Suggestion]:
    """What is one with these objects without anybody's word, unless an operator refused it."""
    own = set(stix_ids)
    found = [each for each in _about(tx, rules, stix_ids) if each.certain]
    found += [
        Suggestion(one=foreign, other=known.stix_id, code="link.alias", fields={"source": known.source}, certain=True)
        for foreign, known in _aliased(tx, stix_ids, most)
        if foreign != known.stix_id
    ]
    refused = {both for both, word in links.standing(tx, own).items() if word.state == links.REFUSED}
    unique = {links.pair(each.one, each.other): each for each in found}
    return [each for both, each in unique.items() if both not in refused][:most]


def accepted(tx: Connection, stix_ids: Sequence[str]) -> Mapping[Pair, Word]:
    """The accepted links by which something hangs together with these objects, from one to the next."""
    return links.together(tx, stix_ids)


def _aliased(tx: Connection, stix_ids: Sequence[str], most: int) -> Iterator[tuple[str, Known]]:
    """Who says that its object is known by one of these ids, and by which ids these say that they are known."""
    yield from names.aliases(tx, stix_ids, most)
    yield from names.known_as(tx, stix_ids, most)


def _about(tx: Connection, rules: Rules, stix_ids: Sequence[str]) -> list[Suggestion]:
    """Pairs of one of these objects and another."""
    own = set(stix_ids)
    bodies = _newest(tx, stix_ids)
    said, hashes = dict[str, None](), dict[tuple[str, str], None]()
    for body in bodies.values():
        parsed = stix.parse(body)
        said |= dict.fromkeys(value for _, value in parsed.names)
        hashes |= dict.fromkeys(parsed.values)
    known = names.called(tx, said, MOST) + names.hashed(tx, list(hashes), MOST)
    return [
        each
        for _, group in groupby(sorted(known), key=lambda item: item.value)
        for each in _pairs(tx, rules, list(group), about=own)
    ]


def _newest(tx: Connection, stix_ids: Sequence[str]) -> dict[int, bytes]:
    held = [item for group in statements.held(tx, stix_ids).values() for item in group if item.newest]
    return statements.bodies(tx, [item.seq for item in held])


def _pairs(tx: Connection, rules: Rules, known: Sequence[Known], about: set[str] | None = None) -> list[Suggestion]:
    """The pairs among what is known by one value; `about`: only those with one of these in them."""
    found: list[Suggestion] = []
    first = {item.stix_id: item for item in sorted(known, key=lambda item: item.seq, reverse=True)}
    for _, group in groupby(sorted(first.values(), key=_sort), key=_sort):
        alike = sorted(group, key=lambda item: item.seq)[:MOST]
        strong = _strong(tx, alike) if alike[0].kind in names.WEAK else {}
        for index, item in enumerate(alike):
            for before in alike[:index]:
                if about is None or not about.isdisjoint((before.stix_id, item.stix_id)):
                    found += filter(None, [_one(rules, before, item, strong)])
    return found


def _sort(item: Known) -> tuple[str, str]:
    return item.kind, item.type


def _one(rules: Rules, one: Known, other: Known, strong: Mapping[int, Mapping[str, str]]) -> Suggestion | None:
    """What may be said of two that share a name, an external id or a weak hash; None: nothing."""
    code, sure = "link.same_name", False
    fields = {"name": one.value}
    if one.kind in names.WEAK:
        if one.fact is not None and one.fact == other.fact:
            return None  # twins: they say the same
        if any(strong[other.seq].get(path, value) != value for path, value in strong[one.seq].items()):
            return None  # two files, of which somebody made the weak hashes equal
        code, fields = "link.weak_hash", {"kind": one.kind.rpartition(".")[2], "value": one.value}
    elif one.kind != naming.NAME:
        owner = rules.owner(one.creator)
        sure = bool(one.creator) and (one.creator == other.creator or owner == rules.owner(other.creator) != "")
        code = "link.own_id" if sure else "link.external_id"
        fields = {"source": one.kind.removeprefix(naming.EXTERNAL), "value": one.value}
    return Suggestion(one=one.stix_id, other=other.stix_id, code=code, fields=fields, certain=sure)


def _strong(tx: Connection, known: Sequence[Known]) -> dict[int, dict[str, str]]:
    """Number → path → hash, of the strong hashes that each states."""
    bodies = statements.bodies(tx, [item.seq for item in known])
    return {
        item.seq: {path: value for path, value in stix.parse(bodies[item.seq]).values if strength(path) == _PROOF}
        for item in known
    }


def _open(tx: Connection, pairs: Iterable[Suggestion]) -> list[Suggestion]:
    """Those on which nobody has decided, each once, and none between objects that hang together already.

    Of many that share a name, one way from each to the others is enough.
    """
    unique: dict[Pair, Suggestion] = {}
    for each in sorted(pairs, key=lambda item: not item.certain):
        unique.setdefault(links.pair(each.one, each.other), each)
    ends = sorted({end for both in unique for end in both})
    if not ends:
        return []
    said, groups = links.standing(tx, ends), _Groups()
    for one, other in links.together(tx, ends):
        groups.join(one, other)
    return [each for both, each in unique.items() if both not in said and groups.join(*both)]


class _Groups:
    """Which objects hang together."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def join(self, one: str, other: str) -> bool:
        """Whether the two did not hang together before."""
        one, other = self._top(one), self._top(other)
        self._above[one] = other
        return one != other

    def _top(self, item: str) -> str:
        while self._above.get(item, item) != item:
            item = self._above[item]
        return item


def accept(store: Store, one: str, other: str, who: str, why: str, now: datetime) -> Word:
    """Say that the two are one."""
    return _say(store, one, other, links.ACCEPTED, who, why, now)


def refuse(store: Store, one: str, other: str, who: str, why: str, now: datetime) -> Word:
    """Say that the two are not one; it is not suggested again."""
    return _say(store, one, other, links.REFUSED, who, why, now)


def undo(store: Store, one: str, other: str, who: str, why: str, now: datetime) -> Word:
    """Take back the last word on the two: it is as it was before. Raises UsageError when there is none."""
    return _say(store, one, other, links.UNDONE, who, why, now)


def _say(store: Store, one: str, other: str, state: str, who: str, why: str, now: datetime) -> Word:
    both = links.pair(one, other)
    if one == other:
        raise UsageError("cli.links.same", id=one)
    with store.writing() as tx:
        if state == links.UNDONE:
            if links.between(tx, both) is None:
                raise UsageError("cli.links.nothing", one=one, other=other)
        else:
            held = statements.held(tx, both)
            for stix_id in both:
                if stix_id not in held:
                    raise UsageError("cli.links.unknown", id=stix_id)
        links.say(tx, both, state, who, why, micros(now))
    return Word(0, *both, state, who, why, micros(now))
