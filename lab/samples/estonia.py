"""CERT-EE: six campaigns in English, some of which CCC knows too, objects of CCC that it passes on, an extension."""

from __future__ import annotations

from collections.abc import Mapping

from lab.samples import canada
from lab.samples.campaigns import ENGLISH, SHARED_DOMAIN, Campaign, tell
from lab.samples.markings import AMBER, CLEAR, GREEN, GREEN_1, RED, definition
from lab.samples.stix import CERT_EE_IDENTITY, Author, Object, moment

IDENTITY: Object = {
    "type": "identity",
    "spec_version": "2.1",
    "id": CERT_EE_IDENTITY,
    "created": moment(-30),
    "modified": moment(-30),
    "name": "CERT-EE",
    "identity_class": "organization",
    "sectors": ["government"],
    "object_marking_refs": [CLEAR],
}

CAMPAIGNS = [
    Campaign(
        number=10,
        slug="amber-tide",
        group="Amber Tide",
        malware="Undertow",
        family="backdoor",
        text="Compromised mail gateways of ministries.",
        marks=[GREEN],
    ),
    Campaign(
        number=11,
        slug="birch-lantern",
        group="Birch Lantern",
        malware="Ember",
        family="ransomware",
        text="Ransomware against small hospitals.",
        marks=[CLEAR],
    ),
    Campaign(
        number=12,
        slug="hollow-reed",
        group="Hollow Reed",
        malware="Piper",
        family="spyware",
        text="Nobody has marked any of this.",
    ),
    Campaign(
        number=13,
        slug="northern-loom",
        group="Northern Loom",
        malware="Shuttle",
        family="remote-access-trojan",
        text="Trojanised installers of an accounting program.",
        marks=[GREEN_1],
        report_only=True,
    ),
    Campaign(
        number=14,
        slug="peat-smoke",
        group="Peat Smoke",
        malware="Cinder",
        family="downloader",
        text="Invoices with a macro; for organisations and their clients.",
        marks=[AMBER],
    ),
    Campaign(
        number=15,
        slug="silver-sprat",
        group="Silver Sprat",
        malware="Shoal",
        family="wiper",
        text="For named persons only.",
        marks=[RED],
    ),
]

_EXTENSION = "extension-definition--2d7b9f04-c6a1-4e35-9b82-f50d83a7c619"


def cert_ee() -> list[Object]:
    """All that the collection `hoiatused` holds, in order of arrival; every object of it is valid."""
    author = _author()
    for mark in (CLEAR, GREEN, AMBER, RED, GREEN_1):
        author.add(definition(mark))
    for campaign in CAMPAIGNS:
        tell(author, campaign, ENGLISH)
    _odd(author)
    return author.objects


def odd() -> Mapping[str, Object]:
    """The special objects of CERT-EE by what is special about them."""
    return _odd(_author())


def _author() -> Author:
    return Author("cert-ee", IDENTITY, "en")


def _odd(author: Author) -> dict[str, Object]:
    theirs = canada.odd()
    newest = theirs["two versions"]
    older = {**newest, "modified": newest["created"], "name": "Première version"}
    del older["confidence"]
    note = author.make(
        "note", "on-ccc", 48, [GREEN], abstract="Also seen here", content="Confirmed.", object_refs=[newest["id"]]
    )
    return {
        "same fact": author.indicator("shared", 47, f"[domain-name:value='{SHARED_DOMAIN}']", [GREEN], name="Shared"),
        "same fact, stricter": author.indicator(
            "shared-red", 47, f"[ domain-name:value = '{SHARED_DOMAIN.upper()}' ]", [RED], name="Shared, stricter"
        ),
        "passed on": author.add(dict(theirs["passed on"])),
        "passed on, older": author.add(older),
        "about another's": note,
        "extension": _extended(author),
    }


def _extended(author: Author) -> Object:
    author.add(
        {
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": _EXTENSION,
            "created_by_ref": author.id,
            "created": moment(0),
            "modified": moment(0),
            "name": "Triage",
            "description": "How far our analysts have come with an object.",
            "schema": "https://cert-ee.example/schemas/triage.json",
            "version": "1.0.0",
            "extension_types": ["property-extension"],
        }
    )
    extension = {_EXTENSION: {"extension_type": "property-extension", "triage": "confirmed"}}
    pattern = "[domain-name:value = 'extended.example']"
    return author.indicator("extended", 48, pattern, [GREEN], name="With an extension", extensions=extension)
