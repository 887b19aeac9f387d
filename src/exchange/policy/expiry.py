"""How old is too old: an object's score falls to half in each half-life, and below a threshold the object expires.

MISP's decaying models do the same on another curve: a base score, a threshold, and a sighting that begins it anew.
Here the curve has a closed form, so that the end is known beforehand. Times are µs since 1970, UTC.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from exchange.model.party import Expiry

AGED, ENDED = "expiry.age", "expiry.valid_until"
BEST = 100
_SECOND = 1_000_000
_LITERAL = re.compile(r"'[^'\\]*+(?:\\.[^'\\]*+)*+'")
_OBJECT = re.compile(r"([a-z][a-z0-9-]*+):")


class Life(NamedTuple):
    """What a rule, the object's own words and the quality of its source make of one object."""

    rule: Expiry
    begun: int
    """Since when it ages, if nobody has seen it since."""
    until: int | None
    """The creator's own end of it; None: none is stated, or the rule does not honour it."""
    base: float
    """Its score when it is new, 0 to 100."""


class End(NamedTuple):
    """When an object expires, and the reason code."""

    at: int
    code: str


def rule_for(rules: Iterable[Expiry], kind: str, peer: str, about: Collection[str]) -> Expiry | None:
    """The first rule that fits an object of the type `kind` stated by `peer`; `about`: as `kinds` gives it."""
    for rule in rules:
        fits = kind in rule.types and (rule.peers is None or peer in rule.peers)
        if fits and (rule.kinds is None or (about and rule.kinds.issuperset(about))):
            return rule
    return None


def kinds(pattern: Any, language: Any) -> frozenset[str]:
    """The types of observable that an indicator's pattern is about; of another language than STIX: its name."""
    if language not in (None, "stix"):
        return frozenset({str(language)})
    if not isinstance(pattern, str):
        return frozenset()
    return frozenset(_OBJECT.findall(_LITERAL.sub("''", pattern)))


def base(quality: int | None, confidence: int | None) -> float:
    """The score of something new: the mean of what is known of its source and of itself; nothing is known: 100.

    What is not stated is unspecified, neither 0 nor 50 (STIX 2.1, section 3.2).
    """
    known = [value for value in (quality, confidence) if value is not None]
    return sum(known) / len(known) if known else float(BEST)


def score(new: float, age: float, half_life: float) -> float:
    """What a score of `new` has come to after `age`, in the unit of `half_life`; it never grows."""
    return new * math.exp2(-max(age, 0.0) / half_life)


def lifetime(new: float, threshold: float, half_life: float) -> float:
    """How long a score of `new` stays at or above `threshold`, in the unit of `half_life`; 0: it never is."""
    return half_life * math.log2(new / threshold) if new > threshold else 0.0


def end(life: Life, seen: int | None = None, against: Iterable[int] = ()) -> End | None:
    """When it expires, and why; None: never.

    `seen`: when it was last seen; `against`: for each peer that says that it is a false positive, when it last did.
    A sighting outweighs the false positives before it. Nothing prolongs what its creator has ended.
    """
    rule, aged = life.rule, None
    if rule.half_life is not None:
        since = life.begun if seen is None or not rule.sightings else max(life.begun, seen)
        aged = since + math.ceil(lifetime(life.base, rule.threshold, rule.half_life) * _SECOND)
        if rule.false_positive is not None:
            aged -= sum(when > since for when in against) * int(rule.false_positive * _SECOND)
    if life.until is not None and (aged is None or life.until <= aged):
        return End(life.until, ENDED)
    return None if aged is None else End(aged, AGED)
