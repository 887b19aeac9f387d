r"""Texts in which something is written so that no search sees it: encoded, escaped, spelt out, or with signs between
letters that nobody sees. The plain form of such a text says what is meant, and where that stands.

    read = plain("mail b\u00adob&#64;ville%2Eexample")
    read.text                                        # mail bob@ville.example
    read.back(5, 21)                                 # (5, 30): where that stood

What is decoded may hide what stands there too (`x=10.0.0.1` is no quoted-printable): a plain form is read beside a text
and never in its place. All this is linear in the text: encodings of encodings are followed a few times and no further.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape

import jsonschema_rs

_DEPTH = 4
"""How often what was decoded is decoded again; layers of one kind (`%252540`, `&amp;amp;#64;`) count as one."""
_AROUND = 256
"""Characters on both sides of what is written otherwise that are read with it: more than any rule looks at."""
_NEAR = 64
"""As far from it something may stand that is seen by it only: a name behind a word for one."""

# --- what is written for what ------------------------------------------------------------------------------------

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What Unicode lets a reader ignore: soft hyphens, joiners, spaces without width, signs of direction, fillers."""
_SIGNS = {"\ufe6b": "@", "\uff20": "@"}
_SIGNS |= dict.fromkeys("\u2024\u3002\ufe52\uff0e\uff61", ".") | dict.fromkeys("\u2010\u2011\ufe63\uff0d", "-")
"""Signs of addresses in other widths and alphabets."""
_PERCENT = "%(?:25){0,8}"
_QUOTED = "=(?:2[1-9A-Fa-f]|3[A-Fa-f]|40|5[B-Fb-f]|60|7[B-Eb-e])"
"""Signs in quoted-printable: letters and digits need none, and `=15` is what pages of the web are asked with."""


def _long(octet: str) -> str:
    """A character of two octets or more in UTF-8 (RFC 3629), as hexadecimal with `octet` before each; or of Latin-1."""
    next_ = f"{octet}[89AB][0-9A-F]"
    return (
        f"{octet}[CD][0-9A-F]{next_}|{octet}E[0-9A-F](?:{next_}){{2}}|{octet}F[0-4](?:{next_}){{3}}"
        f"|{octet}[A-F][0-9A-F]"
    )


_S = "[ \u00a0]"
_BEGINS = re.compile(
    rf"[{_UNSEEN}{''.join(_SIGNS)}%=&\\\[({{<](?:(?<![%=&\\\[({{<])|(?<=%)[0-9A-Fa-f]|(?<==)[2-7C-F\r\n]"
    r"|(?<=&)[#A-Za-z]|(?<=\\)(?:[\\@._+-]|[xu][0-9A-Fa-f{]|U0)"
    rf"|(?<=[\[({{<]){_S}?(?:@|\.|[aà][\])}}>]|(?i:at|arr?ob|chez|dot|point)))"
)
"""Wider than _TOKEN, so that few places need be looked at by that."""
_TOKEN = re.compile(
    rf"(?P<nothing>[{_UNSEEN}]+|=\r?\n)|(?P<sign>[{''.join(_SIGNS)}](?:(?=[0-9A-Za-z])|(?<=[0-9A-Za-z].)))"
    rf"|(?P<octets>{_QUOTED}|{_PERCENT}[0-7][0-9A-Fa-f]|{_long('=')}|(?i:{_long(_PERCENT)}))"
    r"|&(?:amp;){0,8}(?P<entity>\#(?:[0-9]{1,7}|[Xx][0-9A-Fa-f]{1,6});?|[A-Za-z][0-9A-Za-z]{1,31};)"
    r"|\\{1,8}(?:(?P<number>x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ux]\{[0-9A-Fa-f]{1,6}\})"
    r"|(?P<itself>[@._+-]))"
    rf"|(?P<at>[\[({{<](?:{_S}?(?:(?i:at|arr?obase?|chez)|@){_S}?[\])}}>]{_S}?|[aà][\])}}>]))"
    rf"|(?P<dot>[\[({{<]{_S}?(?:(?i:dot|point)|\.){_S}?[\])}}>]{_S}?)"
)
"""At what _BEGINS finds; one space in front of a bracket goes with it."""
SHOWS = (
    f"[{_UNSEEN}]|[0-9A-Za-z][{''.join(_SIGNS)}]|[{''.join(_SIGNS)}][0-9A-Za-z]",
    r"=(?:[\r\n]|\\[rn]|2[1-9A-Fa-f]|3[A-Fa-f]|40|5[B-Fb-f]|60|7[B-Eb-e]|[A-F][0-9A-F])|%[0-9A-Fa-f]{2}",
    r"&(?:#[0-9Xx]|[A-Za-z][0-9A-Za-z]+;)|\\(?:[@._+-]|[xu][0-9A-Fa-f{]|U0)",
    r"[\[({<][ \u00a0]?(?:[@.aà]|(?i:at|arr?obase?|chez|dot|point))[ \u00a0]?[\])}>]",
    r"(?i:[ \u00a0_*|~-](?:dot|arr?obase?)[ \u00a0_*|~-])",
)
"""One of these is in each text that has another plain form, whatever JSON makes of it. They are so short because the
automaton of them all is then as fast as without them.
"""


class Sight:
    """Whether one of some expressions is in a text, in the engine that checks schemas: it looks neither ahead nor back,
    and takes a microsecond a kilobyte.
    """

    def __init__(self, *ways: str) -> None:
        self._asked = jsonschema_rs.validator_for(
            {"pattern": "|".join(ways)}, pattern_options=jsonschema_rs.RegexOptions()
        ).is_valid

    def __call__(self, text: str) -> bool:
        """Whether one of them is in `text`."""
        try:
            return self._asked(text)
        except (UnicodeEncodeError, ValueError):  # half of a surrogate pair, which is no letter, nor is the mark
            return self._asked(text.encode("utf-8", "replace").decode("utf-8"))


_shows, _says = Sight(*SHOWS), Sight(SHOWS[-1], r"@[^ \u00a0_*|~-]+[ \u00a0_*|~-]{1,3}(?i:point)")

_OCTET = re.compile("[%=](?:25){0,8}([0-9A-Fa-f]{2})")
_ASKED, _LONGEST_NAME = re.compile(r"[?&][\w.-]+\Z"), 32
"""What stands before `=` in the query of a URL: what is behind is no quoted-printable."""
_HIGHEST, _HALVES = 0x10FFFF, range(0xD800, 0xE000)
_Cut = tuple[int, int, str]
"""Start, stop, and what is meant."""


def _written(text: str) -> Iterator[_Cut]:
    """What is written for something else, in order and apart."""
    free = 0
    for begin in _BEGINS.finditer(text):
        start = begin.start()
        match = _TOKEN.match(text, start) if start >= free else None
        if match and text[start] == "=" and _ASKED.search(text, max(0, start - _LONGEST_NAME), start):
            continue
        meant = None if match is None else _meant(match)
        if match is None or meant is None:
            continue
        if match.lastgroup in ("at", "dot") and start > free and text[start - 1] in " \u00a0":
            start -= 1
        free = match.end()
        yield start, free, meant


def _meant(match: re.Match[str]) -> str | None:
    """What a token stands for; None: it is none."""
    kind = match.lastgroup or ""
    token = match[kind]
    if kind == "octets":
        octets = bytes.fromhex("".join(_OCTET.findall(token)))
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    if kind == "entity":
        found = unescape(f"&{token}")
        return None if found == f"&{token}" else found
    if kind == "number":
        number = int(token[1:].strip("{}"), 16)
        return None if number > _HIGHEST or number in _HALVES else chr(number)
    return _SAYS.get(kind) or _SIGNS.get(token, "" if kind == "nothing" else token)


_SAYS = {"at": "@", "dot": "."}


# --- addresses spelt out -----------------------------------------------------------------------------------------


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_AROUND_WORDS = " \u00a0_*|~-"
_BEFORE, _BEHIND = rf"(?:{_S}{{1,3}}|_|{_S}[_*|~-]{{1,2}})", rf"(?:{_S}{{1,3}}|_|[_*|~-]{{1,2}}{_S})"
_DOT = rf"{_BEFORE}(?:dot|point){_BEHIND}"
_LABEL = r"[^\W_](?:[^\W_]|-){0,62}"
_AT = re.compile(
    rf"(@|{_BEFORE}(?:at|arr?obase?){_BEHIND})({_LABEL}(?:(?:{_DOT}|\.){_LABEL}){{1,12}})",
    re.I,
)
"""A sign or a word for it, and where the mailbox is."""
_DOTS, _LAST_DOT = re.compile(_DOT, re.I), re.compile(rf"{_DOT}\Z", re.I)
_LABELS = re.compile(rf"{_DOT}|\.", re.I)
_LOCAL_SIGNS = "._%+-'’"
_LONGEST_WORD, _LONGEST_DOT, _MOST_WORDS = 64, 12, 5
_TOPS = _listed(
    """
    academy agency arpa asia biz blog business cafe cat center chat city cloud club coach company corp dev digital edu
    email energy eus example expert fund global gov group health home host icu info int internal intra invalid island
    jobs lan law life live local mail media mil mobi museum name net network news ngo one ong onion online org press pro
    quebec sante school services shop site social solutions space store support systems team tech tel test top travel
    vote website wiki work world xyz zone com app
    """
)
"""Of more than two letters. Names of those in which people are most, and of those that are nobody's: with all others
`dot` is a word of a sentence."""
_COUNTRY = 2
_NO_TOPS = _listed("he if of on or ox up we")
"""Words of two letters that are no country."""
_NO_NAMES = _listed(
    """
    a accessed addressed aim aimed all also an and announced any appear appears are as available away back based be been
    blog both browse browsing but buy call called check click code company connect contact contacted details discovered
    domain domains download downloaded downloads e-mail email emails employees ends expert experts files find first
    found free from gathered go going he here him home homepage hosted hosting identified in information is it its join
    jointly key known landed landing later learn link links listed live local located look looked looking looks mail man
    me meet mirror mirrored more night not now observed office on once one online only or other our page pages payload
    people point pointed pointing points post posted present products published purchased read registered released
    report reported reports research researchers resides resolve resolved resolves running seen sent serve served server
    servers she shop shown sign site sites sold someone something staff stage staged starts stay stop stored support
    team that the their them there these they this those time up us users version viewed visible visit was we website
    were where while who work worked working works write you
    """
)
"""What stands before `at` and is nobody: who writes `hosted at evil dot example` makes an address harmless."""
_NO_PLACES = _listed("a all an any each every her his its my no one our some that the their this which your")


def _spelt(text: str) -> Iterator[_Cut]:
    """The words for signs in addresses: `bob at ville dot example`. What ordinary sentences have too is left: `bob at
    ville.example`, `hosted at evil dot example`, `look at Python dot notation`.
    """
    free = 0
    for match in _AT.finditer(text) if _says(text) else ():
        start = _begin(text, match.start(), free)
        length = _length(text[start : match.start()], match[1], match[2]) if start < match.start() else 0
        if length:
            free = match.start(2) + length
            yield from ((*dot.span(), ".") for dot in _DOTS.finditer(text, start, match.start()))
            yield *match.span(1), "@"
            yield from ((*dot.span(), ".") for dot in _DOTS.finditer(text, match.start(2), free))


def _begin(text: str, at: int, free: int) -> int:
    """Where the words begin that stand for the local part that ends at `at`; not before `free`."""
    begin = stop = at
    for _ in range(_MOST_WORDS):
        least = max(free, stop - _LONGEST_WORD)
        start = stop
        while start > least and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_SIGNS):
            start -= 1
        if start == stop:
            break
        begin = start
        dot = _LAST_DOT.search(text, max(free, start - _LONGEST_DOT), start)
        if dot is None:
            break
        stop = dot.start()
    return begin


def _length(who: str, at: str, where: str) -> int:
    """How much of `where` is a domain; 0: this is no mailbox."""
    dots = list(_LABELS.finditer(where))
    stops = [dot.start() for dot in dots] + [len(where)]
    last = next((n for n in range(len(dots), 0, -1) if _is_top(where[dots[n - 1].end() : stops[n]])), 0)
    said = {dot[0].strip(_AROUND_WORDS).casefold() for dot in dots[:last]}
    word = at.strip(_AROUND_WORDS).casefold()
    if word == "at":
        place = where[: stops[0]].casefold()
        sure = "dot" in said and "point" not in said and place not in _NO_PLACES and who.casefold() not in _NO_NAMES
    else:
        sure = word != "@" or not said <= {"."} or _DOTS.search(who) is not None
    return stops[last] if last and sure else 0


def _is_top(label: str) -> bool:
    plain = label.casefold()
    return plain in _TOPS or (len(plain) == _COUNTRY and plain.isalpha() and plain not in _NO_TOPS)


# --- plain forms -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plain:
    """A text, or a part of one, as it is meant."""

    text: str
    places: list[int] = field(repr=False)
    """Of each letter, and of the end, where it stands in what was read."""
    marks: tuple[list[int], list[int]] = field(default=([], []), repr=False)
    """Where what is written otherwise begins, and where it ends."""

    def back(self, start: int, stop: int) -> tuple[int, int]:
        """Where that part of the plain form stands; it is not empty. What nobody sees behind it goes with it."""
        return self.places[start], self.places[bisect_right(self.places, self.places[stop - 1])]

    def near(self, start: int, stop: int) -> bool:
        """Whether anything is written otherwise in, or near, that part of what was read."""
        begins, ends = self.marks
        place = bisect_left(ends, start - _NEAR)
        return place < len(begins) and begins[place] <= stop + _NEAR


def plain(text: str) -> Plain | None:
    """The plain form of a whole text; None: it is its own."""
    found = _plain(text, 0) if _shows(text) else None
    return found if found is not None and found.text != text else None


def forms(text: str) -> tuple[str, ...]:
    """A text, and its plain form if that is another."""
    found = plain(text)
    return (text,) if found is None else (text, found.text)


def parts(text: str) -> Iterator[Plain]:
    """The plain forms of the parts of a text in which something is written otherwise, with what is around it."""
    if not _shows(text):
        return
    begins: list[int] = []
    ends: list[int] = []
    for start, stop in _marks(text):
        if begins and start - ends[-1] > 2 * _AROUND:
            yield from _part(text, begins, ends)
            begins, ends = [], []
        begins.append(start)
        ends.append(stop)
    if begins:
        yield from _part(text, begins, ends)


def _marks(text: str) -> list[tuple[int, int]]:
    """Where something is written otherwise, in order and apart."""
    made: list[tuple[int, int]] = []
    for start, stop, _ in sorted((*_written(text), *_spelt(text))):
        if not made or start >= made[-1][1]:
            made.append((start, stop))
    return made


def _part(text: str, begins: list[int], ends: list[int]) -> Iterator[Plain]:
    first = max(0, begins[0] - _AROUND)
    whole = text[first : ends[-1] + _AROUND]
    found = _plain(whole, first)
    if found.text != whole:
        yield Plain(found.text, found.places, (begins, ends))


def _plain(text: str, first: int) -> Plain:
    read = Plain(text, list(range(first, first + len(text) + 1)))
    for _ in range(_DEPTH):
        less = _replaced(read, _written(read.text))
        if less is read:
            break
        read = less
    return _replaced(read, _spelt(read.text))


def _replaced(read: Plain, cuts: Iterable[_Cut]) -> Plain:
    """With what is meant in its place; the same if there is nothing."""
    pieces: list[str] = []
    places: list[int] = []
    end = 0
    for start, stop, meant in cuts:
        pieces += (read.text[end:start], meant)
        places += read.places[end:start]
        places += [read.places[start]] * len(meant)
        end = stop
    if not end:
        return read
    return Plain("".join((*pieces, read.text[end:])), places + read.places[end:])
