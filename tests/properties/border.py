"""What may cross the border from MISP, written from the reference alone (misp.md 2.1, policy.md 2 to 5), with no code
of ours; the events that try every case of it; and the partners at whom they are judged.

The events are every combination of distribution, sharing group, tags and published state, from a partner's MISP and
from our own. Each has an attribute that inherits and one that says something itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

GIVER, HOUSE = "circl", "maison"
SECRETS = ("groupe-secret", "dossier-secret", "9e9e9e9e-0000-4000-8000-000000000009")
"""Never to be seen by anybody: the name of a sharing group, a tag that does not travel, an organisation in a group."""


@dataclass(frozen=True)
class Party:
    """Somebody who reads: in how far, and as whom a sharing group names them."""

    name: str
    org: str
    ceiling: int
    """0 CLEAR … 4 RED."""
    pfc: bool = False
    pap: bool = True
    home: bool = False

    @property
    def server(self) -> str:
        """The MISP at which it is handed things."""
        return f"https://misp.{self.name}.example"


PARTIES = (
    Party("ccc", "aaaaaaaa-0000-4000-8000-000000000001", 1),
    Party("cert-ee", "aaaaaaaa-0000-4000-8000-000000000002", 3),
    Party("quebec", "aaaaaaaa-0000-4000-8000-000000000003", 2, pfc=True),
    Party("muet", "aaaaaaaa-0000-4000-8000-000000000004", 4, pap=False),
    Party(HOUSE, "aaaaaaaa-0000-4000-8000-000000000005", 4, pfc=True, home=True),
)
BY_NAME = {party.name: party for party in PARTIES}
STRANGER = SECRETS[2]


@dataclass(frozen=True)
class Group:
    """A sharing group as MISP describes it."""

    orgs: tuple[str, ...]
    active: bool = True
    roaming: bool = True
    servers: tuple[str, ...] = ()
    known: bool = True
    """Described in the event, not merely named."""

    def json(self) -> dict[str, Any]:
        """MISP's own words."""
        return {
            "id": "4", "uuid": "5c4e0000-0000-4000-8000-000000000500", "name": SECRETS[0], "active": self.active,
            "roaming": self.roaming,
            "SharingGroupOrg": [{"extend": False, "Organisation": {"uuid": org, "name": "x"}} for org in self.orgs],
            "SharingGroupServer": [{"all_orgs": True, "Server": {"url": url}} for url in self.servers],
        }  # fmt: skip


_CCC, _EE, _QC, _MUET, _OURS = (party.org for party in PARTIES)
_UNKNOWN = {"sharing_group_id": "77"}
GROUPS = (
    Group((_CCC, STRANGER)),
    Group((_EE, _QC, _OURS)),
    Group((_CCC, _EE, _QC, _MUET, _OURS), roaming=False, servers=(BY_NAME["ccc"].server + "/",)),
    Group((_CCC, _EE), roaming=False),
    Group((_CCC, _EE, _OURS), active=False),
    Group((_CCC, _EE, _OURS), known=False),
    Group(()),
)
TAGS: tuple[tuple[str, ...], ...] = (
    (),
    ("tlp:clear",),
    ("TLP: Green ", "type:OSINT"),
    ("tlp:green", "TLP:AMBER"),
    ("tlp:amber+strict",),
    ("tlp:red",),
    ("tlp:green", "pap:amber"),
    ("tlp:clear", "PAP:GREEN"),
    ("pfc:vert",),
    ("PFC:AMBRE",),
    ("pfc:ambre+strict", "pfc:vert"),
    ("tlp:clear", "pfc:libre"),
    ("tlp:green", "tlp:unclear"),
    ("tlp:green", 'iep2-policy:id="1"'),
)
_TLP = {"tlp:clear": 0, "tlp:green": 1, "tlp:amber": 2, "tlp:amber+strict": 3, "tlp:red": 4}
_PFC_LISTED = {"pfc:libre": 0, "pfc:vert": 1, "pfc:ambre": 2, "pfc:ambre+strict": 3, "pfc:rouge": 4}
_PFC_OTHERS = {"pfc:libre": 0, "pfc:vert": 9, "pfc:ambre": 3, "pfc:ambre+strict": 3, "pfc:rouge": 4}


_ORDERS = (tuple(_TLP), tuple(_PFC_LISTED), ("pap:clear", "pap:green", "pap:amber", "pap:red"))


@dataclass(frozen=True)
class Says:
    """What one entity says of who may have it."""

    distribution: object = "5"
    group: Group | None = None
    tags: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    """Tags that do not travel, but restrict."""

    def json(self) -> dict[str, Any]:
        """MISP's own words."""
        made: dict[str, Any] = {
            "Tag": [
                *({"name": name, "colour": "#ffffff", "exportable": True, "local": False} for name in self.tags),
                *({"name": name, "colour": "#ffffff", "exportable": True, "local": True} for name in self.local),
            ]
        }
        if self.distribution is not None:
            made["distribution"] = self.distribution
        if self.group is not None:
            made |= {"sharing_group_id": "4", "SharingGroup": self.group.json()} if self.group.known else _UNKNOWN
        return made


@dataclass(frozen=True)
class Case:
    """One event: what it says, what its second attribute says, and whence it comes."""

    number: int
    whole: Says
    part: Says
    published: bool | None
    internal: bool

    @property
    def values(self) -> tuple[str, str]:
        """The value of each attribute."""
        return f"e{self.number}a1.example", f"e{self.number}a2.example"

    def json(self) -> dict[str, Any]:
        """The event as MISP sends it."""
        first, second = self.values
        made = {
            "uuid": _uuid(self.number, 0), "info": f"info {self.number}.", "date": "2026-11-01",
            "timestamp": "1793000000", "threat_level_id": "2", "analysis": "1", "extends_uuid": "",
            "Orgc": {"uuid": "bbbbbbbb-0000-4000-8000-000000000001", "name": "Auteur"}, "Object": [],
            **self.whole.json(),
            "Attribute": [
                _attribute(self.number, 1, first) | Says().json(),
                _attribute(self.number, 2, second) | self.part.json(),
            ],
        }  # fmt: skip
        return made if self.published is None else {**made, "published": self.published}


def _uuid(number: int, part: int) -> str:
    return f"5c4e0000-0000-4000-8000-{number:08x}{part:04x}"


def _attribute(number: int, part: int, value: str) -> dict[str, Any]:
    return {
        "uuid": _uuid(number, part), "type": "domain", "category": "Network activity", "value": value, "to_ids": True,
        "timestamp": "1793000000", "comment": "", "deleted": False,
    }  # fmt: skip


def cases() -> Iterator[Case]:
    """Every combination for the event; the second attribute goes through combinations of its own meanwhile."""
    reaches: list[tuple[object, Group | None]] = [(level, None) for level in (None, "0", 1, "2", "3", "5", "9")]
    reaches += [("3", GROUPS[0]), ("4", None), *(("4", group) for group in GROUPS)]
    hidden = [(), (SECRETS[1],), ("tlp:red", SECRETS[1])]
    for number, ((distribution, group), tags, published, internal) in enumerate(
        product(reaches, TAGS, (True, False, None), (False, True))
    ):
        part_of, in_group = reaches[number * 7 % len(reaches)]
        said = Says(part_of, in_group, TAGS[number * 5 % len(TAGS)], hidden[number % 11 % 3])
        yield Case(number, Says(distribution, group, tags, hidden[1]), said, published, internal)


def may(case: Case, part: bool, reader: Party, *, pushed: bool) -> bool:
    """Whether `reader` may have the event's attribute that inherits, or with `part` the one that speaks for itself."""
    said = (case.whole, case.part) if part else (case.whole,)
    if case.published is False:
        return False
    return all(_near_enough(each, case, reader, pushed) for each in said) and _loose_enough(said, reader)


def _near_enough(said: Says, case: Case, reader: Party, pushed: bool) -> bool:
    """misp.md 2.1: what a partner gives goes on only from 3, what our own MISP gives from 2; 4 names who."""
    if said.distribution is None or str(said.distribution) == "5":
        return True
    if str(said.distribution) != "4":
        return reader.home or str(said.distribution) in (("2", "3") if case.internal else ("3",))
    group = said.group
    if group is None or not group.known or not group.active or reader.org not in group.orgs:
        return False
    on_the_list = group.roaming or not group.servers or reader.server in {url.rstrip("/") for url in group.servers}
    return on_the_list or not pushed or reader.home


def _loose_enough(said: tuple[Says, ...], reader: Party) -> bool:
    tags = ["".join(name.split()).lower() for each in said for name in (*each.tags, *each.local)]
    if any(name == "tlp:unclear" or name.startswith("iep2-") for name in tags):
        return False
    levels = [_TLP[name] for name in tags if name in _TLP]
    levels += [(_PFC_LISTED if reader.pfc else _PFC_OTHERS)[name] for name in tags if name.startswith("pfc:")]
    if not levels:
        return False  # nothing says what it is worth, and no agreement does
    return max(levels) <= reader.ceiling and (reader.pap or not {"pap:amber", "pap:red"} & set(tags))


def marks_due(case: Case, part: bool) -> set[str]:
    """The tags that must go along with the attribute, as their taxonomies write them: the strictest of each kind."""
    said = (case.whole, case.part) if part else (case.whole,)
    tags = {"".join(name.split()).lower() for each in said for name in (*each.tags, *each.local)}
    due = {"pfc:vert"} & tags
    for order in _ORDERS:
        due |= set([name for name in order if name in tags][-1:])
    return {name.upper() if name.startswith("pap:") else name for name in due}


def farthest(case: Case, part: bool) -> int:
    """The distribution that a receiver of the attribute may end up with: who gets it must not give it to more.

    CLEAR may go to all and GREEN within the receiver's community; what our own MISP has at 2 arrives at 1 (misp.md
    2.1). The others of a sharing group, and those on PFC's list, are not known there, so that stays with the receiver.
    """
    said = (case.whole, case.part) if part else (case.whole,)
    tags = {"".join(name.split()).lower() for each in said for name in (*each.tags, *each.local)}
    levels = [_TLP.get(name, _PFC_OTHERS.get(name, 0)) for name in tags]
    by_distribution = {"None": 3, "5": 3, "3": 3, "2": 1}
    return min(
        {0: 3, 1: 1}.get(max(levels, default=9), 0), *(by_distribution.get(str(s.distribution), 0) for s in said)
    )


Table = Mapping[str, set[str]]


def table(*, pushed: bool = False) -> Table:
    """Reader → the values that it may have, and no others."""
    made: dict[str, set[str]] = {party.name: set() for party in PARTIES}
    for case in cases():
        for number, value in enumerate(case.values):
            for party in PARTIES:
                if may(case, bool(number), party, pushed=pushed):
                    made[party.name].add(value)
    return made
