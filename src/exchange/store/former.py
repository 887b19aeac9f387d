"""What was changed in statements or taken back, as it was before, so that decisions can be made again as of then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Text, cast, func, insert, literal, select

from exchange.store.columns import chunks
from exchange.store.tables import former, lifted, withdrawal

DOUBT, STATED, PARTS, TOUCH, LED = "doubt", "stated", "parts", "touch", "led"
TRAITS = "traits"
"""personal, and twice victim, as a number"""


def keep(tx: Connection, what: str, seq: Column[int], value: ColumnElement[Any], seqs: Collection[int]) -> None:
    """Write down what stands in the column `value` of these rows, which is about to change; empty: nothing."""
    for some in chunks(sorted(seqs)):
        rows = select(seq, literal(what), func.coalesce(cast(value, Text), "")).where(seq.in_(some))
        tx.execute(insert(former).from_select(["seq", "what", "value"], rows))


def lift(tx: Connection, *which: ColumnElement[bool]) -> None:
    """Write down these marks of withdrawal, which are about to be taken away."""
    w = withdrawal.c
    rows = select(w.stix_id, w.peer, w.channel, w.version, w.sitting).where(*which)
    tx.execute(insert(lifted).from_select(["stix_id", "peer", "channel", "version", "since"], rows))
