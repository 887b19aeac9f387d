"""The ways in which a text can be read, for names: by its letters and by what they look like, as it stands and as it is
meant, with the way back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from exchange.model import spelling

_LETTERS = {"œ": "oe", "æ": "ae", "ø": "o"}
"""Those of names around here that Unicode does not take apart."""


_CYRILLIC = str.maketrans("авеікмнорстухѕјһԁԛԝӏАВЕІКМНОРСТУХЅЈҺԀԚԜӀ", "abeikmhopctyxsjhdqwlABEIKMHOPCTYXSJHDQWL")
_GREEK = str.maketrans("αβγεηικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abyenikvoptuxwABEZHIKMNOPTYX")
_OTHERS = str.maketrans("ıɑɡłŁđĐħĦ", "iagllddhh")
_ALIKE = _CYRILLIC | _GREEK | _OTHERS
"""Letters that look like others; the small and the capital one may look like two."""


class Letters(dict[int, str]):
    """What each letter is without case and accents; nothing, of signs that nobody sees."""

    def __missing__(self, sign: int) -> str:
        plain = unicodedata.normalize("NFKD", self._seen(unicodedata.normalize("NFKD", chr(sign))).casefold())
        seen = (each for each in plain if unicodedata.category(each) not in ("Mn", "Cf"))
        found = "".join(_LETTERS.get(each, each) for each in seen)
        if len(self) < _REMEMBERED:
            self[sign] = found
        return found

    def _seen(self, letters: str) -> str:
        return letters


class Looks(Letters):
    """The same of what it looks like."""

    def _seen(self, letters: str) -> str:
        return letters.translate(_ALIKE)


_REMEMBERED = 10_000
_PLAIN_LETTERS, LOOKS = Letters(), Looks()


_FOREIGN = re.compile(r"[^\x00-\x7f]+")


def folded(text: str) -> str:
    """`text` without case, accents and signs that nobody sees."""
    return _FOREIGN.sub(lambda found: found[0].translate(_PLAIN_LETTERS), text).lower()


def shapes(name: str) -> frozenset[str]:
    """A name, folded; and what it looks like in small letters and in capitals."""
    return frozenset({folded(name), name.lower().translate(LOOKS), name.upper().translate(LOOKS)})


class Reading(NamedTuple):
    """A text, or a part of one, folded, in one of the ways in which it can be read."""

    folded: str
    said: str
    letters: Letters
    at: list[int] | None
    """Of each sign of `said`, and of its end, where it stands in the text; None: there."""

    def back(self, spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Where these parts of `folded` begin in the text, and where behind the beginning of their last sign."""
        at = self.at or _each(self.said)
        if not self.said.isascii():
            at = [at[place] for place, sign in enumerate(self.said) for _ in self.letters[ord(sign)]]
        for start, stop in spans:
            yield at[start], at[stop - 1] + 1


def _each(text: str) -> list[int]:
    return list(range(len(text) + 1))


def readings(text: str) -> Iterator[Reading]:
    """`text` as it stands, and what is written otherwise as it is meant, with what is around it; both without tags or
    with a space for each; by its letters and by what they look like.
    """
    yield from _looks(text, None)
    if "<" in text:
        yield from _untagged(text, None)
    for part in spelling.parts(text):
        yield from _looks(part.text, part.places)
        if "<" in part.text:
            yield from _untagged(part.text, part.places)


_TAG = re.compile(r"<(?:!--[^<>]{0,200}--|/?[A-Za-z][A-Za-z0-9:-]{0,30}(?:[\s/][^<>]{0,500})?)>")


def _untagged(said: str, at: list[int] | None) -> Iterator[Reading]:
    tags = [tag.span() for tag in _TAG.finditer(said)]
    places = (at or _each(said)) if tags else []
    for instead in ("", " ") if tags else ():
        pieces: list[str] = []
        left: list[int] = []
        end = 0
        for start, stop in tags:
            pieces += (said[end:start], instead)
            left += places[end:start] + places[start : start + len(instead)]
            end = stop
        yield from _looks("".join((*pieces, said[end:])), left + places[end:])


def _looks(said: str, at: list[int] | None) -> Iterator[Reading]:
    yield Reading(folded(said), said, _PLAIN_LETTERS, at)
    if not said.isascii() and _OTHERWISE.search(said):
        yield Reading(said.translate(LOOKS), said, LOOKS, at)


_OTHERWISE = re.compile(
    "[\u0111\u0127\u0131\u0142\u0110\u0126\u0141\u0250-\u0261\u0370-\u052f\u1d00-\u1dbf\u1f00-\u1fff\U0001d6a8-\U0001d7c9]"
)
"""All alphabets in which a letter looks like another."""
