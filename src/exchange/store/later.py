"""What became known after statements that rest on it were listed, and is still to be applied to them (RULES R17, R18).

Each entry names whose statements are to be looked at again, and how far that has come. What may show too much until
then is shut.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from exchange.store.prepared import Query
from exchange.store.tables import audience, later

MOST = 1_000
"""Statements that are looked at again in the transaction that makes it necessary (RULES R18)."""
Kind = Literal["names", "marks", "forms", "victims", "messages", "persons"]
"""`forms`: what an earlier release made of statements is decided anew (0025); `messages`: whom those of an earlier one
named is read (0026).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """One entry. `about`: creators (none: all of them), marks with what they mean, ids of victims, or by what was found
    before who is named; of the statements of `source` (empty: of all) behind `after` up to `upto`. `shut`: the numbers
    of the audiences that nobody reads until it is done.
    """

    number: int
    kind: Kind
    source: str
    about: tuple[str, ...]
    after: int
    upto: int
    shut: tuple[int, ...]


def put(tx: Connection, kind: Kind, source: str, about: Collection[str], *, upto: int, shut: Collection[int]) -> None:
    """Write it down, and shut these audiences until it is done."""
    row = {
        "kind": kind, "source": source, "about": json.dumps(sorted(about)), "after": 0, "upto": upto,
        "shut": json.dumps(sorted(shut)),
    }  # fmt: skip
    tx.execute(insert(later), [row])
    if shut:
        tx.execute(update(audience).where(audience.c.number.in_(sorted(shut))).values(open=False))


def first(tx: Connection) -> Later | None:
    """The oldest; None: nothing is left to do."""
    found = tx.execute(select(later).order_by(later.c.id).limit(1)).first()
    return None if found is None else _of(found._mapping)


def any_left(tx: Connection) -> bool:
    """Whether something is left to do; mostly nothing is."""
    return _ANY.one(tx) is not None


_ANY = Query(select(later.c.id).limit(1))


def advance(tx: Connection, number: int, after: int) -> None:
    """It has come so far."""
    tx.execute(update(later).where(later.c.id == number).values(after=after))


def end(tx: Connection, number: int) -> None:
    """It is done."""
    tx.execute(delete(later).where(later.c.id == number))


def shut(tx: Connection) -> set[int]:
    """The numbers of all audiences that stay shut for something here."""
    return {int(number) for text in tx.execute(select(later.c.shut)).scalars() for number in json.loads(text)}


def _of(row: RowMapping) -> Later:
    return Later(
        number=row["id"], kind=row["kind"], source=row["source"], about=tuple(json.loads(row["about"])),
        after=row["after"], upto=row["upto"], shut=tuple(json.loads(row["shut"])),
    )  # fmt: skip
