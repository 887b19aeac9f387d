"""References between the statements of one source: what they refer to, what hangs on them, what stands around them.

RULES R10, R11 and R13 work on these; only stated labels of the newest versions count, and only within one source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from exchange.model.marking import Label
from exchange.model.stix import CONTAINERS
from exchange.store.statements import Held, chunks
from exchange.store.tables import reference, statement


def _of(source: str) -> ColumnElement[bool]:
    """Statements of `source`, written so that SQLite begins with the references and not with all that a source gave."""
    return statement.c.source.concat("") == source


def referred(tx: Connection, seqs: Iterable[int]) -> set[str]:
    """What these statements refer to."""
    return {
        target
        for numbers in chunks(seqs)
        for target in tx.execute(select(reference.c.target).where(reference.c.seq.in_(numbers))).scalars()
    }


def dependants(tx: Connection, source: str, stix_ids: Collection[str], refs: Collection[str]) -> list[int]:
    """Judged statements of `source` whose worth may change: unmarked ones in `refs`, which something that changed
    refers to or did, and those that have one of `stix_ids`, which changed, as an end or hold it.
    """
    found: set[int] = set()
    unmarked = and_(_of(source), ~statement.c.marked, ~statement.c.waiting)
    holding = and_(_of(source), or_(~statement.c.marked, statement.c.type.in_(CONTAINERS)), ~statement.c.waiting)
    for ids in chunks(refs):
        found.update(tx.execute(select(statement.c.seq).where(unmarked, statement.c.stix_id.in_(ids))).scalars())
    for ids in chunks(stix_ids):
        query = (
            select(statement.c.seq)
            .join(reference, reference.c.seq == statement.c.seq)
            .where(holding, reference.c.ends, reference.c.target.in_(ids))
        )
        found.update(tx.execute(query).scalars())
    return sorted(found)


@dataclass(slots=True)
class Neighbours:
    """The stated labels around one unmarked statement, within its source (RULES R10)."""

    ends: list[Label]
    referrers: list[Label]


def neighbours(tx: Connection, source: str, subjects: Sequence[Held]) -> dict[int, Neighbours]:
    """Number → the stated labels of its ends and of what refers to it, by the newest versions of the same source."""
    around = {subject.seq: Neighbours([], []) for subject in subjects}
    by_id: dict[str, list[int]] = {}
    for subject in subjects:
        by_id.setdefault(subject.stix_id, []).append(subject.seq)
    mine = and_(_of(source), statement.c.newest, statement.c.marked)
    for ids in chunks(by_id):
        query = (
            select(reference.c.target, statement.c.stated)
            .join(statement, statement.c.seq == reference.c.seq)
            .where(mine, reference.c.target.in_(ids))
            .distinct()
        )
        for target, stated in tx.execute(query):
            for seq in by_id[target]:
                around[seq].referrers.append(Label.from_text(stated))
    for seqs in chunks(around):
        query = (
            select(reference.c.seq, statement.c.stated)
            .join(statement, statement.c.stix_id == reference.c.target)
            .where(mine, reference.c.ends, reference.c.seq.in_(seqs))
        )
        for seq, stated in tx.execute(query):
            around[seq].ends.append(Label.from_text(stated))
    return around
