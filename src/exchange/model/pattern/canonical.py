"""The canonical spelling of a pattern: patterns that the rules below cover mean the same when it is equal.

The rules (docs/identity.md tells them with examples; the sections are those of STIX 2.1):

- values, names of hashes and renamed properties in their canonical spelling, wherever a value is compared for equality;
- IN is an OR of `=`, NOT IN an AND of `!=`, NOT = is `!=`; with `[*]` a negation is left alone, for it may be read as
  "not any" and as "any not" (9.7). A subset of a single address is that address;
- inside of brackets AND and OR are sorted, repeat nothing and absorb (9.6): `a OR (a AND b)` is `a`;
- between brackets AND and OR are sorted. An OR repeats nothing, and `[a] OR [b]` is `[a OR b]` where no qualifier
  counts or times what matches. An AND keeps its repetitions: its terms have to match different observations (9.5);
- `X_ref.type = 'ipv4-addr'` falls away beside `X_ref.value = '198.51.100.1'`, which proves it;
- qualifiers stay where they are and in their order; their numbers and instants have one spelling.

Nothing is distributed (no disjunctive normal form), so the work grows with the length; and past LONGEST or STEPS
the trimmed text is the key and `opaque` says why.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from exchange.errors import ContentError
from exchange.model.pattern.parser import Reader, TooManySteps, read, unquoted
from exchange.model.pattern.routes import Route, is_hash, quoted, route
from exchange.model.pattern.tokens import PATH, SPACE, TEXT
from exchange.model.pattern.writing import LONGEST, Writer

STEPS = 1_600
"""Of reading, and as many of writing: for some 250 plain comparisons. A step takes about a microsecond."""
_SHORT = 512
"""Characters of a single comparison that is read in one look: it cannot cost too much."""

_TRIMMED = 256 * 1024
"""Characters of what is worth a look at all: no pattern is longer (`pattern.LONGEST`)."""
_SINGLE = re.compile(rf"[ \t\r\n]*+\[[ \t\r\n]*+({PATH})[ \t\r\n]*+=[ \t\r\n]*+({TEXT})[ \t\r\n]*+\][ \t\r\n]*+\Z")


class Canonical(msgspec.Struct, frozen=True, gc=False):
    """A pattern under its one spelling."""

    text: str
    opaque: str = ""
    """Reason code, where `text` is only what was given without the white space around it; else empty."""
    atoms: tuple[tuple[str, str], ...] = ()
    """(path, canonical value) of every test for equality with a string or a whole number: what people search by."""


def canonical(text: str) -> Canonical:
    """The canonical spelling of `text`, whatever it is. It raises nothing and costs at most a few milliseconds."""
    if len(text) <= _SHORT:
        single = _SINGLE.match(text)
        if single is not None:
            found = _single(single[1], single[2])
            if found is not None:
                return found
    trimmed = text.strip(SPACE) if len(text) <= _TRIMMED else text
    if len(trimmed) > LONGEST:
        return Canonical(trimmed, "opaque.length")
    try:
        writer = Writer(STEPS)
        return Canonical(writer.write(read(trimmed, STEPS)), "", writer.atoms())
    except ContentError as error:
        return Canonical(trimmed, error.code)
    except TooManySteps:
        return Canonical(trimmed, "opaque.cost")


_LOOKED, _NAMED = 4096, 1_000
"""Characters of a value, and values, of a pattern without a canonical form that are searched by."""
_GLANCE = 64 * 1024
"""Characters of such a pattern that are looked at."""
_TESTED = re.compile(rf"({TEXT})|'[\s\S]*+|({PATH})|([!<>]?=|[<>]|[A-Za-z0-9_-]++)")
"""It goes on behind whatever it meets, so that no spelling makes it go over the whole text again and again."""


def named(text: str) -> tuple[tuple[str, str], ...]:
    """(path, canonical value) of what a pattern too large for a canonical form tests for equality, at a first look.

    It is not read: of what stands side by side, a path, `=` or `IN`, and strings, nobody can hide a value among many.
    """
    found: dict[tuple[str, str], None] = {}
    path, equal = "", False
    for token in _TESTED.finditer(text[:_GLANCE]):
        spelt, place, word = token.groups()
        if place is not None:
            path, equal = place, False
        elif word is not None:
            path, equal = "" if word == "NOT" else path, word in ("=", "IN")
        elif spelt is not None and path and equal and len(spelt) <= _LOOKED:
            leads = _leads(path)
            if leads is not None:
                found[leads.path, leads.value(unquoted(spelt))] = None
                if len(found) == _NAMED:
                    break
    return tuple(found)


def _single(path: str, spelt: str) -> Canonical | None:
    """Of one test for equality with a string; None: one look is not enough."""
    leads = _leads(path)
    if leads is None or not is_hash(leads.written, spelt):
        return None
    value = leads.value(unquoted(spelt))
    made = quoted(value)
    fitting = leads.fitting(made)
    if fitting is not leads:
        return None
    return Canonical(f"[{leads.text} = {made}]", "", ((leads.path, value),))


@lru_cache(maxsize=2048)
def _leads(path: str) -> Route | None:
    """The route of a path from its text; None: it is no path."""
    try:
        return route(Reader(path).path())
    except ContentError:
        return None
