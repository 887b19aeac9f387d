"""Taking a producer's name out of an object, and giving it another one (RULES R13, R15; reference 9, attribution).

Beyond its identity a producer shows in what it writes: its name and domain in free text, its tickets and reports in
`external_references`, properties and extensions of its own tools. What the standard does not know goes; text loses the
words; what can lose nothing is refused by whoever asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from exchange.model import lineage, marking, schema

_TEXTS = frozenset({"name", "description", "abstract", "content", "explanation", "objective"})
"""Properties in which words may be missing."""
_PUBLIC = frozenset({"cve", "cwe", "capec", "mitre-attack", "mitre-mobile-attack", "mitre-ics-attack", "nvd"})
"""Sources of external references that everybody refers to."""
_GAP = "[…]"
_LONG = 6
"""Letters of a name that stands in no other word by chance."""
_PLAIN = ("marking-definition", "extension-definition")


@dataclass(frozen=True, kw_only=True)
class Names:
    """By what a producer is known: ids and domains, found wherever they stand, and names. A short name is found where
    it stands alone: its letters stand in other words too.
    """

    parts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Iterable[str], names: Iterable[str], contacts: Iterable[str]) -> Names:
        """Of identities (their uuids), names, and contacts such as mail addresses or web pages (their domains)."""
        uuids = {each.rpartition("--")[2].casefold() for each in ids}
        hosts = {host for each in contacts for host in _hosts(each)}
        words = {" ".join(each.split()).casefold() for each in names}
        return cls(parts=frozenset(uuids | hosts) - {""}, words=frozenset(w for w in words if len(w) > 1))

    def __or__(self, other: Names) -> Names:
        return Names(parts=self.parts | other.parts, words=self.words | other.words)

    def found_in(self, value: Any) -> bool:
        """Whether one of them stands anywhere in a document, in its names too."""
        return self._pattern is not None and any(self._pattern.search(text.casefold()) for text in _texts(value))

    def gone(self, text: str) -> str:
        """`text` without them, and without what is written in one with them: an address, a link."""
        if self._pattern is None:
            return text
        folded = text.casefold()
        if len(folded) != len(text):  # few letters become two; then no place in one is a place in the other
            return _GAP if self._pattern.search(folded) else text
        made, at = [], 0
        for found in self._pattern.finditer(folded):
            start, stop = found.span()
            while start > at and not text[start - 1].isspace():
                start -= 1
            while stop < len(text) and not text[stop].isspace():
                stop += 1
            if stop > at:
                made += [text[at:start], _GAP]
                at = stop
        return "".join((*made, text[at:]))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        found = [re.escape(each) for each in self.parts]
        found += [_spaced(each) if len(each) >= _LONG else rf"(?<!\w){_spaced(each)}(?!\w)" for each in self.words]
        return re.compile("|".join(found)) if found else None


NOBODY = Names()


def _spaced(word: str) -> str:
    return r"\s+".join(map(re.escape, word.split(" ")))


_HOST = re.compile(r"(?:@|//)(?:www\.)?([^\s/:@?#<>\"',;]+\.[^\s/:@?#<>\"',;.]+)")


def _hosts(contact: str) -> Iterator[str]:
    for found in _HOST.finditer(contact.casefold()):
        yield found[1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)


def is_party(document: Mapping[str, Any]) -> bool:
    """Whether it is an identity that somebody may be known by; a class of them, as a sector, is nobody."""
    return document["type"] == "identity" and document.get("identity_class") != "class"


def pseudonym(identity: Mapping[str, Any], minted: str, node: str) -> dict[str, Any]:
    """What stands in the place of `identity`: a name made of its new id, and nothing of the old one."""
    kept = (
        "type", "spec_version", "created", "modified", "revoked", "identity_class", "object_marking_refs",
    )  # fmt: skip
    made = {name: identity[name] for name in kept if name in identity}
    return {**made, "id": minted, "created_by_ref": node, "name": f"Source {minted[-12:]}"}


def referring(document: Mapping[str, Any], new: Callable[[str], str]) -> dict[str, Any]:
    """`document` with other ids in its references, at whatever depth; those of markings stay."""
    return {name: _referred(name, value, new) for name, value in document.items()}


def _referred(name: str, value: Any, new: Callable[[str], str]) -> Any:
    if name in ("object_marking_refs", "granular_markings", "created_by_ref"):
        return value
    if isinstance(value, str):
        return new(value) if name.endswith("_ref") else value
    if isinstance(value, list):
        if name.endswith("_refs"):
            return [new(inner) if isinstance(inner, str) else inner for inner in value]
        return [_referred("", inner, new) for inner in value]
    return referring(value, new) if isinstance(value, dict) else value


def unnamed(
    document: Mapping[str, Any], names: Names, mint: Callable[[str], str], stays: Iterable[str]
) -> dict[str, Any]:
    """`document` without what shows its producer, its references to what these recipients get under new ids mapped."""
    kept = frozenset(stays)

    def new(ref: str) -> str:
        kind = ref.partition("--")[0]
        plain = kind in _PLAIN or kind in schema.observable_types() or ref in kept or ref in marking.KNOWN_IDS
        return ref if plain else mint(ref)

    made = {
        name: _unnamed(name, value, names)
        for name, value in referring(document, new).items()
        if not name.startswith("x_")
    }
    creator = document.get("created_by_ref")
    if isinstance(creator, str):
        made["created_by_ref"] = creator if creator in kept else mint(creator)
    return {name: value for name, value in made.items() if value not in (None, [], {})}


def _unnamed(name: str, value: Any, names: Names) -> Any:
    if name == "external_references":
        return [each for each in value if _is_public(each) and not names.found_in(each)]
    if name == "extensions":
        return {key: each for key, each in value.items() if _is_standard(key) and not names.found_in(each)}
    return value if name in _UNTOUCHED else _cleaned(name, value, names)


_UNTOUCHED = frozenset({"id", "created_by_ref", "object_marking_refs", "granular_markings"})


def _is_public(reference: Mapping[str, Any]) -> bool:
    return str(reference.get("source_name")).casefold() in _PUBLIC


def _is_standard(extension: str) -> bool:
    return not extension.startswith("extension-definition--") or extension == lineage.EXTENSION


def _cleaned(name: str, value: Any, names: Names) -> Any:
    """The value without those names; None: it says nothing without them."""
    if not names.found_in(value):
        return value
    if isinstance(value, str):
        return names.gone(value) if name in _TEXTS else None
    if isinstance(value, list):
        left = [inner for inner in value if not names.found_in(inner)]
        return left or None
    return None
