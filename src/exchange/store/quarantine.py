"""Quarantine: what could not be taken, with its bytes as they came, the reason, and how often it came."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from exchange.model.envelope import Rejected
from exchange.store.statements import chunks
from exchange.store.tables import quarantine

MOST = 10_000
"""Entries of one source: what comes pulled waits there beyond it, what is posted pushes out the oldest."""
MOST_BYTES = 1 << 30
"""Bytes of the same."""


def _digest(item: Rejected) -> str:
    """By which it is known again; what was too large to be fetched has no bytes, only a name."""
    return hashlib.sha256(item.raw or item.id.encode()).hexdigest()


def set_aside(tx: Connection, key: str, rejected: Sequence[Rejected], now: int) -> None:
    """Quarantine these with their reasons; bytes that are there already are only counted."""
    times = Counter(_digest(item) for item in rejected)
    fresh = {_digest(item): item for item in rejected}
    for digests in chunks(fresh):
        same = (quarantine.c.source == key) & quarantine.c.digest.in_(digests)
        known = set(tx.execute(select(quarantine.c.digest).where(same)).scalars())
        if known:
            tx.execute(
                update(quarantine)
                .where(quarantine.c.source == key, quarantine.c.digest == bindparam("what"))
                .values(seen=quarantine.c.seen + bindparam("times"), code=bindparam("why"), fields=bindparam("which")),
                [
                    {
                        "what": digest,
                        "times": times[digest],
                        "why": fresh[digest].code,
                        "which": json.dumps(fresh[digest].fields, default=str),
                    }
                    for digest in known
                ],
            )
        rows = [
            {
                "source": key, "stix_id": item.id, "code": item.code, "fields": json.dumps(item.fields, default=str),
                "digest": digest, "raw": item.raw, "received": now, "seen": times[digest],
            }
            for digest in digests
            if digest not in known and (item := fresh[digest])
        ]  # fmt: skip
        if rows:
            tx.execute(insert(quarantine), rows)


def entries(
    tx: Connection, *, key: str = "", stix_id: str = "", number: int = 0, most: int = 100
) -> Sequence[Mapping[str, Any]]:
    """What is set aside, newest first; without its bytes unless one `number` is asked for."""
    columns = list(quarantine.c) if number else [column for column in quarantine.c if column.name != "raw"]
    query = select(*columns).order_by(quarantine.c.id.desc()).limit(most)
    if key:
        query = query.where(quarantine.c.source == key)
    if stix_id:
        query = query.where(quarantine.c.stix_id == stix_id)
    if number:
        query = query.where(quarantine.c.id == number)
    return [{**row, "fields": json.loads(row["fields"])} for row in tx.execute(query).mappings()]


def counts(tx: Connection) -> dict[str, int]:
    """Source → how many things are set aside."""
    query = select(quarantine.c.source, func.count()).group_by(quarantine.c.source)
    return {row[0]: row[1] for row in tx.execute(query)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing set aside, with its bytes."""

    number: int
    source: str
    code: str
    raw: bytes
    event: str = ""
    """The uuid of the MISP event of which it is a part that was set aside alone; empty: it is whole."""


def entry(tx: Connection, number: int) -> Entry | None:
    """The entry with this number."""
    columns = (quarantine.c.source, quarantine.c.raw, quarantine.c.fields, quarantine.c.code)
    query = select(*columns).where(quarantine.c.id == number)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    event = "" if row[3] == _WHOLE else str(json.loads(row[2]).get("event") or "")
    return Entry(number=number, source=row[0], code=row[3], raw=bytes(row[1]), event=event)


_WHOLE = "convert.event"
"""Says of an event that it failed as a whole, and names it."""


def untried(tx: Connection, judge: str, after: int, most: int) -> Sequence[int]:
    """Numbers behind `after` of what `judge` (a release and its terms) has not looked at yet, oldest first.

    What contradicts what its source said before is for a person: no release makes it right.
    """
    fresh = (quarantine.c.tried != judge) & (quarantine.c.code != "version.conflict")
    return _numbers(tx, fresh & (quarantine.c.id > after), most)


def of_source(tx: Connection, key: str, after: int, most: int) -> Sequence[int]:
    """Numbers of what came from this source, oldest first."""
    return _numbers(tx, (quarantine.c.source == key) & (quarantine.c.id > after), most)


def _numbers(tx: Connection, what: ColumnElement[bool], most: int) -> Sequence[int]:
    return tx.execute(select(quarantine.c.id).where(what).order_by(quarantine.c.id).limit(most)).scalars().all()


def mark(tx: Connection, numbers: Collection[int], judge: str) -> None:
    """These were looked at by `judge`."""
    for some in chunks(numbers):
        tx.execute(update(quarantine).where(quarantine.c.id.in_(some)).values(tried=judge))


def renew(tx: Connection, number: int, reasons: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """The reason that holds now, beside what was known of it (the file it came in)."""
    known = tx.execute(select(quarantine.c.fields).where(quarantine.c.id == number)).scalar()
    for code, fields in reasons:
        merged = json.dumps({**json.loads(known or "{}"), **fields}, default=str)
        tx.execute(update(quarantine).where(quarantine.c.id == number).values(code=code, fields=merged))


def drop(tx: Connection, *, key: str = "", number: int = 0) -> int:
    """Take entries out for good; how many. Nothing is dropped when neither is said."""
    if not key and not number:
        return 0
    what = [quarantine.c.source == key] if key else []
    what += [quarantine.c.id == number] if number else []
    return int(tx.execute(delete(quarantine).where(*what)).rowcount)


def remove(tx: Connection, numbers: Collection[int]) -> None:
    """Take these out: they were taken after all."""
    for some in chunks(numbers):
        tx.execute(delete(quarantine).where(quarantine.c.id.in_(some)))


def is_full(tx: Connection, key: str) -> bool:
    """Whether no more may be set aside of this source until somebody has looked at what is there."""
    count, size = _measure(tx, key)
    return count >= MOST or size >= MOST_BYTES


def trim(tx: Connection, key: str) -> int:
    """Drop the oldest entries of a source whose giver was told itself what was wrong; how many."""
    count, size = _measure(tx, key)
    dropped = 0
    while count > MOST or size > MOST_BYTES:
        oldest = tx.execute(
            select(quarantine.c.id, func.length(quarantine.c.raw))
            .where(quarantine.c.source == key)
            .order_by(quarantine.c.id)
            .limit(max(1, count - MOST))
        ).all()
        remove(tx, [row[0] for row in oldest])
        count, size, dropped = count - len(oldest), size - sum(row[1] for row in oldest), dropped + len(oldest)
    return dropped


def _measure(tx: Connection, key: str) -> tuple[int, int]:
    query = select(func.count(), func.coalesce(func.sum(func.length(quarantine.c.raw)), 0))
    row = tx.execute(query.where(quarantine.c.source == key)).one()
    return int(row[0]), int(row[1])
