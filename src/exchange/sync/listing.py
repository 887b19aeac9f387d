"""Decisions become listings: what each audience may have is listed, what it may no longer have is closed.

This runs inside the writer's transaction, under the writer lock (RULES R18), on the statements as they stand there.
Rows are closed with a reason, never deleted; `date_added` rises in the order of this transaction (R20).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model.marking import Label
from exchange.policy import Asked, Audience, Rules, stamp, stamped, strictest, within
from exchange.store import audiences, blocks, classes, listings, notices, pushed, statements
from exchange.store.clock import AHEAD, following, micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync import folding, sittings, widened
from exchange.sync.ageing import Ageing
from exchange.sync.altering import Forms, worth
from exchange.sync.changes import NOT_YET, Changes, mark_latest
from exchange.sync.notices import THEIRS, Notices
from exchange.sync.rows import SAME_VERSION, Place, classed, in_form, one_each, read_past, row_of, until
from exchange.sync.subjects import OPINION, OWNER, Judged, deleting, judged, recalling

log = structlog.get_logger()

_Places = tuple[Audience, Sequence[Place | None]]
"""What an audience gets of each class; None: nothing."""


class Lister:
    """Brings the listings of every audience in line with the decisions, for the ids that it is given."""

    def __init__(self, tx: Connection, rules: Rules, now: datetime, *, reader: tuple[str, str] = ("", "")) -> None:
        self.tx = tx
        self.rules = rules
        self.now = now
        self._asked = Asked(rules.terms.agreements)
        rows = audiences.everyone(tx)
        self.audiences = [a for a in rules.audiences if a.key in rows and not rows[a.key].retired]
        self.numbers = {key: row.number for key, row in rows.items()}
        self.last_added = {key: row.last_added for key, row in rows.items()}
        self.ageing = Ageing(tx, rules, now, self.numbers)
        self._recalling, self._deleting = recalling(rules), deleting(rules)
        self._notices = Notices(tx, rules, now, self.numbers, self.last_added)
        self._past = {key: row.past for key, row in rows.items()}
        self._forms = Forms(tx, rules, now, self._recalling)
        self.refused: list[tuple[str, str]] = []
        """(id, audience) that the second gate stopped: the two judgements differ, which is an alarm."""
        peer, channel = reader
        self._reader = next((a.key for a in self.audiences if a.channel == channel and peer in a.members), "")
        self.listed: dict[tuple[str, str], int] = {}
        """(id, version) as they were given → `date_added` of what was listed to `reader`, a peer in a channel."""

    def relist(self, stix_ids: Iterable[str], fresh: Sequence[tuple[Held, bytes]] = ()) -> int:
        """Decide everything stated about `stix_ids`; the number of rows that were listed or closed.

        `fresh`: statements that were stored just now, with their bytes, each the only one about its id. What is listed
        gets its dates in the order in which it came, whoever else has stated the same ids (RULES R14).
        """
        ids = widened.with_lapsed(self.tx, self.rules, self.now, self._forms.originals(stix_ids))
        held = notices.others(statements.held(self.tx, ids))
        standing = [*listings.standing(self.tx, held), *self._forms.standing(held)] if held else []
        shown = {self._forms.origin(row)[1] for row in standing}
        single = [group[0] for stix_id, group in held.items() if len(group) == 1 and stix_id not in shown]
        bodies = {item.seq: body for item, body in fresh}
        alone = sorted([*(item for item, _ in fresh), *single], key=lambda item: item.seq)
        for item in single:
            del held[item.stix_id]
        self.ageing.look(chain(held.values(), ([item] for item in alone)), bodies)
        of_class, places = self._placed(alone, self.audiences)  # first, so that all forms are made together
        made, begun = self._judge(held, standing, self.audiences), self._begin_placed(alone, of_class, places)
        self._fold(made, begun, bodies)
        return self._write(made, begun)

    def fold_again(self, audience: Audience, stix_ids: Iterable[str]) -> int:
        """Fold these anew for one audience, as they stand there; the number of rows that were listed or closed."""
        number = self.numbers[audience.key]
        changes = folding.as_they_stand(self.tx, number, stix_ids)
        folding.fold(self.tx, number, changes, {}, micros(self.now))
        return self._write({audience.key: changes}, {})

    def _judge(
        self, held: Mapping[str, Sequence[Held]], standing: Iterable[Listed], whom: Sequence[Audience]
    ) -> dict[str, Changes]:
        """The long way: for ids with several statements or listings."""
        groups = self._groups(held)
        made = self._decided(groups, standing, whom)
        self._second_gate(made, groups, whom)
        for changes in made.values():
            self._narrow(changes)
            mark_latest(changes)
        return made

    def _groups(self, held: Mapping[str, Sequence[Held]]) -> dict[str, list[Judged]]:
        return {stix_id: judged(self.rules, group, self.now) for stix_id, group in held.items()}

    def _decided(
        self, groups: dict[str, list[Judged]], standing: Iterable[Listed], whom: Sequence[Audience]
    ) -> dict[str, Changes]:
        """Audience → what changes for it by the decision alone."""
        if not groups:
            return {}
        rows: dict[tuple[int, str], list[Listed]] = {}
        for row in standing:
            rows.setdefault((row.audience, self._forms.origin(row)[1]), []).append(row)
        self._forms.prepare(whom, groups.values())
        return {audience.key: self._changes(audience, groups, rows) for audience in whom}

    def _narrow(self, changes: Changes) -> None:
        """Take out of `changes` what is not to happen in this pass: nothing, where all is decided at once."""

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

    def _begin_alone(self, alone: Sequence[Held], whom: Sequence[Audience]) -> dict[str, list[Listed]]:
        """The short way, for what is the only statement about its id and stands nowhere yet."""
        return self._begin_placed(alone, *self._placed(alone, whom))

    def _placed(self, alone: Sequence[Held], whom: Sequence[Audience]) -> tuple[list[int], list[_Places]]:
        """The class of each, and what each audience gets of the classes; what goes in another form is to be made."""
        first, of_class = classed(alone, self._asked, self.rules, self.now)
        found = ((audience, self._places(first, audience)) for audience in whom)
        of_audience: list[_Places] = [(audience, places) for audience, places in found if places is not None]
        for _, places in of_audience:
            if _alters(places):
                pairs = ((item, places[index]) for item, index in zip(alone, of_class, strict=True))
                self._forms.expect([(item, place.transform) for item, place in pairs if place and place.transform])
        return of_class, of_audience

    def _begin_placed(
        self, alone: Sequence[Held], of_class: Sequence[int], of: Sequence[_Places]
    ) -> dict[str, list[Listed]]:
        """Their rows: decided by class, for equal subjects get equal decisions (RULES R35), and made one by one."""
        marks: list[int] = []
        begun: dict[str, list[Listed]] = {}
        for audience, places in of:
            if _alters(places):
                begun[audience.key] = self._altered_rows(audience, alone, of_class, places)
            else:
                marks = marks or self._marks(alone)
                begun[audience.key] = self._rows(audience, alone, of_class, places, marks)
        return begun

    def _places(self, first: Sequence[Judged], audience: Audience) -> list[Place | None] | None:
        """For each class what its rows have in common; None: nothing of it is released to `audience`."""
        places: list[Place | None] = []
        for item in first:
            decision, place = item.decide(self.rules, audience), None
            label = worth(item, decision.transform)
            if decision.released and label is not None:
                rank = self._ranks(audience, [item])[item.held.seq]
                place = Place(rank, label, decision.agreement, until(decision), decision.transform)
            places.append(place)
        return places if any(places) else None

    def _rows(
        self,
        audience: Audience,
        alone: Sequence[Held],
        of_class: Sequence[int],
        places: Sequence[Place | None],
        marks: Sequence[int],
    ) -> list[Listed]:
        number, clearance = self.numbers[audience.key], self.rules.clearance(audience)
        ends, now = self.ageing.ends(audience, alone), micros(self.now)
        rows: list[Listed] = []
        texts: dict[tuple[int, Label | None], str] = {}
        for item, index, strict in zip(alone, of_class, marks, strict=True):
            place = places[index]
            end = ends.get(item.seq) if ends else None
            if place is None or (end is not None and end.at <= now):
                continue
            if not within(strict, clearance):  # the second gate (RULES R25)
                self.refused.append((item.stix_id, audience.key))
                continue
            text = texts.get((index, item.label))
            if text is None:
                text = texts[index, item.label] = place.text(item)
            rows.append(
                Listed(
                    number, NOT_YET, item.seq, item.type, place.rank, text, True, False, place.agreement,
                    place.not_after, folding.own_fact(item, None) if audience.fold else None,
                    item.block, item.start, item.stop, None if end is None else end.at, item.stix_id, item.version,
                )
            )  # fmt: skip
        return rows

    def _altered_rows(
        self,
        audience: Audience,
        alone: Sequence[Held],
        of_class: Sequence[int],
        places: Sequence[Place | None],
    ) -> list[Listed]:
        """The same where some of it goes in another form: that is what then stands in the row."""
        placed = [(item, place) for item, index in zip(alone, of_class, strict=True) if (place := places[index])]
        going, stopped = self._forms.of_alone(audience, [(item, place.transform) for item, place in placed])
        self.refused += [(item.stix_id, audience.key) for item in stopped]
        kept = [(item, place) for item, place in placed if item.seq in going]
        marks = self._marks([going[item.seq] for item, _ in kept])
        rows = self._rows(audience, [i for i, _ in kept], range(len(kept)), [p for _, p in kept], marks)
        return [in_form(row, going[row.seq]) for row in rows]

    def _changes(
        self, audience: Audience, groups: dict[str, list[Judged]], standing: dict[tuple[int, str], list[Listed]]
    ) -> Changes:
        changes = Changes()
        for stix_id, group in groups.items():
            versions = {item.held.seq: item.held.version for item in group}
            there = standing.get((self.numbers[audience.key], stix_id), ())
            # By the version of the original: a pseudonym has dates of its own.
            rows, twice = one_each((versions[self._forms.origin(row)[0]], row) for row in there)
            changes.closed += [(row, SAME_VERSION) for row in twice]
            changes.before.update({(row.stix_id, row.version): row for row in rows.values()})
            ranks = self._ranks(audience, group)
            forms = self._forms.of_group(audience, group, ranks)
            self._close(audience, group, forms, rows, changes, ranks)
            if len(group) > 1 or len(rows) < 1:
                self._begin(audience, group, forms, rows, changes, ranks)
            changes.stay.update({(row.stix_id, row.version): row for row in rows.values()})
        changes.begun.sort(key=lambda row: row.seq)
        return changes

    def _close(
        self, audience: Audience, group: Sequence[Judged], forms: Mapping[int, Held | str], rows: dict[str, Listed],
        changes: Changes, ranks: Mapping[int, int],
    ) -> None:  # fmt: skip
        by_seq = {item.held.seq: item for item in group}
        for version, row in list(rows.items()):
            item = by_seq[self._forms.origin(row)[0]]
            decision = self.ageing.decide(item, audience)
            form = forms.get(item.held.seq, item.held)
            # The end of an agreement suspends by `not_after`; renewal resumes the same listing (RULES R19).
            if decision.lets_go:
                if isinstance(form, str) or form.seq != row.seq:
                    changes.closed.append((row, form if isinstance(form, str) else self._forms.why_not(row)))
                    del rows[version]
                    continue
                listed = worth(item, decision.transform)
                label = listed.to_text() if listed else row.label
                if label != row.label and (not audience.pushes or audience.channel in self._recalling):
                    # What it is worth stands beside it over MISP, so a reader is told anew (RULES R26).
                    changes.closed.append((row, "label.changed"))
                    del rows[version]
                    continue
                if read_past(audience, row, micros(self.now), self._past[audience.key]):
                    code = "agreement.resumed" if decision.released else "agreement.ended"
                    changes.closed.append((row, code))
                    del rows[version]
                    continue
                rows[version] = replace(
                    row, agreement=decision.agreement, not_after=until(decision), rank=ranks[item.held.seq],
                    label=label, fact=folding.own_fact(item.held, row) if audience.fold else None,
                    expires=self.ageing.expires(item.held, audience),
                )  # fmt: skip
            else:
                changes.closed.append((row, decision.reasons[0]))
                del rows[version]

    def _begin(
        self, audience: Audience, group: Sequence[Judged], forms: Mapping[int, Held | str], rows: dict[str, Listed],
        changes: Changes, ranks: Mapping[int, int],
    ) -> None:  # fmt: skip
        taken, named = set(rows), {(row.stix_id, row.version): version for version, row in rows.items()}
        for item in sorted(group, key=lambda item: -ranks[item.held.seq]):
            held, there = item.held, rows.get(item.held.version)
            decision, form = self.ageing.decide(item, audience), forms.get(held.seq, held)
            if not decision.released or isinstance(form, str) or (there and there.seq == form.seq):
                continue
            name = form.stix_id, form.version
            same = {held.version, named.get(name, held.version)} & taken
            # (id, version) is unique and the first stays (R21), but the owner's own words outrank an opinion.
            if any(ranks[held.seq] != OWNER or each not in rows or rows[each].rank == OWNER for each in same):
                continue
            changes.closed += [(rows.pop(each), "version.owner_speaks") for each in same]
            taken.add(held.version)
            named[name] = held.version
            fact = folding.own_fact(held, None) if audience.fold else None
            expires = self.ageing.expires(held, audience)
            changes.begun.append(
                row_of(item, form, self.numbers[audience.key], decision, ranks[held.seq], fact, expires)
            )

    def _ranks(self, audience: Audience, group: Sequence[Judged]) -> dict[int, int]:
        """Number → rank for this audience; where nobody owns the id, the first source that it may see is in front."""
        beside = {item.held.seq for item in group if item.is_beside(self.rules, audience)}
        guests = (i for i in group if not i.owned and i.held.seq not in beside)
        first = next((i.held.source for i in guests if i.decide(self.rules, audience).released), None)
        ranks = {item.held.seq: OWNER if not item.owned and item.held.source == first else item.rank for item in group}
        return ranks | dict.fromkeys(beside, OPINION)

    def _marks(self, items: Sequence[Held]) -> list[int]:
        """What the second gate found in the bytes of each, read now where this edition of it has not read them yet."""
        found = {item.seq: marks for item in items if (marks := stamped(item.marks)) is not None}
        unread = [item for item in items if item.seq not in found]
        read = zip(unread, blocks.read(self.tx, [item.place for item in unread]), strict=True)
        new = {item.seq: strictest(body) for item, body in read}
        classes.mark(self.tx, {seq: stamp(marks) for seq, marks in new.items()})
        return [new[item.seq] if item.seq in new else found[item.seq] for item in items]

    def _second_gate(
        self, made: dict[str, Changes], groups: Mapping[str, Sequence[Judged]], whom: Iterable[Audience]
    ) -> None:
        """Judge the bytes of what is about to be listed, apart from the decision on the model (RULES R25)."""
        items = {item.held.seq: item for group in groups.values() for item in group}
        wanted = {row.seq for changes in made.values() for row in changes.begun}
        going = [items[seq].held if seq in items else self._forms.made(seq) for seq in sorted(wanted)]
        marks = dict(zip((item.seq for item in going), self._marks(going), strict=True))
        for audience in whom if made else ():
            changes, clearance = made[audience.key], self.rules.clearance(audience)
            stopped = {row.seq for row in changes.begun if not within(marks[row.seq], clearance)}
            stopped |= {row.seq for row in changes.begun if not self._forms.passes(items, row, audience)}
            self.refused += [(row.stix_id, audience.key) for row in changes.begun if row.seq in stopped]
            changes.begun = [row for row in changes.begun if row.seq not in stopped]

    def _write(self, made: Mapping[str, Changes], alone: Mapping[str, list[Listed]]) -> int:
        now, moved = micros(self.now), 0
        rows: list[tuple[Listed, int]] = []
        advanced: dict[str, int] = {}
        given: dict[int, tuple[int, int]] = {}
        changed = False
        told = self._notices.of(self.audiences, made, alone)
        closed = [pair for changes in made.values() for pair in changes.closed]
        deleting = {self.numbers[each.key] for each in self.audiences if each.channel in self._deleting}
        # Before they are closed: that withdraws what waits, and nothing tells then that it was on its way (RULES R8).
        pushed.owe(self.tx, [(r.audience, r.added) for r, code in closed if r.audience in deleting and code != THEIRS])
        listings.close(self.tx, closed, now)
        for audience in self.audiences:
            key, changes = audience.key, made.get(audience.key)
            begun = alone.get(key, [])
            if changes is not None:
                begun = [*begun, *changes.begun]
                if listings.adjust(self.tx, changes.stay, changes.before):
                    audiences.note_change(self.tx)
                    changed = True
                moved += len(changes.closed)
            moved -= len(told.get(key, ()))
            begun = self._in_order(begun, told.get(key, ()))
            if not begun:
                continue
            last, dates = self.last_added[key], []
            for _ in begun:
                last = following(last, now)
                dates.append(last)
            advanced[key] = self.last_added[key] = last
            given[self.numbers[key]] = last, len(begun)
            rows += zip(begun, dates, strict=True)
            if audience.pushes:
                # An opinion would stand as the newest version at a partner that does not know the owner's.
                leaving = zip(begun, dates, strict=True)
                number = self.numbers[key]
                listings.hand_over(self.tx, [(number, at) for r, at in leaving if r.latest and r.rank > OPINION])
            if key == self._reader:
                named = (self._forms.said(row) for row in begun)
                self.listed |= dict(zip(named, dates, strict=True))
        listings.begin(self.tx, rows)
        if rows or moved or changed:
            sittings.record(self.tx, self.rules, self.now, given)
        gone = (row for changes in made.values() for row, _ in changes.closed)
        turned = (row for changes in made.values() for row in changes.turned())
        self.ageing.owe(chain((row for row, _ in rows), gone, turned))
        self._advance(advanced)
        return moved + len(rows)

    def _in_order(self, begun: Sequence[Listed], told: Sequence[Listed]) -> list[Listed]:
        """In which order these get their dates: as they came, whenever they were altered (R14), then the notices."""
        return [*sorted(begun, key=lambda row: self._forms.origin(row)[0]), *told]

    def _advance(self, advanced: Mapping[str, int]) -> None:
        """Move the marks of these audiences; where they are far ahead the clock has stepped back (RULES R20)."""
        audiences.advance(self.tx, advanced)
        if (ahead := max(advanced.values(), default=0) - micros(self.now)) > AHEAD:
            log.error("clock.stepped_back", seconds=round(ahead / 1_000_000, 1))


def _alters(places: Sequence[Place | None]) -> bool:
    """Whether something goes in another form."""
    return any(place is not None and place.transform is not None for place in places)
