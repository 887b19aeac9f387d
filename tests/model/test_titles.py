"""Names of domain objects: what suggests that two may be one, and which external id is the creator's own."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from tests.convert.events import DATA, read
from tests.world import indicator, malware, relationship, report

from exchange.model import stix
from exchange.model.titles import folded, names_of, own_id

NONE: frozenset[str] = frozenset()


def reference(source: str, number: str, **more: str) -> dict[str, str]:
    return {"source_name": source, "external_id": number, **more}


def test_a_name_has_no_case_and_no_white_space() -> None:
    assert folded("  Fancy\n Bear ") == folded("FANCY BEAR") == "fancy bear"
    made = malware("Fancy  Bear", aliases=["APT28", "fancy bear", " "])
    assert stix.parse(json.dumps(made).encode()).names == (("name", "fancy bear"), ("name", "apt28"))


@pytest.mark.parametrize("made", [indicator(name="x"), relationship(malware("a"), malware("b"))])
def test_what_states_a_fact_has_no_name_here(made: dict[str, Any]) -> None:
    assert stix.parse(json.dumps(made).encode()).names == ()
    assert names_of({"type": "software", "name": "x"}, frozenset({"software"})) == ()


def test_a_report_has_one() -> None:
    assert names_of(report(name="Vigne folle"), NONE) == (("name", "vigne folle"),)


@pytest.mark.parametrize(
    ("references", "own"),
    [
        ([], None),
        ([{"source_name": "blog", "url": "https://blog.example/"}, reference("mitre-attack", "S0603")],
         ("mitre-attack", "S0603")),
        ([reference("acme", "M-1"), reference("mitre-attack", "S0603")], ("acme", "M-1")),
        ([reference("cve", "CVE-2021-44228")], None),
        ([reference("cwe", "CWE-79")], None),
    ],
)  # fmt: skip
def test_the_first_is_its_own_and_a_register_of_other_things_is_nobody_s(
    references: list[dict[str, str]], own: tuple[str, str] | None
) -> None:
    """A malware that names a CVE uses it; it is not the CVE."""
    assert own_id(malware("x", external_references=references)) == own


def test_a_vulnerability_is_its_number() -> None:
    made = {"type": "vulnerability", "external_references": [reference("cve", "CVE-2021-44228")]}
    assert own_id(made) == ("cve", "CVE-2021-44228")


@pytest.mark.skipif(not DATA.is_dir(), reason="no real data on this machine")
def test_in_real_data_an_own_id_is_one_thing() -> None:
    """Whatever one creator gives one own id has one name, in every catalogue of several years."""
    known: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(DATA.glob("stix2[01]/*/*.json*")):
        found = json.loads(read(path))
        for made in found.get("objects", []) if isinstance(found, dict) else []:
            creator, own = made.get("created_by_ref"), own_id(made) if "type" in made else None
            if creator and own:
                known[made["type"], creator, *own][folded(made.get("name", ""))].add(made["id"])
    assert len(known) > 2_000
    assert [key for key, by_name in known.items() if len(by_name) > 1 and _apart(by_name)] == []


def _apart(by_name: dict[str, set[str]]) -> bool:
    """Whether other names come with other ids: a thing that is renamed keeps its id."""
    first, *others = by_name.values()
    return any(first.isdisjoint(ids) for ids in others)
