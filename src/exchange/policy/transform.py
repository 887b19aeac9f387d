"""Transforms: what an audience gets in place of an object that it may not have as it stands (RULES R6, R12 to R16).

Whatever is altered is a new object (STIX 2.1 section 3.5): an id that tells nothing, another creator, the dates and the
marks of the original. Nothing is ever lowered by it: marks stay, or go with all that they mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.errors import ContentError
from exchange.model import lineage, marking, misp, personal, recall, schema, stix
from exchange.model.lights import Pap
from exchange.model.marking import Label, Tlp
from exchange.model.personal import USUAL, Choice
from exchange.policy import carrying, cutting, unnaming
from exchange.policy.unnaming import NOBODY, Names

ANONYMOUS, GRANULAR, PERSONAL, REDACT = (
    "transform.anonymous",
    "transform.granular",
    "transform.personal",
    "transform.redact",
)
KEPT = frozenset({
    "type", "spec_version", "id", "created_by_ref", "created", "modified", "revoked", "object_marking_refs",
    "granular_markings", "extensions",
})  # fmt: skip
"""What nobody can have redacted: it makes the object what it is, or says what it is worth."""
_NEVER = frozenset({"marking-definition", "extension-definition", "language-content", "bundle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What an audience may have of the parts of an object."""

    ceiling: Tlp
    listed: bool
    """They read PFC, and are of its list."""
    pap: bool
    """They carry PAP on."""

    @property
    def name(self) -> str:
        """Equal limits have the same."""
        return f"{int(self.ceiling)}{int(self.listed)}{int(self.pap)}"

    def allows(self, label: Label) -> bool:
        """Whether a part with these marks stays; one whose marks we do not understand goes."""
        worth = label.level(listed=self.listed)
        return (
            not (label.unknown or label.iep)
            and (worth is None or worth <= self.ceiling)
            and (self.listed or not label.for_the_list)
            and (self.pap or label.pap is None or label.pap < Pap.AMBER)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """What is done to an object for an audience. `recipients`: their class, from which its ids are made (R15)."""

    recipients: str
    redact: frozenset[str] = frozenset()
    cut: Limit | None = None
    """Remove the parts whose own marks are above this."""
    anonymous: bool = False
    personal: bool = False
    victim: bool = False
    """Another object of its source says that this one is a victim's."""

    @property
    def codes(self) -> tuple[str, ...]:
        """Why it is not released as it is."""
        said = (
            (self.anonymous, ANONYMOUS),
            (self.cut is not None, GRANULAR),
            (self.personal, PERSONAL),
            (bool(self.redact), REDACT),
        )
        return tuple(code for wanted, code in said if wanted)

    @property
    def form(self) -> str:
        """Its name: equal transforms for the same recipients have the same. It begins with the class of those."""
        cut = "" if self.cut is None else self.cut.name
        victim = ("|victim",) if self.victim else ()
        text = "|".join((cut, str(self.anonymous), str(self.personal), *sorted(self.redact), *victim))
        return f"{self.recipients}.{hashlib.sha256(text.encode()).hexdigest()[:_FORM]}"


_FORM = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What making the new object needs besides the old one."""

    mint: Callable[[str], str]
    """STIX id → the one that it has for these recipients."""
    node: str
    """Our identity, which creates what we alter."""
    token: str
    """That tells us, and nobody else, of which object it came (R16)."""
    names: Names = NOBODY
    """Of its producer: none of them may be left."""
    stays: frozenset[str] = frozenset()
    """Ids of what these recipients get under its own id, of those that the object refers to."""
    minted: frozenset[str] = frozenset()
    """Ids of what they have under a new one."""
    choice: Choice = USUAL
    """What is internal, and what is never personal."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be made: what would have to go cannot go. `code`: why; it is held."""

    code: str


def apply(document: Mapping[str, Any], transform: Transform, making: Making) -> dict[str, Any] | Refused | None:
    """The new object, valid STIX 2.1; None: nothing had to be changed, so the original goes as it is.

    Pure, and the same for the same arguments, so that a version has one form for each class of recipients.
    """
    if document["id"] in marking.KNOWN_IDS:
        return None
    made: dict[str, Any] | Refused = dict(document)
    if transform.cut is not None:
        cut = cutting.without_parts(document, transform.cut.allows)
        if cut is None or cut == document:
            return Refused("transform.selector")
        made = cut
    if isinstance(made, dict) and transform.redact:
        made = carrying.redacted(cutting.without(made, transform.redact - KEPT), transform.redact)
    if isinstance(made, dict) and transform.personal:
        made = _impersonal(made, making.choice, victim=transform.victim)
    if isinstance(made, dict) and transform.anonymous:
        made = _unnamed(made, making)
    if isinstance(made, Refused):
        return made
    if stix.normal_form(made) == stix.normal_form(document):
        return None
    if document["type"] in _NEVER:
        return Refused("transform.type")
    return _finished(document, made, transform, making)


def _impersonal(document: dict[str, Any], choice: Choice, *, victim: bool) -> dict[str, Any] | Refused:
    """Without personal information; what is found again after that could not be taken out."""
    found = personal.find(document, choice, victim=victim)
    if not found:
        return document
    less = personal.strip(document, found)
    if isinstance(less, personal.Refusal):
        return Refused("transform.personal_stays")
    made = cutting.pruned(document, less)
    taken = {word for each in found for word in _said(_at(document, each.path), each)}
    if personal.find(made, choice) or _stands(made, taken):
        return Refused("transform.personal_stays")
    return made


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _said(value: Any, finding: personal.Finding) -> Iterator[str]:
    """The words that were found; of what is no text, all in it."""
    for text in _strings(value):
        yield text[finding.start : finding.stop].strip().casefold()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


_TELLING = 5
"""Letters of what stands in another text by chance no more."""
_MUCH = 300_000_000
"""Letters that are compared: all those that stay, with each word."""


def _stands(value: Any, words: Collection[str]) -> bool:
    """Whether what was taken out in one place stands in another: in a pattern, that a label said to be a victim's; or
    whether there is too much to say.
    """
    telling = [each for each in words if len(each) >= _TELLING]
    texts = [text.casefold() for text in _strings(value)]
    if len(telling) * sum(map(len, texts)) > _MUCH:
        return True
    return any(each in text for text in texts for each in telling)


def _unnamed(document: dict[str, Any], making: Making) -> dict[str, Any] | Refused:
    """Without its producer: a pseudonym where that is the object itself, else what still says the rest."""
    kind = document["type"]
    if not unnaming.marks(document) <= making.stays:
        return Refused("transform.named")  # a mark of somebody's own tells whose it is, and no mark ever goes
    if unnaming.is_party(document):
        try:
            return unnaming.pseudonym(document, making.mint, making.node)
        except (ValueError, OverflowError):
            return Refused("transform.required")
    made = cutting.pruned(document, unnaming.unnamed(document, making.names, making.mint, making.stays))
    if made != document and not schema.known(kind):
        return Refused("transform.type")  # anything may stand in it, under any name
    return made


def _finished(
    document: Mapping[str, Any], made: dict[str, Any], transform: Transform, making: Making
) -> dict[str, Any] | Refused:
    """The new id, creator and lineage; what came out is valid, and names nobody who must not be named."""
    said = lineage.extension(lineage.tokens(document), making.token)
    if said is None:
        return Refused("transform.lineage")
    extension = misp.carried(document)
    if extension is not None:
        marked = _marked(document, made, extension)
        if marked is None:
            return Refused("transform.marking")
        made = marked
    before = made
    others = {name: value for name, value in made.get("extensions", {}).items() if name != misp.EXTENSION}
    made = {
        **made,
        "spec_version": "2.1",
        "id": making.mint(document["id"]),
        "extensions": {**others, lineage.EXTENSION: said},
    }
    if "created_by_ref" in document and (not transform.anonymous or document["created_by_ref"] in making.stays):
        made["created_by_ref"] = making.node  # else it is the pseudonym already
    if making.minted:
        made = unnaming.referring(made, lambda ref: making.mint(ref) if ref in making.minted else ref)
    entity = _entity(document, before, made, transform, making)
    if entity is not None:
        made["extensions"] = {**made["extensions"], misp.EXTENSION: entity}
    if transform.anonymous and making.names.found_in(made):
        return Refused("transform.named")
    try:
        stix.parse(stix.normal_form(made), stix20=False)
    except ContentError:
        return Refused("transform.required")
    return made


def _entity(
    document: Mapping[str, Any],
    altered: Mapping[str, Any],
    made: Mapping[str, Any],
    transform: Transform,
    making: Making,
) -> dict[str, Any] | None:
    """What `made` carries of the MISP entity of `document`; `altered`: the same before it got its id and creator."""
    said = misp.carried(altered)
    if said is None or transform.anonymous:
        return None
    whole = {**made, "extensions": {**made["extensions"], misp.EXTENSION: said}}
    redact, cut = transform.redact - KEPT, transform.cut is not None
    return carrying.carried(document, whole, making.mint, redact=redact, cut=cut)


def _marked(
    document: Mapping[str, Any], made: Mapping[str, Any], extension: Mapping[str, Any]
) -> dict[str, Any] | None:
    """`made` with the marks that only tags in our MISP extension said, for that goes; None: they have no mark."""
    tagged = marking.of_tags(misp.tags_in(extension))
    if tagged.unknown or tagged.iep:
        return None
    own = marking.of_ids(document.get("object_marking_refs") or ())
    if own.join(tagged) == own:
        return dict(made)
    marks = list(made.get("object_marking_refs") or ())
    return {**made, "object_marking_refs": [*marks, *(m for m in recall.marks(tagged) if m not in marks)]}
