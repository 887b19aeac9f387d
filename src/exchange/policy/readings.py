"""The ways in which a text can be read, for names: by its letters and by what they look like, as it stands and as it is
meant, with the way back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

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
_PLAIN_LETTERS, _LOOKS = Letters(), Looks()


def folded(text: str) -> str:
    """`text` without case, accents and signs that nobody sees."""
    return text.lower() if text.isascii() else text.translate(_PLAIN_LETTERS)


def shapes(name: str) -> frozenset[str]:
    """A name, folded; and what it looks like in small letters and in capitals."""
    return frozenset({folded(name), name.lower().translate(_LOOKS), name.upper().translate(_LOOKS)})


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, folded, in one of the ways in which it can be read."""

    folded: str
    said: str
    letters: Letters
    at: list[int] | None
    """Of each sign of `said`, and of its end, where it stands in the text; None: there."""

    @property
    def places(self) -> list[int]:
        """Of each letter of `folded`, and of the end, where it stands in the text."""
        at = self.at or _each(self.said)
        if self.said.isascii():
            return at
        return [at[place] for place, sign in enumerate(self.said) for _ in self.letters[ord(sign)]] + [at[-1]]


def _each(text: str) -> list[int]:
    return list(range(len(text) + 1))


def readings(text: str) -> Iterator[Reading]:
    """`text` as it stands and as it is meant, without tags or with a space for each; by its letters and by what they
    look like.
    """
    yield from _looks(text, None)
    meant = spelling.plain(text)
    said, at = text, None
    if meant is not None:
        said, at = meant.text, meant.places
        yield from _looks(said, at)
    tags = [tag.span() for tag in _TAG.finditer(said)] if "<" in said else []
    for instead in ("", " ") if tags else ():
        yield from _looks(*_untagged(said, at or _each(said), tags, instead))


_TAG = re.compile(r"<(?:!--[^<>]{0,200}--|/?[A-Za-z][A-Za-z0-9:-]{0,30}(?:[\s/][^<>]{0,500})?)>")


def _untagged(said: str, at: list[int], tags: list[tuple[int, int]], instead: str) -> tuple[str, list[int]]:
    pieces: list[str] = []
    places: list[int] = []
    end = 0
    for start, stop in tags:
        pieces += (said[end:start], instead)
        places += at[end:start] + at[start : start + len(instead)]
        end = stop
    return "".join((*pieces, said[end:])), places + at[end:]


def _looks(said: str, at: list[int] | None) -> Iterator[Reading]:
    plain = folded(said)
    yield Reading(plain, said, _PLAIN_LETTERS, at)
    alike = plain if said.isascii() else said.translate(_LOOKS)
    if alike != plain:
        yield Reading(alike, said, _LOOKS, at)
