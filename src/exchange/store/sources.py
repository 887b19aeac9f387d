"""Where each source and target stands: cursor, due time, lease, last outcome; and the runs with their counts.

The schedule is data: *due* is a column, a lease says who works on it, and several daemons share one store (DESIGN).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from exchange.store.prepared import Query
from exchange.store.statements import chunks
from exchange.store.tables import run, skipped, source, vanished


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
    day_bytes: int
    last_failed: int | None
    last_failure: str | None
    """JSON: the error of the last run that failed, whatever came after it."""
    pace: int | None
    """Seconds between two polls, as far as they have moved from what is configured."""
    again_from: int | None
    """Drained anew from here: what an operator asked for."""
    profile: str | None
    probed: int | None
    reconciled: int | None
    comparing: int | None
    """When the last comparison was begun, whatever became of it."""
    difference: str | None


def standings(tx: Connection) -> dict[str, Standing]:
    """Key → where it stands."""
    return {row["key"]: Standing(**row) for row in tx.execute(select(source)).mappings()}


def declare(tx: Connection, keys: Collection[str], now: int) -> None:
    """Make sure that each of `keys` has a row; a new one is due at once, and compared with its peer when it is old."""
    known = set(tx.execute(select(source.c.key)).scalars())
    for key in sorted(set(keys) - known):
        row = {"due": now, "lease_until": 0, "failures": 0, "day": "", "day_count": 0, "reconciled": now}
        tx.execute(insert(source).values(key=key, cursor="{}", **row))


def lease(
    tx: Connection, key: str, owner: str, now: int, until: int, *, forced: bool = False, at_once: int | None = None
) -> bool:
    """Take the lease on `key` if it is due (or `forced`) and nobody else works on it; whether it was taken.

    `at_once`: how many sources and targets of one peer may be worked on at a time, by all daemons together.
    """
    free = or_(source.c.lease_owner.is_(None), source.c.lease_until <= now)
    condition = [source.c.key == key, free] + ([] if forced else [source.c.due <= now])
    if at_once is not None and busy(tx, key.partition("/")[0], now) >= at_once:
        return False
    taken = tx.execute(update(source).where(*condition).values(lease_owner=owner, lease_until=until, last_start=now))
    return taken.rowcount == 1


def busy(tx: Connection, peer: str, now: int) -> int:
    """How many sources and targets of `peer` somebody works on now."""
    of_peer = source.c.key.startswith(f"{peer}/", autoescape=True)
    held = source.c.lease_owner.is_not(None) & (source.c.lease_until > now)
    return int(tx.execute(select(func.count()).where(of_peer, held)).scalar_one())


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


def release(tx: Connection, key: str, owner: str) -> None:
    """Give the lease back and change nothing else."""
    mine = (source.c.key == key) & (source.c.lease_owner == owner)
    tx.execute(update(source).where(mine).values(lease_owner=None, lease_until=0))


def save_cursor(tx: Connection, key: str, cursor: Mapping[str, Any]) -> None:
    """Write the cursor: in the transaction that stores what it stands for."""
    tx.execute(update(source).where(source.c.key == key).values(cursor=json.dumps(cursor)))


def count_day(tx: Connection, key: str, day: str, new: int, size: int) -> None:
    """Add `new` objects of `size` bytes to what came on `day` (RULES R32)."""
    rows = _COUNTED.run(tx, whose=key)
    if rows:
        same = rows[0][0] == day
        objects, volume = (rows[0][1], rows[0][2]) if same else (0, 0)
        _COUNT.run(tx, whose=key, today=day, objects=objects + new, volume=volume + size)


_COUNTED = Query(select(source.c.day, source.c.day_count, source.c.day_bytes).where(source.c.key == bindparam("whose")))
_COUNT = Query(
    update(source)
    .where(source.c.key == bindparam("whose"))
    .values(day=bindparam("today"), day_count=bindparam("objects"), day_bytes=bindparam("volume"))
)


def finish(
    tx: Connection,
    key: str,
    owner: str,
    *,
    now: int,
    due: int,
    outcome: str,
    complete: bool,
    error: str | None,
    pace: int | None = None,
) -> None:
    """Give the lease back with the outcome, the next due time and the pace from here on."""
    values: dict[str, Any] = {
        "lease_owner": None,
        "lease_until": 0,
        "last_end": now,
        "due": due,
        "last_outcome": outcome,
        "last_error": error,
        "failures": 0 if error is None else source.c.failures + 1,
        "pace": pace,
    }
    if error is not None:
        values |= {"last_failed": now, "last_failure": error}
    if complete:
        values |= {"last_complete": now, "again_from": None}
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


def begin_again(tx: Connection, keys: Collection[str], since: int, now: int) -> None:
    """Drain these anew from `since`, at once: the cursor is forgotten, nothing else is.

    Whoever drains one of them now has lost its lease: its next page would write the old cursor back.
    """
    values = {"cursor": "{}", "again_from": since, "due": now, "lease_owner": None, "lease_until": 0}
    tx.execute(update(source).where(source.c.key.in_(list(keys))).values(**values))


def begin_run(tx: Connection, key: str, now: int) -> int:
    """Open the record of a run. One of the same key that is still open was somebody's who is no more."""
    tx.execute(update(run).where(run.c.key == key, run.c.ended.is_(None)).values(ended=now, outcome="broken_off"))
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


def counts_since(tx: Connection, at: int) -> dict[str, Mapping[str, int]]:
    """Key → what its runs that ended since then brought."""
    found: dict[str, Counter[str]] = {}
    for row in tx.execute(select(run.c.key, run.c.counts).where(run.c.ended >= at)):
        found.setdefault(row[0], Counter()).update(json.loads(row[1]))
    return dict(found)


def last_news(tx: Connection, key: str) -> tuple[int, Mapping[str, int]] | None:
    """When `key` last moved something, and the counts of that run."""
    moved = (run.c.key == key) & (run.c.counts != "{}") & run.c.ended.is_not(None)
    row = tx.execute(select(run.c.ended, run.c.counts).where(moved).order_by(run.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else (int(row.ended), json.loads(row.counts))


def pass_over(tx: Connection, key: str, remote_id: str, code: str, fields: Mapping[str, Any], now: int) -> None:
    """Remember why something seen at a peer was not taken; the last reason stands."""
    values = {"code": code, "fields": json.dumps(fields, default=str), "seen": now}
    same = (skipped.c.source == key) & (skipped.c.remote_id == remote_id)
    if tx.execute(update(skipped).where(same).values(**values)).rowcount == 0:
        tx.execute(insert(skipped).values(source=key, remote_id=remote_id, **values))


def passed_over_before(tx: Connection, key: str, remote_ids: Iterable[str], code: str) -> set[str]:
    """Which of these were passed over with this reason the last time."""
    return {
        remote_id
        for ids in chunks(remote_ids)
        for remote_id in tx.execute(
            select(skipped.c.remote_id).where(
                skipped.c.source == key, skipped.c.remote_id.in_(ids), skipped.c.code == code
            )
        ).scalars()
    }


def no_longer_passed_over(tx: Connection, key: str, remote_ids: Iterable[str], code: str) -> None:
    """These were taken after all: that they were once passed over with this reason says nothing any more."""
    for ids in chunks(remote_ids):
        tx.execute(delete(skipped).where(skipped.c.source == key, skipped.c.remote_id.in_(ids), skipped.c.code == code))


def passed_over(tx: Connection, remote_id: str) -> Sequence[Mapping[str, Any]]:
    """Why `remote_id` was not taken, by source."""
    query = select(skipped).where(skipped.c.remote_id == remote_id)
    return [{**row, "fields": json.loads(row["fields"])} for row in tx.execute(query).mappings()]


def remarks(tx: Connection) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Source → what was remarked of the source itself in its last run: code and fields."""
    query = select(skipped.c.source, skipped.c.code, skipped.c.fields).where(skipped.c.remote_id == skipped.c.source)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in tx.execute(query):
        found.setdefault(row[0], []).append({"code": row[1], "fields": json.loads(row[2])})
    return dict(found)


def forget_remarks(tx: Connection, key: str) -> None:
    """A run begins: what was remarked of the source in the one before may no longer hold."""
    tx.execute(delete(skipped).where(skipped.c.source == key, skipped.c.remote_id == key))


def keep_profile(tx: Connection, key: str, profile: str, now: int) -> str | None:
    """Write down how the peer behaves there; gives what was known before."""
    before: str | None = tx.execute(select(source.c.profile).where(source.c.key == key)).scalar()
    tx.execute(update(source).where(source.c.key == key).values(profile=profile, probed=now))
    return before


ASKED = 0
"""In place of when it was last done: a person wants it done now."""


def ask(tx: Connection, keys: Collection[str], what: str) -> None:
    """Have `what` (probed, reconciled) done for these at once, by whoever runs."""
    values: dict[str, int | None] = {what: ASKED} | ({"comparing": None} if what == "reconciled" else {})
    tx.execute(update(source).where(source.c.key.in_(list(keys))).values(values))


def probed(tx: Connection, key: str, at: int) -> None:
    """Somebody tried to look, in vain; what was known stays."""
    tx.execute(update(source).where(source.c.key == key).values(probed=at))


def keep_difference(tx: Connection, key: str, difference: Mapping[str, int], now: int) -> None:
    """Write down what a comparison with the peer found."""
    values = {"difference": json.dumps(dict(difference)), "reconciled": now}
    tx.execute(update(source).where(source.c.key == key).values(**values))


def claim_comparison(tx: Connection, key: str, known: int | None, now: int) -> bool:
    """Begin a comparison; `known`: when the last one was begun. False: somebody else has begun it since."""
    same = source.c.comparing.is_(None) if known is None else source.c.comparing == known
    return tx.execute(update(source).where(source.c.key == key, same).values(comparing=now)).rowcount == 1


def not_compared(tx: Connection, key: str) -> None:
    """A comparison broke off; who asked for it has their answer."""
    asked = (source.c.key == key) & (source.c.reconciled == ASKED)
    tx.execute(update(source).where(asked).values(reconciled=None))


def gone(tx: Connection, remote_id: str) -> Sequence[Mapping[str, Any]]:
    """The sources that once gave `remote_id` and no longer list it."""
    query = select(vanished.c.key, vanished.c.noticed).where(vanished.c.remote_id == remote_id)
    return [dict(row) for row in tx.execute(query).mappings()]
