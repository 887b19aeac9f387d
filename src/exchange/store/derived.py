"""Derived statements: what recipients get in place of a statement of others that they may not have as it is.

Each is a statement of our own, of a peer and sources that no configuration can name; nothing is decided of it. Its fate
is that of the statement of which it was made, and so is the MISP event in which it stands, if it may stand in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import derived, listing, statement
from exchange.store.work import NODE


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
    source: str = ""
    creator: str = ""
    names: str = ""
    """By which names it was found to show nobody (`Names.digest`); empty: nobody is hidden in it."""

    @property
    def stands(self) -> bool:
        """Whether it is what recipients get now, without its producer, or why they get nothing."""
        return self.names != "" and _BEFORE not in self.form

    @property
    def shape(self) -> str:
        """The form, whether it was made anew since or not."""
        return self.form.partition(_BEFORE)[0]


_BEFORE = "/"
"""In the form of what was made once and then made anew: behind it stands its number."""
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


_original = statement.alias("original")


def _of_original(name: str) -> ColumnElement[str]:
    """This column of a statement; of what was altered, that of the one of which it was made."""
    own = statement.c[name]
    made = (
        select(_original.c[name])
        .select_from(derived.join(_original, _original.c.seq == _d.of))
        .where(_d.seq == statement.c.seq)
        .correlate(statement)
        .limit(1)
        .scalar_subquery()
    )
    altered = statement.c.peer == literal_column(f"'{NODE}'")
    return case((altered, func.coalesce(made, own)), else_=own).label(name)


GIVER, GIVEN_BY, CREATOR = _of_original("peer"), _of_original("source"), _of_original("creator")
"""Who gave a statement, from which source, and whose words it was."""


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


_HIDDEN = (_d.names != "", ~_d.form.contains(_BEFORE))
_IN_STEPS = select(_d.of).where(_d.of > bindparam("after"), _d.of <= bindparam("upto"), *_HIDDEN)


def hidden(tx: Connection, source: str, creators: Collection[str], *, after: int, upto: int, most: int) -> list[int]:
    """The statements of `source` of which something was made, or tried, without its producer: those of these creators
    (none: of all) behind `after` up to `upto`, in order.
    """
    found: set[int] = set()
    query = _IN_STEPS.where(_d.source == source).distinct().order_by(_d.of).limit(most)
    for narrowed in _of_creators(query, creators):
        found |= set(tx.execute(narrowed, {"after": after, "upto": upto}).scalars())
    return sorted(found)[:most]


def audiences_of(tx: Connection, source: str, creators: Collection[str]) -> list[int]:
    """The numbers of the audiences in which any of that stands, in whatever form."""
    joined = derived.join(listing, listing.c.seq == func.coalesce(_d.seq, _d.of))
    query = select(listing.c.audience).distinct().select_from(joined)
    query = query.where(_d.source == source, _d.names != "", listing.c.closed.is_(None))
    found: set[int] = set()
    for narrowed in _of_creators(query, creators):
        found |= set(tx.execute(narrowed).scalars())
    return sorted(found)


def _of_creators(query: Select[Any], creators: Collection[str]) -> Iterator[Select[Any]]:
    if not creators:
        yield query
    for some in chunks(creators):
        yield query.where(_d.creator.in_(some))


def vouch(tx: Connection, rows: Iterable[tuple[Derived, str]]) -> None:
    """Write down by which names each was found to show nobody."""
    _VOUCH.many(tx, [{"which": row.of, "shape": row.form, "digest": digest} for row, digest in rows])


_VOUCH = Query(
    update(derived).where(_d.of == bindparam("which"), _d.form == bindparam("shape")).values(names=bindparam("digest"))
)


def set_aside(tx: Connection, row: Derived) -> None:
    """What was made is to be made anew. The old one was read by somebody: it stays known, and what rests on it."""
    mine = and_(_d.of == row.of, _d.form == row.form)
    if row.seq is None:
        tx.execute(delete(derived).where(mine))
    else:
        tx.execute(update(derived).where(mine).values(form=f"{row.form}{_BEFORE}{row.seq}"))


def times(rows: Iterable[Derived]) -> Counter[tuple[int, str]]:
    """(statement, form) → how often that was made and then made anew, of all that was made of these statements."""
    return Counter((row.of, row.shape) for row in rows if _BEFORE in row.form)
