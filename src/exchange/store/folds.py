"""What folding asks of the listings of one audience (RULES R23): twins, the facts of ends, what refers to them.

Only open rows of the audience itself are looked at, so that what it may not see decides nothing (R14).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, literal_column, or_, select, text, update

from exchange.model.facts import COMPOSITE
from exchange.store.listings import Listed, found, listed
from exchange.store.pages import LATEST
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import listing, reference, refold, statement
from exchange.store.views import ALSO_MINE

_MINE = listing.c.audience == bindparam("number")
_KEYED = text("listing.fact IS NOT NULL")
_KINDS: list[Any] = [literal_column(f"'{kind}'") for kind in sorted(COMPOSITE)]

_TWINS = Lookup(listed(among(listing.c.fact), _MINE), index="ix_listing_fact")
_FRONTS = Lookup(listed(among(listing.c.fact), _MINE, listing.c.folded.is_(False)), index="ix_listing_fact")
_STANDING = Lookup(listed(among(statement.c.stix_id), ALSO_MINE))
_FACTS = Lookup(
    select(statement.c.stix_id, listing.c.fact)
    .select_from(statement.join(listing, listing.c.seq == statement.c.seq))
    .where(among(statement.c.stix_id), ALSO_MINE, listing.c.closed.is_(None), LATEST, _KEYED)
)
_ON = Lookup(
    listed(
        ALSO_MINE, LATEST, statement.c.type.in_(_KINDS), listing.c.seq > bindparam("after"),
        statement.c.seq.in_(select(reference.c.seq).where(among(reference.c.target))),
    )
    .order_by(listing.c.seq)
    .limit(bindparam("most"))
)  # fmt: skip


def twins(tx: Connection, number: int, facts: Iterable[str]) -> list[Listed]:
    """Every open row that states one of `facts` to the audience `number`."""
    return found(_TWINS, tx, facts, number=number)


def fronts(tx: Connection, number: int, facts: Iterable[str]) -> list[Listed]:
    """Those of them that stand in front."""
    return found(_FRONTS, tx, facts, number=number)


def standing(tx: Connection, number: int, stix_ids: Iterable[str]) -> list[Listed]:
    """Every open row about `stix_ids` of the audience `number`."""
    return found(_STANDING, tx, stix_ids, number=number)


def facts_of(tx: Connection, number: int, stix_ids: Iterable[str]) -> dict[str, str]:
    """Id → the fact that its latest version states to the audience `number`; ids that state none are left out."""
    return dict(map(tuple, _FACTS.rows(tx, stix_ids, number=number)))


def composites_on(tx: Connection, number: int, stix_ids: Sequence[str], most: int, *, after: int = -1) -> list[Listed]:
    """At most `most` of the latest composites listed to the audience `number` that refer to one of `stix_ids`.

    Those behind `after` (a statement's number), in order; of more than a thousand ids each thousand has its own order.
    """
    return found(_ON, tx, stix_ids, number=number, most=most, after=after)


_LAPSED = Query(
    select(listing.c.fact)
    .distinct()
    .where(_MINE, listing.c.closed.is_(None), _KEYED, listing.c.fact > bindparam("after"))
    .where(text("NOT listing.folded"), listing.c.not_after <= bindparam("now"))
    .order_by(listing.c.fact)
    .limit(bindparam("most"))
)


def lapsed(tx: Connection, number: int, now: int, after: str, most: int) -> list[str]:
    """Facts behind `after` whose front is no longer in force, in order: a twin of it may be."""
    return [row[0] for row in _LAPSED.run(tx, number=number, now=now, after=after, most=most)]


_unkeyed = exists().where(
    listing.c.seq == statement.c.seq, listing.c.audience == bindparam("number"), listing.c.closed.is_(None), LATEST,
    or_(statement.c.type.not_in(_KINDS), statement.c.fact.is_not(None)),
    listing.c.fact.is_distinct_from(statement.c.fact),
)  # fmt: skip
_OTHERWISE = Query(
    select(statement.c.seq, statement.c.stix_id, statement.c.fact)
    .where(statement.c.seq > bindparam("after"), statement.c.seq <= bindparam("until"), _unkeyed)
    .order_by(statement.c.seq)
)
_STATED = Lookup(select(statement.c.stix_id).where(among(statement.c.fact), text("statement.fact IS NOT NULL")))


def keyed_otherwise(tx: Connection, number: int, after: int, until: int) -> set[str]:
    """Ids of statements behind `after`, up to `until`, that stand under another key than theirs, and of their twins."""
    rows = _OTHERWISE.run(tx, number=number, after=after, until=until)
    facts = {row[2] for row in rows if row[2] is not None}
    return {row[1] for row in rows} | {row[0] for row in _STATED.rows(tx, facts)}


def postpone(tx: Connection, number: int, stix_ids: Iterable[str]) -> None:
    """The composites on these ends are too many for one transaction: they are keyed anew later, from the first."""
    mine = refold.c.audience == number
    for target in stix_ids:
        tx.execute(delete(refold).where(mine, refold.c.target == target))
        tx.execute(insert(refold).values(audience=number, target=target, after=-1))


def postponed(tx: Connection) -> tuple[int, str, int] | None:
    """(audience, end, number of the last statement that was done) of one of those that wait; None: nothing waits."""
    rows = _POSTPONED.run(tx)
    return tuple(rows[0]) if rows else None


_POSTPONED = Query(select(refold.c.audience, refold.c.target, refold.c.after).limit(1))


def proceed(tx: Connection, number: int, target: str, after: int | None) -> None:
    """All up to `after` is done; None: all of it."""
    here = and_(refold.c.audience == number, refold.c.target == target)
    tx.execute(delete(refold).where(here) if after is None else update(refold).where(here).values(after=after))
