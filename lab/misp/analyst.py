"""Analyst data: notes, opinions and relationships on anything that has a uuid; they travel by calls of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.misp.instance import Instance, Refused
from lab.misp.people import Part, User

KINDS = ("Note", "Opinion", "Relationship")


def put(instance: Instance, kind: str, said: Mapping[str, Any]) -> Part:
    """Hold a note (opinion, relationship) as it stands; its organisations become known here."""
    orgc = instance.captured_organisation(said.get("Orgc") or instance.organisation.brief())
    org = instance.captured_organisation(said.get("Org") or instance.organisation.brief())
    usual = {"authors": "", "distribution": "3", "sharing_group_id": None, "locked": False}
    fixed = {"id": instance.number(kind, said.get("id")), "org_uuid": org.uuid, "orgc_uuid": orgc.uuid}
    dropped = ("Orgc", "Org", "_canEdit", "_max_depth_reached", *KINDS)
    held = {**usual, **{key: value for key, value in said.items() if key not in dropped}, **fixed}
    instance.analyst[kind][held["uuid"]] = held
    return held


def attached(instance: Instance, uuid: str, user: User) -> dict[str, list[Part]]:
    """What is said about the thing with this uuid, as an event shows it."""
    found: dict[str, list[Part]] = {}
    for kind, held in instance.analyst.items():
        for note in held.values():
            if note["object_uuid"] == uuid and _sees(instance, user, note):
                shown = _shown(instance, note, user, short=True)
                found.setdefault(kind, []).append({**shown, "_max_depth_reached": False})
    return found


def index_minimal(instance: Instance, user: User, wishes: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`analyst_data/indexMinimal`: kind -> uuid -> when it was changed."""
    names = wishes.get("orgc_name") or []
    wanted = {name for name in names if not name.startswith("!")}
    unwanted = {name[1:] for name in names if name.startswith("!")}
    found: dict[str, dict[str, str]] = {}
    for kind, held in instance.analyst.items():
        for note in sorted(held.values(), key=lambda note: int(note["id"])):
            name = instance.organisations[note["orgc_uuid"]].name
            if _sees(instance, user, note) and (not wanted or name in wanted) and name not in unwanted:
                found.setdefault(kind, {})[note["uuid"]] = str(note["modified"])
    return found


def index(instance: Instance, user: User, kind: str, uuids: Iterable[str]) -> list[Part]:
    """`analyst_data/index/KIND`: those that are named."""
    wanted = set(uuids)
    found = sorted(instance.analyst.get(kind, {}).values(), key=lambda note: int(note["id"]))
    return [
        {kind: _shown(instance, note, user)}
        for note in found
        if (not wanted or note["uuid"] in wanted) and _sees(instance, user, note)
    ]


def wanted(instance: Instance, user: User, offered: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """`analyst_data/filterAnalystDataForPush`: of what is offered, what is new here; no news of a kind is `[]`."""
    if "perm_sync" not in user or "perm_analyst_data" not in user:
        raise Refused(405, "You do not have the permission to do that.")
    answer: dict[str, Any] = {}
    for kind in KINDS:
        said = offered.get(kind) or {}
        news = {}
        for uuid, modified in said.items():
            held = instance.analyst[kind].get(uuid)
            if held is None or (held["locked"] and str(held["modified"]) < modified):
                news[uuid] = modified
        answer[kind] = news or []
    return answer


def push(instance: Instance, user: User, said: Mapping[str, Any]) -> str:
    """`analyst_data/pushAnalystData`: what MISP says of the import."""
    if "perm_sync" not in user or "perm_analyst_data" not in user:
        raise Refused(405, "You do not have the permission to do that.")
    imported = ignored = 0
    for kind in KINDS:
        for note in [said[kind]] if isinstance(said.get(kind), dict) else said.get(kind) or []:
            if take(instance, user, kind, note):
                imported += 1
            else:
                ignored += 1
    return f"Analyst Data imported. {imported} imported, {ignored} ignored, 0 failed. "


def take(instance: Instance, user: User, kind: str, note: Mapping[str, Any]) -> bool:
    """Keep a note that came from elsewhere if it is news; it is locked here."""
    held = instance.analyst[kind].get(note["uuid"])
    if held is not None and (not held["locked"] or str(held["modified"]) >= str(note["modified"])):
        return False
    number = {"id": held["id"]} if held else {"id": None}
    put(instance, kind, {**note, **number, "locked": True, "Org": user.org.brief()})
    return True


def _sees(instance: Instance, user: User, note: Part) -> bool:
    return instance.sees(user, note, note["org_uuid"])


def _shown(instance: Instance, note: Part, user: User, *, short: bool = False) -> Part:
    orgc, org = (instance.organisations[note[key]] for key in ("orgc_uuid", "org_uuid"))
    mine = "perm_site_admin" in user or ("perm_analyst_data" in user and orgc.uuid == user.org.uuid)
    if not short:
        return {**note, "Orgc": orgc.whole(), "Org": org.whole(), "_canEdit": mine}
    names = ("id", "name", "uuid", "type", "sector", "nationality", "local")
    shown = {key: value for key, value in orgc.whole().items() if key in names}
    described = {key: value for key, value in org.whole().items() if key in (*names, "description")}
    return {**note, "Orgc": shown, "Org": described, "_canEdit": mine}
