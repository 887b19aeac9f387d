"""What an instance answers, by controller and action: the calls of sync, and those of PyMISP that tests use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from lab.misp import analyst, clusters, index, proposals, sightings
from lab.misp.capture import Capture
from lab.misp.instance import Instance, Refused
from lab.misp.people import Part
from lab.misp.validity import types
from lab.misp.view import View, Wishes
from lab.misp.wire import Action, Answer, Asked, searched

ACTIONS: dict[tuple[str, str], Action] = {}


def _at(controller: str, *names: str) -> Callable[[Action], Action]:
    def put(action: Action) -> Action:
        for name in names:
            ACTIONS[controller, name.lower()] = action
        return action

    return put


# Instance


@_at("servers", "getVersion")
def version(at: Instance, asked: Asked) -> Answer:
    """What the instance is and may be asked for."""
    flags = ("perm_sync", "perm_sighting", "perm_galaxy_editor", "perm_analyst_data")
    return Answer(
        {
            "version": at.settings.version,
            "pymisp_recommended_version": at.settings.version,
            **{flag: flag in asked.user for flag in flags},
            "uuid": at.uuid if "perm_sync" in asked.user else "-",
            "request_encoding": list(at.settings.request_encoding),
            "filter_sightings": at.settings.filter_sightings,
        }
    )


@_at("servers", "postTest")
def post_test(_: Instance, asked: Asked) -> Answer:
    """Body and headers back, for the connection test."""
    echoed = {"Content-type": asked.headers.get("content-type", 0), "Accept": asked.headers.get("accept", 0)}
    return Answer({"body": asked.body, "headers": {**echoed, "Authorization": "OK"}})


@_at("servers", "getAvailableSyncFilteringRules")
def rules(at: Instance, _: Asked) -> Answer:
    """By what a pull may be filtered."""
    organisations = sorted(organisation.name for organisation in at.organisations.values())
    used = {tag["name"] for event in at.events.values() for tag in event["Tag"]}
    return Answer({"organisations": organisations, "tags": sorted(used | set(at.tags))})


@_at("users", "view")
def me(at: Instance, asked: Asked) -> Answer:
    """The user who asks."""
    return Answer(asked.user.shown(at.now))


@_at("attributes", "describeTypes")
def describe_types(_: Instance, __: Asked) -> Answer:
    """The table of types and categories."""
    return Answer({"result": types()})


@_at("eventreports", "add")
def describe_report(_: Instance, asked: Asked) -> Answer:
    """What MISP says about its own call: that it is there tells a pusher that reports are supported."""
    if asked.method != "GET":
        raise Refused(404, "Invalid event")
    description = "POST a report in JSON format to this API to create a report for the specified event"
    fields = {"mandatory": ["name"], "optional": ["distribution", "content"], "params": ["event_id"]}
    return Answer({"name": "Add Event Report", "description": description, **fields, "url": "/eventReports/add"})


# Events


@_at("events", "index")
def event_index(at: Instance, asked: Asked) -> Answer:
    """The index: minimal for sync, whole for a preview."""
    wishes = asked.wishes
    found = index.found(at, asked.user, wishes)
    rows = index.page(found, wishes)
    shown = [index.minimal(event) if wishes.get("minimal") else index.row(at, event) for event in rows]
    return Answer(shown, headers={"X-Result-Count": str(len(found))}, etagged=True)


@_at("events", "view", "*")
def event_view(at: Instance, asked: Asked) -> Answer:
    """One event; HEAD asks whether it is there."""
    held = _event(at, asked, _key(asked))
    if asked.method == "HEAD":
        return Answer(b"")
    return Answer({"Event": View(at, asked.user, Wishes.of(asked.wishes, asked.user)).event(held)}, etagged=True)


@_at("events", "add")
def event_add(at: Instance, asked: Asked) -> Answer:
    """A new event."""
    _may(asked, "perm_add", "You do not have permission to use this functionality.")
    said = _inside(asked.body, "Event")
    _unsigned(asked, said)
    held = Capture(at, asked.user).add(said)
    return _saved(at, asked, held)


@_at("events", "edit")
def event_edit(at: Instance, asked: Asked) -> Answer:
    """A newer version of an event."""
    held = _event(at, asked, _key(asked))
    if "perm_sync" not in asked.user and held["Orgc"]["uuid"] != asked.user.org.uuid:
        raise Refused(403, "You are not authorised to do that.")
    _unsigned(asked, held)
    Capture(at, asked.user).edit(held, _inside(asked.body, "Event"))
    return _saved(at, asked, held)


@_at("events", "delete")
def event_delete(at: Instance, asked: Asked) -> Answer:
    """Delete an event; its uuid is blocked from then on."""
    held = _event(at, asked, _key(asked))
    if held["Orgc"]["uuid"] != asked.user.org.uuid and "perm_site_admin" not in asked.user:
        raise Refused(403, "You do not have permission to use this functionality.")
    at.forget(held["uuid"])
    return _done("Event deleted", asked)


@_at("events", "publish", "alert")
def event_publish(at: Instance, asked: Asked) -> Answer:
    """Publish an event."""
    _may(asked, "perm_publish", "You do not have permission to use this functionality.")
    Capture(at, asked.user).publish(_event(at, asked, _key(asked)))
    return _done("Job queued", asked)


@_at("events", "restSearch")
def event_search(at: Instance, asked: Asked) -> Answer:
    """Whole events that fit."""
    wishes = asked.wishes
    found = index.page(index.found(at, asked.user, wishes), wishes)
    view = View(at, asked.user, Wishes.of(wishes, asked.user))
    shown = [{"Event": view.event(event)} for event in found]
    return searched(shown, X_Result_Count=str(len(shown)))


@_at("events", "filterEventIdsForPush")
def event_filter(at: Instance, asked: Asked) -> Answer:
    """Of the events that a pusher offers, those that are unknown, or locked here and older."""
    wanted = []
    for offer in asked.body:
        held = at.events.get(offer["Event"]["uuid"])
        newer = held is None or int(offer["Event"]["timestamp"]) > int(held["timestamp"])
        if newer and (held is None or held["locked"]):
            wanted.append(offer["Event"]["uuid"])
    return Answer(wanted)


@_at("events", "pushProposals")
def proposals_push(at: Instance, asked: Asked) -> Answer:
    """Proposals to one event."""
    return Answer(proposals.push(at, _key(asked), asked.body, asked.user))


@_at("shadowattributes", "index")
def proposals_index(at: Instance, asked: Asked) -> Answer:
    """Proposals of all events."""
    return Answer(proposals.index(at, asked.user, asked.wishes))


# Sightings


@_at("sightings", "restSearch")
def sighting_search(at: Instance, asked: Asked) -> Answer:
    """Sightings of the events that are named. X-Result-Count is 0 whatever is found, as in 2.5.1."""
    return searched(sightings.search(at, asked.user, asked.wishes), X_Result_Count="0")


@_at("sightings", "filterSightingUuidsForPush")
def sighting_filter(at: Instance, asked: Asked) -> Answer:
    """Those that are here already."""
    if not at.settings.filter_sightings:
        raise Refused(404, "Not Found")
    return Answer(sightings.known(at, _key(asked), asked.body, asked.user))


@_at("sightings", "bulkSaveSightings")
def sighting_save(at: Instance, asked: Asked) -> Answer:
    """Keep sightings."""
    _may(asked, "perm_sighting", "You do not have permission to use this functionality.")
    return Answer({"saved": True, "success": sightings.bulk_save(at, _key(asked), asked.body, asked.user)})


# Galaxy clusters and analyst data


@_at("galaxyclusters", "restSearch")
def cluster_search(at: Instance, asked: Asked) -> Answer:
    """Clusters that fit."""
    found = clusters.search(at, asked.user, asked.wishes)
    return searched(found, X_Result_Count=str(len(found)))


@_at("galaxyclusters", "view")
def cluster_view(at: Instance, asked: Asked) -> Answer:
    """One cluster."""
    return Answer({"GalaxyCluster": clusters.view(at, asked.user, _key(asked))})


@_at("galaxies", "pushCluster")
def cluster_push(at: Instance, asked: Asked) -> Answer:
    """Keep clusters."""
    return _done(clusters.push(at, asked.user, asked.body), asked)


@_at("analystdata", "indexMinimal")
def analyst_index(at: Instance, asked: Asked) -> Answer:
    """What notes there are; an empty map is `[]`, as PHP has it."""
    return Answer(analyst.index_minimal(at, asked.user, asked.wishes) or [])


@_at("analystdata", "index")
def analyst_list(at: Instance, asked: Asked) -> Answer:
    """Notes by uuid."""
    kind = asked.passed[2] if len(asked.passed) > 2 else "Note"
    return Answer(analyst.index(at, asked.user, kind, asked.named.get("uuid") or []))


@_at("analystdata", "filterAnalystDataForPush")
def analyst_filter(at: Instance, asked: Asked) -> Answer:
    """Of the notes that a pusher offers, those that are news."""
    return Answer(analyst.wanted(at, asked.user, asked.body))


@_at("analystdata", "pushAnalystData")
def analyst_push(at: Instance, asked: Asked) -> Answer:
    """Keep notes."""
    return _done(analyst.push(at, asked.user, asked.body), asked)


# Attributes


@_at("attributes", "restSearch")
def attribute_search(at: Instance, asked: Asked) -> Answer:
    """Attributes that fit; `returnFormat` "cache" is what the cache button of another MISP fetches."""
    wishes = asked.wishes
    if wishes.get("returnFormat") == "cache":
        if not at.settings.cache_export:
            raise Refused(500, "An Internal Error Has Occurred.")
        return Answer(_cache(at, asked, wishes), headers={"Content-Type": "text/plain; charset=UTF-8"})
    found = []
    for event in index.found(at, asked.user, {key: wishes[key] for key in wishes if key not in ("limit", "page")}):
        shown = View(at, asked.user, Wishes.of({**wishes, "excludeGalaxy": 1}, asked.user)).event(event)
        inside = [attribute for object_ in shown["Object"] for attribute in object_["Attribute"]]
        frame = {key: shown[key] for key in ("org_id", "distribution", "id", "info", "orgc_id", "uuid")}
        found += [{**attribute, "Event": frame} for attribute in (*shown["Attribute"], *inside)]
    for field in ("value", "type", "category", "uuid"):
        if wishes.get(field):
            chosen = wishes[field] if isinstance(wishes[field], list) else [wishes[field]]
            found = [attribute for attribute in found if attribute[field] in chosen]
    return Answer({"response": {"Attribute": index.page(found, wishes)}}, headers={"X-Result-Count": str(len(found))})


def _cache(at: Instance, asked: Asked, wishes: Mapping[str, Any]) -> bytes:
    lines = []
    for event in index.found(at, asked.user, {"published": 1}):
        for attribute in at.attributes(event):
            if not attribute["deleted"] and at.sees(asked.user, attribute, event["Org"]["uuid"]):
                for value in attribute["value"].split("|"):
                    lines.append(f"{hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()},{event['uuid']}\n")
    return "".join(index.page(lines, wishes)).encode()


# What several of them do


def _event(at: Instance, asked: Asked, key: str) -> Part:
    held = at.event(key, asked.user)
    if held is None:
        raise Refused(404, "Invalid event")
    return held


def _key(asked: Asked) -> str:
    return asked.passed[-1] if len(asked.passed) > 1 else ""


def _inside(body: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Refused(405, "No valid event data received.")
    inside = body.get(name, body)
    return inside if isinstance(inside, dict) else {}


def _may(asked: Asked, permission: str, otherwise: str) -> None:
    if permission not in asked.user:
        raise Refused(403, otherwise)


def _unsigned(asked: Asked, event: Mapping[str, Any]) -> None:
    """Refuse a protected event of a sync user; a signature that is there is not checked, and refused all the same."""
    if event.get("protected") and "perm_site_admin" not in asked.user:
        given = "x-pgp-signature" in asked.headers
        end = "." if given else " as no key was provided."
        raise Refused(405, f"Protected event failed signature validation{end}")


def _saved(at: Instance, asked: Asked, held: Part) -> Answer:
    named = {key: value for key, value in asked.named.items() if key == "metadata"}
    wishes = Wishes.of({**named, "excludeLocalTags": int("perm_site_admin" not in asked.user)}, asked.user)
    return Answer({"Event": View(at, asked.user, wishes.plain()).event(held)})


def _done(text: str, asked: Asked) -> Answer:
    return Answer({"saved": True, "success": True, "name": text, "message": text, "url": asked.path})
