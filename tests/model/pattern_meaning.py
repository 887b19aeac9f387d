"""What a pattern matches, worked out as STIX 2.1 sections 9.4 to 9.6 say and as slowly as that takes.

An observation has a time and values; `matches` gives every set of observations that makes a pattern true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from exchange.model.pattern import Comparison, Joined, Observation, Pattern, Qualified, Qualifier

Match = frozenset[int]
_NONE: Mapping[str, Any] = {}


def observations() -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few observations, one after the other or at once, some without some of the properties."""
    numbers = st.integers(1, 3)
    one = st.fixed_dictionaries(
        {"time": st.integers(0, 3)},
        optional={"a:b": numbers, "a:c": numbers, "a:d[*]": st.lists(numbers, min_size=2, max_size=3, unique=True)},
    )
    return st.lists(one, min_size=2, max_size=4)


def matches(pattern: Pattern, seen: Sequence[Mapping[str, Any]]) -> set[Match]:
    """The sets of observations (their places in `seen`) that match."""
    return _matches(pattern.root, seen)


def _matches(node: Any, seen: Sequence[Mapping[str, Any]]) -> set[Match]:
    if isinstance(node, Observation):
        return {frozenset({place}) for place, each in enumerate(seen) if _holds(node.test, each)}
    if isinstance(node, Qualified):
        found = _matches(node.observed, seen)
        for qualifier in node.qualifiers:
            found = _qualified(found, qualifier, seen)
        return found
    found = _matches(node.terms[0], seen)
    for term in node.terms[1:]:
        more = _matches(term, seen)
        if node.word == "OR":
            found = found | more
        else:  # on different observations, and one after the other
            found = {
                one | two
                for one in found
                for two in more
                if not one & two
                and (node.word == "AND" or max(seen[n]["time"] for n in one) <= min(seen[n]["time"] for n in two))
            }
    return found


def _qualified(found: set[Match], qualifier: Qualifier, seen: Sequence[Mapping[str, Any]]) -> set[Match]:
    value = float(qualifier.values[0].text)
    if qualifier.word == "WITHIN":
        times = {match: [seen[place]["time"] for place in match] for match in found}
        return {match for match in found if max(times[match]) - min(times[match]) <= value}
    made = set()
    for some in combinations(found, int(value)):
        union = frozenset().union(*some)
        if len(union) == sum(map(len, some)):
            made.add(union)
    return made


def _holds(node: Any, observation: Mapping[str, Any]) -> bool:
    if isinstance(node, Joined):
        return (all if node.word == "AND" else any)(_holds(term, observation) for term in node.terms)
    return _true(node, observation)


def _true(test: Comparison, observation: Mapping[str, Any]) -> bool:
    value = observation.get(test.path.to_text())
    if test.operator == "EXISTS":
        return (value is not None) != test.negated
    if value is None:
        return False  # a path that leads nowhere makes the comparison false
    values = value if isinstance(value, list) else [value]
    if test.negated:
        return not any(_compared(test, each) for each in values)
    return any(_compared(test, each) for each in values)


def _compared(test: Comparison, value: int) -> bool:
    if isinstance(test.operand, tuple):
        return value in [int(each.text) for each in test.operand]
    assert test.operand is not None
    other = int(test.operand.text)
    return {"=": value == other, "!=": value != other, "<": value < other}[test.operator]
