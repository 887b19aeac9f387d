"""Parts of an account's own event by MISP's API: attributes, objects, reports and tags, one at a time.

Each is the event with what changes in it, taken as if the whole had been pushed; what is not said stays as it was.
Others' events are not changed here: who has words of its own about them sends its own (RULES R5).
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable
from typing import Any

import orjson

from exchange.errors import RequestError
from exchange.serve.misp import around, parties, stored
from exchange.serve.misp.errors import Missing, Unsaved
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.taking import take, withdraw
from exchange.store import stated

Event = dict[str, Any]
Part = dict[str, Any]
_FEW = 1_000


def publish(ask: Ask) -> Answer:
    """`POST /events/publish/{event}`: from now on it is for others too."""
    event = _revise(ask, ask.address.first.lower(), lambda event: event.update(published=True), "publish Event")
    said = "Job queued"
    return Answer(body={"saved": True, "success": True, "name": said, "message": said, "id": event.get("id", "")})


def add_attribute(ask: Ask) -> Answer:
    """`POST /attributes/add/{event}`: one attribute, or a list of them."""
    given = ask.given.get("Attribute", ask.given) if isinstance(ask.given, dict) else ask.given
    several = isinstance(given, list)
    found = [_part(each) for each in _few(given if several else [given])]
    event = _revise(ask, ask.address.first.lower(), lambda event: event.update(Attribute=found), "add Attribute")
    kept = [each for each in _attributes(event) if each["uuid"] in {part["uuid"] for part in found}]
    if not kept:
        raise Unsaved("request.misp_nothing", could="add Attribute")
    return Answer(body={"Attribute": kept if several else kept[0]})


def edit_attribute(ask: Ask) -> Answer:
    """`POST /attributes/edit/{attribute}`."""
    given = ask.given.get("Attribute", ask.given) if isinstance(ask.given, dict) else {}
    if not isinstance(given, dict):
        raise RequestError("request.misp_shape", wanted='{"Attribute": {…}}')
    uuid = ask.address.first.lower()

    def change(event: Event) -> None:
        before = _found(event, "Attribute", uuid)
        said = {name: value for name, value in given.items() if name not in ("id", "event_id", "uuid")}
        event["Attribute"] = [{**before, "timestamp": None, **said, "uuid": uuid}]

    event = _revise(ask, _event_of(ask, uuid), change, "edit Attribute")
    return Answer(body={"Attribute": _found(event, "Attribute", uuid)})


def add_object(ask: Ask) -> Answer:
    """`POST /objects/add/{event}`."""
    part = _part(ask.given.get("Object", ask.given) if isinstance(ask.given, dict) else {})
    part["Attribute"] = [_part(each) for each in _few(part.get("Attribute") or []) if isinstance(each, dict)]
    event = _revise(ask, ask.address.first.lower(), lambda event: event.update(Object=[part]), "add Object")
    return Answer(body={"Object": _found(event, "Object", part["uuid"])})


def add_report(ask: Ask) -> Answer:
    """`POST /eventReports/add/{event}`; GET says that reports are taken here, which MISP asks before it sends any."""
    if ask.req.method != "POST":
        return Answer(
            body={
                "name": "/eventReports/add/[event_id] API description",
                "description": "POST a report in markdown to /eventReports/add/[event_id].",
                "mandatory_fields": ["name"],
                "optional_fields": ["distribution", "content", "uuid"],
                "url": "/eventReports/add/[event_id]",
            }
        )
    ask.visit.writing(ask.collection)
    part = _part(ask.given.get("EventReport", ask.given) if isinstance(ask.given, dict) else {})
    uuid = ask.address.first.lower()
    event = _revise(ask, uuid, lambda event: event.update(EventReport=[part]), "add EventReport")
    return Answer(body={"EventReport": _found(event, "EventReport", part["uuid"])})


def delete(ask: Ask) -> Answer:
    """`POST /attributes/delete/{uuid}` and `/objects/delete/{uuid}`: withdrawn from the collection (RULES R22)."""
    uuid = ask.address.first.lower()
    if not withdraw(ask, stored.carriers(ask, _event_of(ask, uuid), {uuid: 1 << 40})):
        raise Missing("Invalid attribute")
    return Answer(body={"saved": True, "success": True, "message": "Attribute deleted."})


def attach_tag(ask: Ask) -> Answer:
    """`POST /tags/attachTagToObject {"uuid", "tag"}`: to an event or an attribute."""
    return _tag(ask, lambda tags, name: [*(tag for tag in tags if tag["name"] != name), {"name": name}], "attached")


def remove_tag(ask: Ask) -> Answer:
    """`POST /tags/removeTagFromObject {"uuid", "tag"}`."""
    return _tag(ask, lambda tags, name: [tag for tag in tags if tag["name"] != name], "removed")


def _tag(ask: Ask, change: Callable[[list[Part], str], list[Part]], word: str) -> Answer:
    given = ask.given if isinstance(ask.given, dict) else {}
    uuid, name = str(given.get("uuid") or "").lower(), str(given.get("tag") or "")
    if not uuid or not name:
        raise RequestError("request.misp_shape", wanted='{"uuid": …, "tag": …}')
    event_uuid = _event_of(ask, uuid)

    def tagged(event: Event) -> None:
        if uuid == event_uuid:
            event["Tag"] = change(event.get("Tag") or [], name)
            return
        part = _found(event, "Attribute", uuid)
        event["Attribute"] = [{**part, "timestamp": None, "Tag": change(part.get("Tag") or [], name)}]

    _revise(ask, event_uuid, tagged, "edit Event")
    said = f"Global tag {name} successfully {word}."
    return Answer(body={"saved": True, "success": True, "name": said, "message": said, "url": ask.req.path[:1_000]})


def _event_of(ask: Ask, uuid: str) -> str:
    """The account's own event in which this stands. Raises Missing."""
    with ask.site.store.reading() as tx:
        if uuid in stated.frames(tx, ask.source, ask.channel, [uuid]):
            return uuid
        found = around.event_of(around.reading(ask, tx), tx, uuid)
        if found is None or found not in stated.frames(tx, ask.source, ask.channel, [found]):
            raise Missing("Invalid attribute")
        return found


def _revise(ask: Ask, uuid: str, change: Callable[[Event], None], could: str) -> Event:
    """Take the account's own event with what `change` makes of it, changed now; the event as it stands then."""
    with ask.site.store.reading() as tx:
        frame = stated.frames(tx, ask.source, ask.channel, [uuid]).get(uuid)
        event = stored.event(ask, tx, uuid, whole=True)
    if frame is None or event is None:
        raise Missing
    stamp = str(max(ask.visit.now // 1_000_000, int(event["timestamp"]) + 1))
    whole = dict(event)
    change(whole)
    for name in ("Attribute", "Object", "EventReport"):
        if whole.get(name) is event.get(name):
            whole.pop(name, None)  # as it was
        for part in whole.get(name) or ():
            part["timestamp"] = part.get("timestamp") or stamp
    whole["timestamp"] = stamp
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    parties.allowed(whole["Orgc"], peer, ask.visit.rules, could)
    source = parties.source_of(peer, f"post:{ask.collection.alias}", parties.creators(peer))
    take(ask, orjson.dumps({"Event": whole}), source, could)
    with ask.site.store.reading() as tx:
        return stored.event(ask, tx, uuid, whole=True) or {}


def _few(given: Any) -> list[Any]:
    if not isinstance(given, list) or len(given) > _FEW:
        raise RequestError("request.misp_shape", wanted=f"[1 … {_FEW}]")
    return given


def _part(given: Any) -> Part:
    if not isinstance(given, dict):
        raise RequestError("request.misp_shape", wanted="{…}")
    return {**given, "uuid": str(given.get("uuid") or uuids.uuid4()).lower()}


def _attributes(event: Event) -> list[Part]:
    return list(event.get("Attribute") or ())


def _found(event: Event, name: str, uuid: str) -> Part:
    for part in event.get(name) or ():
        if part["uuid"] == uuid:
            return dict(part)
    raise Missing(f"Invalid {name.lower()}")
