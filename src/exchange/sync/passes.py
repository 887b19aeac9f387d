"""The two passes of a change of terms: first what somebody may no longer have is taken, then the rest is given.

Each is made in steps over the statements, in order of their numbers. What a step does to an audience, and in which
order, depends on nothing but what this audience sees, so the bounds of the steps tell it nothing (RULES R14): what is
taken is taken in the step of the first row that the audience has of it, what is given in the step of what is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

from sqlalchemy import Connection

from exchange.policy import Audience, Rules
from exchange.store import classes, folds, listings, notices, statements
from exchange.store.clock import micros
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync.altering import NAMED_LATER
from exchange.sync.changes import Changes
from exchange.sync.listing import Lister

_Name = tuple[str, str]
_NONE: Mapping[int, Mapping[str, str]] = {}
_FEW = 8
"""Audiences up to which each is asked for its rows by itself."""


class Losing(Lister):
    """Finds who would lose something by these terms; writes nothing."""

    def of(self, stix_ids: Iterable[str]) -> set[str]:
        """The audiences, by key, that may no longer have some of what stands of `stix_ids` in their listings."""
        held = notices.others(statements.held(self.tx, stix_ids))
        self.ageing.look(held.values(), {})
        self._forms.dry = True
        standing = [*listings.standing(self.tx, held), *self._forms.standing(held)]
        decided = self._decided(self._groups(held), standing, self.audiences)
        return {key for key, changes in decided.items() if _lost(changes, micros(self.now))}


class _Pass(Lister):
    """One step: the statements behind `after` up to `upto`, for the audiences `whose`."""

    def __init__(
        self, tx: Connection, rules: Rules, now: datetime, span: tuple[int, int], whose: Collection[str] | None = None
    ) -> None:
        super().__init__(tx, rules, now)
        self._after, self._upto = span
        self._whose = [a for a in self.audiences if whose is None or a.key in whose]

    def _within(self, row: Listed) -> bool:
        """Whether the statement for which this row stands is one of this step."""
        return self._after < self._forms.origin(row)[0] <= self._upto

    def _standing(self, held: Mapping[str, Sequence[Held]], whom: Sequence[Audience]) -> list[Listed]:
        """What stands of these ids in the listings of `whom`."""
        if not held or not whom:
            return []
        numbers = {self.numbers[audience.key] for audience in whom}
        made = [row for row in self._forms.standing(held) if row.audience in numbers]
        if len(whom) > _FEW:
            return [*made, *(row for row in listings.standing(self.tx, held) if row.audience in numbers)]
        return [*made, *(row for a in whom for row in folds.standing(self.tx, self.numbers[a.key], held))]


class Taking(_Pass):
    """Takes from the audiences `whose` what they may no longer have, with all that follows from it for its ids."""

    def take(self, stix_ids: Iterable[str], refused: Mapping[int, Mapping[str, str]] = _NONE) -> int:
        """`refused`: numbers of statements that are alone about their ids → who may no longer have them, by key, and
        why: that is decided, and not looked at again. The number of rows that were listed or closed.
        """
        self._anchors: dict[tuple[int, str], int] = {}
        plain = {item.seq: item for item in statements.by_seq(self.tx, refused)}
        rest = [a for a in self._whose if a.fold or a.pushes]  # other rows depend on theirs
        keys = {a.key for a in rest}
        others = [plain[seq].stix_id for seq, codes in refused.items() if not keys.isdisjoint(codes)]
        made = self._taken(stix_ids, self._whose)
        for key, changes in (self._taken(others, rest) if others else {}).items():
            _merge(made.setdefault(key, Changes()), changes)
        self._fold(made, {}, {})
        numbers = {self.numbers[a.key]: a.key for a in self._whose if a.key not in keys}
        for row in listings.of_statements(self.tx, plain):
            key = numbers.get(row.audience, "")
            code = refused[row.seq].get(key)
            if code is not None:
                made.setdefault(key, Changes()).closed.append((row, code))
        return self._write(made, {})

    def _taken(self, stix_ids: Iterable[str], whom: Sequence[Audience]) -> dict[str, Changes]:
        held = notices.others(statements.held(self.tx, dict.fromkeys(stix_ids)))
        self.ageing.look(held.values(), {})
        return self._judge(held, self._standing(held, whom), whom)

    def _narrow(self, changes: Changes) -> None:
        lost = _lost(changes, micros(self.now))
        whose = {row.stix_id: self._forms.origin(row)[1] for row in (*changes.before.values(), *changes.begun)}
        gone = {whose[stix_id] for stix_id in lost}
        first: dict[str, tuple[int, int]] = {}
        for row in changes.before.values():
            seq, stix_id = self._forms.origin(row)
            if stix_id in gone and (stix_id not in first or seq < first[stix_id][0]):
                first[stix_id] = seq, row.audience
        taken = {stix_id for stix_id, (seq, _) in first.items() if self._after < seq <= self._upto}
        self._anchors |= {(number, stix_id): seq for stix_id, (seq, number) in first.items()}
        _keep(changes, {name for name in changes.before if whose[name[0]] in taken})
        changes.begun = [row for row in changes.begun if whose[row.stix_id] in taken]

    def _in_order(self, begun: Sequence[Listed], told: Sequence[Listed]) -> list[Listed]:
        def place(row: Listed) -> tuple[int, bool, int]:
            about = self._notices.about.get((row.audience, row.seq))
            seq, stix_id = self._forms.origin(row if about is None else about)
            return self._anchors.get((row.audience, stix_id), seq), about is not None, seq

        return sorted((*begun, *told), key=place)


class Giving(_Pass):
    """Lists what an audience may have now, and writes under which agreement and until when it has the rest."""

    def give(self, special: Iterable[str], gained: Mapping[str, Collection[str]], moved: Iterable[str]) -> int:
        """`special`: ids that are decided for everybody; `gained`: id → the audiences that may have it now; `moved`:
        ids that stand otherwise for the audiences `whose`. The number of rows that were listed or closed.
        """
        found = notices.others(statements.held(self.tx, dict.fromkeys((*special, *gained, *moved))))
        single = {stix_id: group[0] for stix_id, group in found.items() if len(group) == 1 and stix_id in gained}
        wide = {stix_id: found[stix_id] for stix_id in found.keys() - single.keys() if stix_id not in set(moved)}
        narrow = {stix_id: found[stix_id] for stix_id in dict.fromkeys(moved) if stix_id in found}
        standing = self._standing(wide, self.audiences)
        shown = {self._forms.origin(row)[1] for row in standing}
        fresh = [group[0] for stix_id, group in wide.items() if len(group) == 1 and stix_id not in shown]
        alone = sorted([*single.values(), *fresh], key=lambda item: item.seq)
        for item in fresh:
            del wide[item.stix_id]
        self.ageing.look(chain(wide.values(), narrow.values(), ([item] for item in alone)), {})
        made = self._judge(wide, standing, self.audiences)
        for key, changes in self._judge(narrow, self._standing(narrow, self._whose), self._whose).items():
            _merge(made.setdefault(key, Changes()), changes)
        begun = self._alone(single, gained, fresh)
        self._fold(made, begun, {})
        return self._write(made, begun)

    def _alone(
        self, single: Mapping[str, Held], gained: Mapping[str, Collection[str]], fresh: Sequence[Held]
    ) -> dict[str, list[Listed]]:
        """The rows of what is alone about its id, but for those that stand already."""
        begun = self._begin_alone(sorted(fresh, key=lambda item: item.seq), self.audiences) if fresh else {}
        items = sorted(single.values(), key=lambda item: item.seq)
        keys = set().union(*(gained[item.stix_id] for item in items))
        some = self._begin_alone(items, [a for a in self.audiences if a.key in keys]) if items else {}
        for key, rows in some.items():
            mine = [row for row in rows if key in gained[row.stix_id]]
            there = classes.listed_of(self.tx, self.numbers[key], [row.seq for row in mine])
            begun[key] = sorted(
                [*begun.get(key, ()), *(row for row in mine if row.seq not in there)], key=lambda row: row.seq
            )
        return begun

    def _narrow(self, changes: Changes) -> None:
        named = {(row.stix_id, row.version) for row in changes.begun}
        changes.begun = [row for row in changes.begun if self._within(row)]
        kept = {(row.stix_id, row.version) for row in changes.begun}
        _keep(changes, {name for name in changes.before if name in kept or name not in named})


def _lost(changes: Changes, now: int) -> set[str]:
    """The ids of which something goes for good, or rests from now on."""
    begun = {(row.stix_id, row.version) for row in changes.begun}
    # What shows somebody in its old bytes goes first, even where it comes again in other ones.
    gone = {r.stix_id for r, code in changes.closed if (r.stix_id, r.version) not in begun or code == NAMED_LATER}
    rests = {name[0] for name, row in changes.stay.items() if row.not_after <= now < changes.before[name].not_after}
    return gone | rests


def _keep(changes: Changes, names: Collection[_Name]) -> None:
    """Of what stood, only these change in this pass; the others stand as they stood."""
    changes.closed = [(row, code) for row, code in changes.closed if (row.stix_id, row.version) in names]
    changes.stay |= {name: row for name, row in changes.before.items() if name not in names}


def _merge(into: Changes, more: Changes) -> None:
    into.begun += more.begun
    into.closed += more.closed
    into.stay |= more.stay
    into.before |= more.before
