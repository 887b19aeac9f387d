"""Audience rows: who reads which listing, whether it is open now, and where its `date_added` stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from exchange.store.prepared import Query
from exchange.store.tables import audience, listing, member, meta

NODE_SECRET = "node_secret"  # noqa: S105 (the name under which it is kept, not the secret)
EPOCH = "policy_epoch"
"""The note that says which terms the store follows."""
"""The note that says by which terms everything is decided."""
NODE_SECRET = "node_secret"  # noqa: S105 (the name under which it is kept, not the secret)
"""The note that holds the node's secret for derived ids (RULES R15)."""


_CHANGES = "listings_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceRow:
    """One audience as stored. `number`: its short name in the store's tables; it stays."""

    key: str
    channel: str
    members: tuple[str, ...]
    agreements: tuple[str, ...]
    ends: int | None
    open: bool
    retired: bool
    last_added: int
    number: int = 0
    """Given by the store, as is what follows."""
    past: Mapping[int, int] = field(default_factory=dict)
    """When listings lapsed → the last date that could be read after that, when the terms last changed."""


def everyone(tx: Connection) -> dict[str, AudienceRow]:
    """Key → every audience, retired ones too."""
    return {
        key: AudienceRow(
            key=key,
            channel=channel,
            members=_names(members),
            agreements=_names(agreements),
            ends=ends,
            open=bool(is_open),
            retired=bool(retired),
            last_added=last_added,
            number=number,
            past=_past_of(past),
        )
        for key, channel, members, agreements, ends, is_open, retired, last_added, number, past in _EVERYONE.run(tx)
    }


_row = audience.c
_EVERYONE = Query(
    select(
        _row.key, _row.channel, _row.members, _row.agreements, _row.ends, _row.open, _row.retired, _row.last_added,
        _row.number, _row.past,
    )
)  # fmt: skip


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=1024)
def _past_of(text: str) -> Mapping[int, int]:
    return {int(end): last for end, last in json.loads(text).items()}


def declare(
    tx: Connection, wanted: Sequence[AudienceRow], now: int, *, unfinished: bool = False, lapsed: bool = True
) -> None:
    """Make the rows match `wanted`: new ones begin, others keep their place, those no longer wanted retire.

    One that is shut stays so until `reopen`; one that retires is open until its rows are closed (`emptied`).
    `unfinished`: the change before this one was not completed; `lapsed`: an agreement has ended, so rows may rest.
    """
    known = everyone(tx)
    kept = {row.key for row in wanted}
    gone = [row.key for row in known.values() if row.key not in kept and not row.retired]
    tx.execute(update(audience).where(audience.c.key.in_(gone)).values(open=True, retired=True))
    for row in wanted:
        values = {
            "channel": row.channel,
            "members": json.dumps(row.members),
            "agreements": json.dumps(row.agreements),
            "ends": row.ends,
            "open": row.open,
            "retired": False,
        }
        if row.key in known:
            values["open"] = row.open and (known[row.key].open or known[row.key].retired)
            past = _past(tx, known[row.key], now if lapsed else 0, unfinished=unfinished)
            values["past"] = json.dumps(past)
            tx.execute(update(audience).where(audience.c.key == row.key).values(**values))
        else:
            tx.execute(insert(audience).values(key=row.key, last_added=_mark_of(row, known.values()), **values))
    _enrol(tx, wanted, now)


def _enrol(tx: Connection, wanted: Sequence[AudienceRow], now: int) -> None:
    """Write down who belongs to an audience from now on, and who no longer does."""
    numbers = {key: row.number for key, row in everyone(tx).items()}
    members = {(numbers[row.key], peer) for row in wanted for peer in row.members}
    there = {(row.audience, row.peer): row.id for row in tx.execute(select(member).where(member.c.until.is_(None)))}
    gone = [number for place, number in there.items() if place not in members]
    if gone:
        tx.execute(update(member).where(member.c.id.in_(gone)).values(until=now))
    come = [{"audience": number, "peer": peer, "since": now} for number, peer in sorted(members - there.keys())]
    if come:
        tx.execute(insert(member), come)


def _past(tx: Connection, row: AudienceRow, now: int, *, unfinished: bool) -> Mapping[int, int]:
    """What was read past (RULES R20): for each moment at which listings lapsed, the last date that was read after it.

    Of what stands before the terms change it: where a crash left the change half done, what was found then still holds.
    """
    ends = [found[0] for found in _LAPSED.run(tx, whose=row.number, now=now)] if now else []
    found = {end: _READ_AFTER.one(tx, whose=row.number, end=end) or 0 for end in ends}
    if unfinished and not row.retired:
        found = {end: max(found.get(end, 0), row.past.get(end, 0)) for end in found.keys() | row.past.keys()}
    return found


_whose = listing.c.audience == bindparam("whose")
_LAPSED = Query(
    select(listing.c.not_after)
    .distinct()
    .where(_whose, listing.c.closed.is_(None), listing.c.not_after <= bindparam("now"))
)
_READ_AFTER = Query(
    select(listing.c.added)
    .where(
        _whose,
        listing.c.not_after > bindparam("end"),
        or_(listing.c.closed.is_(None), listing.c.closed > bindparam("end")),
    )
    .order_by(listing.c.added.desc())
    .limit(1)
)


def _mark_of(row: AudienceRow, known: Iterable[AudienceRow]) -> int:
    """Where the dates of a new audience begin: not before what its members have read up to in this channel.

    After a bulk load that may be ahead of the clock (RULES R20), and they would miss what is listed behind it.
    """
    members = set(row.members)
    return max(
        (other.last_added for other in known if other.channel == row.channel and members & set(other.members)),
        default=0,
    )


def emptied(tx: Connection, number: int) -> None:
    """The rows of an audience that retired are closed."""
    tx.execute(update(audience).where(audience.c.number == number).values(open=False))


def reopen(tx: Connection) -> None:
    """Every audience that the terms make is decided: it may be read."""
    tx.execute(update(audience).where(~audience.c.retired).values(open=True))


def advance(tx: Connection, last_added: Mapping[str, int]) -> None:
    """Move the `date_added` mark of these audiences."""
    _ADVANCE.many(tx, [{"whose": key, "at": added} for key, added in last_added.items()])


_ADVANCE = Query(update(audience).where(_row.key == bindparam("whose")).values(last_added=bindparam("at")))


def of_reader(tx: Connection, peer: str, channel: str) -> AudienceRow | None:
    """The one audience to which `peer` belongs in `channel` (RULES R1)."""
    return next((row for row in everyone(tx).values() if row.channel == channel and _has(row, peer)), None)


def _has(row: AudienceRow, peer: str) -> bool:
    return not row.retired and peer in row.members


def note_change(tx: Connection) -> None:
    """Some row of a listing was changed where it stands."""
    set_note(tx, _CHANGES, str(int(note(tx, _CHANGES) or 0) + 1))


def state(tx: Connection) -> tuple[str, dict[str, int]]:
    """How often rows were changed where they stand, and audience → the last date in its listing."""
    return note(tx, _CHANGES), {key: row.last_added for key, row in everyone(tx).items()}


def note(tx: Connection, name: str) -> str:
    """A single value by name; empty: not set."""
    return _NOTE.one(tx, note=name) or ""


_NOTE = Query(select(meta.c.value).where(meta.c.name == bindparam("note")))


def set_note(tx: Connection, name: str, value: str) -> None:
    """Set a single value."""
    if tx.execute(update(meta).where(meta.c.name == name).values(value=value)).rowcount == 0:
        tx.execute(insert(meta).values(name=name, value=value))
