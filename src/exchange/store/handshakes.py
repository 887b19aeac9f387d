"""Certificates of the last TLS handshake with each peer, theirs and ours: whose ends when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from exchange.store.tables import handshake

Side = Literal["theirs", "ours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One certificate as it was shown; times in µs. `file` is where ours stands, empty for theirs."""

    peer: str
    side: Side
    origin: str
    subject: str
    file: str
    not_after: int
    seen: int


def keep(tx: Connection, shown: Sequence[Shown]) -> None:
    """Write down what was shown last."""
    for each in shown:
        place = {"peer": each.peer, "side": each.side, "origin": each.origin}
        tx.execute(delete(handshake).filter_by(**place))
        values = {"subject": each.subject, "file": each.file, "not_after": each.not_after, "seen": each.seen}
        tx.execute(insert(handshake).values(**place, **values))


def shown(tx: Connection) -> list[Shown]:
    """Every certificate that was shown, the one that ends first before the others."""
    rows = tx.execute(select(handshake).order_by(handshake.c.not_after)).mappings()
    return [Shown(**row) for row in rows]
