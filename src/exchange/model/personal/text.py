"""What is personal in one text: every rule for free text, or those alone that hold whoever's side the text is on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from exchange.model import spelling
from exchange.model.personal import names, numbers, places
from exchange.model.personal.choice import SPECIAL, Choice
from exchange.model.personal.finding import Kind
from exchange.model.personal.mail import mailboxes, office, signed_in
from exchange.model.personal.numbers import Span
from exchange.model.personal.signs import signs

MARK = "[retiré / removed]"
"""What stands where something was; it tells neither what nor how long it was, and nothing is found in it."""
MOST = 64
"""Findings of one text; with more, the whole text is one."""
_RAW = 4096
"""Places of one text that are looked at one by one."""
_ROUNDS = 6
"""How often a text is read again with its findings taken out, until nothing more comes to light."""


class Reader:
    """The rules for one operator's choice. Use `reader`, which remembers them."""

    def __init__(self, choice: Choice) -> None:
        self._kinds = choice.kinds
        self._signs = signs(choice)
        self._ending = places.suffixes(SPECIAL, choice.internal)
        self._internal = tuple(name.strip(".").casefold() for name in choice.internal) + SPECIAL
        self._allowed = tuple(value.casefold() for value in choice.allowed)

    def spans(
        self, text: str, *, free: bool, persons: bool = False, known: frozenset[str] = frozenset()
    ) -> tuple[Span, ...]:
        """What is personal in `text`, in its order, without overlaps. Not `free`: the attacker's side, where a mailbox
        is intelligence and a place inside a network is not. `persons`: names too. `known` are mailboxes that the
        object is about.

        A text from which this was taken has no more of it.
        """
        if not ("@" in text or self._signs.any(text)):
            return ()
        found = self._apart(text, free, persons, known)
        for _ in range(_ROUNDS):
            if not found or len(found) > MOST:
                break
            less, at = _without(text, found)
            more = self._apart(less, free, persons, known)
            if not more:
                return tuple(found)
            found = _joined(found + [(*_back(span, at), span[2], span[3]) for span in more])
        return ((0, len(text), Kind.MANY, False),) if found else ()

    def clean(self, text: str, *, worded: bool) -> bool:
        """Whether nothing can be found in this pattern, which need not be taken apart then; `worded`: it may compare
        something with a free text."""
        return not any(
            self._signs.pattern(each) or (worded and self._seen(each, free=True)) for each in spelling.forms(text)
        )

    def _seen(self, text: str, *, free: bool) -> bool:
        """Whether any rule may find something in what `text` says as it stands."""
        return ("@" in text or self._signs.free(text)) if free else self._signs.theirs(text)

    def internal(self, host: str) -> bool:
        """Whether the name `host` is under an internal suffix."""
        return any(host == suffix or host.endswith(f".{suffix}") for suffix in self._internal)

    def _apart(self, text: str, free: bool, persons: bool, known: frozenset[str]) -> list[Span]:
        """One reading: what counts and is not allowed, as it stands and as it is meant, overlaps joined."""
        found = self._standing(text, free, persons, known)
        for part in spelling.parts(text):
            meant = self._standing(part.text, free, persons, known)
            if len(meant) > MOST or len(found) > MOST:
                return meant + found  # all of the text goes
            spans = [(*part.back(start, stop), kind, certain) for start, stop, kind, certain in meant]
            found = _joined(found + [span for span in spans if part.near(*span[:2])])
        return found

    def _standing(self, text: str, free: bool, persons: bool, known: frozenset[str]) -> list[Span]:
        """What counts and is not allowed in what `text` says as it stands, overlaps joined."""
        if not self._seen(text, free=free):
            return []
        every = list(islice(self._every(text, free, persons, known), _RAW + 1))
        if len(every) > _RAW:
            return [(place, place, Kind.MANY, False) for place in range(MOST + 1)]
        found = [span for span in every if span[2] in self._kinds]
        if not found or not self._allowed:
            return _joined(found)
        stay = _joined([span for span in found if self.may_stay(text[span[0] : span[1]])])
        return _joined([span for span in found if not _in(span, stay)])

    def _every(self, text: str, free: bool, persons: bool, known: frozenset[str]) -> Iterator[Span]:
        for start, stop, mailbox in mailboxes(text):
            inside = self.internal(mailbox.rpartition("@")[2])
            if inside or (free and not office(mailbox) and mailbox not in known):
                yield start, stop, Kind.EMAIL, inside
        yield from places.addresses(text)
        yield from places.hosts(text, self._ending)
        yield from places.folders(text)
        yield from places.servers(text)
        yield from names.identifiers(text)
        if free:
            yield from signed_in(text)
            yield from names.accounts(text)
            yield from numbers.numbers(text)
        if persons:
            yield from names.persons(text)

    def may_stay(self, value: str) -> bool:
        """Whether the operator allows `value`."""
        plain = value.casefold()
        return any(
            plain == each or ("." in each and plain.endswith((f".{each}", f"@{each}"))) for each in self._allowed
        )


@lru_cache(maxsize=8)
def reader(choice: Choice) -> Reader:
    """The rules for `choice`."""
    return Reader(choice)


def replaced(text: str, spans: list[tuple[int, int]]) -> str:
    """`text` with MARK in the place of each span; the spans are in order and apart."""
    pieces: list[str] = []
    end = 0
    for start, stop in spans:
        pieces += (text[end:start], MARK)
        end = stop
    return "".join((*pieces, text[end:]))


def _joined(spans: list[Span]) -> list[Span]:
    """In order; those that overlap are one, of the kind of the first, certain if one of them is."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if made and span[0] < made[-1][1]:
            start, stop, kind, certain = made.pop()
            made.append((start, max(stop, span[1]), kind, certain or span[3]))
        else:
            made.append(span)
    return made


Places = list[tuple[int, int, int, int]]
"""Of each mark: where it begins and ends in the shorter text, and what it stands for in the whole one."""


def _in(span: Span, stay: list[Span]) -> bool:
    """Whether `span` is all in one of `stay`: the domain of an allowed mailbox is allowed with it, there."""
    place = bisect_right(stay, span[0], key=lambda each: each[0]) - 1
    return place >= 0 and span[1] <= stay[place][1]


def _without(text: str, spans: list[Span]) -> tuple[str, Places]:
    at: Places = []
    less = 0
    for start, stop, *_ in spans:
        at.append((start - less, start - less + len(MARK), start, stop))
        less += stop - start - len(MARK)
    return replaced(text, [span[:2] for span in spans]), at


def _back(span: Span, at: Places) -> tuple[int, int]:
    """Where a span of the shorter text stands in the whole one; a mark that it touches is all in it."""
    first, last = span[:2]
    start, stop = first, last
    for begin, end, before, after in at:
        if first >= begin:
            start = before if first < end else first + after - end
        if last > begin:
            stop = after if last <= end else last + after - end
    return start, stop
