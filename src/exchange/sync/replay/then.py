"""Statements as they stood at a point: what they stated, what they were worth, what persons and peers had said of them.

Nothing of this is read from what the store has worked out since: labels are resolved again from stated marks, by what
the source had said until then (RULES R10 to R12).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model.marking import Label
from exchange.model.stix import CONTAINERS
from exchange.policy import Basis, Rules, resolve
from exchange.store import approvals, former, notices, past, statements, traits
from exchange.store.clock import moment
from exchange.store.past import Near, Version
from exchange.store.references import Neighbours
from exchange.store.statements import Held
from exchange.sync.accept import worth_among
from exchange.sync.replay.moments import Point, Ruled
from exchange.sync.subjects import Judged, horizon_at, judged


class Past:
    """Some hundred ids, with all that a decision about them ever rested on."""

    def __init__(self, tx: Connection, stix_ids: Collection[str]) -> None:
        self.groups = notices.others(statements.held(tx, stix_ids))
        self.seqs = {held.seq for group in self.groups.values() for held in group}
        self._former = past.changed(tx, self.seqs)
        self._marks = past.marks(tx, self.groups)
        known = past.words(tx, self.groups)
        self._words: dict[str, list[tuple[int, Any]]] = {}
        for row in approvals.words(tx, self.groups):
            self._words.setdefault(row[0], []).append((known[row[7]], row))
        self._givers = past.givers(tx, self.seqs)
        self._around: dict[int, list[Near]] = {}
        self._chains: dict[tuple[str, str], list[Version]] = {}
        self.crowded: set[str] = set()
        """The ids around which there is too much to be read at once."""
        self._look_around(tx)

    def _look_around(self, tx: Connection) -> None:
        """What lends a label to those that have no mark of their own, or that hold others (RULES R10, R13)."""
        by_source: dict[str, dict[str, list[int]]] = {}
        for group in self.groups.values():
            for held in group:
                # A mark that counted once may not count by other terms, so whoever states none at all, or what may
                # be ignored, is asked for what stands around it.
                plain = held.stated.stated and not held.stated.unknown and not held.stated.iep
                if not plain or held.type in CONTAINERS or former.STATED in self._former.get(held.seq, {}):
                    by_source.setdefault(held.source, {}).setdefault(held.stix_id, []).append(held.seq)
        for source, ids in by_source.items():
            self._read_around(tx, source, ids)

    def _read_around(self, tx: Connection, source: str, ids: dict[str, list[int]]) -> None:
        found = past.around(tx, source, ids)
        if found is None:
            names = list(ids)
            if len(names) == 1:
                self.crowded.add(names[0])
                return
            for some in (names[: len(names) // 2], names[len(names) // 2 :]):
                self._read_around(tx, source, {name: ids[name] for name in some})
            return
        self._around |= found
        near = {each.stix_id for some in found.values() for each in some}
        self._chains |= {(source, stix_id): chain for stix_id, chain in past.chains(tx, source, near).items()}
        self._former |= past.changed(tx, {each.seq for some in found.values() for each in some})

    def changes(self, stix_id: str) -> tuple[set[int], set[int]]:
        """The statements, and the numbers of sittings, from which on something may be decided otherwise."""
        group = self.groups[stix_id]
        seqs = {held.seq for held in group}
        numbers = {mark.since for mark in self._marks.get(stix_id, ())}
        numbers |= {mark.until for mark in self._marks.get(stix_id, ())}
        numbers |= {number for number, _ in self._words.get(stix_id, ())}
        for held in group:
            near = {other for each in self._around.get(held.seq, ()) for other in self._chain(held.source, each)}
            seqs |= near | {seq for seq, _ in self._givers.get(held.seq, ())}
            for seq in (held.seq, *near):
                numbers |= {until for said in self._former.get(seq, {}).values() for until, _ in said}
        return seqs, numbers - {0, past.STILL}

    def _chain(self, source: str, near: Near) -> Iterable[int]:
        return (version.seq for version in self._chains.get((source, near.stix_id), ()))

    def at(self, stix_id: str, point: Point, ruled: Ruled, *, alone: int | None = None) -> list[Judged]:
        """What had been stated about this id, as it was to be decided then. `alone`: what else has no mark of its own
        was still waiting for the end of its drain, and so governed nothing (RULES R11).
        """
        group = [held for held in self.groups[stix_id] if held.seq <= point.upto]
        if not group:
            return []
        words = approvals.tally(row for number, row in self._words.get(stix_id, ()) if number <= point.number)
        made = [self._as_of(held, point, ruled.rules, words) for held in group]
        if alone is not None:
            made = [held if held.seq == alone or not _waits(held) else replace(held, waiting=True) for held in made]
        return judged(ruled.rules, made, point.when)

    def _as_of(self, held: Held, point: Point, rules: Rules, words: dict[approvals.Key, approvals.Approved]) -> Held:
        changed = self._former.get(held.seq, {})
        stated = _then(changed, former.STATED, point)
        parts = _then(changed, former.PARTS, point)
        doubt = _then(changed, former.DOUBT, point)
        said = _then(changed, former.TRAITS, point)
        personal, victim = (held.personal, held.victim) if said is None else traits.told(said)
        held = replace(
            held,
            stated=held.stated if stated is None else Label.from_text(stated),
            parts=held.parts if parts is None else Label.from_text(parts) if parts else None,
            doubt=held.doubt if doubt is None else doubt,
            personal=personal,
            victim=victim,
            touch=held.touch or _then(changed, former.TOUCH, point) is not None,
            withdrawn=self._withdrawn(held, point),
            copied=frozenset(peer for seq, peer in self._givers.get(held.seq, ()) if seq <= point.upto),
            approved=words.get((held.stix_id, held.source, held.version), frozenset()),
        )
        label, basis = self._worth(held, point, rules)
        return replace(held, label=label, basis=str(basis), marked=rules.understood(held.peer, held.stated).stated)

    def _withdrawn(self, held: Held, point: Point) -> frozenset[str]:
        return frozenset(
            mark.channel
            for mark in self._marks.get(held.stix_id, ())
            if mark.since <= point.number < mark.until
            and mark.peer in ("", held.peer)
            and mark.version in ("", held.version)
        )

    def _worth(self, held: Held, point: Point, rules: Rules) -> tuple[Label | None, Basis]:
        """RULES R10 to R12, as `sync.accept` works it out."""
        own, default = rules.understood(held.peer, held.stated), rules.default_label(held.peer)
        near = Neighbours([], [])
        if not own.stated or held.type in CONTAINERS:
            for each in self._around.get(held.seq, ()):
                if self._newest(held.source, each, point):
                    text = _then(self._former.get(each.seq, {}), former.STATED, point)
                    said = each.stated if text is None else Label.from_text(text)
                    if not each.end:
                        near.referrers.append(said)
                    elif rules.understood(held.peer, said).stated:
                        near.ends.append(said)
        if near.ends or near.referrers:
            return worth_among(rules, held, own, near, default)
        return resolve(own, ends=(), referrers=(), default=default)

    def _newest(self, source: str, near: Near, point: Point) -> bool:
        """Whether it was the newest version that its source had given until then."""
        chain = self._chains.get((source, near.stix_id), ())
        there = [each for each in chain if each.seq <= point.upto and self._leads(each, point)]
        return bool(there) and max(there).seq == near.seq

    def _leads(self, version: Version, point: Point) -> bool:
        """Whether it could be the newest then: one that was ahead of the clock when it came leads from the sitting on
        that found its time come (RULES R5).
        """
        if version.version <= horizon_at(moment(version.received)):
            return True
        led = self._former.get(version.seq, {}).get(former.LED)
        return bool(version.newest) if led is None else led[0][0] <= point.number


def _waits(held: Held) -> bool:
    """Whether it is judged when its drain is complete."""
    return held.basis != Basis.STATED or held.type in CONTAINERS


def _then(changed: dict[str, list[tuple[int, str]]], what: str, point: Point) -> str | None:
    """What stood there at that point; None: what stands there now."""
    return next((value for until, value in changed.get(what, ()) if point.number < until), None)
