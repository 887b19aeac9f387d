"""What an operator names to withdraw, recall or erase: objects, values, events, or what a source or peer gave when."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, false, func, or_, select

from exchange.store import widenings
from exchange.store.columns import CHUNK, chunks, indexed
from exchange.store.statements import Held, by_seq
from exchange.store.tables import derived, document, event, listing, observable, statement
from exchange.store.work import NODE

Kind = Literal["object", "value", "event", "source", "peer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is meant. Times in µs since 1970, `until` excluded; None: no limit."""

    kind: Kind
    asked: str
    """As the operator typed it."""
    targets: tuple[str, ...]
    """Ids; values in canonical form; numbers of events; the key of the source; the peer."""
    since: int | None = None
    until: int | None = None

    @property
    def lasting(self) -> bool:
        """Whether what comes later is meant too, whoever gives it; of a source or peer it is what they gave until
        now."""
        return self.kind in ("object", "value", "event")


def of_row(row: RowMapping) -> Scope:
    """The scope that a row of removals or erasures keeps."""
    given: dict[str, Any] = {name: row[name] for name in ("since", "until") if name in row}
    return Scope(kind=row["kind"], asked=row["asked"], targets=tuple(json.loads(row["targets"])), **given)


def shut_of(row: RowMapping) -> list[int]:
    """The audiences that are shut until a withdrawal is done."""
    return [int(number) for number in json.loads(row["shut"])]


def steps(tx: Connection, scope: Scope, after: int, most: int) -> list[Held]:
    """The statements that are meant, behind the number `after`, in order; none of our own notices."""
    query = select(statement.c.seq).where(_meant(scope), statement.c.seq > after, statement.c.peer != NODE)
    return by_seq(tx, tx.execute(query.order_by(statement.c.seq).limit(most)).scalars())


def events_of(tx: Connection, key: str) -> tuple[str, ...]:
    """The numbers of the events of a MISP uuid, or of the id or uuid of a report or grouping, whoever created them."""
    uuid = key.partition("--")[2] or key
    keys = [key, uuid, f"report--{uuid}", f"grouping--{uuid}"]
    numbers = set(tx.execute(select(event.c.id).where(event.c.key.in_(keys))).scalars())
    # What came in a MISP event may have been put under another key when it was first accepted; a day is no event.
    came = select(document.c.id).where(document.c.document_id == uuid)
    query = select(statement.c.event).join(event, event.c.id == statement.c.event)
    query = query.where(statement.c.document.in_(came), func.length(event.c.key) > len("2026-01-01"))
    numbers |= set(tx.execute(query.distinct()).scalars())
    return tuple(str(number) for number in sorted(numbers))


def first_of(tx: Connection, scope: Scope, stix_ids: Collection[str]) -> dict[str, int]:
    """Id → the number of the first of its statements that are meant, of those of these ids of which any is."""
    found: dict[str, int] = {}
    for ids in chunks(stix_ids):
        query = select(statement.c.stix_id, func.min(statement.c.seq)).where(
            statement.c.stix_id.in_(ids), _meant(scope), statement.c.peer != NODE
        )
        found |= {row[0]: row[1] for row in tx.execute(query.group_by(statement.c.stix_id))}
    return found


def seqs_of(tx: Connection, scope: Scope, stix_ids: Collection[str]) -> set[int]:
    """The numbers of the statements under these ids that are meant."""
    found: set[int] = set()
    for ids in chunks(stix_ids):
        meant = (statement.c.stix_id.in_(ids), _meant(scope), statement.c.peer != NODE)
        # Of a thing that is meant, whatever is said under its id.
        where = meant[:1] if scope.lasting else meant
        found |= set(tx.execute(select(statement.c.seq).where(*where)).scalars())
    return found


def size(tx: Connection, scope: Scope, most: int) -> int:
    """How many statements are meant, counted no further than `most`."""
    few = select(statement.c.seq).where(_meant(scope), statement.c.peer != NODE).limit(most).subquery()
    return int(tx.execute(select(func.count()).select_from(few)).scalar_one())


def audiences_of(tx: Connection, scope: Scope) -> list[int]:
    """The numbers of the audiences to which something of it stands listed, as it is, altered or widened."""
    query = (
        select(listing.c.audience)
        .distinct()
        .select_from(statement.join(listing, listing.c.seq == statement.c.seq))
        .where(_meant(scope), statement.c.peer != NODE, listing.c.closed.is_(None))
    )
    copies = (
        select(listing.c.audience)
        .distinct()
        .select_from(
            statement.join(derived, derived.c.of == statement.c.seq).join(listing, listing.c.seq == derived.c.seq)
        )
        .where(_meant(scope), statement.c.peer != NODE, listing.c.closed.is_(None))
    )
    originals = select(statement.c.stix_id).where(_meant(scope), statement.c.peer != NODE)
    found = {*tx.execute(query).scalars(), *tx.execute(copies).scalars()}
    return sorted(found | widenings.audiences_of(tx, originals))


def _meant(scope: Scope) -> ColumnElement[bool]:
    s = statement.c
    if scope.kind == "object":
        return or_(
            false(), *(s.stix_id.in_(scope.targets[at : at + CHUNK]) for at in range(0, len(scope.targets), CHUNK))
        )
    if scope.kind == "value":
        wanted = [indexed(value) for value in scope.targets]
        return s.seq.in_(select(observable.c.seq).where(observable.c.value.in_(wanted)))
    if scope.kind == "event":
        return s.event.in_([int(number) for number in scope.targets])
    given = [s.source == scope.targets[0] if scope.kind == "source" else s.peer == scope.targets[0]]
    given += [] if scope.since is None else [s.received >= scope.since]
    given += [] if scope.until is None else [s.received < scope.until]
    return and_(*given)
