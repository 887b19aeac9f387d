"""STIX patterns (STIX 2.1 section 9): what is valid, what it says, how it is spelt; and no input hurts (DESIGN 6)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from exchange import i18n
from exchange.errors import ContentError
from exchange.model import pattern
from exchange.model.pattern import Comparison, Constant, Joined, Observation, Path, Pattern, Qualified, Qualifier

MD5 = "cead3f77f6cda6ec00f57d76c9a6879f"
SHA256 = "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f"

VALID = [
    # Constants (section 9.2)
    "[a:b = 0]",
    "[a:b = +1]",
    "[a:b = -0]",
    "[a:b = .5]",
    "[a:b = 00.5]",
    "[a:b = -.5]",
    "[a:b = " + "1" * 5000 + "]",
    "[a:b = true]",
    "[a:b != false]",
    "[a:b = '']",
    "[a:b = 'it\\'s \\\\ here']",
    "[a:b = 'é😀 \t\n ]']",
    "[a:b = h'']",
    "[a:b = h'00fF']",
    "[a:b = b'YQ==']",
    "[a:b = b'YWJj']",
    "[a:b = b'YWI=']",
    "[a:b = t'2020-01-01T00:00:00Z']",
    "[a:b = t'2020-01-01T23:59:60.123456789123Z']",
    "[a:b = t'2023-02-31T00:00:00Z']",
    # Paths (section 9.7)
    "[ipv4-addr:value = '198.51.100.1']",
    "[AND-x:a = 1]",
    "[_a:_b = 1]",
    "[A:B = 1]",
    "[a:'b c'.'d-e'[0].f[*][+1] = 1]",
    "[a:'AND' = 1]",
    "[a : b . c [ 0 ] = 1]",
    f"[a:b[{'1' * 600}] = 1]",
    # Comparisons (section 9.6)
    "[a:b == 1 OR a:b <> 1 OR a:b != 1]",
    "[a:b < 1 AND a:b > 'x' AND a:b <= .1 AND a:b >= t'2020-01-01T00:00:00Z']",
    "[a:b NOT = 1 AND a:b NOT >= 2]",
    "[a:b IN ()]",
    "[a:b NOT IN (true, 'x', h'', 1.5)]",
    "[a:b LIKE 'x%' AND a:b NOT MATCHES '(' AND a:b ISSUBSET '' AND a:b ISSUPERSET '10.0.0.0/8']",
    "[EXISTS a:b AND NOT EXISTS a:c]",
    "[((a:b = 1))]",
    "[a:b='x'AND a:c=1OR a:d=2]",
    # Observations (sections 9.4 and 9.5)
    "[a:b = 1]OR[a:c = 1]AND([a:d = 1]FOLLOWEDBY[a:e = 1])",
    "[a:b = 1] WITHIN 5 SECONDS REPEATS 2 TIMES START t'2020-01-01T00:00:00Z' STOP t'2019-01-01T00:00:00Z'",
    "[a:b = 1] WITHIN 0 SECONDS",
    "[a:b = 1] WITHIN +.5 SECONDS",
    "[a:b = 1] REPEATS 0 TIMES",
    "([a:b = 1]) WITHIN 1 SECONDS WITHIN 1 SECONDS",
    "([a:b = 1] WITHIN 1 SECONDS) WITHIN 1 SECONDS",
    # Space and comments
    " \t( \u2003[a:b = 1] )\r\n",
    "[a:b = 1 /* ] */ AND // ]\n a:c = 1 /**/] // end",
    # Hashes
    f"[file:hashes.MD5 = '{MD5}']",
    f"[file:hashes.'SHA-256' != '{SHA256}']",
    f"[file:hashes.sha256 = '{SHA256}' AND file:hashes.SHA256 = '{SHA256.upper()}']",
    f"[file:hashes.MD6 = '{MD5}0']",
    "[file:hashes.SSDEEP = '3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C']",
    "[file:hashes.other = 'x' AND file:hashes[*] = 'x' AND file:hashes = 'x']",
    "[EXISTS file:hashes.MD5]",
]

INVALID = [
    # (text, characters before the mistake)
    ("", 0),
    ("  ", 2),
    ("a:b = 1", 0),
    ("[]", 1),
    ("[()]", 2),
    ("([a:b = 1]", 10),
    ("[a:b = 1]]", 9),
    ("[a:b = 1] [a:b = 1]", 10),
    ("\ufeff[a:b = 1]", 0),
    ("\x1c[a:b = 1]", 0),
    ("[a:b = 1]\x00", 9),
    ("/* x */ [a:b = 1]", 0),
    ("( // x\n [a:b = 1])", 2),
    ("[a:b = 1] /*", 10),
    # Constants
    ("[a:b = 01]", 8),
    ("[a:b = 1.]", 8),
    ("[a:b = 1e5]", 8),
    ("[a:b = + 1]", 7),
    ("[a:b = True]", 7),
    ("[a:b = x]", 7),
    ("[a:b = 'x\\n']", 7),
    ("[a:b = 'x]", 7),
    ('[a:b = "x"]', 7),
    ("[a:b = h'0']", 7),
    ("[a:b = b'']", 7),
    ("[a:b = b'YQ=']", 7),
    ("[a:b = t'2020-13-01T00:00:00Z']", 7),
    ("[a:b = t'2020-01-01T24:00:00Z']", 7),
    ("[a:b = t'2020-01-01T00:00:00']", 7),
    # Paths
    ("[a = 1]", 3),
    ("[a:b-c = 1]", 3),
    ("['a':b = 1]", 1),
    ("[a:AND = 1]", 3),
    ("[true:a = 1]", 1),
    ("[a:LAST = 1]", 3),
    ("[a:[0] = 1]", 3),
    ("[a:b.[0] = 1]", 5),
    ("[a:b[-1] = 1]", 5),
    ("[a:b[-0] = 1]", 5),
    ("[a:b[x] = 1]", 5),
    (f"[a:b[{'1' * 5000}] = 1]", 5),
    # Comparisons
    ("[a:b]", 4),
    ("[a:b === 1]", 7),
    ("[a:b ! = 1]", 5),
    ("[a:b > true]", 7),
    ("[a:b LIKE 5]", 10),
    ("[a:b like 'x']", 5),
    ("[a:b IN 1]", 8),
    ("[a:b IN (1,)]", 11),
    ("[a:b NOT EXISTS]", 9),
    ("[NOT a:b = 1]", 5),
    ("[a:b = 1 FOLLOWEDBY a:c = 1]", 9),
    ("[a:b = 1 AND]", 12),
    # Observations
    ("[a:b = 1] WITHIN -1 SECONDS", 17),
    ("[a:b = 1] WITHIN 1 HOURS", 19),
    ("[a:b = 1] REPEATS 1.0 TIMES", 18),
    ("[a:b = 1] START t'2020-01-01T00:00:00Z'", 39),
    ("[a:b = 1] START '2020-01-01T00:00:00Z' STOP '2020-01-01T00:00:00Z'", 16),
    ("[a:b = 1] WITHIN 1 SECONDS REPEATS 1 TIMES WITHIN 1 SECONDS", 43),
    # Hashes
    ("[file:hashes.MD5 = 'x']", 19),
    (f"[file:hashes.'SHA-1' = '{MD5}']", 23),
    (f"[file:'hashes'.x.'md-5' = h'{MD5}']", 26),
    (f"[file:hashes.MD5 IN ('{MD5}', 'x')]", 57),
]


def refusal(text: str) -> ContentError:
    """The error for `text`, for which `check` and `parse` have the same words."""
    with pytest.raises(ContentError) as checked:
        pattern.check(text)
    with pytest.raises(ContentError) as parsed:
        pattern.parse(text)
    assert str(checked.value) == str(parsed.value)
    assert parsed.value.code == "content.pattern"
    return parsed.value


@pytest.mark.parametrize("text", VALID)
def test_valid(text: str) -> None:
    pattern.check(text)
    tree = pattern.parse(text)
    assert pattern.parse(tree.to_text()) == tree


@pytest.mark.parametrize(("text", "at"), INVALID)
def test_invalid_says_where(text: str, at: int) -> None:
    assert refusal(text).fields["at"] == at


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_the_reader_learns_where_and_what(language: i18n.Language) -> None:
    """An error says what should stand there, in both languages (DESIGN 7)."""
    shown = i18n.describe(refusal("[a:b = 1 a:c = 2]"), language)
    assert " 9 " in shown
    assert "AND, OR, ]" in shown


def one(**changes: Any) -> Pattern:
    parts = {"path": Path("a", ("b",)), "operator": "=", "negated": False, "operand": Constant("integer", "1")}
    return Pattern(Observation(Comparison(**{**parts, **changes})))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("[a:b = 1]", one()),
        ("[a:b NOT == +1]", one(negated=True)),
        ("[a:b <> -.50]", one(operator="!=", operand=Constant("float", "-0.5"))),
        ("[a:b = -0]", one(operand=Constant("integer", "0"))),
        ("[a:b = -00.00]", one(operand=Constant("float", "0.0"))),
        ("[a:b = '\\\\\\'']", one(operand=Constant("string", "\\'"))),
        ("[a:b = h'Ff']", one(operand=Constant("hex", "ff"))),
        ("[a:b = b'YQ==']", one(operand=Constant("binary", "YQ=="))),
        ("[a:b = true]", one(operand=Constant("boolean", "true"))),
        (
            "[a:b > t'2020-01-01T00:00:00.5Z']",
            one(operator=">", operand=Constant("timestamp", "2020-01-01T00:00:00.5Z")),
        ),
        ("[a:b IN (1)]", one(operator="IN", operand=(Constant("integer", "1"),))),
        ("[NOT EXISTS a:b]", one(operator="EXISTS", negated=True, operand=None)),
        ("[a:b[*].'c d'[+7] = 1]", one(path=Path("a", ("b", None, "c d", 7)))),
    ],
)
def test_a_comparison_says(text: str, tree: Pattern) -> None:
    assert pattern.parse(text) == tree


def test_and_binds_tighter_than_or_and_or_than_followedby() -> None:
    """The order of precedence, inside the brackets and outside (sections 9.4 and 9.6)."""
    assert pattern.parse("[a:b=1 OR a:b=2 AND a:b=3]") == pattern.parse("[a:b=1 OR (a:b=2 AND a:b=3)]")
    assert pattern.parse("[a:b=1 OR a:b=2 AND a:b=3]") != pattern.parse("[(a:b=1 OR a:b=2) AND a:b=3]")
    loose = "[a:b=1] FOLLOWEDBY [a:b=2] OR [a:b=3] AND [a:b=4]"
    assert pattern.parse(loose) == pattern.parse("[a:b=1] FOLLOWEDBY ([a:b=2] OR ([a:b=3] AND [a:b=4]))")
    root = pattern.parse(loose).root
    assert isinstance(root, Joined)
    assert root.word == "FOLLOWEDBY"
    assert [type(term) for term in root.terms] == [Observation, Joined]


def test_a_chain_is_flat_however_it_is_put_in_parentheses() -> None:
    trees = {pattern.parse(text) for text in ("[a:b=1 OR a:b=2 OR a:b=3]", "[(a:b=1 OR (a:b=2)) OR a:b=3]")}
    assert len(trees) == 1
    (tree,) = trees
    assert tree.to_text() == "[a:b = 1 OR a:b = 2 OR a:b = 3]"


def test_qualifiers_belong_to_what_stands_before_them() -> None:
    tree = pattern.parse("[a:b=1] AND [a:b=2] REPEATS +2 TIMES WITHIN .5 SECONDS")
    assert isinstance(tree.root, Joined)
    last = tree.root.terms[-1]
    assert isinstance(last, Qualified)
    assert last.qualifiers == (
        Qualifier("REPEATS", (Constant("integer", "2"),)),
        Qualifier("WITHIN", (Constant("float", "0.5"),)),
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" [ a : 'b' [ * ]=+1 ] ", "[a:b[*] = 1]"),
        ("[a:'b c'.'AND'.'it\\'s'LIKE'x']", "[a:'b c'.'AND'.'it\\'s' LIKE 'x']"),
        ("[(((a:b=1)))AND(a:c IN(1,'2')OR a:d<>3)]", "[a:b = 1 AND (a:c IN (1, '2') OR a:d != 3)]"),
        ("([a:b=1]OR([a:b=2]))WITHIN 1.50 SECONDS", "([a:b = 1] OR [a:b = 2]) WITHIN 1.5 SECONDS"),
        ("([a:b=1])REPEATS 2 TIMES", "[a:b = 1] REPEATS 2 TIMES"),
        (
            "([a:b=1] REPEATS 2 TIMES) REPEATS 3 TIMES",
            "([a:b = 1]) REPEATS 2 TIMES REPEATS 3 TIMES",
        ),
        ("[NOT EXISTS a:b//\n]", "[NOT EXISTS a:b]"),
        (
            "[a:b=1]START t'2020-01-01T00:00:00Z'STOP t'2021-01-01T00:00:00Z'",
            "[a:b = 1] START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'",
        ),
    ],
)
def test_the_normal_spelling(text: str, normal: str) -> None:
    assert pattern.parse(text).to_text() == normal


@pytest.mark.parametrize("operator", ["LIKE 'a%'", "NOT MATCHES '^a'", f"IN ('{MD5}', '{MD5}')", "IN ()"])
def test_hashes_may_be_looked_for_by_expression_or_in_a_set(operator: str) -> None:
    """Section 9.6 allows it; stix2-patterns takes the whole operand for one hash and refuses it."""
    pattern.check(f"[file:hashes.MD5 {operator}]")


def test_an_index_under_hashes_is_no_name_of_a_hash() -> None:
    """stix2-patterns breaks on it."""
    pattern.check("[file:hashes[0] = 'x']")


def test_a_chain_may_be_longer_than_the_stack() -> None:
    """stix2-patterns breaks on it."""
    text = "[" + " OR ".join(f"(a:b = {number})" for number in range(5000)) + "]"
    pattern.check(text)
    assert pattern.parse(pattern.parse(text).to_text()) == pattern.parse(text)


def nested(levels: int) -> str:
    """Parentheses of both kinds, and as many levels of the tree as they can make."""
    outer = "([x:y = 1] FOLLOWEDBY [x:y = 1] OR [x:y = 1] AND " * (levels // 2)
    inner = "a:b = 1 OR a:b = 1 AND (" * (levels - levels // 2)
    return f"{outer}[{inner}a:b = 1{')' * (levels - levels // 2)}]{')' * (levels // 2)}"


def test_depth_is_bounded() -> None:
    """The deepest tree that is allowed can be spelt, compared and hashed; one level more is refused (DESIGN 6)."""
    tree = pattern.parse(nested(pattern.DEEPEST))
    assert pattern.parse(tree.to_text()) == tree
    assert hash(pattern.parse(tree.to_text())) == hash(tree)
    refusal(nested(pattern.DEEPEST + 1))
    assert refusal("(" * 100_000).fields["at"] == pattern.DEEPEST
    assert refusal("[" + "(" * 100_000).fields["at"] == pattern.DEEPEST + 1


def test_length_is_bounded() -> None:
    longest = f"[a:b = '{'x' * (pattern.LONGEST - 10)}']"
    assert len(longest) == pattern.LONGEST
    pattern.check(longest)
    pattern.parse(longest)
    assert refusal(longest + " ").fields["at"] == pattern.LONGEST


HEADS = [
    "",
    "[",
    "[a:b",
    "[a:b = '",
    "[a:b = ",
    "[a:b = 1] ",
    "[a:b = 1 /*",
    "([a:b = 1]) ",
    "[a:b IN (",
    "[a:b = 1 OR ",
]
PIECES = ["0", "a", " ", "\n", "(", "'", "\\\\", "\\'", "/*", "/**/", "//\n", ".b", ".'b'", "[0]", "a:b = 1 AND ", "1,"]
PIECES += [
    "h'",
    "b'",
    "AAAA",
    "AND [a:b = 1] ",
    " WITHIN 1 SECONDS",
    "(a:b = 1) OR ",
    "\u2003",
    "'a',",
    "NOT ",
    "a.",
    ".5",
]


@pytest.mark.parametrize("head", HEADS)
def test_no_text_takes_more_than_its_length_is_worth(head: str) -> None:
    """200,000 characters of anything end in a verdict: time is linear in the text (DESIGN 6)."""
    for piece in PIECES:
        text = head + piece * (200_000 // len(piece))
        for ending in ("", "]"):
            with suppress(ContentError):
                pattern.check(text + ending)
