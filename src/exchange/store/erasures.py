"""Erasure (RULES R33): who asked and who approved, and the destruction itself, table by table.

A statement that is erased stays as a row without a name, so that listings and ledgers still count; its bytes in their
block become blanks, since its neighbours stand where they stood. What the ledgers' chains know are keyed digests, so
they still verify, and the same digests tell what is not to be taken again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    RowMapping,
    String,
    Table,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)

from exchange.model.marking import UNMARKED
from exchange.store import blocks, ledgers
from exchange.store.columns import chunks, indexed, metadata
from exchange.store.prepared import Query
from exchange.store.scopes import Scope
from exchange.store.statements import Held
from exchange.store.tables import (
    alias,
    approval,
    block,
    derived,
    document,
    erased,
    erasure,
    event,
    former,
    inventory,
    lifted,
    link,
    listing,
    name,
    notice,
    observable,
    outbox,
    pushed,
    quarantine,
    read,
    reference,
    refold,
    removal,
    renewal,
    review,
    skipped,
    source,
    statement,
    status,
    trait,
    vanished,
    victim,
    withdrawal,
)
from exchange.store.work import ERASED, NOTICES

ASKED, APPROVED, DONE, DROPPED = "asked", "approved", "erased", "dropped"
_ABOUT = frozenset({"relationship", "sighting", "note", "opinion"})
"""Types that say nothing but something about their ends."""


# --- who asked, who approved ----------------------------------------------------------------------------------------


def ask(tx: Connection, scope: Scope, *, who: str, why: str, basis: str, now: int) -> int:
    """Write a request down; its number."""
    row = {
        "kind": scope.kind, "asked": scope.asked, "targets": json.dumps(scope.targets),
        "digest": ledgers.keyed(ledgers.secret_of(tx), "asked", scope.asked), "why": why, "basis": basis, "who": who,
        "at": now, "state": ASKED, "attestation": "",
    }  # fmt: skip
    return int(tx.execute(insert(erasure).returning(erasure.c.id), [row]).scalar_one())


def find(tx: Connection, number: int) -> RowMapping | None:
    """One request."""
    row = tx.execute(select(erasure).where(erasure.c.id == number)).first()
    return None if row is None else row._mapping


def everyone(tx: Connection) -> list[RowMapping]:
    """Every request, the newest first."""
    return [row._mapping for row in tx.execute(select(erasure).order_by(erasure.c.id.desc()))]


def approve(tx: Connection, number: int, *, who: str, now: int) -> None:
    """Somebody else wants it too."""
    tx.execute(update(erasure).where(erasure.c.id == number).values(state=APPROVED, approver=who, approved=now))


def drop(tx: Connection, number: int) -> None:
    """It is not to be done."""
    tx.execute(update(erasure).where(erasure.c.id == number).values(state=DROPPED, asked="", targets="[]"))


def complete(tx: Connection, number: int, attestation: str) -> None:
    """It is done; nothing of what was asked is kept but its digest."""
    values = {"state": DONE, "asked": "", "targets": "[]", "attestation": attestation}
    tx.execute(update(erasure).where(erasure.c.id == number).values(**values))


# --- what is not taken again ----------------------------------------------------------------------------------------


def refused(tx: Connection, said: Iterable[tuple[str, Collection[str]]]) -> set[str]:
    """Of things given as (id, values), the ids of those that were erased, or that name a value that was."""
    if not any_erased(tx):
        return set()
    secret, known = ledgers.secret_of(tx), dict[bytes, set[str]]()
    for stix_id, values in said:
        for digest in (of_id(secret, stix_id), *(of_value(secret, value) for value in values)):
            known.setdefault(digest, set()).add(stix_id)
    found: set[str] = set()
    for some in chunks(known):
        for digest in tx.execute(select(erased.c.digest).where(erased.c.digest.in_(some))).scalars():
            found |= known[bytes(digest)]
    return found


def any_erased(tx: Connection) -> bool:
    """Whether anything was ever erased; in most stores nothing was."""
    return _ANY.one(tx) is not None


_ANY = Query(select(erased.c.erasure).limit(1))


def of_id(secret: bytes, stix_id: str) -> bytes:
    """What is kept of an id, or of the key of an event."""
    return ledgers.keyed(secret, "erased-id", stix_id)


def of_value(secret: bytes, value: str) -> bytes:
    """What is kept of a value."""
    return ledgers.keyed(secret, "erased-value", value)


def remember(tx: Connection, number: int, *, ids: Iterable[str] = (), values: Iterable[str] = ()) -> None:
    """These are not taken again."""
    secret = ledgers.secret_of(tx)
    digests = {of_id(secret, each) for each in ids} | {of_value(secret, each) for each in values}
    for some in chunks(sorted(digests)):
        known = {bytes(row) for row in tx.execute(select(erased.c.digest).where(erased.c.digest.in_(some))).scalars()}
        rows = [{"digest": digest, "erasure": number} for digest in some if digest not in known]
        if rows:
            tx.execute(insert(erased), rows)


# --- destroying -----------------------------------------------------------------------------------------------------


def said_of(tx: Connection, stix_ids: Collection[str]) -> list[int]:
    """The numbers of the relationships, sightings, notes and opinions of which one of these is an end, and of our own
    notices about them."""
    found: set[int] = set()
    for ids in chunks(stix_ids):
        query = select(statement.c.seq).join(reference, reference.c.seq == statement.c.seq)
        where = (reference.c.target.in_(ids), reference.c.ends, statement.c.type.in_(sorted(_ABOUT)))
        found |= set(tx.execute(query.where(*where)).scalars())
        notes = select(statement.c.stix_id).join(notice, notice.c.seq == statement.c.seq)
        told = select(statement.c.seq).where(
            statement.c.source == NOTICES, statement.c.stix_id.in_(notes.where(notice.c.stix_id.in_(ids)))
        )
        found |= set(tx.execute(told).scalars())
    return sorted(found)


def values_of(tx: Connection, seqs: Collection[int]) -> list[str]:
    """The values that these statements name, as they are indexed; none that is too short to be told from others."""
    found: set[str] = set()
    for some in chunks(seqs):
        found |= set(tx.execute(select(observable.c.value).where(observable.c.seq.in_(some)).distinct()).scalars())
    return sorted(value for value in found if len(value) > SHORT)


SHORT = 3
"""Characters of a word that would be found everywhere."""


def owed(tx: Connection, seqs: Collection[int]) -> int:
    """How many deletions at targets, or notices to them, wait for one of these."""
    query = (
        select(func.count())
        .select_from(outbox)
        .join(listing, (listing.c.audience == outbox.c.audience) & (listing.c.added == outbox.c.added))
        .where(outbox.c.state.concat("").in_(["recall", "pending"]))
    )
    return sum(int(tx.execute(query.where(listing.c.seq.in_(some))).scalar_one()) for some in chunks(seqs))


def destroy(tx: Connection, held: Sequence[Held]) -> None:
    """Blank the bytes of these statements and take away what names them or their values; at most a few hundred."""
    seqs = [each.seq for each in held]
    if not seqs:
        return
    s = statement.c
    places = tx.execute(
        select(s.block, s.start, s.stop, s.raw_block, s.raw_start, s.raw_stop, s.document).where(s.seq.in_(seqs))
    ).all()
    spans = [tuple(row[:3]) for row in places] + [tuple(row[3:6]) for row in places if row[3] is not None]
    blocks.blank(tx, spans)
    documents = {row.document for row in places if row.document is not None}
    if documents:
        tx.execute(update(document).where(document.c.id.in_(sorted(documents))).values(raw=b""))
    tx.execute(delete(derived).where(or_(derived.c.of.in_(seqs), derived.c.seq.in_(seqs))))
    for table in (reference, observable, alias, name, renewal, trait, victim, former):
        tx.execute(delete(table).where(table.c.seq.in_(seqs)))
    mine = select(listing.c.audience, listing.c.added).where(listing.c.seq.in_(seqs))
    for audience, added in tx.execute(mine).all():
        tx.execute(update(outbox).where(outbox.c.audience == audience, outbox.c.added == added).values(message=""))
    tx.execute(update(listing).where(listing.c.seq.in_(seqs)).values(fact=None))
    secret = ledgers.secret_of(tx)
    tx.execute(
        update(statement)
        .where(s.seq == bindparam("at"))
        .values(
            stix_id=bindparam("nobody"), type=ERASED, digest=b"", creator="", fact=None, doubt="", document=None,
            stated=UNMARKED.to_text(), label=None, waiting=False, repairs="",
        ),
        [{"at": each.seq, "nobody": f"{ERASED}--{of_id(secret, each.stix_id).hex()}"} for each in held],
    )  # fmt: skip


def scrub(tx: Connection, stix_ids: Collection[str], values: Collection[str], events: Collection[int]) -> None:
    """Take the names and values themselves out of every other table."""
    secret = ledgers.secret_of(tx)
    for stix_id in stix_ids:
        ledgers.forget(tx, stix_id)
    for ids in chunks(stix_ids):
        uuids = [each.partition("--")[2] for each in ids]
        _drop(
            tx, (alias, alias.c.alias.in_(ids)), (withdrawal, withdrawal.c.stix_id.in_(ids)),
            (lifted, lifted.c.stix_id.in_(ids)),
            (refold, refold.c.target.in_(ids)), (link, link.c.one.in_(ids)), (link, link.c.other.in_(ids)),
            (review, review.c.stix_id.in_(ids)), (approval, approval.c.stix_id.in_(ids)),
            (notice, notice.c.stix_id.in_(ids)), (quarantine, quarantine.c.stix_id.in_([*ids, *uuids])),
            *((table, table.c.remote_id.in_([*ids, *uuids])) for table in (skipped, vanished, inventory)),
        )  # fmt: skip
        keys = or_(event.c.key.in_(ids), event.c.key.in_(uuids))
        for number, key in tx.execute(select(event.c.id, event.c.key).where(keys)).all():
            tx.execute(update(event).where(event.c.id == number).values(key=nobody(secret, key)))
    for some in chunks(values):
        marks = [indexed(f"value:{value}") for value in some]
        known = [indexed(value) for value in some]
        _drop(tx, (review, review.c.value.in_(known)), (withdrawal, withdrawal.c.stix_id.in_(marks)))
    for number in events:
        row = tx.execute(select(event.c.key).where(event.c.id == number)).first()
        if row is not None:
            _scrub_event(tx, number, row.key, nobody(secret, row.key))


def _scrub_event(tx: Connection, number: int, key: str, nobody: str) -> None:
    tx.execute(update(event).where(event.c.id == number).values(key=nobody))
    _drop(tx, (withdrawal, withdrawal.c.stix_id == f"event:{number}"), (pushed, pushed.c.event == number))
    _drop(tx, *((table, table.c.remote_id == key) for table in (skipped, vanished, inventory)))
    for each in tx.execute(select(document.c.id).where(document.c.document_id == key)).scalars().all():
        tx.execute(update(document).where(document.c.id == each).values(raw=b"", document_id=nobody))


def nobody(secret: bytes, word: str) -> str:
    """What stands in place of an id, or of the key of an event."""
    return f"{ERASED}--{of_id(secret, word).hex()}"


def _drop(tx: Connection, *conditions: tuple[Table, ColumnElement[bool]]) -> None:
    for table, condition in conditions:
        tx.execute(delete(table).where(condition))


def scrub_texts(tx: Connection, needles: Collection[str]) -> None:
    """Where one of these words stands in what nobody needs, that goes: statuses, quarantine, errors, withdrawals."""
    for column in (status.c.body, quarantine.c.raw, quarantine.c.fields, skipped.c.fields, review.c.matches):
        for where in _rows(tx, column, needles):
            tx.execute(delete(column.table).where(where))
    for column in (removal.c.asked, removal.c.targets):
        for where in _rows(tx, column, needles):
            tx.execute(update(removal).where(where).values(asked="", targets="[]"))
    for column in (source.c.last_error, source.c.last_failure, source.c.difference):
        for where in _rows(tx, column, needles):
            tx.execute(update(source).where(where).values({column.name: None}))
    for where in _rows(tx, outbox.c.message, needles):
        tx.execute(update(outbox).where(where).values(message=""))


def scrub_reads(tx: Connection, needles: Collection[str]) -> None:
    """The questions of the read ledger that name one of these; their digests stay. `tx`: of `Store.noting`."""
    for where in _rows(tx, read.c.query, needles):
        tx.execute(update(read).where(where).values(query=""))


def _rows(tx: Connection, column: Column[Any], needles: Collection[str]) -> list[ColumnElement[bool]]:
    """Each row of a table whose text, or bytes, hold one of these words, as its primary key says."""
    keys, holds = list(column.table.primary_key), _words(needles)
    query = select(column, *keys).where(or_(false(), *(_holds(tx, column, needle) for needle in needles)))
    return [
        and_(*(key == value for key, value in zip(keys, row[1:], strict=True)))
        for row in tx.execute(query)
        if holds(row[0])
    ]


def _words(needles: Collection[str]) -> Callable[[str | bytes], bool]:
    """Whether a text, or bytes, hold one of these as a word of its own: `a.example` is none in `ba.example`."""
    some = "|".join(re.escape(needle) for needle in sorted(needles, key=len, reverse=True))
    # Behind a sign that JSON escapes by a letter stands no part of the word.
    text = rf"(?:(?<![\w.-])|(?<=\\[nrtbf]))(?:{some})(?![\w-]|\.\w)"
    strings, data = re.compile(text, re.IGNORECASE), re.compile(text.encode(), re.IGNORECASE)

    def holds(given: str | bytes) -> bool:
        return bool(needles) and bool(strings.search(given) if isinstance(given, str) else data.search(given))

    return holds


def _holds(tx: Connection, column: ColumnElement[object], needle: str) -> ColumnElement[bool]:
    """Whether the text, or the bytes, hold this word, whatever its case."""
    if isinstance(column.type, LargeBinary):
        wanted = needle.encode()
        if tx.dialect.name == "sqlite":
            return func.instr(column, wanted) > 0
        return column.op("LIKE", is_comparison=True)(b"%" + _plain(wanted) + b"%")
    return func.lower(column).contains(needle.lower(), autoescape=True)


def _plain(word: bytes) -> bytes:
    """A word in which LIKE finds no sign of its own."""
    for sign in (b"\\", b"%", b"_"):
        word = word.replace(sign, b"\\" + sign)
    return word


# --- what is left ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Where a word still stands: so many rows of a column, or objects whose bytes hold it."""

    place: str
    count: int


def left(tx: Connection, needles: Collection[str], tables: Iterable[Table] | None = None) -> list[Left]:
    """Look for these words in every text and byte of the store; blocks are unpacked, one at a time."""
    found = []
    for table in metadata.sorted_tables if tables is None else tables:
        for column in table.columns:
            if not isinstance(column.type, (String, LargeBinary)) or column is block.c.body:
                continue
            count = len(_rows(tx, column, needles))
            if count:
                found.append(Left(place=f"{table.name}.{column.name}", count=count))
    if tables is None:
        count = blocks.holding(tx, _words(needles))
        if count:
            found.append(Left(place=f"{block.name}.{block.c.body.name}", count=count))
    return found
