"""300 pairs of real objects that were looked at: those that say one fact have one key, and no other two ever do.

Where the development data is not beside the checkout, the pairs of tests/model/fact_pairs.py, which have the same
shapes, are all that runs.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.convert import pages, split
from exchange.errors import ContentError
from exchange.model import facts, stix
from exchange.model.envelope import open_envelope
from exchange.model.party import Source

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TABLE = Path(__file__).parent / "labelled_pairs.tsv"
HERE = pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
LONG = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")
FEED = Source(peer="circl", id="feed", kind="misp", orgs=frozenset({"*"}))
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def read(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


@lru_cache(maxsize=8)
def objects(name: str) -> Mapping[str, bytes]:
    """Id → bytes of each object of a bundle, or of the events in a file as they come in; the first of each."""
    raw = read(DATA / name)
    found: dict[str, bytes] = {}
    if name.startswith("misp"):
        for page in (page for event in split(raw) for page in pages(event, FEED, now=NOW)):
            for made in page.objects:
                found.setdefault(made.id, made.body)
        return found
    for each in open_envelope(raw).objects:
        found.setdefault(orjson.loads(each)["id"], each)
    return found


def said(name: str, identifier: str) -> str:
    """What the object says to somebody who sees all of its file: its fact, or that of what is between its ends."""
    held = objects(name)
    made = stix.parse(held[identifier])
    document = orjson.loads(made.body)
    if made.type in facts.COMPOSITE:
        seen = {end: stix.parse(held[end]).fact for end in facts.ends(document) if end in held}
        return facts.between(document, seen) or made.fact
    return made.fact


def table() -> list[list[str]]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def test_the_table_is_whole() -> None:
    """300 pairs of two different objects, about half of each verdict, none twice."""
    rows = table()
    assert len(rows) == 300
    assert all(len(row) == 6 and row[0] in ("one", "two") and row[3] != row[5] for row in rows)
    assert len({frozenset(((row[2], row[3]), (row[4], row[5]))) for row in rows}) == 300
    assert 140 <= sum(row[0] == "one" for row in rows) <= 160


@HERE
def test_no_pair_is_judged_wrongly() -> None:
    """Zero false merges, and zero duplicates that are missed, in the labelled set."""
    wrong = []
    for verdict, what, *places in sorted(table(), key=lambda row: (row[2], row[4])):
        one, other = said(*places[:2]), said(*places[2:])
        if (one == other) != (verdict == "one"):
            wrong.append((verdict, what, *places))
    assert wrong == []


# --- what a trivial normalisation of the text finds, all of it is found ----------------------------------------------

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'")
_WORD = re.compile(r"\b(AND|OR|NOT|FOLLOWEDBY|LIKE|MATCHES|IN)\b")
_HASH = re.compile(r"hashes\.([A-Za-z0-9_-]+?)(?==|!=|§)")


def trivial(text: str) -> str:
    """A pattern without white space, spellings and case of hashes, case of names, `hxxp` and `[.]`."""
    strings = _STRING.findall(text)
    words = re.sub(r"\s+", "", _WORD.sub(r"§\1§", "\0".join(_STRING.split(text)))).split("\0")
    made = words[0]
    for string, after in zip(strings, words[1:], strict=True):
        value = string[1:-1].strip()
        path = re.split(r"[\[(§]", made.removesuffix("="))[-1]
        if made.endswith("hashes."):
            made += _algorithm(value) + after
            continue
        if made.endswith("=") and path.startswith(("domain-name", "email", "url", "ipv", "network")):
            value = re.sub(r"^hxxp", "http", value.replace("[.]", ".").replace("(.)", "."), flags=re.I)
        if made.endswith("=") and ("hashes." in path or path.startswith("domain-name")):
            value = value.lower()
        if made.endswith("=") and path.startswith("url"):
            value = re.sub(r"^[a-z]+://[^/?#]*", lambda match: match[0].lower(), value, flags=re.I)
        made += f"'{value}'{after}"
    made = _HASH.sub(lambda match: f"hashes.{_algorithm(match[1])}", made)
    alternatives = made[1:-1].split("§OR§")
    plain = len(alternatives) > 1 and made.count("[") == 1 and "§AND§" not in made and "(" not in made
    return f"[{'§OR§'.join(sorted(set(alternatives)))}]" if plain else made


def _algorithm(name: str) -> str:
    return name.upper().replace("-", "").replace("_", "")


def patterns() -> Iterator[str]:
    """Every pattern in STIX's language in the data."""
    for folder in ("stix20", "stix21"):
        for path in sorted((DATA / folder).rglob("*.json*")) + sorted((DATA / folder).rglob("*.stix2*")):
            document = json.loads(read(path))
            listed = document.get("objects", []) if isinstance(document, dict) else document
            for each in listed if isinstance(listed, list) else []:
                stated = each.get("pattern") if isinstance(each, dict) else None
                if isinstance(stated, str) and each.get("pattern_type", "stix") == "stix":
                    yield stated


@HERE
def test_every_duplicate_of_a_trivial_normalisation_is_found() -> None:
    """Patterns that a trivial normalisation of their text makes equal have one key (data.md counts 313 such groups
    over more publishers than the data beside this checkout has)."""
    keys: dict[str, set[str]] = defaultdict(set)
    texts: dict[str, set[str]] = defaultdict(set)
    for text in set(patterns()):
        made = {"type": "indicator", "id": text, "pattern": text, "pattern_type": "stix"}
        keys[trivial(text)].add(facts.fact_key(made))
        texts[trivial(text)].add(text)
    assert sum(map(len, texts.values())) > 12_000
    assert sum(len(group) > 1 for group in texts.values()) >= 3
    missed = [sorted(texts[form]) for form, found in keys.items() if len(found) > 1]
    assert missed == []


@HERE
@LONG
def test_every_repeated_attribute_is_found() -> None:
    """Attributes of all events whose type and value are the same but for case and defanging are one fact each."""
    by_value: dict[tuple[str, str], set[str]] = defaultdict(set)
    paths = [p for name in ("misp-events", "misp-feed/infoblox") for p in (DATA / name).rglob("*.json*")]
    for path in sorted(path for path in paths if "manifest" not in path.name):
        try:
            events = split(read(path))
        except ContentError:
            continue
        for page in (page for event in events for page in pages(event, FEED, now=NOW)):
            for made in page.objects:
                carried = facts_of(made)
                if carried is not None:
                    by_value[carried].add(made.fact)
    assert len(by_value) > 30_000
    assert [value for value, found in by_value.items() if len(found) > 1] == []


def facts_of(made: Any) -> tuple[str, str] | None:
    """(type, value without case and brackets) of the attribute that an indicator carries, of types without case."""
    if made.type != "indicator":
        return None
    document = orjson.loads(made.body)
    extension = next(iter(document.get("extensions", {}).values()), {})
    attribute = extension.get("attribute")
    if not isinstance(attribute, dict) or attribute["type"] not in ("domain", "hostname", "ip-dst", "sha256", "md5"):
        return None
    return attribute["type"].replace("hostname", "domain"), attribute["value"].strip().lower().replace("[.]", ".")
