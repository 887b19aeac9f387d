"""The reader of STIX patterns: one token ahead, one pass, never back; so the time is linear in the text.

Only parentheses nest, and their depth is bounded: nothing here can exhaust the stack. A test of one path against one
string, which nearly all are, is read in one look; what that look does not know is read word by word.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar, cast

from exchange.errors import ContentError
from exchange.model.pattern.tokens import KINDS, TEST, TOKEN
from exchange.model.pattern.tree import (
    Comparison,
    Constant,
    Joined,
    Kind,
    Observation,
    ObservationTree,
    Path,
    Qualified,
    Qualifier,
    Step,
)

DEEPEST = 64
"""Levels of parentheses; real patterns have at most five."""
_INDEX_DIGITS = 640
"""Of a list index: what Python turns into a number under every setting."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NO_TEXT = "\ud800"
"""Half a character: it stands in no text that can be sent or stored."""

_OBSERVATION_WORDS = {"FOLLOWEDBY": 0, "OR": 1, "AND": 2}
_COMPARISON_WORDS = {"OR": 0, "AND": 1}
_EQUALITY = {"=": "=", "==": "=", "!=": "!=", "<>": "!="}
_ORDER = frozenset({"<", "<=", ">", ">="})
_ON_STRINGS = frozenset({"LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"})
_ORDERABLE = frozenset({"string", "integer", "float", "hex", "binary", "timestamp"})
_LITERAL = _ORDERABLE | {"boolean"}
_STRING = frozenset({"string"})
_QUALIFIER_WORDS = frozenset({"WITHIN", "REPEATS", "START"})

# What a hash of that name looks like, as stix2-patterns has it: the names in capitals without hyphens, and `$` rather
# than the very end. It anchors MD6 only at the beginning.
_HEX_DIGITS = {
    "MD5": 32,
    "RIPEMD160": 40,
    "SHA1": 40,
    "SHA224": 56,
    "SHA256": 64,
    "SHA384": 96,
    "SHA512": 128,
    "SHA3224": 56,
    "SHA3256": 64,
    "SHA3384": 96,
    "SHA3512": 128,
    "WHIRLPOOL": 128,
}
_HASHES = {name: re.compile(rf"[a-fA-F0-9]{{{digits}}}$") for name, digits in _HEX_DIGITS.items()} | {
    "MD6": re.compile(r"[a-fA-F0-9]{32}"),
    "SSDEEP": re.compile(r"[a-zA-Z0-9/+:.]{1,128}$"),
}
_NO_HASHES = frozenset({"LIKE", "MATCHES"})

Term = TypeVar("Term")


_COMMENT_FIRST = re.compile(r"[\s(]*+/[/*]")


class TooManySteps(Exception):
    """More than were allowed."""


def read(text: str, steps: int = sys.maxsize) -> ObservationTree:
    """The tree of `text`; raises ContentError, and TooManySteps when it takes more than `steps`."""
    comment = _COMMENT_FIRST.match(text)
    if comment is not None:
        raise ContentError("content.pattern", detail="[, (", at=comment.end() - 2)
    return Reader(text, steps).pattern()


class Reader:
    """Reads one pattern; `kind` and `text` are those of the token that comes next, or `_test` is what comes next."""

    __slots__ = ("_allowed", "_end", "_match", "_nested", "_paths", "_source", "_test", "kind", "text")

    def __init__(self, text: str, steps: int = sys.maxsize) -> None:
        """`steps`: how many there may be at most (TooManySteps); one is about a microsecond."""
        self._source = text
        self._nested = 0
        self._end = 0
        self._match: re.Match[str]
        self._test: Comparison
        self._paths: set[str] = set()
        self._allowed = steps
        self._next()

    def pattern(self) -> ObservationTree:
        """The whole text as one pattern; raises ContentError."""
        tree: ObservationTree = self._chain(_OBSERVATION_WORDS, self._observation)
        if self.kind != "end":
            self._fail("FOLLOWEDBY, OR, AND, WITHIN, REPEATS, START")
        return tree

    # Tokens

    def _next(self) -> None:
        self._allowed -= 1
        if self._allowed < 0:
            raise TooManySteps
        self._match = match = cast(re.Match[str], TOKEN.match(self._source, self._end))
        self._end = match.end()
        name = match.lastgroup or ""
        self.text = text = match[name]
        self.kind = KINDS.get(text, name)

    def _next_test(self) -> None:
        """Go on to the next token, which is to begin a comparison: a plain one is taken as a whole."""
        match = TEST.match(self._source, self._end)
        comparison = self._plain(match) if match is not None else None
        if match is None or comparison is None:
            self._next()
            return
        self._test, self.kind = comparison, "test"
        self._match, self._end = match, match.end()

    def _taken_test(self) -> Comparison:
        """The comparison that was taken as a whole; what comes after it is next."""
        mark = self._match["mark"]
        if mark is None:
            self._next()
        else:
            self.kind = self.text = mark
        return self._test

    def _plain(self, match: re.Match[str]) -> Comparison | None:
        """The comparison that one look found; None: it is none, which reading it word by word will tell better."""
        named, negated, sign, text, word, expression, _ = match.groups()
        self._allowed -= 3
        if named not in self._paths:
            self._paths.add(named)
            self._allowed -= 8
        if self._allowed < 0:
            raise TooManySteps
        known = _known(named)
        if known is None:
            return None
        path, form = known
        operator, literal = (_EQUALITY.get(sign, sign), text) if sign else (word, expression)
        if form is not None and operator not in _NO_HASHES and not form.match(literal.replace("'", "")):
            return None
        if literal[0] == "'":
            return Comparison(path, operator, negated is not None, Constant("string", unquoted(literal)))
        return Comparison(path, operator, negated is not None, Constant("integer", _number(literal)))

    def _take(self, kind: str, expected: str = "") -> str:
        """The text of the next token, which has to be of this kind."""
        text = self.text
        if self.kind != kind:
            self._fail(expected or kind)
        self._next()
        return text

    def _fail(self, expected: str) -> NoReturn:
        raise ContentError("content.pattern", detail=expected, at=self._match.start(self._match.lastgroup or 0))

    # What both halves of the language have: words that join, and parentheses

    def _chain(self, words: dict[str, int], term: Callable[[], Term | Joined[Term]]) -> Term | Joined[Term]:
        """Terms joined by `words`: how tight each binds."""
        node = term()
        if self.kind not in words:
            return node
        waiting: list[list[Term | Joined[Term]]] = [[] for _ in words]
        while True:
            level = words.get(self.kind, -1)
            for word, tightness in reversed(words.items()):
                if tightness > level and waiting[tightness]:
                    node = Joined.of(word, [*waiting[tightness], node])
                    waiting[tightness] = []
            if level < 0:
                return node
            waiting[level].append(node)
            if words is _COMPARISON_WORDS:
                self._next_test()
            else:
                self._next()
            node = term()

    def _enclosed(self, words: dict[str, int], term: Callable[[], Term | Joined[Term]]) -> Term | Joined[Term]:
        """A chain in parentheses; the opening one comes next."""
        if self._nested == DEEPEST:
            self._fail(f"≤ {DEEPEST} ( )")
        self._nested += 1
        if words is _COMPARISON_WORDS:
            self._next_test()
        else:
            self._next()
        tree = self._chain(words, term)
        self._take(")", ", ".join((*words, ")")))
        self._nested -= 1
        return tree

    # Observations (sections 9.4 and 9.5)

    def _observation(self) -> ObservationTree:
        tree: ObservationTree
        bare = self.kind == "["
        if bare:
            self._next_test()
            tree = Observation(self._chain(_COMPARISON_WORDS, self._comparison))
            self._take("]", "AND, OR, ]")
        elif self.kind == "(":
            tree = self._enclosed(_OBSERVATION_WORDS, self._observation)
        else:
            self._fail("[, (")
        if self.kind not in _QUALIFIER_WORDS:
            return tree
        qualifiers = self._qualifiers(once=bare)
        if isinstance(tree, Qualified):
            return Qualified(tree.observed, tree.qualifiers + qualifiers)
        return Qualified(tree, qualifiers)

    def _qualifiers(self, *, once: bool) -> tuple[Qualifier, ...]:
        found: list[Qualifier] = []
        while self.kind in _QUALIFIER_WORDS:
            if once and self.kind in {each.word for each in found}:
                self._fail(f"≤ 1 {self.kind}")
            found.append(self._qualifier())
        return tuple(found)

    def _qualifier(self) -> Qualifier:
        word = self.kind
        self._next()
        if word == "START":
            start = Constant("timestamp", self._take("timestamp", "t'…'")[2:-1])
            self._take("STOP")
            return Qualifier(word, (start, Constant("timestamp", self._take("timestamp", "t'…'")[2:-1])))
        if self.kind not in ({"integer", "float"} if word == "WITHIN" else {"integer"}) or self.text[0] == "-":
            self._fail("0, 1, 2…")
        value = self._constant()
        self._take("SECONDS" if word == "WITHIN" else "TIMES")
        return Qualifier(word, (value,))

    # Comparisons (sections 9.6 and 9.7)

    def _comparison(self) -> Comparison | Joined[Comparison]:
        if self.kind == "(":
            return self._enclosed(_COMPARISON_WORDS, self._comparison)
        if self.kind == "test":
            return self._taken_test()
        negated = self._negated()
        if negated or self.kind == "EXISTS":
            self._take("EXISTS")
            return Comparison(self._path(), "EXISTS", negated, None)
        path = self._path()
        negated = self._negated()
        operator = _EQUALITY.get(self.kind, self.kind)
        form = None if operator in _NO_HASHES else hash_form(path)
        if operator in _EQUALITY:
            allowed = _LITERAL
        elif operator in _ORDER:
            allowed = _ORDERABLE
        elif operator in _ON_STRINGS:
            allowed = _STRING
        elif operator == "IN":
            self._next()
            return Comparison(path, operator, negated, self._set(form))
        else:
            self._fail("=, !=, <, <=, >, >=, IN, LIKE, MATCHES, ISSUBSET, ISSUPERSET")
        self._next()
        return Comparison(path, operator, negated, self._operand(allowed, form))

    def _negated(self) -> bool:
        if self.kind != "NOT":
            return False
        self._next()
        return True

    def _set(self, form: re.Pattern[str] | None) -> tuple[Constant, ...]:
        self._take("(")
        if self.kind == ")":
            self._next()
            return ()
        found = [self._operand(_LITERAL, form)]
        while self.kind == ",":
            self._next()
            found.append(self._operand(_LITERAL, form))
        self._take(")", ", )")
        return tuple(found)

    def _operand(self, allowed: frozenset[str], form: re.Pattern[str] | None) -> Constant:
        if self.kind not in allowed:
            self._fail("'…'" if len(allowed) == 1 else "'…', 0, 0.0, true, false, t'…', h'…', b'…'")
        if form is not None and not form.match(self.text.replace("'", "")):
            self._fail(form.pattern)
        return self._constant()

    def _constant(self) -> Constant:
        """The next token, which is known to be a literal."""
        kind, text = cast(Kind, self.kind), self.text
        self._next()
        if kind == "string":
            return Constant(kind, unquoted(text))
        if kind in {"integer", "float"}:
            return Constant(kind, _number(text))
        if kind == "boolean":
            return Constant(kind, text)
        return Constant(kind, text[2:-1].lower() if kind == "hex" else text[2:-1])

    def path(self) -> Path:
        """The whole text as one object path; raises ContentError."""
        path = self._path()
        if self.kind != "end":
            self._fail("., [")
        return path

    def _path(self) -> Path:
        kind = self._take("word", "type:path")
        self._take(":")
        steps: list[Step] = [self._key()]
        while True:
            if self.kind == ".":
                self._next()
                steps.append(self._key())
            elif self.kind == "[":
                self._next()
                steps.append(self._index())
                self._take("]")
            else:
                return Path(kind, tuple(steps))

    def _key(self) -> str:
        text = self.text
        if self.kind == "string":
            self._next()
            return unquoted(text)
        if self.kind != "word" or "-" in text:  # only a type may have a hyphen outside of quotes
            self._fail("abc_1, '…'")
        self._next()
        return text

    def _index(self) -> int | None:
        text = self.text
        whole = self.kind == "integer" and text[0] != "-" and len(text) <= _INDEX_DIGITS
        if not whole and self.kind != "*":
            self._fail("*, 0, 1, 2…")
        self._next()
        return int(text) if whole else None


def unquoted(text: str) -> str:
    """The value of a string literal: every backslash in it escapes one of its kind or a quote (section 9.2)."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    if _NO_TEXT in inner:
        return _ESCAPE.sub(r"\1", inner)
    return inner.replace("\\\\", _NO_TEXT).replace("\\'", "'").replace(_NO_TEXT, "\\")


def _number(text: str) -> str:
    """The same number without `+`, `-0` and idle zeros; as text, for it may be longer than Python computes with."""
    digits = text.lstrip("+-")
    whole, point, fraction = digits.partition(".")
    if point:
        digits = f"{whole.lstrip('0') or '0'}.{fraction.rstrip('0') or '0'}"
    return f"-{digits}" if text[0] == "-" and digits.strip("0.") else digits


def hash_form(path: Path) -> re.Pattern[str] | None:
    """What the operand must look like, without its quotes, where `path` leads to a hash of a known name."""
    name = path.steps[-1]
    if not isinstance(name, str) or "hashes" not in path.steps:
        return None
    return _HASHES.get(name.upper().replace("-", "").replace("'", ""))


@lru_cache(maxsize=1024)
def _known(text: str) -> tuple[Path, re.Pattern[str] | None] | None:
    """The object path in `text` and what the hash that it leads to looks like; None: it is none."""
    try:
        path = Reader(text).path()
    except ContentError:
        return None
    return path, hash_form(path)
