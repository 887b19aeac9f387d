"""Widening: a looser form of an object, by its creator's word or by the ministry's right under PFC (reference 4, 9.6).

It is the only thing that lowers a level, and always an act of persons. What comes of it is a new object of ours (STIX
2.1 section 3.5); the original and its marks stay as they are. TLP and PFC give way to the level that the act names, and
nothing else does: PAP, policies, distribution and sharing groups stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from msgspec.structs import replace

from exchange.errors import ContentError
from exchange.model import lineage, marking, misp, recall, schema, stix
from exchange.model.lights import Pfc
from exchange.model.marking import PFC_LISTED, Label
from exchange.policy import unnaming
from exchange.policy.transform import Making, Refused, Transform, apply

Right = Literal["creator", "pfc"]
"""Whose right it is: the creator's, who is our own house; or the ministry's, under PFC:AMBRE and PFC:AMBRE+STRICT."""
RIGHTS: tuple[Right, ...] = get_args(Right)
UNNAMED = Transform(recipients="", anonymous=True, personal=True)
"""What the ministry's right asks for: who gave it is named nowhere, and nobody who was attacked."""
_MINISTRY = frozenset({Pfc.AMBRE, Pfc.AMBRE_STRICT})
_NEVER = frozenset({"identity", "marking-definition", "extension-definition", "language-content"})
_NOBODY = 5
"""Stricter than TLP:RED: those who are not on PFC's list may not have it, whatever their clearance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What an act rests on."""

    type: str
    label: Label | None
    """What the original is worth; None: nothing says."""
    ours: bool
    """Our own house gave it, and is its creator by its own words."""
    created: bool
    """It names a creator."""
    taken: bool = True
    """What we agreed with who gave it lets us have it, whatever its level."""


def wanted(text: str) -> Label | None:
    """The one level of TLP or PFC that an operator names, as `TLP:GREEN` or `pfc:vert`; None: it is none."""
    label = marking.of_tags([text])
    return label if label in (Label(tlp=label.tlp), Label(pfc=label.pfc)) and label.stated else None


def refused(ground: Ground, to: Label, right: Right, *, ministry: bool) -> str:
    """Why nobody may widen it so, as a reason code; empty: it may be done. `ministry`: this node acts for it."""
    if ground.type in _NEVER:
        return "widening.type"
    label = ground.label
    if label is None or label.level(listed=True) is None:
        return "widening.unmarked"
    code = lacking(ground, right, ministry=ministry)
    if code:
        return code
    if right == "pfc" and (code := _not_ministerial(label, to)):
        return code
    return "" if wider(label, to) else "widening.not_wider"


def lacking(ground: Ground, right: Right, *, ministry: bool) -> str:
    """Why the right is not there, or no longer is, whatever the object is worth; empty: it is."""
    if right == "pfc":
        return "widening.not_ministry" if not ministry else "" if ground.taken else "widening.not_taken"
    if not ground.created:
        return "widening.no_creator"
    return "" if ground.ours else "widening.not_creator"


def _not_ministerial(label: Label, to: Label) -> str:
    """Why the ministry's right does not reach so far: it is over its own two levels, and nothing stricter beside."""
    if label.pfc is None or label.pfc not in _MINISTRY:
        return "widening.not_pfc"
    if label.tlp is not None and label.tlp > PFC_LISTED[label.pfc]:
        return "widening.else_stricter"
    if label.vert and not to.for_the_list:
        return "widening.else_stricter"
    return ""


def wider(before: Label, after: Label) -> bool:
    """Whether some may have `after` who may not have `before`: those on PFC's list, or all others."""
    return any(new < old for new, old in zip(_worth(after), _worth(before), strict=True))


def _worth(label: Label) -> tuple[int, int]:
    listed, elsewhere = label.level(listed=True), label.level(listed=False)
    return int(listed or 0), _NOBODY if label.for_the_list else int(elsewhere or 0)


def stricter(before: Label, now: Label | None) -> bool:
    """Whether the original says more now than when somebody judged it; None: nothing lets it go any more."""
    return now is None or before.spread.join(now.spread) != before.spread


def widened(label: Label, to: Label) -> Label:
    """What the new object is worth: `label`, with the level `to` in place of all that it says of TLP and PFC."""
    return replace(label, tlp=to.tlp, pfc=to.pfc, vert=False)


def make(
    document: Mapping[str, Any], to: Label, right: Right, making: Making, left_out: frozenset[str] = frozenset(),
    *, victim: bool = False,
) -> dict[str, Any] | Refused:  # fmt: skip
    """The new object, valid STIX 2.1 under `making.mint` of its id; its dates are those of the original.

    `left_out`: the members of a report or grouping that are stricter than the new object and not widened with it;
    `victim`: its source says elsewhere that it is a victim's.
    """
    extension = misp.carried(document)
    said = marking.UNMARKED if extension is None else marking.of_tags(misp.tags_in(extension))
    if said.unknown or said.iep or said.bound:
        return Refused("widening.words")
    if any(mark.get("marking_ref") for mark in document.get("granular_markings") or ()):
        return Refused("widening.granular")
    made: dict[str, Any] | Refused | None = _without(document, left_out)
    if made is None:
        return Refused("widening.content")
    if victim:
        return Refused("transform.personal_stays")  # under a new id nothing would say any more whose it is
    if right == "pfc" and isinstance(made, dict):
        made = apply(made, UNNAMED, making) or made
    return made if isinstance(made, Refused) else _finished(document, made, to, said, making)


def _without(document: Mapping[str, Any], left_out: frozenset[str]) -> dict[str, Any] | None:
    """`document` without these members; None: nothing would be left in it."""
    if not left_out:
        return dict(document)
    kept = [ref for ref in document.get("object_refs") or () if ref not in left_out]
    return {**document, "object_refs": kept} if kept else None


def _finished(
    document: Mapping[str, Any], made: Mapping[str, Any], to: Label, said: Label, making: Making
) -> dict[str, Any] | Refused:
    """Our own id, creator, marks and lineage; what came out is valid, and names nobody who must not be named."""
    kept = lineage.extension(lineage.tokens(document), making.token)
    if kept is None:
        return Refused("transform.lineage")
    extensions = {name: value for name, value in made.get("extensions", {}).items() if name != misp.EXTENSION}
    new = {
        **made,
        "spec_version": "2.1",
        "id": making.mint(document["id"]),
        "created_by_ref": making.node,
        "object_marking_refs": _marks(made, to, said),
        "extensions": {**extensions, lineage.EXTENSION: kept},
    }
    new = unnaming.referring(new, lambda ref: making.mint(ref) if ref in making.minted else ref)
    if new["type"] in schema.observable_types():
        del new["created_by_ref"]
    labels = [text for text in new.pop("labels", ()) if not _is_level(marking.of_tags([text]))]
    # Agreements ask what MISP calls it, and our extension, which says so, is gone.
    kinds = misp.labels_of(misp.kinds_in(document, misp.carried(document)) - {misp.UNSAID})
    if kinds is None:
        return Refused("widening.words")
    if new["type"] not in schema.observable_types():
        labels += [label for label in kinds if label not in labels]
    if labels:
        new["labels"] = labels
    if making.names.found_in(new):
        return Refused("transform.named")
    try:
        stix.parse(stix.normal_form(new), stix20=False)
    except ContentError:
        return Refused("transform.required")
    return new


def _marks(made: Mapping[str, Any], to: Label, said: Label) -> list[str]:
    """Every mark but those of TLP and PFC, with what only tags said of PAP; and the new level."""
    others = [ref for ref in made.get("object_marking_refs") or () if not _is_level(marking.of_ids([ref]))]
    new = recall.marks(Label(tlp=to.tlp, pfc=to.pfc, pap=said.pap))
    return [*others, *(mark for mark in new if mark not in others)]


def _is_level(label: Label) -> bool:
    return label.tlp is not None or label.pfc is not None
