"""The second gate on names, on recall notices, and on what it has read already (R15, R8, R25)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from exchange.model import recall
from exchange.model.lights import PAP_ID, PFC_ID, Pap, Pfc
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.policy import gate_names, gate_notice, stamp, stamped, strictest, within
from exchange.policy.gate import NO_PAP, PFC

UUID = "0d9c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"
NODE = "identity--00000000-0000-4000-8000-000000000000"
THING = f"indicator--{UUID}"


def names(value: object) -> bool:
    """Whether nothing is named in it."""
    return gate_names(orjson.dumps(value), [UUID, "Zeta.example"], ["Zeta  Labs", "ZL", "Zebra", "Zebras"])


@pytest.mark.parametrize(
    "text",
    [
        UUID, UUID.upper(), f"x{UUID}x", "soc@ZETA.example", "www.zeta.example.org", "Zeta Labs", "zeta\n\tlabs",
        "xzeta labsx", "ZL", "zl.", "(zl)", "a zl b", "zl", "-zl-", "zebra", "a Zebra!", "xzebrasx",
    ],
)  # fmt: skip
def test_a_name_stops_it_wherever_it_stands(text: str) -> None:
    """In values and in names of properties, at any depth; long ones anywhere, short ones where they stand alone."""
    for value in (text, [text], {"a": [1, {"b": text}]}, {"a": {text: None}}, ["x", text, "y"]):
        assert not names(value)


@pytest.mark.parametrize(
    "text", ["zlib", "1zl", "zl_", "_zl", "ézl", "zla zl1", "xzebra", "zebra1", "zeta", "labs zeta", "", " "]
)
def test_other_words_do_not(text: str) -> None:
    for value in (text, {"a": [text, 7, None, True]}, {text: 1}):
        assert names(value)


def test_a_short_name_that_stands_alone_after_one_that_does_not() -> None:
    """The first that is found may be part of another word, and the next one not."""
    assert not names("zlib, zl")
    assert not names("zlzl zl")
    assert names("zlzl")
    assert not gate_names(b'"x----x"', [], ["--"])


def test_what_names_nobody_stops_nothing_and_what_is_no_json_everything() -> None:
    assert gate_names(b'"zl"', [], [])
    assert gate_names(b'"zl"', [], ["", "  "])
    assert gate_names(b'"a - b"', [], ["", "  "])
    assert not gate_names(b'"zl', [], [])
    assert not gate_names(b'{"a":"x"}', [], ["x"])
    assert gate_names(b'{"a":"x"}', ["y"], ["y"])


# --- what was read already --------------------------------------------------------------------------------------------


def test_what_was_read_is_kept_with_the_edition_that_read_it() -> None:
    """Any number that another edition stamped, and none at all, is to be read again."""
    for marks in (0, 1, strictest(b"no json"), 0xFFFF):
        assert stamped(stamp(marks)) == marks
        assert stamped(marks) is None
        assert stamped(stamp(marks) + (1 << 16)) is None
        assert stamped(stamp(marks) ^ (1 << 40)) is None
    assert stamped(None) is None


def test_what_is_no_json_is_for_nobody() -> None:
    everything = Tlp.RED | PFC
    for body in (b"", b"{", b'{"object_marking_refs":["x"]', b'{"marking_ref":"x"', b'"\\u12"', b"[" * 100_000):
        assert not within(strictest(body), everything)
        assert not within(strictest(body), Tlp.RED | NO_PAP)
    assert within(strictest(b"{}"), 0)


# --- notices ----------------------------------------------------------------------------------------------------------


def notice(action: recall.Action = "withdrawn", label: Label | None = None) -> dict[str, Any]:
    """One as we write it."""
    made = recall.notice(
        recall.Recall(stix_id=THING, version="2026-01-01T00:00:00.000Z", action=action), note_id=f"note--{UUID}",
        author=NODE, created="2026-01-02T00:00:00.000Z", modified="2026-01-03T00:00:00.000Z",
        label=label or Label(tlp=Tlp.AMBER, pap=Pap.RED),
    )  # fmt: skip
    found: dict[str, Any] = orjson.loads(made.body)
    return found


@pytest.mark.parametrize("action", ["withdrawn", "restored"])
def test_a_notice_as_we_write_it_passes(action: recall.Action) -> None:
    assert gate_notice(orjson.dumps(notice(action)))
    for level in Tlp:
        assert gate_notice(orjson.dumps(notice(action, Label(tlp=level))))
    for colour in Pfc:
        assert gate_notice(orjson.dumps(notice(action, Label(pfc=colour))))


@pytest.mark.parametrize("identifier", sorted({*TLP2_ID.values(), *PAP_ID.values(), *PFC_ID.values()}))
def test_every_mark_that_we_know_may_stand_on_a_notice(identifier: str) -> None:
    """It bears those under which the object had been listed, in the words of today."""
    note = notice()
    note.update(object_marking_refs=[identifier])
    assert gate_notice(orjson.dumps(note))


def said(note: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = note["extensions"][recall.EXTENSION]
    return found


ID = f"x--{UUID}"
ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another property": lambda note: note.update(confidence=5),
    "a property less": lambda note: note.pop("created"),
    "another type": lambda note: note.update(type="report"),
    "another extension beside": lambda note: note["extensions"].update({ID: {}}),
    "none of ours": lambda note: note.update(extensions={ID: said(note)}),
    "more in ours": lambda note: said(note).update(reason="because"),
    "less in ours": lambda note: said(note).pop("extension_type"),
    "another object": lambda note: note.update(object_refs=[ID]),
    "more objects": lambda note: note["object_refs"].append(ID),
    "no object": lambda note: note.update(object_refs=[]),
    "other words": lambda note: note.update(content=note["content"] + " because"),
    "another heading": lambda note: note.update(abstract=note["abstract"] + "!"),
    "the words of another action": lambda note: said(note).update(action="restored"),
    "an action of nobody": lambda note: said(note).update(action="gone"),
    "an id that says something": lambda note: note.update(id="note--because"),
    "an id and more": lambda note: note.update(id=note["id"] + " because"),
    "a creator that says something": lambda note: note.update(created_by_ref="identity--zeta"),
    "an object that says something": lambda note: (said(note).update(id="x"), note.update(object_refs=["x"])),
    "a date that says something": lambda note: note.update(created="yesterday"),
    "a version that says something": lambda note: said(note).update(version="1"),
    "a change that says something": lambda note: note.update(modified="2026-01-01T00:00:00.000Z or so"),
    "no mark": lambda note: note.update(object_marking_refs=[]),
    "a mark that nobody knows": lambda note: note.update(object_marking_refs=["marking-definition--" + UUID]),
    "a known mark and another": lambda note: note["object_marking_refs"].append("marking-definition--" + UUID),
    "no marking definition": lambda note: note.update(object_marking_refs=["x" + note["object_marking_refs"][0]]),
    "a mark that is none": lambda note: note.update(object_marking_refs=[7]),
    "no text": lambda note: note.update(id=7),
    "no dictionary": lambda note: note.update(extensions=[recall.EXTENSION]),
}
"""What makes it say more than it may."""


@pytest.mark.parametrize("odd", ODD)
def test_a_notice_that_says_more_goes_to_nobody(odd: str) -> None:
    """R8: which object in which version, the fixed words, and marks that we know."""
    note = notice()
    ODD[odd](note)
    assert not gate_notice(orjson.dumps(note))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"null", b'{"extensions":{}}', b'"note"'])
def test_what_is_no_notice_is_none(body: bytes) -> None:
    assert not gate_notice(body)


@pytest.mark.parametrize("when", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z"])
def test_a_version_is_written_as_its_giver_wrote_it(when: str) -> None:
    """STIX 2.1 section 2.16: any number of digits."""
    note = notice()
    said(note).update(version=when)
    assert gate_notice(orjson.dumps(note))
    for odd in (when[:-1], "x" + when, when + "x", when.replace("T", " "), "12026-01-01T00:00:00Z"):
        said(note).update(version=odd)
        assert not gate_notice(orjson.dumps(note))
