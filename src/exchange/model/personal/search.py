"""`find`: a walk over one document, each string read from the side that its place says."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import Any

from exchange.errors import ContentError
from exchange.model import misp, pattern, spelling
from exchange.model.personal import attributes, sides
from exchange.model.personal.choice import USUAL, Choice
from exchange.model.personal.finding import Finding, Kind, Step
from exchange.model.personal.mail import mailboxes
from exchange.model.personal.sides import CITED, FREE, THEIRS, UNREAD, VALUE, Read, Whole
from exchange.model.personal.text import Reader, reader
from exchange.model.personal.victims import RECIPIENTS, victims

MOST = 1000
"""Findings of one document; with more, the whole document is one."""
DEEPEST = 100
"""Levels; what is nested deeper is not read, and is a finding as a whole."""


def find(document: Mapping[str, Any], choice: Choice = USUAL, *, victim: bool = False) -> tuple[Finding, ...]:
    """What is personal in a STIX object, in the order of its properties; none: empty.

    `document` is one object of STIX 2.1 (or 2.0, with its observables inside), as JSON says it; anything that it may
    hold is taken. `victim`: another object says that this one is a victim's (`victims`). Linear in its size.
    """
    if document.get("type") in sides.UNTOUCHED:
        return ()
    found = tuple(islice(_Walk(document, choice, victim=victim).whole(), MOST + 1))
    return found if len(found) <= MOST else (Finding(path=(), kind=Kind.MANY, certain=False),)


class _Walk:
    """One document and how it is read."""

    def __init__(self, document: Mapping[str, Any], choice: Choice, *, victim: bool) -> None:
        self._document = document
        self._victim = victim
        self._reader: Reader = reader(choice)
        self._kinds = choice.kinds
        self._known: frozenset[str] | None = None

    def whole(self) -> Iterator[Finding]:
        said = attributes.made_of(self._document) or (self._told() if self._victim else None)
        if said is not None and said.kind in self._kinds:
            yield Finding(path=(), kind=said.kind, certain=said.certain)
            return
        kind = self._document.get("type")
        yield from self._object(self._document, (), kind if isinstance(kind, str) else "", "")

    def _told(self) -> Whole | None:
        """What it is by the word of another object; None: the operator allows it."""
        value = self._document.get("value")
        if isinstance(value, str) and self._reader.may_stay(value):
            return None
        return Whole(Kind.EMAIL if self._document.get("type") == "email-addr" else Kind.VICTIM)

    def _object(self, inside: Mapping[str, Any], path: tuple[Step, ...], kind: str, holder: str) -> Iterator[Finding]:
        """`inside` stands under the property `holder` of an object of the type `kind`; empty: it is the object."""
        attribute = _attribute(kind, holder)
        for name, value in inside.items():
            here = (*path, name)
            if not holder and name == "pattern" and kind == "indicator" and isinstance(value, str):
                yield from self._pattern(value, here)
            elif attribute is not None and name == attribute and isinstance(value, str):
                yield from self._string(value, here, _side_of_attribute(inside))
            elif self._key(name):
                yield Finding(path=here, kind=Kind.VICTIM, certain=False)
            else:
                yield from self._under(value, here, kind, name, sides.of(kind, holder, name, inside))

    def _under(self, value: Any, path: tuple[Step, ...], kind: str, name: str, side: Read) -> Iterator[Finding]:
        """`value`, which stands under the property `name`, directly or in lists."""
        if side is UNREAD:
            return
        if isinstance(value, str):
            yield from self._string(value, path, side)
        elif isinstance(side, Whole):
            if value and side.kind in self._kinds:
                yield Finding(path=path, kind=side.kind, certain=side.certain)
        elif len(path) > DEEPEST:
            if isinstance(value, dict | list):
                yield Finding(path=path, kind=Kind.MANY, certain=False)
        elif isinstance(value, dict):
            yield from self._inner(value, path, kind, name)
        elif isinstance(value, list):
            for place, each in enumerate(value):
                yield from self._under(each, (*path, place), kind, name, side)

    def _inner(self, value: Mapping[str, Any], path: tuple[Step, ...], kind: str, name: str) -> Iterator[Finding]:
        own = value.get("type")
        if own == "email-addr" and path[0] == "objects" and value.get("value") and path[-1] in self._recipients:
            found = list(self._under(value["value"], (*path, "value"), kind, "value", Whole(Kind.EMAIL)))
            yield from found
            if found:
                return
        if kind == "observed-data" and path[0] == "objects" and isinstance(own, str) and own in sides.OBSERVABLES:
            yield from self._object(value, path, own, "")
        else:
            # What an extension defines has words of its own, also on an observable.
            yield from self._object(value, path, "" if name.startswith("extension-definition--") else kind, name)

    @cached_property
    def _recipients(self) -> frozenset[Step]:
        """The keys of the mailboxes inside an observed-data (STIX 2.0) to which its messages went."""
        objects = self._document.get("objects")
        found: set[Step] = set()
        for each in objects.values() if isinstance(objects, dict) else ():
            if isinstance(each, dict) and each.get("type") == "email-message":
                found |= victims(each)
        return frozenset(found)

    def _string(self, text: str, path: tuple[Step, ...], side: Read) -> Iterator[Finding]:
        if isinstance(side, Whole):
            if text and side.kind in self._kinds and not self._reader.may_stay(text):
                yield Finding(path=path, kind=side.kind, certain=side.certain)
            return
        free = side is FREE or side is CITED
        spans = self._reader.spans(text, free=free, persons=side is FREE)
        if spans and free and any(span[2] in (Kind.EMAIL, Kind.MANY) for span in spans):
            spans = self._reader.spans(text, free=True, persons=side is FREE, known=self._about())
        if spans and side is VALUE:
            yield Finding(path=path, kind=spans[0][2], certain=any(span[3] for span in spans))
            return
        for start, stop, kind, certain in spans:
            if kind is Kind.MANY:
                yield Finding(path=path, kind=kind, certain=certain)
            else:
                yield Finding(path=path, kind=kind, certain=certain, start=start, stop=stop)

    def _key(self, name: str) -> bool:
        """Whether a property's name says something itself: STIX's names have letters, digits, `_` and `-` only."""
        return not name.replace("-", "_").isidentifier() and bool(self._reader.spans(name, free=True))

    def _pattern(self, text: str, path: tuple[Step, ...]) -> Iterator[Finding]:
        """A pattern cannot be cut: one finding says that something is in it."""
        if self._reader.clean(text, worded=sides.worded(text)):
            return
        for kind, certain in self._in_pattern(text):
            if kind in self._kinds or kind is Kind.MANY:
                yield Finding(path=path, kind=kind, certain=certain)
                return

    def _in_pattern(self, text: str) -> Iterator[tuple[Kind, bool]]:
        texts = [(FREE, each) for each in _written(text, self._document)]
        for side, value in chain(texts, ((_compared(path), v) for path, v in _constants(text, self._document))):
            if isinstance(side, Whole):
                yield side.kind, side.certain
            else:
                free = side is FREE
                known = self._about() if free else frozenset()
                for _, _, kind, certain in self._reader.spans(value, free=free, persons=free, known=known):
                    yield kind, certain

    def _about(self) -> frozenset[str]:
        """The mailboxes that the object is about: what its pattern or value says is intelligence in its text too."""
        if self._known is None:
            stix = self._document
            carried = misp.carried(stix) or {}
            attribute = carried.get("attribute")
            values = [stix.get("value")]
            if _side_of_attribute(stix) is VALUE:
                values.append(stix.get("x_misp_value"))
            # A text that somebody wrote down as an attribute is about nobody: it says what it says of everyone.
            if isinstance(attribute, dict) and _side_of_attribute(attribute) is VALUE:
                values.append(attribute.get("value"))
            if isinstance(stix.get("pattern"), str):
                values += [value for path, value in _constants(stix["pattern"], stix) if _compared(path) is THEIRS]
            meant = chain.from_iterable(spelling.forms(value) for value in values if isinstance(value, str))
            self._known = frozenset(mailbox for value in meant for _, _, mailbox in mailboxes(value))
        return self._known


def _attribute(kind: str, holder: str) -> str | None:
    """The name of the property with the value, where what `holder` holds is an attribute of MISP."""
    if holder in sides.ATTRIBUTES:
        return "value"
    return "x_misp_value" if not holder and kind == "x-misp-attribute" else None


def _side_of_attribute(inside: Mapping[str, Any]) -> Read:
    if "x_misp_value" in inside:
        return attributes.of(inside.get("x_misp_type"), inside.get("x_misp_category"))
    return attributes.of(inside.get("type"), inside.get("category"))


def _compared(path: pattern.Path | None) -> Read:
    """How the strings are read with which a pattern compares what is at `path`: a text as in the observable itself."""
    if path is None:
        return THEIRS
    names = [step for step in path.steps if isinstance(step, str)]
    whole = _recipient(path.type, names)
    if whole is not None:
        return whole
    # What an extension defines has words of its own, also on an observable.
    kind = "" if any(name.startswith("extension-definition--") for name in names) else path.type
    holder = names[-2] if len(names) > 1 else ""
    return FREE if sides.of(kind, holder, names[-1], {names[-1]: None}) is FREE else THEIRS


def _recipient(kind: str, names: list[str]) -> Whole | None:
    """What a path of a pattern says of the one who got a message."""
    if kind == "email-message" and names[0] in RECIPIENTS:
        return Whole(Kind.NAME if names[-1] == "display_name" else Kind.EMAIL)
    if kind == "email-addr" and names == ["display_name"]:
        return Whole(Kind.NAME, certain=False)
    if kind == "email-message" and names[0] == "additional_header_fields" and sides.names_recipient(names[-1]):
        return Whole(Kind.EMAIL)
    return None


def _constants(text: str, stix: Mapping[str, Any]) -> Iterator[tuple[pattern.Path | None, str]]:
    """(path, string) of each comparison of a pattern; of what is no STIX pattern the whole, under no path."""
    if stix.get("pattern_type", "stix") != "stix":
        yield None, text
        return
    try:
        tree = pattern.parse(text)
    except ContentError:
        yield None, text
        return
    for comparison in _comparisons(tree):
        operand = comparison.operand
        for constant in operand if isinstance(operand, tuple) else (operand,) if operand is not None else ():
            if constant.kind == "string":
                matched = comparison.operator == "MATCHES"
                yield (
                    comparison.path,
                    constant.text.replace("\\.", ".").replace("\\\\", "\\") if matched else constant.text,
                )
            elif constant.kind in ("hex", "binary"):
                octets = bytes.fromhex(constant.text) if constant.kind == "hex" else b64decode(constant.text)
                yield comparison.path, octets.replace(b"\0", b"").decode("utf-8", "replace")


def _written(text: str, stix: Mapping[str, Any]) -> Iterator[str]:
    """What stands in a pattern for people to read: its comments, and names of properties that say something."""
    if stix.get("pattern_type", "stix") != "stix":
        return
    try:
        tree = pattern.parse(text)
    except ContentError:
        return
    yield from pattern.comments(text)
    for comparison in _comparisons(tree):
        steps = (step for step in comparison.path.steps if isinstance(step, str))
        yield from (step for step in steps if not step.replace("-", "_").isidentifier())


def _comparisons(tree: pattern.Pattern) -> Iterator[pattern.Comparison]:
    """Every comparison of a pattern, in its order."""
    waiting: list[Any] = [tree.root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, pattern.Comparison):
            yield node
        elif isinstance(node, pattern.Joined):
            waiting.extend(reversed(node.terms))
        else:
            waiting.append(node.test if isinstance(node, pattern.Observation) else node.observed)
