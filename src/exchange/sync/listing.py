"""Decisions become listings: what each audience may have is listed, what it may no longer have is closed.

This runs inside the writer's transaction, under the writer lock (RULES R18), on the statements as they stand there.
Rows are closed with a reason, never deleted; `date_added` rises in the order of this transaction (R20).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.policy import Audience, Decision, Rules, strictest, within
from exchange.store import audiences, blocks, listings, notices, pushed, statements
from exchange.store.clock import AHEAD, FOREVER, following, micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync import folding
from exchange.sync.ageing import Ageing
from exchange.sync.changes import NOT_YET, Changes, mark_latest
from exchange.sync.notices import THEIRS, Notices
from exchange.sync.subjects import OPINION, OWNER, Judged, creator, deleting, horizon_at, judged, recalling

log = structlog.get_logger()


def _not_after(decision: Decision) -> int:
    return FOREVER if decision.not_after is None else micros(decision.not_after)


def _row(item: Judged, number: int, decision: Decision, rank: int, fact: str | None, expires: int | None) -> Listed:
    held = item.held
    return Listed(
        audience=number,
        added=NOT_YET,
        seq=held.seq,
        type=held.type,
        rank=rank,
        label=item.subject.label.to_text() if item.subject.label else "",
        latest=True,
        folded=False,
        agreement=decision.agreement,
        not_after=_not_after(decision),
        fact=fact,
        block=held.block,
        start=held.start,
        stop=held.stop,
        expires=expires,
        stix_id=held.stix_id,
        version=held.version,
    )


class _Place(NamedTuple):
    """What the rows of one class of new statements have in common, for one audience."""

    rank: int
    label: str
    agreement: str
    not_after: int


class Lister:
    """Brings the listings of every audience in line with the decisions, for the ids that it is given."""

    def __init__(self, tx: Connection, rules: Rules, now: datetime, *, reader: tuple[str, str] = ("", "")) -> None:
        self.tx = tx
        self.rules = rules
        self.now = now
        rows = audiences.everyone(tx)
        self.audiences = [a for a in rules.audiences if a.key in rows and not rows[a.key].retired]
        self.numbers = {key: row.number for key, row in rows.items()}
        self.last_added = {key: row.last_added for key, row in rows.items()}
        self.ageing = Ageing(tx, rules, now, self.numbers)
        self._recalling, self._deleting = recalling(rules), deleting(rules)
        self._notices = Notices(tx, rules, now, self.numbers, self.last_added)
        self._past = {key: row.past for key, row in rows.items()}
        self.refused: list[tuple[str, str]] = []
        """(id, audience) that the second gate stopped: the two judgements differ, which is an alarm."""
        peer, channel = reader
        self._reader = next((a.key for a in self.audiences if a.channel == channel and peer in a.members), "")
        self.listed: dict[tuple[str, str], int] = {}
        """(id, version) → `date_added` of what was listed in the audience of `reader`, a peer in a channel."""

    def relist(self, stix_ids: Iterable[str], fresh: Sequence[tuple[Held, bytes]] = ()) -> int:
        """Decide everything stated about `stix_ids`; the number of rows that were listed or closed.

        `fresh`: statements that were stored just now, with their bytes, each the only one about its id. What is listed
        gets its dates in the order in which it came, whoever else has stated the same ids (RULES R14).
        """
        held = notices.others(statements.held(self.tx, dict.fromkeys(stix_ids)))
        standing = listings.standing(self.tx, held) if held else []
        shown = {row.stix_id for row in standing}
        single = [group[0] for stix_id, group in held.items() if len(group) == 1 and stix_id not in shown]
        bodies = {item.seq: body for item, body in fresh}
        if single:
            bodies |= zip((item.seq for item in single), blocks.read(self.tx, [i.place for i in single]), strict=True)
        alone = sorted([*(item for item, _ in fresh), *single], key=lambda item: item.seq)
        for item in single:
            del held[item.stix_id]
        self.ageing.look(chain(held.values(), ([item] for item in alone)), bodies)
        made, begun = self._judge(held, standing, bodies), self._begin_alone(alone, bodies)
        self._fold(made, begun, bodies)
        return self._write(made, begun)

    def fold_again(self, audience: Audience, stix_ids: Iterable[str]) -> int:
        """Fold these anew for one audience, as they stand there; the number of rows that were listed or closed."""
        number = self.numbers[audience.key]
        changes = folding.as_they_stand(self.tx, number, stix_ids)
        folding.fold(self.tx, number, changes, {}, micros(self.now))
        return self._write({audience.key: changes}, {})

    def _judge(
        self, held: Mapping[str, Sequence[Held]], standing: Iterable[Listed], bodies: Mapping[int, bytes]
    ) -> dict[str, Changes]:
        """The long way: for ids with several statements or listings."""
        if not held:
            return {}
        groups = {stix_id: judged(self.rules, group, self.now) for stix_id, group in held.items()}
        rows: dict[tuple[int, str], list[Listed]] = {}
        for row in standing:
            rows.setdefault((row.audience, row.stix_id), []).append(row)
        made = {audience.key: self._changes(audience, groups, rows) for audience in self.audiences}
        self._second_gate(made, bodies)
        for changes in made.values():
            mark_latest(changes)
        return made

    def _fold(self, made: dict[str, Changes], begun: dict[str, list[Listed]], bodies: Mapping[int, bytes]) -> None:
        """Where twins fold, what has just come is folded with all else (RULES R23)."""
        folds = sum(audience.fold for audience in self.audiences)
        for audience in self.audiences:
            if not audience.fold:
                if audience.key in made:
                    folding.unfold(made[audience.key])
                continue
            alone, number = begun.pop(audience.key, []), self.numbers[audience.key]
            if alone or audience.key in made:
                changes = made.setdefault(audience.key, Changes())
                changes.begun = sorted([*alone, *changes.begun], key=lambda row: row.seq)
                folding.fold(self.tx, number, changes, bodies, micros(self.now), most=folding.MOST // folds)

    def _begin_alone(self, alone: Sequence[Held], bodies: Mapping[int, bytes]) -> dict[str, list[Listed]]:
        """The short way, for what is the only statement about its id and stands nowhere yet.

        It is decided by class, for equal subjects get equal decisions (RULES R35); only the rows are made one by one.
        """
        classes: dict[tuple[Any, ...], int] = {}
        first: list[Judged] = []
        of_class = []
        horizon = horizon_at(self.now)
        for item in alone:
            owner, waits = self.rules.owner(creator(item)), item.waiting or item.version > horizon
            key = (
                item.type,
                item.peer,
                item.posted,
                owner,
                waits,
                item.label,
                item.revoked,
                item.withdrawn,
                item.copied,
                item.doubt,
            )
            index = classes.get(key)
            if index is None:
                index = classes[key] = len(first)
                first += judged(self.rules, [item], self.now)
            of_class.append(index)
        marks: list[int] = []
        begun: dict[str, list[Listed]] = {}
        for audience in self.audiences:
            places = self._places(first, audience)
            if places is not None:
                marks = marks or [strictest(bodies[item.seq]) for item in alone]
                begun[audience.key] = self._rows(audience, alone, of_class, places, marks)
        return begun

    def _places(self, first: Sequence[Judged], audience: Audience) -> list[_Place | None] | None:
        """For each class what its rows have in common; None: nothing of it is released to `audience`."""
        places: list[_Place | None] = []
        for item in first:
            decision, place = item.decide(self.rules, audience), None
            if decision.released and item.subject.label is not None:
                rank = self._ranks(audience, [item])[item.held.seq]
                place = _Place(rank, item.subject.label.to_text(), decision.agreement, _not_after(decision))
            places.append(place)
        return places if any(places) else None

    def _rows(
        self,
        audience: Audience,
        alone: Sequence[Held],
        of_class: Sequence[int],
        places: Sequence[_Place | None],
        marks: Sequence[int],
    ) -> list[Listed]:
        number, clearance = self.numbers[audience.key], self.rules.clearance(audience)
        ends, now = self.ageing.ends(audience, alone), micros(self.now)
        rows: list[Listed] = []
        for item, index, strict in zip(alone, of_class, marks, strict=True):
            place = places[index]
            end = ends.get(item.seq) if ends else None
            if place is None or (end is not None and end.at <= now):
                continue
            if not within(strict, clearance):  # the second gate (RULES R25)
                self.refused.append((item.stix_id, audience.key))
                continue
            rows.append(
                Listed(
                    number, NOT_YET, item.seq, item.type, place.rank, place.label, True, False, place.agreement,
                    place.not_after, folding.own_fact(item, None) if audience.fold else None,
                    item.block, item.start, item.stop, None if end is None else end.at, item.stix_id, item.version,
                )
            )  # fmt: skip
        return rows

    def _changes(
        self, audience: Audience, groups: dict[str, list[Judged]], standing: dict[tuple[int, str], list[Listed]]
    ) -> Changes:
        changes = Changes()
        for stix_id, group in groups.items():
            rows = {row.version: row for row in standing.get((self.numbers[audience.key], stix_id), ())}
            changes.before.update({(stix_id, version): row for version, row in rows.items()})
            self._close(audience, group, rows, changes)
            self._begin(audience, group, rows, changes)
            changes.stay.update({(stix_id, version): row for version, row in rows.items()})
        changes.begun.sort(key=lambda row: row.seq)
        return changes

    def _close(self, audience: Audience, group: Sequence[Judged], rows: dict[str, Listed], changes: Changes) -> None:
        by_seq = {item.held.seq: item for item in group}
        ranks = self._ranks(audience, group)
        for version, row in list(rows.items()):
            item = by_seq[row.seq]
            decision = self.ageing.decide(item, audience)
            # The end of an agreement suspends by `not_after`; renewal resumes the same listing (RULES R19).
            if decision.released or decision.reasons == ("agreement.ended",):
                label = item.subject.label.to_text() if item.subject.label else row.label
                if label != row.label and (not audience.pushes or audience.channel in self._recalling):
                    # What it is worth stands beside it over MISP, so a reader is told anew (RULES R26).
                    changes.closed.append((row, "label.changed"))
                    del rows[version]
                    continue
                if self._read_past(audience, row):
                    code = "agreement.resumed" if decision.released else "agreement.ended"
                    changes.closed.append((row, code))
                    del rows[version]
                    continue
                rows[version] = replace(
                    row, agreement=decision.agreement, not_after=_not_after(decision), rank=ranks[row.seq],
                    label=label, fact=folding.own_fact(item.held, row) if audience.fold else None,
                    expires=self.ageing.expires(item.held, audience),
                )  # fmt: skip
            else:
                changes.closed.append((row, decision.reasons[0]))
                del rows[version]

    def _read_past(self, audience: Audience, row: Listed) -> bool:
        """Whether readers may have read on past `row` while no agreement permitted it (RULES R19 and R20).

        Where nothing behind it could be read either, nobody's mark has moved: then it resumes as it stands.
        """
        if row.not_after > micros(self.now) or audience.pushes:
            return False
        return row.added < self._past[audience.key].get(row.not_after, 0)

    def _begin(self, audience: Audience, group: Sequence[Judged], rows: dict[str, Listed], changes: Changes) -> None:
        taken, ranks = set(rows), self._ranks(audience, group)
        for item in sorted(group, key=lambda item: -ranks[item.held.seq]):
            held, there = item.held, rows.get(item.held.version)
            decision = self.ageing.decide(item, audience)
            if not decision.released or (there and there.seq == held.seq):
                continue
            if held.version in taken:
                # (id, version) is unique and the first stays (R21), but the owner's own words outrank an opinion.
                if there is None or there.rank == OWNER or ranks[held.seq] != OWNER:
                    continue
                changes.closed.append((there, "version.owner_speaks"))
                del rows[held.version]
            taken.add(held.version)
            fact = folding.own_fact(held, None) if audience.fold else None
            expires = self.ageing.expires(held, audience)
            changes.begun.append(_row(item, self.numbers[audience.key], decision, ranks[held.seq], fact, expires))

    def _ranks(self, audience: Audience, group: Sequence[Judged]) -> dict[int, int]:
        """Number → rank for this audience; where nobody owns the id, the first source that it may see is in front."""
        first = next((i.held.source for i in group if not i.owned and i.decide(self.rules, audience).released), None)
        return {item.held.seq: OWNER if not item.owned and item.held.source == first else item.rank for item in group}

    def _second_gate(self, made: dict[str, Changes], bodies: Mapping[int, bytes]) -> None:
        """Judge the bytes of what is about to be listed, apart from the decision on the model (RULES R25)."""
        wanted = {row.seq for changes in made.values() for row in changes.begun}
        given = {seq: bodies[seq] for seq in wanted if seq in bodies}
        given |= statements.bodies(self.tx, wanted - given.keys())
        marks = {seq: strictest(body) for seq, body in given.items()}
        for audience in self.audiences:
            changes, clearance = made[audience.key], self.rules.clearance(audience)
            stopped = {row.seq for row in changes.begun if not within(marks[row.seq], clearance)}
            self.refused += [(row.stix_id, audience.key) for row in changes.begun if row.seq in stopped]
            changes.begun = [row for row in changes.begun if row.seq not in stopped]

    def _write(self, made: Mapping[str, Changes], alone: Mapping[str, list[Listed]]) -> int:
        now, moved = micros(self.now), 0
        rows: list[tuple[Listed, int]] = []
        advanced: dict[str, int] = {}
        told = self._notices.of(self.audiences, made, alone)
        for audience in self.audiences:
            key, changes = audience.key, made.get(audience.key)
            begun = alone.get(key, [])
            if changes is not None:
                begun = sorted([*begun, *changes.begun], key=lambda row: row.seq)
                if audience.channel in self._deleting:
                    owed = [(row.audience, row.added) for row, code in changes.closed if code != THEIRS]
                    pushed.owe(self.tx, owed)
                listings.close(self.tx, changes.closed, now)
                listings.adjust(self.tx, changes.stay, changes.before)
                moved += len(changes.closed)
            if key in told:
                begun, moved = [*begun, *told[key]], moved - len(told[key])
            if not begun:
                continue
            last, dates = self.last_added[key], []
            for _ in begun:
                last = following(last, now)
                dates.append(last)
            advanced[key] = self.last_added[key] = last
            rows += zip(begun, dates, strict=True)
            if audience.pushes:
                # An opinion would stand as the newest version at a partner that does not know the owner's.
                leaving = zip(begun, dates, strict=True)
                number = self.numbers[key]
                listings.hand_over(self.tx, [(number, at) for r, at in leaving if r.latest and r.rank > OPINION])
            if key == self._reader:
                self.listed |= {(row.stix_id, row.version): at for row, at in zip(begun, dates, strict=True)}
        listings.begin(self.tx, rows)
        gone = (row for changes in made.values() for row, _ in changes.closed)
        turned = (row for changes in made.values() for row in changes.turned())
        self.ageing.owe(chain((row for row, _ in rows), gone, turned))
        self._advance(advanced)
        return moved + len(rows)

    def _advance(self, advanced: Mapping[str, int]) -> None:
        """Move the marks of these audiences; where they are far ahead the clock has stepped back (RULES R20)."""
        audiences.advance(self.tx, advanced)
        ahead = max(advanced.values(), default=0) - micros(self.now)
        if ahead > AHEAD:
            log.error("clock.stepped_back", seconds=round(ahead / 1_000_000, 1))
