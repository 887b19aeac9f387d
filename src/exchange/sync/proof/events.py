"""MISP events at random, as our own converter gives them: attributes that are a victim's beside some that are not.

Whose an attribute is was known when it was drawn; nothing of what reads it afterwards is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

from exchange.convert import pages
from exchange.model.party import ANYBODY, Source
from exchange.sync.proof.words import IDENTITY, OF_ID, PERSON, Thing

Words = tuple[str, str, str]
"""Type, category, and value with a place for a number."""
VICTIMS: tuple[Words, ...] = (
    ("email-dst", "Payload delivery", "boite{}@victime.example"),
    ("email-dst", "Network activity", "poste{}@victime.example"),
    ("email-dst-display-name", "Payload delivery", "Camille Exemplaire{}"),
    ("target-email", "Targeting data", "cible{}@victime.example"),
    ("target-user", "Targeting data", "compte{}cible"),
    ("target-machine", "Targeting data", "machine{}.victime.example"),
    ("email-src", "Targeting data", "vue{}@victime.example"),
    ("ip-dst", "Targeting data", "10.4.{}.7"),
    ("ip-src", "Targeting data", "192.168.{}.7"),
    ("hostname", "Targeting data", "serveur{}.victime.example"),
    ("text", "Internal reference", "dossier{}interne"),
    ("link", "Internal reference", "https://dossiers{}.victime.example/"),
)
"""What an event says is a victim's or its house's own."""
OTHERS: tuple[Words, ...] = (
    ("email-src", "Payload delivery", "envoi{}@attaque.example"),
    ("domain", "Network activity", "d{}.attaque.example"),
    ("ip-dst", "Network activity", "203.0.113.{}"),
    ("url", "Network activity", "https://u{}.attaque.example/"),
    ("text", "Other", "rien{}"),
)
_LEVELS = ("tlp:clear", "tlp:clear", "tlp:green", "tlp:amber")
_FIRST, _ROOM = 1000, 1000
_MOST, _IN_OBJECT, _REMARKED, _HALF = 4, 0.1, 0.15, 0.5
_AT = datetime(2017, 7, 14, tzinfo=UTC)
_STAMP = str(int(_AT.timestamp()))
_RECIPIENT = "boite0@victime.example"
_EMAIL = {"name": "email", "meta-category": "network", "template_uuid": "a0c666e0-fc65-4be8-b48f-3423d788b552"}
_NOT_HELD = frozenset({"created_by_ref", "object_marking_refs"})


def event(random: Random, giver: int) -> list[Thing]:
    """What the converter makes of one event; `giver`: which of them it is, for each has events of its own."""
    drawn = [random.choice(VICTIMS) for _ in range(random.randint(1, _MOST))]
    drawn += [random.choice(OTHERS) for _ in range(random.randint(0, 2))]
    made = [_attribute(giver, place, each, to_ids=random.random() < _HALF) for place, each in enumerate(drawn, 1)]
    for each in made:
        if random.random() < _REMARKED:
            each["comment"] = f"Write to {PERSON}"
    objects = [_object(giver)] if random.random() < _IN_OBJECT else []
    return _converted(giver, drawn, made, objects, random.choice(_LEVELS))


def every_kind(giver: int) -> list[Thing]:
    """The same of all that can be drawn, looked for and not."""
    drawn = [each for each in (*VICTIMS, *OTHERS) for _ in range(2)]
    made = [_attribute(giver, place, each, to_ids=place % 2 == 0) for place, each in enumerate(drawn, 1)]
    return _converted(giver, drawn, made, [], "tlp:clear")


def _converted(
    giver: int, drawn: list[Words], made: list[dict[str, Any]], objects: list[dict[str, Any]], level: str
) -> list[Thing]:
    whole = {
        "uuid": _uuid(giver, 0), "info": "Courriels", "date": "2017-07-14", "timestamp": _STAMP, "published": True,
        "distribution": "3", "threat_level_id": "2", "analysis": "2", "Attribute": made, "Object": objects,
        "Orgc": {"uuid": _uuid(giver, 90), "name": f"Atelier{giver}"}, "Tag": [{"name": level}],
    }  # fmt: skip
    victims = [each["value"] for each, words in zip(made, drawn, strict=True) if words in VICTIMS]
    return list(_things(whole, giver, [*victims, *(_RECIPIENT for _ in objects), PERSON]))


def _attribute(giver: int, place: int, words: Words, *, to_ids: bool) -> dict[str, Any]:
    kind, category, value = words
    return {
        "uuid": _uuid(giver, place), "type": kind, "category": category, "value": value.format(place),
        "to_ids": to_ids, "timestamp": _STAMP, "distribution": "5",
    }  # fmt: skip


def _object(giver: int) -> dict[str, Any]:
    """A message as MISP has it: the mailboxes of both sides in one object."""
    sides = (("email-src", "from", "envoi0@attaque.example"), ("email-dst", "to", _RECIPIENT))
    inside = [
        {**_attribute(giver, place, (kind, "Payload delivery", value), to_ids=False), "object_relation": relation}
        for place, (kind, relation, value) in enumerate(sides, 81)
    ]
    return {
        **_EMAIL, "uuid": _uuid(giver, 80), "template_version": "18", "timestamp": _STAMP, "distribution": "5",
        "Attribute": inside,
    }  # fmt: skip


def _uuid(giver: int, place: int) -> str:
    return f"{_FIRST + giver * _ROOM + place:08x}-0000-4000-8000-000000000000"


def _things(whole: Mapping[str, Any], giver: int, victims: list[str]) -> Iterator[Thing]:
    """What the converter makes of the event, each under a number of its own."""
    source = Source(peer="-", id="-", kind="misp", orgs=frozenset({ANYBODY}))
    found = [each for page in pages(json.dumps({"Event": whole}).encode(), source, now=_AT) for each in page.objects]
    first = _FIRST + giver * _ROOM
    numbers = {each.id: first + place for place, each in enumerate(found)}
    for each in found:
        stix = json.loads(each.body)
        text = json.dumps(stix, ensure_ascii=False)
        refs = tuple(numbers[ref] for ref in _refs(stix) if ref in numbers)
        marks = tuple(OF_ID[ref] for ref in stix.get("object_marking_refs", ()))
        yield Thing(
            number=numbers[each.id], kind=each.type, marks=marks, refs=refs,
            creator=each.id if each.type == IDENTITY else stix.get("created_by_ref", ""), given=text,
            victims=tuple(value for value in victims if value in text), misp=_called(whole, stix),
        )  # fmt: skip


def _refs(stix: Mapping[str, Any]) -> Iterator[str]:
    for name, value in stix.items():
        if name not in _NOT_HELD and name.endswith(("_ref", "_refs")):
            yield from (value,) if isinstance(value, str) else value


def _called(whole: Mapping[str, Any], stix: Mapping[str, Any]) -> tuple[str, ...]:
    """What MISP calls what it was made of: by its type and category, where it shows the value or the uuid of one."""
    text = json.dumps(stix)
    made_of = [a for a in whole["Attribute"] if a["value"] in text or str(stix["id"]).endswith(a["uuid"])]
    return tuple(word for a in made_of for word in (f"type:{a['type']}", f"category:{a['category']}"))
