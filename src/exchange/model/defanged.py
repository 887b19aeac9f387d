"""Values as people write them so that nobody follows them by mistake, and as their owner would have written them.

In a URL whose scheme and host are clean, brackets further on are its own (`/?q=[.]`) and are left alone.
"""

from __future__ import annotations

import re

_DEFANGED = (
    (re.compile(r" {0,2}(?:\[\.\]|\(\.\)|\{\.\}|<\.>|\[dot\]|\(dot\)|\{dot\}|<dot>) {0,2}", re.I), "."),
    (re.compile(r"\[\.(?=[a-z0-9])|(?<=[a-z0-9])\.\]", re.I), "."),
    (re.compile(r"\[(:|://|:/|//|/)\]"), r"\1"),
    (re.compile(r" {0,2}(?:\[@\]|\(@\)|\{@\}|\[at\]|\(at\)|\{at\}|<at>) {0,2}", re.I), "@"),
    (re.compile(r"h(?:xx|tx|xt|\*\*)p(?:(s)|\[(s)\])?(?=:|\[)", re.I), r"http\1\2"),
    (re.compile(r"fxp(s?)(?=:|\[)", re.I), r"ftp\1"),
)
_SIGN = re.compile(r"[\[({<](?:[.@:/]|dot|at)|\.\]|\A(?:h(?:xx|tx|xt|\*\*)p|fxp)", re.I)
_LONGEST = 8192
"""Characters of what is read at all: nobody writes a longer name or URL by hand."""
_AT_START = 4
"""Where in _DEFANGED those begin that stand at the start of a value only."""
# Not beginning as a defanged scheme does, and without a bracket, or without one before the path of a URL (an IPv6
# address has its own): nearly every value.
_PLAIN = re.compile(
    r"(?!h(?:xx|tx|xt|\*\*)p|fxp)(?:[^\[({<]*\Z|[a-z][a-z0-9+.-]*://[^/?#\[({<]*(?:\[[0-9a-f:.]*[0-9a-f]\])?(?::[0-9]*)?[/?#])",
    re.I | re.S,
)


def refang(value: str) -> str:
    """`hxxps://evil[.]example` as its owner would have written it; any other value is only trimmed."""
    value = value.strip()
    if len(value) > _LONGEST or _PLAIN.match(value) or not _SIGN.search(value):
        return value
    for place, (pattern, plain) in enumerate(_DEFANGED):
        value = pattern.sub(plain, value) if place < _AT_START else _at_start(pattern, plain, value)
    return value


def _at_start(pattern: re.Pattern[str], plain: str, value: str) -> str:
    match = pattern.match(value)
    return value if match is None else match.expand(plain) + value[match.end() :]
