"""Proposals (ShadowAttribute): what others would change in an event; they hang on it by `event_uuid`."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable, Mapping
from typing import Any

from lab.misp.instance import Instance, Refused
from lab.misp.people import Organisation, Part, User

_ROW = (
    "id",
    "old_id",
    "event_id",
    "type",
    "category",
    "uuid",
    "to_ids",
    "comment",
    "org_id",
    "timestamp",
    "first_seen",
    "last_seen",
    "deleted",
    "proposal_to_delete",
    "disable_correlation",
    "value",
)


def put(instance: Instance, event: Part, said: Mapping[str, Any], org: Organisation) -> Part:
    """Hold a proposal of `org` to `event`."""
    held = {
        "id": instance.number("proposals", said.get("id")),
        "old_id": str(said.get("old_id") or "0"),
        "event_id": event["id"],
        "type": said.get("type"),
        "category": said.get("category"),
        "uuid": str(said.get("uuid") or uuids.uuid4()),
        "to_ids": bool(said.get("to_ids")),
        "comment": str(said.get("comment") or ""),
        "org_id": org.id,
        "timestamp": str(said.get("timestamp") or instance.now),
        "first_seen": said.get("first_seen"),
        "last_seen": said.get("last_seen"),
        "deleted": bool(said.get("deleted")),
        "proposal_to_delete": bool(said.get("proposal_to_delete")),
        "disable_correlation": bool(said.get("disable_correlation")),
        "value": said.get("value"),
        "event_uuid": event["uuid"],
        "email": said.get("email"),
        "Org": org.shown(),
    }
    event["ShadowAttribute"].append(held)
    event["proposal_email_lock"] = True
    return held


def index(instance: Instance, user: User, named: Mapping[str, Any]) -> list[Part]:
    """`shadow_attributes/index`: all that were made since `timestamp`, the newest event first."""
    since, limit = int(named.get("timestamp") or 0), int(named.get("limit") or 0)
    start = (int(named.get("page") or 1) - 1) * limit
    deleted = {int(wish) for wish in named.get("deleted") or [0]}
    found = []
    for event in instance.events.values():
        if instance.sees_event(user, event):
            found += [
                part
                for part in event["ShadowAttribute"]
                if int(part["timestamp"]) >= since and int(part["deleted"]) in deleted
            ]
    found.sort(key=lambda part: int(part["event_id"]), reverse=True)
    chosen = found[start : start + limit] if limit else found
    return [{"ShadowAttribute": _row(part)} for part in chosen]


def _row(part: Part) -> Part:
    org = {key: part["Org"][key] for key in ("name", "uuid", "id")}
    more = {"org_uuid": part["Org"]["uuid"], "event_uuid": part["event_uuid"], "Org": org}
    return {**{key: part[key] for key in _ROW}, **more}


def push(instance: Instance, key: str, said: Iterable[Mapping[str, Any]], user: User) -> Part:
    """`events/pushProposals`: take those that say something new; MISP's answer.

    What is the same is told by what it says, not by uuid; and the maker is the organisation that has the sender's
    number *here*, as MISP has it.
    """
    if "perm_sync" not in user or "perm_add" not in user:
        raise Refused(405, "You do not have the permission to do that.")
    event = instance.events.get(key)
    if event is None:
        return {"success": False, "message": "Event not found.", "counter": 0}
    counter = 0
    for proposal in said:
        number = str(proposal.get("org_id"))
        org = next((known for known in instance.organisations.values() if known.id == number), user.org)
        counter += take(instance, event, proposal, org)
    return {
        "success": True,
        "message": f"{counter} Proposal(s) added." if counter else "Nothing to update.",
        "counter": counter,
    }


def take(instance: Instance, event: Part, said: Mapping[str, Any], org: Organisation) -> bool:
    """Keep a proposal if it says something new, or is newer than the one that says the same; whether it was."""
    for held in event["ShadowAttribute"]:
        if all(held[field] == said.get(field) for field in ("value", "type", "category", "to_ids")):
            if int(held["timestamp"]) >= int(said.get("timestamp") or 0):
                return False
            event["ShadowAttribute"].remove(held)
            break
    put(instance, event, {**said, "id": None}, org)
    return True
