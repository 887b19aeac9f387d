"""STIX patterns against OASIS's stix2-patterns: the same verdict and the same structure, on made and on real ones."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pattern_oracle import tree_of
from pattern_texts import BROKEN, TEXTS, plain
from stix2patterns.validator import run_validator
from test_pattern import VALID

from exchange.errors import ContentError
from exchange.model import pattern
from exchange.model.pattern import Comparison, Joined, Observation, Pattern, Qualified

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HERE = pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
EVERY = os.environ.get("EXCHANGE_SOAK", "") != ""
steady = settings(max_examples=3000 if EVERY else 300, derandomize=True)


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
    """The tree of `text`, after both have given the same verdict on it and found the same in it."""
    tree, verdict = ours(text), theirs(text)
    if tree is not None and verdict is not None:
        assert tree_of(text) == tree, text
    if verdict is not None and verdict != (tree is not None):
        assert tree is not None, f"only stix2-patterns takes {text!r}"
        assert looks_for_hashes(tree), f"only we take {text!r}"
    return tree


@steady
@given(plain())
def test_the_plain_way_gives_the_same_verdict(text: str) -> None:
    """What one look judges is judged as the whole grammar judges it, and as stix2-patterns does."""
    agree(text)


@steady
@given(TEXTS)
def test_made_patterns_have_the_same_verdict_and_keep_it_when_spelt_anew(text: str) -> None:
    """`parse(to_text(p)) == p`, also as stix2-patterns reads it."""
    tree = agree(text)
    if tree is None:
        return
    normal = tree.to_text()
    assert pattern.parse(normal) == tree
    assert pattern.parse(normal).to_text() == normal
    assert agree(normal) == tree


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


# The examples of STIX 2.1 section 9.8 and of 9.2 to 9.7, with the values of documentation.
EXAMPLES = [
    f"[file:hashes.'SHA-256' = '{'a' * 64}']",
    "[email-message:from_ref.value MATCHES '.+\\\\@example\\\\.com$' "
    "AND email-message:body_multipart[*].body_raw_ref.name MATCHES '^Final Report.+\\\\.exe$']",
    f"[file:hashes.'SHA-256' = '{'a' * 64}' AND file:mime_type = 'application/x-pdf']",
    f"[file:hashes.'SHA-256' = '{'b' * 64}' OR file:hashes.MD5 = '{'c' * 32}'] AND [file:hashes.MD5 = '{'d' * 32}']",
    f"([file:hashes.MD5 = '{'c' * 32}'] AND [windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\foo\\\\bar']) "
    "WITHIN 300 SECONDS",
    "[user-account:account_type = 'unix' AND user-account:user_id = '1007' AND user-account:account_login = 'Peter']",
    "[artifact:mime_type = 'application/vnd.tcpdump.pcap' AND artifact:payload_bin MATCHES '\\\\xd4\\\\xc3']",
    "[file:name = 'foo.dll' AND file:parent_directory_ref.path = 'C:\\\\Windows\\\\System32']",
    "[file:extensions.'windows-pebinary-ext'.sections[*].entropy > 7.0]",
    "[file:mime_type = 'image/bmp' AND file:magic_number_hex = h'ffd8']",
    "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '203.0.113.33/32']",
    "[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'example.com'] "
    "REPEATS 5 TIMES WITHIN 1800 SECONDS",
    "[domain-name:value = 'example.com' AND domain-name:resolves_to_refs[*].value = '198.51.100.1']",
    "[x509-certificate:issuer = 'CN=WEBMAIL' AND x509-certificate:serial_number = '4c:0b:1d']",
    "[windows-registry-key:values[*].data NOT = 'x' OR windows-registry-key:values.data = b'AAE=']",
    "([file:name = 'a'] FOLLOWEDBY ([file:name = 'b'] OR [file:name = 'c'])) "
    "START t'2014-01-01T00:00:00Z' STOP t'2014-06-01T00:00:00.5Z'",
    "[software:name = 'Word' AND software:vendor IN ('Example', 'Sample') AND software:version < '2010']",
    "[ipv4-addr:value ISSUBSET '198.51.100.0/24' OR ipv6-addr:value ISSUPERSET '2001:db8::/32']",
    "[EXISTS process:image_ref AND NOT EXISTS process:extensions.'windows-service-ext'.display_name]",
    "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' LIKE 'Mozilla/_._ (%']",
]


@pytest.mark.parametrize("text", [*EXAMPLES, *VALID])
def test_examples_have_the_same_verdict_and_structure(text: str) -> None:
    agree(text)


def test_the_examples_are_valid() -> None:
    for text in EXAMPLES:
        assert agree(text) is not None


@HERE
@pytest.mark.parametrize("name", ["stix20", "stix21"])
def test_real_patterns_have_the_same_verdict(name: str) -> None:
    """One of each shape (`make soak`: every one), and all that we refuse: only conversions that failed."""
    found = dict(patterns(DATA / name))
    shapes: dict[str, str] = {}
    for text in found:
        try:
            pattern.check(text)
        except ContentError:
            assert agree(text) is None
            assert found[text] != "stix" or "unconverted_term" in text
        else:
            shapes.setdefault(text if EVERY else shape(text), text)
    assert shapes
    for text in shapes.values():
        tree = agree(text)
        assert tree is not None
        assert pattern.parse(tree.to_text()) == tree
