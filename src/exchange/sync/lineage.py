"""What a page tells beside its objects, for whoever alters them: names of producers, and what came of our own (R16)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from exchange.model import lineage, misp
from exchange.model.stix import CONTAINERS, StixObject
from exchange.policy import Rules
from exchange.store import aliases, derived, later, statements, widenings, withdrawals
from exchange.store.statements import New
from exchange.store.withdrawals import EVERY, LINEAGE
from exchange.sync.producers import Producers, concerned


def returned(tx: Connection, objects: Sequence[StixObject], peer: str, now: int) -> list[str]:
    """What was made of an object that went out from here is filed under it and goes nowhere (RULES R16).

    Who gives it has the original, in some form: that never goes back to them (R3). Gives the ids to decide anew.
    """
    said = {item.id: tokens for item in objects if (tokens := lineage.tokens_in(item.body))}
    asked = {token for tokens in said.values() for token in tokens}
    known = widenings.known(tx, asked) | derived.known(tx, asked) if said else {}
    found = {stix_id: {known[token] for token in tokens if token in known} for stix_id, tokens in said.items()}
    for stix_id, original in _by_their_ids(tx, objects).items():
        found.setdefault(stix_id, set()).add(original)
    changed: list[str] = []
    for stix_id, originals in found.items():
        if originals:
            withdrawals.mark(tx, peer, LINEAGE, stix_id, {EVERY}, now)
            groups = statements.held(tx, originals)
            aliases.add(tx, stix_id, [item.seq for group in groups.values() for item in group])
            changed += [stix_id, *originals]
    return changed


def _by_their_ids(tx: Connection, objects: Sequence[StixObject]) -> dict[str, str]:
    """Id → the original, of what has an id that we minted, and of what was made beside it of the same MISP entity.

    MISP carries no tokens, so there the uuid tells; the entity may be another kind of object than the one that left.
    """
    if not derived.any_made(tx) and not widenings.any_made(tx):
        return {}
    uuids = {item.id: item.id.partition("--")[2] for item in objects}
    asked = {f"{kind}--{uuids[item.id]}" for item in objects if item.event for kind in _CARRIERS}
    ours = derived.originals(tx, asked | uuids.keys()) | widenings.originals(tx, asked | uuids.keys())
    if not ours:
        return {}
    entities = {minted.partition("--")[2]: original for minted, original in ours.items()}
    found = {stix_id: original for stix_id, uuid in uuids.items() if (original := entities.get(uuid))}
    return _with_what_is_beside(objects, found)


_FAR = 8
"""References from a carrier to the last that was made beside it; fewer are needed."""


def _with_what_is_beside(objects: Sequence[StixObject], found: dict[str, str]) -> dict[str, str]:
    """The same with what carries no entity of its own, and refers to these, or they to it."""
    alone = [item for item in objects if item.event and item.id not in found and not _carries(item.body)]
    lone, refs = {item.id for item in alone}, {item.id: item.refs for item in objects if item.type not in CONTAINERS}
    for _ in range(_FAR):
        # A report refers to whatever stands in its event; that says nothing of it.
        known = {ref: found[each] for each in found.keys() & refs.keys() for ref in (each, *(refs[each] & lone))}
        near = ((item.id, known.get(next((r for r in (item.id, *item.refs) if r in known), ""))) for item in alone)
        more = {stix_id: original for stix_id, original in near if original and stix_id not in found}
        if not more:
            break
        found = found | more
    return found


def _carries(body: bytes) -> bool:
    extension = misp.carried(orjson.loads(body)) or {}
    return any(kind in extension for kind in misp.KINDS)


_CARRIERS = ("indicator", "observed-data", "x-misp-attribute", "x-misp-object", "vulnerability", "campaign", "report",
             "grouping", "note")  # fmt: skip


def named(tx: Connection, rules: Rules, source: str, peer: str, news: Sequence[New], before: int) -> list[str]:
    """What was altered, or waited to be, before this page told by what its producer is known: the ids to decide anew.

    `before`: the last statement until this page. Where it is more than one transaction may do, whoever has any of it is
    shut out at once, and the rest is left to `sync.afterwards` (RULES R18).
    """
    identities = [new.object for new in news if new.object.type == "identity"]
    if not rules.anonymous or not identities or not derived.any_made(tx):
        return []
    producers = Producers(tx, rules)
    telling = producers.telling(identities, source, before)
    if not telling:
        return []
    creators = concerned(rules, peer, telling) or ()
    seqs = derived.hidden(tx, source, creators, after=0, upto=before, most=later.MOST + 1)
    if len(seqs) <= later.MOST:
        return doubtful(tx, producers, seqs)
    later.put(tx, "names", source, creators, upto=before, shut=derived.audiences_of(tx, source, creators))
    return []


def doubtful(tx: Connection, producers: Producers, seqs: Sequence[int]) -> list[str]:
    """The ids of those of these statements of which something was made without their producer, and shows it under the
    names that are known now; that it shows nobody is written down of the others.
    """
    held = {item.seq: item for item in statements.by_seq(tx, seqs)}
    rows = [(row, held[row.of]) for row in derived.of(tx, seqs).values() if row.stands]
    bodies = statements.bodies(tx, producers.unread(rows))
    good, bad = producers.vouched(rows, bodies)
    derived.vouch(tx, [(row, digest) for row, digest in good if digest])
    return list(dict.fromkeys(row.stix_id for row in bad))
