"""The chosen lists as one index: whether a value is on any of them, in microseconds and a few megabytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from exchange.model.benign import expressions
from exchange.model.benign.choice import Choice
from exchange.model.benign.intervals import Intervals, Range, network, plain
from exchange.model.benign.lists import ADDRESS, DOMAIN, EMAIL, FILE, HASH, URL, WarningList, content, kind_of, parsed
from exchange.model.benign.names import Names, Parts

_FORM = "1"
"""Changes when we match otherwise than before, so that everything is looked at again."""
LONGEST = 4_096
"""Characters of a value that is looked at; no name, address or hash is longer, and of a URL the host stands before."""
_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*+://(?:[^/?#@]*+@)?(\[[^\]/?#]*+\]|[^/?#:@\[\]]++)(?::[0-9]{0,5})?+(/?+.?+)", re.S
)


def host_of(url: str) -> tuple[str, bool]:
    """The host of a URL, and whether the URL is the whole of it; an empty host: it is no URL."""
    found = _URL.match(url)
    if found is None:
        return "", False
    return found[1].strip("[]").lower().rstrip("."), found[2] in ("", "/")


class _Texts:
    """What the lists say of one kind of value."""

    def __init__(self, lists: Sequence[WarningList]) -> None:
        self.equal = Names(entry.strip().lower() for each in lists if each.kind == "string" for entry in each.entries)
        # MISP too takes `.example.org` for the name and what is under it.
        self.below = Names(
            entry.strip().strip(".").lower() for each in lists if each.kind == "hostname" for entry in each.entries
        )
        self.parts = Parts(entry.lower() for each in lists if each.kind == "substring" for entry in each.entries)
        made = [
            (each.name, entry, expressions.compiled(entry.strip()))
            for each in lists
            if each.kind == "regex"
            for entry in each.entries
        ]
        self.expressions = tuple(pattern for _, _, pattern in made if pattern is not None)
        self.refused = [(name, entry) for name, entry, pattern in made if pattern is None]
        self._names, self._looked_into = bool(self.below), bool(self.parts or self.expressions)

    def __len__(self) -> int:
        return len(self.equal) + len(self.below) + len(self.parts) + len(self.expressions)

    def has(self, text: str) -> bool:
        """Whether it is on one of them; `text` in lower case."""
        if text in self.equal or (self._names and self.below.under(text)):
            return True
        return self.within(text)

    def within(self, text: str) -> bool:
        """Whether one of them stands in it, or fits it."""
        if not self._looked_into:
            return False
        if self.parts.inside(text):
            return True
        return len(text) <= expressions.LONGEST and any(each.search(text) for each in self.expressions)


class Index:
    """Answers for one choice of lists; `digest` names the choice and what the lists held."""

    def __init__(self, lists: Iterable[WarningList], digest: str = "") -> None:
        held = list(lists)
        self.digest = digest
        self._texts = {
            kind: _Texts([each for each in held if kind in each.about and each.kind != "cidr"])
            for kind in (ADDRESS, DOMAIN, URL, EMAIL, HASH, FILE)
        }
        self.refused = tuple(dict.fromkeys(pair for texts in self._texts.values() for pair in texts.refused))
        """(list, entry) of the regular expressions that might cost too much, or are none."""
        ranges: dict[int, list[Range]] = {4: [], 6: []}
        for each in held:
            for entry in each.entries if each.kind == "cidr" else ():
                number = plain(entry)  # of most lists nearly every entry is one address
                found = (4, (number, number)) if number >= 0 else network(entry.strip())
                if found is not None:
                    ranges[found[0]].append(found[1])
        self._networks = {version: Intervals(listed) for version, listed in ranges.items()}
        self._v4 = self._networks[4]
        self._empty = not any(map(len, self._texts.values())) and not any(map(len, self._networks.values()))

    def hits(self, values: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those of `values` (path, canonical value) that are on one of the lists."""
        return [] if self._empty else [pair for pair in values if self.has(*pair)]

    def has(self, path: str, value: str) -> bool:
        """Whether the canonical `value` of the property `path` is on one of the lists."""
        kind = kind_of(path, value)
        if not kind or len(value) > LONGEST:
            return kind == URL and self._locator(value[:LONGEST])
        if kind == ADDRESS:
            return self._address(value)
        if kind == URL:
            return self._locator(value)
        texts = self._texts[kind]
        return texts.has(value if value.islower() else value.lower())

    def _address(self, value: str) -> bool:
        number = plain(value)
        if number >= 0:
            if self._v4.meets(number, number):
                return True
        else:
            found = network(value)
            if found is not None and self._networks[found[0]].meets(*found[1]):
                return True
        return self._texts[ADDRESS].has(value)

    def _locator(self, value: str) -> bool:
        """A URL: itself, and by its host where a list means whatever is there, or the URL is all that is there."""
        texts = self._texts[URL]
        low = value.lower()
        if low in texts.equal or texts.within(low):
            return True
        host, whole = host_of(value)
        if not host:
            return False
        if texts.below.under(host):
            return True
        if not whole:
            return False
        number = plain(host)
        if number >= 0 or ":" in host:
            return self._address(host)
        return self._texts[DOMAIN].has(host) or texts.has(host)


@lru_cache(maxsize=1)
def index(choice: Choice) -> Index:
    """The index of `choice`, read on the first question and kept: a process follows one choice.

    Raises KeyError for a list that the package does not have.
    """
    return _read(choice.lists)


def _read(names: Sequence[str]) -> Index:
    told = hashlib.sha256(_FORM.encode())
    lists = []
    for name in sorted(set(names)):
        raw = content(name)
        told.update(name.encode() + b"\0" + hashlib.sha256(raw).digest())
        lists.append(parsed(name, raw))
    return Index(lists, told.hexdigest()[:32])
