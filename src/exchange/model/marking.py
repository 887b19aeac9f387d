"""Markings and labels: TLP, PAP, PFC and IEP, by id and by MISP tag, MISP's distribution and sharing groups, and the
label algebra (RULES R10–R12).

A label only ever gets stricter: `join` takes the strictest on every axis. Sources: FIRST TLP 2.0 (August 2022),
STIX 2.1 section 7.2.1.4 (TLP 1 ids), OASIS cti-stix-common-objects (TLP 2.0, PAP), MISP taxonomies and `distribution`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from exchange.model import label_text, misp, policies
from exchange.model.lights import PAP_ID, PAP_IDS, PAP_TAGS, PFC_ID, PFC_IDS, PFC_TAGS, Pap, Pfc
from exchange.model.lights import Reach as Reach
from exchange.model.lights import Tlp as Tlp

# What PFC comes to in TLP, for those on the ministry's list and for all others. AMBRE reaches the bodies of the
# recipient's budgetary portfolio; elsewhere, AMBER's "clients" would be more than those (policy.md section 4).
PFC_LISTED: Mapping[Pfc, Tlp] = {
    Pfc.LIBRE: Tlp.CLEAR,
    Pfc.VERT: Tlp.GREEN,
    Pfc.AMBRE: Tlp.AMBER,
    Pfc.AMBRE_STRICT: Tlp.AMBER_STRICT,
    Pfc.ROUGE: Tlp.RED,
}
PFC_ELSEWHERE: Mapping[Pfc, Tlp] = {**PFC_LISTED, Pfc.AMBRE: Tlp.AMBER_STRICT}

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

# Tags that restrict: a level of theirs that we do not know is an unknown marking, and denies.
_RESTRICTING = ("tlp:", "pap:", "pfc:", "iep:", "iep2-policy:", "iep2-reference:", "ais-marking:")
_IEP = ("iep:", "iep2-policy:", "iep2-reference:")
_CHATHAM = "tlp:ex:chr"


# `tlp-red` and `TLP RED` are no tags of the taxonomy, but nobody who writes them means *for everybody*.
_LOOKS_LIKE = re.compile(r"(?:tlp|pap|pfc)[^a-z]|(?:tlp|pap|pfc)(?:white|clear|green|amber|red|ambre|vert|rouge|libre)")


def parse_tlp(text: str) -> Tlp | None:
    """The level of `TLP:AMBER+STRICT`, `amber+strict` and the like, whatever its case and spaces; else None."""
    return _TAG_LEVELS.get(_folded(text).removeprefix("tlp:"))


def _folded(text: str) -> str:
    """`text` without case, white space and characters that nobody sees: none of them may hide a restriction."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc")).casefold()


class Label(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What restricts an object; the default of each axis is that nothing was said there."""

    tlp: Tlp | None = None
    unknown: frozenset[str] = frozenset()
    """Markings that we do not understand: ids, and tags without case and white space."""
    texts: frozenset[str] = frozenset()
    """Those of `unknown` whose giver defined them as mere text (STIX 2.1 section 7.2.1.3: a copyright, say)."""
    reach: Reach = Reach.ALL
    pfc: Pfc | None = None
    vert: bool = False
    """PFC:VERT was said beside the stricter `pfc`: both hold, for VERT is for Québec and AMBRE for any recipient."""
    pap: Pap | None = None
    iep: frozenset[str] = frozenset()
    """What an IEP policy says that we do not understand, as tags without case and white space."""
    orgs: frozenset[str] | None = None
    """Lower-case uuids of the organisations that may have it, of a sharing group; None: any."""
    servers: frozenset[str] | None = None
    """Base URLs (`sharing.plain_url`) of the servers to which it may be pushed, of a sharing group; None: any."""
    draft: bool = False
    """Its event is not published yet."""
    unnamed: bool = False
    """Whoever it goes to may not learn who gave it (Chatham House, AIS consent, IEP attribution)."""
    encrypted: bool = False
    """It travels only where nobody can read along (IEP)."""
    limited: bool = False
    """A policy binds whoever gets it, so it goes only to those who carry such words on (IEP)."""
    since: datetime | None = None
    """The instant before which nobody may have it yet, UTC (IEP); None: there is none."""
    until: datetime | None = None
    """The instant from which nobody may have it any more, UTC (IEP); None: there is none."""
    confidence: int | None = None
    """How sure its creator says they are, 0 to 100; None: unspecified. It restricts nothing and says nothing of others:
    agreements ask for it."""
    kinds: frozenset[str] = frozenset()
    """What MISP calls the entity that it stands for (`misp.kinds_in`). It restricts nothing and says nothing of others:
    agreements ask for it."""

    @property
    def stated(self) -> bool:
        """Whether anything on it was said about who may have it (RULES R10); PAP says what may be done with it."""
        return self.tlp is not None or self.pfc is not None or bool(self.unknown) or bool(self.iep)

    @property
    def bound(self) -> bool:
        """Whether a policy says something that only its own words can pass on."""
        return self.unnamed or self.encrypted or self.limited or self.since is not None or self.until is not None

    @property
    def for_the_list(self) -> bool:
        """Whether only those for whom PFC:VERT is may have it, whatever else is said."""
        return self.vert or self.pfc is Pfc.VERT

    @property
    def spread(self) -> Label:
        """What of it flows to others (RULES R10): how sure its creator is of it, and what MISP calls it, do not."""
        if self.confidence is None and not self.kinds:
            return self
        return msgspec.structs.replace(self, confidence=None, kinds=frozenset())

    def level(self, *, listed: bool) -> Tlp | None:
        """What TLP and PFC come to in TLP, for those on PFC's list or for all others; None: neither is stated."""
        if self.pfc is None:
            return self.tlp
        return _strictest(self.tlp, (PFC_LISTED if listed else PFC_ELSEWHERE)[self.pfc])

    def join(self, other: Label) -> Label:
        """The strictest of both on every axis (RULES R12); of organisations and servers those named by both."""
        return self if other is self or other is UNMARKED else _joined(self, other)

    def again(self, said: Label) -> Label:
        """What a version is worth when its giver states it again, as `said`: no less, but published when that says so.

        MISP publishes an event without a new timestamp.
        """
        both = self.join(said)
        return both if both.draft == said.draft else msgspec.structs.replace(both, draft=said.draft)

    def to_text(self) -> str:
        """One short line that `from_text` reads back, for the store: `tlp|reach|` and JSON of whatever else there is.

        That is a list when only unknown markings are there, else an object.
        """
        return _text(self) if len(self.unknown) <= _FEW else label_text.write(self)

    @classmethod
    def from_text(cls, text: str) -> Label:
        """The label that `to_text` wrote."""
        return _read_short(text) if len(text) <= _SHORT else _read(text)


def _join(one: Label, other: Label) -> Label:
    pfc = _strictest(one.pfc, other.pfc)
    return Label(
        tlp=_strictest(one.tlp, other.tlp),
        unknown=one.unknown | other.unknown,
        texts=one.texts | other.texts,
        reach=max(one.reach, other.reach),
        pfc=pfc,
        vert=(one.for_the_list or other.for_the_list) and pfc is not Pfc.VERT,
        pap=_strictest(one.pap, other.pap),
        iep=one.iep | other.iep,
        orgs=_common(one.orgs, other.orgs),
        servers=_common(one.servers, other.servers),
        draft=one.draft or other.draft,
        unnamed=one.unnamed or other.unnamed,
        encrypted=one.encrypted or other.encrypted,
        limited=one.limited or other.limited,
        since=_either(max, one.since, other.since),
        until=_either(min, one.until, other.until),
        confidence=_either(min, one.confidence, other.confidence),
        kinds=one.kinds | other.kinds,
    )


_Level = TypeVar("_Level", bound=IntEnum)


def _strictest(one: _Level | None, other: _Level | None) -> _Level | None:
    return other if one is None else one if other is None or one >= other else other


_Said = TypeVar("_Said", int, datetime)


def _either(choose: Callable[[_Said, _Said], _Said], one: _Said | None, other: _Said | None) -> _Said | None:
    return other if one is None else one if other is None else choose(one, other)


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return other if one is None else one if other is None else one & other


def _read(text: str) -> Label:
    return Label(**label_text.read(text))


_SHORT = 4096
_FEW = 4
_text = lru_cache(maxsize=1024)(label_text.write)
_read_short = lru_cache(maxsize=1024)(_read)
_joined = lru_cache(maxsize=4096)(_join)
UNMARKED = Label()

# What one marking id says. TLP, PAP and PFC ids have one canonical definition each, which says nothing but its level.
_OF_ID: Mapping[str, Label] = {
    **{identifier: Label(tlp=level) for identifier, level in TLP_IDS.items()},
    **{identifier: Label(pap=action) for identifier, action in PAP_IDS.items()},
    **{identifier: Label(pfc=colour) for identifier, colour in PFC_IDS.items()},
}
KNOWN_IDS = frozenset(_OF_ID)
"""The ids of every marking that we understand."""


def of_ids(marking_ids: Iterable[str]) -> Label:
    """The label that marking-definition ids state; an id that is not in the table is unknown and so denies."""
    ids = tuple(marking_ids)
    return _of_few(ids) if len(ids) <= _FEW else _of(ids)


def _of(marking_ids: tuple[str, ...]) -> Label:
    label = UNMARKED
    for marking in marking_ids:
        label = label.join(_OF_ID.get(marking) or Label(unknown=frozenset({marking})))
    return label


_of_few = lru_cache(maxsize=1024)(_of)
"""Nearly every object has the marks that another one had."""


def stated_ids(stix: Mapping[str, Any]) -> list[str]:
    """Every marking id on an object, granular ones included (RULES R12: they join in); refs of languages are none."""
    ids = list(stix.get("object_marking_refs") or ())
    ids += [mark["marking_ref"] for mark in stix.get("granular_markings") or () if mark.get("marking_ref")]
    return ids


def of_object(stix: Mapping[str, Any]) -> Label:
    """The label that a STIX object states: its marks (STIX 2.1 section 7.2), and the tags of a MISP entity in it."""
    return of_carrier(stix, misp.carried(stix))


def of_carrier(stix: Mapping[str, Any], extension: Mapping[str, Any] | None) -> Label:
    """The same of an object with this extension of ours (`misp.carried`)."""
    label = of_ids(stated_ids(stix))
    if extension is not None:
        label = label.join(of_tags(misp.tags_in(extension)))
    elif "labels" not in stix:
        return label
    kinds = misp.kinds_in(stix, extension)
    return _with_kinds(label, kinds) if kinds else label


@lru_cache(maxsize=4096)
def _with_kinds(label: Label, kinds: frozenset[str]) -> Label:
    return msgspec.structs.replace(label, kinds=kinds)


@lru_cache(maxsize=1024)
def with_confidence(label: Label, confidence: int | None) -> Label:
    """`label` of an object whose creator says to be so sure of it."""
    return label if confidence is None else msgspec.structs.replace(label, confidence=confidence)


def of_tags(names: Iterable[str]) -> Label:
    """The label that MISP tags state: the strictest wins; restricting tags that say no level are unknown markings."""
    label = UNMARKED
    for name in names:
        label = label.join(_of_tag(name) if len(name) <= _SHORT else _read_tag(name))
    return label


def _read_tag(name: str) -> Label:
    folded = _folded(name)
    if not folded.startswith(_RESTRICTING) and not _LOOKS_LIKE.match(folded):
        return UNMARKED
    said = policies.of_tag(folded)
    if said is not None:
        return of_policy(said)
    if folded.startswith(_IEP):
        return Label(iep=frozenset({folded}))
    if folded == _CHATHAM:
        return Label(unnamed=True)
    for found in (_tlp_label(folded), _pap_label(folded), _pfc_label(folded)):
        if found is not None:
            return found
    return Label(unknown=frozenset({folded}))


def is_policy(name: str) -> bool:
    """Whether a tag is a word of a policy (IEP, AIS), which stays as it is whatever its level comes to."""
    return _folded(name).startswith((*_IEP, "ais-marking:"))


def of_policy(said: policies.Said) -> Label:
    """The label that one word of an IEP policy, or of AIS, comes to."""
    return Label(
        tlp=None if said.tlp is None else _TAG_LEVELS[said.tlp],
        pap=None if said.pap is None else Pap[said.pap],
        unnamed=said.unnamed,
        encrypted=said.encrypted,
        limited=said.limited,
        since=said.since,
        until=said.until,
    )


_of_tag = lru_cache(maxsize=4096)(_read_tag)
"""The same few tags stand on nearly everything."""


def _tlp_label(folded: str) -> Label | None:
    level = parse_tlp(folded) if folded.startswith("tlp:") else None
    return None if level is None else Label(tlp=level)


def _pap_label(folded: str) -> Label | None:
    return Label(pap=PAP_TAGS[folded]) if folded in PAP_TAGS else None


def _pfc_label(folded: str) -> Label | None:
    return Label(pfc=PFC_TAGS[folded]) if folded in PFC_TAGS else None


def tags_of(label: Label, *, reads_pfc: bool = True) -> tuple[str, ...]:
    """The MISP tags that say the levels of `label`, as taxonomies write them: `tlp:green`, `PAP:AMBER`, `pfc:vert`.

    `reads_pfc`: whether the reader does; else what PFC comes to stands in TLP too. Other restricting tags (IEP, say)
    are no level; they stay among the entity's own.
    """
    level = label.tlp if reads_pfc else label.level(listed=False)
    tlp = () if level is None else (level.tag,)
    pap = () if label.pap is None else (label.pap.label,)
    return (*tlp, *pap, *(colour.tag for colour in _pfc_of(label)))


def ids_of(label: Label) -> tuple[str, ...]:
    """The ids of the markings that say the levels of `label` on a STIX object that we make."""
    tlp = () if label.tlp is None else (TLP2_ID[label.tlp],)
    pap = () if label.pap is None else (PAP_ID[label.pap],)
    return (*tlp, *pap, *(PFC_ID[colour] for colour in _pfc_of(label)))


def _pfc_of(label: Label) -> tuple[Pfc, ...]:
    """What the label says of PFC, in as few words as say it all."""
    strictest = () if label.pfc is None else (label.pfc,)
    return (*strictest, Pfc.VERT) if label.vert else strictest


def says(made: Label, wanted: Label) -> bool:
    """Whether `made` says every level that `wanted` says, or a stricter one."""
    return made.join(of_ids(ids_of(wanted))) == made
