"""On which list a value is, and how: told to people, so every list is read again and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from exchange.model.benign import expressions
from exchange.model.benign.choice import Choice
from exchange.model.benign.index import LONGEST, host_of
from exchange.model.benign.intervals import Range, network, relation
from exchange.model.benign.lists import ADDRESS, DOMAIN, URL, WarningList, content, kind_of, parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One entry that a value meets."""

    list: str
    title: str
    entry: str
    path: str
    value: str
    relation: str
    """equal, subdomain, part, expression, and for networks inside, contains, overlaps."""


def explain(choice: Choice, path: str, value: str) -> list[Match]:
    """Every entry that `value` meets, list by list; of one list at most three. Empty: it is on none."""
    kind = kind_of(path, value)
    found: list[Match] = []
    for name in sorted(set(choice.lists)) if kind else ():
        each = _kept(name)
        pairs = list(dict.fromkeys(_pairs(each, kind, value[:LONGEST])))[:3]
        found += [
            Match(list=each.name, title=each.title, entry=entry, path=path, value=value, relation=how)
            for entry, how in pairs
        ]
    return found


@lru_cache(maxsize=256)
def _kept(name: str) -> WarningList:
    return parsed(name, content(name))


@lru_cache(maxsize=256)
def _networks(name: str) -> tuple[tuple[int, Range, str], ...]:
    made = ((network(entry.strip()), entry) for entry in _kept(name).entries)
    return tuple((found[0], found[1], entry) for found, entry in made if found is not None)


def _pairs(each: WarningList, kind: str, value: str) -> Iterator[tuple[str, str]]:
    """(entry, relation) of what `value` meets on this list."""
    if kind == URL:
        yield from _of_url(each, value)
    elif kind in each.about:
        yield from _of_network(each, value) if each.kind == "cidr" else _of_text(each, value.lower())


def _of_url(each: WarningList, value: str) -> Iterator[tuple[str, str]]:
    host, whole = host_of(value)
    if URL in each.about:
        if each.kind == "hostname":
            yield from _of_text(each, host) if host else ()
        else:
            yield from _of_text(each, value.lower())
            yield from _of_text(each, host) if host and whole else ()
    elif host and whole:
        numeric = network(host) is not None
        if each.kind == "cidr":
            yield from _of_network(each, host) if numeric else ()
        elif (ADDRESS if numeric else DOMAIN) in each.about:
            yield from _of_text(each, host)


def _of_network(each: WarningList, value: str) -> Iterator[tuple[str, str]]:
    asked = network(value)
    for version, listed, entry in _networks(each.name) if asked is not None else ():
        if asked is not None and version == asked[0]:
            how = relation(asked[1], listed)
            if how:
                yield entry, how


def _of_text(each: WarningList, text: str) -> Iterator[tuple[str, str]]:
    for entry in each.entries:
        listed = entry.strip().lower()
        if each.kind == "string" and listed == text:
            yield entry, "equal"
        elif each.kind == "hostname":
            listed = listed.strip(".")
            if listed and listed == text:
                yield entry, "equal"
            elif listed and text.endswith("." + listed):
                yield entry, "subdomain"
        elif each.kind == "substring" and listed and listed in text:
            yield entry, "part"
        elif each.kind == "regex":
            pattern = expressions.compiled(entry.strip())
            if pattern is not None and len(text) <= expressions.LONGEST and pattern.search(text):
                yield entry, "expression"
