"""Names of domain objects, and values that several things state: where suggestions of what may be one come from.

Nothing here reads a body, and no call looks at more than a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Select, select, text, tuple_

from exchange.store.columns import indexed
from exchange.store.prepared import Inserting
from exchange.store.statements import Held, New, chunks
from exchange.store.tables import alias, name, observable, statement

WEAK = ("file:hashes.MD5", "file:hashes.SHA-1")
"""Paths by which two files may be one, and may as well not be."""
_AT_ONCE = 2_000


class Known(NamedTuple):
    """One thing that is known by a name, an external id or a weak hash: the newest word of one source."""

    value: str
    kind: str
    """`name`, `id:SOURCE_NAME`, or the path of a hash."""
    seq: int
    stix_id: str
    type: str
    creator: str
    source: str
    fact: str | None


_s = statement.c
_ITS = (_s.seq, _s.stix_id, _s.type, _s.creator, _s.source, _s.fact)
_STANDS = (_s.newest, ~_s.revoked)


def keep(tx: Connection, held: Sequence[Held], news: Sequence[New]) -> None:
    """Write down the names of what was stored just now, `news` as `held`."""
    rows = [
        (indexed(value), kind, item.seq)
        for item, new in zip(held, news, strict=True)
        for kind, value in new.object.names
    ]
    _inserting(tx.dialect).many(tx, rows)


def complete(tx: Connection, found: Mapping[int, Iterable[tuple[str, str]]]) -> None:
    """Number of a statement → the (kind, name) that it has to have: what a release before this one did not write."""
    rows = [
        {"value": indexed(value), "kind": kind, "seq": seq} for seq, known in found.items() for kind, value in known
    ]
    if rows:
        tx.execute(
            text("INSERT INTO name (value, kind, seq) VALUES (:value, :kind, :seq) ON CONFLICT DO NOTHING"), rows
        )


@lru_cache(maxsize=4)
def _inserting(dialect: Dialect) -> Inserting:
    return Inserting(dialect, name, ("value", "kind", "seq"))


def called(tx: Connection, values: Iterable[str], most: int) -> list[Known]:
    """What is known by these names or external ids, folded as `model.titles` does; at most about `most`."""
    found: list[Known] = []
    for some in chunks(dict.fromkeys(map(indexed, values))):
        query = _named().where(name.c.value.in_(some), *_STANDS).order_by(name.c.seq).limit(most)
        found += [Known._make(row) for row in tx.execute(query)]
    return found


def hashed(tx: Connection, values: Collection[tuple[str, str]], most: int) -> list[Known]:
    """What states one of these weak (path, hash); at most about `most`."""
    found: list[Known] = []
    for some in chunks(dict.fromkeys((path, indexed(value)) for path, value in values if path in WEAK)):
        query = _valued().where(tuple_(observable.c.path, observable.c.value).in_(some), *_STANDS)
        found += [Known._make(row) for row in tx.execute(query.order_by(observable.c.seq).limit(most))]
    return found


def alike(tx: Connection, kind: str, after: str) -> tuple[dict[str, list[Known]], str]:
    """Value → what is known by it, of the names (`kind` "name") or weak hashes ("hash") behind `after`; and behind
    which value to go on, empty at the end.

    Some thousand rows are looked at. A value that has more of them than that is given in part.
    """
    column, path, seq = (observable.c.value, observable.c.path, observable.c.seq)
    query = _valued()
    if kind == "name":
        column, path, seq, query = name.c.value, name.c.kind, name.c.seq, _named()
    rows = tx.execute(
        query.add_columns(_s.newest, _s.revoked).where(column > after).order_by(column, path, seq).limit(_AT_ONCE)
    ).all()
    values = list(dict.fromkeys(row[0] for row in rows))
    whole = len(rows) < _AT_ONCE
    if not whole and len(values) > 1:
        values.pop()  # there may be more of it
    found: dict[str, list[Known]] = {value: [] for value in values}
    for *row, newest, revoked in rows:
        if row[0] in found and newest and not revoked and (kind == "name" or row[1] in WEAK):
            found[row[0]].append(Known._make(row))
    return found, "" if whole else values[-1]


def _named() -> Select[Any]:
    return select(name.c.value, name.c.kind, *_ITS).join(statement, _s.seq == name.c.seq)


def _valued() -> Select[Any]:
    return select(observable.c.value, observable.c.path, *_ITS).join(statement, _s.seq == observable.c.seq)


def aliases(tx: Connection, stix_ids: Iterable[str], most: int) -> list[tuple[str, Known]]:
    """(foreign id, who says that its object is known by it), newest words only; at most about `most`."""
    found: list[tuple[str, Known]] = []
    for some in chunks(dict.fromkeys(stix_ids)):
        query = select(alias.c.alias, *_ITS).join(statement, _s.seq == alias.c.seq)
        query = query.where(alias.c.alias.in_(some), _s.newest).order_by(alias.c.seq).limit(most)
        found += [(row[0], Known(row[0], "alias", *row[1:])) for row in tx.execute(query)]
    return found


def known_as(tx: Connection, stix_ids: Iterable[str], most: int) -> list[tuple[str, Known]]:
    """(foreign id, who of `stix_ids` says that it is known by it); at most about `most`."""
    found: list[tuple[str, Known]] = []
    for some in chunks(dict.fromkeys(stix_ids)):
        query = select(alias.c.alias, *_ITS).join(statement, _s.seq == alias.c.seq)
        query = query.where(_s.stix_id.in_(some), _s.newest).order_by(alias.c.seq).limit(most)
        found += [(row[0], Known(row[0], "alias", *row[1:])) for row in tx.execute(query)]
    return found
