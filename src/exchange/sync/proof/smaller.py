"""A leak in as few words as still leak: moves, things, marks and references are left out one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from exchange.sync.proof.laws import Leak
from exchange.sync.proof.words import Case, Move, Thing

_TRIES = 400
Try = Callable[[Case, Move | None], Leak | None]


def smallest(leak: Leak, again: Try, going: Callable[[], bool]) -> Leak:
    """The same law broken by less. `again` plays a smaller case; `going`: whether there is time for one more."""
    tries, found = 0, True
    while found:
        found = False
        for case, second in _less(leak):
            tries += 1
            if tries > _TRIES or not going():
                return leak
            other = again(case, second)
            if other is not None:
                leak, found = other, True
                break
    return leak


def _less(leak: Leak) -> Iterator[tuple[Case, Move | None]]:
    """Every case that says a little less, those that leave out most first."""
    case, second = leak.case, leak.second
    for moves in _shorter(case.moves):
        yield replace(case, moves=moves), second
    if second is not None:
        for (move,) in (found for found in _shorter((second,)) if found):
            yield case, move


def _shorter(moves: tuple[Move, ...]) -> Iterator[tuple[Move, ...]]:
    for at, move in enumerate(moves):
        before, after = moves[:at], moves[at + 1 :]
        yield (*before, *after)
        size = len(move.things) // 2
        while size > 1:
            for begin in range(0, len(move.things), size):
                yield (*before, replace(move, things=move.things[:begin] + move.things[begin + size :]), *after)
            size //= 2
        for place, thing in enumerate(move.things):
            left, right = move.things[:place], move.things[place + 1 :]
            yield (*before, replace(move, things=(*left, *right)), *after)
            for plain in _plainer(thing):
                yield (*before, replace(move, things=(*left, plain, *right)), *after)
        if move.posted:
            yield (*before, replace(move, posted=""), *after)


def _plainer(thing: Thing) -> Iterator[Thing]:
    """The same thing with one property less."""
    for at in range(len(thing.marks)):
        yield replace(thing, marks=thing.marks[:at] + thing.marks[at + 1 :])
    for at in range(len(thing.parts)):
        yield replace(thing, parts=thing.parts[:at] + thing.parts[at + 1 :])
    if thing.given:
        return
    if thing.roles:
        yield from (
            replace(thing, refs=thing.refs[:at] + thing.refs[at + 1 :], roles=thing.roles[:at] + thing.roles[at + 1 :])
            for at in range(len(thing.roles))
        )
    elif len(thing.refs) > 1:
        yield from (replace(thing, refs=(ref,)) for ref in thing.refs)
    plain = Thing(number=thing.number)
    less = (
        replace(thing, version=plain.version), replace(thing, creator=plain.creator), replace(thing, reach=plain.reach),
        replace(thing, iep=plain.iep), replace(thing, draft=plain.draft), replace(thing, orgs=plain.orgs),
        replace(thing, text=plain.text), replace(thing, confidence=plain.confidence),
        replace(thing, unnamed=plain.unnamed), replace(thing, misp=plain.misp),
    )  # fmt: skip
    yield from (each for each in less if each != thing)
