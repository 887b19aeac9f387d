"""Sightings: immutable, told apart by uuid, shown by the instance's policy, pushed and pulled apart from events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.misp.instance import POLICY_HOST, POLICY_OWNER, POLICY_REPORTER, Instance, Refused
from lab.misp.people import Part, User


def seen_by(instance: Instance, event: Part, user: User) -> list[Part]:
    """The sightings of an event that this user may see."""
    held: list[Part] = event["Sighting"]
    policy = instance.settings.sightings_policy
    if "perm_site_admin" in user or event["Org"]["uuid"] == user.org.uuid:
        return held
    mine = [sighting for sighting in held if sighting["Organisation"]["uuid"] == user.org.uuid]
    if policy == POLICY_OWNER:
        return mine
    if policy == POLICY_REPORTER:
        return held if mine else []
    if policy == POLICY_HOST:
        host = instance.organisation.uuid
        return [sighting for sighting in held if sighting["Organisation"]["uuid"] in (host, user.org.uuid)]
    return held


def add(instance: Instance, said: Iterable[Mapping[str, Any]], user: User, *, numbered: bool = False) -> list[str]:
    """Keep sightings that are new and whose attribute is here and seen by the user; their uuids.

    `numbered`: they have the numbers that they are to have here.
    """
    known = {sighting["uuid"] for held in instance.events.values() for sighting in held["Sighting"]}
    added = []
    for sighting in said:
        attribute = instance.attribute(str(sighting.get("attribute_uuid")))
        if sighting["uuid"] in known or attribute is None:
            continue
        home = instance.events[instance.places[attribute["uuid"]][0]]
        if not instance.sees_event(user, home) or not instance.sees(user, attribute, home["Org"]["uuid"]):
            continue
        known.add(sighting["uuid"])
        number = instance.number("sightings", sighting.get("id") if numbered else None)
        home["Sighting"].append({"id": number, **_stored(instance, home, attribute, sighting, user)})
        added.append(str(sighting["uuid"]))
    return added


def _stored(instance: Instance, event: Part, attribute: Part, said: Mapping[str, Any], user: User) -> Part:
    # A sync user speaks for others; who it speaks for must be named, or nobody is.
    org = user.org
    if "perm_sync" in user and said.get("Organisation"):
        org = instance.captured_organisation(said["Organisation"])
    return {
        "attribute_id": attribute["id"],
        "event_id": event["id"],
        "org_id": org.id,
        "date_sighting": str(said.get("date_sighting") or instance.now),
        "uuid": str(said["uuid"]),
        "source": str(said.get("source") or ""),
        "type": str(said.get("type") or "0"),
        "attribute_uuid": attribute["uuid"],
        "event_uuid": event["uuid"],
        "Organisation": {"id": org.id, "uuid": org.uuid, "name": org.name},
    }


def bulk_save(instance: Instance, key: str, said: Iterable[Mapping[str, Any]], user: User) -> str:
    """`sightings/bulkSaveSightings`: MISP's sentence about it. New ones are published onwards."""
    event = instance.event(key, user)
    if event is None:
        raise Refused(404, "Event not found or not accessible by this user.")
    added = add(instance, said, user)
    if added:
        publish(instance, event, uuids=added)
    return f"{len(added)} sightings added."


def publish(instance: Instance, event: Part, server: str = "", uuids: Iterable[str] = ()) -> None:
    """Let the sightings of an event be seen by those who pull, and let the worker push these, or all of them."""
    event["sighting_timestamp"] = str(instance.now)
    instance.sighted.append((event["uuid"], server, list(uuids)))


def known(instance: Instance, key: str, uuids: Iterable[str], user: User) -> list[str]:
    """`sightings/filterSightingUuidsForPush`: those of them that are here already, in our order."""
    event = instance.event(key, user)
    if event is None:
        raise Refused(404, "Event not found")
    asked = set(uuids)
    return [sighting["uuid"] for sighting in event["Sighting"] if sighting["uuid"] in asked]


def search(instance: Instance, user: User, wishes: Mapping[str, Any]) -> list[Part]:
    """`sightings/restSearch/event`: `uuid` (or `id`) names events, `org_id` may exclude by `!uuid`."""
    named = wishes.get("uuid") or wishes.get("id") or []
    wanted = {str(key) for key in (named if isinstance(named, list) else [named])}
    blocked = {str(org)[1:] for org in wishes.get("org_id") or [] if str(org).startswith("!")}
    found = []
    for event in list(instance.events.values()):
        if (wanted and not wanted & {event["uuid"], event["id"]}) or not instance.sees_event(user, event):
            continue
        for sighting in seen_by(instance, event, user):
            attribute = instance.attribute(sighting["attribute_uuid"])
            if attribute is None or not instance.sees(user, attribute, event["Org"]["uuid"]):
                continue
            if sighting["Organisation"]["uuid"] not in blocked:
                found.append({**sighting, "value": attribute["value"]})
    shown = sorted(found, key=lambda sighting: int(sighting["id"]))
    return [{"Sighting": sighting} for sighting in shown]
