"""The second gate: no TLP mark stricter than the clearance leaves, however its bytes are laid out (R25).

What leaves is always our own serialiser's output (`orjson.dumps`: no escapes in ASCII text, no white space, no
duplicate keys), so the gate may rely on plain text there. The tests below also feed it what that serialiser would never
write, because a gate that trusts the writer is no second gate.
"""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model import marking
from exchange.model.lights import COLOURS, PAP_IDS, PFC_IDS, Pap, Pfc
from exchange.model.marking import TLP_IDS, Label, Tlp, of_ids, tags_of
from exchange.policy import gate, gate_event, strictest, within
from exchange.policy.gate import NO_PAP, PFC

RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
CLEAR = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
STATEMENT = "marking-definition--aaaaaaaa-0000-4000-8000-000000000001"
KNOWN = sorted(TLP_IDS.items())
CLEARANCES = [level | flags for level in Tlp for flags in (0, PFC, NO_PAP, PFC | NO_PAP)]


def indicator(**more: object) -> dict[str, object]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--11111111-1111-4111-8111-111111111111",
        "pattern": "[file:name = 'a[0]\"']",
        **more,
    }


def granular(*ids: str) -> list[dict[str, object]]:
    return [{"selectors": ["name", "labels.[0]"], "marking_ref": each} for each in ids]


@pytest.mark.parametrize("clearance", CLEARANCES)
@pytest.mark.parametrize(("identifier", "level"), KNOWN)
def test_gate_and_model_agree_on_every_tlp_id(identifier: str, level: Tlp, clearance: int) -> None:
    """Each of the ten ids passes exactly up to its level, as an object mark and as a granular mark, on any list."""
    for stix in (
        indicator(object_marking_refs=[identifier]),
        indicator(object_marking_refs=[STATEMENT, CLEAR, identifier]),
        indicator(granular_markings=granular(identifier)),
        indicator(granular_markings=granular(CLEAR, STATEMENT, identifier), object_marking_refs=[CLEAR]),
    ):
        assert gate(orjson.dumps(stix), clearance) == (level <= clearance & 7)
        assert marking.of_object(stix).tlp == level


@settings(max_examples=200, deadline=None)
@given(
    refs=st.lists(st.sampled_from([*TLP_IDS, STATEMENT]), max_size=4),
    parts=st.lists(st.sampled_from([*TLP_IDS, STATEMENT]), max_size=3),
    names=st.permutations(["name", "object_marking_refs", "granular_markings", "labels", "description"]),
    text=st.text(max_size=20),
    clearance=st.sampled_from(Tlp),
    indent=st.sampled_from([None, 1, 7]),
    gap=st.sampled_from([":", ": ", " \t:\n  "]),
)
def test_gate_agrees_with_the_model_on_any_object(
    refs: list[str], parts: list[str], names: list[str], text: str, clearance: Tlp, indent: int | None, gap: str
) -> None:
    """For any marks, key order, white space and text around them, the gate's answer is that of the model's label."""
    values = {
        "name": text,
        "description": f'"object_marking_refs":["{RED}"] {text} "marking_ref": "{RED}"',
        "labels": [RED, text],
        "object_marking_refs": refs,
        "granular_markings": granular(*parts),
    }
    stix = indicator(**{name: values[name] for name in names})
    body = json.dumps(stix, indent=indent, separators=(",", gap)).encode()
    level = marking.of_object(stix).tlp
    assert gate(body, clearance) == (level is None or level <= clearance)


@settings(max_examples=200, deadline=None)
@given(
    refs=st.lists(
        st.sampled_from([*TLP_IDS, STATEMENT, RED.upper(), "x,y", f"a,{RED}", f"{RED},b", "x]y", ""]), max_size=4
    ),
    text=st.text(st.characters(codec="utf-8"), max_size=20),
    cut=st.integers(min_value=0),
    clearance=st.sampled_from(Tlp),
)
def test_the_plain_way_gives_the_same_answer(refs: list[str], text: str, cut: int, clearance: Tlp) -> None:
    """An object whose own list is all that names marks is read at a glance; half of it is no JSON and never passes."""
    stix = indicator(name=text, object_marking_refs=refs, description='"object_')
    body = orjson.dumps(stix)
    assert gate(body, clearance) == gate(orjson.dumps([stix, {"marking_ref": ""}]), clearance)
    assert not gate(body[: cut % len(body)], Tlp.RED)
    assert not gate(body + b"}", Tlp.RED)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"a":"\xed\xa0\x80"}',
        f'{{"object_marking_refs":["{RED}'.encode() + b'\xff"]}',
        b'{"object_marking_refs":["\xff' + f'{RED}"]}}'.encode(),
    ],
)
def test_what_is_no_utf8_does_not_pass(body: bytes) -> None:
    """It is no JSON, so nobody may have it, whatever it would say (RFC 8259 section 8.1)."""
    assert not gate(body, Tlp.RED)


@pytest.mark.parametrize("shape", ["bundle", "envelope", "list"])
def test_one_marked_object_stops_an_assembled_body(shape: str) -> None:
    """Of many objects in one body the strictest decides, wherever it stands."""
    fine = [indicator(object_marking_refs=[CLEAR])] * 20
    for place in (0, 7, 20):
        members = [*fine[:place], indicator(granular_markings=granular(RED)), *fine[place:]]
        whole = {"bundle": {"type": "bundle", "objects": members}, "envelope": {"objects": members}, "list": members}
        assert not gate(orjson.dumps(whole[shape]), Tlp.AMBER_STRICT)
        assert gate(orjson.dumps(whole[shape]), Tlp.RED)


def test_a_mark_inside_a_nested_object_stops_it() -> None:
    """Marks count at any depth, inside extensions and embedded objects as well."""
    nested = indicator(extensions={"x": {"inner": [{"object_marking_refs": [CLEAR, RED]}]}})
    assert not gate(orjson.dumps(nested), Tlp.AMBER)


def test_what_is_no_text_among_marks_hides_none() -> None:
    """Numbers, lists, objects: whatever stands in them is read, and nothing else stops the reading."""
    for odd in (7, None, True, [7, [RED]], {"a": [RED]}, [{"b": RED}, 1.5]):
        refs = odd if isinstance(odd, list | dict) else [odd, RED]
        for stix in ({"object_marking_refs": refs}, {"granular_markings": [{"marking_ref": refs}]}):
            assert not gate(orjson.dumps(stix), Tlp.AMBER_STRICT)
            assert gate(orjson.dumps(stix), Tlp.RED)
    assert gate(b'{"object_marking_refs":7,"granular_markings":[{"marking_ref":null}]}', Tlp.CLEAR)


def test_what_only_mentions_a_marking_passes() -> None:
    """A definition, a reference to one and a text that names one are no marks."""
    for stix in (
        {"type": "marking-definition", "id": RED, "name": "TLP:RED"},
        indicator(description=f"see {RED}"),
        indicator(object_refs=[RED]),
        indicator(object_marking_refs=[STATEMENT]),
    ):
        assert gate(orjson.dumps(stix), Tlp.CLEAR)


def test_served_bodies_are_never_escaped() -> None:
    """The serialiser of every served body writes ids as plain text, whatever escapes they were received with."""
    received = b'{"object_marking_refs":["\\u006darking-definition--E828b379-4e03-4974-9ac4-e53a884c97c1"]}'
    served = orjson.dumps(orjson.loads(received))
    assert b"\\" not in served
    assert b'"object_marking_refs":["marking-definition--' in served


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"object_marking_refs":["{RED.replace("m", chr(92) + "u006d", 1)}"]}}', id="escaped id"),
        pytest.param(f'{{"object_marking_refs":["{RED.replace("e8", chr(92) + "u00658", 1)}"]}}', id="escaped uuid"),
        pytest.param(f'{{"object\\u005fmarking_refs":["{RED}"]}}', id="escaped name"),
        pytest.param(f'{{"granular_markings":[{{"marking\\u005fref":"{RED}"}}]}}', id="escaped granular name"),
    ],
)
def test_an_escaped_mark_is_not_let_through(body: str) -> None:
    """JSON escapes hide no mark: where the gate cannot read them, it must refuse (no served body holds any)."""
    assert marking.of_object(orjson.loads(body)).tlp is Tlp.RED
    assert not gate(body.encode(), Tlp.AMBER)


@pytest.mark.parametrize("identifier", [RED.upper().replace("MARKING-DEFINITION", "marking-definition"), RED.upper()])
def test_an_id_in_upper_case_is_the_same_mark(identifier: str) -> None:
    """UUIDs are compared without case: a RED mark in capitals is stopped (orjson leaves capitals as they are)."""
    assert not gate(orjson.dumps(indicator(object_marking_refs=[identifier])), Tlp.AMBER)
    assert not gate(orjson.dumps(indicator(granular_markings=granular(identifier))), Tlp.AMBER)


def test_a_bracket_inside_a_list_of_marks_hides_nothing() -> None:
    """A list of marks does not end at a bracket inside one of its strings, nor at that of a list inside it."""
    assert not gate(orjson.dumps({"object_marking_refs": ["x]y", RED]}), Tlp.AMBER)
    assert not gate(orjson.dumps({"object_marking_refs": [[CLEAR], RED]}), Tlp.AMBER)


def may(label: Label, clearance: int) -> bool:
    """policy.md sections 4 and 5, written out once more."""
    listed = bool(clearance & PFC)
    worth = -1 if label.tlp is None else int(label.tlp)
    if label.pfc is not None:
        worth = max(worth, int(label.pfc) + (label.pfc is Pfc.AMBRE and not listed))
    if (label.pfc is Pfc.VERT or label.vert) and not listed:
        return False
    return worth <= clearance & 7 and not (clearance & NO_PAP and label.pap in (Pap.AMBER, Pap.RED))


@pytest.mark.parametrize("clearance", CLEARANCES)
@pytest.mark.parametrize("identifier", sorted({**PAP_IDS, **PFC_IDS}))
def test_gate_and_model_agree_on_every_pap_and_pfc_id(identifier: str, clearance: int) -> None:
    """Each id, among the object's marks and among granular ones, beside TLP and alone."""
    for stix in (
        indicator(object_marking_refs=[identifier]),
        indicator(object_marking_refs=[STATEMENT, CLEAR, identifier]),
        indicator(granular_markings=granular(identifier), object_marking_refs=[CLEAR]),
    ):
        assert gate(orjson.dumps(stix), clearance) == may(marking.of_object(stix), clearance)


@settings(max_examples=300, deadline=None)
@given(
    refs=st.lists(st.sampled_from([*TLP_IDS, *PAP_IDS, *PFC_IDS, STATEMENT]), max_size=4),
    parts=st.lists(st.sampled_from([*TLP_IDS, *PAP_IDS, *PFC_IDS]), max_size=2),
    clearance=st.sampled_from(CLEARANCES),
)
def test_several_marks_count_on_each_axis(refs: list[str], parts: list[str], clearance: int) -> None:
    """Of any marks the strictest on each axis decides; no mark makes up for another."""
    stix = indicator(object_marking_refs=refs, granular_markings=granular(*parts))
    body = orjson.dumps(stix)
    assert gate(body, clearance) == may(of_ids([*refs, *parts]), clearance)
    assert within(strictest(body), clearance) == gate(body, clearance)


def misp(*names: str, distribution: str = "1", **more: object) -> dict[str, object]:
    return {
        "uuid": "x",
        "distribution": distribution,
        "Tag": [{"name": name, "colour": "#ffffff"} for name in names],
        **more,
    }


@settings(max_examples=300, deadline=None)
@given(
    whole=st.builds(
        Label, tlp=st.sampled_from(Tlp), pap=st.none() | st.sampled_from(Pap), pfc=st.none() | st.sampled_from(Pfc)
    ),
    inner=st.builds(
        Label,
        tlp=st.none() | st.sampled_from(Tlp),
        pap=st.none() | st.sampled_from(Pap),
        pfc=st.none() | st.sampled_from(Pfc),
    ),
    place=st.sampled_from(["Attribute", "Object", "EventReport"]),
    clearance=st.sampled_from(CLEARANCES),
)
def test_an_event_is_judged_by_all_the_tags_in_it(whole: Label, inner: Label, place: str, clearance: int) -> None:
    """Tags on the event and on any part of it, as we write them, are judged as the marks that they stand for."""
    event = misp(*tags_of(whole), **{place: [misp(*tags_of(inner), distribution="5")]})
    assert gate_event(orjson.dumps({"Event": event}), clearance) == may(whole.join(inner), clearance)


@pytest.mark.parametrize("name", [*COLOURS, "tlp:white", "PAP:WHITE", " TLP:Red", "TLP : Red", "pap:amber", "Pfc:Vert"])
@pytest.mark.parametrize("clearance", CLEARANCES)
def test_gate_and_model_agree_on_every_tag(name: str, clearance: int) -> None:
    """Each tag in any case and with spaces; what says no audience makes no event."""
    body, label = orjson.dumps({"Event": misp(name)}), marking.of_tags([name])
    assert gate_event(body, clearance) == (may(label, clearance) and label.stated)
    assert gate_event(body, clearance, whole=False) == may(label, clearance)


@pytest.mark.parametrize(
    "event",
    [
        misp("tlp:green", "tlp:unclear"),
        misp("tlp:green", "pap:purple"),
        misp("tlp:green", Attribute=[misp("tlp:purple", distribution="5")]),
        misp("osint"),
        misp(),
        misp("tlp:green", Tag=[{"name": "tlp:green"}, {"name": "x", "local": True}]),
        misp("tlp:green", Attribute=[{"Tag": [{"name": "x", "exportable": False}]}]),
        misp("tlp:green", Tag={"name": "tlp:green"}),
        misp("tlp:green", Tag=["tlp:green"]),
        misp("tlp:green", Attribute=[{"Tag": {}}]),
        misp("tlp:green", Attribute=[{"Tag": ""}]),
        misp("tlp:green", Attribute=[{"Tag": ["tlp:green"]}]),
        misp("tlp:green", SharingGroup={}),
        misp("tlp:clear", Attribute=[{"SharingGroup": {"uuid": "x"}}]),
        misp("tlp:clear", distribution="4"),
        misp("tlp:green", distribution="3"),
        misp("tlp:amber", distribution="2"),
        misp("pfc:vert", distribution="2"),
        misp("tlp:green", "pfc:vert", distribution=3),
        misp("tlp:clear", Attribute=[misp("tlp:green", distribution="3")]),
        misp("tlp:clear", Object=[{"Attribute": [misp("tlp:red", distribution="2")]}]),
        misp("tlp:green", object_marking_refs=[RED], distribution="6"),
        misp("tlp:clear", distribution="everybody"),
        "x",
        [],
    ],
    ids=repr,
)
def test_an_event_that_is_odd_goes_to_nobody(event: object) -> None:
    """A level that nobody knows, tags that MISP would not pass on, sharing groups, too wide distributions."""
    assert not gate_event(orjson.dumps({"Event": event}), Tlp.RED | PFC)


def test_an_event_as_we_write_it_passes() -> None:
    """CLEAR to all, GREEN to connected communities, the rest to the receiver's own; what is deleted says no more."""
    gone = {"uuid": "y", "type": "domain", "category": "Network activity", "deleted": True, "timestamp": "1"}
    for name, distribution in (("tlp:clear", "3"), ("tlp:green", "2"), ("tlp:amber", "1"), ("pfc:vert", "1")):
        inside = [
            misp(distribution="5"),
            misp("tlp:amber", distribution="1"),
            gone,
            misp("osint:ok", 'iep2-policy:id="1"'),
        ]
        event = misp(name, distribution=distribution, Attribute=inside, Galaxy=[])
        assert gate_event(orjson.dumps({"Event": event}), Tlp.AMBER | PFC)
        assert gate_event(orjson.dumps(event), Tlp.AMBER | PFC)
    assert not gate_event(b'{"Event":{"Tag":[{"name":"tlp:clear"}]}', Tlp.RED)
    assert not gate_event(orjson.dumps(misp("tlp:clear", object_marking_refs=[RED])), Tlp.AMBER)


def test_an_escaped_tag_is_no_other_tag() -> None:
    """The event is read, not searched: how its letters are written makes no difference."""
    body = b'{"Event":{"Tag":[{"name":"tlp:clear"},{"name":"tl\\u0070:red"}]}}'
    assert gate_event(body, Tlp.RED)
    assert not gate_event(body, Tlp.AMBER)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ('iep2-policy:tlp="white"', Tlp.CLEAR), ('iep2-policy:tlp="green"', Tlp.GREEN),
        ('iep2-policy:tlp="amber"', Tlp.AMBER), ('iep2-policy:tlp="red"', Tlp.RED),
        ('ais-marking:TLPMarking="WHITE"', Tlp.CLEAR), ('ais-marking:TLPMarking="GREEN"', Tlp.GREEN),
        ('ais-marking:TLPMarking="AMBER"', Tlp.AMBER), ("tlp:clear", Tlp.CLEAR), ("TLP:WHITE", Tlp.CLEAR),
        ("pfc:libre", Tlp.CLEAR), ("pfc:rouge", Tlp.RED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("clearance", Tlp)
def test_a_tag_that_says_a_level_in_other_words_counts_as_that(name: str, level: Tlp, clearance: Tlp) -> None:
    """R25: no more and no less; beside TLP:CLEAR, as it comes."""
    body = orjson.dumps({"Event": misp("tlp:clear", name)})
    for flags in (0, PFC, NO_PAP):
        assert gate_event(body, clearance | flags) == (level <= clearance)


@pytest.mark.parametrize(
    "name", ['iep2-policy:tlp="blue"', 'ais-marking:TLPMarking="RED"', "tlp:", "pfc:blanc", "pap:x"]
)
def test_a_protocol_that_says_nothing_we_know_goes_to_nobody(name: str) -> None:
    for flags in (0, PFC):
        assert not gate_event(orjson.dumps({"Event": misp("tlp:clear", name)}), Tlp.RED | flags)
        assert not gate_event(orjson.dumps(misp(name)), Tlp.RED | flags, whole=False)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"tlp:clear"', b'{"Event":7}', b'{"Event":[]}', b"{}", b"{"])
def test_what_is_no_event_goes_to_nobody(body: bytes) -> None:
    assert not gate_event(body, Tlp.RED | PFC)


@pytest.mark.parametrize("tag", [*({"local": each} for each in (0, False, "0", "False", None)), {"distribution": "4"},
                                 *({"exportable": each} for each in (1, True, "1", "True"))])  # fmt: skip
def test_a_tag_that_misp_passes_on_passes(tag: dict[str, object]) -> None:
    event = misp(distribution="1", Tag=[{"name": "tlp:clear", **tag}])
    assert gate_event(orjson.dumps(event), Tlp.CLEAR)


@pytest.mark.parametrize("tag", [*({"local": each} for each in (1, True, "1")),
                                 *({"exportable": each} for each in (0, False, "0", None))])  # fmt: skip
def test_a_tag_that_misp_keeps_stops_it(tag: dict[str, object]) -> None:
    event = misp(distribution="1", Tag=[{"name": "tlp:clear", **tag}])
    assert not gate_event(orjson.dumps(event), Tlp.RED)


@pytest.mark.parametrize("level", ["tlp:clear", "tlp:green", "tlp:amber", "tlp:amber+strict", "tlp:red"])
@pytest.mark.parametrize("distribution", ["0", "1", "2", "3", "4", "5", "6", "", None])
def test_no_distribution_is_wider_than_the_level(level: str, distribution: object) -> None:
    """CLEAR goes to all communities, GREEN to connected ones, the rest to the receiver's own; 5 is the event's."""
    widest = {"tlp:clear": {"0", "1", "2", "3", "5"}, "tlp:green": {"0", "1", "2", "5"}}.get(level, {"0", "1", "5"})
    for event in (
        {"Event": {"Tag": [{"name": level}], "distribution": distribution}},
        {"Event": {"Tag": [{"name": level}], "Attribute": [{"distribution": distribution}]}},
        {"Event": {"Tag": [{"name": level}], "Object": [{"Attribute": {"distribution": distribution}}]}},
    ):
        assert gate_event(orjson.dumps(event), Tlp.RED) is (distribution in widest)
