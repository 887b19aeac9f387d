"""The reader of STIX patterns: one token ahead, one pass, never back; so the time is linear in the text.

Only parentheses nest, and their depth is bounded: nothing here can exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar, cast

from exchange.errors import ContentError
from exchange.model.pattern.tokens import KINDS, TOKEN
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

_OBSERVATION_WORDS = ("FOLLOWEDBY", "OR", "AND")
_COMPARISON_WORDS = ("OR", "AND")
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

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
Term = TypeVar("Term")


class Reader:
    """Reads one pattern; `kind` and `text` are those of the token that comes next."""

    __slots__ = ("_match", "_nested", "_tokens", "kind", "text")

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.finditer(text)
        self._nested = 0
        self._next()

    def pattern(self) -> ObservationTree:
        """The whole text as one pattern; raises ContentError."""
        tree: ObservationTree = self._chain(_OBSERVATION_WORDS, self._observation)
        if self.kind != "end":
            self._fail("FOLLOWEDBY, OR, AND, WITHIN, REPEATS, START")
        return tree

    # Tokens

    def _next(self) -> None:
        self._match = match = next(self._tokens)
        name = match.lastgroup or ""
        self.text = text = match[name]
        self.kind = KINDS.get(text, name)

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

    def _chain(self, words: tuple[str, ...], term: Callable[[], Term | Joined[Term]]) -> Term | Joined[Term]:
        """Terms joined by `words`, which stand loosest first."""
        waiting: list[list[Term | Joined[Term]]] = [[] for _ in words]
        while True:
            node = term()
            level = words.index(self.kind) if self.kind in words else -1
            for tighter in range(len(words) - 1, level, -1):
                if waiting[tighter]:
                    node = Joined.of(words[tighter], [*waiting[tighter], node])
                    waiting[tighter] = []
            if level < 0:
                return node
            waiting[level].append(node)
            self._next()

    def _enclosed(self, words: tuple[str, ...], term: Callable[[], Term | Joined[Term]]) -> Term | Joined[Term]:
        """A chain in parentheses; the opening one comes next."""
        if self._nested == DEEPEST:
            self._fail(f"≤ {DEEPEST} ( )")
        self._nested += 1
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
            self._next()
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
        negated = self._negated()
        if negated or self.kind == "EXISTS":
            self._take("EXISTS")
            return Comparison(self._path(), "EXISTS", negated, None)
        path = self._path()
        negated = self._negated()
        operator = _EQUALITY.get(self.kind, self.kind)
        hash_form = None if operator in _NO_HASHES else _hash_form(path)
        if operator in _EQUALITY:
            allowed = _LITERAL
        elif operator in _ORDER:
            allowed = _ORDERABLE
        elif operator in _ON_STRINGS:
            allowed = _STRING
        elif operator == "IN":
            self._next()
            return Comparison(path, operator, negated, self._set(hash_form))
        else:
            self._fail("=, !=, <, <=, >, >=, IN, LIKE, MATCHES, ISSUBSET, ISSUPERSET")
        self._next()
        return Comparison(path, operator, negated, self._operand(allowed, hash_form))

    def _negated(self) -> bool:
        if self.kind != "NOT":
            return False
        self._next()
        return True

    def _set(self, hash_form: re.Pattern[str] | None) -> tuple[Constant, ...]:
        self._take("(")
        if self.kind == ")":
            self._next()
            return ()
        found = [self._operand(_LITERAL, hash_form)]
        while self.kind == ",":
            self._next()
            found.append(self._operand(_LITERAL, hash_form))
        self._take(")", ", )")
        return tuple(found)

    def _operand(self, allowed: frozenset[str], hash_form: re.Pattern[str] | None) -> Constant:
        if self.kind not in allowed:
            self._fail("'…'" if len(allowed) == 1 else "'…', 0, 0.0, true, false, t'…', h'…', b'…'")
        if hash_form is not None and not hash_form.match(self.text.replace("'", "")):
            self._fail(hash_form.pattern)
        return self._constant()

    def _constant(self) -> Constant:
        """The next token, which is known to be a literal."""
        kind, text = cast(Kind, self.kind), self.text
        self._next()
        if kind == "string":
            return Constant(kind, _unquoted(text))
        if kind in {"integer", "float"}:
            return Constant(kind, _number(text))
        if kind == "boolean":
            return Constant(kind, text)
        return Constant(kind, text[2:-1].lower() if kind == "hex" else text[2:-1])

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
            return _unquoted(text)
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


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    return _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner


def _number(text: str) -> str:
    """The same number without `+`, `-0` and idle zeros; as text, for it may be longer than Python computes with."""
    digits = text.lstrip("+-")
    whole, point, fraction = digits.partition(".")
    if point:
        digits = f"{whole.lstrip('0') or '0'}.{fraction.rstrip('0') or '0'}"
    return f"-{digits}" if text[0] == "-" and digits.strip("0.") else digits


def _hash_form(path: Path) -> re.Pattern[str] | None:
    """What the operand must look like, where `path` leads to a hash of a known name."""
    name = path.steps[-1]
    if not isinstance(name, str) or "hashes" not in path.steps:
        return None
    return _HASHES.get(name.upper().replace("-", "").replace("'", ""))
