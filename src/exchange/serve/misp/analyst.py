"""Analyst data: notes, opinions and relationships about what stands here (reference misp.md sections 1.3 and 1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from exchange.convert import Part
from exchange.errors import RequestError
from exchange.model.party import Peer
from exchange.serve.misp import around, filters, parties, view
from exchange.serve.misp.errors import Missing, Unsaved
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.own import seconds_of
from exchange.store import statements, views
from exchange.sync import events

KINDS = {"Note": "note", "Opinion": "opinion", "Relationship": "relationship"}
"""MISP's name → the kind of part, and the STIX type that carries it."""
MOST = 50_000
_DEEPEST = 8
_COULD = "pushAnalystData AnalystData"


def index_minimal(ask: Ask) -> Answer:
    """`POST /analyst_data/indexMinimal`: {"Note": {uuid: modified}, …} of all that the account sees."""
    names = filters.choices(ask.option("orgc_name") or [])
    no = {each[1:].lower() for each in names if each.startswith("!")}
    yes = {each.lower() for each in names if not each.startswith("!")}
    found: dict[str, dict[str, str]] = {}
    for name, body in _seen(ask, None):
        org = body.get("Orgc") or {}
        said = {str(org.get("name") or "").lower(), str(org.get("uuid") or "").lower()}
        if not (no & said) and (not yes or yes & said):
            found.setdefault(name, {})[str(body["uuid"])] = str(body["modified"])
    return Answer(body=found or [])  # PHP writes an empty map as a list


def index(ask: Ask) -> Answer:
    """`GET /analyst_data/index/Note/uuid[]:…`: these notes, whole."""
    name = next((each for each in KINDS if each.lower() == ask.address.first.lower()), "")
    if not name:
        raise Missing("Invalid type")
    uuids = {each.lower() for each in ask.address.lists.get("uuid", ())}
    found = [body for kind, body in _seen(ask, uuids or None, name) if kind == name]
    return Answer(body=[{name: body} for body in found], offered=view.entities((), len(found)))


def _seen(ask: Ask, uuids: set[str] | None, *names: str) -> Sequence[tuple[str, dict[str, Any]]]:
    kinds = {KINDS[name] for name in names or KINDS}
    titles = {kind: name for name, kind in KINDS.items()}
    called = {row.orgc_uuid: row.orgc_name for row in view.index(ask, view.view(ask)).rows}
    carried = events.carried(ask.tx, view.view(ask), kinds, ask.visit.now, uuids=uuids)
    return [(titles[part.kind], _shown(part, called)) for part in carried]


def _shown(part: Part, names: Mapping[str, str]) -> dict[str, Any]:
    """With the fields that MISP cannot do without; who receives it lowers its distribution."""
    when = datetime.fromtimestamp(part.timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
    kind, body = part.kind, part.body
    creator = str(body.get("orgc_uuid") or "")
    named = {"Orgc": {"uuid": creator, "name": names.get(creator, creator)}} if creator else {}
    more = {"note_type_name": kind.capitalize(), "locked": False, "sharing_group_id": None, **named}
    return {"created": when, "modified": when, **more, **body}


def filter_for_push(ask: Ask) -> Answer:
    """`POST /analyst_data/filterAnalystDataForPush`: of these, what is new here or newer."""
    given = ask.given if isinstance(ask.given, dict) else {}
    wanted: dict[str, Any] = {name: [] for name in KINDS}
    with ask.site.store.reading() as tx:
        here = around.reading(ask, tx)
        for name, asked in given.items():
            if name not in KINDS or not isinstance(asked, dict) or len(asked) > MOST:
                continue
            ids = {f"{KINDS[name]}--{uuid.lower()}": uuid for uuid in asked}
            known = _versions(here, ids)
            new = {uuid: asked[uuid] for stix_id, uuid in ids.items() if _instant(asked[uuid]) > known.get(stix_id, -1)}
            wanted[name] = new or []
    return Answer(body=wanted)


def _versions(ask: Ask, ids: Mapping[str, str]) -> dict[str, int]:
    """STIX id → the newest version that the account gave or sees, in seconds."""
    found: dict[str, int] = {}
    listed = views.shown(ask.tx, ask.row.number, ask.visit.now, ids) if ask.row is not None else []
    shown = {each.row.seq for each in listed}
    for stix_id, items in statements.held(ask.tx, ids).items():
        for item in items:
            if item.source == ask.source or item.seq in shown:
                found[stix_id] = max(found.get(stix_id, 0), seconds_of(item.version))
    return found


def _instant(text: Any) -> int:
    """`YYYY-MM-DD HH:MM:SS`, UTC, in seconds."""
    try:
        return int(datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise RequestError("request.timestamp", parameter="modified", value=str(text)[:40]) from None


def push(ask: Ask) -> Answer:
    """`POST /analyst_data/pushAnalystData`: one note, opinion or relationship about something that is known here."""
    given = ask.given if isinstance(ask.given, dict) else {}
    name = next((each for each in KINDS if isinstance(given.get(each), dict)), "")
    if not name:
        raise RequestError("request.misp_shape", wanted='{"Note": {…}}')
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    org = given[name].get("Orgc")
    parties.allowed(org if isinstance(org, dict) else parties.organisation(peer), peer, ask.visit.rules, _COULD)
    entity = _spoken(given[name], peer) or {}
    about = str(entity.get("object_uuid") or "").lower()
    event = about
    if entity.get("object_type") != "Event":
        with ask.site.store.reading() as tx:
            event = around.event_of(around.reading(ask, tx), tx, about) or ""
    try:
        count = around.take_beside(ask, event, name, [entity], _COULD).held if event else 0
    except Missing:
        count = 0
    if not count:
        raise Unsaved("request.misp_about", could=_COULD, uuid=about)
    said = "Analyst Data imported. 1 imported, 0 ignored, 0 failed. "
    body = {"saved": True, "success": True, "name": said, "message": said, "url": "/analyst_data/pushAnalystData"}
    return Answer(body=body)


def _spoken(entity: Mapping[str, Any], peer: Peer, depth: int = 0) -> dict[str, Any] | None:
    """The note, and what is said about it in turn, as far as the peer may hand in what their creators say."""
    org = parties.speaker(entity.get("Orgc"), peer)
    if org is None or depth > _DEEPEST:
        return None
    found = {**entity, "Orgc": org, "orgc_uuid": org["uuid"]}
    for name in KINDS:
        children = entity.get(name)
        if isinstance(children, list):
            spoken = [_spoken(each, peer, depth + 1) for each in children if isinstance(each, dict)]
            found[name] = [each for each in spoken if each is not None]
    return found
