"""Links: what operators said of two objects that may be one. Words are only ever added; the last that stands holds.

`undone` takes back the last word on the pair that was not taken back yet, so that it is as it was before that word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, insert, or_, select

from exchange.store.statements import chunks
from exchange.store.tables import link

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
UNDONE: Final = "undone"
MOST = 200
"""Objects that are followed from one to the next."""
Pair = tuple[str, str]


class Word(NamedTuple):
    """What somebody said of a pair, and when (µs since 1970)."""

    id: int
    one: str
    other: str
    state: str
    who: str
    why: str
    at: int


def pair(one: str, other: str) -> Pair:
    """The two in the order in which they are kept."""
    return (one, other) if one < other else (other, one)


def say(tx: Connection, both: Pair, state: str, who: str, why: str, now: int) -> None:
    """Write down one word. The caller holds the writer lock."""
    one, other = pair(*both)
    tx.execute(insert(link), [{"one": one, "other": other, "state": state, "who": who, "why": why, "at": now}])


def standing(tx: Connection, stix_ids: Iterable[str]) -> dict[Pair, Word]:
    """Pair → the word that holds, of all pairs with one of `stix_ids`."""
    said: list[Word] = []
    for some in chunks(dict.fromkeys(stix_ids)):
        query = select(link).where(or_(link.c.one.in_(some), link.c.other.in_(some)))
        said += [Word._make(row) for row in tx.execute(query)]
    return _standing(said)


def between(tx: Connection, both: Pair) -> Word | None:
    """The word that holds for these two; None: nobody said anything, or all was taken back."""
    one, other = pair(*both)
    query = select(link).where(and_(link.c.one == one, link.c.other == other))
    return _standing(Word._make(row) for row in tx.execute(query)).get((one, other))


def _standing(said: Iterable[Word]) -> dict[Pair, Word]:
    stacks: dict[Pair, list[Word]] = {}
    for word in sorted(set(said)):
        stack = stacks.setdefault((word.one, word.other), [])
        if word.state != UNDONE:
            stack.append(word)
        elif stack:
            stack.pop()
    return {both: stack[-1] for both, stack in stacks.items() if stack}


def together(tx: Connection, stix_ids: Collection[str], most: int = MOST) -> dict[Pair, Word]:
    """The accepted links by which something hangs together with `stix_ids`, from one to the next."""
    found: dict[Pair, Word] = {}
    known, fresh = set(stix_ids), list(stix_ids)
    while fresh and len(known) <= most:
        accepted = {both: word for both, word in standing(tx, fresh).items() if word.state == ACCEPTED}
        found |= accepted
        fresh = sorted({end for both in accepted for end in both} - known)
        known.update(fresh)
    return found


def words(tx: Connection, *, stix_id: str = "", before: int = 0, most: int = 50) -> list[Word]:
    """What was said, newest first; `stix_id`: of pairs with this one; `before`: the number behind which to go on."""
    query = select(link).order_by(link.c.id.desc()).limit(most)
    if stix_id:
        query = query.where(or_(link.c.one == stix_id, link.c.other == stix_id))
    if before:
        query = query.where(link.c.id < before)
    return [Word._make(row) for row in tx.execute(query)]
