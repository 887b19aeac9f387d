"""Strategies for texts of STIX patterns, made by the grammar and broken a little."""

from __future__ import annotations

import re

from hypothesis import strategies as st

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
