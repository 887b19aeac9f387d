"""The events of one audience as they were last counted: kept, and brought up to date by what changed since.

Only groups of which a row was listed or closed are counted again. What depends on the clock alone (the end of an
agreement, the second in which something changed) is looked at each time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import orjson
import structlog
from sqlalchemy import Connection

from exchange.convert import compose, parts
from exchange.convert.gathering import rank
from exchange.convert.part import tags
from exchange.model.marking import Label
from exchange.policy import gate_event
from exchange.store import events, sighted, views
from exchange.store.clock import FOREVER, moment
from exchange.store.views import Group, Mark, Tally
from exchange.sync.counting import (
    SECOND,
    Counted,
    aside,
    counted_of,
    frame_of,
    guests_among,
    head_of,
    holds_anything,
    is_day,
    lead_of,
    settle,
    strictest,
    with_guest,
)
from exchange.sync.view import EventRow, Index, View, minted

log = structlog.get_logger()

_MANY = 20_000
"""Rows after which to count everything anew is as quick."""
_TOLERANCE = 300
"""Seconds by which a creator's clock may be ahead (RULES R5)."""
_MAY_BE_SIGHTINGS = ("sighting--", "opinion--", "note--")
_UNDEFINED, _COMPLETED = "4", "2"
_SOMEBODY = "identity--"
"""A creator that is neither we nor our house."""
"""MISP's threat level and analysis, where the creator says none."""


@dataclass(slots=True)
class Grouped:
    """The groups of one audience; `index` brings them up to date. One thread at a time."""

    view: View
    lock: threading.Lock = field(default_factory=threading.Lock)
    leads: dict[int, str] = field(default_factory=dict)
    """Number of an event → the peer that leads it."""
    _groups: dict[Group, Counted] = field(default_factory=dict)
    _names: dict[str, tuple[str, int]] = field(default_factory=dict)
    _sighted: Mapping[Group, int] = field(default_factory=dict)
    _sightings: bool = False
    _carriers: dict[int, bool] = field(default_factory=dict)
    """Number of a statement → whether that opinion or note carries a sighting."""
    _mark: Mark | None = None
    _until: int = FOREVER
    _guests: dict[Group, Group] = field(default_factory=dict)
    """Group → the one of what names no creator and is held by the same report: it is in that event too."""
    _rows: dict[Group, EventRow] = field(default_factory=dict)
    _hot: set[Group] = field(default_factory=set)
    """Groups of which a date may still move on by the clock alone."""
    _awaited: set[Group] = field(default_factory=set)
    """Groups whose frame is held and not judged yet: they wait for it, for MISP moves no attribute between events."""
    _index: Index | None = None
    _second: int = 0

    def index(self, tx: Connection, now: int) -> Index:
        """The index at `now`."""
        mark = views.mark(tx, self.view.number)
        stale: set[Group] | None = set()
        if self._mark is None or self._index is None or now >= self._until:
            stale = None
        elif not self._mark.covers(mark):  # another thread may have seen more already
            stale = self._update(tx, now, self._mark, mark)
        elif (now // SECOND == self._second or not self._hot) and not self._awaited:
            self._second = now // SECOND
            return self._index
        if stale is None:
            self._count(tx, now)
        waited, self._awaited = self._awaited, self._waiting(tx, now, stale)
        if self._mark is None or not self._mark.covers(mark):
            self._mark = mark
        self._second = now // SECOND
        self._write(None if stale is None else stale | self._hot | waited, now)
        self._index = _indexed(self._apart())
        return self._index

    def only(self, tx: Connection, numbers: Collection[int], now: int) -> Mapping[Group, EventRow]:
        """Group → the row in which it is, of these events alone; for a Grouped that is used once."""
        self._take(tx, now, {*numbers, *events.alike(tx, numbers)})
        self._sighted = self._seen(tx, now) if sighted.any_sighting(tx, self.view.number) else {}
        self._name(tx, now)
        self._write(None, now)
        found = self._apart()
        for host, guest in self._guests.items():
            if host in found:
                found[guest] = found[host]
        return found

    @property
    def until(self) -> int:
        """Up to when what `only` gave holds, as long as nothing is listed or closed; 0: it may move on at once."""
        return 0 if self._hot else self._until

    def _waiting(self, tx: Connection, now: int, stale: set[Group] | None) -> set[Group]:
        """Which of these groups, and of those that waited before, wait for their frame; None: of all."""
        asked = self._groups.keys() if stale is None else (stale | self._awaited) & self._groups.keys()
        names = {g[0]: events.names(self._groups[g].place.key) for g in asked if self._groups[g].head is None}
        early = views.early(tx, self.view.number, now, names)
        return {group for group in asked if group[0] in early}

    def _count(self, tx: Connection, now: int) -> None:
        """Everything anew."""
        self._groups, self._names, self._rows, self.leads = {}, {}, {}, {}
        self._take(tx, now, None)
        self._sightings = sighted.any_sighting(tx, self.view.number)
        self._sighted = self._seen(tx, now) if self._sightings else {}
        self._name(tx, now)

    def _update(self, tx: Connection, now: int, before: Mark, mark: Mark) -> set[Group] | None:
        """Count again what changed between two marks; gives the groups whose rows are to be written. None: too much."""
        number = self.view.number
        ids = views.changed(tx, number, before, mark, _MANY)
        if ids is None:
            return None
        touched = {strand[0] for found in views.events_of(tx, number, ids).values() for strand in found}
        stale = {group for group in self._groups if group[0] in touched} if touched else set()
        for group in stale:
            del self._groups[group]
        self._take(tx, now, touched)
        stale |= {group for group in self._groups if group[0] in touched}
        names = self._names
        self._name(tx, now)
        renamed = {creator for creator, name in self._names.items() if names.get(creator) != name}
        stale |= {group for group, counted in self._groups.items() if counted.place.creator in renamed}
        if self._sightings or any(stix_id.startswith(_MAY_BE_SIGHTINGS) for stix_id in ids):
            self._sightings = True
            seen, self._sighted = self._sighted, self._seen(tx, now)
            stale |= {group for group in self._sighted if self._sighted[group] != seen.get(group)}
        return stale

    def _seen(self, tx: Connection, now: int) -> Mapping[Group, int]:
        """When the last sighting of anything in each group was listed."""
        found: dict[Group, int] = {}
        told = sighted.sighted(tx, self.view.number, now, self._carriers, is_sighting, folds=self.view.folds)
        for strand, when in told.items():
            group = self.group(*strand)
            found[group] = max(found.get(group, 0), when)
        return found

    def group(self, number: int, peer: str, beside: bool) -> Group:
        """Where it stands what `peer` gave of this event."""
        return number, aside(self.leads.get(number, ""), peer, beside=beside)

    def _take(self, tx: Connection, now: int, numbers: Collection[int] | None) -> None:
        tallies = views.tallies(tx, self.view.number, now, numbers)
        places = events.places(tx, {tally.event for tally in tallies})
        hides = self.view.hides
        of_event: dict[int, list[Tally]] = {}
        for tally in tallies:
            if not hides(tally.agreement, places[tally.event].creator, tally.peer):
                of_event.setdefault(tally.event, []).append(tally)
        for number, found in of_event.items():
            place = places[number]
            lead = self.leads[number] = lead_of(place, found, self.view.owner(place.creator))
            tallied: dict[Group, list[Tally]] = {}
            for tally in found:
                tallied.setdefault(self.group(number, tally.peer, bool(tally.beside)), []).append(tally)
            self._groups |= {group: counted_of(place, lead, some) for group, some in tallied.items()}
        for number, since, frame in views.frames(
            tx, self.view.number, now, {each: self.leads[each] for each in of_event}
        ):
            counted, told = self._groups.get((number, False)), frame.row
            if counted is not None and not hides(told.agreement, told.creator, told.peer):
                hidden = hides(told.agreement, _SOMEBODY, told.peer)
                counted.head = head_of(frame, since, shown=frame.row.shown(now), hides=hidden)
        self._until = min((counted.until for counted in self._groups.values()), default=FOREVER)

    def _name(self, tx: Connection, now: int) -> None:
        """The names of the creators whose identities the audience sees, and since when (RULES R13)."""
        creators = {counted.place.creator for counted in self._groups.values()} - {""}
        found: dict[str, tuple[str, int]] = {}
        for row, body in views.shown(tx, self.view.number, now, creators):
            name = orjson.loads(body).get("name")
            if isinstance(name, str) and name:
                found[row.stix_id] = name, row.added
        self._names = found

    def _write(self, stale: Iterable[Group] | None, now: int) -> None:
        """Write the rows of these groups; None: of all."""
        if stale is None:
            self._rows, self._hot, stale = {}, set(), set(self._groups)
        before, self._guests = self._guests, guests_among(self._groups)
        pairs = before.items() | self._guests.items()
        affected = set(stale)
        affected |= {
            group for pair in pairs if affected & set(pair) or pair not in self._guests.items() for group in pair
        }
        inside = set(self._guests.values())
        for group in affected:
            self._rows.pop(group, None)
            self._hot.discard(group)
            counted = self._groups.get(group)
            if counted is None or group in inside or group in self._awaited:
                continue
            guest = self._guests.get(group)
            if guest is not None:
                counted = with_guest(counted, self._groups[guest])
            if not holds_anything(counted, beside=group[1]):
                continue
            row, moves = self._row(group, counted, now)
            if guest is not None:
                leads = {**row.leads, guest[0]: self.leads[guest[0]]}
                row = msgspec.structs.replace(row, guests=(guest[0],), leads=leads)
            if not gate_event(orjson.dumps(frame_of(row).fields()), self.view.clearance):
                log.error("gate.stopped", source=self.view.flavour, audience=self.view.audience, id=row.uuid)
                continue
            self._rows[group] = row
            if moves:
                self._hot.add(group)

    def _apart(self) -> dict[Group, EventRow]:
        """The rows, each under a uuid of its own. Of two with one uuid the one whose frame was listed first, ever,
        keeps it: what comes into an event, or is withdrawn from it, takes no uuid from anybody (RULES R5).
        """
        heads = [(c.head.since, group, c.head.uuid) for group, c in self._groups.items() if c.head is not None]
        keeps: dict[str, Group] = {}
        for _, group, uuid in sorted(heads):
            keeps.setdefault(uuid, group)
        found = dict(self._rows)
        for group, row in self._rows.items():
            if keeps.get(row.uuid, group) != group:
                uuid = minted(self.view.secret, f"{self.view.audience}|{row.uuid}|{row.orgc_uuid}|{group[1]:d}")
                found[group] = msgspec.structs.replace(row, uuid=uuid)
        return found

    def _row(self, group: Group, counted: Counted, now: int) -> tuple[EventRow, bool]:
        view, place, head = self.view, counted.place, counted.head
        ours = group[1] or not place.creator
        creator = view.node[1] if ours else place.creator
        name, named = (view.node[0], 0) if ours else self._names.get(creator, (creator, 0))
        changed = max(counted.changed, named)
        seen = max(self._sighted.get(group, 0), self._sighted.get(self._guests.get(group, (0, False)), 0))
        uuid = (
            head.uuid
            if head is not None
            else minted(view.secret, f"{view.audience}|{place.creator}|{place.key}|{group[1]:d}")
        )
        shown = head if head is not None and head.shown and head.label.level(listed=True) is not None else None
        label = shown.label if shown is not None else strictest(counted.labels)
        day = place.key if is_day(place.key) else moment(counted.begun).date().isoformat()
        fields = shown.fields if shown is not None else {}
        row = EventRow(
            uuid=uuid,
            timestamp=settle(changed, now) + _TOLERANCE * counted.ahead,
            orgc_uuid=creator.partition("--")[2].lower(),
            orgc_name=name,
            info=fields.get("info") or f"{view.title} – {name} – {day}",
            date=fields.get("date") or day,
            tags=shown.tags if shown is not None else tuple(tags(label)),
            threat_level_id=fields.get("threat_level_id") or _UNDEFINED,
            analysis=fields.get("analysis") or _COMPLETED,
            extends_uuid=fields.get("extends_uuid") or "",
            distribution=str(compose.distribution(label, view.flavour)),
            level=rank(label),
            attribute_count=counted.attributes,
            sighting_timestamp=settle(seen, now) if seen else 0,
            group=group,
            leads={group[0]: counted.lead},
            first=counted.first,
            last=counted.last,
            rows=counted.rows,
        )
        return row, max(changed, seen) // SECOND >= now // SECOND


@dataclass(slots=True)
class Latest:
    """Events of one audience as they were last counted, for who looks at the same few again and again (push).

    To count an event costs as much as it holds, and a large one leaves in many steps: it is counted again only when
    something was listed or closed.
    """

    _view: View | None = None
    _mark: Mark | None = None
    _until: int = 0
    _counted: set[int] = field(default_factory=set)
    _leads: dict[int, str] = field(default_factory=dict)
    _found: dict[Group, EventRow] = field(default_factory=dict)

    def of(self, tx: Connection, view: View, numbers: Collection[int], now: int) -> Mapping[Group, EventRow]:
        """Group → the row in which it is, of these events at least."""
        mark = views.mark(tx, view.number)
        if view != self._view or mark != self._mark or now >= self._until:
            self._view, self._mark, self._until = view, mark, FOREVER
            self._counted, self._found, self._leads = set(), {}, {}
        missing = set(numbers) - self._counted
        if missing:
            grouped = Grouped(view)
            self._found |= grouped.only(tx, missing, now)
            self._leads |= grouped.leads
            self._until = min(self._until, grouped.until)
            self._counted |= missing
        return self._found

    def aside(self, number: int, peer: str, *, beside: bool = False) -> bool:
        """Whether what `peer` gave of this event, which was counted, stands beside it."""
        return aside(self._leads.get(number, ""), peer, beside=beside)


def is_sighting(body: bytes) -> bool:
    """Whether an opinion or note stands for a sighting of MISP: of type 1, a false positive, or of type 2."""
    return any(part.kind == "sighting" for part in parts(orjson.loads(body), Label())[0])


def _indexed(rows: Mapping[Group, EventRow]) -> Index:
    """All rows in order of uuid."""
    ordered = {row.uuid: row for row in sorted(rows.values(), key=lambda row: row.uuid)}
    digest = hashlib.sha256()
    for row in ordered.values():
        digest.update(_told(row))
    return Index(by_uuid=ordered, etag=digest.hexdigest()[:32])


def _told(row: EventRow) -> bytes:
    """What a reader is told of an event: not where it stands in our store (RULES R14)."""
    return orjson.dumps([
        row.uuid, row.timestamp, row.orgc_uuid, row.orgc_name, row.info, row.date, row.tags, row.threat_level_id,
        row.analysis, row.extends_uuid, row.distribution, row.attribute_count, row.sighting_timestamp,
    ])  # fmt: skip


class Kept:
    """Indexes as they were last made, one for each audience and flavour; the least used go. Threads may share it."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Grouped] = {}

    def get(self, view: View, read: Callable[[Grouped], Index]) -> Index:
        """What `read` gives of the groups that are kept for this view; those of another epoch are forgotten."""
        name = (view.audience, view.flavour)
        with self._lock:
            grouped = self._found.pop(name, None)
            if grouped is None or grouped.view != view:
                grouped = Grouped(view)
            self._found[name] = grouped
            while len(self._found) > self._most:
                del self._found[next(iter(self._found))]
        with grouped.lock:
            return read(grouped)
