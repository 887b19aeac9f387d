"""What was received, byte for byte: of each statement, and of the documents of which statements are projections."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from exchange.store import blocks
from exchange.store.prepared import Lookup, among
from exchange.store.tables import document, statement

_RECEIVED = Lookup(
    select(
        statement.c.stix_id,
        statement.c.version,
        func.coalesce(statement.c.raw_block, statement.c.block),
        func.coalesce(statement.c.raw_start, statement.c.start),
        func.coalesce(statement.c.raw_stop, statement.c.stop),
    ).where(statement.c.source == bindparam("source"), among(statement.c.stix_id))
)


def raw(tx: Connection, seq: int) -> bytes:
    """The bytes received."""
    served = (statement.c.block, statement.c.start, statement.c.stop)
    received = (statement.c.raw_block, statement.c.raw_start, statement.c.raw_stop)
    row = tx.execute(select(*served, *received).where(statement.c.seq == seq)).one()
    return blocks.read(tx, [row[:3] if row.raw_block is None else row[3:]])[0]


def given(tx: Connection, source: str, stix_ids: Iterable[str]) -> dict[str, dict[bytes, str]]:
    """Id → the bytes that `source` gave under it → their version."""
    rows = _RECEIVED.rows(tx, stix_ids, source=source)
    found: dict[str, dict[bytes, str]] = {}
    for row, received in zip(rows, blocks.read(tx, [row[2:] for row in rows]), strict=True):
        found.setdefault(row[0], {})[received] = row[1]
    return found


def keep_document(tx: Connection, source: str, kind: str, id_: str, version: str, raw: bytes, now: int) -> int:
    """Keep an original and give its number; the same version of it is kept once, in its latest form."""
    same = and_(document.c.source == source, document.c.document_id == id_, document.c.version == version)
    known = tx.execute(select(document.c.id).where(same)).scalar()
    if known is not None:
        tx.execute(update(document).where(same).values(raw=raw, received=now))
        return int(known)
    row = {
        "source": source,
        "kind": kind,
        "document_id": id_,
        "version": version,
        "raw": raw,
        "received": now,
    }
    return int(tx.execute(insert(document).returning(document.c.id), [row]).scalar_one())
