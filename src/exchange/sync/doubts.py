"""Whether a person looks at a statement before it leaves: what it would have a partner block belongs to everybody.

Only an indicator says that something is bad and is to be blocked; MISP attributes with `to_ids` come as indicators. An
observable, an observed-data or a sighting of the same value blocks nothing. An indicator whose types are all `benign`
says the contrary (STIX 2.1 section 6.6), and a revoked one takes back what it said.

The lists are asked outside the writer's lock; what people have decided is asked inside it, and only for what was found.
A verdict holds for a value as one source says it: what was found of one partner's word tells nothing of another's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model import benign
from exchange.model.stix import StixObject
from exchange.policy import Rules
from exchange.store import audiences, reviews
from exchange.store.reviews import REFUSAL, REFUSED, RELEASED
from exchange.store.statements import Held
from exchange.sync.intake import Intake

WARNINGLIST = "doubt.warninglist"
LOOKED = "warninglists"
"""The note of what has been looked at: the choice of lists, and up to which statement (or DONE)."""
DONE = "done"
Values = Sequence[tuple[str, str]]
Found = Mapping[tuple[str, Values], list[str]]
"""(id, its values) → those of its values that are on a list."""


def key_of(rules: Rules) -> str:
    """The name of the choice that these rules follow, and of what its lists hold now."""
    choice = rules.terms.benign
    return ",".join((index_of(choice).digest, *sorted(choice.trusted)))


_reading = threading.Lock()


def index_of(choice: benign.Choice) -> benign.Index:
    """The index of the lists; of the threads that ask first, one reads them."""
    with _reading:
        return benign.index(choice)


def found_in(rules: Rules, objects: Iterable[StixObject], peer: str) -> Found:
    """What of a page is on a list; usually nothing."""
    index = index_for(rules, peer)
    found: dict[tuple[str, Values], list[str]] = {}
    if index is None:
        return found
    for item in objects:
        if item.type == "indicator" and item.values and not item.revoked:
            hits = index.hits(item.values)
            if hits and not says_benign(orjson.loads(item.body)):
                found[item.id, item.values] = [value for _, value in hits]
    return found


def index_for(rules: Rules, peer: str) -> benign.Index | None:
    """What judges the word of `peer`; None: nothing does."""
    choice = rules.terms.benign
    return None if not choice.lists or peer in choice.trusted else index_of(choice)


def says_benign(stix: Mapping[str, Any]) -> bool:
    """Whether an indicator says of what it matches that it is harmless."""
    types = stix.get("indicator_types")
    return isinstance(types, list) and bool(types) and all(each == "benign" for each in types)


def put(tx: Connection, intake: Intake, found: Found, source: str, needed: int) -> None:
    """Write the doubt to what is new of this page, unless `needed` persons have decided of it already."""
    doubted = {
        key: values
        for key, new in intake.news.items()
        if (values := found.get((new.object.id, new.object.values))) and not new.object.revoked
    }
    if doubted:
        words = reviews.last_words(tx, {value for values in doubted.values() for value in values}, needed)
        for key, values in doubted.items():
            intake.news[key] = replace(intake.news[key], doubt=code_for(words, source, values))


def code_for(words: Mapping[tuple[str, str], str], source: str, values: Iterable[str]) -> str:
    """The doubt about a statement of `source` with these values on a list, by what people said of them."""
    said = {words.get((source, value), "") for value in values}
    if REFUSED in said:
        return REFUSAL
    return "" if said <= {RELEASED} else WARNINGLIST


def note_stray(tx: Connection, rules: Rules, held: Sequence[Held]) -> None:
    """Where what came in was judged by another choice than the store's, it is looked at again from here on."""
    if not any(item.type == "indicator" for item in held):
        return
    looked = audiences.note(tx, LOOKED)
    key, _, upto = looked.rpartition(" ")
    if upto == DONE and key != key_of(rules):
        audiences.set_note(tx, LOOKED, f"{key} {held[0].seq - 1}")
