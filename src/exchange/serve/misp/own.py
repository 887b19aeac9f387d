"""What an account is known to have: events that it gave itself, whatever became of them, and those that it may see.

Only these two decide what it is told to send or is refused as not newer: what others gave shows in nothing (R14).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from exchange.serve.misp.instance import Ask
from exchange.serve.question import EVERY
from exchange.store import originals, pages, stated
from exchange.store.pages import Query
from exchange.store.statements import chunks

_HALF = 250
"""Uuids of one question to the store, which takes 500 ids."""
_MOST = 10_000


def seconds_of(version: str) -> int:
    """A version as MISP counts time. An object without one has none."""
    return int(datetime.fromisoformat(version[:26]).replace(tzinfo=UTC).timestamp()) if version else 0


def stamps(ask: Ask, tx: Connection, uuids: Sequence[str]) -> Mapping[str, int]:
    """Event uuid → its creator's newest timestamp of which this account knows; those that it does not know lack."""
    found = given(ask, tx, uuids)
    row = ask.visit.sees(tx, ask.collection)
    for uuid, stamp in (_listed(tx, row.number, ask.visit.now, uuids) if row is not None else {}).items():
        found[uuid] = max(stamp, found.get(uuid, 0))
    # Of what was cut off only the frame is sure to be here: the same timestamp is taken again.
    begun = originals.begun(tx, ask.source, found)
    return {uuid: stamp - 1 if (uuid, str(stamp)) in begun else stamp for uuid, stamp in found.items()}


def given(ask: Ask, tx: Connection, uuids: Iterable[str]) -> dict[str, int]:
    """The same for what it gave itself."""
    return {uuid: seconds_of(held.version) for uuid, held in stated.frames(tx, ask.source, ask.channel, uuids).items()}


def _listed(tx: Connection, number: int, now: int, uuids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in chunks(uuids, _HALF):
        ids = frozenset(f"{kind}--{uuid}" for kind in stated.FRAMES for uuid in some)
        query = Query(now=now, ids=ids, versions=EVERY, limit=_MOST)
        for entry in pages.index(tx, number, query).entries:
            uuid = entry.stix_id.partition("--")[2]
            found[uuid] = max(found.get(uuid, 0), seconds_of(entry.version))
    return found
