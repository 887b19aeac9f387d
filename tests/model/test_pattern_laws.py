"""STIX patterns against OASIS's stix2-patterns: the same verdict and the same comparisons, on made and on real ones."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2patterns.inspector import INDEX_STAR
from stix2patterns.v21.pattern import Pattern as TheirPattern
from stix2patterns.validator import run_validator

from exchange.errors import ContentError
from exchange.model import pattern
from exchange.model.pattern import Comparison, Joined, Observation, Pattern, Qualified

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HERE = pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
steady = settings(max_examples=300, derandomize=True)


def ours(text: str) -> Pattern | None:
    """The tree, or None for a refusal, on which `check` agrees."""
    try:
        tree = pattern.parse(text)
    except ContentError:
        with pytest.raises(ContentError):
            pattern.check(text)
        return None
    pattern.check(text)
    return tree


def theirs(text: str) -> bool | None:
    """The verdict of stix2-patterns, or None where it breaks instead of giving one."""
    try:
        return run_validator(text, stix_version="2.1") == []
    except (AttributeError, RecursionError, UnboundLocalError, ValueError):
        return None


def comparisons(node: Any) -> Iterator[Comparison]:
    """Every comparison of the tree, in order."""
    if isinstance(node, Comparison):
        yield node
    elif isinstance(node, Joined):
        for term in node.terms:
            yield from comparisons(term)
    elif isinstance(node, Observation):
        yield from comparisons(node.test)
    elif isinstance(node, Qualified):
        yield from comparisons(node.observed)


def looks_for_hashes(tree: Pattern) -> bool:
    """By an expression or in a set: what only stix2-patterns refuses (see the docstring of `model.pattern`)."""
    return any(
        "hashes" in each.path.steps and each.operator in {"LIKE", "MATCHES", "IN"} for each in comparisons(tree.root)
    )


def agree(text: str) -> Pattern | None:
    """The tree of `text`, after both have given the same verdict on it."""
    tree, verdict = ours(text), theirs(text)
    if verdict is not None and verdict != (tree is not None):
        assert tree is not None, f"only stix2-patterns takes {text!r}"
        assert looks_for_hashes(tree), f"only we take {text!r}"
    return tree


# Texts made by the grammar, as lists of its tokens.

TYPES = st.sampled_from(["file", "ipv4-addr", "x_y", "A", "AND-x", "t", "h", "b", "true-", "in"])
KEYS = st.sampled_from(
    ["name", "b", "_z9", "And", "'SHA-256'", "'a b'", "'it\\'s'", "'\\\\'", "'hashes'", "'AND'", "t"]
)
INDICES = st.sampled_from(["0", "7", "+1", "*"])
STRINGS = st.one_of(
    st.sampled_from(["''", "'x%'", "'/* x'", "'// x'", "'\\'\\\\'", "'[a:b = 1]'"]),
    st.text(st.characters(codec="utf-8"), max_size=8).map(
        lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    ),
)
NUMBERS = st.sampled_from(["0", "1", "-17", "+5", "-0", "12345678901234567890123", "1.5", ".5", "-00.50", "+0.0"])
TIMES = st.sampled_from(["t'2020-01-01T00:00:00Z'", "t'2023-02-31T23:59:60.1234567890Z'"])
ORDERABLE = st.one_of(STRINGS, NUMBERS, TIMES, st.sampled_from(["h''", "h'00fF'", "b'YQ=='", "b'YWI='", "b'YWJjYWJj'"]))
LITERALS = st.one_of(ORDERABLE, st.sampled_from(["true", "false"]))
HASHES = {
    "MD5": 32,
    "'md5'": 32,
    "'SHA-1'": 40,
    "sha256": 64,
    "'SHA-512'": 128,
    "'SHA3-256'": 64,
    "MD6": 32,
    "SSDEEP": 9,
}
NOT = st.sampled_from([[], [], ["NOT"]])
QUALIFIERS = st.one_of(
    st.sampled_from(["0", "5", "+2", ".5", "1.50"]).map(lambda number: ["WITHIN", number, "SECONDS"]),
    st.sampled_from(["0", "5", "+2"]).map(lambda number: ["REPEATS", number, "TIMES"]),
    st.tuples(TIMES, TIMES).map(lambda both: ["START", both[0], "STOP", both[1]]),
)


@st.composite
def paths(draw: st.DrawFn) -> list[str]:
    tokens = [draw(TYPES), ":", draw(KEYS)]
    for dotted in draw(st.lists(st.booleans(), max_size=3)):
        tokens += [".", draw(KEYS)] if dotted else ["[", draw(INDICES), "]"]
    return tokens


@st.composite
def simple(draw: st.DrawFn) -> list[str]:
    """One comparison."""
    form = draw(st.sampled_from(["equal", "equal", "order", "set", "string", "exists", "hash"]))
    if form == "hash":
        name = draw(st.sampled_from(sorted(HASHES)))
        length = HASHES[name] + draw(st.sampled_from([0, 0, 0, 1, -1]))
        return [
            "file",
            ":",
            "hashes",
            ".",
            name,
            *draw(NOT),
            draw(st.sampled_from(["=", "!="])),
            f"'{'a' * length}'",
        ]
    path, negated = draw(paths()), draw(NOT)
    if form == "exists":
        return [*negated, "EXISTS", *path]
    if form == "equal":
        return [*path, *negated, draw(st.sampled_from(["=", "==", "!=", "<>"])), draw(LITERALS)]
    if form == "order":
        return [*path, *negated, draw(st.sampled_from(["<", "<=", ">", ">="])), draw(ORDERABLE)]
    if form == "string":
        return [*path, *negated, draw(st.sampled_from(["LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"])), draw(STRINGS)]
    members = draw(st.lists(LITERALS, max_size=3))
    return [*path, *negated, "IN", "(", *[token for each in members for token in (",", each)][1:], ")"]


@st.composite
def chains(draw: st.DrawFn, term: st.SearchStrategy[list[str]], words: list[str]) -> list[str]:
    terms = draw(st.lists(term, min_size=1, max_size=3))
    return [token for each in terms for token in (draw(st.sampled_from(words)), *each)][1:]


def enclosed(tokens: list[str]) -> list[str]:
    return ["(", *tokens, ")"]


@st.composite
def plain(draw: st.DrawFn) -> str:
    """Nearly what most patterns are: brackets with plain comparisons, joined, each with a qualifier or two."""
    tests = st.sampled_from(["a:b = 'x'", "file:hashes.MD5 = 'x'", "ipv4-addr:value = '192.0.2.1'", "x:y[*].z >= 3"])
    after = st.sampled_from(
        ["", "", " WITHIN 5 SECONDS", "  REPEATS  12  TIMES", " WITHIN 0 SECONDS", "WITHIN 5 SECONDS",
         " REPEATS 2 SECONDS", " WITHIN 05 SECONDS", " within 5 SECONDS", " WITHIN 5SECONDS"]
    )  # fmt: skip
    word = st.sampled_from([" AND ", " OR ", " FOLLOWEDBY ", "  FOLLOWEDBY  ", "FOLLOWEDBY", " AND OR ", ""])
    text = ""
    for n in range(draw(st.integers(1, 3))):
        inner = draw(st.sampled_from([" AND ", " OR "])).join(draw(st.lists(tests, min_size=1, max_size=2)))
        text += (draw(word) if n else "") + f"[{inner}]" + draw(after) + draw(st.sampled_from(["", "", draw(after)]))
    return text


COMPARISONS = st.recursive(
    simple(), lambda inner: chains(st.one_of(inner, inner.map(enclosed)), ["AND", "OR"]), max_leaves=4
)
OBSERVATIONS = st.recursive(
    st.tuples(COMPARISONS, st.lists(QUALIFIERS, max_size=2)).map(
        lambda parts: ["[", *parts[0], "]", *[token for each in parts[1] for token in each]]
    ),
    lambda inner: st.tuples(chains(inner, ["AND", "OR", "FOLLOWEDBY"]), st.lists(QUALIFIERS, max_size=2)).map(
        lambda parts: [*enclosed(parts[0]), *[token for each in parts[1] for token in each]]
    ),
    max_leaves=3,
)
SPACES = st.sampled_from(["", "", " ", "  ", "\t\n", "\u2003", "\x85", "/* x ] */", "// x\n", "/**/"])
STRAY = [
    "[",
    "]",
    "(",
    ")",
    ",",
    ".",
    ":",
    "*",
    "=",
    "'",
    "\\",
    "AND",
    "NOT",
    "EXISTS",
    "IN",
    "LAST",
    "1",
    "01",
    "-1",
    "x-y",
]
STRAY += [
    "true",
    "'x'",
    "t'x'",
    "h'0'",
    "b''",
    "WITHIN",
    "5",
    "SECONDS",
    "/*",
    "//",
    ";",
    "\x00",
    "\x1c",
    "é",
    "+",
    "-",
    "<>",
]
GLUE = re.compile(r"[A-Za-z0-9_.+-]")


@st.composite
def written(draw: st.DrawFn, tokens: list[str]) -> str:
    """The tokens with white space and comments between them, and none where they stay apart without."""
    text = draw(st.sampled_from(["", " ", "\n"]))
    for token in tokens:
        space = draw(SPACES) if "[" in text else draw(st.sampled_from(["", " "]))
        if not space and GLUE.match(text[-1:]) and GLUE.match(token):
            space = " "
        text += space + token
    return text + draw(SPACES)


@st.composite
def broken(draw: st.DrawFn, tokens: list[str]) -> list[str]:
    """The tokens after one or two accidents."""
    tokens = list(tokens)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(tokens) - 1))
        accident = draw(st.sampled_from(["lose", "repeat", "add", "replace", "swap", "cut"]))
        if accident == "lose":
            del tokens[place : place + 1]
        elif accident == "swap":
            tokens[place : place + 2] = tokens[place : place + 2][::-1]
        elif accident == "cut":
            tokens[place] = tokens[place][: len(tokens[place]) // 2]
        else:
            stray = tokens[place] if accident == "repeat" else draw(st.sampled_from(STRAY))
            tokens[place : place + (accident == "replace")] = [stray]
        tokens = tokens or ["["]
    return tokens


TEXTS = OBSERVATIONS.flatmap(written)
BROKEN = OBSERVATIONS.flatmap(broken).flatmap(written)


def inspected(text: str) -> dict[str, list[tuple[list[Any], str]]]:
    """Type → path and operator of each comparison, as stix2-patterns reads `text` (which has the normal spelling)."""
    found = TheirPattern(text).inspect().comparisons
    return {
        kind: [([None if step is INDEX_STAR else step for step in path], operator) for path, operator, _ in rows]
        for kind, rows in found.items()
    }


@steady
@given(plain())
def test_the_plain_way_gives_the_same_verdict(text: str) -> None:
    """What one look judges is judged as the whole grammar judges it, and as stix2-patterns does."""
    agree(text)


@steady
@given(TEXTS)
def test_made_patterns_have_the_same_verdict_and_keep_it_when_spelt_anew(text: str) -> None:
    """`parse(to_text(p)) == p`, and stix2-patterns reads the same comparisons in the normal spelling."""
    tree = agree(text)
    if tree is None:
        return
    normal = tree.to_text()
    assert pattern.parse(normal) == tree
    assert pattern.parse(normal).to_text() == normal
    assert agree(normal) == tree
    expected: dict[str, list[tuple[list[Any], str]]] = {}
    for each in comparisons(tree.root):
        if each.operator != "EXISTS":
            operator = f"NOT {each.operator}" if each.negated else each.operator
            expected.setdefault(each.path.type, []).append((list(each.path.steps), operator))
    assert inspected(normal) == expected


@steady
@given(BROKEN)
def test_broken_patterns_have_the_same_verdict(text: str) -> None:
    agree(text)


@steady
@given(st.text(st.sampled_from("[]()=:.,'\\*/ \n-+01atbhANDORéx\u2003\x00"), max_size=30))
def test_any_text_has_the_same_verdict(text: str) -> None:
    agree(text)


def patterns(folder: Path) -> Iterator[tuple[str, str]]:
    """Every (pattern, pattern_type) in the documents of `folder`; STIX 2.0 has no type but STIX."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            waiting = [json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)]
            while waiting:
                value = waiting.pop()
                if isinstance(value, dict):
                    if isinstance(value.get("pattern"), str):
                        yield value["pattern"], value.get("pattern_type", "stix")
                    waiting.extend(value.values())
                elif isinstance(value, list):
                    waiting.extend(value)


def shape(text: str) -> str:
    """What is left of a pattern without its values: patterns of one shape use the same rules."""
    return re.sub("[0-9]+", "0", re.sub(r"'(?:[^'\\]|\\.)*'", "''", text))


@HERE
@pytest.mark.parametrize("name", ["stix20", "stix21"])
def test_real_patterns_have_the_same_verdict(name: str) -> None:
    """One of each shape, and all that we refuse; of those that claim to be STIX, only conversions that failed."""
    found = dict(patterns(DATA / name))
    shapes: dict[str, str] = {}
    for text in found:
        try:
            pattern.check(text)
        except ContentError:
            assert agree(text) is None
            assert found[text] != "stix" or "unconverted_term" in text
        else:
            shapes.setdefault(shape(text), text)
    assert shapes
    for text in shapes.values():
        tree = agree(text)
        assert tree is not None
        assert pattern.parse(tree.to_text()) == tree
