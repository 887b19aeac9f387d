"""Numbers that are given to persons: social insurance, health insurance, payment cards, telephones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.model.personal.finding import Kind

Span = tuple[int, int, Kind, bool]
"""Start, stop (characters), kind, certain."""

_EDGE = r"(?<![\w.+/-])"
_END = r"(?![\w/-]|\.[0-9])"
_PHONE = re.compile(
    rf"{_EDGE}(?:\+?1[ .-]?)?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}[ .-])[2-9][0-9]{{2}}[ .-][0-9]{{4}}{_END}"
    rf"|{_EDGE}\+[1-9](?:[ .-]?\(?[0-9]\)?){{8,14}}{_END}"
)
"""As the North American plan writes them, with a separator; and with `+` and the country's code, 9 to 15 digits
(ITU-T E.123, E.164)."""
_SIN = re.compile(rf"{_EDGE}[1-79][0-9]{{2}}([ -])[0-9]{{3}}\1[0-9]{{3}}{_END}")
_SIN_NAMED = re.compile(
    r"(?:\bNAS|\bSIN|assurance sociale|social insurance)(?: (?:number|no))?[^\w]{0,4}([1-79][0-9]{8})(?!\w)", re.I
)
_HEALTH = re.compile(rf"{_EDGE}[A-Z]{{4}} ?[0-9]{{2}}([0-9]{{2}}) ?([0-9]{{2}})[0-9]{{2}}{_END}")
"""The Régie de l'assurance maladie du Québec: letters of the name, then the date of birth (a woman's month plus 50)."""
_CARD = re.compile(
    rf"{_EDGE}(?:(?:4[0-9]{{3}}|5[1-5][0-9]{{2}}|2[2-7][0-9]{{2}}|6(?:011|5[0-9]{{2}}))"
    r"([ -]?)(?:[0-9]{4}\1){2}[0-9]{4}"
    rf"|3[47][0-9]{{2}}([ -]?)[0-9]{{6}}\2[0-9]{{5}}){_END}"
)


def numbers(text: str) -> Iterator[Span]:
    """Where such numbers stand in `text`."""
    yield from _phones(text)
    for match in _SIN_NAMED.finditer(text):
        if luhn(match[1]):
            yield *match.span(1), Kind.NUMBER, True
    for match in _HEALTH.finditer(text):
        if _born(int(match[1]), int(match[2])):
            yield *match.span(), Kind.NUMBER, False
    for form in (_SIN, _CARD):
        for match in form.finditer(text):
            if luhn(match[0]):
                yield *match.span(), Kind.NUMBER, False


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        yield *match.span(), Kind.PHONE, False


def _born(month: int, day: int) -> bool:
    """Whether there is such a day; the month of a woman's birth has 50 more."""
    return (1 <= month <= 12 or 51 <= month <= 62) and 1 <= day <= 31


def luhn(text: str) -> bool:
    """Whether the digits of `text` end in their check digit (ISO/IEC 7812-1 annex B)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(digits) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
