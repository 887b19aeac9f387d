"""Rows of a listing, made of what was decided."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from exchange.model.marking import Label
from exchange.policy import Decision, Transform
from exchange.store.clock import FOREVER, micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync.altering import worth
from exchange.sync.changes import NOT_YET
from exchange.sync.subjects import Judged


def until(decision: Decision) -> int:
    """Until when it stands, in µs since 1970."""
    return FOREVER if decision.not_after is None else micros(decision.not_after)


def row_of(
    item: Judged, form: Held, number: int, decision: Decision, rank: int, fact: str | None, expires: int | None
) -> Listed:
    """The row of a statement, in the `form` in which it goes."""
    held, label = form, worth(item, decision.transform)
    return Listed(
        audience=number,
        added=NOT_YET,
        seq=held.seq,
        type=held.type,
        rank=rank,
        label=label.to_text() if label else "",
        latest=True,
        folded=False,
        agreement=decision.agreement,
        not_after=until(decision),
        fact=fact,
        block=held.block,
        start=held.start,
        stop=held.stop,
        expires=expires,
        stix_id=held.stix_id,
        version=held.version,
    )


def in_form(row: Listed, form: Held) -> Listed:
    """The row of a statement, as that of the form in which it goes."""
    return replace(row, seq=form.seq, block=form.block, start=form.start, stop=form.stop, stix_id=form.stix_id)


class Place(NamedTuple):
    """What the rows of one class of new statements have in common, for one audience."""

    rank: int
    label: Label
    agreement: str
    not_after: int
    transform: Transform | None

    def text(self, item: Held) -> str:
        """The label of the row of `item`, which is as sure as `item` is: a class has any confidence of its grade."""
        label = self.label
        if (self.transform is None or self.transform.cut is None) and item.label is not None:
            label = replace(label, confidence=item.label.confidence)
        return label.to_text()


def grade_of(label: Label | None, bounds: Sequence[int]) -> tuple[Any, ...]:
    """What of a label decides: all of it, but of its confidence only which `bounds` of the agreements it reaches."""
    if label is None or label.confidence is None:
        return (label,)
    return label.spread, bisect_right(bounds, label.confidence)
