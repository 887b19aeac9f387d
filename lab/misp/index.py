"""The index of events and the search over them: MISP's filters, one minimal row or a whole one an event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from lab.misp.clusters import in_row
from lab.misp.instance import Instance
from lab.misp.people import Part, User
from lab.misp.view import said

T = TypeVar("T")

_AGE = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ROW = (
    "id",
    "org_id",
    "date",
    "info",
    "uuid",
    "published",
    "analysis",
    "attribute_count",
    "orgc_id",
    "timestamp",
    "distribution",
    "sharing_group_id",
    "proposal_email_lock",
    "locked",
    "threat_level_id",
    "publish_timestamp",
    "sighting_timestamp",
    "disable_correlation",
    "extends_uuid",
    "protected",
)


def found(instance: Instance, user: User, wishes: Mapping[str, Any]) -> list[Part]:
    """The events that this user sees and the filters leave, sorted as asked, before paging."""
    held = sorted(instance.events.values(), key=lambda event: int(event["id"]))
    signs = instance.settings.signs_protected
    shown = [event for event in held if instance.sees_event(user, event) and (signs or not event["protected"])]
    left = [event for event in shown if _fits(instance, event, wishes)]
    key = wishes.get("sort") or wishes.get("order")
    if key in _ROW:
        descending = str(wishes.get("direction")).lower() == "desc"
        left.sort(key=lambda event: _sortable(event.get(str(key))), reverse=descending)
    return left


def page(events: list[T], wishes: Mapping[str, Any]) -> list[T]:
    """The page that was asked for; without `limit` all of it."""
    limit, number = int(wishes.get("limit") or 0), int(wishes.get("page") or 1)
    return events[(number - 1) * limit : number * limit] if limit else events


def minimal(event: Part) -> Part:
    """A row of the index with `minimal`."""
    row = {key: event[key] for key in ("id", "timestamp", "sighting_timestamp", "published", "uuid")}
    return {**row, "orgc_uuid": event["Orgc"]["uuid"]}


def row(instance: Instance, event: Part) -> Part:
    """A whole row of the index. Local tags are in it, for whoever may see the event, as in MISP."""
    numbers = {
        "org_id": event["Org"]["id"],
        "orgc_id": event["Orgc"]["id"],
        "attribute_count": instance.attribute_count(event),
    }
    shown = {key: numbers[key] if key in numbers else event[key] for key in _ROW}
    for key in ("Org", "Orgc"):
        shown[key] = {name: event[key][name] for name in ("id", "name", "uuid")}
    if group := instance.group_of(event):
        shown["SharingGroup"] = {key: group[key] for key in ("id", "name", "uuid")}
    if clusters := in_row(instance, event["Tag"]):
        shown["GalaxyCluster"] = clusters
    shown["EventTag"] = [_tie(instance, event, tag) for tag in event["Tag"] if instance.tags[tag["name"]]["exportable"]]
    return shown


def _tie(instance: Instance, event: Part, tag: Part) -> Part:
    known = instance.tags[tag["name"]]
    shown = {key: known[key] for key in ("id", "name", "colour", "is_galaxy")}
    tie = {"id": tag["id"], "event_id": event["id"], "tag_id": known["id"], "local": tag["local"]}
    return {**tie, "relationship_type": tag["relationship_type"] or "", "Tag": shown}


def _fits(instance: Instance, event: Part, wishes: Mapping[str, Any]) -> bool:
    if said(wishes, "minimal") and instance.attribute_count(event) == "0" and not _reported(event):
        return False
    if not _published(event, wishes.get("published")):
        return False
    for name in ("timestamp", "publish_timestamp", "publishtimestamp", "last"):
        field = "timestamp" if name == "timestamp" else "publish_timestamp"
        if wishes.get(name) not in (None, "") and not _within(instance.now, int(event[field]), wishes[name]):
            return False
    keys = {event["uuid"], event["id"]}
    for name in ("eventid", "uuid"):
        if wishes.get(name) and not _chosen(keys, wishes[name]):
            return False
    if not _described(event, wishes):
        return False
    levels = (("distribution", "distribution"), ("analysis", "analysis"), ("threatlevel", "threat_level_id"))
    if not all(_chosen({event[field]}, wishes.get(name)) for name, field in levels):
        return False
    creator = {event["Orgc"]["uuid"], event["Orgc"]["name"].upper(), event["Orgc"]["id"]}
    tags = {tag["name"] for tag in event["Tag"]} | {instance.tags[tag["name"]]["id"] for tag in event["Tag"]}
    orgs = [str(piece) if _is_key(piece) else str(piece).upper() for piece in _listed(wishes.get("org"))]
    return _chosen(creator, orgs) and _chosen(tags, wishes.get("tag") or wishes.get("tags"))


def _reported(event: Part) -> bool:
    return any(not report["deleted"] for report in event["EventReport"])


def _published(event: Part, wish: Any) -> bool:
    wished = {int(value) for value in _listed(wish)}
    return not wished or wished >= {0, 1} or 2 in wished or int(event["published"]) in wished


def _described(event: Part, wishes: Mapping[str, Any]) -> bool:
    low, high = wishes.get("datefrom") or wishes.get("from"), wishes.get("dateuntil") or wishes.get("to")
    dated = (not low or event["date"] >= str(low)) and (not high or event["date"] <= str(high))
    pieces = [str(piece).lower() for piece in _listed(wishes.get("eventinfo"))]
    return dated and (not pieces or any(piece in event["info"].lower() for piece in pieces))


def _is_key(piece: Any) -> bool:
    return str(piece).lstrip("!").count("-") == 4


def _chosen(present: Iterable[str], rule: Any) -> bool:
    words = [str(word) for word in _listed(rule)]
    wanted = {word for word in words if not word.startswith("!")}
    unwanted = {word[1:] for word in words if word.startswith("!")}
    return (not wanted or bool(wanted & set(present))) and not unwanted & set(present)


def _within(now: int, value: int, bounds: Any) -> bool:
    low, high = bounds if isinstance(bounds, list) else (bounds, None)
    return (low is None or value >= _instant(now, low)) and (high is None or value <= _instant(now, high))


def _instant(now: int, text: Any) -> float:
    if age := re.fullmatch(r"(\d+)([smhd])", str(text)):
        return now - int(age[1]) * _AGE[age[2]]
    return float(text)


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return value.split("|")
    return value if isinstance(value, list) else [value]


def _sortable(value: Any) -> tuple[int, str]:
    text = str(value)
    return (int(text), "") if text.isdecimal() else (0, text)
