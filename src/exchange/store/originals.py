"""What was received, byte for byte: of each statement, and of the documents of which statements are projections."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, select, update

from exchange.store import blocks
from exchange.store.prepared import Lookup, among
from exchange.store.statements import chunks
from exchange.store.tables import document, statement

WHOLE: Final = "misp-event"
BEGUN: Final = "misp-event-begun"
"""Kinds of document: all of it is here, or what follows its first pages is still to come."""
_AT_ONCE = 4 << 20
_RECEIVED = Lookup(
    select(
        statement.c.stix_id,
        statement.c.version,
        statement.c.precision,
        func.coalesce(statement.c.raw_block, statement.c.block),
        func.coalesce(statement.c.raw_start, statement.c.start),
        func.coalesce(statement.c.raw_stop, statement.c.stop),
    ).where(
        statement.c.source == bindparam("source"),
        among(statement.c.stix_id),
        # What was not judged yet is to be looked at again.
        ~statement.c.waiting,
    )
)


def raw(tx: Connection, seq: int) -> bytes:
    """The bytes received."""
    served = (statement.c.block, statement.c.start, statement.c.stop)
    received = (statement.c.raw_block, statement.c.raw_start, statement.c.raw_stop)
    row = tx.execute(select(*served, *received).where(statement.c.seq == seq)).one()
    return blocks.read(tx, [row[:3] if row.raw_block is None else row[3:]])[0]


def any_given(tx: Connection, source: str, stix_ids: Collection[str]) -> bool:
    """Whether `source` has given anything under one of these ids before."""
    return bool(_RECEIVED.rows(tx, stix_ids, source=source))


def recognised(
    tx: Connection, source: str, given: Mapping[str, Collection[bytes]]
) -> dict[tuple[str, bytes], tuple[str, int]]:
    """(id, bytes) → version and its precision, of what `source` gave before exactly so.

    `given`: id → what comes under it now. Only what is as long as something of that is read, a few megabytes at a time.
    """
    found: dict[tuple[str, bytes], tuple[str, int]] = {}
    lengths = {stix_id: {len(raw) for raw in raws} for stix_id, raws in given.items()}
    rows = [row for row in _RECEIVED.rows(tx, given, source=source) if row[5] - row[4] in lengths[row[0]]]
    while rows:
        size, count = 0, 0
        while count < len(rows) and (not count or size < _AT_ONCE):
            size += rows[count][5] - rows[count][4]
            count += 1
        some, rows = rows[:count], rows[count:]
        for row, received in zip(some, blocks.read(tx, [row[3:] for row in some]), strict=True):
            if received in given[row[0]]:
                found[row[0], received] = row[1], row[2]
    return found


def keep_document(tx: Connection, source: str, kind: str, id_: str, version: str, raw: bytes, now: int) -> int:
    """Keep an original and give its number; the same version of it is kept once, in its latest form.

    `raw` empty: its bytes came with an earlier page.
    """
    same = _same(source, id_, version)
    known = tx.execute(select(document.c.id, document.c.kind).where(same)).one_or_none()
    if known is not None:
        if raw:
            tx.execute(update(document).where(same).values(raw=raw, received=now, kind=kind))
        elif known.kind != kind:
            tx.execute(update(document).where(same).values(kind=kind))
        return int(known.id)
    row = {
        "source": source,
        "kind": kind,
        "document_id": id_,
        "version": version,
        "raw": raw,
        "received": now,
    }
    return int(tx.execute(insert(document).returning(document.c.id), [row]).scalar_one())


def blank(tx: Connection, number: int) -> None:
    """Destroy the bytes of this document: something in it was erased (RULES R33)."""
    tx.execute(update(document).where(document.c.id == number).values(raw=b""))


def complete(tx: Connection, source: str, id_: str, version: str) -> None:
    """All of this document is here now."""
    tx.execute(update(document).where(_same(source, id_, version)).values(kind=WHOLE))


def begun(tx: Connection, source: str, ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of those documents of `source` of which more is still to come."""
    found: set[tuple[str, str]] = set()
    for some in chunks(ids):
        query = select(document.c.document_id, document.c.version).where(
            document.c.source == source, document.c.document_id.in_(some), document.c.kind == BEGUN
        )
        found |= {(row.document_id, row.version) for row in tx.execute(query)}
    return found


def _same(source: str, id_: str, version: str) -> ColumnElement[bool]:
    return and_(document.c.source == source, document.c.document_id == id_, document.c.version == version)
