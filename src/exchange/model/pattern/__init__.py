"""STIX patterns: what they say (`parse`), whether they are valid (`check`), and which are the same (`canonical`).

The verdict is that of OASIS's stix2-patterns (`run_validator`, STIX 2.1), at a thousandth of its cost. So these are
valid: comments after the first bracket, WITHIN 0, REPEATS 0, days that no month has, an empty IN. These are not: a
comment before the first bracket, a qualifier twice on one pair of brackets, a value under `hashes` that is no hash of
that name. MATCHES takes any string: an expression is compiled by whoever runs it.

It differs in this only, and in none of the real patterns that we know:

- Section 9.6 lets a hash be looked for by LIKE, MATCHES and IN; stix2-patterns takes the whole operand for a hash and
  refuses them. Here a set is judged hash by hash, and an expression is not judged.
- Where stix2-patterns breaks instead of giving a verdict, section 9 gives it: an index below zero is refused, an index
  under `hashes` and a chain of thousands of terms are not.
- Longer than LONGEST or nested deeper than DEEPEST is refused, so that no pattern costs more than it is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.errors import ContentError
from exchange.model.pattern.canonical import Canonical, canonical, named
from exchange.model.pattern.parser import DEEPEST, read
from exchange.model.pattern.tokens import COMMENT, TEXT
from exchange.model.pattern.tree import Comparison, Constant, Joined, Observation, Path, Pattern, Qualified, Qualifier

__all__ = [
    "DEEPEST",
    "LONGEST",
    "Canonical",
    "Comparison",
    "Constant",
    "Joined",
    "Observation",
    "Path",
    "Pattern",
    "Qualified",
    "Qualifier",
    "canonical",
    "check",
    "comments",
    "named",
    "parse",
]

LONGEST = 256 * 1024
"""Characters; the longest real pattern has 57,118."""

# A part of the language that is valid for certain: comparisons joined by AND and OR in brackets, and these joined, each
# with one plain qualifier at most; without comments, parentheses and keywords as keys. Each part begins as no other
# does, so a failure costs one more pass.
_KEY = r"(?:(?!(?:hashes|true|false)\b)[a-z_][A-Za-z0-9_]*+|'(?!hashes')[^'\\]*+')"
_STEP = rf"(?:\.{_KEY}|\[(?:\*|0|[1-9][0-9]{{0,8}})\])"
_HEX = "[0-9A-Fa-f]"
_HASH = "|".join(
    rf"(?:{names}) *+= *+'{_HEX}{{{digits}}}'"
    for names, digits in (
        ("MD5|'MD5'|md5", 32),
        ("SHA1|'SHA-1'|sha1", 40),
        ("SHA256|'SHA-256'|sha256", 64),
        ("SHA512|'SHA-512'|sha512", 128),
    )
)
_VALUE = rf"(?:{TEXT}|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?|true|false)"
_ANY = rf"{_KEY}{_STEP}* *+(?:!?= *+{_VALUE}|(?:LIKE|MATCHES) *+{TEXT})"
_TEST = rf"(?!true\b|false\b)[a-z][a-z0-9-]*+:(?:hashes\.(?:{_HASH})|{_ANY})"
_OBSERVATION = rf"\[ *+{_TEST}(?: ++(?:AND|OR) ++{_TEST})* *+\]"
_QUALIFIER = r"(?: ++WITHIN ++[1-9][0-9]*+ ++SECONDS| ++REPEATS ++[1-9][0-9]*+ ++TIMES)?"
_PLAIN = re.compile(rf"{_OBSERVATION}{_QUALIFIER}(?: ++(?:AND|OR|FOLLOWEDBY) ++{_OBSERVATION}{_QUALIFIER})*")


def parse(text: str) -> Pattern:
    """The tree of `text`. Raises ContentError `content.pattern`: `at` counts characters before the mistake (from 0),
    `detail` is what should stand there.
    """
    if len(text) > LONGEST:
        raise ContentError("content.pattern", detail=f"≤ {LONGEST}", at=LONGEST)
    return Pattern(read(text))


def comments(text: str) -> Iterator[str]:
    """What people wrote into a pattern for each other, of one that can be parsed."""
    return (found["comment"] for found in COMMENT.finditer(text) if found["comment"])


def check(text: str) -> None:
    """Raises ContentError as `parse` does; a pattern of a few plain comparisons is judged by one regular expression."""
    if len(text) > LONGEST or not _PLAIN.fullmatch(text):
        parse(text)
