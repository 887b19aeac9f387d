"""Whom the objects of a page name: those who were attacked, by an object's own words and by those of another.

A mailbox says nothing of the messages that it got, so a message or a relationship of the same source is asked (RULES
R10, R14), whichever comes first. Who was a recipient once stays one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import Connection

from exchange.model import personal
from exchange.model.stix import StixObject
from exchange.policy import Rules
from exchange.store import later, statements, traits, victims
from exchange.store.later import Later
from exchange.store.statements import Held, New
from exchange.store.traits import Trait

_Name = tuple[str, str]
"""(id, version)"""
MESSAGES = 50
"""That are read again at a time; each may have many recipients."""


class Persons(NamedTuple):
    """What a page tells of persons."""

    naming: frozenset[_Name]
    """What may hold personal information."""
    victims: Mapping[_Name, frozenset[str]]
    """What says of others that they are a victim's, and of which ids."""


def told_by(rules: Rules, objects: Sequence[StixObject]) -> Persons:
    """What a page tells of persons. Most bytes are only searched; it is done outside the lock."""
    suspect, choice = personal.suspect, rules.terms.personal
    naming = frozenset(
        (item.id, item.version)
        for item in objects
        if suspect(item.body, choice) and personal.find(orjson.loads(item.body), choice)
    )
    speaking = [item for item in objects if personal.may_name_victims(item.type, item.body)]
    named = {(item.id, item.version): personal.victims(orjson.loads(item.body)) for item in speaking}
    return Persons(naming, {name: ids for name, ids in named.items() if ids})


def keep_traits(
    tx: Connection, rules: Rules, source: str, held: Sequence[Held], news: Sequence[New], persons: Persons
) -> list[Held]:
    """Write down what of these new statements may have to be altered for somebody; gives them with that."""
    pairs = list(zip(held, news, strict=True))
    victims.keep(tx, {item.seq: persons.victims[name] for item, _ in pairs if (name := _name(item)) in persons.victims})
    attacked = victims.named(tx, source, {item.stix_id for item in held})
    theirs = {
        item.seq
        for item, new in pairs
        if item.stix_id in attacked and _is_personal(rules, new.object.body, victim=True)
    }
    naming = theirs | {item.seq for item, _ in pairs if _name(item) in persons.naming}
    found = {
        item.seq: Trait(item.seq, new.object.parts, item.seq in naming, item.seq in theirs)
        for item, new in pairs
        if new.object.parts is not None or item.seq in naming
    }
    traits.keep(tx, found.values())
    return [traits.having(item, found.get(item.seq)) for item in held] if found else list(held)


def named(tx: Connection, rules: Rules, source: str, persons: Persons, upto: int) -> list[str]:
    """What of this source was there before this page told that it is a victim's: the ids to decide anew.

    `upto`: the last statement until this page. Where it is more than one transaction may do, it counts as a victim's at
    once, whoever has any of it is shut out, and the rest is left to `sync.afterwards` (RULES R18).
    """
    ids = frozenset[str]().union(*persons.victims.values())
    seqs = [seq for seq in victims.untold(tx, source, ids) if seq <= upto] if ids else []
    return _tell(tx, rules, source, ids, seqs)


def again(tx: Connection, rules: Rules, entry: Later) -> tuple[Sequence[int], Sequence[str]]:
    """The next statements of an entry of the queue, and the ids to be decided anew because of them."""
    if entry.kind == "victims":
        seqs = victims.about(tx, entry.source, entry.about, after=entry.after, upto=entry.upto, most=later.MOST)
        return seqs, _look(tx, rules, seqs)
    seqs = victims.speaking(tx, entry.source, after=entry.after, upto=entry.upto, most=MESSAGES)
    said = {seq: personal.victims(orjson.loads(body)) for seq, body in statements.bodies(tx, seqs).items()}
    victims.keep(tx, said)
    ids = frozenset[str]().union(*said.values())
    return seqs, _tell(tx, rules, entry.source, ids, victims.untold(tx, entry.source, ids))


def _tell(tx: Connection, rules: Rules, source: str, ids: Collection[str], seqs: Sequence[int]) -> list[str]:
    if len(seqs) <= later.MOST:
        return _look(tx, rules, seqs)
    traits.tell(tx, seqs, personal=True, victim=True)
    later.put(tx, "victims", source, ids, upto=max(seqs), shut=victims.audiences_of(tx, source, ids))
    return []


def _look(tx: Connection, rules: Rules, seqs: Collection[int]) -> list[str]:
    """Write down of each of these, which its source calls a victim's, whether anything in it is; the ids of those."""
    if not seqs:
        return []
    theirs = [seq for seq, body in statements.bodies(tx, seqs).items() if _is_personal(rules, body, victim=True)]
    traits.tell(tx, theirs, personal=True, victim=True)
    nobodys = set(seqs) - set(theirs)
    held = {item.seq: item for item in statements.by_seq(tx, seqs)}
    for seq in nobodys & {seq for seq, known in traits.of(tx, nobodys).items() if known.victim}:
        body = statements.bodies(tx, [seq])[seq]
        traits.tell(tx, [seq], personal=_is_personal(rules, body, victim=False), victim=False)
    return list(dict.fromkeys(item.stix_id for item in held.values()))


def _is_personal(rules: Rules, body: bytes, *, victim: bool) -> bool:
    return bool(personal.find(orjson.loads(body), rules.terms.personal, victim=victim))


def _name(item: Held) -> _Name:
    return item.stix_id, item.version
