"""Taking a producer's name out of an object, and giving it another one (RULES R13, R15; reference 9, attribution).

Beyond its identity a producer shows in what it writes: its name and domain in free text, its tickets and reports in
`external_references`, properties and extensions of its own tools. What the standard does not know goes; text loses the
words; tags in a vocabulary of its own go; what can lose nothing is refused by whoever asked.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from exchange.model import hosts, lineage, marking, schema, stix
from exchange.policy.readings import Reading, folded, readings, shapes

_TEXTS = frozenset({"name", "description", "abstract", "content", "explanation", "objective"})
"""Properties in which words may be missing."""
_PUBLIC = frozenset({"cve", "cwe", "capec", "mitre-attack", "mitre-mobile-attack", "mitre-ics-attack", "nvd"})
"""Sources of external references that everybody refers to."""
_VOCABULARIES = frozenset({
    "admiralty-scale", "adversary", "ais-marking", "analyst-assessment", "binary-class", "collaborative-intelligence",
    "common-taxonomy", "course-of-action", "cryptocurrency-threat", "csirt_case_classification",
    "cyber-threat-framework", "dark-web", "data-classification", "ddos", "diamond-model", "ecsirt", "enisa",
    "estimative-language", "event-assessment", "event-classification", "exercise", "false-positive", "file-type",
    "iep", "iep2-policy", "iep2-reference", "information-security-indicators", "interception-method", "kill-chain",
    "maec-malware-behavior", "maec-malware-capabilities", "maec-malware-obfuscation-methods",
    "malware_classification", "misp", "misp-galaxy", "misp-workflow", "ms-caro-malware", "ms-caro-malware-full",
    "open_threat", "osint", "pap", "pfc", "phishing", "priority-level", "ransomware", "ransomware-roles", "rsit",
    "runtime-packer", "stix-ttp", "targeted-threat-index", "threats-to-dns", "tlp", "type", "use-case-applicability",
    "veris", "vocabulaire-des-probabilites-estimatives", "workflow",
})  # fmt: skip
"""Namespaces of tags that are everybody's (MISP taxonomies that no producer, state or alliance made for itself)."""
_GAP = "[…]"
_READING = "3"
"""Of `found_in` and of the second gate: raised with every change of what they find, so that all is read again."""
_DIGEST = 32
_LONG = 6
"""Letters of a name that stands in no other word by chance."""
_PLAIN = ("marking-definition", "extension-definition")


@dataclass(frozen=True, kw_only=True)
class Names:
    """By what a producer is known: ids and domains, found wherever they stand, and names. A short name is found where
    it stands alone: its letters stand in other words too. Case, accents, what stands between the words of a name, dots
    in brackets, what is written for a letter (`spelling`), tags of HTML in a name and letters of other alphabets that
    look like these are no difference.
    """

    parts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Iterable[str], names: Iterable[str], contacts: Iterable[str]) -> Names:
        """Of identities (their uuids), names, and contacts such as mail addresses or web pages (their domains)."""
        uuids = {each.rpartition("--")[2].casefold() for each in ids}
        domains = {host for each in contacts for host in _hosts(each)}
        words = {" ".join(each.split()).casefold() for each in names}
        return cls(parts=frozenset(uuids | domains) - {""}, words=frozenset(w for w in words if len(w) > 1))

    def __or__(self, other: Names) -> Names:
        return Names(parts=self.parts | other.parts, words=self.words | other.words)

    @property
    def digest(self) -> str:
        """Of all of them: equal names have the same."""
        text = "\0".join((_READING, *sorted(self.parts), "", *sorted(self.words)))
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]

    def found_in(self, value: Any) -> bool:
        """Whether one of them stands anywhere in a document, in its names too."""
        # All texts at once tell at a quarter of the cost that none has any; two of them may make a name together.
        return self._stands(_BETWEEN.join(_texts(value))) and any(map(self._stands, _texts(value)))

    def _stands(self, text: str) -> bool:
        if any(self._found_by(each.folded) is not None for each in readings(text)):
            return True
        # A browser needs no semicolon.
        return "&" in text and self._found_by(folded(html.unescape(text))) is not None

    def _found_by(self, text: str) -> re.Pattern[str] | None:
        """What finds those of them whose beginning stands in the text; None: it finds nothing there."""
        near = [found for begins, found in self._ways if begins in text]
        pattern = re.compile("|".join(near)) if near else None
        return pattern if pattern is not None and pattern.search(text) else None

    def gone(self, text: str) -> str:
        """`text` without them, and without what is written in one with them: an address, a link."""
        made, at = [], 0
        for start, stop in sorted({span for each in readings(text) for span in self._spans(each)}):
            if stop <= at:
                continue  # it went with what it is written in one with, which may be long
            begin, end = max(start, at), stop
            while begin > at and not text[begin - 1].isspace():
                begin -= 1
            while end < len(text) and not text[end].isspace():
                end += 1
            made += [text[at:begin], _GAP]
            at = end
        left = "".join((*made, text[at:]))
        return _GAP if self._stands(left) else left  # in a reading that has no way back

    def _spans(self, read: Reading) -> Iterator[tuple[int, int]]:
        """Where they stand in what `read` is a reading of."""
        pattern = self._found_by(read.folded)
        if pattern is not None:
            yield from read.back(found.span() for found in pattern.finditer(read.folded))

    @cached_property
    def _ways(self) -> list[tuple[str, str]]:
        """(letters with which it begins, pattern) of each way of writing each of them: there may be many names, and few
        of them in a text.
        """
        parts = {shape for each in self.parts for shape in shapes(each)}
        found = [(_BEGINNING.split(part)[0], _part(part)) for part in parts]
        for each in {shape for word in self.words for shape in shapes(word)}:
            word = each[:_ENOUGH]
            said, joined = [one for one in _SIGNS.split(word) if one], _SIGNS.sub("", word)
            if len(joined) > 1:
                found.append((said[0], _long_or_alone(r"[\W_]+".join(map(re.escape, said)), len(word))))
            else:
                found.append((word, _long_or_alone(re.escape(word), len(word))))
            if len(joined) >= _LONG and len(said) > 1:
                found.append((joined, rf"(?<!\w){re.escape(joined)}(?!\w)"))
        return found


NOBODY = Names()


_BETWEEN = "\0x\0"
_SIGNS = re.compile(r"[\W_]+")
_ENOUGH = 200
"""Letters of a name that are looked for: who writes more must not make each text be read for minutes."""
_BEGINNING = re.compile(r"[-.]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _part(part: str) -> str:
    """What finds an id with and without its hyphens, or a domain: `spelling` reads its dots in brackets."""
    return part.replace("-", "-?") if _UUID.fullmatch(part) else re.escape(part)


def _long_or_alone(found: str, letters: int) -> str:
    return found if letters >= _LONG else rf"(?<!\w){found}(?!\w)"


_HOST = re.compile(r"(?:@|//)(?:www\.)?([^\s/:@?#<>\"',;]+\.[^\s/:@?#<>\"',;.]+)")


def _hosts(contact: str) -> Iterator[str]:
    for found in _HOST.finditer(contact.casefold()):
        yield from hosts.spellings(found[1])


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


def pseudonym(identity: Mapping[str, Any], mint: Callable[[str], str], node: str) -> dict[str, Any]:
    """What stands in the place of `identity`: a name made of its new id, and nothing of the old one, whose very dates
    may be public. Its versions follow each other as those of the old one do, and as far apart.

    Raises ValueError or OverflowError where a date is none that can be moved: a leap second, the year 1.
    """
    kept = ("type", "spec_version", "revoked", "identity_class", "object_marking_refs")
    made = {name: identity[name] for name in kept if name in identity}
    minted = mint(identity["id"])
    earlier = _earlier(mint(f"{identity['id']}|dates"))
    dates = {name: _moved(identity[name], earlier) for name in ("created", "modified") if name in identity}
    if "modified" in dates:  # which tells its version; what it says of its creation need not be true
        dates["created"] = min(dates.get("created", dates["modified"]), dates["modified"], key=stix.instant)
    return {**made, **dates, "id": minted, "created_by_ref": node, "name": f"Source {minted[-12:]}"}


_FURTHEST = 5 * 365 * 24 * 60 * 60 * 1000
"""Milliseconds by which a pseudonym's dates are earlier than the true ones, at most: never in the future."""
_MICROSECONDS = re.compile(r"(\.[0-9]{6})([0-9]*)Z")


def _earlier(secret: str) -> timedelta:
    """By how much the dates of one pseudonym are moved, all alike: `secret` is an id that nobody is given."""
    number = int.from_bytes(hashlib.sha256(secret.encode()).digest()[:8])
    return timedelta(milliseconds=1 + number % _FURTHEST)


def _moved(date: str, earlier: timedelta) -> str:
    """`date`, as exact as it was: two versions may lie less than a microsecond apart."""
    fine = _MICROSECONDS.search(date)
    said = datetime.fromisoformat(_MICROSECONDS.sub(r"\1Z", date)) - earlier
    exact = "microseconds" if fine or said.microsecond % 1000 else "milliseconds"
    return f"{said.replace(tzinfo=None).isoformat(timespec=exact)}{fine[2] if fine else ''}Z"


def marks(document: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the marks on it, or on parts of it, that are not everybody's."""
    parts = document.get("granular_markings") or ()
    granular = (each["marking_ref"] for each in parts if isinstance(each.get("marking_ref"), str))
    return frozenset((*(document.get("object_marking_refs") or ()), *granular)) - marking.KNOWN_IDS


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
    if name == "labels":
        value = [each for each in value if _is_everybodys(each)] if isinstance(value, list) else value
    if name == "extensions":
        return {key: each for key, each in value.items() if _is_standard(key) and not names.found_in(each)}
    return value if name in _UNTOUCHED else _cleaned(name, value, names)


_UNTOUCHED = frozenset({"id", "created_by_ref", "object_marking_refs", "granular_markings"})


def _is_public(reference: Mapping[str, Any]) -> bool:
    return str(reference.get("source_name")).casefold() in _PUBLIC


def _is_everybodys(label: Any) -> bool:
    """Whether a label is a plain word, or a tag of a vocabulary that tells nothing of who uses it."""
    namespace, colon, _ = str(label).partition(":")
    return not colon or namespace.strip().casefold() in _VOCABULARIES


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
