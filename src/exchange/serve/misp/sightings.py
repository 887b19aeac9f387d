"""Sightings: what was seen of what stands here, and what others saw (reference misp.md sections 1.3 and 1.4)."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from exchange.errors import RequestError
from exchange.serve.misp import around, filters, parties, view
from exchange.serve.misp.errors import Missing
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.viewing import known
from exchange.store import moment, statements
from exchange.sync import events

MOST = 10_000
"""Sightings of one call; MISP sends those of one event at once."""
_KINDS = ("sighting", "opinion", "note")
"""What carries a sighting: one of type 1 is an opinion, one of type 2 a note."""
_LEFT = ("type", "source", "date_sighting", "attribute_uuid", "object_uuid", "uuid", "Organisation")


def search(ask: Ask) -> Answer:
    """`POST /sightings/restSearch/event`: the sightings of these events; without any, of all that is seen here."""
    wanted = ask.option("uuid")
    asked = {each.lower() for each in (filters.choices(wanted) if wanted else ())}
    seen = view.view(ask)
    rows = [row for row in view.index(ask, seen).rows if row.sighting_timestamp and (not asked or row.uuid in asked)]
    blocked = {each[1:].lower() for each in filters.choices(ask.option("org_id") or []) if each.startswith("!")}
    found = (
        {"Sighting": dict(each)}
        for each in events.sightings(ask.tx, seen, rows, ask.visit.now)
        if str((each.get("Organisation") or {}).get("uuid") or "").lower() not in blocked
    )
    return view.spooled(ask, _response(found), view.offered(rows))


def _response(found: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b'{"response": ['
    for n, each in enumerate(found):
        yield (b"," if n else b"") + orjson.dumps(each)
    yield b"]}"


def index(ask: Ask) -> Answer:
    """`/sightings/listSightings/{event}` of MISP's API: the sightings of one event, by its uuid or our number of it."""
    given = ask.given if isinstance(ask.given, dict) else {}
    if str(given.get("context") or "event") != "event":
        raise RequestError("request.misp_shape", wanted='{"context": "event", "id": …}')
    named = ask.address.first or str(given.get("id") or "")
    seen = view.view(ask)
    row = view.row_of(ask, seen, named)
    found = list(events.sightings(ask.tx, seen, [row], ask.visit.now))
    return Answer(body=[{"Sighting": dict(each)} for each in found], offered=view.offered([row]) if found else None)


def filter_for_push(ask: Ask) -> Answer:
    """`POST /sightings/filterSightingUuidsForPush/{event}`: those of these sightings that are here already."""
    asked = [str(each).lower() for each in _listed(ask.given)]
    event = ask.address.first.lower()
    with ask.site.store.reading() as tx:
        here = around.reading(ask, tx)
        if not known(here, event):
            raise Missing("Event not found")
        held = {
            item.stix_id.partition("--")[2]
            for items in statements.held(tx, [f"{kind}--{uuid}" for uuid in asked for kind in _KINDS]).values()
            for item in items
            if item.source == ask.source
        }
        if here.row is not None:
            seen = view.view(here)
            row = view.index(here, seen).get(event)
            there = events.sightings(tx, seen, [row], ask.visit.now) if row is not None else iter(())
            held |= {str(each["uuid"]) for each in there}
    return Answer(body=[each for each in asked if each in held])


def save(ask: Ask) -> Answer:
    """`POST /sightings/bulkSaveSightings/{event}`: taken with the marking of what was seen, each once."""
    given = ask.given.get("Sighting", ask.given) if isinstance(ask.given, dict) else ask.given
    sightings = [_clean(each) for each in _listed(given) if isinstance(each, dict)]
    saved = add(ask, ask.address.first.lower(), sightings)
    if not saved:
        return Answer(body={"saved": False, "success": "No sightings added."})
    return Answer(body={"saved": True, "success": f"{saved} sightings added."})


def add(ask: Ask, event: str, sightings: Sequence[dict[str, Any]]) -> int:
    """Take these sightings of `event`; how many are held now."""
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    taken = []
    for each in sightings:
        org = parties.speaker(each.get("Organisation"), peer)
        if org is not None:
            taken.append({**each, "Organisation": org})
    return around.take_beside(ask, event, "Sighting", taken, "add Sighting").held if taken else 0


def _clean(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in _LEFT if given.get(name) not in (None, "")}


def _listed(given: Any) -> Sequence[Any]:
    if not isinstance(given, list) or len(given) > MOST:
        raise RequestError("request.misp_shape", wanted="[…]")
    return given


def add_one(ask: Ask) -> Answer:
    """`POST /sightings/add/{attribute}` of MISP's API: one sighting of one attribute, by its uuid."""
    given = ask.given.get("Sighting", ask.given) if isinstance(ask.given, dict) else {}
    if not isinstance(given, dict):
        raise RequestError("request.misp_shape", wanted='{"Sighting": {…}}')
    attribute = str(ask.address.first or given.get("uuid") or "").lower()
    with ask.site.store.reading() as tx:
        event = around.event_of(around.reading(ask, tx), tx, attribute)
    if event is None:
        raise Missing("Invalid attribute")
    made = {
        "uuid": str(uuids.uuid4()),
        "attribute_uuid": attribute,
        "type": str(given.get("type") or "0"),
        "source": str(given.get("source") or ""),
        "date_sighting": str(given.get("timestamp") or int(moment(ask.visit.now).timestamp())),
    }
    if not add(ask, event, [made]):
        raise Missing("Invalid attribute")
    return Answer(body={"Sighting": {"id": "1", **made, "event_uuid": event}})
