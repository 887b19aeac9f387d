"""Markings and labels: TLP 1.0 and 2.0 by id, MISP tags and distribution, and the label algebra (RULES R10–R12).

A label only ever gets stricter: `join` takes the strictest on every axis. Sources: FIRST TLP 2.0 (August 2022),
STIX 2.1 section 7.2.1.4 (TLP 1 ids), OASIS cti-stix-common-objects (TLP 2.0 extension), MISP `distribution`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any


class Tlp(IntEnum):
    """The Traffic Light Protocol, loosest first; the values are the order of strictness."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def label(self) -> str:
        """The FIRST spelling, never translated."""
        return "TLP:" + self.name.replace("_", "+")

    @property
    def tag(self) -> str:
        """The tag of MISP's `tlp` taxonomy."""
        return self.label.lower()


class Reach(IntEnum):
    """How far MISP's distribution lets content go from here, after the hop downgrade; widest first."""

    ALL = 0
    CONNECTED = 1
    COMMUNITY = 2
    NODE = 3


MARKING_PREFIX = "marking-definition--"
OPENCTI_STRICT = MARKING_PREFIX + "826578e1-40ad-459f-bc73-ede076f81f37"
"""AMBER+STRICT as OpenCTI writes it: not an OASIS id, and stricter than its AMBER, so it is believed."""

TLP_IDS: Mapping[str, Tlp] = {
    MARKING_PREFIX + tail: level
    for tail, level in {
        # TLP 1.0 (STIX 2.1 section 7.2.1.4)
        "613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
        "34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
        "f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
        "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
        # TLP 2.0 (OASIS common objects)
        "94868c89-83c2-464b-929b-a1a8aa3c8487": Tlp.CLEAR,
        "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": Tlp.GREEN,
        "55d920b0-5e8b-4f79-9ee9-91f868d9b421": Tlp.AMBER,
        "939a9414-2ddd-4d32-a0cd-375ea402b003": Tlp.AMBER_STRICT,
        "e828b379-4e03-4974-9ac4-e53a884c97c1": Tlp.RED,
        OPENCTI_STRICT.removeprefix(MARKING_PREFIX): Tlp.AMBER_STRICT,
    }.items()
}

TLP2_ID: Mapping[Tlp, str] = {
    Tlp.CLEAR: MARKING_PREFIX + "94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: MARKING_PREFIX + "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: MARKING_PREFIX + "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: MARKING_PREFIX + "939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: MARKING_PREFIX + "e828b379-4e03-4974-9ac4-e53a884c97c1",
}

_TAG_LEVELS: Mapping[str, Tlp] = {
    "white": Tlp.CLEAR,
    "clear": Tlp.CLEAR,
    "green": Tlp.GREEN,
    "amber": Tlp.AMBER,
    "amber+strict": Tlp.AMBER_STRICT,
    "red": Tlp.RED,
}

# Tags that restrict but are no TLP level: carried as unknown markings, so they deny until an agreement lists them.
_RESTRICTING = ("tlp:", "pap:", "pfc:", "iep:", "iep2-policy:", "iep2-reference:", "ais-marking:")


# `tlp-red` and `TLP RED` are no tags of the taxonomy, but nobody who writes them means *for everybody*.
_LOOKS_LIKE = re.compile(r"(?:tlp|pap|pfc)[^a-z]|(?:tlp|pap|pfc)(?:white|clear|green|amber|red|ambre|vert|rouge|libre)")


def parse_tlp(text: str) -> Tlp | None:
    """The level of `TLP:AMBER+STRICT`, `amber+strict` and the like, whatever its case and spaces; else None."""
    return _TAG_LEVELS.get(_folded(text).removeprefix("tlp:"))


def _folded(text: str) -> str:
    """`text` without case, white space and characters that nobody sees: none of them may hide a restriction."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc")).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What restricts an object: TLP (None: not stated), markings that we do not understand, MISP's reach."""

    tlp: Tlp | None = None
    unknown: frozenset[str] = field(default_factory=frozenset)
    reach: Reach = Reach.ALL

    @property
    def stated(self) -> bool:
        """Whether anything on it was said about who may have it (RULES R10)."""
        return self.tlp is not None or bool(self.unknown)

    def join(self, other: Label) -> Label:
        """The strictest of both on every axis (RULES R12)."""
        if other == self:
            return self
        levels = [level for level in (self.tlp, other.tlp) if level is not None]
        return Label(
            tlp=max(levels, default=None),
            unknown=self.unknown | other.unknown,
            reach=max(self.reach, other.reach),
        )

    def to_text(self) -> str:
        """One short line that `from_text` reads back, for the store: `tlp|reach|` and a JSON list of the unknown."""
        return _text(self) if len(self.unknown) <= _FEW else _write(self)

    @classmethod
    def from_text(cls, text: str) -> Label:
        """The label that `to_text` wrote."""
        return _read_short(text) if len(text) <= _SHORT else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> Label:
        level, reach, unknown = text.split("|", 2)
        return cls(
            tlp=Tlp(int(level)) if level else None,
            reach=Reach(int(reach)),
            unknown=frozenset(json.loads(unknown)) if unknown else frozenset(),
        )


def _write(label: Label) -> str:
    level = "" if label.tlp is None else str(int(label.tlp))
    return f"{level}|{int(label.reach)}|{json.dumps(sorted(label.unknown)) if label.unknown else ''}"


_SHORT = 200
_text = lru_cache(maxsize=1024)(_write)
_read_short = lru_cache(maxsize=1024)(Label._read)
UNMARKED = Label()


def of_ids(marking_ids: Iterable[str]) -> Label:
    """The label that marking-definition ids state; an id that is not in the table is unknown and so denies."""
    ids = tuple(marking_ids)
    return _of_few(ids) if len(ids) <= _FEW else _of(ids)


def _of(marking_ids: tuple[str, ...]) -> Label:
    tlp: Tlp | None = None
    unknown = []
    for marking in marking_ids:
        level = TLP_IDS.get(marking)
        if level is None:
            unknown.append(marking)
        elif tlp is None or level > tlp:
            tlp = level
    if tlp is None and not unknown:
        return UNMARKED
    return Label(tlp=tlp, unknown=frozenset(unknown))


_FEW = 4
_of_few = lru_cache(maxsize=1024)(_of)
"""Nearly every object has the marks that another one had."""


def stated_ids(stix: Mapping[str, Any]) -> list[str]:
    """Every marking id on an object, granular ones included (RULES R12: they join in); refs of languages are none."""
    ids = list(stix.get("object_marking_refs") or ())
    ids += [mark["marking_ref"] for mark in stix.get("granular_markings") or () if mark.get("marking_ref")]
    return ids


def of_object(stix: Mapping[str, Any]) -> Label:
    """The label that a STIX object states by its own marks (STIX 2.1 section 7.2)."""
    return of_ids(stated_ids(stix))


def of_tags(names: Iterable[str]) -> Label:
    """The label that MISP tags state: strictest TLP wins; other restricting tags are unknown markings."""
    label = UNMARKED
    for name in names:
        folded = _folded(name)
        if not folded.startswith(_RESTRICTING) and not _LOOKS_LIKE.match(folded):
            continue
        level = parse_tlp(folded) if folded.startswith("tlp:") else None
        label = label.join(Label(unknown=frozenset({folded})) if level is None else Label(tlp=level))
    return label


def tags_of(label: Label) -> tuple[str, ...]:
    """The MISP tags that say what the markings of `label` say."""
    return () if label.tlp is None else (label.tlp.tag,)


def of_distribution(distribution: int | None, *, internal: bool) -> Label:
    """How far MISP's `distribution` lets an entity go from here (RULES R4, R26; hop downgrade on our side).

    `internal`: it comes from our own organisation's MISP, as MISP's internal-server mode; nothing is downgraded.
    4 (sharing group) means nobody until sharing groups are resolved; 5 (inherit) adds nothing; None: not stated.
    """
    if distribution is None or distribution == 5:
        return UNMARKED
    foreign = {3: Reach.ALL, 2: Reach.COMMUNITY}
    home = {3: Reach.ALL, 2: Reach.CONNECTED, 1: Reach.COMMUNITY}
    return Label(reach=(home if internal else foreign).get(distribution, Reach.NODE))
