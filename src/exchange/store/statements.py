"""Statements: one version of one object as one source said it, with its references and observable values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Table, bindparam, func, literal, or_, select, text, update

from exchange.model.marking import Label
from exchange.model.stix import StixObject
from exchange.store import aliases, approvals, blocks, former, traits
from exchange.store.approvals import Approved
from exchange.store.blocks import Place
from exchange.store.columns import CHUNK
from exchange.store.columns import chunks as chunks
from exchange.store.columns import indexed as indexed
from exchange.store.prepared import Inserting, Lookup, Query, among, truths
from exchange.store.tables import alias, document, observable, reference, statement, withdrawal
from exchange.store.work import NODE


class Held(msgspec.Struct, frozen=True, gc=False):
    """What deciding needs to know of a stored statement; its bytes stay in their block."""

    seq: int
    source: str
    peer: str
    posted: str
    stix_id: str
    type: str
    version: str
    precision: int
    digest: bytes
    creator: str
    fact: str | None
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
    event: int
    """Number of the MISP event to which it belongs (`store.events`)."""
    attributes: int
    """How many MISP attributes it may be."""
    doubt: str
    """The code for which a person looks at it before it leaves; empty: nothing."""
    marks: int | None
    """What the second gate read in its bytes (`policy.stamp`); None: it has not read them yet."""
    block: int
    start: int
    stop: int
    withdrawn: frozenset[str] = frozenset()
    """The channels from which its peer has withdrawn it (RULES R22)."""
    copied: frozenset[str] = frozenset()
    """The peers that gave it under another id, by its own word (RULES R3)."""
    parts: Label | None = None
    """What it states without its granular marks; None: it has none."""
    personal: bool = False
    """There may be personal information in it."""
    victim: bool = False
    """Its source says elsewhere that it is a victim's."""
    approved: Approved = frozenset()
    """What persons let go of it (`policy.Subject.approved`)."""

    @property
    def place(self) -> Place:
        """Where the bytes that are served stand."""
        return Place(self.block, self.start, self.stop)


_STORED = Held.__struct_fields__[:-6]
_HELD = [statement.c[name] for name in _STORED]
_STATED, _LABEL = Held.__struct_fields__.index("stated"), Held.__struct_fields__.index("label")


def _of(row: Sequence[Any]) -> Held:
    values = list(row)
    values[_STATED] = Label.from_text(values[_STATED])
    if values[_LABEL] is not None:
        values[_LABEL] = Label.from_text(values[_LABEL])
    return Held(*values)


_BY_ID = Lookup(select(*_HELD).where(among(statement.c.stix_id)))
_BY_SEQ = Lookup(select(*_HELD).where(among(statement.c.seq)))
_PLACES = Lookup(
    select(statement.c.seq, statement.c.block, statement.c.start, statement.c.stop).where(among(statement.c.seq))
)


def held(tx: Connection, stix_ids: Iterable[str]) -> dict[str, list[Held]]:
    """Every statement about each of `stix_ids`, from all sources, in the order in which they came."""
    found: dict[str, list[Held]] = {}
    for row in _BY_ID.rows(tx, stix_ids):
        item = _of(row)
        found.setdefault(item.stix_id, []).append(item)
    for group in found.values():
        if len(group) > 1:
            group.sort(key=lambda item: item.seq)
    for stix_id, marks in _withdrawn(tx, found).items():
        found[stix_id] = [_under(item, marks) for item in found[stix_id]]
    approvals.attach(tx, found)
    copied = aliases.givers(tx, (i.seq for group in found.values() for i in group)) if aliases.any_alias(tx) else {}
    for stix_id in {item.stix_id for group in found.values() for item in group if item.seq in copied}:
        found[stix_id] = [msgspec.structs.replace(i, copied=copied.get(i.seq, i.copied)) for i in found[stix_id]]
    return traits.given(tx, found)


def _withdrawn(tx: Connection, stix_ids: Iterable[str]) -> dict[str, list[tuple[str, str, str]]]:
    """Id → (peer, channel, version) of what was withdrawn, empty for all; most stores hold none."""
    w = withdrawal.c
    if not any_withdrawn(tx):
        return {}
    marks: dict[str, list[tuple[str, str, str]]] = {}
    for ids in chunks(stix_ids):
        for row in tx.execute(select(w.stix_id, w.peer, w.channel, w.version).where(w.stix_id.in_(ids))):
            marks.setdefault(row.stix_id, []).append((row.peer, row.channel, row.version))
    return marks


def any_withdrawn(tx: Connection) -> bool:
    """Whether anything was ever withdrawn; most stores hold no such mark."""
    return _ANY_WITHDRAWN.one(tx) is not None


_ANY_WITHDRAWN = Query(select(withdrawal.c.peer).limit(1))


def _under(item: Held, marks: Iterable[tuple[str, str, str]]) -> Held:
    channels = frozenset(c for peer, c, version in marks if peer in ("", item.peer) and version in ("", item.version))
    return msgspec.structs.replace(item, withdrawn=channels) if channels else item


def by_seq(tx: Connection, seqs: Iterable[int]) -> list[Held]:
    """The statements with these numbers."""
    return [_of(row) for row in _BY_SEQ.rows(tx, seqs)]


class New(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A statement about to be stored."""

    object: StixObject
    label: Label | None
    """What it is worth by its own marks; None: it has none that count, and waits to be judged."""
    basis: str
    newest: bool
    touch: bool
    waiting: bool
    """Unmarked, or its version lies in the future: it is judged later."""
    doubt: str = ""
    marks: int | None = None
    """What the second gate read in the bytes that are served; None: nothing yet."""


def add_all(
    tx: Connection,
    news: Sequence[New],
    events: Sequence[int],
    *,
    source: str,
    peer: str,
    posted: str,
    document: int | None,
    now: int,
) -> list[Held]:
    """Store `news`, each with the number of its event; gives them as held. The caller holds the writer lock."""
    if not news:
        return []
    first = 1 + (_LAST.one(tx) or 0)
    bodies, raws = _bytes(tx, news)
    truth = truths(tx.dialect)
    # None costs SQLite's driver a search too: where all was received as it is served, those columns are left out.
    bare = document is None and not any(raws)
    kept, rows, references, values, others = [], [], [], [], []
    for seq, new, place, raw, event in zip(count(first), news, bodies, raws, events, strict=False):
        item = new.object
        held = Held(
            seq, source, peer, posted, item.id, item.type, item.version, item.precision, item.digest, item.creator,
            _fact(item), item.label, new.label is not None, new.label, str(new.basis), new.waiting, new.newest,
            new.touch, item.revoked, ",".join(item.repairs), now, event, item.attributes, new.doubt, new.marks, *place,
        )  # fmt: skip
        kept.append(held)
        row = _row(held, truth)
        rows.append(row if bare else (*row, document, *(raw or _NOWHERE)))
        if item.refs:
            ends = item.ends
            references += [(seq, target, truth(target in ends)) for target in item.refs if indexed(target) == target]
        if item.values:
            values += [(indexed(value), path, seq) for path, value in dict.fromkeys(item.values)]
        if item.aliases:
            others += [(other, seq) for other in item.aliases]
    _inserting(tx.dialect, statement, _STORED if bare else _COLUMNS).many(tx, rows)
    _inserting(tx.dialect, reference, ("seq", "target", "ends")).many(tx, references)
    _inserting(tx.dialect, observable, ("value", "path", "seq")).many(tx, values)
    _inserting(tx.dialect, alias, ("alias", "seq")).many(tx, others)
    return kept


_LAST = Query(select(func.max(statement.c.seq)))


def _bytes(tx: Connection, news: Sequence[New]) -> tuple[list[Place], list[Place | None]]:
    """Write what is served and, where that differs, what was received; a touch has blocks of its own (see `renew`)."""
    served: list[Place | None] = [None] * len(news)
    plain = [index for index, new in enumerate(news) if not new.touch]
    for index, place in zip(plain, blocks.keep(tx, (news[i].object.body for i in plain)), strict=True):
        served[index] = place
    received: list[Place | None] = [None] * len(news)
    other = [i for i in plain if news[i].object.raw != news[i].object.body]
    for index, place in zip(other, blocks.keep(tx, (news[i].object.raw for i in other)), strict=True):
        received[index] = place
    for index, new in enumerate(news):
        if new.touch:
            served[index], received[index] = _alone(tx, new.object)
    return [place for place in served if place is not None], received


def _alone(tx: Connection, item: StixObject) -> tuple[Place, Place | None]:
    (body,) = blocks.keep(tx, [item.body])
    return body, None if item.raw == item.body else blocks.keep(tx, [item.raw])[0]


def _fact(item: StixObject) -> str | None:
    # What is revoked states nothing any more: it neither folds nor represents its twins (RULES R23).
    return None if item.revoked or item.fact == item.id else item.fact


_COLUMNS = (*_STORED, "document", "raw_block", "raw_start", "raw_stop")


def _row(held: Held, truth: Callable[[bool], int]) -> tuple[Any, ...]:
    """The columns of `_STORED`."""
    h, stated = held, held.stated.to_text()
    label = None if h.label is None else stated if h.label is h.stated else h.label.to_text()
    return (
        h.seq, h.source, h.peer, h.posted, h.stix_id, h.type, h.version, h.precision, h.digest, h.creator, h.fact,
        stated, truth(h.marked), label, h.basis, truth(h.waiting), truth(h.newest), truth(h.touch), truth(h.revoked),
        h.repairs, h.received, h.event, h.attributes, h.doubt, h.marks, h.block, h.start, h.stop,
    )  # fmt: skip


_NOWHERE = (None, None, None)


@lru_cache(maxsize=16)
def _inserting(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> Inserting:
    return Inserting(dialect, table, columns)


def renew(tx: Connection, touches: Mapping[int, New], *, document: int | None, now: int) -> None:
    """A touch takes the place of the touch before it: content, references and label are the same (RULES R9).

    Its bytes stood in blocks of their own, which go, so that a chain does not grow however often it is touched.
    """
    for seq, new in touches.items():
        before = tx.execute(select(statement.c.block, statement.c.raw_block).where(statement.c.seq == seq)).one()
        body, raw = _alone(tx, new.object)
        tx.execute(
            update(statement)
            .where(statement.c.seq == seq)
            .values(
                version=new.object.version, precision=new.object.precision, digest=new.object.digest,
                document=document, received=now, marks=new.marks,
                block=body.block, start=body.start, stop=body.stop,
                **dict(zip(("raw_block", "raw_start", "raw_stop"), raw or _NOWHERE, strict=True)),
            )
        )  # fmt: skip
        for number in before:
            if number is not None:
                blocks.drop(tx, number)


def untouch(tx: Connection, seqs: Collection[int]) -> None:
    """These statements are no mere touches any more."""
    former.keep(tx, former.TOUCH, statement.c.seq, literal("1"), seqs)
    for numbers in chunks(seqs):
        tx.execute(update(statement).where(statement.c.seq.in_(numbers)).values(touch=False))


def supersede(tx: Connection, seqs: Collection[int], by: Collection[int] = ()) -> None:
    """These statements are no longer the newest of their chains; those of `by` are."""
    former.keep(tx, former.LED, statement.c.seq, literal("0"), by)
    for some, newest in ((seqs, False), (by, True)):
        for numbers in chunks(some):
            tx.execute(update(statement).where(statement.c.seq.in_(numbers)).values(newest=newest))


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
    former.keep(tx, former.STATED, statement.c.seq, statement.c.stated, labels)
    for seq, label in labels.items():
        tx.execute(update(statement).where(statement.c.seq == seq).values(stated=label.to_text()))


# Written as the partial index is: SQLite does not see that `waiting = 1` implies `waiting`.
_WAITING = text("statement.waiting")


def waiting(tx: Connection, source: str, until: str, most: int) -> list[int]:
    """Statements of `source` that nobody has judged yet, oldest first; versions after `until` go on waiting."""
    return [row[0] for row in _WAITS.run(tx, source=source, until=until, most=most)]


_WAITS = Query(
    select(statement.c.seq)
    .where(statement.c.source == bindparam("source"), _WAITING, statement.c.version <= bindparam("until"))
    .order_by(statement.c.seq)
    .limit(bindparam("most"))
)


def waiting_sources(tx: Connection) -> list[str]:
    """The sources that have statements waiting to be judged."""
    return list(tx.execute(select(statement.c.source).where(_WAITING).distinct()).scalars())


def walk(tx: Connection, after: int, most: int, *, unknown: bool = False) -> list[int]:
    """The numbers of the statements after `after`, in order: to judge everything anew, a step at a time, but what we
    made ourselves.

    `unknown`: only those that state a marking which an agreement may list as informational.
    """
    others = (statement.c.seq > after, statement.c.peer != NODE)
    query = select(statement.c.seq).where(*others).order_by(statement.c.seq).limit(most)
    if unknown:
        query = query.where(statement.c.stated.like("%[%"))
    return list(tx.execute(query).scalars())


def bodies(tx: Connection, seqs: Iterable[int]) -> dict[int, bytes]:
    """Number → the bytes that are served."""
    rows = _PLACES.rows(tx, seqs)
    return dict(zip((row[0] for row in rows), blocks.read(tx, [row[1:] for row in rows]), strict=True))


def find(
    tx: Connection, *, stix_id: str = "", uuid: str = "", values: Collection[str] = (), most: int = CHUNK
) -> list[Held]:
    """What an operator looks for: a STIX id, or another one of the same thing; a uuid, of a MISP event too; a value."""
    conditions = []
    if stix_id:
        conditions += [statement.c.stix_id == stix_id, aliases.known_as(stix_id)]
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
    query = select(*_HELD).where(or_(*conditions)).order_by(statement.c.seq).limit(most)
    return [_of(row) for row in tx.execute(query)]
