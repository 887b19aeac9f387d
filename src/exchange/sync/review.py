"""What waits for a person before it leaves, and what the person decides: released or refused, by the last word.

A verdict is about a value as one source says it. It holds for every indicator in which that source names the value,
those that came before and those to come, so nobody is asked twice. Another source's indicator of the same value is
asked for itself: its word may be better founded, and what one partner may see must not hang on what another said
(RULES R14). Whoever means the value, whoever says it, decides it by the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.model import benign, facts, normalise
from exchange.model.benign import Match
from exchange.policy import Rules
from exchange.store import Store, reviews, statements
from exchange.store.clock import micros
from exchange.store.reviews import REFUSED, RELEASED, Verdict
from exchange.store.statements import Held
from exchange.sync.accept import require
from exchange.sync.doubts import WARNINGLIST, code_for
from exchange.sync.explain import search
from exchange.sync.second_look import relist
from exchange.sync.subjects import judged

_STEP = 200
"""Statements of one transaction (RULES R18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A statement about which there is, or was, a doubt."""

    held: Held
    matches: tuple[Match, ...]
    """What the lists say of its values now."""
    readers: tuple[str, ...]
    """The peers to whom it goes, or would go once released."""
    verdicts: tuple[Mapping[str, Any], ...]
    """What people decided of it, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What an operator decides of: one object by its id, or a value whoever says it; of one source or all."""

    stix_id: str = ""
    value: str = ""
    source: str = ""
    released: bool
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """What a ruling was about: (source, value) pairs, and the statements whose doubt changed by it."""

    about: tuple[tuple[str, str], ...]
    changed: tuple[Held, ...]


def waiting(
    store: Store, rules: Rules, now: datetime, *, source: str = "", most: int, refused: bool = False
) -> tuple[list[Waiting], int]:
    """What waits for a person, oldest first, and how much it is in all; `refused`: what somebody refused instead."""
    with store.reading() as tx:
        seqs = reviews.open_seqs(tx, most=most, source=source, refused=refused)
        total = reviews.count_open(tx, source=source, refused=refused)
        return _waiting(tx, rules, now, statements.by_seq(tx, seqs)), total


def about(store: Store, rules: Rules, asked: str, now: datetime) -> list[Waiting]:
    """What there is to review, or was, of an id, a MISP uuid or a value: with its verdicts, decided or not."""
    with store.reading() as tx:
        found = [held for held in search(tx, asked) if held.type == "indicator"]
        return [each for each in _waiting(tx, rules, now, found) if each.held.doubt or each.matches or each.verdicts]


def _waiting(tx: Connection, rules: Rules, now: datetime, found: Sequence[Held]) -> list[Waiting]:
    bodies = statements.bodies(tx, [held.seq for held in found])
    groups = statements.held(tx, {held.stix_id for held in found})
    said = reviews.about(tx, list(groups))
    return [
        Waiting(
            held=held,
            matches=tuple(_matches(rules, _values(bodies[held.seq]))),
            readers=_readers(rules, groups[held.stix_id], held.seq, now),
            verdicts=tuple(row for row in said if (row["stix_id"], row["source"]) == (held.stix_id, held.source)),
        )
        for held in sorted(found, key=lambda held: held.seq)
    ]


def _values(body: bytes) -> tuple[tuple[str, str], ...]:
    return facts.observables(orjson.loads(body))


def _matches(rules: Rules, values: Iterable[tuple[str, str]]) -> Iterator[Match]:
    choice = rules.terms.benign
    for path, value in benign.index(choice).hits(values):
        yield from benign.explain(choice, path, value)


def _readers(rules: Rules, group: Sequence[Held], seq: int, now: datetime) -> tuple[str, ...]:
    """To whom it would go if nobody doubted it; our own house sees it anyway."""
    item = next(each for each in judged(rules, group, now) if each.held.seq == seq)
    item = replace(item, subject=replace(item.subject, doubt=""))
    may = (audience for audience in rules.audiences if not audience.home and item.decide(rules, audience).released)
    return tuple(sorted({member for audience in may for member in audience.members}))


def rule(store: Store, rules: Rules, ruling: Ruling, clock: Callable[[], datetime]) -> Ruled:
    """Write the verdict down and list or withdraw at once. What is about nothing doubtful changes nothing.

    Raises StoreBusy and StoreOutdated; given again after that, it does what is left.
    """
    pairs, verdicts = _verdicts(store, rules, ruling, clock())
    with store.writing() as tx:
        require(tx, rules)
        reviews.keep(tx, verdicts)
    changed: list[Held] = []
    values, after = {value for _, value in pairs}, 0
    while pairs:
        with store.writing() as tx:
            require(tx, rules)
            seqs = reviews.saying(tx, values, after, _STEP)
            if not seqs:
                break
            own = [held for held in statements.by_seq(tx, seqs) if not held.revoked]
            codes = _codes(tx, rules, own, pairs)
            relist(tx, rules, clock(), codes)
            changed += statements.by_seq(tx, codes)
            after = seqs[-1]
    return Ruled(about=tuple(sorted(pairs)), changed=tuple(changed))


def _verdicts(
    store: Store, rules: Rules, ruling: Ruling, now: datetime
) -> tuple[dict[tuple[str, str], str], list[Verdict]]:
    """(source, value) → the id under which it was decided; and what is to be written down."""
    pairs: dict[tuple[str, str], str] = {}
    paths: dict[str, str] = {}
    wanted = normalise.forms(ruling.value) if ruling.value else set()
    for held, values in _named(store, ruling, wanted):
        hits = {value for _, value in benign.index(rules.terms.benign).hits(values)}
        with store.reading() as tx:
            words = reviews.last_words(tx, {value for _, value in values})
        for path, value in values:
            known = value in hits or (held.source, value) in words
            if known and (not wanted or value in wanted):
                pairs[held.source, value] = held.stix_id
                paths[value] = path
    verdict = RELEASED if ruling.released else REFUSED
    found = {value: benign.explain(rules.terms.benign, path, value) for value, path in paths.items()}
    return pairs, [
        Verdict(
            stix_id=stix_id, source=source, code=WARNINGLIST, value=value, verdict=verdict, who=ruling.who,
            why=ruling.why, at=micros(now),
            matches=[{"list": m.list, "entry": m.entry, "path": m.path, "relation": m.relation} for m in found[value]],
        )
        for (source, value), stix_id in pairs.items()
    ]  # fmt: skip


def _named(store: Store, ruling: Ruling, wanted: set[str]) -> Iterator[tuple[Held, Sequence[tuple[str, str]]]]:
    """The indicators that the ruling names, with their values."""
    after = 0
    while True:
        with store.reading() as tx:
            if ruling.stix_id:
                found = statements.held(tx, [ruling.stix_id]).get(ruling.stix_id, [])
            else:
                found = statements.by_seq(tx, reviews.saying(tx, wanted, after, _STEP))
            bodies = statements.bodies(tx, [held.seq for held in found])
        for held in found:
            if held.type == "indicator" and not held.revoked and ruling.source in ("", held.source):
                yield held, _values(bodies[held.seq])
        if ruling.stix_id or not found:
            return
        after = max(held.seq for held in found)


def _codes(tx: Connection, rules: Rules, held: Sequence[Held], pairs: Mapping[tuple[str, str], str]) -> dict[int, str]:
    """Number → the doubt about it now, of those whose doubt is another one by these verdicts."""
    bodies = statements.bodies(tx, [each.seq for each in held])
    index, codes = benign.index(rules.terms.benign), {}
    for each in held:
        values = _values(bodies[each.seq])
        ruled = [value for _, value in values if (each.source, value) in pairs]
        if not ruled:
            continue
        asked = {value for _, value in index.hits(values)} | set(ruled)
        code = code_for(reviews.last_words(tx, asked, rules.eyes), each.source, asked)
        if code != each.doubt:
            codes[each.seq] = code
    return codes
