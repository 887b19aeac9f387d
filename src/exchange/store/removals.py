"""What operators withdrew from everybody (RULES R31): each withdrawal, and the marks by which decisions obey it.

The marks stand beside those of peers (`store.withdrawals`), under a channel that names the withdrawal. One whose peer
is empty holds whoever says it. Marks under an event's number or a value catch what comes later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, update

from exchange.store import former, later
from exchange.store.columns import indexed
from exchange.store.prepared import Lookup, Query, among
from exchange.store.scopes import Scope, first_of, of_row
from exchange.store.statements import Held, any_withdrawn, by_seq, chunks
from exchange.store.tables import audience, removal, withdrawal
from exchange.store.withdrawals import EVERY
from exchange.store.work import ERASED

_REMOVED = "removed:"
CLOSING, STANDING, LIFTING, LIFTED = "closing", "standing", "lifting", "lifted"
EVERYBODY = ""
"""In place of a peer: whoever says it."""


def channel_of(number: int, source: str = "") -> str:
    """In place of a channel: every channel; `source`: as far as that source has given it."""
    return f"{_REMOVED}{number}" + (f":{source}" if source else "")


def is_removed(held: Held) -> bool:
    """Whether an operator has withdrawn this statement, or had it erased."""
    return held.type == ERASED or any(_holds(channel, held.source) for channel in held.withdrawn)


def _holds(channel: str, source: str) -> bool:
    if not channel.startswith(_REMOVED):
        return False
    _, _, of = channel.removeprefix(_REMOVED).partition(":")
    return of in ("", source)


def begin(tx: Connection, scope: Scope, *, state: str, shut: Collection[int], who: str, why: str, now: int) -> int:
    """Write a withdrawal down, shut these audiences until it is done, and give its number."""
    row = {
        "kind": scope.kind, "asked": scope.asked, "targets": json.dumps(scope.targets), "since": scope.since,
        "until": scope.until, "who": who, "why": why, "at": now, "state": state, "upto": 0,
        "shut": json.dumps(sorted(shut)),
    }  # fmt: skip
    number = int(tx.execute(insert(removal).returning(removal.c.id), [row]).scalar_one())
    if shut:
        tx.execute(update(audience).where(audience.c.number.in_(sorted(shut))).values(open=False))
    if scope.kind in ("event", "value"):
        keys = [_key(scope.kind, target) for target in scope.targets]
        _put(tx, [(key, EVERYBODY, channel_of(number)) for key in keys], now)
    if scope.kind == "object":
        _put(tx, [(stix_id, EVERYBODY, channel_of(number)) for stix_id in scope.targets], now)
    return number


def _key(kind: str, target: str) -> str:
    """In place of an id: what is said in this event, or of this value."""
    return indexed(f"{kind}:{target}")


def mark(tx: Connection, number: int, scope: Scope, held: Iterable[Held], now: int) -> list[str]:
    """Mark what is said by these statements as withdrawn; their ids."""
    found = list(held)
    if scope.lasting:
        rows = {(item.stix_id, EVERYBODY, channel_of(number)) for item in found}
    else:
        source = scope.targets[0] if scope.kind == "source" else ""
        rows = {(item.stix_id, item.peer, channel_of(number, source)) for item in found}
    _put(tx, sorted(rows), now)
    return list(dict.fromkeys(item.stix_id for item in found))


def _put(tx: Connection, rows: Sequence[tuple[str, str, str]], now: int) -> None:
    w = withdrawal.c
    for some in chunks(rows):
        there = select(w.stix_id, w.peer, w.channel).where(w.stix_id.in_([row[0] for row in some]), w.version == EVERY)
        known = {tuple(row) for row in tx.execute(there)}
        new = [row for row in some if row not in known]
        if new:
            tx.execute(
                insert(withdrawal),
                [
                    {"stix_id": stix_id, "peer": peer, "channel": channel, "version": EVERY, "at": now}
                    for stix_id, peer, channel in new
                ],
            )


_STANDING_MARKS = Lookup(
    select(withdrawal.c.stix_id, withdrawal.c.channel).where(
        among(withdrawal.c.stix_id), withdrawal.c.peer == EVERYBODY, withdrawal.c.channel.like(_REMOVED + "%")
    )
)


def catch(tx: Connection, held: Sequence[Held], values: Mapping[int, Collection[str]], now: int) -> set[str]:
    """Mark what is said newly in an event that is withdrawn, or of a value that is; the ids.

    `values`: number → the canonical values that the statement names.
    """
    if not held or not (any_withdrawn(tx) or unfinished(tx)):
        return set()
    keys: dict[str, list[Held]] = {}
    for item in held:
        for key in (_key("event", str(item.event)), *(_key("value", value) for value in values.get(item.seq, ()))):
            keys.setdefault(key, []).append(item)
    rows = {
        (item.stix_id, EVERYBODY, channel)
        for key, channel in _STANDING_MARKS.rows(tx, keys)
        for item in keys[key]
    }  # fmt: skip
    _put(tx, sorted(rows), now)
    caught = {stix_id for stix_id, _, _ in rows}
    for number in unfinished(tx):
        row = find(tx, number)
        if row is not None and row["state"] == CLOSING:  # a newer version of what is not marked yet
            scope = of_row(row)
            mine = first_of(tx, scope, {item.stix_id for item in held})
            caught |= set(mark(tx, number, scope, by_seq(tx, mine.values()), now))
    return caught


# --- lifting -------------------------------------------------------------------------------------------------------


def lift(tx: Connection, number: int, *, who: str, why: str, now: int) -> None:
    """From now on this withdrawal catches nothing more; what it holds is let go with `let_go`."""
    values = {"state": LIFTING, "upto": 0, "lifted_who": who, "lifted_why": why, "lifted_at": now}
    tx.execute(update(removal).where(removal.c.id == number).values(**values))
    w = withdrawal.c
    keys = (w.stix_id.like("event:%"), w.stix_id.like("value:%"), w.stix_id.like("sha256:%"))
    tx.execute(delete(withdrawal).where(w.channel == channel_of(number), keys[0] | keys[1] | keys[2]))


def let_go(tx: Connection, number: int, source: str, most: int) -> list[str]:
    """Take away so many marks of this withdrawal; the ids that they stood on. None are left when it gives none."""
    w, mine = withdrawal.c, withdrawal.c.channel == channel_of(number, source)
    ids = list(tx.execute(select(w.stix_id).where(mine).distinct().order_by(w.stix_id).limit(most)).scalars())
    for some in chunks(ids):
        former.lift(tx, mine, w.stix_id.in_(some))
        tx.execute(delete(withdrawal).where(mine, w.stix_id.in_(some)))
    return ids


def advance(tx: Connection, number: int, *, upto: int | None = None, state: str = "") -> None:
    """How far it has come, or what it is now."""
    values = {**({} if upto is None else {"upto": upto}), **({"state": state} if state else {})}
    tx.execute(update(removal).where(removal.c.id == number).values(**values))


def reopen(tx: Connection, numbers: Collection[int]) -> None:
    """These audiences may be read again, unless a withdrawal keeps them shut, or what became known later (`later`)."""
    still = later.shut(tx)
    for text in tx.execute(select(removal.c.shut).where(removal.c.state == CLOSING)).scalars():
        still |= set(json.loads(text))
    mine = sorted(set(numbers) - still)
    if mine:
        tx.execute(update(audience).where(audience.c.number.in_(mine), ~audience.c.retired).values(open=True))


def keep_shut(tx: Connection) -> None:
    """Shut the audiences again of which something is still to be withdrawn: whoever opened them did not know."""
    numbers = later.shut(tx)
    for text in tx.execute(select(removal.c.shut).where(removal.c.state == CLOSING)).scalars():
        numbers |= set(json.loads(text))
    if numbers:
        tx.execute(update(audience).where(audience.c.number.in_(sorted(numbers))).values(open=False))


# --- asking --------------------------------------------------------------------------------------------------------


def find(tx: Connection, number: int) -> RowMapping | None:
    """One withdrawal."""
    row = tx.execute(select(removal).where(removal.c.id == number)).first()
    return None if row is None else row._mapping


def everyone(tx: Connection, *, standing: bool = True, most: int = 100) -> list[RowMapping]:
    """The newest first; `standing`: only those that hold something."""
    query = select(removal).order_by(removal.c.id.desc()).limit(most)
    if standing:
        query = query.where(removal.c.state != LIFTED)
    return [row._mapping for row in tx.execute(query)]


def of_reason(tx: Connection, why: str) -> list[int]:
    """The withdrawals that stand for this reason, oldest first."""
    query = select(removal.c.id).where(removal.c.why == why, removal.c.state.not_in((LIFTING, LIFTED)))
    return list(tx.execute(query.order_by(removal.c.id)).scalars())


def of_ids(tx: Connection, stix_ids: Collection[str]) -> list[RowMapping]:
    """The withdrawals that hold these ids, oldest first."""
    numbers: set[int] = set()
    w = withdrawal.c
    for ids in chunks(stix_ids):
        found = tx.execute(select(w.channel).where(w.stix_id.in_(ids), w.channel.like(_REMOVED + "%"))).scalars()
        numbers |= {int(channel.removeprefix(_REMOVED).partition(":")[0]) for channel in found}
    rows = [find(tx, number) for number in sorted(numbers)]
    return [row for row in rows if row is not None]


def unfinished(tx: Connection) -> list[int]:
    """The withdrawals that were broken off, oldest first."""
    return [row[0] for row in _UNFINISHED.run(tx)]


_state = removal.c.state
_UNFINISHED = Query(select(removal.c.id).where(or_(_state == CLOSING, _state == LIFTING)).order_by(removal.c.id))
