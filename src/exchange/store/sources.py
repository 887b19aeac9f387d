"""Where each source and target stands: cursor, due time, lease, last outcome; and the runs with their counts.

The schedule is data: *due* is a column, a lease says who works on it, and several daemons share one store (DESIGN).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from exchange.model.envelope import Rejected
from exchange.store.prepared import Query
from exchange.store.statements import chunks
from exchange.store.tables import quarantine, run, skipped, source


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one source or target stands; times in µs."""

    key: str
    cursor: str
    due: int
    lease_owner: str | None
    lease_until: int
    last_start: int | None
    last_end: int | None
    last_complete: int | None
    last_outcome: str | None
    last_error: str | None
    failures: int
    day: str
    day_count: int


def standings(tx: Connection) -> dict[str, Standing]:
    """Key → where it stands."""
    return {row["key"]: Standing(**row) for row in tx.execute(select(source)).mappings()}


def declare(tx: Connection, keys: Collection[str], now: int) -> None:
    """Make sure that each of `keys` has a row; a new one is due at once."""
    known = set(tx.execute(select(source.c.key)).scalars())
    for key in sorted(set(keys) - known):
        tx.execute(insert(source).values(key=key, cursor="{}", due=now, lease_until=0, failures=0, day="", day_count=0))


def lease(tx: Connection, key: str, owner: str, now: int, until: int, *, forced: bool = False) -> bool:
    """Take the lease on `key` if it is due (or `forced`) and nobody else works on it; whether it was taken."""
    free = or_(source.c.lease_owner.is_(None), source.c.lease_until <= now)
    condition = [source.c.key == key, free] + ([] if forced else [source.c.due <= now])
    taken = tx.execute(update(source).where(*condition).values(lease_owner=owner, lease_until=until, last_start=now))
    return taken.rowcount == 1


def extend(tx: Connection, key: str, owner: str, until: int) -> bool:
    """Keep the lease; False: another daemon has taken the work over, so stop."""
    kept = tx.execute(
        update(source).where(source.c.key == key, source.c.lease_owner == owner).values(lease_until=until)
    )
    return kept.rowcount == 1


def abandon(tx: Connection, key: str, owner: str, now: int) -> None:
    """Take the lease from `owner`, which is no more; the work is due at once."""
    tx.execute(
        update(source)
        .where(source.c.key == key, source.c.lease_owner == owner)
        .values(lease_owner=None, lease_until=0, due=now)
    )


def save_cursor(tx: Connection, key: str, cursor: Mapping[str, Any]) -> None:
    """Write the cursor: in the transaction that stores what it stands for."""
    tx.execute(update(source).where(source.c.key == key).values(cursor=json.dumps(cursor)))


def count_day(tx: Connection, key: str, day: str, new: int) -> int:
    """Add `new` objects to the count of `day` and give the sum (RULES R32)."""
    rows = _COUNTED.run(tx, whose=key)
    if not rows:
        return 0
    total = new + (rows[0][1] if rows[0][0] == day else 0)
    _COUNT.run(tx, whose=key, today=day, total=total)
    return int(total)


_COUNTED = Query(select(source.c.day, source.c.day_count).where(source.c.key == bindparam("whose")))
_COUNT = Query(
    update(source)
    .where(source.c.key == bindparam("whose"))
    .values(day=bindparam("today"), day_count=bindparam("total"))
)


def finish(
    tx: Connection, key: str, owner: str, *, now: int, due: int, outcome: str, complete: bool, error: str | None
) -> None:
    """Give the lease back with the outcome and the next due time."""
    values: dict[str, Any] = {
        "lease_owner": None,
        "lease_until": 0,
        "last_end": now,
        "due": due,
        "last_outcome": outcome,
        "last_error": error,
        "failures": 0 if error is None else source.c.failures + 1,
    }
    if complete:
        values["last_complete"] = now
    tx.execute(update(source).where(source.c.key == key, source.c.lease_owner == owner).values(**values))


def completed(tx: Connection, key: str, now: int) -> None:
    """A source that nobody polls has been taken to its end."""
    tx.execute(
        update(source)
        .where(source.c.key == key)
        .values(last_start=now, last_end=now, last_complete=now, last_outcome="complete", last_error=None)
    )


def hurry(tx: Connection, keys: Collection[str], now: int) -> None:
    """Make these due at once."""
    tx.execute(update(source).where(source.c.key.in_(list(keys))).values(due=now))


def begin_run(tx: Connection, key: str, now: int) -> int:
    """Open the record of a run."""
    row = {"key": key, "started": now, "outcome": "running", "counts": "{}"}
    return int(tx.execute(insert(run).returning(run.c.id), [row]).scalar_one())


def end_run(tx: Connection, number: int, now: int, outcome: str, counts: Mapping[str, int]) -> None:
    """Close the record of a run with its counts per outcome; of the runs that brought nothing only the last is kept."""
    key = tx.execute(
        update(run)
        .where(run.c.id == number)
        .values(ended=now, outcome=outcome, counts=json.dumps(dict(counts)))
        .returning(run.c.key)
    ).scalar_one()
    idle = (run.c.key == key) & (run.c.id < number) & (run.c.counts == "{}") & (run.c.outcome == "complete")
    tx.execute(delete(run).where(idle))


def last_news(tx: Connection, key: str) -> tuple[int, Mapping[str, int]] | None:
    """When `key` last moved something, and the counts of that run."""
    moved = (run.c.key == key) & (run.c.counts != "{}") & run.c.ended.is_not(None)
    row = tx.execute(select(run.c.ended, run.c.counts).where(moved).order_by(run.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else (int(row.ended), json.loads(row.counts))


def set_aside(tx: Connection, key: str, rejected: Sequence[Rejected], now: int) -> None:
    """Quarantine these with their reasons; bytes that are there already are only counted."""
    times = Counter(hashlib.sha256(item.raw).hexdigest() for item in rejected)
    fresh = {hashlib.sha256(item.raw).hexdigest(): item for item in rejected}
    for digests in chunks(fresh):
        same = (quarantine.c.source == key) & quarantine.c.digest.in_(digests)
        known = set(tx.execute(select(quarantine.c.digest).where(same)).scalars())
        if known:
            tx.execute(
                update(quarantine)
                .where(quarantine.c.source == key, quarantine.c.digest == bindparam("what"))
                .values(seen=quarantine.c.seen + bindparam("times")),
                [{"what": digest, "times": times[digest]} for digest in known],
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


def quarantined(
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


def quarantine_counts(tx: Connection) -> dict[str, int]:
    """Source → how many things are set aside."""
    query = select(quarantine.c.source, func.count()).group_by(quarantine.c.source)
    return {row[0]: row[1] for row in tx.execute(query)}


def pass_over(tx: Connection, key: str, remote_id: str, code: str, fields: Mapping[str, Any], now: int) -> None:
    """Remember why something seen at a peer was not taken; the last reason stands."""
    values = {"code": code, "fields": json.dumps(fields, default=str), "seen": now}
    same = (skipped.c.source == key) & (skipped.c.remote_id == remote_id)
    if tx.execute(update(skipped).where(same).values(**values)).rowcount == 0:
        tx.execute(insert(skipped).values(source=key, remote_id=remote_id, **values))


def passed_over(tx: Connection, remote_id: str) -> Sequence[Mapping[str, Any]]:
    """Why `remote_id` was not taken, by source."""
    query = select(skipped).where(skipped.c.remote_id == remote_id)
    return [{**row, "fields": json.loads(row["fields"])} for row in tx.execute(query).mappings()]
