"""The cases of a filter between two MISP, as others wrote them (data only): what each of them stops is not read here.

In those events nothing is marked, and nothing published; so that anything of them may leave at all, they are published,
marked TLP:GREEN and for everybody here, but for what the case itself is about.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.store import Store
from tests.properties.test_guard import WAYS, WHO, given

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "misp-events" / "misp-guard-AGPL"
TYPES = frozenset({"type:passport-number"})
PERSONS = frozenset({"category:Person"})
TEMPLATE = frozenset({"template:person", "template:person_v2"})
CASES: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "attribute_category": (PERSONS, ("Doe",)),
    "attribute_type": (TYPES, ("987654321",)),
    "object_attribute_category": (PERSONS, ("Doe", "John", "987654321")),
    "object_attribute_type": (TYPES, ("Doe", "John", "987654321")),
    "object_type": (TEMPLATE, ("Doe",)),
    "object_shadow_attribute_type": (TYPES, ("Doe",)),
    "attribute_sharing_group": (frozenset(), ("2.2.2.2",)),
    "object_attribute_sharing_group": (frozenset(), ("example.com",)),
    "sharing_group": (frozenset(), ("2.2.2.2",)),
    "attribute_note_distribution": (frozenset(), ("Ceci est une note",)),
    "object_note_distribution": (frozenset(), ("Ceci est une note",)),
    "event_report_distribution": (frozenset(), ("foobar",)),
    "required_blocked_tag": (frozenset(), ("2.2.2.2",)),
}
"""Case → what the agreement does not let go, and what nobody reads then."""
BY_CLAUSE = [name for name, (words, _) in CASES.items() if words]
_GREEN = [{"name": "tlp:green"}]


def _opened(name: str) -> dict[str, Any]:
    text = (FOLDER / f"test_event_blocked_{name}.json").read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(text)["Event"]
    event |= {"published": True, "Tag": [*event.get("Tag", ()), *_GREEN]}
    event["distribution"] = "4" if "SharingGroup" in event else "3"
    _mend(event)
    return event


def _mend(value: Any) -> None:
    """Categories that MISP does not have are the one that was meant; what has a group is for the group."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict) and str(inner.get("category", "")).startswith("Person"):
            inner["category"] = "Person"
        if isinstance(inner, dict) and "SharingGroup" in inner:
            inner["distribution"] = "4"
        _mend(inner)


def _read(store: Store, event: dict[str, Any], no_misp: frozenset[str]) -> str:
    # A register of persons is no list of victims: here they may go, but for the clause.
    house = given(store, event, no_misp=no_misp, personal="allowed")
    return b"".join(part for way in WAYS for part in way(house, WHO)).decode()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", CASES)
def test_what_the_case_stops_is_not_read(memory: Store, name: str) -> None:
    """Over no way there is."""
    words, stopped = CASES[name]
    read = _read(memory, _opened(name), words)
    assert not [value for value in stopped if value in read]


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", BY_CLAUSE)
def test_it_is_the_clause_that_stops_it(memory: Store, name: str) -> None:
    """Without it everything is read."""
    read = _read(memory, _opened(name), frozenset())
    assert all(value in read for value in CASES[name][1])


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the cases are not here")
def test_every_case_of_an_event_is_here() -> None:
    """All but those of single notes, clusters and proposals, which stand in tests of their own (leaks.txt)."""
    there = {path.stem.removeprefix("test_event_blocked_") for path in FOLDER.glob("test_event_blocked_*.json")}
    assert there == CASES.keys()
