"""What persons decided of an object: who withdrew it and who let it go, when and why, as `exchange why` tells it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from exchange.store import approvals, removals, widenings
from exchange.store.clock import moment
from exchange.store.widenings import ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One word of one person."""

    act: str
    """withdrawn (it holds the object now), approved, refused, undone; asked, widened, ended, lapsed (of a widening)"""
    who: str
    why: str
    at: datetime
    number: int
    """Of the withdrawal or widening, by which it is undone; 0: of an approval."""
    code: str
    """The reason for which it was held; empty: of a withdrawal."""
    version: str
    """The one that was looked at; empty: of a withdrawal."""
    before: str = ""
    """Of a widening: the label of the original then, as text; empty: it is none."""
    level: str = ""
    """Of a widening: the new level, as text."""
    right: str = ""
    """Of a widening: creator, pfc."""
    stix_id: str = ""
    """Of a widening: the original."""
    made: str = ""
    """Of a widening: the id of what was made; empty: nothing was yet."""


def acts(tx: Connection, stix_ids: Collection[str]) -> tuple[Act, ...]:
    """Everything that persons decided of these, oldest first."""
    found = [
        Act(
            act="withdrawn", who=row["who"], why=row["why"], at=moment(row["at"]), number=row["id"], code="", version=""
        )
        for row in removals.of_ids(tx, stix_ids)
    ]
    found += [
        Act(
            act=row["verdict"], who=row["who"], why=row["why"], at=moment(row["at"]), number=0, code=row["code"],
            version=row["version"],
        )
        for stix_id in stix_ids
        for row in approvals.about(tx, stix_id)
    ]  # fmt: skip
    found += [
        Act(
            act="lapsed" if word.word == ENDED and not word.who else word.word, who=word.who, why=word.why,
            at=moment(word.at), number=word.act, code=word.code, version=word.version, before=word.before,
            level=word.level, right=word.right, stix_id=word.stix_id, made=word.made,
        )
        for word in widenings.about(tx, stix_ids)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda act: act.at))
