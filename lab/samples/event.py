"""A MISP event as a MISP writes it: numbers as strings, flags as booleans, every field that the recordings show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.samples.stix import fixed_uuid

Part = dict[str, Any]

_EPOCH = datetime(2025, 10, 1, 8, tzinfo=UTC)
_COLOURS = {"tlp:clear": "#ffffff", "tlp:white": "#ffffff", "tlp:green": "#33FF00", "tlp:amber": "#FFC000"}
_CATEGORIES = {
    "sha256": "Payload delivery",
    "filename": "Payload delivery",
    "filename|sha256": "Payload delivery",
    "email-src": "Payload delivery",
    "link": "External analysis",
    "vulnerability": "External analysis",
    "text": "Other",
}
_TEMPLATES = {
    "file": ("file", "688c46fb-5edb-40a3-8273-1af7923e2215", "25"),
    "domain-ip": ("network", "43b3b146-77eb-4931-b4cc-b66c60f28734", "11"),
}


def seconds(day: float) -> str:
    """A MISP timestamp, `day` days into the time of the samples."""
    return str(int((_EPOCH + timedelta(days=day)).timestamp()))


def tag(name: str, *, local: bool = False) -> Part:
    """A tag on an event or attribute."""
    return {
        "id": str(1 + len(name)),
        "name": name,
        "colour": _COLOURS.get(name.lower(), "#0088cc"),
        "exportable": True,
        "user_id": "0",
        "hide_tag": False,
        "numerical_value": None,
        "is_galaxy": name.startswith("misp-galaxy:"),
        "is_custom_galaxy": False,
        "local_only": False,
        "local": local,
        "relationship_type": None,
    }


def attribute(type_: str, value: str, day: float = 0, **other: Any) -> Part:
    """An attribute; what is told apart by nothing else is told apart by type and value."""
    usual = {
        "type": type_,
        "category": _CATEGORIES.get(type_, "Network activity"),
        "to_ids": type_ not in ("link", "text", "vulnerability"),
        "uuid": fixed_uuid("circl", "attribute", type_, value),
        "distribution": "5",
        "timestamp": seconds(day),
        "comment": "",
        "sharing_group_id": "0",
        "deleted": False,
        "disable_correlation": False,
        "object_id": "0",
        "object_relation": None,
        "first_seen": None,
        "last_seen": None,
        "value": value,
        "Galaxy": [],
        "ShadowAttribute": [],
    }
    return usual | other


def misp_object(name: str, values: Sequence[tuple[str, str, str]], day: float = 0) -> Part:
    """A MISP object of (relation, type, value)."""
    category, template, version = _TEMPLATES[name]
    key = "+".join(value for _, _, value in values)
    inside = [
        attribute(
            type_,
            value,
            day,
            object_relation=relation,
            uuid=fixed_uuid("circl", "object-attribute", key, relation, value),
        )
        for relation, type_, value in values
    ]
    return {
        "name": name,
        "meta-category": category,
        "description": "",
        "template_uuid": template,
        "template_version": version,
        "uuid": fixed_uuid("circl", "object", name, key),
        "timestamp": seconds(day),
        "distribution": "5",
        "sharing_group_id": "0",
        "comment": "",
        "deleted": False,
        "first_seen": None,
        "last_seen": None,
        "ObjectReference": [],
        "Attribute": inside,
    }


def event(slug: str, info: str, day: int, orgc: Part, **other: Any) -> Part:
    """An event of connected communities and beyond (distribution 3), published an hour after its last edit."""
    usual = {
        "uuid": fixed_uuid("circl", "event", slug),
        "info": info,
        "date": f"{_EPOCH + timedelta(days=day):%Y-%m-%d}",
        "threat_level_id": "2",
        "analysis": "2",
        "timestamp": seconds(day),
        "publish_timestamp": str(int(seconds(day)) + 3600),
        "published": True,
        "distribution": "3",
        "sharing_group_id": "0",
        "Org": orgc,
        "Orgc": orgc,
        "Attribute": [],
        "Object": [],
        "Tag": [],
    }
    return usual | other
