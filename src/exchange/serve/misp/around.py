"""What stands around something that is sent alone: a sighting, a proposal, a note belong to an event that is here.

The conversion labels an entity by what it is attached to. So the event, as far as the account knows it, is put around
what it sent, and of the result only what it sent is taken. The event is no looser there than it is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from exchange.convert.table import SDOS
from exchange.model.marking import Label
from exchange.model.misp import carried
from exchange.model.party import ANYBODY
from exchange.model.stix import StixObject
from exchange.serve.misp import parties, stored, view
from exchange.serve.misp.errors import Missing
from exchange.serve.misp.instance import Ask
from exchange.serve.misp.taking import take
from exchange.store import events as places
from exchange.store import stated, statements, views
from exchange.sync import events

CARRIERS = ("indicator", "observed-data", "x-misp-attribute", "x-misp-object", *sorted(set(SDOS.values())))
"""What carries an attribute or an object, under its own uuid."""
_INSIDE = (*stated.FRAMES, "note", "opinion", "sighting")
_LARGE = 20_000
"""Attributes of an event that is read whole, to find those that stand inside objects."""


def reading(ask: Ask, tx: Connection) -> Ask:
    """`ask` in the snapshot `tx`, with the audience as which it may read now; without one, if it may not."""
    visit = ask.visit.renewed(tx)
    return replace(ask, visit=visit, row=visit.sees(tx, ask.collection))


def event_of(ask: Ask, tx: Connection, uuid: str) -> str | None:
    """The uuid of the event in which this entity stands, of what the account gave or sees; None: it knows of none."""
    ids = [f"{kind}--{uuid}" for kind in (*CARRIERS, *_INSIDE)]
    own = [item for found in statements.held(tx, ids).values() for item in found if item.source == ask.source]
    known = places.places(tx, {item.event for item in own})
    for item in own:
        if item.event in known and len(known[item.event].key) == len(uuid):
            return known[item.event].key
    if ask.row is None:
        return None
    rows = events.rows_for(tx, view.view(ask), ids, ask.visit.now)
    return next((row.uuid for row in rows.values()), None)


class Taken(NamedTuple):
    """How many entities are held now, and how many of these were not before."""

    held: int
    new: int


def take_beside(ask: Ask, event: str, name: str, entities: Sequence[Mapping[str, Any]], could: str) -> Taken:
    """Take `entities` (under `name` beside the event, as a sync carries them) of `event`.

    Raises Missing when the account neither gave the event nor sees it.
    """
    about = {str(each[key]).lower() for each in entities for key in _TARGETS if each.get(key)}
    with ask.site.store.reading() as tx:
        here = reading(ask, tx)
        context = _context(here, tx, event, about)
        labels = _labels(here, tx, about | {event})
    if context is None:
        raise Missing("Invalid event")
    orgs = {f"identity--{uuid}" for each in entities for uuid in _organisations(each)}
    raw = orjson.dumps({"Event": context, name: list(entities)})
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    source = parties.source_of(peer, f"post:{ask.collection.alias}", frozenset({ANYBODY}))
    floors = {str(each.get("uuid") or "").lower(): _floor(each, event, labels) for each in entities}
    least = reduce(Label.join, floors.values(), Label())

    def wanted(item: StixObject) -> StixObject | None:
        told = _told(_KINDS[name], item)
        if told is None:
            return item if item.id in orgs else None
        return item.under(floors.get(told, least))

    found = [new for stix_id, new in take(ask, raw, source, could, wanted).items() if stix_id not in orgs]
    return Taken(held=len(found), new=sum(found))


def _floor(entity: Mapping[str, Any], event: str, labels: Mapping[str, Label]) -> Label:
    """What an entity is at least worth: what the event is, and what it is about."""
    about = [str(entity[key]).lower() for key in _TARGETS[:2] if entity.get(key)]
    return reduce(Label.join, (labels.get(uuid, Label()) for uuid in (event, *about)), Label())


def _labels(ask: Ask, tx: Connection, uuids: Iterable[str]) -> dict[str, Label]:
    """Under which labels these stand, as the account gave them or sees them."""
    ids = [f"{kind}--{uuid}" for uuid in sorted(uuids) for kind in (*CARRIERS, *stated.FRAMES)]
    found = [
        (item.stix_id, item.stated if item.label is None else item.label)
        for items in statements.held(tx, ids).values()
        for item in items
        if item.source == ask.source and item.newest
    ]
    if ask.row is not None:
        shown = views.shown(tx, ask.row.number, ask.visit.now, ids)
        found += [(each.row.stix_id, Label.from_text(each.row.label)) for each in shown]
    labels: dict[str, Label] = {}
    for stix_id, label in found:
        uuid = stix_id.partition("--")[2]
        labels[uuid] = labels.get(uuid, Label()).join(label)
    return labels


_ANALYST = frozenset({"note", "opinion", "relationship"})
_KINDS = {"Sighting": frozenset({"sighting"}), "ShadowAttribute": frozenset({"proposal"}),
          "Note": _ANALYST, "Opinion": _ANALYST, "Relationship": _ANALYST}  # fmt: skip


def _told(kinds: frozenset[str], item: StixObject) -> str | None:
    """The uuid of the entity of one of these kinds that it carries; None: none. The event around it is without any."""
    whole = carried(orjson.loads(item.body)) or {}
    kind = next((each for each in kinds if each in whole), None)
    return None if kind is None else str(whole[kind].get("uuid") or item.id.partition("--")[2])


_TARGETS = ("attribute_uuid", "object_uuid", "uuid")


def _organisations(entity: Mapping[str, Any]) -> Iterable[str]:
    for key in ("Organisation", "Org", "Orgc"):
        org = entity.get(key)
        if isinstance(org, Mapping) and org.get("uuid"):
            yield str(org["uuid"]).lower()


def _context(ask: Ask, tx: Connection, event: str, about: set[str]) -> dict[str, Any] | None:
    """The event, with those of its parts that are meant."""
    context = None
    if ask.row is not None:
        context = _seen(ask, tx, event, [f"{kind}--{uuid}" for uuid in sorted(about) for kind in CARRIERS], about)
    if context is None:
        context = stored.event(ask, tx, event, whole=True)
    if context is None:
        return None
    # How far it goes is said by the labels of what is here, not by what MISP has words for.
    return {name: value for name, value in context.items() if name not in _OTHERS} | _OPEN


_OPEN = {"distribution": "3", "published": True}
_OTHERS = ("Note", "Opinion", "Relationship", "EventReport", "Sighting", "ShadowAttribute", "Galaxy", "SharingGroup")


def _seen(ask: Ask, tx: Connection, event: str, ids: Sequence[str], about: set[str]) -> dict[str, Any] | None:
    seen = view.view(ask)
    row = view.index(ask, seen).get(event)
    if row is None:
        return None
    found = orjson.loads(b"".join(events.document(tx, seen, row, ask.visit.now, only=ids)))["Event"]
    held = {str(each["uuid"]) for each in _attributes(found)} | {event}
    if not about & held and row.attribute_count <= _LARGE:
        found = orjson.loads(b"".join(events.document(tx, seen, row, ask.visit.now)))["Event"]
    return dict(found)


def _attributes(event: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from event.get("Attribute") or ()
    for entity in event.get("Object") or ():
        yield entity
        yield from entity.get("Attribute") or ()
