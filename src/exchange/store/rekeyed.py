"""The keys of what is held, when a release makes them in another way: fact, observable values, other ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text, tuple_, update

from exchange.store import blocks
from exchange.store.columns import chunks, indexed
from exchange.store.prepared import Inserting, Lookup, among
from exchange.store.tables import alias, observable, statement


class Keyed(NamedTuple):
    """What a statement is found and folded by."""

    fact: str | None
    values: frozenset[tuple[str, str]]
    """(value as it is indexed, path)."""
    aliases: frozenset[str]


class Kept(NamedTuple):
    """One statement as it stands, with the bytes that are served."""

    seq: int
    revoked: bool
    keyed: Keyed
    body: bytes


def some(tx: Connection, after: int, most: int) -> list[Kept]:
    """The next `most` statements behind the number `after`, in order."""
    s = statement.c
    query = select(s.seq, s.revoked, s.fact, s.block, s.start, s.stop).where(s.seq > after).order_by(s.seq).limit(most)
    rows = tx.execute(query).all()
    seqs = [row.seq for row in rows]
    values: dict[int, set[tuple[str, str]]] = {}
    for seq, value, path in _VALUES.rows(tx, seqs):
        values.setdefault(seq, set()).add((value, path))
    others: dict[int, set[str]] = {}
    for seq, other in _ALIASES.rows(tx, seqs):
        others.setdefault(seq, set()).add(other)
    bodies = blocks.read(tx, [(row.block, row.start, row.stop) for row in rows])
    return [
        Kept(
            row.seq,
            row.revoked,
            Keyed(row.fact, frozenset(values.get(row.seq, ())), frozenset(others.get(row.seq, ()))),
            body,
        )
        for row, body in zip(rows, bodies, strict=True)
    ]


_VALUES = Lookup(select(observable.c.seq, observable.c.value, observable.c.path).where(among(observable.c.seq)))
_ALIASES = Lookup(select(alias.c.seq, alias.c.alias).where(among(alias.c.seq)))


def keyed(fact: str | None, values: Sequence[tuple[str, str]], aliases: Sequence[str]) -> Keyed:
    """The same as it would stand in the store. `values`: (path, value)."""
    return Keyed(fact, frozenset((indexed(value), path) for path, value in values), frozenset(aliases))


def rekey(tx: Connection, changed: Mapping[int, tuple[Keyed, Keyed]]) -> None:
    """Number of a statement → its keys as they were, and as they are now."""
    facts = [{"at": seq, "is": new.fact} for seq, (old, new) in changed.items() if old.fact != new.fact]
    if facts:
        here = update(statement).where(statement.c.seq == bindparam("at"))
        tx.execute(here.values(fact=bindparam("is")), facts)
    o, a = observable.c, alias.c
    for gone in chunks(
        (value, path, seq) for seq, (old, new) in changed.items() for value, path in old.values - new.values
    ):
        tx.execute(delete(observable).where(tuple_(o.value, o.path, o.seq).in_(gone)))
    for lost in chunks((other, seq) for seq, (old, new) in changed.items() for other in old.aliases - new.aliases):
        tx.execute(delete(alias).where(tuple_(a.alias, a.seq).in_(lost)))
    come = [(value, path, seq) for seq, (old, new) in changed.items() for value, path in new.values - old.values]
    Inserting(tx.dialect, observable, ("value", "path", "seq")).many(tx, come)
    others = [(other, seq) for seq, (old, new) in changed.items() for other in new.aliases - old.aliases]
    Inserting(tx.dialect, alias, ("alias", "seq")).many(tx, others)


def begin(tx: Connection) -> None:
    """For as long as it goes on, what stands of a statement is found by its number."""
    tx.execute(text(f"CREATE INDEX IF NOT EXISTS {_FOR_NOW} ON observable (seq)"))


def end(tx: Connection) -> None:
    """Nothing is left to be keyed."""
    tx.execute(text(f"DROP INDEX IF EXISTS {_FOR_NOW}"))


_FOR_NOW = "ix_observable_rekeyed"
