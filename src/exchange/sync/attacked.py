"""Whom the objects of a page name: those who were attacked, by an object's own words and by those of another.

A mailbox says nothing of the messages that it got, so a message or a relationship of the same source is asked (RULES
R10, R14), whichever comes first. Who was a recipient once stays one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
import orjson
from sqlalchemy import Connection

from exchange.model import personal
from exchange.model.envelope import Page
from exchange.model.personal import Choice
from exchange.policy import Rules
from exchange.store import audiences, classes, derived, later, statements, traits, victims
from exchange.store.columns import indexed
from exchange.store.later import Later
from exchange.store.statements import Held, New
from exchange.store.traits import Trait

_Words = tuple[str, bytes]
"""(id, digest): the version may be another by the time it is stored, and two contents may claim one."""
MESSAGES = 50
"""That are read again at a time; each may have many recipients."""
READ = 500
"""Statements that are read again at a time for persons in them."""
LOOKED_AT = 50_000
"""Statements of whatever source and type among which they are looked for at a time."""


class Persons(NamedTuple):
    """What a page tells of persons."""

    naming: frozenset[_Words]
    """What may hold personal information."""
    victims: Mapping[_Words, frozenset[str]]
    """What says of others that they are a victim's, and of which ids."""
    astray: frozenset[str]
    """The same of what is not taken: who sent it has said so."""


def told_by(rules: Rules, page: Page) -> Persons:
    """What a page tells of persons. Most bytes are only searched; it is done outside the lock."""
    objects, suspect, choice = page.objects, personal.suspect, rules.terms.personal
    naming = frozenset(
        (item.id, item.digest)
        for item in objects
        if suspect(item.body, choice) and personal.find(orjson.loads(item.body), choice)
    )
    said: dict[_Words, frozenset[str]] = {}
    for item in objects:
        ids = _victims(item.body) if personal.may_name_victims(item.type, item.body) else ()
        if ids:
            said[item.id, item.digest] = said.get((item.id, item.digest), frozenset()).union(ids)
    return Persons(naming, said, frozenset[str]().union(*(_victims_astray(item.raw) for item in page.rejected)))


def keep_traits(
    tx: Connection, rules: Rules, source: str, known: Mapping[str, Sequence[Held]], held: Sequence[Held],
    news: Sequence[New], persons: Persons,
) -> tuple[list[Held], frozenset[str]]:  # fmt: skip
    """Write down what of these new statements may have to be altered for somebody; gives them with that, and the ids of
    those of whom they are the first of their source to say that they are a victim's. `known`: what was held before.
    """
    mine = [item for group in known.values() for item in group if item.source == source]
    said = _said(mine, held, persons)
    ids = frozenset[str]().union(*said.values())
    first = ids - victims.named(tx, source, ids) if ids else ids
    victims.keep(tx, source, said)
    attacked = victims.named(tx, source, {item.stix_id for item in held})
    pairs = list(zip(held, news, strict=True))
    theirs = {
        item.seq
        for item, new in pairs
        if item.stix_id in attacked and _is_personal(rules, new.object.body, victim=True)
    }
    naming = theirs | {item.seq for item in held if _words(item) in persons.naming}
    found = {
        item.seq: Trait(item.seq, new.object.parts, item.seq in naming, item.seq in theirs)
        for item, new in pairs
        if new.object.parts is not None or item.seq in naming
    }
    traits.keep(tx, found.values())
    having = [traits.having(item, found.get(item.seq)) for item in held] if found else list(held)
    return having, first


def _said(mine: Sequence[Held], held: Sequence[Held], persons: Persons) -> dict[int, frozenset[str]]:
    """Statement → whom it names, by what this page tells newly. What contradicts a statement is not kept as one, and
    speaks with that which it contradicts: as with its marks, the strictest of both counts.
    """
    if not persons.victims and not persons.astray:
        return {}
    of_id = {item.stix_id: item.seq for item in (*held, *mine)}
    stated = {_words(item): item.seq for item in held}
    told_before = {_words(item) for item in mine}
    said: dict[int, frozenset[str]] = {victims.NOT_TAKEN: persons.astray} if persons.astray else {}
    for words, ids in persons.victims.items():
        if words not in told_before:
            seq = stated.get(words, of_id.get(words[0], victims.NOT_TAKEN))
            said[seq] = said.get(seq, frozenset()) | ids
    return said


def named(tx: Connection, rules: Rules, source: str, ids: Collection[str], upto: int | None) -> list[str]:
    """What of this source was there before this page told that it is a victim's: the ids to decide anew.

    `upto`: the last statement until this page; None: it brought none. Where it is more than one transaction may do, it
    counts as a victim's at once, whoever has any of it is shut out, and the rest is left to `sync.afterwards` (R18).
    """
    seqs = victims.untold(tx, source, ids) if ids else []
    return _tell(tx, rules, source, ids, seqs if upto is None else [seq for seq in seqs if seq <= upto])


def again(tx: Connection, rules: Rules, entry: Later) -> tuple[Sequence[int], Sequence[str]]:
    """The next statements of an entry of the queue, and the ids to be decided anew because of them."""
    if entry.kind == "victims":
        seqs = victims.about(tx, entry.source, entry.about, after=entry.after, upto=entry.upto, most=later.MOST)
        return seqs, _look(tx, rules, seqs)
    upto = min(entry.upto, entry.after + LOOKED_AT)
    if entry.kind == "persons":
        seqs = victims.of_source(tx, entry.source, after=entry.after, upto=upto, most=READ)
        done = seqs if len(seqs) == READ or upto == entry.after else [*seqs, upto]
        return done, _read_again(tx, rules, seqs, [msgspec.json.decode(each, type=Choice) for each in entry.about])
    seqs = victims.speaking(tx, entry.source, after=entry.after, upto=upto, most=MESSAGES)
    said = {seq: _victims(body) for seq, body in statements.bodies(tx, seqs).items()}
    victims.keep(tx, entry.source, said)
    ids = frozenset[str]().union(*said.values())
    done = seqs if len(seqs) == MESSAGES or upto == entry.after else [*seqs, upto]
    return done, _tell(tx, rules, entry.source, ids, victims.untold(tx, entry.source, ids))


def chosen(tx: Connection, rules: Rules, before: Sequence[Rules]) -> None:
    """Where persons are found by another choice than before, everything held is read again in the background; whoever
    gets less than the whole because of them is shut out meanwhile, if more may be found.
    """
    choice = rules.terms.personal
    others = {each.terms.personal for each in before} - {choice}
    upto = classes.last(tx)
    if not others or not upto:
        return
    shut: list[int] = []
    if any(_may_find_more(choice, other) for other in others):
        strict = {a.id for a in rules.terms.agreements if rules.personal_of(a) != "allowed"}
        rows = audiences.everyone(tx)
        shut = [rows[a.key].number for a in rules.audiences if a.key in rows and not strict.isdisjoint(a.agreements)]
    later.put(tx, "persons", "", [msgspec.json.encode(each).decode() for each in others], upto=upto, shut=shut)


def _may_find_more(choice: Choice, before: Choice) -> bool:
    return not (
        choice.kinds <= before.kinds
        and set(choice.internal) <= set(before.internal)
        and set(choice.allowed) >= set(before.allowed)
    )


def _read_again(tx: Connection, rules: Rules, seqs: Sequence[int], before: Sequence[Choice]) -> list[str]:
    """Write down what these statements hold, where something else is written down, and have anew what was made of them
    by the choices of `before`; the ids of those.
    """
    held, known = statements.by_seq(tx, seqs), traits.of(tx, seqs)
    bodies = statements.bodies(tx, seqs)
    ids: dict[str, set[str]] = {}
    for item in held:
        ids.setdefault(item.source, set()).add(item.stix_id)
    attacked = {(source, each) for source, some in ids.items() for each in victims.named(tx, source, some)}
    changed: dict[tuple[bool, bool], list[Held]] = {}
    anew: list[Held] = []
    for item in held:
        body, was = bodies[item.seq], known.get(item.seq)
        victim = (item.source, item.stix_id) in attacked and _is_personal(rules, body, victim=True)
        naming = victim or (personal.suspect(body, rules.terms.personal) and _is_personal(rules, body, victim=False))
        if (naming, victim) != ((False, False) if was is None else (was.personal, was.victim)):
            changed.setdefault((naming, victim), []).append(item)
            anew += [item] if before else []  # what was made of it while an earlier choice found something
        elif naming and _finds_else(rules, body, before, victim=victim):
            anew.append(item)
    for (naming, victim), items in changed.items():
        traits.tell(tx, [item.seq for item in items], personal=naming, victim=victim)
    made = [row for row in derived.of(tx, [item.seq for item in anew]).values() if row.form == row.shape]
    for row in made:
        derived.set_aside(tx, row)
    statements.supersede(tx, [row.seq for row in made if row.seq is not None])
    return list(dict.fromkeys(item.stix_id for items in (*changed.values(), anew) for item in items))


def _finds_else(rules: Rules, body: bytes, before: Sequence[Choice], *, victim: bool) -> bool:
    document = orjson.loads(body)
    now = personal.find(document, rules.terms.personal, victim=victim)
    return any(personal.find(document, each, victim=victim) != now for each in before)


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


def _victims(body: bytes) -> frozenset[str]:
    """Whom an object names; what is too long for an id is nobody's."""
    return frozenset(ref for ref in personal.victims(orjson.loads(body)) if indexed(ref) == ref)


def _victims_astray(raw: bytes) -> frozenset[str]:
    """The same of something that is not valid, as far as it can be read."""
    if not any(kind.encode() in raw for kind in personal.SPEAKING):
        return frozenset()
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return frozenset()
    return _victims(raw) if isinstance(document, dict) else frozenset()


def _words(item: Held) -> _Words:
    return item.stix_id, item.digest
