"""What a page tells beside its objects, for whoever alters them: whom they may name, and what came of our own (R16)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
from sqlalchemy import Connection

from exchange.model import lineage, personal
from exchange.model.stix import StixObject
from exchange.policy import Rules
from exchange.store import aliases, derived, statements, traits, withdrawals
from exchange.store.statements import Held, New
from exchange.store.traits import Trait
from exchange.store.withdrawals import EVERY, LINEAGE
from exchange.sync.altering import UNKNOWN

Persons = frozenset[tuple[str, str]]
"""(id, version) of what may hold personal information."""


def naming_persons(rules: Rules, objects: Sequence[StixObject]) -> Persons:
    """What of a page may hold personal information. Most bytes are only searched; it is done outside the lock."""
    suspect, choice = personal.suspect, rules.terms.personal
    return frozenset(
        (item.id, item.version)
        for item in objects
        if suspect(item.body, choice) and personal.find(orjson.loads(item.body), choice)
    )


def keep_traits(tx: Connection, held: Sequence[Held], news: Sequence[New], persons: Persons) -> list[Held]:
    """Write down what of these new statements may have to be altered for somebody; gives them with that."""
    found = {
        item.seq: Trait(item.seq, new.object.parts, (item.stix_id, item.version) in persons)
        for item, new in zip(held, news, strict=True)
        if new.object.parts is not None or (item.stix_id, item.version) in persons
    }
    traits.keep(tx, found.values())
    return [traits.having(item, found.get(item.seq)) for item in held] if found else list(held)


def returned(tx: Connection, objects: Sequence[StixObject], peer: str, now: int) -> list[str]:
    """What was made of an object that went out from here is filed under it and goes nowhere (RULES R16).

    Who gives it has the original, in some form: that never goes back to them (R3). Gives the ids to decide anew.
    """
    said = {item.id: tokens for item in objects if (tokens := lineage.tokens_in(item.body))}
    known = derived.known(tx, {token for tokens in said.values() for token in tokens}) if said else {}
    changed: list[str] = []
    for stix_id, tokens in said.items():
        originals = {known[token] for token in tokens if token in known}
        if originals:
            withdrawals.mark(tx, peer, LINEAGE, stix_id, {EVERY}, now)
            groups = statements.held(tx, originals)
            aliases.add(tx, stix_id, [item.seq for group in groups.values() for item in group])
            changed += [stix_id, *originals]
    return changed


def owed(tx: Connection, rules: Rules, news: Collection[New]) -> list[str]:
    """What waited to be altered until somebody told who its producer is, which this page does."""
    if not rules.alters:
        return []
    told = [new.object.id for new in news if new.object.type == "identity"]
    return derived.owed(tx, UNKNOWN, told) if told else []
