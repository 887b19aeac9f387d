"""Statements: one version of one object as one source said it, with its references and observable values."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, or_, select, text, update

from exchange.model.marking import Label
from exchange.model.stix import StixObject
from exchange.store.tables import document, observable, reference, statement

T = TypeVar("T")
CHUNK = 500
"""Values of one IN list; SQLite and PostgreSQL both plan that well."""


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """`values` in lists of at most `size`."""
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What deciding needs to know of a stored statement; the bytes stay in the store."""

    seq: int
    source: str
    peer: str
    posted: str
    stix_id: str
    type: str
    version: str
    digest: str
    content: str
    creator: str
    fact: str
    stated: Label
    marked: bool
    label: Label | None
    basis: str
    waiting: bool
    newest: bool
    touch: bool
    revoked: bool
    repairs: str
    """Codes of the lossless renderings that were made of it (RULES R6), separated by commas."""
    received: int

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The record in `row`."""
        values = dict(row._mapping)
        values["stated"] = Label.from_text(values["stated"])
        values["label"] = None if values["label"] is None else Label.from_text(values["label"])
        return cls(**values)


_HELD = [statement.c[name] for name in Held.__dataclass_fields__]


def held(tx: Connection, stix_ids: Iterable[str]) -> dict[str, list[Held]]:
    """Every statement about each of `stix_ids`, from all sources, in the order in which they came."""
    found: dict[str, list[Held]] = {}
    for ids in chunks(stix_ids):
        query = select(*_HELD).where(statement.c.stix_id.in_(ids)).order_by(statement.c.stix_id, statement.c.seq)
        for row in tx.execute(query):
            found.setdefault(row.stix_id, []).append(Held.of(row))
    return found


def by_seq(tx: Connection, seqs: Iterable[int]) -> list[Held]:
    """The statements with these numbers."""
    return [
        Held.of(row)
        for numbers in chunks(seqs)
        for row in tx.execute(select(*_HELD).where(statement.c.seq.in_(numbers)))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A statement about to be stored."""

    object: StixObject
    label: Label | None
    """What it is worth by its own marks; None: it has none that count, and waits to be judged."""
    basis: str
    newest: bool
    touch: bool
    waiting: bool
    """Unmarked, or its version lies in the future: it is judged later."""


_LONGEST = 300
"""Characters of an indexed text; a STIX id has fewer, and PostgreSQL indexes no more than 2,700 bytes."""


def indexed(value: str) -> str:
    """A value as it stands in the index: one that PostgreSQL would not take (long, or with U+0000) by its digest."""
    return (
        value
        if len(value) <= _LONGEST and "\0" not in value
        else "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    )


def add_all(
    tx: Connection, news: Sequence[New], *, source: str, peer: str, posted: str, document: int | None, now: int
) -> list[int]:
    """Store `news` in order and give their numbers. The caller holds the writer lock."""
    if not news:
        return []
    first = 1 + (tx.execute(select(func.max(statement.c.seq))).scalar() or 0)
    rows, references, values = [], [], []
    for seq, new in enumerate(news, first):
        rows.append(_row(new, seq, source, peer, posted, document, now))
        item = new.object
        references += [
            {"seq": seq, "target": target, "ends": target in item.ends}
            for target in item.refs
            if indexed(target) == target
        ]
        values += [{"seq": seq, "path": path, "value": indexed(value)} for path, value in dict.fromkeys(item.values)]
    tx.execute(insert(statement), rows)
    if references:
        tx.execute(insert(reference), references)
    if values:
        tx.execute(insert(observable), values)
    return list(range(first, first + len(news)))


def _row(new: New, seq: int, source: str, peer: str, posted: str, document: int | None, now: int) -> dict[str, Any]:
    item = new.object
    return {
        "seq": seq,
        "source": source,
        "peer": peer,
        "posted": posted,
        "stix_id": item.id,
        "type": item.type,
        "version": item.version,
        "digest": item.digest,
        "content": item.content,
        "creator": item.creator,
        "fact": item.fact,
        "stated": item.label.to_text(),
        "marked": new.label is not None,
        "label": None if new.label is None else new.label.to_text(),
        "basis": new.basis,
        "waiting": new.waiting,
        "newest": new.newest,
        "touch": new.touch,
        "revoked": item.revoked,
        "repairs": ",".join(item.repairs),
        "document": document,
        "received": now,
        "raw": None if item.raw == item.body else item.raw,
        "body": item.body,
    }


def renew(tx: Connection, touches: Mapping[int, New], *, document: int | None, now: int) -> None:
    """A touch takes the place of the touch before it: content, references and label are the same (RULES R9)."""
    for seq, new in touches.items():
        item = new.object
        tx.execute(
            update(statement)
            .where(statement.c.seq == seq)
            .values(
                version=item.version,
                digest=item.digest,
                document=document,
                received=now,
                raw=None if item.raw == item.body else item.raw,
                body=item.body,
            )
        )


def untouch(tx: Connection, seqs: Collection[int]) -> None:
    """These statements are no mere touches any more."""
    for numbers in chunks(seqs):
        tx.execute(update(statement).where(statement.c.seq.in_(numbers)).values(touch=False))


def supersede(tx: Connection, seqs: Collection[int]) -> None:
    """These statements are no longer the newest of their chains."""
    for numbers in chunks(seqs):
        tx.execute(update(statement).where(statement.c.seq.in_(numbers)).values(newest=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a statement is worth: the label it is judged under (None: held), where that comes from, own marks or not."""

    seq: int
    label: Label | None
    basis: str
    marked: bool


def judge(tx: Connection, worths: Sequence[Worth]) -> None:
    """Write down what these statements are worth; none of them waits any longer."""
    if worths:
        tx.execute(
            update(statement)
            .where(statement.c.seq == bindparam("at"))
            .values(label=bindparam("text"), basis=bindparam("why"), marked=bindparam("own"), waiting=False),
            [
                {
                    "at": worth.seq,
                    "text": worth.label.to_text() if worth.label else None,
                    "why": worth.basis,
                    "own": worth.marked,
                }
                for worth in worths
            ],
        )


def tighten(tx: Connection, labels: Mapping[int, Label]) -> None:
    """These statements state more than their own bytes do: the giver contradicted itself, and the stricter holds."""
    for seq, label in labels.items():
        tx.execute(update(statement).where(statement.c.seq == seq).values(stated=label.to_text()))


# Written as the partial index is: SQLite does not see that `waiting = 1` implies `waiting`.
_WAITING = text("statement.waiting")


def waiting(tx: Connection, source: str, until: str, most: int) -> list[int]:
    """Statements of `source` that nobody has judged yet, oldest first; versions after `until` go on waiting."""
    query = select(statement.c.seq).where(statement.c.source == source, _WAITING, statement.c.version <= until)
    return list(tx.execute(query.order_by(statement.c.seq).limit(most)).scalars())


def waiting_sources(tx: Connection) -> list[str]:
    """The sources that have statements waiting to be judged."""
    return list(tx.execute(select(statement.c.source).where(_WAITING).distinct()).scalars())


def walk(tx: Connection, after: int, most: int, *, unknown: bool = False) -> list[int]:
    """The numbers of the statements after `after`, in order: to judge everything anew, a step at a time.

    `unknown`: only those that state a marking which an agreement may list as informational.
    """
    query = select(statement.c.seq).where(statement.c.seq > after).order_by(statement.c.seq).limit(most)
    if unknown:
        query = query.where(statement.c.stated.like("%[%"))
    return list(tx.execute(query).scalars())


def bodies(tx: Connection, seqs: Iterable[int]) -> dict[int, bytes]:
    """Number → the bytes that are served."""
    return {
        row.seq: bytes(row.body)
        for numbers in chunks(seqs)
        for row in tx.execute(select(statement.c.seq, statement.c.body).where(statement.c.seq.in_(numbers)))
    }


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


def find(tx: Connection, *, stix_id: str = "", uuid: str = "", values: Collection[str] = ()) -> list[Held]:
    """What an operator looks for: a STIX id, the uuid part of one or of a MISP event, or an observable's value."""
    conditions = []
    if stix_id:
        conditions.append(statement.c.stix_id == stix_id)
    if uuid:
        conditions.append(statement.c.stix_id.like(f"%--{uuid}"))
        conditions.append(statement.c.document.in_(select(document.c.id).where(document.c.document_id == uuid)))
    if values:
        conditions.append(
            statement.c.seq.in_(
                select(observable.c.seq).where(observable.c.value.in_([indexed(value) for value in values]))
            )
        )
    if not conditions:
        return []
    query = select(*_HELD).where(or_(*conditions)).order_by(statement.c.seq).limit(CHUNK)
    return [Held.of(row) for row in tx.execute(query)]


def raw(tx: Connection, seq: int) -> bytes:
    """The bytes received."""
    row = tx.execute(select(statement.c.raw, statement.c.body).where(statement.c.seq == seq)).one()
    return bytes(row.body if row.raw is None else row.raw)


def held_by(tx: Connection, peer: str, stix_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of what `peer` gave us itself, of these ids: it need not be handed back (RULES R3)."""
    return {
        (row.stix_id, row.version)
        for ids in chunks(stix_ids)
        for row in tx.execute(
            select(statement.c.stix_id, statement.c.version).where(
                statement.c.peer == peer, statement.c.stix_id.in_(ids)
            )
        )
    }


def held_counts(tx: Connection) -> dict[str, int]:
    """Source → how many current statements are held because nothing says what they are worth."""
    query = select(statement.c.source, func.count()).where(
        statement.c.label.is_(None), ~statement.c.waiting, statement.c.newest
    )
    return {row[0]: row[1] for row in tx.execute(query.group_by(statement.c.source))}
