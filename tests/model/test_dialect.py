"""The marks of TLP in a reader's dialect (R1, R6): the same level by another id, and not a byte more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import definitions
from exchange.model.dialect import DIALECTS, Dialect, render, says
from exchange.model.marking import TLP_IDS, Tlp, of_ids, of_object
from exchange.policy.gate import strictest

STATEMENT = "marking-definition--22222222-2222-4222-8222-222222222222"
MARKS = st.lists(st.sampled_from([*TLP_IDS, STATEMENT]), max_size=4, unique=True)
TEXTS = st.text(max_size=20) | st.sampled_from([*TLP_IDS, *(json.dumps(each) for each in TLP_IDS), "\0", '"id":"'])
OBJECTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("note"), "content": TEXTS},
        optional={
            "object_marking_refs": MARKS,
            "granular_markings": st.lists(
                st.fixed_dictionaries({"selectors": st.just(["content"]), "marking_ref": st.sampled_from([*TLP_IDS])}),
                max_size=2,
            ),
        },
    )
    | st.sampled_from([definitions.canonical(each) for each in TLP_IDS]),
    max_size=4,
)
SPOKEN = st.sampled_from([each for each in DIALECTS if each])
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": ")])


def told(item: dict[str, Any]) -> dict[str, Any]:
    """Everything but the marks."""
    return {name: value for name, value in item.items() if name not in ("object_marking_refs", "granular_markings")}


@given(OBJECTS, SPOKEN, SEPARATORS)
def test_nothing_but_the_ids_changes(
    items: list[dict[str, Any]], dialect: Dialect, separators: tuple[str, str]
) -> None:
    """What is worth what stays so, for the label and for the second gate; definitions and all other words stay."""
    body = json.dumps(items, separators=separators).encode()
    made = render(body, dialect)
    again = json.loads(made)
    assert len(again) == len(items)
    for before, after in zip(items, again, strict=True):
        assert of_object(after) == of_object(before)
        if before["type"] == "marking-definition" or before["content"] not in TLP_IDS:
            assert told(after) == told(before)
    assert strictest(made) == strictest(body)
    assert render(made, dialect) == made or separators != (",", ":")
    assert render(body, "") is body


@given(st.lists(st.sampled_from([*TLP_IDS]), min_size=1, unique=True), SPOKEN)
def test_only_ids_of_the_dialect_are_left(marks: list[str], dialect: Dialect) -> None:
    """A mark written twice, once in each dialect, is one mark then; TLP 1 keeps what it has no word for."""
    body = json.dumps({"object_marking_refs": marks}, separators=(",", ":")).encode()
    left = json.loads(render(body, dialect))["object_marking_refs"]
    for level in {TLP_IDS[each] for each in marks}:
        spoken = {each for each in left if TLP_IDS[each] is level}
        assert len(spoken) == 1 or not says(dialect, level)
    assert of_ids(left) == of_ids(marks)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tlp_1_has_no_word_for_amber_strict(dialect: Dialect) -> None:
    assert says(dialect, Tlp.AMBER_STRICT) == (dialect != "tlp1")
    assert all(says(dialect, level) for level in (None, Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED))
