"""Proposals (`ShadowAttribute`): what others would change in an event; `shadow_attributes` and `pushProposals`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.errors import RequestError
from exchange.serve.misp import around, parties, view
from exchange.serve.misp.errors import Missing
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.parties import number
from exchange.serve.misp.pushed import seconds, truth
from exchange.sync import events

MOST = 1_000
"""Proposals of one page or push; MISP asks for so many and goes on while it gets them."""
_KEPT = ("uuid", "old_id", "type", "category", "value", "to_ids", "comment", "timestamp", "first_seen", "last_seen",
         "proposal_to_delete", "event_uuid", "data")  # fmt: skip


def index(ask: Ask) -> Answer:
    """`GET /shadow_attributes/index/all:1/timestamp:…/limit:…/page:…`: those that are new since then."""
    seen = view.view(ask)
    since = seconds(ask.option("timestamp")) or 0
    limit = min(seconds(ask.option("limit")) or MOST, MOST)
    page = seconds(ask.option("page")) or 1
    carried = events.carried(ask.tx, seen, {"proposal"}, ask.visit.now)
    found = sorted((part.timestamp, part.uuid, part.body) for part in carried if part.timestamp >= since)
    bodies = [body for _, _, body in found[(page - 1) * limit : page * limit]]
    rows = view.index(ask, seen)
    told = [row for each in bodies if (row := rows.get(str(each.get("event_uuid") or "").lower())) is not None]
    return Answer(
        body=[{"ShadowAttribute": _shown(each)} for each in bodies],
        offered=view.entities(told, len(bodies)),
    )


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    org = body.get("Org") or {}
    return {
        "id": number(str(body["uuid"])),
        "event_id": number(str(body.get("event_uuid") or "0" * 36)),
        "old_id": "0",
        "deleted": False,
        "first_seen": None,
        "last_seen": None,
        "org_uuid": org.get("uuid", ""),
        **body,
    }


def push(ask: Ask) -> Answer:
    """`POST /events/pushProposals/{event}`; the answer is MISP's, also for an event that is not known (200)."""
    given = ask.given if isinstance(ask.given, list) else None
    if given is None or len(given) > MOST:
        raise RequestError("request.misp_shape", wanted="[{ShadowAttribute …}, …]")
    event = ask.address.first.lower()
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    proposals = []
    for each in given:
        if isinstance(each, dict) and not truth(each.get("deleted")):
            kept = {name: each[name] for name in _KEPT if each.get(name) not in (None, "")}
            org = parties.speaker(each.get("Org"), peer)
            if org is not None:
                proposals.append({**kept, "event_uuid": event, "Org": org})
    try:
        count = around.take_beside(ask, event, "ShadowAttribute", proposals, "add Proposal").new if proposals else 0
    except Missing:
        return Answer(body={"success": False, "message": "Event not found.", "counter": 0})
    said = f"{count} Proposal(s) added." if count else "Nothing to update."
    return Answer(body={"success": True, "message": said, "counter": count})
