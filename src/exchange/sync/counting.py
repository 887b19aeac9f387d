"""The rows of one group of a listing, counted: what an event of MISP shows of them without reading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import msgspec
import orjson

from exchange.convert import parts
from exchange.convert.compose import Frame
from exchange.convert.part import tags
from exchange.model.marking import Label
from exchange.store import events
from exchange.store.clock import FOREVER
from exchange.store.events import Place
from exchange.store.views import Found, Group, Tally
from exchange.sync.view import EventRow

SECOND = 1_000_000


class Head(msgspec.Struct, frozen=True):
    """What the report or grouping that stands for an event says of it."""

    uuid: str
    since: int
    """When one was first listed to this audience, µs."""
    shown: bool
    label: Label
    fields: Mapping[str, str]
    tags: tuple[Mapping[str, Any], ...]
    words: bool
    """Whether it has words of its own, which become a report in the event."""


class Counted(msgspec.Struct):
    """One group, counted."""

    place: Place
    lead: str
    """Who leads the event; empty: all that share it."""
    labels: tuple[Label, ...]
    attributes: int
    notes: int
    rows: int
    first: int
    last: int
    begun: int
    """When its first row ever was listed."""
    changed: int
    until: int
    buried: int
    """How many attributes were shown once and may be gone."""
    ahead: bool
    head: Head | None = None


def settle(changed: int, now: int) -> int:
    """The second under which what changed at `changed` is shown at `now` (both µs).

    Once that second is over it is one more: whoever looked before the change was told less, whoever looked within the
    second looks again.
    """
    second = changed // SECOND
    return second + (1 if second >= now // SECOND else 2)


def frame_of(row: EventRow) -> Frame:
    """What is said of the event itself."""
    return Frame(
        uuid=row.uuid, info=row.info, date=row.date, timestamp=row.timestamp, threat_level_id=row.threat_level_id,
        analysis=row.analysis, extends_uuid=row.extends_uuid, distribution=int(row.distribution), level=row.level,
        orgc={"uuid": row.orgc_uuid, "name": row.orgc_name}, tags=row.tags,
    )  # fmt: skip


def is_day(key: str) -> bool:
    return len(key) == len("2026-01-01")


def lead_of(place: Place, found: Sequence[Tally], owner: str) -> str:
    """Who leads an event of which this was counted: the owner of its creator if this audience has anything of it from
    there, else who gave it something first (RULES R5, R14); a day is nobody's.

    A peer and not one source of it: what a MISP pushes to us and what we pull from it are one event.
    """
    first = {tally.peer: tally.first for tally in sorted(found, key=lambda tally: -tally.first) if not tally.beside}
    if is_day(place.key) or not first:
        return ""
    return owner if owner in first else min(first, key=first.__getitem__)


def aside(lead: str, peer: str, *, beside: bool) -> bool:
    """Whether what `peer` gave stands beside the event that `lead` leads."""
    return beside or lead not in ("", peer)


def counted_of(place: Place, lead: str, found: Sequence[Tally]) -> Counted:
    # What says no TLP has no tag that could say what it stands under: it is in no event.
    labels = [Label.from_text(tally.label) for tally in found]
    shown = [
        tally
        for tally, label in zip(found, labels, strict=True)
        if tally.shown and label.level(listed=True) is not None
    ]
    other = [tally for tally in found if not tally.shown]
    return Counted(
        place=place,
        lead=lead,
        # Of an event of which nothing is left to be shown, what it was shown under.
        labels=tuple(label for tally, label in zip(found, labels, strict=True) if tally.shown or not shown),
        attributes=sum(tally.attributes for tally in shown),
        notes=sum(tally.notes for tally in shown),
        rows=sum(tally.listed for tally in shown),
        first=min((tally.first for tally in shown), default=0),
        last=max((tally.last for tally in shown), default=0),
        begun=min(tally.first for tally in found),
        changed=max(tally.last for tally in found),
        until=min((tally.until for tally in shown), default=FOREVER),
        buried=sum(tally.attributes for tally in other if tally.last),
        ahead=any(tally.ahead for tally in found),
    )


def guests_among(groups: Mapping[Group, Counted]) -> dict[Group, Group]:
    """What names no creator (no observable does) is in the event of the report that holds it, once that is known."""
    loose = {
        counted.place.key: group
        for group, counted in groups.items()
        if not counted.place.creator and not group[1] and "--" in counted.place.key
    }
    found: dict[Group, Group] = {}
    hosts = ((c.begun, g, c.place) for g, c in groups.items() if c.place.creator and c.head is not None)
    for _, group, place in sorted(hosts):
        for name in events.names(place.key):
            # Whoever else names the same report adds nothing to it.
            if name in loose and group not in found and groups[loose[name]].lead == groups[group].lead:
                found[group] = loose.pop(name)
    return found


def with_guest(counted: Counted, guest: Counted) -> Counted:
    return msgspec.structs.replace(
        counted,
        labels=(*counted.labels, *guest.labels),
        attributes=counted.attributes + guest.attributes,
        notes=counted.notes + guest.notes,
        rows=counted.rows + guest.rows,
        first=min((each for each in (counted.first, guest.first) if each), default=0),
        last=max(counted.last, guest.last),
        begun=min(counted.begun, guest.begun),
        changed=max(counted.changed, guest.changed),
        buried=counted.buried + guest.buried,
        ahead=counted.ahead or guest.ahead,
    )


def strictest(labels: Iterable[Label]) -> Label:
    """For a frame of ours: as strict as the strictest that is in it, so it lets nothing out."""
    return reduce(Label.join, labels, Label())


def holds_anything(counted: Counted, *, beside: bool = False) -> bool:
    """MISP leaves events without attributes and reports alone; so do we, but for what is to be taken away.

    Notes that others say beside an event are mostly about what is in it, and travel by calls of their own.
    """
    if beside:
        return bool(counted.attributes or counted.buried)
    words = counted.head is not None and counted.head.shown and counted.head.words
    return bool(counted.attributes or counted.notes or counted.buried or words)


def head_of(found: Found, since: int, *, shown: bool, hides: bool) -> Head:
    """`hides`: producers are hidden from who reads it, so the event that it extends is not named: it is somebody's."""
    stix = orjson.loads(found.body)
    label = Label.from_text(found.row.label)
    made, _ = parts(stix, label)
    frame = next((part for part in made if part.kind == "frame"), None)
    own = str(stix["id"]).partition("--")[2].lower()
    if frame is not None:
        body = frame.body
        fields = {name: str(body[name]) for name in _FIELDS if body.get(name) and not (hides and name == _EXTENDS)}
        return Head(own, since, shown, label, fields, tuple(body["Tag"]), words=False)
    day = str(stix.get("published") or stix.get("created") or "")[:10]
    fields = {"info": str(stix.get("name") or stix["type"]), "date": day}
    return Head(own, since, shown, label, fields, tuple(tags(label)), words=bool(stix.get("description")))


_EXTENDS = "extends_uuid"
_FIELDS = ("info", "date", "threat_level_id", "analysis", _EXTENDS)
