"""Folding (RULES R23): of all that states one fact to an audience, one object stands in front, the others behind it.

Twins are found by `listing.fact`, the key of what a row states to this very audience. An indicator or observable has
one key for everybody; a relationship, a sighting or an observation gets its own from its ends as this audience sees
them, and is keyed anew when one of them comes, goes or comes to state something else. Nothing else is looked at (R14).

What stands in front stays there until it may no longer be shown. Whoever comes forward, and whoever goes behind, is
listed anew: a reader who has read on finds it, and one who reads MISP is told that it went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import orjson
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model import facts
from exchange.model.facts import COMPOSITE
from exchange.store import folds, statements
from exchange.store.listings import Listed
from exchange.store.statements import Held
from exchange.sync.changes import NOT_YET, Changes

MOST = 1_000
"""Composites that are keyed anew in one transaction because an end of theirs changed (RULES R18)."""
MOST_ENDS = 50
"""Of one composite: what is about more things than that never folds."""
_LEVEL = {"network-traffic": 1, "email-message": 1, "observed-data": 2, "sighting": 3, "relationship": 4}
"""A composite is keyed by ends of a lower level than its own (all else is 0), so that no key depends on itself."""


def own_fact(held: Held, row: Listed | None) -> str | None:
    """Under which key a statement stands in an audience that folds: its own or, of a composite, what it had there."""
    return row.fact if held.fact is None and row is not None and held.type in COMPOSITE else held.fact


def as_they_stand(tx: Connection, number: int, stix_ids: Iterable[str]) -> Changes:
    """A pass over these in the audience `number`, in which nothing has changed yet."""
    rows = {(row.stix_id, row.version): row for row in folds.standing(tx, number, stix_ids)}
    return Changes(before=dict(rows), stay=rows)


def unfold(changes: Changes) -> None:
    """In a collection that folds no longer, everything comes forward."""
    for name, row in list(changes.stay.items()):
        if row.folded:
            changes.again(name, replace(row, folded=False), "fold.promoted")


def fold(
    tx: Connection, number: int, changes: Changes, bodies: Mapping[int, bytes], now: int, *, most: int = MOST
) -> None:
    """Bring the folds of the audience `number` in line with `changes`, which then hold all that follows from them.

    `bodies`: those that are known, by number of the statement; `most`: composites that are keyed anew for their ends.
    """
    whole = {row.stix_id for row in (*changes.before.values(), *changes.begun)}
    keys = _Keys(tx, number, changes, bodies, most)
    keys.key()
    _Fronts(tx, number, changes, keys, whole, now).fold()


class _Keys:
    """The keys of composites, by what this audience sees of their ends."""

    def __init__(self, tx: Connection, number: int, changes: Changes, bodies: Mapping[int, bytes], most: int) -> None:
        self.tx, self.number, self.changes, self.bodies, self.most = tx, number, changes, bodies, most
        self.was = {row.stix_id: row for row in changes.before.values() if row.latest}
        """Id → its latest row before this pass, of all that the pass touches."""
        self.stand = {row.stix_id: row for row in changes.open() if row.latest}
        """The same when it is over."""
        self._places = {(row.stix_id, row.version): place for place, row in enumerate(changes.begun)}

    def key(self) -> None:
        """Key all composites of the pass, and bring those into it whose ends have changed."""
        changed = {
            each
            for each in self.was.keys() | self.stand.keys()
            if self._fact(each, self.was) != self._fact(each, self.stand)
        }
        for level in sorted(set(_LEVEL.values())):
            self._bring_in(changed)
            mine = [row for row in self.stand.values() if _LEVEL.get(row.type) == level]
            keyed = self._keyed(mine, level)
            changed = {row.stix_id for row in mine if row.fact != keyed[row.seq]}
            for row in mine:
                self._set(row, keyed[row.seq])

    @staticmethod
    def _fact(stix_id: str, rows: Mapping[str, Listed]) -> str | None:
        return rows[stix_id].fact if stix_id in rows else None

    def _bring_in(self, ends: Collection[str]) -> None:
        """What is listed of the composites on `ends`; if those are too many, none, and all of them later."""
        if not ends:
            return
        rows = folds.composites_on(self.tx, self.number, sorted(ends), self.most + 1)
        if len(rows) > self.most:
            folds.postpone(self.tx, self.number, sorted(ends))
            return
        for row in rows:
            if row.stix_id not in self.was and row.stix_id not in self.stand:
                name = row.stix_id, row.version
                self.was[row.stix_id] = self.changes.before[name] = row
                self.stand[row.stix_id] = self.changes.stay[name] = row

    def _keyed(self, rows: Sequence[Listed], level: int) -> dict[int, str | None]:
        """Number of the statement → its key."""
        given = {row.seq: self.bodies[row.seq] for row in rows if row.seq in self.bodies}
        given |= statements.bodies(self.tx, [row.seq for row in rows if row.seq not in given])
        objects = {seq: orjson.loads(body) for seq, body in given.items()}
        ends = {seq: facts.ends(stix) for seq, stix in objects.items()}
        below = {seq: [e for e in some if _level(e) < level] for seq, some in ends.items() if len(some) <= MOST_ENDS}
        known = self._facts_of({end for some in below.values() for end in some})
        keyed: dict[int, str | None] = {row.seq: row.fact for row in rows}  # what refers to nothing has its own
        for seq, some in ends.items():
            if some:
                told = {end: known[end] for end in below.get(seq, ()) if end in known}
                stands = told and objects[seq].get("revoked") is not True
                keyed[seq] = facts.between(objects[seq], told) if stands else None
        return keyed

    def _facts_of(self, ends: Collection[str]) -> Mapping[str, str]:
        """End → the fact that it states to this audience."""
        known = folds.facts_of(self.tx, self.number, [e for e in ends if e not in self.stand and e not in self.was])
        return known | {e: fact for e in ends if (fact := self._fact(e, self.stand)) is not None}

    def _set(self, row: Listed, fact: str | None) -> None:
        if row.fact == fact:
            return
        name, made = (row.stix_id, row.version), replace(row, fact=fact)
        self.stand[row.stix_id] = made
        if name in self.changes.stay:
            self.changes.stay[name] = made
        else:
            self.changes.begun[self._places[name]] = made


def _level(stix_id: str) -> int:
    return _LEVEL.get(stix_id.partition("--")[0], 0)


class _Fronts:
    """Who stands in front of each fact that the pass touches."""

    def __init__(
        self, tx: Connection, number: int, changes: Changes, keys: _Keys, whole: Collection[str], now: int
    ) -> None:
        self.tx, self.number, self.changes, self.now = tx, number, changes, now
        self.was, self.stand = keys.was, keys.stand
        self._whole = whole
        """Ids of which every row is in `changes`, and not only the latest."""
        self._touched = keys.was.keys() | keys.stand.keys()
        self._places = {row.stix_id: place for place, row in enumerate(changes.begun) if row.latest}

    def fold(self) -> None:
        """Choose the fronts anew, and bring forward or fold whatever does not stand as it should."""
        alone = [row for row in self.stand.values() if row.fact is None]
        touched = {row.fact for rows in (self.was, self.stand) for row in rows.values() if row.fact is not None}
        said: dict[str, list[Listed]] = {fact: [] for fact in sorted(touched)}
        for row in self.stand.values():
            if row.fact is not None:
                said[row.fact].append(row)
        for row in self._others(said):
            if row.stix_id not in self._touched and row.fact is not None:
                said[row.fact].append(row)
        wanted = {row.stix_id: (row, False) for row in alone}
        for rows in said.values():
            if rows:
                front = min(rows, key=self._precedence)
                wanted |= {row.stix_id: (row, row is not front) for row in rows}
        self._turn(wanted)

    def _others(self, said: Collection[str]) -> Iterator[Listed]:
        """What else states these facts, as far as it decides: behind a front that stands and is in force nothing does.

        However many twins a fact has, one more costs no more than the first (RULES R18).
        """
        settled = set()
        for row in folds.fronts(self.tx, self.number, said):
            if row.stix_id not in self._touched and row.not_after > self.now:
                settled.add(row.fact)
            yield row
        yield from (row for row in folds.twins(self.tx, self.number, set(said) - settled) if row.folded)

    def _precedence(self, row: Listed) -> tuple[bool, int, int]:
        """What is in force; what stood in front of this fact; what did of another and comes as it is; the oldest."""
        was = self.was.get(row.stix_id) if row.stix_id in self._touched else row
        lapsed = row.not_after <= self.now
        if was is None:
            return lapsed, 4, self._places[row.stix_id]
        same, same_row = was.fact == row.fact, row.added == was.added
        order = 0 if same and not was.folded else 1 if same_row and not was.folded else 2 if same else 3
        return lapsed, order, was.added

    def _turn(self, wanted: Mapping[str, tuple[Listed, bool]]) -> None:
        """Make each object (id → its latest row, whether it is to be folded) and its older versions stand like that."""
        turned = (stix_id for stix_id, (row, folded) in wanted.items() if row.folded != folded)
        for row in folds.standing(self.tx, self.number, [each for each in turned if each not in self._whole]):
            name = row.stix_id, row.version
            if name not in self.changes.before:
                self.changes.before[name] = self.changes.stay[name] = row
        for place, row in enumerate(self.changes.begun):
            folded = row.stix_id in wanted and wanted[row.stix_id][1]
            if row.folded != folded:
                self.changes.begun[place] = replace(row, folded=folded)
        for name, row in list(self.changes.stay.items()):
            front, folded = wanted.get(row.stix_id, (row, row.folded))
            if row.folded == folded:
                continue
            code = "fold.promoted" if not folded else "fold.moved" if front.added == NOT_YET else "fold.joined"
            self.changes.again(name, replace(row, folded=folded), code)
