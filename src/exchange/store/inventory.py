"""What a peer lists, beside what we hold of it and what we handed it: the two sides of a comparison.

The list is written down page by page, so it may be as long as it likes; compared is inside the engine. It is dropped
when the comparison is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from exchange.model.envelope import Entry
from exchange.store.listings import AGAIN
from exchange.store.statements import chunks
from exchange.store.tables import (
    alias,
    audience,
    document,
    inventory,
    ledger,
    listing,
    outbox,
    pushed,
    quarantine,
    skipped,
    statement,
    vanished,
)

UNASKED = "-"
"""In place of its date: the peer lists it, and a pull would not take it (`since`), so it is not missing here."""
_FOR_GOOD = ("misp.org_not_allowed", "misp.protected", "peer.before_since")
"""Why something is passed over whenever it comes; other reasons may have gone since."""
_OFTEN = 2
"""Times that a peer accepted a version before it is believed that it does not want to keep it."""


def clear(tx: Connection, name: str, most: int) -> bool:
    """Drop at most so much of a list; whether there may be more."""
    some = select(inventory.c.remote_id).where(inventory.c.key == name).order_by(inventory.c.remote_id).limit(most)
    ids = tx.execute(some).scalars().all()
    if ids:
        tx.execute(delete(inventory).where(inventory.c.key == name, inventory.c.remote_id <= ids[-1]))
    return len(ids) == most


def lists(tx: Connection) -> Sequence[str]:
    """The names of the lists that there are."""
    return tx.execute(select(inventory.c.key).distinct()).scalars().all()


def add(tx: Connection, name: str, entries: Sequence[Entry]) -> None:
    """Write down what the peer lists; what it lists twice is there once."""
    rows = {(entry.id, entry.version): entry for entry in entries}
    for some in chunks(rows):
        same = and_(inventory.c.key == name, inventory.c.remote_id.in_({remote_id for remote_id, _ in some}))
        known = {(row[0], row[1]) for row in tx.execute(select(inventory.c.remote_id, inventory.c.version).where(same))}
        fresh = [
            {"key": name, "remote_id": rows[place].id, "version": rows[place].version, "added": rows[place].added}
            for place in some
            if place not in known
        ]
        if fresh:
            tx.execute(insert(inventory), fresh)


def missing_objects(tx: Connection, key: str, name: str, after: str, most: int) -> Sequence[str]:
    """On the list `name` of `key`: ids behind `after` of which we hold a version neither as a statement nor aside."""
    same = and_(statement.c.source == key, statement.c.stix_id == inventory.c.remote_id)
    held = exists().where(same, _same_version())
    return _missing(tx, key, name, after, most, ~held)


def missing_documents(tx: Connection, key: str, name: str, after: str, most: int) -> Sequence[str]:
    """The same for MISP events: uuids of those that we do not hold as they are now."""
    held = exists().where(
        document.c.source == key,
        document.c.document_id == inventory.c.remote_id,
        document.c.version == inventory.c.version,
    )
    return _missing(tx, key, name, after, most, ~held)


def _missing(tx: Connection, key: str, name: str, after: str, most: int, lacking: ColumnElement[bool]) -> Sequence[str]:
    asked = inventory.c.added != UNASKED
    aside = exists().where(quarantine.c.source == key, quarantine.c.stix_id == inventory.c.remote_id)
    passed = exists().where(
        skipped.c.source == key, skipped.c.remote_id == inventory.c.remote_id, skipped.c.code.in_(_FOR_GOOD)
    )
    query = (
        select(inventory.c.remote_id)
        .where(inventory.c.key == name, inventory.c.remote_id > after, asked, lacking, ~aside, ~passed)
        .distinct()
        .order_by(inventory.c.remote_id)
        .limit(most)
    )
    return tx.execute(query).scalars().all()


def _same_version() -> ColumnElement[bool]:
    """What either side gives no version is told apart by its id alone."""
    none: ColumnElement[str] = literal_column("''")
    return or_(statement.c.version == inventory.c.version, statement.c.version == none, inventory.c.version == none)


def vanishing(
    tx: Connection, key: str, name: str, after: str, most: int, *, before: int, documents: bool
) -> Sequence[str]:
    """Ids behind `after` of what `key` gave `before` it made the list `name`, is not on it, and is not marked for."""
    held = document.c.document_id if documents else statement.c.stix_id
    source = document.c.source if documents else statement.c.source
    came = document.c.received if documents else statement.c.received
    there = exists().where(inventory.c.key == name, inventory.c.remote_id == held)
    marked = exists().where(vanished.c.key == key, vanished.c.remote_id == held)
    gone = select(held).where(source == key, held > after, came <= before, ~there, ~marked)
    return tx.execute(gone.distinct().order_by(held).limit(most)).scalars().all()


def mark(tx: Connection, key: str, ids: Sequence[str], now: int) -> None:
    """These are no longer listed by `key`."""
    if ids:
        tx.execute(insert(vanished), [{"key": key, "remote_id": each, "noticed": now} for each in ids])


def unmark(tx: Connection, key: str, name: str, most: int) -> int:
    """Take the mark from what is listed again, at most so much; how much."""
    there = exists().where(inventory.c.key == name, inventory.c.remote_id == vanished.c.remote_id)
    ids = tx.execute(select(vanished.c.remote_id).where(vanished.c.key == key, there).limit(most)).scalars().all()
    for some in chunks(ids):
        tx.execute(delete(vanished).where(vanished.c.key == key, vanished.c.remote_id.in_(some)))
    return len(ids)


def vanished_counts(tx: Connection) -> dict[str, int]:
    """Source → how much of what it once gave it no longer lists."""
    return {row[0]: row[1] for row in tx.execute(select(vanished.c.key, func.count()).group_by(vanished.c.key))}


def lost(
    tx: Connection, name: str, channel: str, after: int, most: int, *, before: int, peer: str, events: bool = False
) -> Sequence[tuple[int, int, bool]]:
    """What the target accepted `before` it made the list `name`, listed here after this date, and is not on it.

    (audience, date, whether it was accepted twice). What `peer` gives back under another id is there all the same.
    `events`: the list is of MISP events, and what was handed over in one that is not there, or is there as it was
    before, is not there either.

    Who drops a version that they accepted twice does not want to keep it.
    """
    there = _event_there(name, channel) if events else or_(_object_there(name), _under_another_id(peer))
    said = and_(
        ledger.c.channel == channel,
        ledger.c.stix_id == statement.c.stix_id,
        ledger.c.version == statement.c.version,
        ledger.c.outcome == "accepted",
    )
    often = select(func.count()).where(said).scalar_subquery()
    since = exists().where(said, ledger.c.at > before)
    query = (
        select(outbox.c.audience, outbox.c.added, often)
        .join(audience, audience.c.number == outbox.c.audience)
        .join(listing, and_(listing.c.audience == outbox.c.audience, listing.c.added == outbox.c.added))
        .join(statement, statement.c.seq == listing.c.seq)
        .where(audience.c.channel == channel, outbox.c.state == "accepted", outbox.c.added > after)
        .where(listing.c.closed.is_(None), listing.c.latest, ~there, ~since)
        .order_by(outbox.c.added)
        .limit(most)
    )
    return [(row[0], row[1], row[2] >= _OFTEN) for row in tx.execute(query)]


def _object_there(name: str) -> ColumnElement[bool]:
    return exists().where(inventory.c.key == name, inventory.c.remote_id == statement.c.stix_id, _same_version())


def _under_another_id(peer: str) -> ColumnElement[bool]:
    theirs = statement.alias("theirs")
    said = alias.join(theirs, theirs.c.seq == alias.c.seq)
    return exists().select_from(said).where(alias.c.alias == statement.c.stix_id, theirs.c.peer == peer)


def _event_there(name: str, channel: str) -> ColumnElement[bool]:
    """Seconds have ten digits until the year 2286, so their texts are in the same order."""
    handed = and_(pushed.c.channel == channel, pushed.c.event == statement.c.event)
    as_new = or_(inventory.c.version == "", inventory.c.version >= cast(pushed.c.timestamp, String))
    there = exists().where(handed, inventory.c.key == name, inventory.c.remote_id == pushed.c.uuid, as_new)
    return or_(there, ~exists().where(handed))  # a sighting went with another event than its own


def send_again(tx: Connection, places: Sequence[tuple[int, int]]) -> None:
    """Put these, (audience, date), back into the outbox, if they are still as they were."""
    for number, added in places:
        place = and_(outbox.c.audience == number, outbox.c.added == added, outbox.c.state == "accepted")
        tx.execute(update(outbox).where(place).values(state="pending", attempts=0, message=AGAIN, status=""))
