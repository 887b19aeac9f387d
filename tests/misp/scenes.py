"""The two recorded servers as they stood: doubles loaded with what the recordings show, and what they must hide."""

from __future__ import annotations

import itertools
from typing import Any

from lab.misp import clusters, proposals, sightings
from lab.misp.analyst import put as put_note
from lab.misp.instance import POLICY_EVERYONE, Instance
from lab.misp.load import put
from lab.misp.people import Part, User

from tests.misp.recordings import CERT1, CERT2, MISP1, MISP2, Exchange, recording, viewed

E = "5c4e0000-0000-4000-8000-0000000000"
E1, E2, E3, E5, E6, E7, E11, E12, E13 = (f"{E}{n:02}" for n in (1, 2, 3, 5, 6, 7, 11, 12, 13))
MADE = "2026-11-21 18:13:14"
ADMIN_ORG = {
    "created": MADE,
    "type": "ADMIN",
    "description": "Automatically generated admin organisation",
    "created_by": "0",
}
MET = "2026-11-21 18:21:35"  # when each came to know the other


class Clock:
    """A clock that stands at the time of the recording."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> float:
        return float(self.at)


def misp1() -> tuple[Instance, User, Clock]:
    """MISP1 at the first pull: its key belongs to the sync user of CERT2."""
    clock = Clock(1795285371)
    at = Instance(CERT1["name"], CERT1["uuid"], instance_uuid=MISP1, clock=clock)
    at.describe_organisation(CERT1["uuid"], **ADMIN_ORG)
    for number, name in ((2, "1795285014"), (3, "1795285148"), (4, "1795285251")):
        at.captured_organisation({"uuid": f"0000000{number}-0000-4000-8000-000000000000", "name": f"drive org {name}"})
    key = "a" * 40
    at.user(CERT2["name"], CERT2["uuid"], email="sync@cert2.test", key=key)
    at.describe_organisation(CERT2["uuid"], created=MET)
    _tags(at)
    first = recording("pull-first")
    for exchange in (first[7], first[6], first[5], first[4]):
        put(at, _with_secrets(viewed(exchange)))
    for row in recording("sync-misp1")[35].said:
        if row["uuid"] in (E6, E7):
            put(at, framed(row, filled=row["uuid"] == E6))
    _ties(at)
    for row in first[11].said:
        put_note(at, "Note", row["Note"])
    clusters.put(at, first[2].said["GalaxyCluster"])
    clusters.put(at, _apt28())
    at.events[E1]["ShadowAttribute"][0]["email"] = "sync@cert2.test"
    return at, at.users[key], clock


def _tags(at: Instance) -> None:
    """Every tag that either recording names, under its number."""
    known: dict[str, Part] = {}
    for exchange in recording("sync-misp1")[:51]:
        if exchange.path.startswith("/events/view/") and exchange.body:
            event = viewed(exchange)
            for part in (event, *event["Attribute"]):
                known.update({tag["name"]: tag for tag in part.get("Tag", [])})
    for row in recording("sync-misp1")[35].said:
        for tag in (tie["Tag"] for tie in row["EventTag"]):
            known[tag["name"]] = {**tag, **known.get(tag["name"], {})}
    for tag in sorted(known.values(), key=lambda tag: int(tag["id"])):
        at.captured_tag(tag)
    for name in recording("sync-misp1")[49].said["tags"]:
        at.captured_tag({"name": name})


def _with_secrets(event: dict[str, Any]) -> dict[str, Any]:
    """The event with what the recording must not show: an attribute for its organisation only, and a local tag."""
    if event["uuid"] != E1:
        return event
    shown = event["Attribute"]
    uuid = shown[0]["uuid"].replace("101", "102")
    hidden = {**shown[1], "id": "35", "uuid": uuid, "value": "198.51.100.2", "distribution": "0"}
    local = {"name": "local:only", "local": True}
    tags = [event["Tag"][0], local, *event["Tag"][1:]]
    return {**event, "Attribute": [shown[0], hidden, *shown[1:]], "Tag": tags}


def framed(row: Part, *, filled: bool = True) -> Part:
    """An event of which only a row of an index is known; `filled` with an attribute of ours."""
    said = {key: value for key, value in row.items() if key not in ("EventTag", "GalaxyCluster")}
    inside = {"type": "domain", "category": "Network activity", "value": "e.example.com", "timestamp": row["timestamp"]}
    return {**said, "Attribute": [inside] if filled else [], "event_creator_email": "admin@admin.test"}


def _ties(at: Instance) -> None:
    """The numbers that tags have on their events."""
    for row in recording("sync-misp1")[35].said:
        numbers = {tie["Tag"]["name"]: tie["id"] for tie in row["EventTag"]}
        for tag in at.events[row["uuid"]]["Tag"] if row["uuid"] in at.events else ():
            tag["id"] = numbers.get(tag["name"], tag["id"])


def _apt28() -> Part:
    rows = [cluster for row in recording("sync-misp1")[35].said for cluster in row.get("GalaxyCluster", [])]
    found = next(cluster for cluster in rows if cluster["value"] == "APT28")
    elements = [{"key": key, "value": value} for key, values in found["meta"].items() for value in values]
    return {**found, "GalaxyElement": elements}


def second_scene(at: Instance) -> None:
    """Three events more on MISP1, one of them with sightings."""
    put(at, as_held(recording("sync-misp2")[7]) | {"sighting_timestamp": "1795285411"})
    put(at, as_held(recording("sync-misp2")[11]) | {"distribution": "2"})
    put(at, _of_misp1(viewed(recording("sync-misp1")[15])))
    at.events[E11]["proposal_email_lock"] = True
    _ties(at)


def as_held(push: Exchange) -> Part:
    """The event of a push as its sender holds it: levels before the hop, and what did not go."""
    event = _of_misp1(viewed(push))
    parts = [{**part, "distribution": "2" if part["distribution"] == 1 else "5"} for part in event["Attribute"]]
    if len(parts) < int(event["attribute_count"]):
        uuid = parts[0]["uuid"].replace("1101", "1103")
        parts.append({**parts[0], "uuid": uuid, "value": "203.0.113.13", "distribution": "0"})
    tags = [*event.get("Tag", []), {"name": "loc", "local": True}] if event["uuid"] == E11 else []
    return {**event, "distribution": str(event["distribution"]), "Attribute": parts, "Tag": tags}


def _of_misp1(event: Part) -> Part:
    """An event that was pushed, as its sender holds it."""
    org = {**CERT1, "id": "1", "local": True}
    return {**event, "Org": org, "Orgc": org, "locked": False}


def sightings_of(number: int) -> list[Part]:
    """The sightings that a push in sync-misp2 brought."""
    found: list[Part] = recording("sync-misp2")[number].asked
    return found


def third_scene(at: Instance) -> None:
    """The sightings of two events are published."""
    sightings.add(at, [*sightings_of(42), *sightings_of(46), *sightings_of(50)], at.admin, numbered=True)
    at.events[E11]["sighting_timestamp"] = "1795285411"


def fourth_scene(at: Instance) -> None:
    """E12 is deleted; the times of the sightings are those of the index."""
    at.forget(E12)
    at.events[E1]["sighting_timestamp"], at.events[E11]["sighting_timestamp"] = "1795285465", "1795285464"


def fifth_scene(at: Instance) -> None:
    """A second cluster and a second note; sightings are seen by everyone."""
    clusters.put(at, {**recording("sync-misp2")[52].asked[0]["GalaxyCluster"], "id": "45497"})
    put_note(at, "Note", {**recording("sync-misp2")[62].asked["Note"], "locked": False})
    at.settings.sightings_policy = POLICY_EVERYONE


def sixth_scene(at: Instance) -> None:
    """A proposal of CERT2, and what the fifth scene has."""
    fifth_scene(at)
    propose(at, recording("sync-misp1")[41])


def propose(at: Instance, exchange: Exchange) -> None:
    """The first proposal of an index of proposals."""
    said = exchange.said[0]["ShadowAttribute"]
    if said["uuid"] not in [part["uuid"] for part in at.events[said["event_uuid"]]["ShadowAttribute"]]:
        proposals.put(at, at.events[said["event_uuid"]], said, at.organisations[said["Org"]["uuid"]])


def perf(index: Exchange) -> tuple[Instance, User, Clock]:
    """MISP1 after its database was emptied and filled again: what `index` lists."""
    clock = Clock(1795286320)
    at = Instance(CERT1["name"], CERT1["uuid"], instance_uuid=MISP1, clock=clock)
    at.describe_organisation(CERT1["uuid"], **ADMIN_ORG)
    at.user(CERT2["name"], CERT2["uuid"], email="sync@cert2.test", key="a" * 40)
    views = [viewed(e) for e in recording("sync-misp1")[51:] if "/events/view/" in e.path]
    whole = {event["uuid"]: event for event in views}
    for row in index.said:
        put(at, whole.get(row["uuid"]) or framed({**row, "date": "2026-11-21", "info": "perf"}, filled=True))
        at.events[row["uuid"]]["publish_timestamp"] = (whole.get(row["uuid"]) or row).get("publish_timestamp", "1")
    return at, at.users["a" * 40], clock


def misp2() -> tuple[Instance, User, Clock]:
    """MISP2 before the first push: it has pulled; its key belongs to the sync user of CERT1."""
    clock = Clock(1795285408)
    at = Instance(CERT2["name"], CERT2["uuid"], instance_uuid=MISP2, clock=clock)
    at.describe_organisation(CERT2["uuid"], **ADMIN_ORG)
    key = "b" * 40
    at.user(CERT1["name"], CERT1["uuid"], email="sync@cert1.test", key=key)
    at.describe_organisation(CERT1["uuid"], created=MET)
    _tags_of_misp2(at)
    first = recording("pull-first")
    kept = ((2, first[4], "4", 1), (3, first[5], "0", 2), (4, first[6], "1", 3), (5, first[7], "3", 5))
    for number, exchange, level, attribute in kept:
        put(at, _pulled(viewed(exchange), number, level, attribute))
    at.number("events", 1)  # an event that was there once
    note = viewed(first[7])["Note"][0]
    put_note(at, "Note", {**note, "id": "1", "locked": True, "Org": CERT2})
    cluster = first[2].said["GalaxyCluster"]
    clusters.put(at, {**cluster, "locked": True, "Org": CERT2})
    return at, at.users[key], clock


def _pulled(event: Part, number: int, level: str, attribute: int) -> Part:
    """An event of MISP1 as it is after a pull; its attributes are numbered from `attribute`."""
    own, count = {**CERT2, "id": "1", "local": True}, itertools.count(attribute)
    parts = [{**part, "id": next(count)} for part in event["Attribute"]]
    objects = [{**o, "Attribute": [{**a, "id": next(count)} for a in o["Attribute"]]} for o in event["Object"]]
    found = [{**part, "id": "1", "org_id": "1", "Org": own} for part in event["ShadowAttribute"]]
    frame = {"id": number, "distribution": level, "Org": own, "Orgc": {**CERT1, "id": "2"}, "locked": True, "Note": []}
    return {**event, **frame, "Attribute": parts, "Object": objects, "ShadowAttribute": found}


def pulled_e13(at: Instance) -> None:
    """MISP2 has pulled E13, which went no further than its own organisation by that."""
    put(at, _pulled(viewed(recording("sync-misp1")[15]), 8, "0", 40))


def _tags_of_misp2(at: Instance) -> None:
    for tag in viewed_answer(recording("sync-misp2")[3])["Tag"]:
        at.captured_tag(tag)


def viewed_answer(exchange: Exchange) -> Part:
    """The event in the answer of an add or edit."""
    found: Part = exchange.said["Event"]
    return found
