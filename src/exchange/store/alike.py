"""Statements that are alike to a decision, counted (RULES R35): to judge a million takes as long as to judge a hundred.

Alone is what is the only statement about its id and stands in no other relation that a decision looks at; everything
else is apart, and looked at one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select

from exchange.model.marking import Label
from exchange.store.tables import alias, approval, statement, trait, withdrawal
from exchange.store.work import NODE

_s = statement.c
_AT_ONCE = 1_000


class Alike(NamedTuple):
    """What a class of statements has in common, and how many there are."""

    peer: str
    posted: str
    type: str
    creator: str
    """Whose object it is by its own words: an identity is its own."""
    stated: Label
    label: Label | None
    basis: str
    revoked: bool
    touch: bool
    doubt: str
    number: int
    """How many there are."""


def alone(
    tx: Connection, horizon: str, containers: Collection[str], changed: Collection[str], recast: Collection[str]
) -> Iterator[Alike]:
    """The classes of all that is alone, that no longer waits and is no newer than `horizon` (a version).

    `changed`: the peers whose `containers` are looked at one by one; `recast`: those of whom everything is.
    """
    creator = case((_s.type == "identity", _s.stix_id), else_=_s.creator).label("whose")
    common = (_s.peer, _s.posted, _s.type, creator, _s.stated, _s.label, _s.basis, _s.revoked, _s.touch, _s.doubt)
    query = (
        select(*common, func.count())
        .where(
            _s.peer != NODE, ~_s.waiting, _s.version <= horizon, ~_apart(containers, changed, recast),
        )
        .group_by(*common)
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip
    for peer, posted, kind, whose, stated, label, basis, revoked, touch, doubt, count in tx.execute(query):
        yield Alike(
            peer, posted, kind, whose, Label.from_text(stated), None if label is None else Label.from_text(label),
            basis, bool(revoked), bool(touch), doubt, count,
        )  # fmt: skip


def apart(
    tx: Connection, containers: Collection[str], changed: Collection[str], recast: Collection[str], most: int
) -> tuple[list[str], int]:
    """The ids of what is not alone, at most `most`, and how many more there are."""
    query = select(_s.stix_id).distinct().where(_s.peer != NODE, _apart(containers, changed, recast))
    found = list(tx.execute(query.order_by(_s.stix_id).limit(most)).scalars())
    if len(found) < most:
        return found, 0
    total = tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    return found, int(total) - most


def _apart(containers: Collection[str], changed: Collection[str], recast: Collection[str]) -> ColumnElement[bool]:
    other = statement.alias("other")
    also: list[ColumnElement[bool]] = [
        exists().where(other.c.stix_id == _s.stix_id, other.c.seq != _s.seq),
        exists().where(withdrawal.c.stix_id == _s.stix_id),
        exists().where(alias.c.seq == _s.seq),
        exists().where(trait.c.seq == _s.seq),
        exists().where(approval.c.stix_id == _s.stix_id),
    ]
    if changed:
        also.append(and_(_s.type.in_(sorted(containers)), _s.peer.in_(sorted(changed))))
    if recast:
        also.append(_s.peer.in_(sorted(recast)))
    return or_(*also)
