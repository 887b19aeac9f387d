"""Regular expressions out of a list: only those whose cost is bounded by their shape, on values of bounded length.

Python's engine backtracks, so an expression may cost the power of its unbounded repeats. One that repeats a repeat, or
looks around or back, is refused; so is one with more than two repeats without an end (an expression that may begin
anywhere has one already). What is left costs at most the square of LONGEST steps.
"""

from __future__ import annotations

import re

LONGEST = 512
"""Characters of a value that is searched; a longer one is on no list of expressions."""
_MOST = 1_000
"""Characters of an expression."""
_DEGREE = 2
_PHP = re.compile(r"(?P<mark>[/#~!@%])(?P<body>.*)(?P=mark)(?P<flags>[a-z]*)\Z", re.S)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.S)
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>)?")
_REPEAT = re.compile(r"(?:[*+]|\{(\d*)(,?)(\d*)\}|\?)[?+]?")
_FEW = 64
"""A repeat with an end below this counts as written out."""


def compiled(entry: str) -> re.Pattern[str] | None:
    """The expression of a list's entry, with PHP's delimiters or without; None: it is none, or may cost too much."""
    found = _PHP.match(entry)
    body, letters = (found["body"], found["flags"]) if found else (entry, "")
    if len(body) > _MOST or not is_bounded(body):
        return None
    flags = re.IGNORECASE if "i" in letters else 0
    try:
        return re.compile(body.replace("\\/", "/"), flags)
    except (re.error, OverflowError, RecursionError):
        return None


def is_bounded(body: str) -> bool:
    """Whether the shape of the expression keeps its cost to the square of a value's length."""
    open_groups: list[bool] = [False]  # for each open group, whether it holds something that repeats or may be left out
    degree = 0 if body.startswith(("^", "\\A")) and "|" not in _outside(body) else 1
    place, loose = 0, False  # `loose`: what stands before `place` is a group that holds such a thing
    while place < len(body):
        sign = body[place]
        if sign == "(":
            group = _GROUP.match(body, place)
            assert group is not None  # noqa: S101 (the sign is the shortest match)
            if body.startswith("(?", place) and len(group[0]) == 1:
                return False  # looks around, sets flags, or is conditional
            open_groups.append(False)
            place, loose = group.end(), False
            continue
        if sign == ")":
            if len(open_groups) == 1:
                return False
            loose = open_groups.pop()
            open_groups[-1] |= loose
            place += 1
            continue
        if sign == "|":
            open_groups[-1] = True  # two ways through what is repeated are as bad as a repeat
            place, loose = place + 1, False
            continue
        repeat = _REPEAT.match(body, place) if sign in "*+{?" else None
        if repeat is not None:
            times = _times(repeat)
            if loose and times != 1:
                return False
            degree += times == 0
            open_groups[-1] = True
            place = repeat.end()
            continue
        if sign == "\\" and body[place + 1 : place + 2] in "123456789gk":
            return False  # refers back
        place, loose = _atom(body, place), False
    return len(open_groups) == 1 and degree <= _DEGREE


def _atom(body: str, place: int) -> int:
    """Where one character, escape or class ends."""
    if body[place] == "\\":
        return place + 2
    found = _CLASS.match(body, place) if body[place] == "[" else None
    return found.end() if found else place + 1


def _times(repeat: re.Match[str]) -> int:
    """How often at most: 1 for *may be left out*, 0 for no end, or for so many that it is as good as none."""
    if repeat[0][0] in "*+":
        return 0
    if repeat[0][0] == "?":
        return 1
    least, comma, most = repeat[1] or "0", repeat[2], repeat[3]
    last = int(least) if not comma else int(most) if most else _FEW
    return 0 if last >= _FEW else last


def _outside(body: str) -> str:
    """What of the expression stands in no group: there an alternative would not begin where the first one does."""
    depth, place, kept = 0, 0, []
    while place < len(body):
        after = _atom(body, place)
        depth += {"(": 1, ")": -1}.get(body[place:after], 0)
        if depth == 0:
            kept.append(body[place:after])
        place = after
    return "".join(sign for sign in kept if len(sign) == 1)
