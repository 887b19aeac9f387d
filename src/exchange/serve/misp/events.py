"""Events that a MISP hands over (reference misp.md section 1.4): which it should, new ones, and newer ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.errors import RequestError
from exchange.model.party import Peer
from exchange.serve.misp import own, parties, stored
from exchange.serve.misp.errors import EXISTS, INVALID, NOT_NEWER, Missing, Unsaved
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.pushed import Pushed, checked, opened, seconds
from exchange.serve.misp.taking import complete, take, withdraw
from exchange.store import moment

ADD, EDIT = "add Event", "edit Event"
MOST = 200_000
"""Events that one question may name."""


def filter_for_push(ask: Ask) -> Answer:
    """`POST /events/filterEventIdsForPush`: of these events, those that are new here or newer than what is here."""
    asked: dict[str, int] = {}
    for entry in ask.given if isinstance(ask.given, list) else ():
        event = entry.get("Event") if isinstance(entry, dict) else None
        if not isinstance(event, dict) or len(asked) >= MOST:
            raise RequestError("request.misp_shape", wanted='[{"Event": {"uuid", "timestamp"}}, …]')
        asked[str(event.get("uuid") or "").lower()] = seconds(event.get("timestamp")) or 0
    with ask.site.store.reading() as tx:
        known = own.stamps(ask, tx, list(asked))
    return Answer(body=[uuid for uuid, stamp in asked.items() if stamp > known.get(uuid, -1)])


def add(ask: Ask) -> Answer:
    """`POST /events/add`: a new event. One that is known is answered 404 with its address, as MISP does."""
    if ask.req.method != "POST":
        return Answer(body={"description": "POST an event here.", "mandatory_fields": ["info"]})
    peer, now = _peer(ask), moment(ask.visit.now)
    pushed = opened(ask.raw, parties.organisation(peer), now)
    with ask.site.store.reading() as tx:
        known = own.stamps(ask, tx, [pushed.uuid])
    if pushed.uuid in known:
        raise Missing(EXISTS, location=f"{ask.base}/events/{pushed.uuid}")
    return _taken(ask, peer, pushed, ADD, new=True)


def edit(ask: Ask) -> Answer:
    """`POST /events/edit/{uuid}`: a newer version. One that is not newer is refused in the words that MISP knows."""
    peer, now = _peer(ask), moment(ask.visit.now)
    named = ask.address.first.lower()
    with ask.site.store.reading() as tx:
        known = own.stamps(ask, tx, [named])
        pushed = opened(ask.raw, parties.organisation(peer), now, named=named, least=known.get(named, 0))
        if pushed.uuid != named:
            known = own.stamps(ask, tx, [pushed.uuid])
    if pushed.uuid not in known:
        raise Missing(INVALID)
    if pushed.timestamp <= known[pushed.uuid]:
        raise Unsaved("request.misp_not_newer", could=EDIT, errors=NOT_NEWER)
    return _taken(ask, peer, pushed, EDIT, new=False)


def _peer(ask: Ask) -> Peer:
    return ask.visit.rules.terms.peers[ask.visit.peer]


def _taken(ask: Ask, peer: Peer, pushed: Pushed, could: str, *, new: bool) -> Answer:
    checked(pushed, moment(ask.visit.now), could, new=new)
    parties.allowed(pushed.org, peer, ask.visit.rules, could)
    source = parties.source_of(peer, f"post:{ask.collection.alias}", parties.creators(peer))
    take(ask, pushed.raw, source, could, whole=not pushed.deleted)
    if pushed.deleted:
        withdraw(ask, stored.carriers(ask, pushed.uuid, dict(pushed.deleted)))
        complete(ask, pushed.uuid, pushed.timestamp)
    with ask.site.store.reading() as tx:
        event = stored.event(ask, tx, pushed.uuid, whole=not ask.address.named.get("metadata"))
    if event is None:  # nothing of it was of use
        raise Unsaved("request.misp_nothing", could=could)
    return Answer(body={"Event": event})


def delete(ask: Ask) -> Answer:
    """`POST /events/delete/{uuid}`: what this account gave of the event is withdrawn from the collection (R22)."""
    uuids: Sequence[str] = [ask.address.first.lower()] if ask.address.first else _listed(ask.given)
    gone = 0
    for uuid in uuids:
        gone += withdraw(ask, stored.carriers(ask, uuid))
    if not gone:
        raise Missing(INVALID)
    return Answer(body={"saved": True, "success": True, "name": "Event deleted", "message": "Event deleted"})


def _listed(given: Any) -> Sequence[str]:
    found = given.get("id") if isinstance(given, Mapping) else None
    return [str(each).lower() for each in (found if isinstance(found, list) else [found]) if each]
