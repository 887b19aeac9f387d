"""The tree of a STIX pattern and its normal spelling (STIX 2.1 section 9).

The tree holds what a pattern says and not how it is laid out: `a OR (b OR c)` and `a OR b OR c` are equal, and so are
`<>` and `!=`, `+5` and `5`, `'MD5'` and `MD5` as keys. Order is kept: it is for the canonical form to sort.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from exchange.model.pattern.tokens import KEYWORDS

Kind = Literal["string", "integer", "float", "boolean", "hex", "binary", "timestamp"]
Step: TypeAlias = str | int | None
"""A key, an index in a list, or None for `[*]`."""
Term = TypeVar("Term")

_PREFIXES = {"string": "", "hex": "h", "binary": "b", "timestamp": "t"}
_QUALIFIERS = {"WITHIN": "WITHIN {} SECONDS", "REPEATS": "REPEATS {} TIMES", "START": "START {} STOP {}"}
_LOOSEST_FIRST = ("FOLLOWEDBY", "OR", "AND")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Constant(msgspec.Struct, frozen=True, gc=False):
    """A literal; `text` is its value: a string without escapes, a number without `+` or idle zeros, any length."""

    kind: Kind
    text: str

    def to_text(self) -> str:
        prefix = _PREFIXES.get(self.kind)
        return self.text if prefix is None else prefix + _quoted(self.text)


class Path(msgspec.Struct, frozen=True, gc=False):
    """`file:hashes.'SHA-256'` is Path("file", ("hashes", "SHA-256")); the first step is always a key (section 9.7)."""

    type: str
    steps: tuple[Step, ...]

    def to_text(self) -> str:
        return f"{self.type}:{''.join(map(_step, self.steps))[1:]}"


def _step(step: Step) -> str:
    if step is None:
        return "[*]"
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step if _PLAIN_KEY.fullmatch(step) and step not in KEYWORDS else _quoted(step)}"


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """One test of one path (section 9.6); `operand` is a tuple for IN and None for EXISTS."""

    path: Path
    operator: str
    negated: bool
    operand: Constant | tuple[Constant, ...] | None

    def to_text(self) -> str:
        operator = f"NOT {self.operator}" if self.negated else self.operator
        if self.operand is None:
            return f"{operator} {self.path.to_text()}"
        if isinstance(self.operand, Constant):
            return f"{self.path.to_text()} {operator} {self.operand.to_text()}"
        return f"{self.path.to_text()} {operator} ({', '.join(each.to_text() for each in self.operand)})"


class Joined(msgspec.Struct, Generic[Term], frozen=True, gc=False):
    """Two or more terms joined by AND, OR or FOLLOWEDBY; no term is joined by the same word again."""

    word: str
    terms: tuple[Term | Joined[Term], ...]

    @classmethod
    def of(cls, word: str, terms: Iterable[Term | Joined[Term]]) -> Joined[Term]:
        """The terms joined by `word`; all three are associative, so a term joined by it gives its own terms."""
        flat: list[Term | Joined[Term]] = []
        for term in terms:
            flat.extend(term.terms if isinstance(term, Joined) and term.word == word else (term,))
        return cls(word, tuple(flat))


class Qualifier(msgspec.Struct, frozen=True, gc=False):
    """WITHIN (seconds), REPEATS (times) or START (START and STOP): the word and its one or two constants."""

    word: str
    values: tuple[Constant, ...]

    def to_text(self) -> str:
        return _QUALIFIERS[self.word].format(*(value.to_text() for value in self.values))


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What stands in one pair of square brackets: it has to hold of one observation (section 9.5)."""

    test: Comparison | Joined[Comparison]


class Qualified(msgspec.Struct, frozen=True, gc=False):
    """An observation expression with its qualifiers, innermost first."""

    observed: Observation | Joined[Observation | Qualified]
    qualifiers: tuple[Qualifier, ...]


ObservationTree: TypeAlias = Observation | Qualified | Joined[Observation | Qualified]


class Pattern(msgspec.Struct, frozen=True, gc=False):
    """A whole pattern. Equal trees have equal texts, and `parse(pattern.to_text()) == pattern`."""

    root: ObservationTree

    def to_text(self) -> str:
        """The normal spelling: one space between words, parentheses only where they change the meaning.

        It may be longer than what was read (`IN(1,2)` gains spaces): at the limit of length, too long to be read again.
        """
        return _written(self.root)


_Node: TypeAlias = Comparison | Observation | Qualified | Joined[Comparison] | Joined[Observation | Qualified]


def _written(node: _Node) -> str:
    if isinstance(node, Joined):
        return f" {node.word} ".join(_enclosed(term, node.word) for term in node.terms)
    if isinstance(node, Observation):
        return f"[{_written(node.test)}]"
    if isinstance(node, Qualified):
        return " ".join([_qualifiable(node), *(each.to_text() for each in node.qualifiers)])
    return node.to_text()


def _enclosed(term: _Node, word: str) -> str:
    looser = isinstance(term, Joined) and _LOOSEST_FIRST.index(term.word) < _LOOSEST_FIRST.index(word)
    return f"({_written(term)})" if looser else _written(term)


def _qualifiable(node: Qualified) -> str:
    """A pair of brackets takes each qualifier once; in parentheses, anything takes them all."""
    words = [each.word for each in node.qualifiers]
    bare = isinstance(node.observed, Observation) and len(set(words)) == len(words)
    return _written(node.observed) if bare else f"({_written(node.observed)})"
