"""CIRCL: fifteen events on its MISP and fifteen in its feed; among the first, one of each rule that MISP has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from lab.samples.campaigns import SHARED_DOMAIN
from lab.samples.event import Part, attribute, event, misp_object, tag
from lab.samples.stix import fixed_uuid

CIRCL_ORG = "55f6ea5e-2c60-40e5-964f-47a8950d210f"
FOREIGN_ORG = "a1e07c43-58d9-4b26-93fc-0d74b6e8f215"  # an organisation that our configuration does not name
CERT_QC_ORG = "7c2f5a90-1d3b-4e86-b0f4-62a9d8c5e317"

_CIRCL: Part = {"id": "1", "name": "CIRCL", "uuid": CIRCL_ORG, "local": True}
_FOREIGN: Part = {"id": "3", "name": "CSIRT Ailleurs", "uuid": FOREIGN_ORG, "local": False}
_CERT_QC: Part = {"id": "2", "name": "CERT-QC", "uuid": CERT_QC_ORG}

# What an invented actor does, event by event: the place makes addresses, the name makes hosts.
_ORDINARY = [
    ("vigne-folle", "Vigne folle", "Fake tax notices lead to a loader", "tlp:green"),
    ("grenouille", "Grenouille", "Faux support technique par téléphone", "tlp:clear"),
    ("moulin-perdu", "Moulin perdu", "Kits d’hameçonnage bancaire", "tlp:green"),
    ("rose-d-acier", "Rose d’acier", "Ransomware in a logistics firm", "tlp:amber"),
    ("sentier-rouge", "Sentier rouge", "Scan massif de passerelles d’accès distant", "tlp:white"),
]
_FEED = [
    ("ardoise", "Ardoise", "Botnet of home routers"),
    ("bruyere", "Bruyère", "Pages de connexion contrefaites"),
    ("chardon", "Chardon", "Loader spread by search advertisements"),
    ("fougere", "Fougère", "Faux sites de colis"),
    ("genet", "Genêt", "Crypto wallets drained by a browser extension"),
]
FEED_PARTS = 3  # events each of them has


def circl_events() -> list[Part]:
    """All that CIRCL's MISP holds; the account of CERT-QC is shown less."""
    ordinary = [_ordinary(place, *words) for place, words in enumerate(_ORDINARY)]
    return [*ordinary, *odd().values()]


def circl_feed() -> list[Part]:
    """The events of CIRCL's feed, in the form that feeds have: without distribution, ids and local fields."""
    return [
        _as_feed(_in_feed(place * FEED_PARTS + part, slug, name, info))
        for place, (slug, name, info) in enumerate(_FEED)
        for part in range(FEED_PARTS)
    ]


def odd() -> Mapping[str, Part]:
    """The special events by what is special about them."""
    return {**_by_distribution(), **_by_tag(), **_by_content()}


def _content(slug: str, place: int) -> dict[str, list[Part]]:
    digest = hashlib.sha256(slug.encode()).hexdigest()
    return {
        "Attribute": [
            attribute("domain", f"cdn.{slug}.example", place),
            attribute("hostname", f"login.{slug}.example", place, comment="Page de connexion contrefaite"),
            attribute("ip-dst", f"192.0.2.{100 + place}", place, first_seen="2025-09-30T06:00:00.000000+00:00"),
            attribute("url", f"https://cdn.{slug}.example/a/{place}.js", place),
            attribute("sha256", hashlib.sha256(f"{slug}/2".encode()).hexdigest(), place),
            attribute("email-src", f"facture@{slug}.example", place),
            attribute("link", f"https://circl.example/pub/{slug}", place),
        ],
        "Object": [
            misp_object("file", [("filename", "filename", f"{slug}.exe"), ("sha256", "sha256", digest)], place),
            misp_object(
                "domain-ip", [("domain", "domain", f"c2.{slug}.example"), ("ip", "ip-dst", f"192.0.2.{150 + place}")]
            ),
        ],
    }


def _ordinary(place: int, slug: str, name: str, info: str, tlp: str) -> Part:
    tags = [tag(tlp), tag(f'misp-galaxy:threat-actor="{name}"'), tag('misp-galaxy:mitre-attack-pattern="T1566"')]
    content = _content(slug, place)
    if place == 0:  # the domain that CCC and CERT-EE know as well
        content["Attribute"].append(attribute("domain", SHARED_DOMAIN, place))
    return event(slug, f"{name}: {info}", place, _CIRCL, Tag=tags, **content)


def _in_feed(place: int, slug: str, name: str, info: str) -> Part:
    tlp = "tlp:green" if place % FEED_PARTS else "tlp:clear"
    content = _content(f"{slug}-{place}", 20 + place)
    tags = [tag(tlp), tag(f'misp-galaxy:threat-actor="{name}"'), tag("type:OSINT")]
    return event(f"feed/{slug}/{place}", f"{name}: {info} ({place})", 20 + place, _CIRCL, Tag=tags, **content)


def _small(slug: str, info: str, day: int, tlp: str | None = "tlp:green", **other: Any) -> Part:
    usual: dict[str, Any] = {
        "Attribute": [attribute("domain", f"{slug}.misp.example", day)],
        "Tag": [tag(tlp)] if tlp else [],
        "Orgc": _CIRCL,
    }
    return event(slug, info, day, _CIRCL, **(usual | other))


def _by_distribution() -> dict[str, Part]:
    groups = {"distribution": "4", "sharing_group_id": "1"}
    return {
        "organisation only": _small("d0", "Our organisation only", 5, distribution="0"),
        "community": _small("d1", "This community only", 6, distribution="1"),
        "connected": _small("d2", "Communautés connectées", 7, distribution="2"),
        "sharing group with us": _small("d4-us", "Groupe de partage", 8, SharingGroup=_group(_CERT_QC), **groups),
        "sharing group without us": _small("d4", "Another group", 8, SharingGroup=_group(_FOREIGN), **groups),
    }


def _group(member: Part) -> Part:
    orgs = [{"extend": True, "Organisation": {k: o[k] for k in ("id", "name", "uuid")}} for o in (_CIRCL, member)]
    return {
        "id": "1",
        "name": f"CIRCL + {member['name']}",
        "releasability": "Les membres du groupe",
        "description": "",
        "uuid": fixed_uuid("circl", "sharing-group", member["name"]),
        "organisation_uuid": CIRCL_ORG,
        "active": True,
        "roaming": False,
        "local": False,
        "created": "2025-09-01 08:00:00",
        "modified": "2025-09-01 08:00:00",
        "Organisation": {k: _CIRCL[k] for k in ("id", "name", "uuid")},
        "SharingGroupOrg": orgs,
        "SharingGroupServer": [],
    }


def _by_tag() -> dict[str, Part]:
    stricter = attribute("domain", "stricter.tags.misp.example", 9, Tag=[tag("tlp:red")])
    freely = attribute("domain", "green.tags.misp.example", 9)
    local = [tag("tlp:green"), tag("à-vérifier", local=True)]
    return {
        "red": _small("red", "For named persons", 9, "tlp:red"),
        "amber+strict": _small("strict", "Organisation only", 9, "tlp:amber+strict"),
        "untagged": _small("untagged", "Sans marque", 9, None),
        "two colours, capitals": _small("two", "Green or amber?", 9, Tag=[tag("TLP:GREEN"), tag("tlp:amber")]),
        "stricter attribute, local tag": _small(
            "tags", "Un attribut plus strict", 9, Tag=local, Attribute=[freely, stricter]
        ),
    }


def _by_content() -> dict[str, Part]:
    deleted = attribute("domain", "deleted.misp.example", 10, deleted=True)
    hidden = attribute("domain", "hidden.misp.example", 10, distribution="0")
    shown = attribute("domain", "shown.misp.example", 10, to_ids=False)
    broken = {**attribute("domain", "broken.misp.example", 10), "uuid": "pas-un-uuid", "timestamp": "hier"}
    del broken["type"]
    return {
        "deleted and hidden attributes": _small("parts", "Parts", 10, Attribute=[shown, deleted, hidden]),
        "foreign": _small("foreign", "By an organisation we do not take from", 10, Orgc=_FOREIGN),
        "unpublished": _small("draft", "Brouillon", 11, published=False, publish_timestamp="0"),
        "invalid": _small("invalid", "Not an event one can use", 11, date="31/02/2025", Attribute=[broken]),
    }


def _as_feed(full: Part) -> Part:
    kept = ("uuid", "info", "date", "threat_level_id", "analysis", "timestamp", "publish_timestamp", "published")
    slim_tags = [{k: t[k] for k in ("name", "colour", "local")} for t in full["Tag"]]
    return {
        **{key: full[key] for key in kept},
        "extends_uuid": "",
        "Orgc": {key: full["Orgc"][key] for key in ("name", "uuid")},
        "Tag": slim_tags,
        "Attribute": [_slim(a) for a in full["Attribute"]],
        "Object": [{**_slim(o), "Attribute": [_slim(a) for a in o["Attribute"]]} for o in full["Object"]],
    }


def _slim(part: Part) -> Part:
    local = ("distribution", "sharing_group_id", "object_id", "Galaxy", "ShadowAttribute")
    return {key: value for key, value in part.items() if key not in local and value is not None}
