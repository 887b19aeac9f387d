"""Handing over to a MISP: what waits leaves as events, and what may no longer be there is deleted there.

Parcels are grouped into the events to which their statements belong, and each event is composed of what changed in it:
MISP keeps what an edit does not name. An event keeps the uuid under which it was first sent, and goes under a greater
timestamp each time; that is written down before it leaves, so that a lost answer cannot block the next one. What the
target has and may no longer have goes as a soft deletion without its value (RULES R8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson
import structlog
from sqlalchemy import Connection

from exchange.convert import Part, parts
from exchange.convert.part import tags, tombstone
from exchange.model.envelope import Outgoing, PeerClient, Receipt
from exchange.model.marking import Label, Tlp
from exchange.model.party import Target
from exchange.policy import Audience, gate, gate_event
from exchange.store import accounts, aliases, audiences, listings, pushed, sources
from exchange.store.clock import micros
from exchange.store.listings import Parcel
from exchange.store.pushed import Had, Owed, Pushed, Stands
from exchange.store.views import Group
from exchange.sync import events
from exchange.sync.entities import entities, left_out, rename, seen_by, tag_names, uuids, whole, within_their_walls
from exchange.sync.framing import unframed
from exchange.sync.grouped import Latest
from exchange.sync.pull import LEASE, Work, peer_of
from exchange.sync.view import EventRow, View, minted

log = structlog.get_logger()

BATCH = 4000
"""Parcels, and recalls, of one step: not more than MISP takes in one call without stumbling."""
MOST_ATTEMPTS = 1440
"""A target that says *pending* so often has refused it."""
_ONE_CALL = 5000
_APART = {
    "note": "Note", "opinion": "Opinion", "relationship": "Relationship", "proposal": "ShadowAttribute",
    "cluster": "GalaxyCluster",
}  # fmt: skip
"""Kinds that travel beside the event's own parts → under what name."""

Settled = tuple[Parcel, str, str]


@dataclass(slots=True, kw_only=True)
class _Bundle:
    """What goes into one event this time."""

    parcels: list[Parcel] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    before: dict[str, frozenset[str]] = field(default_factory=dict)
    """uuid of a part → the tags under which the target has it."""
    again: set[str] = field(default_factory=set)
    """uuids of the parts that the target has deleted for us."""
    lost: dict[str, str] = field(default_factory=dict)
    """Id of an object that goes in part → why not whole."""

    def ids(self) -> set[str]:
        """The objects whose parts go, or go as deletions."""
        return {parcel.stix_id for parcel in self.parcels} | {row.stix_id for row in self.owed}


@dataclass(slots=True, kw_only=True)
class _Step:
    """One step: what was taken from the outbox, what became of it at once, and the events to be sent."""

    after: int
    back: tuple[int, int]
    settled: list[Settled] = field(default_factory=list)
    kept: list[tuple[Owed, str, str]] = field(default_factory=list)
    bundles: dict[int, _Bundle] = field(default_factory=dict)
    """By the number of the event; below 0: what stands beside it, an event of its own."""
    outgoing: dict[int, Outgoing] = field(default_factory=dict)
    reserved: dict[int, Pushed] = field(default_factory=dict)
    postponed: bool = False

    def bundle(self, number: int) -> _Bundle:
        """What goes into this event."""
        return self.bundles.setdefault(number, _Bundle())


def waits(tx: Connection, audience: Audience, now: int) -> bool:
    """Whether anything is to be sent to a MISP target, or taken back from it."""
    return bool(listings.parcels(tx, audience.key, now, 1) or pushed.owed(tx, audience.channel, 1))


def hand_over(work: Work, target: Target, audience: Audience, client: PeerClient, counts: Counter[str]) -> str:
    """Send until nothing waits; what is sent was decided against everything committed before (RULES R17)."""
    after, back, waiting, rows = -1, (-1, -1), False, Latest()
    while not work.stopping():
        now = work.clock()
        if peer_of(work, target).closed_until(now):
            return "closed"
        with work.store.reading() as tx:
            if accounts.braked(tx, target.peer, "out"):
                return "paused"
            step = _Composing(work, target, audience, tx, now, rows).step(after, back)
        if step is None:
            return "waiting" if waiting else "complete"
        after, back = step.after, step.back
        if not _sent(work, target, audience, step, client, counts):
            return "lease_lost"
        waiting = waiting or step.postponed or any(state == "pending" for _, state, _ in step.settled)
        waiting = waiting or any(state == "recall" for _, state, _ in step.kept)
    return "stopping"


def _sent(
    work: Work, target: Target, audience: Audience, step: _Step, client: PeerClient, counts: Counter[str]
) -> bool:
    """Hand the events of a step over and write down what became of each; False: the lease was taken from us."""
    if step.outgoing:
        leaving = [parcel for number in step.outgoing for parcel in step.bundles[number].parcels]
        with work.store.writing() as tx:
            if not sources.extend(tx, target.key, work.owner, micros(work.clock() + LEASE)):
                return False
            pushed.reserve(tx, audience.channel, step.reserved, leaving)
        receipts = {receipt.id: receipt for receipt in client.push(target, list(step.outgoing.values()))}
        for number, sent in step.outgoing.items():
            _receive(step, step.bundles[number], receipts.get(sent.id))
    now = work.clock()
    with work.store.writing() as tx:
        held = sources.extend(tx, target.key, work.owner, micros(now + LEASE))
        if held:
            peer, channel = target.peer, audience.channel
            listings.settle(tx, step.settled, peer=peer, channel=channel, now=micros(now))
            pushed.settle_owed(tx, step.kept, peer=peer, channel=channel, now=micros(now))
    counts.update(state for _, state, _ in step.settled)
    counts.update(state for _, state, _ in step.kept if state not in ("accepted", "recall"))
    return held


def _receive(step: _Step, bundle: _Bundle, receipt: Receipt | None) -> None:
    """What the target says of an event holds for everything in it."""
    outcome = "pending" if receipt is None else receipt.outcome
    message = "" if receipt is None else receipt.message
    for parcel in bundle.parcels:
        endless = outcome == "pending" and parcel.attempts >= MOST_ATTEMPTS
        said = message or bundle.lost.get(parcel.stix_id, "")
        step.settled.append((parcel, "refused" if endless else outcome, said))
    for row in bundle.owed:
        state = {"accepted": "recalled", "pending": "recall"}.get(outcome, outcome)
        if state == "refused":
            log.error("recall.refused", id=row.stix_id, agreement=row.agreement, detail=message)
        step.kept.append((row, state, message))


class _Composing:
    """Makes one step, in one reading transaction."""

    def __init__(
        self, work: Work, target: Target, audience: Audience, tx: Connection, now: datetime, rows: Latest
    ) -> None:
        self.work, self.target, self.audience, self.tx, self.now, self.rows = work, target, audience, tx, now, rows
        self.clearance = int(work.rules().clearance(audience))
        self.place = audiences.everyone(tx)[audience.key].number
        self.view = events.view_of(
            tx, work.rules(), audience, self.place, title=work.node, node=work.node, flavour="push"
        )

    def _shown(self, numbers: Iterable[int]) -> Mapping[Group, EventRow]:
        """The rows of these events, and who leads them."""
        return self.rows.of(self.tx, self.view, set(numbers), micros(self.now))

    def _number(self, event: int, peer: str, rank: int = 0) -> int:
        """Under which number it goes what `peer` gave of an event that was counted."""
        return -event if self.rows.aside(event, peer, beside=rank < 0) else event

    def step(self, after: int, back: tuple[int, int]) -> _Step | None:
        """What is to be done behind these marks; None: nothing."""
        tx = self.tx
        parcels = listings.parcels(tx, self.audience.key, micros(self.now), BATCH, after=after)
        owed = pushed.owed(tx, self.audience.channel, BATCH, after=back)
        if not parcels and not owed:
            return None
        last = (owed[-1].audience, owed[-1].added) if owed else back
        step = _Step(after=parcels[-1].added if parcels else after, back=last)
        self._recall(step, owed)
        if parcels:
            self._sift(step, parcels)
        if step.bundles:
            self._compose(step, full=len(parcels) == BATCH)
        return step

    def _recall(self, step: _Step, owed: Sequence[Owed]) -> None:
        """What the target may still have in another version is no recall: that version takes its place."""
        still = pushed.still_listed(self.tx, self.audience.key, {row.stix_id for row in owed})
        self._shown(row.event for row in owed)
        for row in owed:
            if row.stix_id in still:
                step.kept.append((row, "accepted", ""))
            else:
                step.bundle(self._number(row.event, row.peer, row.rank)).owed.append(row)

    def _sift(self, step: _Step, parcels: Sequence[Parcel]) -> None:
        """What need not, must not or cannot leave, with why; and what leaves, by its event."""
        tx, ids = self.tx, {parcel.stix_id for parcel in parcels}
        held = aliases.held_by(tx, self.target.peer, ids)
        had = pushed.had(tx, self.audience.channel, ids)
        stands = pushed.stands(tx, parcels)
        self._shown(stand.event for stand in stands.values())
        early = unframed(tx, stands.values(), micros(self.now))
        about: list[tuple[Parcel, list[Part], str]] = []
        for parcel in parcels:
            stand, last = stands[parcel.audience, parcel.added], had.get(parcel.stix_id)
            if (parcel.stix_id, parcel.version) in held:
                step.settled.append((parcel, "known", "push.peer_gave_it"))
            elif last is not None and not parcel.again and _same(last, parcel, stand):
                step.settled.append((parcel, "known", "push.peer_has_it"))
            elif not gate(parcel.body, self.clearance):
                log.error("gate.stopped", source=self.target.key, id=parcel.stix_id, audience=parcel.audience)
                step.settled.append((parcel, "stopped", "gate.marking"))
            elif stand.event in early:
                step.postponed = True
            else:
                self._take(step, parcel, stand, last, about)
        self._beside(step, about)

    def _take(
        self,
        step: _Step,
        parcel: Parcel,
        stand: Stands,
        last: Had | None,
        about: list[tuple[Parcel, list[Part], str]],
    ) -> None:
        """Put it into its event; what is `about` something else goes where that is."""
        stix = orjson.loads(parcel.body)
        found, lost = parts(stix, Label.from_text(stand.label))
        code = lost[0].code if lost else ""
        if not found:
            code = code or left_out(stix)
            step.settled.append((parcel, "lost", code) if code else (parcel, "known", "push.nothing_of_its_own"))
            return
        if found[0].kind == "sighting" and not found[0].event:
            about.append((parcel, found, str(stix.get("sighting_of_ref") or next(iter(stix["object_refs"]), ""))))
            return
        remarks = all(part.kind in _APART for part in found)  # they go beside the event that they are about
        bundle = step.bundle(stand.event if remarks else self._number(stand.event, stand.peer, stand.rank))
        bundle.parcels.append(parcel)
        bundle.parts += found
        if code:
            bundle.lost[parcel.stix_id] = code
        if last is not None:
            before, _ = parts(orjson.loads(last.body), Label.from_text(last.label))
            entities = [each for part in before for each in whole(part.body) if "uuid" in each]
            if last.recalled:
                bundle.again |= {str(each["uuid"]) for each in entities}
            else:
                bundle.before |= {str(each["uuid"]): tag_names(each) for each in entities}

    def _beside(self, step: _Step, about: Sequence[tuple[Parcel, list[Part], str]]) -> None:
        """A sighting goes to the event of what was seen, wherever whoever saw it has it."""
        there = seen_by(self.tx, self.place, {ref for _, _, ref in about})
        self._shown(target.event for target in there.values())
        for parcel, found, ref in about:
            if ref not in there:
                step.settled.append((parcel, "lost", "push.seen_is_not_there"))
                continue
            bundle = step.bundle(self._number(there[ref].event, there[ref].peer))
            bundle.parcels.append(parcel)
            bundle.parts += found

    # --- composing ---------------------------------------------------------------------------------------------------

    def _compose(self, step: _Step, *, full: bool) -> None:
        """The bytes of each event, and under which uuid and timestamp it goes."""
        tx, numbers = self.tx, list(step.bundles)
        known = pushed.known(tx, self.audience.channel, numbers)
        shown = self._shown(map(abs, numbers))
        taken = pushed.under(tx, self.audience.channel, {row.uuid for row in shown.values()})
        more = pushed.more_of(tx, self.place, map(abs, numbers), step.after) if full else set()
        for number in numbers:
            bundle, last = step.bundles[number], known.get(number)
            row = shown.get((abs(number), number < 0)) or (None if last is None else _ended(number, last))
            if row is None:
                code = "push.no_event"
            elif last is None and taken.get(row.uuid, set()) - {number, row.group[0], *row.guests}:
                code = "push.uuid_taken"  # by another creator's event: nobody's words there are changed (RULES R5)
            else:
                self._event(step, number, row, last, whole=bool(row.attribute_count) and abs(number) not in more)
                continue
            step.settled += [(parcel, "lost", code) for parcel in bundle.parcels]
            step.kept += [(each, "recalled", "") for each in bundle.owed]

    def _event(self, step: _Step, number: int, row: EventRow, last: Pushed | None, *, whole: bool) -> None:
        bundle, view = step.bundles[number], self.view
        uuid = row.uuid if last is None else last.uuid
        row = msgspec.structs.replace(row, uuid=uuid)
        document = events.document(self.tx, view, row, micros(self.now), only=bundle.ids())
        event = orjson.loads(b"".join(document))["Event"]
        calls = 1 + document.attributes // _ONE_CALL
        stamp = row.timestamp if last is None else max(row.timestamp, last.timestamp + calls)
        event |= {"uuid": uuid, "timestamp": str(stamp), "published": self.target.publish and whole}
        _bury(event, bundle, stamp)
        _raise(event, bundle, stamp)
        if self.target.private:
            within_their_walls(event)
        self._siblings(event, view, row, bundle)
        self._rename(event, row, bundle)
        if not gate_event(orjson.dumps({"Event": event}), self.clearance):
            log.error("gate.stopped", source=self.target.key, id=uuid, audience=self.audience.key)
            step.settled += [(parcel, "stopped", "gate.marking") for parcel in bundle.parcels]
            step.kept += [(each, "recall", "gate.marking") for each in bundle.owed]
            return
        _untag(event, bundle)
        step.outgoing[number] = Outgoing(id=uuid, version=str(stamp), body=orjson.dumps({"Event": event}))
        step.reserved[number] = Pushed(uuid, stamp, {name: getattr(row, name) for name in _FRAME})

    def _rename(self, event: dict[str, Any], row: EventRow, bundle: _Bundle) -> None:
        """What the target has, or is to have, of another event keeps its uuid there; this one goes under another."""
        mine = {-row.group[0]} if row.group[1] else {row.group[0], *row.guests}
        claims = pushed.claims(self.tx, self.audience.channel, uuids(event))
        taken = [uuid for uuid, claim in claims.items() if self._number(*claim) not in mine]
        view = self.view
        new = rename(event, taken, lambda uuid: minted(view.secret, f"{view.audience}|{row.uuid}|{uuid}|again"))
        bundle.before |= {new[uuid]: bundle.before[uuid] for uuid in new if uuid in bundle.before}
        again = {parcel.stix_id for parcel in bundle.parcels if parcel.stix_id.partition("--")[2] in new}
        bundle.lost |= dict.fromkeys(again, "push.uuid_again")

    def _siblings(self, event: dict[str, Any], view: View, row: EventRow, bundle: _Bundle) -> None:
        """Sightings, analyst data, proposals and clusters of this time, which go beside the event's own parts."""
        now = micros(self.now)
        seen = {part.uuid for part in bundle.parts if part.kind == "sighting"}
        if seen:
            found = events.sightings(self.tx, view, [row], now)
            event["Sighting"] = [each for each in found if each["uuid"] in seen]
        apart = {part.uuid for part in bundle.parts if part.kind in _APART}
        if apart:
            for part in events.carried(self.tx, view, tuple(_APART), now, uuids=apart, within=row):
                event.setdefault(_APART[part.kind], []).append(part.body)


def _same(last: Had, parcel: Parcel, stand: Stands) -> bool:
    """Whether what the target has of it is what it should have."""
    return not last.recalled and (last.version, last.label) == (parcel.version, stand.label)


_FRAME = ("orgc_uuid", "orgc_name", "date", "distribution")
"""What is kept of an event for when nothing of it is left."""


def _ended(number: int, last: Pushed) -> EventRow:
    """An event of which nothing may be there any more: its frame says nothing of what it was."""
    return EventRow(
        uuid=last.uuid, timestamp=last.timestamp + 1, info="–", tags=tuple(tags(Label(tlp=Tlp.CLEAR))), level=0,
        threat_level_id="4", analysis="2", extends_uuid="", attribute_count=0, sighting_timestamp=0,
        group=(abs(number), number < 0), first=0, last=0, rows=0, **{name: last.frame[name] for name in _FRAME},
    )  # fmt: skip


_SECTIONS = {"attribute": "Attribute", "object": "Object", "report": "EventReport"}


def _bury(event: dict[str, Any], bundle: _Bundle, stamp: int) -> None:
    """The ends of what is owed that the view does not tell of, because another audience had it under former terms."""
    there = {str(entity.get("uuid")) for entity in entities(event)}
    for row in bundle.owed:
        for part in parts(orjson.loads(row.body), Label.from_text(row.label))[0]:
            if part.kind in _SECTIONS and part.uuid not in there:
                end = tombstone(part.body)
                for entity in whole(end):
                    entity["timestamp"] = str(stamp)
                event.setdefault(_SECTIONS[part.kind], []).append(end)


def _raise(event: dict[str, Any], bundle: _Bundle, stamp: int) -> None:
    """What was deleted there and comes again must be newer than its end; an object that is there, than it was."""
    for entity in event.get("Object") or ():
        if str(entity.get("uuid")) in bundle.before and int(entity["timestamp"]) < stamp:
            entity["timestamp"] = str(stamp)
    for entity in entities(event):
        if str(entity.get("uuid")) in bundle.again and int(entity.get("timestamp") or 0) < stamp:
            entity["timestamp"] = str(stamp)


def _untag(event: dict[str, Any], bundle: _Bundle) -> None:
    """A tag that is no longer there has to be taken away by name: MISP only adds (misp.md section 2.3)."""
    for entity in entities(event):
        gone = bundle.before.get(str(entity.get("uuid")), frozenset()) - tag_names(entity)
        if gone and entity.get("deleted") is not True:
            entity["Tag"] = [*(entity.get("Tag") or ()), *({"name": name, "deleted": True} for name in sorted(gone))]
