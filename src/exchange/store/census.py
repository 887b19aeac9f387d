"""Everything that is held, counted by what a decision looks at: a few classes, however many objects there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Label, Select, and_, case, exists, func, literal, or_, select

from exchange.store.altered import derived
from exchange.store.tables import listing, statement
from exchange.store.work import NODE


class Class(NamedTuple):
    """What the decision on a statement rests on. Statements of one class are decided alike, but for their versions."""

    peer: str
    type: str
    label: str | None
    posted: str
    creator: str
    """Only of creators that some peer owns; empty otherwise."""
    waiting: bool
    doubt: str


class Standing(NamedTuple):
    """How many of a class stand in one listing, and how."""

    of: Class
    folded: bool
    lapsed: bool
    """Their agreement has ended, so nobody reads them."""
    altered: bool
    """They stand in another form: what is decided of them rests on more than their class."""
    number: int


_s = statement.c
_later = statement.alias("later")
_NEWEST = and_(
    ~_s.touch,
    _s.peer != NODE,
    or_(
        _s.newest,
        # A touch stands for the version before it, which is what is listed.
        ~exists().where(
            _later.c.stix_id == _s.stix_id, _later.c.source == _s.source, _later.c.version > _s.version, ~_later.c.touch
        ),
    ),
)


def _class(owned: Collection[str]) -> list[ColumnElement[Any] | Label[Any]]:
    ids = sorted(owned)
    known = case((and_(_s.type == "identity", _s.stix_id.in_(ids)), _s.stix_id), (_s.creator.in_(ids), _s.creator))
    creator = func.coalesce(known, "") if ids else literal("")
    return [_s.peer, _s.type, _s.label, _s.posted, creator.label("whose"), _s.waiting, _s.doubt]


def held(tx: Connection, owned: Collection[str]) -> list[tuple[Class, int]]:
    """How many newest statements there are of each class. `owned`: the identities that peers own."""
    return [(_of(row[:-1]), row[-1]) for row in tx.execute(_counted(select(*_class(owned)).where(_NEWEST)))]


def standing(tx: Connection, number: int, now: int, owned: Collection[str]) -> list[Standing]:
    """How many of them stand in the listing of the audience `number`, as they are or altered."""
    more = (listing.c.folded, (listing.c.not_after <= now).label("lapsed"), derived.c.of.is_not(None).label("altered"))
    each = select(*_class(owned), *more).select_from(_STANDING).where(*_there(number))
    return [
        Standing(of=_of(row[:-4]), folded=bool(row[-4]), lapsed=bool(row[-3]), altered=bool(row[-2]), number=row[-1])
        for row in tx.execute(_counted(each))
    ]


def altered(tx: Connection, number: int, most: int) -> list[int]:
    """The numbers of at most `most` originals that stand altered in the listing of the audience `number`."""
    seqs = select(_s.seq).select_from(_STANDING).where(*_there(number), derived.c.of.is_not(None))
    return list(tx.execute(seqs.order_by(_s.seq).limit(most)).scalars())


_STANDING = listing.outerjoin(derived, derived.c.seq == listing.c.seq).join(
    statement, _s.seq == func.coalesce(derived.c.of, listing.c.seq)
)


def _there(number: int) -> tuple[ColumnElement[bool], ...]:
    return listing.c.audience == number, listing.c.closed.is_(None), _NEWEST


def _counted(each: Select[Any]) -> Select[Any]:
    """Equal rows of `each` with their number: of a subquery, for PostgreSQL takes no expression with values twice."""
    rows = each.subquery()
    return select(*rows.c, func.count()).group_by(*rows.c)


def _of(row: Any) -> Class:
    peer, kind, label, posted, creator, waiting, doubt = row
    return Class(peer, kind, label, posted, creator, bool(waiting), doubt)


def out(tx: Connection, number: int, of: Class, owned: Collection[str], most: int) -> Iterator[int]:
    """The numbers of at most `most` statements of a class that stand in no form in the listing of the audience."""
    open_there = and_(listing.c.audience == number, listing.c.closed.is_(None))
    stands = or_(
        exists().where(listing.c.seq == _s.seq, open_there),
        exists().where(derived.c.of == _s.seq, listing.c.seq == derived.c.seq, open_there),
    )
    same = [column.is_not_distinct_from(value) for column, value in zip(_bare(owned), of, strict=True)]
    yield from tx.execute(select(_s.seq).where(_NEWEST, ~stands, *same).order_by(_s.seq).limit(most)).scalars()


def _bare(owned: Collection[str]) -> list[ColumnElement[Any]]:
    return [column.element if isinstance(column, Label) else column for column in _class(owned)]
