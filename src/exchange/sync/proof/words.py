"""What a case is made of: things that givers say of one another, in moves, and the STIX that says it.

The marking ids are written out here once more: neither the model's table nor the second gate's is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exchange.model import stix
from exchange.model.envelope import Page
from exchange.model.marking import Label, Reach

_PREFIX = "marking-definition--"
MARKS: Mapping[str, str] = {
    "tlp:clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "tlp:green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "tlp:amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "tlp:amber+strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "tlp:red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
    "tlp:amber (TLP 1)": "f88d31f6-486f-44da-b317-01333bde0b82",
    "tlp:amber+strict (OpenCTI)": "826578e1-40ad-459f-bc73-ede076f81f37",
    "pfc:libre": "3d1f6b0a-58c2-4e97-8a43-f2b7c05d9e61",
    "pfc:vert": "9b64e2c7-0f13-4a85-b6d9-17a8e35c4f20",
    "pfc:ambre": "e07c95d2-6a4b-4d3f-92e8-5b1c8f30a7d4",
    "pfc:ambre+strict": "51a8f3e6-c29d-4b70-8e15-d46f0b92c73a",
    "pfc:rouge": "c8e20d49-7b5f-4613-a9c4-0e83d6f15b97",
    "pap:clear": "ad15a0cd-55b6-4588-a14c-a66105329b92",
    "pap:green": "c43594d1-4b11-4c59-93ab-1c9b14d53ce9",
    "pap:amber": "60f8932b-e51e-4458-b265-a2e8be9a80ab",
    "pap:red": "740d36e5-7714-4c30-961a-3ae632ceee0e",
    "unknown": "00000000-aaaa-4000-8000-00000000dead",
}
"""Name → the end of the id. `unknown` is one that nobody has published."""
OF_ID: Mapping[str, str] = {
    **{_PREFIX + tail: name for name, tail in MARKS.items()},
    _PREFIX + "613f2e26-407d-48c7-9eca-b8e91df99dc9": "tlp:clear (TLP 1)",
    _PREFIX + "34098fce-860f-48ae-8e50-ebd3cc5e41da": "tlp:green (TLP 1)",
    _PREFIX + "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "tlp:red (TLP 1)",
}
"""What stands in what leaves; a reader may have it in another dialect than it came in (R6)."""
IEP = "iep2-policy:id=proof"
LINKS = ("relationship", "sighting", "note", "opinion")
CONTAINERS = ("report", "grouping")
SAID = "x_said"
"""The property by which a listed object is known for the statement that it is."""
PERSON = "marie.roy@victime.example"
"""Somebody at the place that was attacked."""
MAILBOX, MESSAGE = "email-addr", "email-message"
SENDERS, RECIPIENTS = ("from_ref", "sender_ref"), ("to_refs", "cc_refs", "bcc_refs")
"""In which properties a message names mailboxes; to those of RECIPIENTS it went."""
OBSERVABLES = frozenset({
    "domain-name", MAILBOX, MESSAGE, "file", "ipv4-addr", "network-traffic", "url", "user-account",
})  # fmt: skip
"""What has neither version, creator, confidence nor labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object as one giver states it in one version."""

    number: int
    kind: str = "indicator"
    marks: tuple[str, ...] = ()
    """Of the object; names of MARKS."""
    parts: tuple[str, ...] = ()
    """The same, each on a part of it (`part_of`)."""
    refs: tuple[int, ...] = ()
    """The things that it holds or joins, by number."""
    roles: tuple[str, ...] = ()
    """Of a message: for each of `refs` the property in which it stands."""
    version: int = 0
    creator: str = ""
    reach: int = 0
    """How far MISP's distribution lets it go: 0 everybody, 1 those near, 2 this community, 3 this node."""
    iep: bool = False
    draft: bool = False
    orgs: tuple[str, ...] | None = None
    """Of a sharing group."""
    text: str = ""
    """Free text in it: about a person, or by a producer; of a mailbox the name that is shown with it."""
    confidence: int | None = None
    misp: tuple[str, ...] = ()
    """What MISP calls it: `type:…`, `category:…`, `name:…` (of an object's template)."""
    unnamed: bool = False
    """Its producer must not be named (`tlp:ex:chr`)."""
    given: str = ""
    """What our converter made of MISP, as JSON: it stands for all that is not said here."""
    victims: tuple[str, ...] = ()
    """What stands in `given` and is a victim's, by the type or category of its attribute."""


@dataclass(frozen=True, slots=True)
class Word:
    """A person lets a thing go, as far as it is held: for whom (an agreement, `peer:ID`, or empty), and who says so."""

    number: int
    whom: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What one giver brings at once; `last` ends its drain. Empty of things, it only does that."""

    giver: str
    things: tuple[Thing, ...]
    last: bool = True
    posted: str = ""
    """The channel to which it is posted; empty: we pulled it."""
    words: tuple[Word, ...] = ()
    """What persons let go once it has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Moves in the order of their arrival, at one moment of the clock."""

    moves: tuple[Move, ...]
    at: datetime


def says(thing: Thing) -> bool:
    """Whether it says who may have it, and is not silent but for PAP."""
    return any(not name.startswith("pap:") for name in (*thing.marks, *thing.parts))


def source_of(move: Move) -> str:
    """The source that a move comes by: each giver has one, and one for each channel to which it posts."""
    return f"{move.giver}/{move.posted or 'proof'}"


def called(thing: Thing) -> tuple[str, ...]:
    """What MISP calls it, in the words of agreements; an observable that came alone has no place to say it."""
    words = () if thing.kind in OBSERVABLES and not thing.given else thing.misp
    return tuple(word.replace("name:", "template:") for word in words)


def id_of(number: int, kind: str) -> str:
    """The id of a thing: whoever states it, it is the same one. `kind` of an identity may be its id."""
    return kind if "--" in kind else f"{kind}--{number:08x}-0000-4000-8000-000000000000"


def kind_of(thing: Thing) -> str:
    """By what `id_of` knows it: an identity is its own creator, and what the converter made has its own id."""
    if thing.given:
        return str(json.loads(thing.given)["id"])
    return thing.creator if thing.kind == IDENTITY and thing.creator else thing.kind


def name_of(number: int, version: int) -> str:
    """By what an identity is known, by this version of it."""
    return f"Vigie{number}v{version}"


def name_in(thing: Thing) -> str:
    """By what it says that the identity is known."""
    return str(json.loads(thing.given)["name"]) if thing.given else name_of(thing.number, thing.version)


IDENTITY = "identity"


def stamp(version: int, at: datetime) -> str:
    """When a version was made; version 9 is from the future."""
    made = at + timedelta(hours=1) if version == AHEAD else at - timedelta(days=20 - version)
    return made.strftime("%Y-%m-%dT%H:%M:%S.000Z")


AHEAD = 9


def page(move: Move, kinds: Mapping[int, str], at: datetime) -> Page:
    """The move as a page of a pull; `kinds`: number → type of everything in the case."""
    objects = [_object(thing, move, kinds, at) for thing in move.things]
    return Page(objects=objects, last=move.last)


def _object(thing: Thing, move: Move, kinds: Mapping[int, str], at: datetime) -> stix.StixObject:
    made = stix.parse(json.dumps(written(thing, move, kinds, at)).encode())
    floor = Label(
        reach=Reach(thing.reach),
        iep=frozenset({IEP}) if thing.iep else frozenset(),
        draft=thing.draft,
        orgs=None if thing.orgs is None else frozenset(thing.orgs),
        unnamed=thing.unnamed,
    )
    return made.under(floor)


def written(thing: Thing, move: Move, kinds: Mapping[int, str], at: datetime) -> dict[str, Any]:
    """The thing in STIX 2.1."""
    made: dict[str, Any] = {
        "type": thing.kind, "spec_version": "2.1", "id": id_of(thing.number, kind_of(thing)),
        SAID: said(thing, move), **_content(thing, [id_of(ref, kinds.get(ref, "indicator")) for ref in thing.refs], at),
    }  # fmt: skip
    if thing.kind not in OBSERVABLES:
        made |= {"created": stamp(0, at), "modified": stamp(thing.version, at)}
        if thing.creator and thing.kind != IDENTITY:
            made["created_by_ref"] = thing.creator
        names = (word.partition(":") for word in thing.misp)
        words = made.get("labels", ()) if thing.given else (f'misp:{what}="{name}"' for what, _, name in names)
        made["labels"] = [trail(made[SAID]), *words]
        if thing.confidence is not None:
            made["confidence"] = thing.confidence
    if thing.kind in _DESCRIBED and (thing.text or thing.parts):
        made["description"] = text_of(thing) or f"d{thing.number}"
    if thing.marks:
        made["object_marking_refs"] = [_PREFIX + MARKS[name] for name in thing.marks]
    if thing.parts:
        made["granular_markings"] = [
            {"selectors": [part_of(thing, place)], "marking_ref": _PREFIX + MARKS[mark]}
            for place, mark in enumerate(thing.parts)
        ]
    return made


_DESCRIBED = frozenset({
    "indicator", "malware", "relationship", "sighting", "report", "grouping", "attack-pattern", "campaign",
    "course-of-action", "intrusion-set", "tool", "threat-actor", "vulnerability",
})  # fmt: skip


def text_of(thing: Thing) -> str:
    """Its free text, where its type has room for it."""
    return thing.text if thing.kind in _DESCRIBED or thing.kind == MESSAGE else ""


def part_of(thing: Thing, place: int) -> str:
    """The property on which a mark of `parts` lies."""
    return "description" if thing.kind in _DESCRIBED and place % 2 == 0 else SAID


def trail(told: str) -> str:
    """A label that tells the same as SAID, but names nobody: it stays where producers are hidden."""
    return "case-" + hashlib.sha256(told.encode()).hexdigest()[:16]


def value_of(thing: Thing) -> str:
    """The value of an observable; of all else what it has none of."""
    if thing.given:
        return str(json.loads(thing.given).get("value", ""))
    return f"n{thing.number}@courriel.example" if thing.kind == MAILBOX else f"n{thing.number}.example"


def said(thing: Thing, move: Move) -> str:
    """What tells one statement from all others of a case."""
    return f"{source_of(move)} {thing.number} {thing.version}"


def _content(thing: Thing, refs: list[str], at: datetime) -> dict[str, Any]:
    if thing.given:
        return {name: value for name, value in json.loads(thing.given).items() if name not in _SAID_HERE}
    return _mail(thing, refs) if thing.kind in (MAILBOX, MESSAGE) else _plain(thing, refs, at)


def _plain(thing: Thing, refs: list[str], at: datetime) -> dict[str, Any]:
    name, since = f"n{thing.number}", stamp(0, at)
    if thing.kind in CONTAINERS:
        more = {"published": since} if thing.kind == "report" else {"context": "suspicious-activity"}
        return {"name": name, "object_refs": refs, **more}
    match thing.kind:
        case "identity":
            return {"name": name_of(thing.number, thing.version), "identity_class": "organization"}
        case "indicator":
            pattern = f"[domain-name:value = '{name}.example']"
            return {"pattern": pattern, "pattern_type": "stix", "valid_from": since, "name": name}
        case "domain-name":
            return {"value": value_of(thing)}
        case "malware":
            return {"name": name, "is_family": True}
        case "relationship":
            return {"relationship_type": "related-to", "source_ref": refs[0], "target_ref": refs[-1]}
        case "sighting":
            return {"sighting_of_ref": refs[0]}
        case "note" | "opinion":
            return {**({"content": name} if thing.kind == "note" else {"opinion": "agree"}), "object_refs": refs}
        case _:
            return {"name": name}


_SAID_HERE = frozenset({"object_marking_refs", "created_by_ref", "created", "modified", "id", "type", "spec_version"})


def _mail(thing: Thing, refs: list[str]) -> dict[str, Any]:
    """A mailbox, or a message with those that it names: it has one sender, and recipients in lists."""
    if thing.kind == MAILBOX:
        return {"value": value_of(thing), **({"display_name": thing.text} if thing.text else {})}
    made: dict[str, Any] = {"is_multipart": False, **({"body": thing.text} if thing.text else {})}
    for role, ref in zip(thing.roles, refs, strict=True):
        made[role] = [*made.get(role, ()), ref] if role in RECIPIENTS else ref
    return made
