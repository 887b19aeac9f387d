"""Derived statements: what recipients get in place of a statement of others that they may not have as it is.

Each is a statement of our own, of a peer and sources that no configuration can name, in no MISP event; nothing is
decided of it. Its fate is that of the statement of which it was made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import derived, statement


class Derived(NamedTuple):
    """What was made of the statement `of` in one form. `seq` None: nothing; `code` then says why, or is empty where the
    statement goes as it is.
    """

    of: int
    form: str
    stix_id: str
    seq: int | None
    code: str
    token: str


_d = derived.c
_COLUMNS = [_d[name] for name in Derived._fields]
_ANY = Query(select(_d.of).limit(1))
_OF = Lookup(select(*_COLUMNS).where(among(_d.of)))
_BY_ID = Lookup(select(*_COLUMNS).where(among(_d.stix_id), _d.seq.is_not(None)))
_ORIGINALS = Lookup(
    select(statement.c.stix_id, _d.stix_id)
    .distinct()
    .select_from(statement.join(derived, _d.seq == statement.c.seq))
    .where(among(statement.c.stix_id))
)
_MADE = Lookup(select(_d.seq).where(among(_d.of), _d.seq.is_not(None)))
_COPIES = Lookup(
    select(statement.c.stix_id, _d.stix_id)
    .distinct()
    .select_from(derived.join(statement, statement.c.seq == _d.seq))
    .where(among(_d.stix_id))
)
_TOKENS = Lookup(select(_d.token, _d.stix_id).where(among(_d.token)))


def any_made(tx: Connection) -> bool:
    """Whether anything was ever altered; many stores hold no such thing."""
    return _ANY.one(tx) is not None


def of(tx: Connection, seqs: Iterable[int]) -> dict[tuple[int, str], Derived]:
    """(statement, form) → what was made of these statements."""
    return {(row[0], row[1]): Derived(*row) for row in _OF.rows(tx, seqs)}


def by_id(tx: Connection, stix_ids: Iterable[str]) -> list[Derived]:
    """Everything that was made of statements about these ids."""
    return [Derived(*row) for row in _BY_ID.rows(tx, stix_ids)]


def originals(tx: Connection, minted: Iterable[str]) -> dict[str, str]:
    """Id that we minted → the id of which it was made, of those of these ids that are ours."""
    return dict(map(tuple, _ORIGINALS.rows(tx, minted))) if any_made(tx) else {}


def copies(tx: Connection, stix_ids: Iterable[str]) -> dict[str, str]:
    """The ids under which altered objects were made of these → the id of which each was made, in order."""
    return dict(sorted(map(tuple, _COPIES.rows(tx, stix_ids)))) if any_made(tx) else {}


def forms_of(tx: Connection, stix_ids: Iterable[str]) -> dict[str, str]:
    """Every id under which something of these was given to anybody → the original, if it is one of ours; else empty.

    One of ours stands for its original and all that was made of that.
    """
    ids = list(stix_ids)
    ours = originals(tx, ids)
    whole = dict.fromkeys((ours.get(each, each) for each in ids), "")
    return whole | copies(tx, whole)


def made_of(tx: Connection, seqs: Iterable[int]) -> set[int]:
    """The numbers of the statements of ours that were made of these."""
    return {row[0] for row in _MADE.rows(tx, seqs)} if any_made(tx) else set()


def known(tx: Connection, tokens: Iterable[str]) -> dict[str, str]:
    """Token → the id of the original, of those of these tokens that we gave (RULES R16)."""
    return dict(map(tuple, _TOKENS.rows(tx, tokens))) if any_made(tx) else {}


def keep(tx: Connection, rows: Sequence[Derived]) -> None:
    """Write down what was made, or why nothing was."""
    if rows:
        tx.execute(insert(derived), [row._asdict() for row in rows])


def owed(tx: Connection, code: str, creators: Collection[str]) -> list[str]:
    """Forget what could not be made of objects of these creators for this reason; the ids to try again."""
    found: dict[str, None] = {}
    for some in chunks(creators):
        query = (
            select(_d.of, _d.stix_id)
            .join(statement, statement.c.seq == _d.of)
            .where(_d.code == code, statement.c.creator.in_(some))
        )
        rows = tx.execute(query).all()
        found |= dict.fromkeys(row.stix_id for row in rows)
        for seqs in chunks({row.of for row in rows}):
            tx.execute(delete(derived).where(_d.code == code, _d.of.in_(seqs)))
    return list(found)
