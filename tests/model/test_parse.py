"""`stix.parse`: what it takes, what it refuses, and that it refuses in one way only."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
import stix2
from hypothesis import given, settings
from hypothesis import strategies as st
from stix_samples import (
    GREEN,
    IDENTITY,
    JSON,
    OTHER,
    RED,
    SAMPLES,
    STATEMENT,
    UUID,
    WHEN,
    encode,
    indicator,
    sco,
    sdo,
    spoilt,
)

from exchange.errors import ContentError
from exchange.model import definitions, marking, misp, stix
from exchange.model.envelope import sift
from exchange.model.lights import Pap
from exchange.model.marking import Label, Tlp

PAP_EXTENSION = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b"
PFC_EXTENSION = "extension-definition--c7f2a0b4-1d6e-4f38-9b52-6e0d3a91c845"

MANY = settings(max_examples=400, deadline=None)


def refused(raw: bytes) -> str:
    with pytest.raises(ContentError) as caught:
        stix.parse(raw)
    return caught.value.code


def with_literal(text: str, name: str = "x_n") -> bytes:
    """An indicator whose property `name` is the JSON text `text`, byte for byte."""
    return encode(indicator(**{name: "HERE"})).replace(b'"HERE"', text.encode())


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_kind_of_object_is_taken(kind: str) -> None:
    """A valid object of each kind is taken with its bytes, its id and every property as they came."""
    raw = encode(SAMPLES[kind])
    found = stix.parse(raw)
    assert (found.id, found.type, found.raw) == (SAMPLES[kind]["id"], kind, raw)
    assert json.loads(found.body) == SAMPLES[kind]
    assert found.repairs == ()


def test_an_object_is_read_in_full() -> None:
    """Creator, label, version, references and ends are what the object says."""
    found = stix.parse(encode(SAMPLES["indicator"]))
    assert found.creator == IDENTITY
    assert found.label == Label(tlp=Tlp.RED, unknown=frozenset({STATEMENT}), confidence=50)
    assert found.version == "2026-01-02T03:04:05.678000"
    assert found.refs == {IDENTITY, STATEMENT}
    assert not found.revoked
    assert stix.parse(encode(SAMPLES["relationship"])).ends == {f"malware--{UUID}", f"tool--{UUID}"}
    assert stix.parse(encode(SAMPLES["sighting"])).ends == {f"indicator--{UUID}", f"observed-data--{UUID}"}
    assert stix.parse(encode(SAMPLES["note"])).ends == {f"indicator--{UUID}"}
    assert stix.parse(encode(SAMPLES["report"])).ends == {f"indicator--{UUID}", f"malware--{UUID}"}
    assert stix.parse(encode(SAMPLES["ipv4-addr"])).version == ""
    assert stix.parse(encode(indicator(revoked=True))).revoked


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"\xff\xfe",
        b"{}",
        b"\xef\xbb\xbf{}",
        encode(indicator())[:-1],
        encode(indicator()) + b"x",
        encode(indicator()).replace(b"evil", b"\xff"),
        with_literal("NaN"),
        with_literal("Infinity"),
        with_literal("-Infinity"),
        with_literal("1e400"),
        with_literal("01"),
        with_literal('"\\ud800"'),
        with_literal('"\\udc00\\ud800"'),
        with_literal('"a\nb"'),
        with_literal("'x'"),
        with_literal("1,"),
        with_literal("/* */ 1"),
    ],
    ids=lambda raw: ascii(raw[-24:].decode("latin-1")),
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    """Bytes that are no JSON object of I-JSON are refused."""
    assert refused(raw).startswith("content.")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": None}, "content.type"),
        ({"type": 1}, "content.type"),
        ({"type": "Indicator"}, "content.type"),
        ({"type": "in_dicator"}, "content.type"),
        ({"type": "malware"}, "content.id"),
        ({"id": None}, "content.id"),
        ({"id": 7}, "content.id"),
        ({"id": ""}, "content.id"),
        ({"id": UUID}, "content.id"),
        ({"id": f"indicator-{UUID}"}, "content.id"),
        ({"id": f"malware--{UUID}"}, "content.id"),
        ({"id": "indicator--1"}, "content.id"),
        ({"id": f"indicator--{UUID}0"}, "content.id"),
        ({"id": f" indicator--{UUID}"}, "content.id"),
        ({"spec_version": ""}, "content.spec_version"),
        ({"spec_version": "1.2"}, "content.spec_version"),
        ({"spec_version": 2.1}, "content.spec_version"),
        ({"created": "yesterday"}, "content.schema"),
        ({"created": "2026-01-02T03:04:05.678+00:00"}, "content.schema"),
        ({"created": "2026-01-02 03:04:05.678Z"}, "content.schema"),
        ({"pattern": 1}, "content.schema"),
        ({"confidence": 101}, "content.schema"),
        ({"revoked": "true"}, "content.schema"),
        ({"labels": []}, "content.schema"),
    ],
    ids=str,
)
def test_a_bad_frame_or_property_is_refused_by_name(change: dict[str, Any], code: str) -> None:
    """Each broken rule of the standard has the reason code under which the object is set aside."""
    assert refused(encode(indicator(**change))) == code


def test_a_final_line_end_is_no_part_of_an_id() -> None:
    """An id with a line end after it is not that id."""
    refused(encode(indicator(id=f"indicator--{UUID}\n")))
    refused(encode(indicator(type="indicator\n", id=f"indicator\n--{UUID}")))
    refused(encode(sdo("x-thing", id=f"x-thing--{UUID}\n")))


def test_without_spec_version_an_observable_is_stix_21_and_all_else_stix_20() -> None:
    """An observable without spec_version stays what it is; anything else is upgraded, and says so (R6)."""
    assert stix.parse(encode(sco("url", value="http://x.example/"))).repairs == ()
    assert refused(encode(sco("url", value="http://x.example/", spec_version="2.0"))) == "content.spec_version"
    for kind in ("indicator", "x-thing", "marking-definition", "relationship"):
        bare = {name: value for name, value in SAMPLES[kind].items() if name != "spec_version"}
        for version in ({}, {"spec_version": "2.0"}):
            found = stix.parse(encode({**bare, **version}))
            assert json.loads(found.body) == SAMPLES[kind]
            assert found.repairs == ("repair.stix20",)


WRONG = [
    *(None, True, 1, 1.5, "", "x", [], {}, [1], [None], [[]], [{}], ["x"], [True], {"a": 1}, [[RED]], [f"{RED} "]),
    *([{"marking_ref": wrong, "selectors": ["name"]}] for wrong in (1, "", "x", [RED], {}, f"{RED}\n")),
]


MARKS = ("object_marking_refs", "granular_markings")
SOURCES = ("created_by_ref", "external_references")  # no properties of observables (STIX 2.1 section 3.2)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, name) for kind in ("indicator", "x-thing", "url", "language-content") for name in MARKS),
        *((kind, name) for kind in ("indicator", "x-thing", "marking-definition") for name in SOURCES),
    ],
)
def test_wrong_kinds_of_marks_are_refused(kind: str, name: str) -> None:
    """A property that carries marks, creators or sources of the wrong kind is refused on every kind that defines it."""
    for value in WRONG:
        refused(encode({**SAMPLES[kind], name: value}))


def test_a_creator_is_always_text() -> None:
    """Observables define no created_by_ref; whatever one holds there, the creator that we go by is text."""
    for value in WRONG:
        found = taken_or_refused(encode(sco("url", value="http://x.example/", created_by_ref=value)))
        assert found is None or isinstance(found.creator, str)


def test_a_property_is_not_stated_twice() -> None:
    """A duplicate property name is refused (RFC 7493 section 2.3): we do not choose between two marks."""
    twice = encode(indicator(object_marking_refs=[RED]))[:-1] + f',"object_marking_refs":["{GREEN}"]}}'.encode()
    assert refused(twice) == "content.duplicate"


def test_a_duplicate_deep_inside_is_refused_too() -> None:
    """Duplicate names count at every depth."""
    assert refused(with_literal('{"a":1,"a":2}')) == "content.duplicate"


def test_size_is_bounded() -> None:
    """An object of more than the largest size is refused before anything is read of it."""
    assert refused(b"x" * (stix.LARGEST + 1)) == "content.size"
    filled = encode(indicator(description=""))
    fits = encode(indicator(description="x" * (stix.LARGEST - len(filled))))
    assert len(fits) == stix.LARGEST
    assert stix.parse(fits).type == "indicator"


@pytest.mark.parametrize("levels", [70, 300, 1100, 100_000])
@pytest.mark.parametrize("name", ["x_deep", "x_refs", "object_marking_refs"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"x_refs":', "}]")])
def test_depth_is_bounded_everywhere(name: str, opening: str, closing: str, levels: int) -> None:
    """Nesting past the deepest is refused wherever it stands, also inside a list of references."""
    refused(with_literal(f"[{opening * levels}1{closing * levels}]", name))


def test_depth_within_the_limit_is_taken() -> None:
    """Nesting that real objects could have is taken."""
    assert stix.parse(with_literal("[" * 50 + "]" * 50)).type == "indicator"


def test_a_bundle_is_not_an_object() -> None:
    """A bundle is no STIX object: what is inside would be handed on without being judged (DESIGN 1)."""
    inner = {**SAMPLES["indicator"], "object_marking_refs": [RED]}
    bundle = {"type": "bundle", "id": f"bundle--{UUID}", "objects": [inner]}
    refused(encode(bundle))
    refused(encode({**bundle, "spec_version": "2.1"}))


def test_a_language_mark_is_taken() -> None:
    """A granular marking has a marking_ref or a lang (STIX 2.1 section 7.2.3); one with lang says no more than that."""
    granular = [{"selectors": ["description"], "lang": "fr"}]
    found = stix.parse(encode(indicator(description="d", granular_markings=granular)))
    assert found.label == Label()


@pytest.mark.parametrize(
    ("said", "taken"), [("Mutt/1.5.23", True), (["Mutt/1.5.23"], True), (["a", "b"], True), ([], False), ([1], False)]
)
def test_a_header_of_a_message_may_be_a_list_of_one(said: Any, taken: bool) -> None:
    """Section 6.6 has it so, OASIS's schema does not; a message that is not taken tells of no recipient."""
    raw = encode(sco("email-message", is_multipart=False, additional_header_fields={"X-Mailer": said}))
    if taken:
        assert stix.parse(raw).type == "email-message"
    else:
        assert refused(raw) == "content.schema"


@pytest.mark.parametrize("name", ["created", "modified", "valid_from"])
@pytest.mark.parametrize("value", ["2026-02-29T00:00:00.000Z"])
def test_a_day_that_does_not_exist_is_refused(name: str, value: str) -> None:
    """A timestamp names a day of the calendar (the OASIS validator's own cases)."""
    refused(encode(indicator(**{name: value})))


@pytest.mark.parametrize("name", ["x_a", "x_b_refs", "description"])
@pytest.mark.parametrize("text", ["plain", "é\u2028\U0001f600", "\x00\x1f\x7f", 'a"\\/b', "\ufeff", "e\u0301"])
def test_text_is_kept_exactly(name: str, text: str) -> None:
    """No character of a value is changed, composed or dropped."""
    found = stix.parse(encode(indicator(**{name: text})))
    assert json.loads(found.body)[name] == text


@MANY
@given(JSON, st.booleans())
def test_values_that_we_do_not_know_are_kept_exactly(value: Any, escaped: bool) -> None:
    """Any JSON value in an unknown property comes out as it came in, type for type."""
    document = sdo("x-thing", x_kept={"in": [value]})
    found = stix.parse(json.dumps(document, ensure_ascii=escaped).encode())
    assert repr(json.loads(found.body)["x_kept"]["in"][0]) == repr(value)
    assert json.loads(stix.normal_form(json.loads(found.body))) == document


@pytest.mark.parametrize(
    "number",
    ["18446744073709551615", "-9223372036854775808", "0.1", "1.0", "1e3", "5e-324", "1.7976931348623157e308", "-0.0"],
)
def test_numbers_within_the_machine_are_kept_exactly(number: str) -> None:
    """A number that a double or a 64-bit integer holds comes out with that value and of that kind."""
    found = json.loads(stix.parse(with_literal(number)).body)["x_n"]
    assert repr(found) == repr(json.loads(number))


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"])
def test_a_number_never_changes_in_silence(number: str) -> None:
    """An integer past 64 bits is kept exactly or refused, never rounded to a float (DESIGN 4)."""
    try:
        found = stix.parse(with_literal(number))
    except ContentError:
        return
    assert repr(json.loads(found.body)["x_n"]) == number


def test_references_are_found_at_any_depth() -> None:
    """Every property named _ref or _refs counts, in lists, extensions and lists of references to lists."""
    ids = {name: f"tool--{number:08d}-0000-4000-8000-000000000000" for number, name in enumerate("abcdef")}
    document = sdo(
        "x-thing",
        x_ref=ids["a"],
        x_refs=[ids["b"], 1, None],
        extensions={
            f"extension-definition--{OTHER}": {
                "extension_type": "property-extension",
                "why": [[{"z_ref": ids["c"]}]],
                "inner_refs": [ids["d"]],
            }
        },
        y_refs=[{"z_ref": ids["e"]}],
        z_ref={"w_refs": [ids["f"]]},
        name=f"tool--{OTHER}",
    )
    assert stix.parse(encode(document)).refs == set(ids.values())


def test_references_leave_out_tlp_and_itself() -> None:
    """TLP ids are known to everybody and an object does not refer to itself."""
    document = sdo("x-thing", object_marking_refs=[RED, GREEN, STATEMENT], x_ref=f"x-thing--{UUID}")
    assert stix.parse(encode(document)).refs == {STATEMENT}


def test_digests_tell_a_touch_from_a_change() -> None:
    """Key order is no difference; another modified is a touch; another value is a change (R9)."""
    first = stix.parse(encode(indicator()))
    turned = stix.parse(encode(dict(reversed(indicator().items()))))
    touched = stix.parse(encode(indicator(modified="2026-01-03T00:00:00.000Z")))
    changed = stix.parse(encode(indicator(description="d")))
    assert first.digest == turned.digest
    assert (first.digest, first.version) != (touched.digest, touched.version)
    assert first.digest == touched.digest
    assert first.digest != changed.digest


def test_under_only_tightens() -> None:
    """Under a floor an object is at least as strict as the floor and as its own marks."""
    green = stix.parse(encode(indicator(object_marking_refs=[GREEN])))
    assert green.under(Label(tlp=Tlp.AMBER)).label.tlp is Tlp.AMBER
    assert green.under(Label(tlp=Tlp.CLEAR)).label.tlp is Tlp.GREEN


# Versions


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.100000Z"),
        ("2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.123000000Z"),
        ("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00:00.123456700Z"),
    ],
)
def test_one_instant_has_one_version(one: str, two: str) -> None:
    """Trailing zeros of a fraction make no other version."""
    assert stix.instant(one) == stix.instant(two)


@given(st.lists(st.tuples(st.datetimes(), st.text("0123456789", max_size=9)), min_size=2, max_size=6))
def test_versions_sort_as_instants(moments: list[tuple[Any, str]]) -> None:
    """As text, versions stand in the order of time, whatever the digits of their fractions."""

    def exact(moment: Any, digits: str) -> tuple[str, Fraction]:
        return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0"), Fraction(int(digits or 0), 10 ** len(digits))

    stated = [exact(*each) for each in moments]
    texts = [
        stix.instant(seconds + (f".{digits}" if digits else "") + "Z")
        for (seconds, _), (_, digits) in zip(stated, moments, strict=True)
    ]
    by_time = sorted(range(len(texts)), key=lambda n: stated[n])
    assert sorted(texts) == [texts[n] for n in by_time]
    assert len(set(texts)) == len(set(stated))
    assert all(len(text.partition(".")[2]) >= 6 for text in texts)


def test_a_tenth_is_later_than_five_hundredths() -> None:
    """.1 is later than .05, and a nanosecond counts."""
    tenth, twentieth = (stix.instant(f"2026-01-01T00:00:00.{each}Z") for each in ("1", "05"))
    assert tenth > twentieth
    assert stix.instant("2026-01-01T00:00:00.000000001Z") > stix.instant("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", "2026-13-01T00:00:00Z",
        "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z",
        "2026-01-01t00:00:00z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00.000Z\n",
        "\u0662\u0660\u0662\u0666-01-01T00:00:00Z", "20260101T000000Z", "2026-02-30T00:00:00Z",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    """Only the form of STIX 2.1 section 2.2 is a timestamp: ASCII digits, a real day, Z, and nothing after it."""
    with pytest.raises(ContentError):
        stix.instant(text)


def test_the_version_is_modified_or_else_created() -> None:
    """TAXII's version of an object: modified, else created, else none of its own (R14)."""
    later = "2026-05-01T00:00:00.000Z"
    assert stix.parse(encode(indicator(modified=later))).version == "2026-05-01T00:00:00.000000"
    assert stix.parse(encode(SAMPLES["marking-definition"])).version == "2026-01-02T03:04:05.678000"
    assert stix.parse(encode(SAMPLES["file"])).version == ""


# TLP definitions


def definition(identifier: str, **more: Any) -> dict[str, Any]:
    return {"type": "marking-definition", "spec_version": "2.1", "id": identifier, "created": WHEN, **more}


@pytest.mark.parametrize("identifier", sorted(marking.TLP_IDS))
@pytest.mark.parametrize(
    "more",
    [
        {"definition_type": "tlp", "definition": {"tlp": "clear"}, "name": "TLP:CLEAR"},
        {"definition_type": "statement", "definition": {"statement": "x"}, "x_opencti_definition": "TLP:AMBER+STRICT"},
        {"name": "TLP:WHITE", "object_marking_refs": [RED]},
        {},
    ],
)
def test_a_tlp_definition_is_served_in_its_canonical_form(identifier: str, more: dict[str, Any]) -> None:
    """A definition with a TLP id is served in the canonical form of its level, whatever form it came in (R6)."""
    found = stix.parse(encode(definition(identifier, **more)))
    served = json.loads(found.body)
    level = marking.TLP_IDS[identifier]
    stated = served.get("definition", {})
    said = (
        stated.get("tlp")
        or stated.get("statement")
        or served["extensions"]["extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"]["tlp_2_0"]
    )
    assert marking.parse_tlp(said) is level
    assert found.repairs == ("repair.tlp_definition",)
    assert found.label == Label(tlp=Tlp.CLEAR)
    assert marking.TLP_IDS[found.id] is level
    assert stix.parse(found.body).repairs == ()
    if level is not Tlp.AMBER_STRICT:
        assert found.id == identifier


@pytest.mark.parametrize(
    ("identifier", "name", "extension", "said"),
    [
        ("ad15a0cd-55b6-4588-a14c-a66105329b92", "PAP:CLEAR", PAP_EXTENSION, {"pap": "clear"}),
        ("c43594d1-4b11-4c59-93ab-1c9b14d53ce9", "PAP:GREEN", PAP_EXTENSION, {"pap": "green"}),
        ("60f8932b-e51e-4458-b265-a2e8be9a80ab", "PAP:AMBER", PAP_EXTENSION, {"pap": "amber"}),
        ("740d36e5-7714-4c30-961a-3ae632ceee0e", "PAP:RED", PAP_EXTENSION, {"pap": "red"}),
        ("a3bea94c-b469-41dc-9cfe-d6e7daba7730", "PAP:WHITE", PAP_EXTENSION, {"pap": "white"}),
        ("3d1f6b0a-58c2-4e97-8a43-f2b7c05d9e61", "PFC:LIBRE", PFC_EXTENSION, {"pfc": "libre"}),
        ("9b64e2c7-0f13-4a85-b6d9-17a8e35c4f20", "PFC:VERT", PFC_EXTENSION, {"pfc": "vert"}),
        ("e07c95d2-6a4b-4d3f-92e8-5b1c8f30a7d4", "PFC:AMBRE", PFC_EXTENSION, {"pfc": "ambre"}),
        ("51a8f3e6-c29d-4b70-8e15-d46f0b92c73a", "PFC:AMBRE+STRICT", PFC_EXTENSION, {"pfc": "ambre+strict"}),
        ("c8e20d49-7b5f-4613-a9c4-0e83d6f15b97", "PFC:ROUGE", PFC_EXTENSION, {"pfc": "rouge"}),
    ],
)
def test_a_pap_or_pfc_definition_has_one_form(identifier: str, name: str, extension: str, said: dict[str, str]) -> None:
    """Whatever somebody writes under these ids, what is served says the level of the id, and binds nobody (R6)."""
    whole = f"marking-definition--{identifier}"
    found = stix.parse(encode(definition(whole, name="PAP:CLEAR", object_marking_refs=[RED])))
    served = json.loads(found.body)
    assert served["name"] == name
    assert served["extensions"] == {extension: {"extension_type": "property-extension", **said}}
    assert found.label == Label(tlp=Tlp.CLEAR)
    assert stix.parse(found.body).repairs == ()


def test_tags_inside_a_carried_misp_entity_are_marks() -> None:
    """A peer's object whose MISP tags are stricter than its marks is as strict as the tags (R12)."""
    entity = {"type": "ip-dst", "value": "203.0.113.7", "Tag": [{"name": "tlp:amber"}, {"name": "PAP:RED"}]}
    for kind, said in (("attribute", entity), ("objects", [{"name": "file", "Attribute": [entity]}])):
        extension = {"extension_type": "property-extension", "event": UUID, kind: said}
        made = sdo("tool", name="x", object_marking_refs=[GREEN], extensions={misp.EXTENSION: extension})
        label = stix.parse(encode(made)).label
        assert (label.tlp, label.pap, label.unknown) == (Tlp.AMBER, Pap.RED, frozenset())


def test_tlp_one_definitions_are_those_of_the_standard() -> None:
    """The four TLP 1 definitions equal those that stix2 carries, which are the standard's own (section 7.2.1.4)."""
    for theirs in (stix2.TLP_WHITE, stix2.TLP_GREEN, stix2.TLP_AMBER, stix2.TLP_RED):
        assert definitions.canonical(theirs.id) == {
            **json.loads(theirs.serialize()),
            "name": f"TLP:{theirs.definition.tlp.upper()}",
        }


def test_tlp_two_definitions_are_those_of_oasis() -> None:
    """AMBER+STRICT is, value for value, the form that OASIS published."""
    assert definitions.canonical(marking.TLP2_ID[Tlp.AMBER_STRICT]) == {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:AMBER+STRICT",
        "extensions": {
            "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {
                "extension_type": "property-extension",
                "tlp_2_0": "amber+strict",
            }
        },
    }


# Anything at all


def taken_or_refused(raw: bytes) -> stix.StixObject | None:
    """The parsed object, or None when it was refused; any other exception fails the test."""
    try:
        return stix.parse(raw)
    except ContentError as error:
        assert error.code.startswith("content.")
        return None


@MANY
@given(st.binary(max_size=200) | JSON.map(encode))
def test_arbitrary_bytes_are_taken_or_refused(raw: bytes) -> None:
    """No bytes and no JSON value raise anything but ContentError (DESIGN 6)."""
    taken_or_refused(raw)


@settings(max_examples=1000, deadline=None)
@given(spoilt())
def test_spoilt_objects_are_taken_or_refused(document: dict[str, Any]) -> None:
    """A valid object with values replaced, added or removed raises only ContentError; what is taken has its kinds."""
    found = taken_or_refused(encode(document))
    if found is None:
        return
    assert isinstance(found.creator, str)
    assert all(isinstance(each, str) for each in (*found.refs, *found.ends, *found.label.unknown))
    assert all(isinstance(each, str) for pair in found.values for each in pair)
    assert isinstance(found.fact, str)
    if not found.repairs:
        assert repr(json.loads(found.body)) == repr(json.loads(encode(document)))
        assert found.label.spread == marking.of_object(document)
    assert stix.parse(found.body).digest == found.digest


@settings(max_examples=200, deadline=None)
@given(spoilt(), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_overwritten_bytes_are_taken_or_refused(document: dict[str, Any], at: int, noise: bytes) -> None:
    """A few bytes overwritten anywhere raise only ContentError."""
    raw = encode(document)
    at %= len(raw)
    taken_or_refused(raw[:at] + noise + raw[at + len(noise) :])


@pytest.mark.parametrize("value", [False, True, 7, 1.5, ["2026"], {"day": 1}])
def test_a_date_of_another_kind_on_an_observable_is_no_crash(value: Any) -> None:
    """Section 6 knows no `created` on observables, so the schema lets pass whatever stands there."""
    document = {
        "type": "ipv4-addr",
        "id": "ipv4-addr--11111111-1111-4111-8111-111111111111",
        "value": "198.51.100.3",
        "created": value,
    }
    found = taken_or_refused(encode(document))
    assert found is None or (found.day, found.version) == ("", "")


def test_one_bad_object_does_not_stop_the_others() -> None:
    """Sifting sets a bad object aside with its bytes, reason and id, and takes the rest (DESIGN 6)."""
    bomb = with_literal("[" * 300 + "]" * 300, "x_refs")
    bad = [b"{", b'{"id":"nonsense"}', encode(indicator(pattern=1)), bomb]
    good, rejected = sift([encode(indicator()), *bad, encode(SAMPLES["url"])])
    assert [found.type for found in good] == ["indicator", "url"]
    assert [each.raw for each in rejected] == bad
    assert [each.id for each in rejected] == ["", "", f"indicator--{UUID}", f"indicator--{UUID}"]


def test_many_mistakes_cost_no_more_than_one() -> None:
    """The first mistake is reported; a list of hundreds of thousands would take minutes and gigabytes."""
    with pytest.raises(ContentError, match=r"content\.schema"):
        stix.parse(encode(indicator(external_references=[{}] * 100_000)))


def test_no_long_text_is_kept() -> None:
    """A text that ends as a timestamp does is no timestamp; to remember it would cost what its giver likes."""
    stix._check_day.cache_clear()
    for length in (31, 1_000, 1_000_000):
        stix.parse(json.dumps(indicator(description="x" * length + "Z")).encode())
    assert stix._check_day.cache_info().currsize <= 3  # its own dates
