"""The ledgers (RULES R27): who was handed what, who fetched what, each row chained to the one before it.

A chain is one writer's: `link` is SHA-256 of the link before it and of the row. What a row says of content is in it
only as a digest under the node's secret, so the chain still verifies when the words themselves had to be erased (R33).
Every minute the heads of all chains are anchored in a common one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, RowMapping, func, insert, select, update

from exchange.store import audiences
from exchange.store.audiences import NODE_SECRET
from exchange.store.prepared import Inserting
from exchange.store.tables import anchor, ledger, read

HANDED = "handed"
"""The chain of what we handed over: its writer is whoever holds the writer lock."""
_KEYED = 16
"""Bytes of a keyed digest."""
_AT_ONCE = 1_000
_LATE = 10_000
"""Rows of the read ledger that may be committed behind a later number, on PostgreSQL."""


def secret_of(tx: Connection) -> bytes:
    """The node's secret, by which the digests in the chains are keyed."""
    return audiences.note(tx, NODE_SECRET).encode()


def keyed(secret: bytes, *words: str) -> bytes:
    """What a chain knows of these words."""
    return hmac.digest(secret, "\0".join(words).encode(), "sha256")[:_KEYED]


def root(writer: str) -> bytes:
    """What the first row of a writer's chain is linked to."""
    return hashlib.sha256(writer.encode()).digest()


def linked(before: bytes, *row: object) -> bytes:
    """The link of a row behind `before`."""
    return hashlib.sha256(before + json.dumps(row, separators=(",", ":")).encode()).digest()


# --- what was handed over -------------------------------------------------------------------------------------------


def hand(tx: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write what became of objects that we handed over; the caller holds the writer lock."""
    last = select(ledger.c.link).where(ledger.c.link.is_not(None)).order_by(ledger.c.id.desc()).limit(1)
    before = tx.execute(last).scalar() or root(HANDED)
    secret, rows = secret_of(tx), []
    for entry in entries:
        row = {**entry, "object": keyed(secret, entry["stix_id"], entry["version"])}
        before = row["link"] = _link_of_handed(before, row)
        rows.append(row)
    if rows:
        tx.execute(insert(ledger), rows)


def _link_of_handed(before: bytes, row: Mapping[str, Any] | RowMapping) -> bytes:
    said = (row[name] for name in ("at", "peer", "channel", "seq", "agreement", "outcome"))
    return linked(before, bytes(row["object"]).hex(), *said)


def handed(tx: Connection, *, after: int = 0) -> Iterator[RowMapping]:
    """Every row of the ledger, in order, a thousand at a time."""
    while rows := tx.execute(select(ledger).where(ledger.c.id > after).order_by(ledger.c.id).limit(_AT_ONCE)).all():
        yield from (row._mapping for row in rows)
        after = rows[-1].id


# --- what was fetched -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chain:
    """Where the chain of one writer of the read ledger stands."""

    secret: bytes
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    last: bytes = b""

    def __post_init__(self) -> None:
        self.last = self.last or root(self.writer)

    def linked(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """`rows` with their links; the chain stands at the last of them."""
        made = []
        for given in rows:
            row = {**given, "writer": self.writer, "asked": keyed(self.secret, given["query"])}
            self.last = row["link"] = _link_of_read(self.last, row)
            made.append(row)
        return made


def _link_of_read(before: bytes, row: Mapping[str, Any] | RowMapping) -> bytes:
    said = (row[name] for name in ("at", "account", "peer", "audience", "channel", "first", "last", "count"))
    return linked(before, bytes(row["asked"]).hex(), *said)


@lru_cache(maxsize=8)
def _noting(dialect: Dialect, columns: tuple[str, ...]) -> Inserting:
    return Inserting(dialect, read, columns)


def note_reads(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the read ledger, one for each page that held something."""
    if rows:
        columns = tuple(rows[0])
        _noting(tx.dialect, columns).many(tx, [tuple(row[name] for name in columns) for row in rows])


def fetched(tx: Connection, *, after: int = 0) -> Iterator[RowMapping]:
    """Every row of the read ledger, in order, a thousand at a time. `tx`: of `Store.noted`."""
    while rows := tx.execute(select(read).where(read.c.id > after).order_by(read.c.id).limit(_AT_ONCE)).all():
        yield from (row._mapping for row in rows)
        after = rows[-1].id


# --- anchors --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Where every chain stands. `reads`, `handed`: the last rows that were looked at."""

    reads: int
    handed: int
    links: Mapping[str, str]
    """Writer → link of its last row, in hexadecimal."""


def last_anchor(tx: Connection) -> RowMapping | None:
    """The newest anchor."""
    row = tx.execute(select(anchor).order_by(anchor.c.id.desc()).limit(1)).first()
    return None if row is None else row._mapping


def heads_of_reads(tx: Connection, after: int) -> tuple[int, dict[str, str]]:
    """The last number, and the head of every chain that grew since number `after`. `tx`: of `Store.noted`."""
    newest = (
        select(func.max(read.c.id)).where(read.c.id > after - _LATE, read.c.link.is_not(None)).group_by(read.c.writer)
    )
    rows = tx.execute(select(read.c.id, read.c.writer, read.c.link).where(read.c.id.in_(newest))).all()
    return max((row.id for row in rows), default=after), {row.writer: bytes(row.link).hex() for row in rows}


def head_of_handed(tx: Connection) -> tuple[int, str]:
    """The last number of the ledger, and the head of its chain; (0, "") when it is empty."""
    row = tx.execute(
        select(ledger.c.id, ledger.c.link).where(ledger.c.link.is_not(None)).order_by(ledger.c.id.desc()).limit(1)
    ).first()
    return (0, "") if row is None else (row.id, bytes(row.link).hex())


def drop_anchor(tx: Connection, heads: Heads, now: int) -> str:
    """Write an anchor behind the last one; its link, in hexadecimal."""
    before = last_anchor(tx)
    text = json.dumps(dict(sorted(heads.links.items())), separators=(",", ":"))
    link = link_of_anchor(root("anchor") if before is None else before["link"], now, heads.reads, heads.handed, text)
    tx.execute(insert(anchor).values(at=now, reads=heads.reads, handed=heads.handed, heads=text, link=link))
    return link.hex()


def link_of_anchor(before: bytes, at: int, reads: int, handed: int, heads: str) -> bytes:
    """The link of an anchor behind `before`."""
    return linked(bytes(before), at, reads, handed, heads)


def anchors(tx: Connection) -> Iterator[RowMapping]:
    """Every anchor, in order."""
    after = 0
    while rows := tx.execute(select(anchor).where(anchor.c.id > after).order_by(anchor.c.id).limit(_AT_ONCE)).all():
        yield from (row._mapping for row in rows)
        after = rows[-1].id


# --- whether they are whole -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where a chain is broken. `code`: a reason code; `ledger`: handed, fetched or anchor; `number`: of the row."""

    code: str
    ledger: str
    number: int
    at: int


@dataclass(slots=True)
class Walk:
    """One walk along a ledger: how many rows are linked, how many are older than the chains, what is wrong."""

    rows: int = 0
    unlinked: int = 0
    faults: list[Fault] = field(default_factory=list)
    missing: set[tuple[str, str]] = field(default_factory=set)
    """(writer, link) that an anchor names and that was not met yet."""


def walk_handed(tx: Connection, walk: Walk) -> None:
    """Follow the chain of what was handed over."""
    before, secret = root(HANDED), secret_of(tx)
    for row in handed(tx):
        if row["link"] is None:
            _unlinked(walk, HANDED, row)
            continue
        own = keyed(secret, row["stix_id"], row["version"])
        # What was erased has no name any more; its digest stands in the chain all the same.
        if row["stix_id"] and not hmac.compare_digest(own, bytes(row["object"])):
            walk.faults.append(Fault(code="ledger.changed", ledger=HANDED, number=row["id"], at=row["at"]))
        before = follow(walk, HANDED, HANDED, row, _link_of_handed(before, row))


def walk_fetched(tx: Connection, secret: bytes, walk: Walk) -> None:
    """Follow the chains of what was fetched. `tx`: of `Store.noted`."""
    heads: dict[str, bytes] = {}
    for row in fetched(tx):
        if row["link"] is None:
            _unlinked(walk, "fetched", row)
            continue
        writer = row["writer"]
        if row["query"] and not hmac.compare_digest(keyed(secret, row["query"]), bytes(row["asked"])):
            walk.faults.append(Fault(code="ledger.changed", ledger="fetched", number=row["id"], at=row["at"]))
        heads[writer] = follow(walk, "fetched", writer, row, _link_of_read(heads.get(writer, root(writer)), row))


def _unlinked(walk: Walk, name: str, row: RowMapping) -> None:
    walk.unlinked += 1
    if walk.rows:
        walk.faults.append(Fault(code="ledger.unlinked", ledger=name, number=row["id"], at=row["at"]))


def follow(walk: Walk, name: str, writer: str, row: RowMapping, expected: bytes) -> bytes:
    """Count a row of a writer's chain, and note where its link is not the `expected` one; gives the link it has."""
    found = bytes(row["link"])
    walk.rows += 1
    walk.missing.discard((writer, found.hex()))
    if found != expected:
        walk.faults.append(Fault(code="ledger.broken", ledger=name, number=row["id"], at=row["at"]))
    return found


def walk_anchors(tx: Connection) -> tuple[Walk, set[tuple[str, str]]]:
    """Follow the anchors; with them the (writer, link) of every row that they have seen."""
    walk, before, seen = Walk(), root("anchor"), set[tuple[str, str]]()
    for row in anchors(tx):
        expected = link_of_anchor(before, row["at"], row["reads"], row["handed"], row["heads"])
        before = follow(walk, "anchor", "anchor", row, expected)
        seen |= {(writer, link) for writer, link in json.loads(row["heads"]).items() if link}
    return walk, seen


def forget(tx: Connection, stix_id: str) -> int:
    """Take the name of an object out of the ledger for good; its digest stays, so the chain verifies (R33)."""
    return tx.execute(update(ledger).where(ledger.c.stix_id == stix_id).values(stix_id="", version="")).rowcount
