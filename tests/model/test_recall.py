"""The note that says a recall is what `stix.parse` makes of its bytes; its own gate lets nothing else through."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest

from exchange.model import recall, stix
from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Tlp, of_ids
from exchange.model.recall import EXTENSION, Recall
from exchange.policy import gate_notice

ABOUT = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
LABELS = [
    Label(tlp=Tlp.GREEN),
    Label(tlp=Tlp.AMBER, pap=Pap.GREEN),
    Label(pfc=Pfc.AMBRE, vert=True),
    Label(tlp=Tlp.CLEAR, pfc=Pfc.LIBRE, pap=Pap.CLEAR),
]


def made(action: recall.Action = "withdrawn", label: Label = LABELS[0]) -> stix.StixObject:
    """A notice."""
    return recall.notice(
        Recall(stix_id=ABOUT, version="2026-11-21T12:00:00.000Z", action=action),
        note_id="note--6d1c2f0e-9b57-4a38-8c1d-5e0f7a9b2c46",
        author="identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17",
        created="2026-11-23T14:00:00.000Z",
        modified="2026-11-23T14:00:00.001Z",
        label=label,
    )


@pytest.mark.parametrize("action", ["withdrawn", "restored"])
@pytest.mark.parametrize("label", LABELS, ids=str)
def test_it_is_valid_and_says_the_same_when_it_is_read(action: recall.Action, label: Label) -> None:
    note = made(action, label)
    parsed = stix.parse(note.body)
    assert parsed.ends == {ABOUT}
    assert msgspec.structs.replace(parsed, refs=frozenset(), ends=frozenset()) == note
    assert recall.read(parsed) == Recall(stix_id=ABOUT, version="2026-11-21T12:00:00.000Z", action=action)
    assert of_ids(json.loads(note.body)["object_marking_refs"]) == label
    assert gate_notice(note.body)


ODD: list[dict[str, Any]] = [
    {"labels": ["because of a source"]},
    {"content": "withdrawn by CCC"},
    {"abstract": "x"},
    {"object_refs": [ABOUT, ABOUT.replace("8", "9")]},
    {"object_marking_refs": []},
    {"object_marking_refs": ["marking-definition--00000000-0000-4000-8000-000000000000"]},
    {"created_by_ref": "CCC"},
    {"type": "opinion"},
    {
        "extensions": {
            EXTENSION: {"extension_type": "property-extension", "id": ABOUT, "version": "2026", "action": "x"}
        }
    },
    {"created": "2026-11-23T14:00:00.000Z; DROP"},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
def test_the_gate_lets_nothing_else_through(odd: dict[str, Any]) -> None:
    """R25: with tables of its own, it judges the exact bytes."""
    assert not gate_notice(orjson.dumps(json.loads(made().body) | odd))


def test_an_extension_that_says_more_does_not_pass() -> None:
    note = json.loads(made().body)
    note["extensions"][EXTENSION]["reason"] = "label"
    assert not gate_notice(orjson.dumps(note))
    assert not gate_notice(b"{")
    assert not gate_notice(b"[]")


def test_words_of_the_other_action_do_not_pass() -> None:
    note = json.loads(made().body)
    note["extensions"][EXTENSION]["action"] = "restored"
    assert not gate_notice(orjson.dumps(note))
