"""Putting events into an instance as they stand in a file, a sample or a recording: numbers and times are kept."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from lab.misp import analyst, proposals, sightings
from lab.misp.capture import Capture, flag
from lab.misp.instance import Instance
from lab.misp.people import Part


def put(instance: Instance, said: Mapping[str, Any]) -> Part:
    """Hold an event; one with the same uuid is replaced. What a stored event always has is added."""
    with instance.lock:
        known = instance.lift(str(said["uuid"]))
        own = instance.organisation.shown()
        usual = {"analysis": "2", "threat_level_id": "2", "distribution": "3", "timestamp": "0", "info": "-"}
        given = {key: value for key, value in said.items() if value is not None and key not in ("published", "Tag")}
        owner = instance.captured_organisation(said.get("Org") or own)
        loading = Capture(instance, instance.admin, owner=owner.uuid, loading=True)
        number = {"id": known["id"]} if known else {}
        held = loading.add({**usual, "Orgc": own, **given, **number})
        for part in (*instance.attributes(held), *held["Object"], *held["EventReport"]):
            part["event_id"] = held["id"]
        held["published"] = flag(said.get("published"))
        held["publish_timestamp"] = str(said.get("publish_timestamp") or held["timestamp"])
        held["sighting_timestamp"] = str(said.get("sighting_timestamp") or "0")
        held["user"] = str(said.get("event_creator_email") or instance.admin.email)
        for tag in said.get("Tag") or []:
            loading.attach(held, tag)
        _surroundings(instance, held, said)
        held["proposal_email_lock"] = flag(said.get("proposal_email_lock"))
        return held


def _surroundings(instance: Instance, held: Part, said: Mapping[str, Any]) -> None:
    inside = [attribute for object_ in said.get("Object") or [] for attribute in object_.get("Attribute") or []]
    for attribute in (*(said.get("Attribute") or []), *inside):
        named = [{**sighting, "attribute_uuid": attribute["uuid"]} for sighting in attribute.get("Sighting") or []]
        if named:
            sightings.add(instance, named, instance.admin, numbered=True)
    for proposal in said.get("ShadowAttribute") or []:
        org = instance.captured_organisation(proposal.get("Org") or instance.organisation.shown())
        proposals.put(instance, held, proposal, org)
    for kind in analyst.KINDS:
        for note in deepcopy(said.get(kind) or []):
            analyst.put(instance, kind, note)
