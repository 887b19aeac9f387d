"""The canonical spelling of patterns: what means the same is the same, nothing else is, and nothing costs too much."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pattern_bombs import BOMBS
from pattern_meaning import matches, observations
from pattern_texts import BROKEN, TEXTS, plain

from exchange.errors import ContentError
from exchange.model import pattern
from exchange.model.pattern import canonical
from exchange.model.pattern.writing import LONGEST

MD5, SHA256 = "d41d8cd98f00b204e9800998ecf8427e", "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"
MANY = 10 if os.environ.get("EXCHANGE_SOAK") else 1
steady = settings(max_examples=150 * MANY, derandomize=True)

EQUAL = [
    # Layout, operators, keys
    ["[a:b='x']", " [ a : b == 'x' ] ", "[a:'b' = 'x']", "[(a:b = 'x')]", "([a:b = 'x'])", "[a:b/**/= 'x'] // end"],
    ["[a:b != 1]", "[a:b <> +1]", "[a:b NOT = 1]", "[a:b NOT IN (1)]", "[a:b NOT IN (1, 1)]"],
    ["[a:b = 1]", "[a:b NOT != 1]", "[a:b IN (1)]", "[a:b = 1 OR a:b = 1]", "[a:b = 1 AND (a:b = 1)]"],
    ["[a:b = t'2026-01-01T00:00:00Z']", "[a:b = t'2026-01-01T00:00:00.000Z']"],
    ["[a:b > t'2026-01-01T00:00:00.5Z']", "[a:b > t'2026-01-01T00:00:00.500000Z']"],
    # Values
    ["[domain-name:value = 'Example.COM']", "[domain-name:value = 'example.com.']"],
    ["[domain-name:value != 'Example.COM']", "[domain-name:value NOT IN ('example.com.', 'EXAMPLE.com')]"],
    ["[ipv4-addr:value = '198.51.100.1/32']", "[ipv4-addr:value = '198.51.100.1']"],
    ["[ipv4-addr:value ISSUBSET '198.51.100.1/32']", "[ipv4-addr:value = '198.51.100.1']"],
    ["[ipv4-addr:value NOT ISSUBSET '198.51.100.1']", "[ipv4-addr:value != '198.51.100.1']"],
    ["[ipv4-addr:value ISSUBSET '198.51.100.7/24']", "[ipv4-addr:value ISSUBSET '198.51.100.0/24']"],
    ["[ipv6-addr:value ISSUPERSET '2001:DB8:0::/32']", "[ipv6-addr:value ISSUPERSET '2001:db8::/32']"],
    # Names
    [f"[file:hashes.{name} = '{value}']" for name in ("'SHA-256'", "SHA256", "sha256", "'sha-256'")
     for value in (SHA256, SHA256.upper())],
    ["[EXISTS file:hashes.sha256]", "[EXISTS file:hashes.'SHA-256']"],
    [f"[file:extensions.x.hashes.md5 = '{MD5.upper()}']", f"[file:extensions.x.hashes.MD5 = '{MD5}']"],
    [f"[file:hashes.SHA_256 = '{SHA256}']", f"[file:hashes.SHA256 IN ('{SHA256}')]"],
    ["[process:binary_ref.name = 'x']", "[process:image_ref.name = 'x']"],
    ["[file:created > t'2026-01-01T00:00:00Z']", "[file:ctime > t'2026-01-01T00:00:00Z']"],
    # References
    ["[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.1/32']",
     "[network-traffic:dst_ref.value = '198.51.100.1' AND network-traffic:dst_ref.type = 'ipv4-addr']",
     "[network-traffic:dst_ref.value = '198.51.100.1']"],
    ["[network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value IN ('2001:DB8::1', '2001:db8::2')]",
     "[network-traffic:dst_ref.value = '2001:db8::2' OR network-traffic:dst_ref.value = '2001:db8::1']"],
    ["[network-traffic:src_ref.value = 'Example.com']", "[network-traffic:src_ref.value = 'example.com.']"],
    ["[email-message:from_ref.value = 'a@EXAMPLE.com']", "[email-message:from_ref.value = 'a@example.com']"],
    # Sets and boolean operators
    ["[a:b IN (2, 1, 2)]", "[a:b = 1 OR a:b = 2]", "[a:b IN (1) OR (a:b IN (2) OR a:b = 1)]"],
    ["[a:b NOT IN (2, 1)]", "[a:b != 1 AND a:b != 2]"],
    ["[a:b[*] NOT IN (2, 1, 1)]", "[a:b[*] NOT IN (1, 2)]"],
    ["[a:b = 1 OR (a:b = 1 AND a:c = 2)]", "[a:b = 1 AND (a:b = 1 OR a:c = 2)]", "[a:b = 1]"],
    ["[a:b = 1 AND a:c = 2 OR a:d = 3]", "[a:d = 3 OR (a:c = 2 AND a:b = 1)]"],
    # Between brackets
    ["[a:b = 1] OR [a:c = 2]", "[a:c = 2] OR ([a:b = 1] OR [a:b = 1])", "[a:b = 1 OR a:c = 2]"],
    ["[a:b = 1] AND [a:c = 2]", "([a:c = 2]) AND [a:b = 1]"],
    ["([a:b = 1] OR [a:c = 2]) AND [a:d = 3]", "[a:d = 3] AND [a:c = 2 OR a:b = 1]"],
    ["[a:b = 1] WITHIN 5 SECONDS", "([a:b = 1]) WITHIN 5.0 SECONDS", "[a:b = 1] WITHIN +5 SECONDS"],
    ["([a:b = 1] WITHIN 5 SECONDS OR [a:b = 1] WITHIN 5.0 SECONDS) REPEATS 2 TIMES",
     "[a:b = 1] WITHIN 5 SECONDS REPEATS 2 TIMES"],
    ["[a:b = 1] START t'2026-01-01T00:00:00.0Z' STOP t'2027-01-01T00:00:00Z'",
     "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP t'2027-01-01T00:00:00.000Z'"],
]  # fmt: skip

DIFFERENT = [
    ["[domain-name:value = 'example.com']", "[domain-name:value = 'www.example.com']", "[url:value = 'example.com']"],
    ["[domain-name:value LIKE 'Example.com']", "[domain-name:value LIKE 'example.com']"],
    ["[domain-name:value MATCHES 'A']", "[domain-name:value MATCHES 'a']"],
    ["[file:name = 'A.exe']", "[file:name = 'a.exe']"],
    ["[a:b = '1']", "[a:b = 1]", "[a:b = 1.0]"],
    ["[a:b = true]", "[a:b = 'true']"],
    ["[ipv4-addr:value = '198.51.100.0/24']", "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
     "[ipv4-addr:value ISSUPERSET '198.51.100.0/24']"],
    ["[ipv4-addr:value = '198.51.100.1']", "[ipv4-addr:value ISSUPERSET '198.51.100.1/32']"],
    # The direction is content, and so is the type where no value proves it.
    ["[network-traffic:dst_ref.value = '198.51.100.1']", "[network-traffic:src_ref.value = '198.51.100.1']",
     "[ipv4-addr:value = '198.51.100.1']"],
    ["[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'example.com']",
     "[network-traffic:dst_ref.value = 'example.com']"],
    ["[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:src_ref.value = '198.51.100.1']",
     "[network-traffic:src_ref.value = '198.51.100.1']"],
    ["[network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value = '198.51.100.1']",
     "[network-traffic:dst_ref.value = '198.51.100.1']"],
    ["[network-traffic:dst_ref.type = 'ipv4-addr' OR network-traffic:dst_ref.value = '198.51.100.1']",
     "[network-traffic:dst_ref.value = '198.51.100.1']"],
    ["[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value != '198.51.100.1']",
     "[network-traffic:dst_ref.value != '198.51.100.1']"],
    # A negation of any of several values is ambiguous and left alone.
    ["[a:b[*] NOT = 1]", "[a:b[*] != 1]"],
    ["[a:b[*] NOT IN (1, 2)]", "[a:b[*] != 1 AND a:b[*] != 2]"],
    ["[a:b NOT < 1]", "[a:b >= 1]"],
    # Terms of AND between brackets match different observations (section 9.5).
    ["[a:b = 1] AND [a:b = 1]", "[a:b = 1]"],
    ["[a:b = 1 AND a:c = 2]", "[a:b = 1] AND [a:c = 2]"],
    ["[a:b = 1] FOLLOWEDBY [a:c = 2]", "[a:c = 2] FOLLOWEDBY [a:b = 1]"],
    ["[a:b = 1] WITHIN 5 SECONDS", "[a:b = 1]", "[a:b = 1] WITHIN 6 SECONDS"],
    ["[a:b = 1] WITHIN 5 SECONDS REPEATS 2 TIMES", "[a:b = 1] REPEATS 2 TIMES WITHIN 5 SECONDS"],
    ["([a:b = 1] OR [a:c = 1]) REPEATS 2 TIMES", "[a:b = 1] REPEATS 2 TIMES OR [a:c = 1] REPEATS 2 TIMES"],
    ["([a:b = 1] OR [a:c = 1]) REPEATS 2 TIMES", "[a:b = 1 OR a:c = 1] REPEATS 2 TIMES"],
    # No distribution: the work would grow without bound.
    ["[(a:b = 1 OR a:c = 2) AND a:d = 3]", "[a:b = 1 AND a:d = 3 OR a:c = 2 AND a:d = 3]"],
    ["[process:parent_ref.binary_ref = 'x']", "[process:parent_ref.image_ref = 'x']"],
]  # fmt: skip


@pytest.mark.parametrize("texts", EQUAL, ids=lambda texts: texts[-1])
def test_what_means_the_same_is_spelt_the_same(texts: list[str]) -> None:
    found = {canonical(text) for text in texts}
    assert len(found) == 1, found
    assert not found.pop().opaque


@pytest.mark.parametrize("texts", DIFFERENT, ids=lambda texts: texts[0])
def test_what_may_mean_something_else_is_not(texts: list[str]) -> None:
    assert len({canonical(text).text for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("[url:value='HTTP://Example.com:80'AND a:c<>3]", "[a:c != 3 AND url:value = 'http://example.com/']"),
        ("[a:b=3 AND(a:b=2 OR a:c IN('1','x'))]", "[(a:b = 2 OR a:c = '1' OR a:c = 'x') AND a:b = 3]"),
        ("[a:b=1]AND[a:b=1]OR[a:c=2]OR[a:d=2]", "[a:b = 1] AND [a:b = 1] OR [a:c = 2 OR a:d = 2]"),
        ("([a:b=1]OR[a:c=2])WITHIN .50 SECONDS", "([a:b = 1] OR [a:c = 2]) WITHIN 0.5 SECONDS"),
        ("[a:b NOT LIKE 'X%']", "[a:b NOT LIKE 'X%']"),
        ("[a:b IN ()]", "[a:b IN ()]"),
        ("[mutex:name = 'it\\'s \\\\ here']", "[mutex:name = 'it\\'s \\\\ here']"),
    ],
)
def test_the_spelling(text: str, made: str) -> None:
    assert canonical(text).text == made


def test_searches_find_every_test_for_equality() -> None:
    text = (
        f"[file:hashes.sha256 = '{SHA256.upper()}' OR domain-name:value IN ('b.EXAMPLE', 'a.example') AND a:c != 'x' "
        "AND a:d LIKE 'x' OR a:e[*].'f g' = 'y' OR autonomous-system:number = 64496] AND [a:b = 'z'] REPEATS 2 TIMES"
    )
    assert set(canonical(text).atoms) == {
        ("file:hashes.SHA-256", SHA256),
        ("domain-name:value", "a.example"),
        ("domain-name:value", "b.example"),
        ("a:e[*].'f g'", "y"),
        ("autonomous-system:number", "64496"),
        ("a:b", "z"),
    }
    assert canonical("[a:b = 'x' OR (a:b = 'x' AND a:c = 'y')]").atoms == (("a:b", "x"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" [a:b = ] ", "content.pattern"),
        ("/* x */ [a:b = 1]", "content.pattern"),
        ("[file:hashes.MD5 = 'x']", "content.pattern"),
        ("alert tcp any any -> any any", "content.pattern"),
        ("[a:b = '" + "x" * LONGEST + "']", "opaque.length"),
        ("[" + " OR ".join(f"a:b = {n}" for n in range(1000)) + "]", "opaque.cost"),
        ("[" + "(" * 64 + "a:b IN (1, 2) AND a:c = 1" + ")" * 64 + "]", ""),
    ],
)
def test_what_cannot_be_told_apart_keeps_its_own_text(text: str, reason: str) -> None:
    """Two such patterns are one only if they are equal but for the white space around them."""
    found = canonical(text)
    assert found.opaque == reason
    if reason:
        assert found.text == text.strip()
        assert found.atoms == ()
        assert canonical(f"\n\u2003{text} ") == found


def test_no_parentheses_are_added_that_cannot_be_read() -> None:
    """A set becomes an OR in parentheses: at the limit of depth that would be one level too many."""
    deep = "[" + "a:y = 1 OR (a:z = 1 AND (" * 32 + "a:x = 1 OR a:w = 1 AND a:b IN (1, 2)" + "))" * 32 + "]"
    pattern.check(deep)
    found = canonical(deep)
    assert found.opaque == "" or found.text == deep
    assert canonical(found.text).text == found.text


# Laws


def lawful(text: str) -> None:
    """The canonical form of the canonical form is itself, and says what its tree says."""
    found = canonical(text)
    again = canonical(found.text)
    assert again.text == found.text
    try:
        pattern.check(text)
    except ContentError:
        assert found.opaque == "content.pattern"
        return
    if not found.opaque:
        assert again == found
        assert pattern.parse(found.text).to_text() == found.text
        assert canonical(pattern.parse(text).to_text()) == found


@steady
@given(TEXTS)
def test_made_patterns_are_lawful(text: str) -> None:
    lawful(text)


@steady
@given(BROKEN | plain() | st.text(st.sampled_from("[]()=:.,'\\*/ \n-+01abANDORé\u2003\x1c"), max_size=30))
def test_anything_is_lawful(text: str) -> None:
    lawful(text)


VALUES = st.sampled_from(
    ["x", "Example.COM.", "198.51.100.1/32", "hxxp://a[.]example", "2001:DB8::1", "é.example", "it's", "a\\b", MD5, ""]
) | st.text(st.characters(codec="utf-8"), max_size=12)
PATHS = st.sampled_from(
    ["domain-name:value", "ipv4-addr:value", "url:value", "file:hashes.md5", "file:hashes.MD5", "file:hashes.SHA_256",
     "network-traffic:dst_ref.value", "network-traffic:dst_ref.type", "email-message:to_refs[*].value", "file:created",
     "file:'name'", "x:'a b'.c", "process:binary_ref", "true:a", "a:IN", "a:b[0]", "email-addr:value", "a:b.c.d.e.f"]
)  # fmt: skip


@steady
@given(PATHS, VALUES, st.sampled_from(["", " ", "\n\t", "  "]))
def test_one_look_finds_what_the_whole_way_finds(path: str, value: str, space: str) -> None:
    """A pattern of one test for equality is not parsed; a comment in it makes no difference but that it is."""
    spelt = value.replace("\\", "\\\\").replace("'", "\\'")
    short = canonical(f"{space}[{space}{path}{space}={space}'{spelt}'{space}]{space}")
    whole = canonical(f"[{path} = '{spelt}' /**/]")
    if short.opaque:
        assert short.opaque == whole.opaque
    else:
        assert short == whole


# Small patterns of which everything can be tried: few paths, few values, few observations.

TESTS = st.one_of(
    st.tuples(st.sampled_from(["a:b", "a:c", "a:d[*]"]), st.sampled_from(["=", "!=", "NOT =", "NOT !=", "<", "NOT <"]),
              st.sampled_from(["1", "2", "3"])).map(" ".join),
    st.tuples(st.sampled_from(["a:b", "a:c", "a:d[*]"]), st.sampled_from(["IN", "NOT IN"]),
              st.sampled_from(["()", "(1)", "(2, 1)", "(3, 3)"])).map(" ".join),
    st.sampled_from(["EXISTS a:b", "NOT EXISTS a:c", "a:d[*] NOT = 1", "a:d[*] NOT IN (1, 2)"]),
)  # fmt: skip
SMALL_TESTS = st.recursive(
    TESTS,
    lambda inner: st.tuples(st.lists(inner, min_size=2, max_size=3), st.sampled_from([" AND ", " OR "])).map(
        lambda parts: f"({parts[1].join(parts[0])})"
    ),
    max_leaves=5,
)
ENDINGS = st.sampled_from(["", "", "", " REPEATS 2 TIMES", " WITHIN 1 SECONDS", " WITHIN 2.0 SECONDS"])
SMALL = st.recursive(
    st.tuples(SMALL_TESTS.map("[{}]".format), ENDINGS).map("".join),
    lambda inner: st.tuples(
        st.lists(inner, min_size=2, max_size=3), st.sampled_from([" AND ", " OR ", " FOLLOWEDBY "]), ENDINGS
    ).map(lambda parts: f"({parts[1].join(parts[0])}){parts[2]}"),
    max_leaves=4,
)


@settings(max_examples=300 * MANY, derandomize=True)
@given(SMALL, observations())
def test_the_canonical_form_matches_what_the_pattern_matches(text: str, seen: list[dict[str, Any]]) -> None:
    """By an evaluator that does what sections 9.4 to 9.6 say: the same sets of observations, whatever was observed."""
    assert matches(pattern.parse(canonical(text).text), seen) == matches(pattern.parse(text), seen)


@st.composite
def respelt(draw: st.DrawFn) -> tuple[str, str]:
    """A test and another spelling of it by the rules."""

    def spelt(node: Any) -> tuple[str, str]:
        if isinstance(node, str):
            path, operator, rest = node.partition(" ")[0], *node.partition(" ")[2].rpartition(" ")[::2]
            if operator == "=":
                return node, draw(st.sampled_from([node, f"{path}=={rest}", f"({path} IN ({rest}, {rest}))"]))
            return node, draw(st.sampled_from([node, f"( {node} )"]))
        word, terms = node
        pairs = [spelt(term) for term in terms]
        others = draw(st.permutations([*(other for _, other in pairs), draw(st.sampled_from(pairs))[1]]))
        return f"({f' {word} '.join(one for one, _ in pairs)})", f"(({f') {word} ('.join(others)}))"

    simple = st.tuples(st.sampled_from(["a:b", "a:c"]), st.sampled_from(["=", "!="]), st.sampled_from("123")).map(
        " ".join
    )
    trees = st.recursive(
        simple, lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=4)),
        max_leaves=12,
    )  # fmt: skip
    one, other = spelt(draw(trees))
    return f"[{one}]", f"[{other}]"


@steady
@given(respelt())
def test_two_spellings_that_the_rules_cover_are_one(both: tuple[str, str]) -> None:
    assert canonical(both[0]) == canonical(both[1])


# Cost


def work(text: str) -> int:
    """Calls of functions that `canonical` makes: all that it does beyond one pass of an expression is behind them."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        canonical(text)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("name", BOMBS)
def test_no_bomb_costs_more_than_its_budget(name: str) -> None:
    """Of any size and shape: the calls are bounded, and what comes out is lawful (DESIGN 6)."""
    for size in (LONGEST, LONGEST // 2, LONGEST // 4, LONGEST // 8, LONGEST // 16, 8 * LONGEST):
        text = BOMBS[name](size)
        assert work(text) < 40_000, size
        found = canonical(text)
        assert len(found.text) <= max(LONGEST, len(text))
        assert canonical(found.text).text == found.text


def test_a_pattern_that_others_take_minutes_for_is_nothing() -> None:
    """Ten clauses of two: 163 s in stix2's equivalence (identity.md section 4)."""
    clauses = " AND ".join(f"(a:b = '{n}' OR a:c = '{n}')" for n in range(10))
    assert work(f"[{clauses}]") < 1_500
    assert canonical(f"[{clauses}]").opaque == ""


def test_hundreds_of_plain_comparisons_are_within_the_budget() -> None:
    text = "[" + " OR ".join(f"file:hashes.'SHA-256' = '{n:064x}'" for n in range(240)) + "]"
    assert canonical(text).opaque == ""
    assert len(canonical(text).atoms) == 240


# Real patterns

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def real() -> Iterator[str]:
    for path in sorted((DATA / "stix20").rglob("*")) + sorted((DATA / "stix21").rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            waiting = [json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)]
            while waiting:
                value = waiting.pop()
                if isinstance(value, dict):
                    if isinstance(value.get("pattern"), str) and value.get("pattern_type", "stix") == "stix":
                        yield value["pattern"]
                    waiting.extend(value.values())
                elif isinstance(value, list):
                    waiting.extend(value)


@pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
def test_real_patterns_are_lawful_and_none_is_too_much() -> None:
    texts = sorted(set(real()))
    assert texts
    for text in texts[:: 11 - MANY]:
        lawful(text)
        assert canonical(text).opaque in ("", "content.pattern")
