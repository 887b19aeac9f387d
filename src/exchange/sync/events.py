"""What one audience sees over MISP (RULES R26): an index of events, and each event put together from released entities.

The listing of an audience is its TAXII view and its MISP view at once. Its rows are grouped by (creator, event key),
see `sync.membership`; the frame of an event is the report or grouping that stands for it, if that is listed there too,
else a neutral frame of ours under a uuid that tells nothing (R15). Every byte and every date comes from rows that the
audience sees or has seen, so nothing else leaves a trace (R14).

    view = view_of(tx, rules, audience, number, title=…, node=…, flavour="sync")
    found = index(tx, view, now, kept=kept)            # incremental where `kept` (one for a process) is given
    row = found.get(uuid)                              # None: no such event for this audience
    event = document(tx, view, row, now)               # read at once; the transaction may end here
    for piece in event: …                              # the JSON of {"Event": {…}}
    event.attributes, event.lost

`now` is µs since 1970 everywhere. Timestamps of MISP are whole seconds; see `EventRow.timestamp`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection

from exchange.convert import Lost, Part, parts
from exchange.convert.compose import Draft, Flavour, Times, apart
from exchange.errors import StoreError
from exchange.model.marking import Label, of_tags, says
from exchange.model.schema import observable_types
from exchange.policy import Audience, Rules, gate_event
from exchange.store import audiences, repointed, views
from exchange.store.audiences import NODE_SECRET
from exchange.store.views import Row
from exchange.sync import stand_ins
from exchange.sync.counting import SECOND, frame_of
from exchange.sync.grouped import Grouped, Kept
from exchange.sync.view import EventRow, Index, View, minted

__all__ = [
    "Document", "EventRow", "Flavour", "Index", "Kept", "View", "carried", "document", "hashes", "index",
    "rows_for", "sightings", "view_of",
]  # fmt: skip

log = structlog.get_logger()


def view_of(
    tx: Connection, rules: Rules, audience: Audience, number: int, *, title: str, node: str, flavour: Flavour
) -> View:
    """The view of `audience`, whose number in the store is `number`. `node`: our name.

    Raises StoreError while the store has no secret of its own: no terms were adopted yet.
    """
    secret = audiences.note(tx, NODE_SECRET)
    if not secret:
        raise StoreError("store.unavailable", detail=NODE_SECRET)
    return View(
        audience=audience.key,
        number=number,
        epoch=rules.epoch,
        clearance=int(rules.clearance(audience)),
        title=title,
        node=(node, rules.terms.node_identity),
        secret=bytes.fromhex(secret),
        folds=audience.fold,
        owner=rules.owner,
        hides=partial(rules.hides, audience),
        flavour=flavour,
    )


def index(tx: Connection, view: View, now: int, *, kept: Kept | None = None) -> Index:
    """The events that the audience sees at `now`. With `kept`, only what changed since the last time is read."""
    if kept is None:
        return Grouped(view).index(tx, now)
    return kept.get(view, lambda grouped: grouped.index(tx, now))


def rows_for(tx: Connection, view: View, stix_ids: Collection[str], now: int) -> dict[str, EventRow]:
    """STIX id → the event in which it stands, or stood; without looking at any other event. For a push.

    What is in no event of this audience is not there.
    """
    strands, grouped = views.events_of(tx, view.number, stix_ids), Grouped(view)
    rows = grouped.only(tx, {strand[0] for found in strands.values() for strand in found}, now)
    groups = {stix_id: [grouped.group(*strand) for strand in found] for stix_id, found in strands.items()}
    return {stix_id: rows[group] for stix_id, found in groups.items() for group in found if group in rows}


class Document(Iterable[bytes]):
    """One event, put together and judged; its JSON is read piece by piece, as often as one likes.

    Every piece has passed the second gate (RULES R25); a part that it refused is left out, and logged as an alarm.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.attributes = draft.attributes
        """How many there are that are not deleted, those of objects too."""
        self.objects = draft.objects
        self.reports = draft.reports
        self.lost: Counter[str] = draft.lost
        """Why code → how many parts are not in it as their creator said them."""

    def __iter__(self) -> Iterator[bytes]:
        return self._draft.pieces()

    def living(self) -> Iterator[bytes]:
        """The same without tombstones, for who asks for nothing that was deleted."""
        return self._draft.pieces(gone=False)

    def bodies(self, section: str) -> Iterator[dict[str, Any]]:
        """What stands in `Attribute`, `Object` or `EventReport`, one by one, without tombstones."""
        return self._draft.bodies(section)


def document(tx: Connection, view: View, row: EventRow, now: int, *, only: Collection[str] | None = None) -> Document:
    """The event `row`. `only`: the STIX ids whose parts go into it (push: what changed); the frame is always there.

    What was shown once and is gone comes as a tombstone without its value. Sightings are inside of a feed's event only,
    where they have no other way.
    """
    judged = partial(gate_event, clearance=view.clearance, whole=False)
    draft = Draft(frame_of(row), view.flavour, mint=_mint(view, row), passes=judged)
    if view.flavour == "feed" and row.sighting_timestamp:
        inside: dict[str, list[Mapping[str, Any]]] = {}
        for seen in sightings(tx, view, [row], now):
            inside.setdefault(str(seen["attribute_uuid"]), []).append(seen)
        draft.sight(inside)
    moved = repointed.moved(tx, view.number, now, (row.group[0], *row.guests))
    for found, stix, times in _members(tx, view, row, now, only):
        label = Label.from_text(found.label)
        made, lost = _parts(stix, label, row, view)
        if times is None:
            for part in made:
                draft.recall(part, found.added // SECOND)
            continue
        draft.lost.update(each.code for each in lost)
        for part in made:
            draft.take(_pointing(part, moved) if moved else part, label, times)
    for uuid in draft.stopped:
        log.error("gate.stopped", source=view.flavour, audience=view.audience, id=uuid)
    if draft.lost:
        log.info("convert.lost", audience=view.audience, id=row.uuid, counts=dict(draft.lost))
    return Document(draft)


def _pointing(part: Part, moved: Mapping[str, str]) -> Part:
    """`part`, with what it refers to under the uuid that this audience has it under."""
    for each in part.body.get("ObjectReference") or ():
        uuid = str(each.get("referenced_uuid")).lower()
        each["referenced_uuid"] = moved.get(uuid, each.get("referenced_uuid"))
    return part


def _mint(view: View, row: EventRow) -> Any:
    return lambda text: minted(view.secret, f"{view.audience}|{row.uuid}|{text}")


def _parts(stix: Mapping[str, Any], label: Label, row: EventRow, view: View) -> tuple[Sequence[Part], Sequence[Lost]]:
    """The parts of one object; the words of the report that is the event itself become a report in it."""
    made, lost = parts(stix, label)
    own = str(stix["id"]).partition("--")[2].lower()
    if own != row.uuid or stix["type"] not in ("report", "grouping"):
        return made, lost
    uuid = _mint(view, row)("words")
    words = [part for part in made if part.kind == "report" and part.body.get("content")]
    return [replace(part, uuid=uuid) for part in words], lost


def _members(
    tx: Connection, view: View, row: EventRow, now: int, only: Collection[str] | None
) -> Iterator[tuple[Row, dict[str, Any], Times | None]]:
    """What stands, or stood, in the event for this audience, in the order in which it came, and when that was.

    None: an earlier version of what stands there, which held MISP objects.
    """
    places = (row.group[0], *row.guests)
    batches = chain.from_iterable(
        ((each, batch) for batch in views.rows(tx, view.number, each))
        if only is None
        else ((each, batch) for batch in views.rows_of(tx, view.number, each, only))
        for each in places
    )
    for number, batch in batches:
        mine = [r for r in batch if row.holds(number, r.peer, beside=r.rank < 0) and not _hidden(view, r)]
        pasts = _pasts(tx, view, mine, now)
        known = [(r, _times(r, pasts.get(r.stix_id, ()), now)) for r in mine if not r.folded]
        for (found, times), body in zip(known, views.bodies(tx, [r for r, _ in known]), strict=True):
            if times is not None or _OBJECTS in body:
                yield found, orjson.loads(body), times


_OBJECTS = b'"objects":[{"'


def _hidden(view: View, row: Row) -> bool:
    return view.hides(row.agreement, row.creator, row.peer)


def _pasts(tx: Connection, view: View, rows: Sequence[Row], now: int) -> Mapping[str, Sequence[Row]]:
    """The histories of these ids, if anything at all was ever taken from this audience."""
    if all(row.shown(now) for row in rows) and not views.mark(tx, view.number).closings:
        return {}
    return views.histories(tx, view.number, [row.stix_id for row in rows if row.type != "sighting"])


def _times(row: Row, past: Sequence[Row], now: int) -> Times | None:
    """When the audience got this row and, if it has lost the object, when; None: it is told nothing of this row."""
    known = [each for each in past if not each.folded]
    closings = sum(1 for each in known if each.gone(now))
    if row.shown(now):
        return Times(listed=row.added // SECOND, closings=closings)
    if row.folded or any(each.shown(now) for each in past) or not known or row.added != known[-1].added:
        return None
    gone = max((each.gone(now) for each in known), default=0) or past[-1].added
    return Times(listed=row.added // SECOND, gone=gone // SECOND, closings=closings)


def hashes(tx: Connection, view: View, rows: Iterable[EventRow], now: int) -> Iterator[tuple[str, str]]:
    """(md5 of a value, uuid of its event) for what MISP correlates without fetching; composite values part by part."""
    for row in rows:
        told = set[str]()
        for found, stix, times in _members(tx, view, row, now, None):
            if times is None or times.gone:
                continue
            for part in parts(stix, Label.from_text(found.label))[0]:
                for value in _values(part):
                    digest = hashlib.md5(value.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
                    if digest not in told:
                        told.add(digest)
                        yield digest, row.uuid


def _values(part: Part) -> Iterator[str]:
    inside = [part.body] if part.kind == "attribute" else part.body.get("Attribute") or ()
    for body in inside:
        if body.get("deleted") is True:
            continue
        composite = "|" in body["type"] or body["type"] == "malware-sample"
        yield from body["value"].split("|") if composite else (body["value"],)


def sightings(tx: Connection, view: View, rows: Iterable[EventRow], now: int) -> Iterator[dict[str, Any]]:
    """MISP's sightings of what stands in these events, whoever saw it, each once for an event.

    {"uuid", "type", "source", "date_sighting", "attribute_uuid", "event_uuid", "org_id", "Organisation": {"uuid",
    "name"}}. One that stands under a stricter label than the event is held: a sighting cannot say so.
    """
    by_number: dict[int, list[EventRow]] = {}
    for row in rows:
        for number in (row.group[0], *row.guests):
            by_number.setdefault(number, []).append(row)
    told: set[tuple[str, str]] = set()
    names: dict[str, str] = {}
    for ((number, peer, beside), (found, body), *_), place in stand_ins.told(tx, view, by_number, now):
        its = next((each for each in by_number[number] if each.holds(number, peer, beside=beside)), None)
        label = Label.from_text(found.label)
        if its is None or (its.uuid, found.stix_id) in told or _hidden(view, found):
            continue
        row = its
        if not says(of_tags(str(tag["name"]) for tag in row.tags), label):
            continue
        told.add((row.uuid, found.stix_id))
        stix = orjson.loads(body)
        for part in parts(stix, label)[0]:
            if part.kind == "sighting":
                seen = {**part.body, "event_uuid": row.uuid, "org_id": "0"}
                seen["attribute_uuid"] = place(str(seen["attribute_uuid"]))
                seen.setdefault("Organisation", _organisation(tx, view, stix, names, now))
                seen["Organisation"].setdefault("name", seen["Organisation"]["uuid"])
                if gate_event(orjson.dumps(seen), view.clearance, whole=False):
                    yield seen


def _organisation(
    tx: Connection, view: View, stix: Mapping[str, Any], names: dict[str, str], now: int
) -> dict[str, str]:
    """Who says it: the creator it names, by name if the audience sees that identity; else we."""
    creator = str(stix.get("created_by_ref") or view.node[1])
    if creator not in names:
        names[creator] = view.node[0] if creator == view.node[1] else creator
        for _, body in views.shown(tx, view.number, now, [creator]):
            names[creator] = str(orjson.loads(body).get("name") or creator)
    return {"uuid": creator.partition("--")[2].lower(), "name": names[creator]}


_NO_CARRIERS = ("identity", "indicator", "marking-definition", "observed-data", "x-misp-attribute", "x-misp-object")


def carried(
    tx: Connection,
    view: View,
    kinds: Collection[str],
    now: int,
    *,
    uuids: Collection[str] | None = None,
    within: EventRow | None = None,
) -> Iterator[Part]:
    """Entities that travel by calls of their own (`note`, `opinion`, `relationship`, `proposal`, `cluster`), of all
    that the audience sees, in order of date. `uuids`: only these. `within`: the event beside which they go, which they
    outreach nowhere.

    What stands under a TLP stricter than GREEN, a PAP or an IEP is held, because none of these can say so.
    """
    furthest = {} if within is None else {"within": int(within.distribution)}
    for batch in views.but(tx, view.number, now, (*_NO_CARRIERS, *observable_types())):
        for found, body in batch:
            if _hidden(view, found):
                continue
            label = Label.from_text(found.label)
            for part in parts(orjson.loads(body), label)[0]:
                if part.kind not in kinds or not (uuids is None or part.uuid in uuids):
                    continue
                whole = apart(part, label, view.flavour, **furthest)
                if whole is not None and gate_event(orjson.dumps(whole), view.clearance, whole=False):
                    yield replace(part, body=whole)
