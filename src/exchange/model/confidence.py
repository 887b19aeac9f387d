"""How sure somebody says they are: on their own scale as they wrote it, and on 0 to 100 (STIX 2.1 sections 3.2, A).

What is absent is unspecified (None), never 0 and never 50; what several say is never averaged. The reliability of a
source (Admiralty A to F) is no confidence in what it says, so it has no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from exchange.model import misp


class Step(NamedTuple):
    """One word of a scale: the number that it stands for, and the numbers that come back to it, both ends included."""

    word: str
    value: int
    first: int
    last: int


SCALES: Mapping[str, Sequence[Step]] = {
    "low-med-high": (Step("none", 0, 0, 0), Step("low", 15, 1, 29), Step("med", 50, 30, 69), Step("high", 85, 70, 100)),
    "0-10": tuple(Step(str(n), 10 * n, max(0, 10 * n - 5), min(100, 10 * n + 4)) for n in range(11)),
    # 6 is *cannot be judged*: STIX 2.1 appendix A has no number for it.
    "admiralty": tuple(Step(str(6 - n), 20 * n - 10, 20 * n - 20, 20 * n - (n < 5)) for n in range(1, 6)),
    "wep": (
        Step("impossible", 0, 0, 0), Step("highly-unlikely", 10, 1, 19), Step("unlikely", 30, 20, 39),
        Step("even-chance", 50, 40, 59), Step("likely", 70, 60, 79), Step("highly-likely", 90, 80, 99),
        Step("certain", 100, 100, 100),
    ),
    "dni": (
        Step("almost-no-chance", 5, 0, 9), Step("very-unlikely", 15, 10, 19), Step("unlikely", 30, 20, 39),
        Step("roughly-even-chance", 50, 40, 59), Step("likely", 70, 60, 79), Step("very-likely", 85, 80, 89),
        Step("almost-certain", 95, 90, 100),
    ),
    # MISP's own (taxonomy `misp`), with its numbers. The ends are said only by who said the ends.
    "misp": (
        Step("unconfident", 0, 0, 0), Step("rarely-confident", 25, 1, 37), Step("fairly-confident", 50, 38, 62),
        Step("usually-confident", 75, 63, 99), Step("completely-confident", 100, 100, 100),
    ),
}  # fmt: skip
"""STIX 2.1 appendix A, and MISP's."""
_JUDGEMENT = {"low": "low", "moderate": "med", "high": "high"}
_MISP = "misp:confidence-level="
_TAGS = {
    _MISP: "misp",
    "admiralty-scale:information-credibility=": "admiralty",
    "estimative-language:likelihood-probability=": "dni",
    "estimative-language:confidence-in-analytic-judgment=": "low-med-high",
}
"""How a tag begins → the scale on which it speaks."""
_RELIABILITY = "admiralty-scale:source-reliability="


class Claim(NamedTuple):
    """How sure the one who makes a statement says they are."""

    scale: str
    """One of SCALES; `stix` for a bare number, `reliability` for what is said of the source."""
    original: str
    """As it was written: a number, or a tag."""
    value: int | None
    """On 0 to 100; None: it cannot be judged, or it has no number."""


def value_of(scale: str, word: str) -> int | None:
    """The number of a word; None: the scale has no such word, or no number for it."""
    return next((step.value for step in SCALES[scale] if step.word == word), None)


def word_of(scale: str, value: int) -> str:
    """The word to which a number from 0 to 100 comes back."""
    return next(step.word for step in SCALES[scale] if step.first <= value <= step.last)


def of_tag(name: str) -> Claim | None:
    """What a MISP tag says of it; None: nothing."""
    folded = name.strip().lower()
    for begin, scale in _TAGS.items():
        if folded.startswith(begin):
            word = folded[len(begin) :].strip('"')
            return Claim(scale, name, value_of(scale, _JUDGEMENT.get(word, word)))
    return Claim("reliability", name, None) if folded.startswith(_RELIABILITY) else None


def misp_tag(value: int) -> str:
    """The tag of MISP that comes nearest to a number: MISP has no property for it."""
    return f'{_MISP}"{word_of("misp", value)}"'


def stated(stix: Mapping[str, Any]) -> tuple[Claim, ...]:
    """All that a STIX object says of it, in its own words; empty: unspecified.

    A number that we made of a tag when we converted it is that tag, and not said twice.
    """
    claims = [claim for name in dict.fromkeys(_tags(stix)) if (claim := of_tag(name)) is not None]
    number = stix.get("confidence")
    if not isinstance(number, int) or isinstance(number, bool):
        return tuple(claims)
    said = [claim.value for claim in claims if claim.scale == "misp" and claim.value is not None]
    if said and min(said) == number:
        return tuple(claims)
    return (Claim("stix", str(number), number), *claims)


def lowest(stix: Mapping[str, Any]) -> int | None:
    """The least sure that a STIX object says its creator is, 0 to 100; None: unspecified.

    Of several words none is dropped and none is averaged, so who asks for a minimum is given the lowest.
    """
    return min((claim.value for claim in stated(stix) if claim.value is not None), default=None)


def _tags(stix: Mapping[str, Any]) -> Iterator[str]:
    extension = misp.carried(stix) if "extensions" in stix else None
    if extension is not None:
        yield from misp.tags_in(extension)
    labels = stix.get("labels")
    yield from (each for each in labels if isinstance(each, str)) if isinstance(labels, list) else ()
