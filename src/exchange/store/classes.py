"""Classes of statements: those that are alone about their ids and equal in all that a decision rests on (RULES R35).

Nothing keeps them: a class is what the columns of the statements say, so nothing has to follow when one changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, literal_column, select, update

from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import alias, approval, listing, statement, trait, withdrawal
from exchange.store.work import NODE

Key = tuple[Any, ...]
"""What members of a class have in common, the values of KEY."""
KEY = ("type", "peer", "posted", "creator", "label", "revoked", "doubt", "marks")
"""All that `policy.decide` and the second gate ask of a statement that is alone; an identity is its own creator."""
_MARKS = KEY.index("marks")


class Member(NamedTuple):
    """One statement and its class."""

    seq: int
    stix_id: str
    basis: str
    plain: bool
    """It is judged, and alone: no other statement about its id, no mark of withdrawal, no other id, nothing of
    which somebody may get less than the whole.
    """
    key: Key

    @property
    def marks(self) -> int | None:
        """What the second gate read in its bytes (`policy.stamp`)."""
        found: int | None = self.key[_MARKS]
        return found


_s = statement.c
_other = statement.alias("other")
_ALONE: ColumnElement[bool] = and_(
    ~_s.waiting,
    ~_s.touch,
    ~exists().where(_other.c.stix_id == _s.stix_id, _other.c.seq != _s.seq),
    ~exists().where(withdrawal.c.stix_id == _s.stix_id),
    ~exists().where(alias.c.seq == _s.seq),
    ~exists().where(trait.c.seq == _s.seq),
    ~exists().where(approval.c.stix_id == _s.stix_id),
)
_WALK = Query(
    select(_s.seq, _s.stix_id, _s.basis, _ALONE, *(_s[name] for name in KEY))
    .where(_s.seq > bindparam("after"), _s.seq <= bindparam("upto"), _s.peer != NODE)
    .order_by(_s.seq)
    .limit(bindparam("most"))
)
_TYPE, _CREATOR = KEY.index("type"), KEY.index("creator")


_AGAIN = Lookup(select(_s.seq, _s.stix_id, _s.basis, _ALONE, *(_s[name] for name in KEY)).where(among(_s.seq)))


def walk(tx: Connection, after: int, upto: int, most: int) -> list[Member]:
    """At most so many statements behind `after`, up to `upto`, in order, but for our own notices."""
    return _members(_WALK.run(tx, after=after, upto=upto, most=most))


def again(tx: Connection, seqs: Iterable[int]) -> list[Member]:
    """These statements as they are now."""
    return _members(_AGAIN.rows(tx, seqs))


def _members(rows: Iterable[Sequence[Any]]) -> list[Member]:
    found = []
    for seq, stix_id, basis, alone, *key in rows:
        if key[_TYPE] == "identity":
            key[_CREATOR] = stix_id
        found.append(Member(seq, stix_id, basis, bool(alone), tuple(key)))
    return found


def last(tx: Connection) -> int:
    """The number of the newest statement; 0: there is none."""
    return _LAST.one(tx) or 0


_LAST = Query(select(func.max(_s.seq)))


def mark(tx: Connection, found: Mapping[int, int]) -> None:
    """Write down what the second gate read in the bytes of these statements."""
    _MARK.many(tx, [{"at": seq, "found": marks} for seq, marks in found.items()])


_MARK = Query(update(statement).where(_s.seq == bindparam("at")).values(marks=bindparam("found")))


def listed_of(tx: Connection, number: int, seqs: Iterable[int]) -> set[int]:
    """Which of these statements stand in the listings of the audience `number`."""
    return {row[0] for row in _LISTED.rows(tx, seqs, number=number)}


_LISTED = Lookup(
    # Written so that SQLite begins with the statements and not with all that the audience ever had.
    select(listing.c.seq).where(
        among(listing.c.seq),
        listing.c.audience + literal_column("0") == bindparam("number"),
        listing.c.closed.is_(None),
    )
)


def begun_since(tx: Connection, number: int, added: int, most: int) -> list[str]:
    """Ids of what was listed to the audience `number` behind the date `added`; at most so many."""
    return [row[0] for row in _SINCE.run(tx, number=number, added=added, most=most)]


_SINCE = Query(
    select(_s.stix_id)
    .join(listing, listing.c.seq == _s.seq)
    .where(listing.c.audience == bindparam("number"), listing.c.added > bindparam("added"), _s.peer != NODE)
    .limit(bindparam("most"))
)
