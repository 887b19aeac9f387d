"""What still stands of what was erased (RULES R33): which erasure it was, and the rows that have lost their names.

Whoever asks must name it: only the keyed digest of an id, a value or an event leads to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, func, select

from exchange.store import ledgers
from exchange.store.columns import chunks
from exchange.store.erasures import any_erased, nobody, of_id, of_value
from exchange.store.tables import audience, erased, erasure, event, ledger, listing, statement
from exchange.store.work import ERASED, NODE, NOTICES

_s = statement.c


def requests(tx: Connection, names: Iterable[str], values: Iterable[str]) -> list[tuple[dict[str, Any], list[int]]]:
    """Each erasure of one of these names or values, with the numbers of the statements that it left without a name.

    `names`: ids and keys of events. Of a value, all that went with it.
    """
    if not any_erased(tx):
        return []
    secret, names = ledgers.secret_of(tx), set(names)
    gone = {f"{ERASED}--{digest.hex()}" for digest in _known(tx, {of_id(secret, name) for name in names})}
    gone |= _in_events(tx, {nobody(secret, name) for name in names})
    numbers = set(_known(tx, {of_value(secret, value) for value in values}).values())
    gone |= {f"{ERASED}--{bytes(row).hex()}" for row in tx.execute(_of(numbers)).scalars()}
    of = _known(tx, {bytes.fromhex(name.partition("--")[2]) for name in gone})
    found = []
    for number in sorted({*of.values(), *numbers}):
        row = tx.execute(select(erasure).where(erasure.c.id == number)).one()
        mine = [f"{ERASED}--{digest.hex()}" for digest, which in of.items() if which == number]
        found.append((dict(row._mapping), _seqs(tx, mine)))
    return found


def _of(numbers: Collection[int]) -> Any:
    return select(erased.c.digest).where(erased.c.erasure.in_(sorted(numbers)))


def _known(tx: Connection, digests: Collection[bytes]) -> dict[bytes, int]:
    """Digest → the erasure, of those of these that were erased."""
    rows = (
        row
        for some in chunks(sorted(digests))
        for row in tx.execute(select(erased.c.digest, erased.c.erasure).where(erased.c.digest.in_(some)))
    )
    return {bytes(digest): number for digest, number in rows}


def _in_events(tx: Connection, keys: Collection[str]) -> set[str]:
    """What stands in place of the ids of what was erased in events that have lost these names."""
    query = select(statement.c.stix_id).join(event, event.c.id == statement.c.event)
    return set(tx.execute(query.where(event.c.key.in_(sorted(keys)), statement.c.type == ERASED)).scalars())


def _seqs(tx: Connection, names: Collection[str]) -> list[int]:
    """The statements that have these in place of their ids; none of our own notices."""
    rows = (
        row
        for some in chunks(sorted(names))
        for row in tx.execute(select(_s.seq).where(_s.stix_id.in_(some), _s.source != NOTICES)).scalars()
    )
    return sorted(rows)


def given(tx: Connection, seqs: Collection[int]) -> list[tuple[str, int]]:
    """(source, when) of each statement that somebody gave."""
    return [
        (row[0], row[1])
        for some in chunks(seqs)
        for row in tx.execute(select(_s.source, _s.received).where(_s.seq.in_(some), _s.peer != NODE))
    ]


def stood(tx: Connection, seqs: Collection[int]) -> list[dict[str, Any]]:
    """Every row that these had in a listing, oldest first."""
    columns = (listing.c.added, listing.c.closed, listing.c.closed_code, listing.c.agreement)
    query = select(*columns, audience.c.key, audience.c.channel, audience.c.members).join(
        audience, audience.c.number == listing.c.audience
    )
    rows = [dict(row._mapping) for some in chunks(seqs) for row in tx.execute(query.where(listing.c.seq.in_(some)))]
    return sorted(rows, key=lambda row: int(row["added"]))


def handed(tx: Connection, seqs: Collection[int]) -> list[dict[str, Any]]:
    """How often these were handed to whom with which outcome, from when to when."""
    row = ledger.c
    some = set(seqs)
    if not some:
        return []
    first, last = func.min(row.at).label("first"), func.max(row.at).label("last")
    query = select(row.seq, row.peer, row.channel, row.outcome, first, last, func.count().label("count"))
    nameless = query.where(row.stix_id == "", row.seq >= min(some), row.seq <= max(some))
    found = tx.execute(nameless.group_by(row.seq, row.peer, row.channel, row.outcome))
    return [dict(each._mapping) for each in found if each.seq in some]
