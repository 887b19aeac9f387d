"""Rows of a listing, made of what was decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from exchange.model.marking import Label
from exchange.policy import Asked, Audience, Decision, Rules, Transform
from exchange.store.clock import FOREVER, micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync.altering import worth
from exchange.sync.changes import NOT_YET
from exchange.sync.subjects import Judged, creator, horizon_at, judged

SAME_VERSION = "listing.same_version_stands"


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
    place = {"block": form.block, "start": form.start, "stop": form.stop}
    return replace(row, seq=form.seq, stix_id=form.stix_id, version=form.version, **place)


def one_each(there: Iterable[tuple[str, Listed]]) -> tuple[dict[str, Listed], list[Listed]]:
    """Version → its row, the first that was listed (RULES R21); and what an earlier release listed beside that."""
    rows: dict[str, Listed] = {}
    twice: list[Listed] = []
    for version, row in sorted(there, key=lambda each: each[1].added):
        if rows.setdefault(version, row) is not row:
            twice.append(row)
    return rows, twice


class Place(NamedTuple):
    """What the rows of one class of new statements have in common, for one audience."""

    rank: int
    label: Label
    agreement: str
    not_after: int
    transform: Transform | None

    def text(self, item: Held) -> str:
        """The label of the row of `item`, as sure as that is and with its kinds: a class has any of its grade."""
        label = self.label
        if item.label is not None:
            label = replace(label, confidence=item.label.confidence, kinds=item.label.kinds)
        return label.to_text()


def classed(alone: Sequence[Held], asked: Asked, rules: Rules, now: datetime) -> tuple[list[Judged], list[int]]:
    """One of each class of these, and of each the number of its class: equal subjects get equal decisions (RULES R35).

    Each is the only statement about its id.
    """
    classes: dict[tuple[Any, ...], int] = {}
    first: list[Judged] = []
    of_class = []
    horizon = horizon_at(now)
    grades: dict[Label | None, tuple[Any, ...]] = {}
    for item in alone:
        by = creator(item)
        grade = grades.get(item.label)
        if grade is None:
            grade = grades[item.label] = asked.grade(item.label)
        key = (
            grade, item.type, item.peer, item.posted, rules.owner(by), item.waiting or item.version > horizon,
            item.revoked, item.withdrawn, item.withdrawn and item.source, item.copied, item.doubt, item.parts,
            item.personal, item.victim, rules.names_others(by, item.peer), item.approved,
        )  # fmt: skip
        index = classes.get(key)
        if index is None:
            index = classes[key] = len(first)
            first += judged(rules, [item], now)
        of_class.append(index)
    return first, of_class


def read_past(audience: Audience, row: Listed, now: int, past: Mapping[int, int]) -> bool:
    """Whether readers may have read on past `row` while no agreement permitted it (RULES R19 and R20).

    Where nothing behind it could be read either, nobody's mark has moved: then it resumes as it stands.
    """
    if row.not_after > now or audience.pushes:
        return False
    return row.added < past.get(row.not_after, 0)
