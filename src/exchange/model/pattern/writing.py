"""Writes the tree of a pattern in its canonical spelling (the rules: `canonical`), in a bounded number of steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TypeAlias, cast

import msgspec

from exchange.model.pattern.parser import DEEPEST, TooManySteps
from exchange.model.pattern.routes import Route, ip_version, is_hash, quoted, route
from exchange.model.pattern.tree import (
    Comparison,
    Constant,
    Joined,
    Observation,
    ObservationTree,
    Path,
    Qualifier,
)

LONGEST = 64 * 1024
"""Characters of what is given, and of what is made of it."""

_INVERSE = {"=": "!=", "!=": "="}
_ADDRESSES = frozenset({"ipv4-addr:value", "ipv6-addr:value"})
_EXPRESSIONS = frozenset({"LIKE", "MATCHES"})
_FEW = 8
"""Keys and indices of a path that is read in one look."""
_PLAIN = re.compile(r"[\w.-]*", re.ASCII)
_DEFANGED = re.compile(r"[\[({]")


class Group(msgspec.Struct, frozen=True, gc=False):
    """Terms joined inside one pair of brackets; a comparison is its own text."""

    word: str
    terms: tuple[str | Group, ...]
    text: str
    depth: int
    """Levels of parentheses in `text`."""


Term: TypeAlias = str | Group


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An observation expression: one pair of brackets (`test`) or several joined by `word`; and its qualifiers."""

    text: str
    depth: int
    test: Term | None = None
    word: str = ""
    terms: tuple[Seen, ...] = ()
    qualifiers: tuple[str, ...] = ()


class Writer:
    """Writes one pattern."""

    __slots__ = ("_atoms", "_characters", "_routes", "_steps", "_tests", "_types", "_values")

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._characters = LONGEST
        self._tests: list[Term] = []
        self._routes: dict[Path, Route] = {}
        # By the text of a comparison: what it tells searches; the type of a referred observable, tested or proved.
        self._atoms: dict[str, tuple[str, str]] = {}
        self._types: dict[str, tuple[str, int]] = {}
        self._values: dict[str, tuple[str, int]] = {}

    def write(self, root: ObservationTree) -> str:
        """The canonical text; raises TooManySteps."""
        seen = self._seen(root, bare=True)
        if seen.depth > DEEPEST or len(seen.text) > LONGEST:
            raise TooManySteps
        self._tests = _tests(seen)
        return seen.text

    def atoms(self) -> tuple[tuple[str, str], ...]:
        """(path, value) of every test for equality in what was written, in its order and once each."""
        leaves = (leaf for test in self._tests for leaf in _leaves(test))
        return tuple(dict.fromkeys(self._atoms[leaf] for leaf in leaves if leaf in self._atoms))

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooManySteps

    # Observations (section 9.5)

    def _seen(self, node: ObservationTree, *, bare: bool) -> Seen:
        """`bare`: under no qualifier."""
        if isinstance(node, Observation):
            return self._observation(self._test(node.test))
        if isinstance(node, Joined):
            return self._together(node.word, [self._seen(term, bare=bare) for term in node.terms], bare=bare)
        inner = self._seen(node.observed, bare=False)
        return self._qualified(inner, tuple(map(_qualifier, node.qualifiers)))

    def _observation(self, test: Term) -> Seen:
        self._spend(2)
        return Seen(f"[{test}]", 0, test) if type(test) is str else Seen(f"[{_text(test)}]", _depth(test), test)

    def _qualified(self, seen: Seen, qualifiers: tuple[str, ...]) -> Seen:
        self._spend(9 * len(qualifiers))
        if seen.qualifiers:
            # What became a single qualified term takes the outer ones after its own, as it does when it is read again.
            qualifiers = seen.qualifiers + qualifiers
            seen = self._observation(seen.test) if seen.test is not None else _joined(seen.word, seen.terms)
        words = [each.split(" ", 1)[0] for each in qualifiers]
        once = seen.test is not None and len(set(words)) == len(words)
        text = " ".join((seen.text if once else f"({seen.text})", *qualifiers))
        depth = seen.depth if once else seen.depth + 1
        return Seen(text, depth, seen.test, seen.word, seen.terms, qualifiers)

    def _together(self, word: str, given: Iterable[Seen], *, bare: bool) -> Seen:
        terms: list[Seen] = []
        for term in given:
            if term.word == word and not term.qualifiers:
                terms += term.terms
            else:
                terms.append(term)
        self._spend(len(terms))
        if word == "OR":
            if bare:
                terms = self._one_pair_of_brackets(terms)
            terms = list({term.text: term for term in terms}.values())
        if word != "FOLLOWEDBY":
            terms.sort(key=_text_of)
        return terms[0] if len(terms) == 1 else _joined(word, tuple(terms))

    def _one_pair_of_brackets(self, terms: list[Seen]) -> list[Seen]:
        """`[a] OR [b]` is `[a OR b]`: one observation that is a or b (sections 9.4 and 9.5)."""
        tests = [term.test for term in terms if term.test is not None and not term.qualifiers]
        if len(tests) < 2:
            return terms
        others = [term for term in terms if term.test is None or term.qualifiers]
        return [self._observation(self._joined("OR", tests)), *others]

    # Comparisons (section 9.6)

    def _test(self, node: Comparison | Joined[Comparison]) -> Term:
        if isinstance(node, Joined):
            return self._joined(node.word, [self._test(term) for term in node.terms])
        operator, negated, operand = node.operator, node.negated, node.operand
        leads = self._leads(node)
        if operator == "=" and type(operand) is Constant and operand.kind == "string" and not negated:
            return self._string(leads, operand.text)
        if operand is None:
            return self._kept(f"NOT EXISTS {leads.text}" if negated else f"EXISTS {leads.text}")
        if isinstance(operand, tuple):
            return self._set(leads, negated, operand)
        if operator in _INVERSE:
            return self._equality(leads, operator, negated, operand)
        if operator in ("ISSUBSET", "ISSUPERSET"):
            return self._network(leads, operator, negated, operand)
        text = (_instant(operand) if operand.kind == "timestamp" else operand).to_text()
        if operator not in _EXPRESSIONS:
            leads = leads.fitting(text)
        return self._kept(f"{leads.text} {'NOT ' if negated else ''}{operator} {text}")

    def _leads(self, node: Comparison) -> Route:
        """Where the path leads to, and the steps of this comparison, not less than those of reading it again."""
        found = self._routes.get(node.path)
        if found is None:
            self._spend(8)
            found = self._routes[node.path] = route(node.path)
        plain = type(node.operand) is Constant and node.operand.kind in ("string", "integer") and found.steps <= _FEW
        self._spend(4 if plain else 8 + 2 * found.steps)
        return found

    def _kept(self, text: str) -> str:
        """The text of a comparison; many short ones from a long path may be too much."""
        self._characters -= len(text)
        if self._characters < 0:
            raise TooManySteps
        return text

    def _string(self, leads: Route, given: str) -> str:
        """A test for equality with a string, which nearly all are."""
        self._spend(_weight(given, leads))
        value = leads.value(given)
        spelt = quoted(value)
        if leads.literal is not None and not is_hash(leads.form, spelt):
            return self._string(leads.literal, given)
        text = self._kept(f"{leads.text} = {spelt}")
        self._atoms[text] = leads.path, value
        if leads.reference:
            self._prove(leads, text, value)
        return text

    def _equality(self, leads: Route, operator: str, negated: bool, operand: Constant) -> str:
        """`=` and `!=`, of any constant."""
        if negated and not leads.many:
            operator, negated = _INVERSE[operator], False
        if operator == "=" and operand.kind == "string" and not negated:
            return self._string(leads, operand.text)
        spelt, number = self._operand(leads, operand)
        fitting = leads.fitting(spelt)
        if fitting is not leads:
            leads = fitting
            spelt, number = self._operand(leads, operand)
        if negated or operator != "=":
            return self._kept(f"{leads.text} {'NOT ' if negated else ''}{operator} {spelt}")
        text = self._kept(f"{leads.text} = {spelt}")
        if number:
            self._atoms[text] = leads.path, leads.value(number)
        return text

    def _operand(self, leads: Route, operand: Constant) -> tuple[str, str]:
        """What a value that is compared for equality is spelt like; and the digits of a whole number."""
        if operand.kind == "string":
            self._spend(_weight(operand.text, leads))
            return quoted(leads.value(operand.text)), ""
        if operand.kind == "timestamp":
            return _instant(operand).to_text(), ""
        return operand.to_text(), operand.text if operand.kind == "integer" else ""

    def _prove(self, leads: Route, text: str, value: str) -> None:
        """Note what this says of the type of the observable that is referred to."""
        if leads.text.endswith("type"):
            if value in ("ipv4-addr", "ipv6-addr"):
                self._types[text] = leads.holder, int(value[3])
        else:
            version = ip_version(value)
            if version:
                self._values[text] = leads.holder, version

    def _set(self, leads: Route, negated: bool, members: tuple[Constant, ...]) -> Term:
        """IN: an OR of equalities; NOT IN: an AND of inequalities."""
        if not members or (negated and leads.many and len(members) > 1):
            spelt = []
            for member in members:
                self._spend(2)
                text, _ = self._operand(leads, member)
                spelt.append(text)
            if not all(leads.fitting(each) is leads for each in spelt) and leads.literal is not None:
                return self._set(leads.literal, negated, members)
            inner = ", ".join(sorted(set(spelt)))
            return self._kept(f"{leads.text} {'NOT ' if negated else ''}IN ({inner})")
        self._spend(4 * len(members))
        terms = [self._equality(leads, "=", negated, member) for member in members]
        return self._joined("AND" if negated else "OR", terms)

    def _network(self, leads: Route, operator: str, negated: bool, operand: Constant) -> str:
        """A subset of a single address is that address; networks have one spelling."""
        self._spend(_weight(operand.text, leads))
        value = leads.value(operand.text)
        if not ip_version(value) or (leads.of and leads.of not in _ADDRESSES):
            text = operand.to_text()
            return self._kept(f"{leads.fitting(text).text} {'NOT ' if negated else ''}{operator} {text}")
        if operator == "ISSUBSET" and "/" not in value:
            return self._equality(leads, "=", negated, Constant("string", value))
        return self._kept(f"{leads.text} {'NOT ' if negated else ''}{operator} {quoted(value)}")

    def _joined(self, word: str, given: Sequence[Term]) -> Term:
        """The terms, which are canonical, as one: flat, each once, none that another makes idle, in order."""
        self._spend(len(given))
        terms: dict[str, Term] = {}
        groups = 0
        for term in given:
            if type(term) is str:
                terms[term] = term
            elif type(term) is Group and term.word != word:
                groups += 1
                terms[term.text] = term
            elif type(term) is Group:
                self._spend(len(term.terms))
                groups += 1
                terms.update((_text(inner), inner) for inner in term.terms)
        if groups:
            for text in [t for t, each in terms.items() if type(each) is Group and self._absorbed(each, terms)]:
                del terms[text]
        if word == "AND" and self._types:
            for text in self._proved(terms):
                del terms[text]
        texts = sorted(terms)
        if len(texts) == 1:
            return terms[texts[0]]
        return _group(word, tuple(terms[text] for text in texts))

    def _absorbed(self, group: Group, others: dict[str, Term]) -> bool:
        """`a OR (a AND b)` is `a`, and so is `a AND (a OR b)`."""
        self._spend(len(group.terms))
        return any(term in others for term in group.terms if type(term) is str)

    def _proved(self, terms: dict[str, Term]) -> list[str]:
        """The tests of the type of a referred observable that its value in another term proves."""
        tests = [text for text in terms if text in self._types]
        if not tests:
            return []
        known = set()
        for text, term in terms.items():
            if type(term) is Group:
                self._spend(len(term.terms))
                each = {self._values.get(inner) if type(inner) is str else None for inner in term.terms}
                if len(each) == 1:
                    known |= each
            else:
                known.add(self._values.get(text))
        return [text for text in tests if self._types[text] in known]


_text_of = attrgetter("text")


def _text(term: Term) -> str:
    return term if isinstance(term, str) else term.text


def _depth(term: Term) -> int:
    return 0 if isinstance(term, str) else term.depth


def _group(word: str, terms: tuple[Term, ...]) -> Group:
    """Terms inside of brackets: AND binds tighter, so an OR in it needs parentheses."""
    groups = [each for each in terms if type(each) is Group]
    if not groups:
        return Group(word, terms, f" {word} ".join(cast(tuple[str, ...], terms)), 0)
    apart = word == "AND"
    texts = [f"({each.text})" if apart and type(each) is Group else _text(each) for each in terms]
    return Group(word, terms, f" {word} ".join(texts), max(each.depth for each in groups) + apart)


_TIGHTNESS = {"FOLLOWEDBY": 1, "OR": 2, "AND": 3}


def _joined(word: str, terms: tuple[Seen, ...]) -> Seen:
    """Terms between brackets."""
    texts, depth, tightness = [], 0, _TIGHTNESS[word]
    for each in terms:
        apart = each.word != "" and not each.qualifiers and _TIGHTNESS[each.word] < tightness
        texts.append(f"({each.text})" if apart else each.text)
        depth = max(depth, each.depth + apart)
    return Seen(f" {word} ".join(texts), depth, word=word, terms=terms)


def _tests(seen: Seen) -> list[Term]:
    if seen.test is not None:
        return [seen.test]
    return [test for term in seen.terms for test in ((term.test,) if term.test is not None else _tests(term))]


def _leaves(term: Term) -> list[str]:
    if isinstance(term, str):
        return [term]
    found: list[str] = []
    for inner in term.terms:
        if type(inner) is str:
            found.append(inner)
        else:
            found += _leaves(inner)
    return found


def _instant(constant: Constant) -> Constant:
    """Without idle zeros at its end (section 2.2)."""
    text = constant.text
    return Constant("timestamp", text[:-1].rstrip("0").rstrip(".") + "Z") if "." in text else constant


def _qualifier(given: Qualifier) -> str:
    values = tuple(_instant(each) if each.kind == "timestamp" else each for each in given.values)
    if given.word == "WITHIN" and values[0].kind == "float":
        values = (Constant("integer", values[0].text.removesuffix(".0")),)
    return Qualifier(given.word, values).to_text()


def _weight(value: str, leads: Route) -> int:
    """The steps that the canonical value costs at most."""
    if _PLAIN.fullmatch(value):
        return 1
    if not value.isascii():
        return 5 + 2 * len(value)
    if not leads.of or leads.of in _ADDRESSES:
        return 20 + len(value) // 4
    return 6 + len(value) // (4 if _DEFANGED.search(value) else 16)
