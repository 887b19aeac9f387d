"""What one source stated of one MISP event: what its sender is told it has given, whatever others see of it.

What its peer has withdrawn from the channel (RULES R22) is no longer part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from exchange.store import statements
from exchange.store.statements import Held, chunks
from exchange.store.tables import event, statement, withdrawal
from exchange.store.withdrawals import EVERY

FRAMES = ("report", "grouping")
_AT_ONCE = 500
_s, _w = statement.c, withdrawal.c


def frames(tx: Connection, source: str, channel: str, uuids: Iterable[str]) -> dict[str, Held]:
    """Event uuid → the newest frame that `source` gave of it, and has not withdrawn from `channel`."""
    ids = {f"{kind}--{uuid}": uuid for uuid in uuids for kind in FRAMES}
    found: dict[str, Held] = {}
    for some in chunks(ids):
        for stix_id, items in statements.held(tx, some).items():
            for item in items:
                known = found.get(ids[stix_id])
                if item.source != source or channel in item.withdrawn:
                    continue
                if known is None or item.version > known.version:
                    found[ids[stix_id]] = item
    return found


def attributes(tx: Connection, source: str, channel: str, uuid: str) -> int:
    """How many MISP attributes the source has given of the event `uuid`."""
    query = _of(tx, select(func.coalesce(func.sum(_s.attributes), 0)), source, channel, uuid)
    return 0 if query is None else int(tx.execute(query).scalar_one())


def parts(tx: Connection, source: str, channel: str, uuid: str) -> Iterator[Sequence[Held]]:
    """The newest statements of `source` that belong to the event `uuid`, as they came, a few at a time."""
    after = -1
    while True:
        query = _of(tx, select(_s.seq), source, channel, uuid)
        if query is None:
            return
        seqs = list(tx.execute(query.where(_s.seq > after).order_by(_s.seq).limit(_AT_ONCE)).scalars())
        if not seqs:
            return
        yield sorted(statements.by_seq(tx, seqs), key=lambda item: item.seq)
        after = seqs[-1]


def _of(tx: Connection, query: Select[Any], source: str, channel: str, uuid: str) -> Select[Any] | None:
    """`query` for what the source has given of the event; None: nobody has given anything of it."""
    numbers = list(tx.execute(select(event.c.id).where(event.c.key == uuid)).scalars())
    if not numbers:
        return None
    return query.where(_s.event.in_(numbers), _s.source == source, _s.newest, ~_gone(channel))


def _gone(channel: str) -> ColumnElement[bool]:
    return exists().where(
        and_(
            _w.stix_id == _s.stix_id,
            _w.peer == _s.peer,
            _w.channel == channel,
            or_(_w.version == EVERY, _w.version == _s.version),
        )
    )
