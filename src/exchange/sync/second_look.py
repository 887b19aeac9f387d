"""When the lists change, what is held already is judged by them again, in the background and a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import orjson
from sqlalchemy import Connection

from exchange.model import facts
from exchange.policy import Rules
from exchange.store import Store, audiences, reviews, statements
from exchange.store.reviews import REFUSAL
from exchange.store.statements import Held
from exchange.sync.accept import STEP, require
from exchange.sync.doubts import DONE, LOOKED, code_for, index_for, key_of, says_benign
from exchange.sync.listing import Lister


def is_due(tx: Connection, rules: Rules, *, first: bool) -> bool:
    """Whether statements are to be judged again, by the lists as they are now.

    `first`: this process has not done so yet; one that runs on under an older choice does not take the newer one back.
    """
    key, _, upto = audiences.note(tx, LOOKED).rpartition(" ")
    if key == key_of(rules):
        return upto != DONE
    return first and bool(key or rules.terms.benign.lists)


def look_again(store: Store, rules: Rules, clock: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Judge every indicator by the lists as they are now; of how many the doubt changed.

    What is doubtful now is withdrawn, what no longer is goes out. Broken off, it goes on where it stood; of several
    that do it at a time each step counts once. Raises StoreBusy and StoreOutdated.
    """
    key, changed = key_of(rules), 0
    with store.writing() as tx:
        require(tx, rules)
        if not audiences.note(tx, LOOKED).startswith(f"{key} "):
            audiences.set_note(tx, LOOKED, f"{key} 0")
    while not stopping():
        with store.reading() as tx:
            whose, _, upto = audiences.note(tx, LOOKED).rpartition(" ")
            if whose != key or upto == DONE:
                break
            seqs = reviews.indicators(tx, int(upto), STEP)
            found = _found(rules, statements.by_seq(tx, seqs), statements.bodies(tx, seqs))
        with store.writing() as tx:
            require(tx, rules)
            still = audiences.note(tx, LOOKED) == f"{key} {upto}"
            if still and (seqs or not reviews.indicators(tx, int(upto), 1)):
                changed += relist(tx, rules, clock(), _codes(tx, found, rules.eyes))
                audiences.set_note(tx, LOOKED, f"{key} {seqs[-1] if seqs else DONE}")
    return changed


def _found(rules: Rules, held: Iterable[Held], bodies: Mapping[int, bytes]) -> dict[int, list[str]]:
    """Number → those of its values that are on a list."""
    found: dict[int, list[str]] = {}
    for item in held:
        index = None if item.revoked else index_for(rules, item.peer)
        stix = {} if index is None else orjson.loads(bodies[item.seq])
        hits = [] if index is None else index.hits(facts.observables(stix))
        found[item.seq] = [] if hits and says_benign(stix) else [value for _, value in hits]
    return found


def _codes(tx: Connection, found: Mapping[int, list[str]], needed: int) -> dict[int, str]:
    """Number → the doubt, of those whose doubt is another one now. What a person refused stays refused."""
    words = reviews.last_words(tx, {value for values in found.values() for value in values}, needed)
    codes = {}
    for item in statements.by_seq(tx, found):
        values = found[item.seq]
        code = code_for(words, item.source, values) if values else ""
        if code != item.doubt and (values or item.doubt != REFUSAL):
            codes[item.seq] = code
    return codes


def relist(tx: Connection, rules: Rules, now: datetime, codes: Mapping[int, str]) -> int:
    """Write these doubts down and bring the listings in line; how many they are."""
    if codes:
        reviews.doubt(tx, codes)
        Lister(tx, rules, now).relist([item.stix_id for item in statements.by_seq(tx, codes)])
    return len(codes)
