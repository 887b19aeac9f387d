"""Keys that a release makes in another way than the one that filled the store: everything is keyed anew, in steps.

First each statement gets its new keys; then what stands in collections that fold is folded by them, twins together, so
that nothing comes forward that goes behind again. How far it has come stands in the store: it goes on after a crash,
and is done once for all processes. What is served meanwhile is served.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import orjson
import structlog

from exchange.model import facts, titles
from exchange.model.schema import observable_types
from exchange.policy import Rules
from exchange.store import Store, audiences, folds, names, rekeyed, schema, statements
from exchange.store.rekeyed import Kept, Keyed
from exchange.sync.accept import STEP, require
from exchange.sync.listing import Lister

log = structlog.get_logger()

KEYS = "2"
"""The way in which facts, values and aliases are made now. Whoever changes `model.facts`, what it stands on, or how a
pattern is spelt canonically, counts on: a test holds samples against this number."""
_TWINS = 1_000
"""Ids that are listed anew together: of more that state one fact some may come forward and go behind again."""
_KEYED, _LISTED = "fact_keys", "fact_keys_listed"
"""Notes: the way in which all statements are keyed, and all that folds is listed."""
_AT = "_at"
"""Behind the name of such a note: the way that it is going, and the number of the last statement that is done."""


def outdated(store: Store) -> bool:
    """Whether anything is left to do."""
    with store.reading() as tx:
        return any(audiences.note(tx, name) != KEYS for name in (_KEYED, _LISTED))


def rekey(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Key all statements in the way of this release; the number of those whose keys have changed.

    At most STEP in one transaction. Raises StoreBusy when the writer lock is not free, and StoreOutdated.
    """
    changed, more = 0, True
    while more and not stopping():
        with store.writing() as tx:
            schema.require(tx)
            if audiences.note(tx, _KEYED) == KEYS:
                break
            after = _place(audiences.note(tx, _KEYED + _AT))
            if after < 0:
                rekeyed.begin(tx)
            some = rekeyed.some(tx, after, STEP)
            made = {kept.seq: (kept.keyed, _keys(kept)) for kept in some}
            names.complete(
                tx, {kept.seq: titles.names_of(orjson.loads(kept.body), observable_types()) for kept in some}
            )
            rekeyed.rekey(tx, {seq: both for seq, both in made.items() if both[0] != both[1]})
            changed += sum(old != new for old, new in made.values())
            more = bool(some)
            audiences.set_note(tx, _KEYED + _AT, f"{KEYS}:{some[-1].seq}" if some else "")
            if not some:
                rekeyed.end(tx)
                audiences.set_note(tx, _KEYED, KEYS)
    if changed:
        log.info("keys.renewed", changed=changed)
    return changed


def _place(note: str | None) -> int:
    """Behind which statement to go on; one that went another way begins again."""
    way, _, at = (note or "").partition(":")
    return int(at) if way == KEYS and at else -1


def _keys(kept: Kept) -> Keyed:
    stix = orjson.loads(kept.body)
    fact, values = facts.read(stix)
    return rekeyed.keyed(None if kept.revoked or fact == stix["id"] else fact, values, facts.aliases(stix))


def relist(store: Store, rules: Rules, now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
    """Fold by the new keys, when all statements have them; the number of rows that were listed or closed."""
    moved, more = 0, True
    done: set[str] = set()
    while more and not stopping():
        with store.writing() as tx:
            require(tx, rules)
            if audiences.note(tx, _KEYED) != KEYS or audiences.note(tx, _LISTED) == KEYS:
                break
            after = _place(audiences.note(tx, _LISTED + _AT))
            some = statements.walk(tx, after, STEP)
            lister = Lister(tx, rules, now)
            lister.audiences = [audience for audience in lister.audiences if audience.fold]
            numbers = [lister.numbers[audience.key] for audience in lister.audiences] if some else []
            waiting = {each for number in numbers for each in folds.keyed_otherwise(tx, number, after, some[-1])} - done
            these = sorted(waiting)[:_TWINS]  # a fact may have more twins than one transaction takes (R18)
            done.update(these)
            moved += lister.relist(these)
            if len(these) < len(waiting):
                continue
            done.clear()
            more = bool(some)
            audiences.set_note(tx, _LISTED + _AT, f"{KEYS}:{some[-1]}" if some else "")
            if not some:
                audiences.set_note(tx, _LISTED, KEYS)
    return moved
