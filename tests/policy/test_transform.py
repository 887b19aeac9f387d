"""Transforms by themselves (RULES R6, R7, R12 to R16): what comes out is valid, says no more and is marked no less."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import NOW, agreement, collection

from exchange.model import lineage, marking, misp, personal, stix
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.policy import Decision, Making, Names, Refused, Rules, Subject, Transform, apply, gate_names
from exchange.policy.transform import Limit

NODE = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
MAKER = "identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"
NAMES = Names.of([MAKER], ["Zeta  Labs", "ZL"], ["soc@zeta.example", "https://www.zeta.example/contact"])
GREEN, AMBER, RED = (TLP2_ID[level] for level in (Tlp.GREEN, Tlp.AMBER, Tlp.RED))


def mint(stix_id: str) -> str:
    """As a class of recipients has it."""
    kind = stix_id.partition("--")[0]
    return f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, stix_id)}"


MAKING = Making(mint=mint, node=NODE, token="0a" * 32, names=NAMES)


def transform(**wanted: Any) -> Transform:
    return Transform(recipients="r", **wanted)


def cut(level: Tlp) -> Transform:
    """Without the parts stricter than that."""
    return transform(cut=Limit(ceiling=level, listed=False, pap=True))


def indicator(**more: Any) -> dict[str, Any]:
    return {
        "type": "indicator", "spec_version": "2.1", "id": "indicator--c1550b3d-85a8-45e1-bc49-dc835c1cdd9c",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-02T00:00:00.000Z", "created_by_ref": MAKER,
        "pattern": "[domain-name:value = 'a.example']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN], **more,
    }  # fmt: skip


def made(document: Mapping[str, Any], wanted: Transform, making: Making = MAKING) -> dict[str, Any]:
    """What comes of it, which is valid."""
    found = apply(document, wanted, making)
    assert isinstance(found, dict), found
    stix.parse(json.dumps(found).encode(), stix20=False)
    return found


# --- parts ----------------------------------------------------------------------------------------------------------


def test_lists_close_up_and_selectors_follow() -> None:
    document = indicator(
        labels=["a", "b", "c"],
        granular_markings=[
            {"marking_ref": RED, "selectors": ["labels.[0]"]},
            {"marking_ref": GREEN, "selectors": ["labels.[1]", "labels.[2]", "labels.[0]"]},
        ],
    )
    found = made(document, cut(Tlp.AMBER))
    assert found["labels"] == ["b", "c"]
    assert found["granular_markings"] == [{"marking_ref": GREEN, "selectors": ["labels.[0]", "labels.[1]"]}]


def test_a_list_of_which_nothing_is_left_goes() -> None:
    marks = [{"marking_ref": RED, "selectors": ["labels.[0]"]}, {"marking_ref": GREEN, "selectors": ["labels"]}]
    found = made(indicator(labels=["a"], granular_markings=marks), cut(Tlp.GREEN))
    assert not {"labels", "granular_markings"} & found.keys()


def test_a_part_within_a_part() -> None:
    reference = {"source_name": "cve", "external_id": "CVE-2026-1001", "description": "for few"}
    marks = [{"marking_ref": RED, "selectors": ["external_references.[0].description"]}]
    found = made(indicator(external_references=[reference], granular_markings=marks), cut(Tlp.AMBER))
    assert found["external_references"] == [{"source_name": "cve", "external_id": "CVE-2026-1001"}]


@pytest.mark.parametrize("selector", ["name", "labels.[7]", "labels.x", "pattern.deep"])
def test_a_selector_of_nothing_is_refused(selector: str) -> None:
    document = indicator(labels=["a"], granular_markings=[{"marking_ref": RED, "selectors": [selector]}])
    assert apply(document, cut(Tlp.AMBER), MAKING) == Refused("transform.selector")


def test_an_unknown_mark_on_a_part_takes_the_part() -> None:
    unknown = "marking-definition--aaaaaaaa-0000-4000-8000-000000000001"
    document = indicator(description="x", granular_markings=[{"marking_ref": unknown, "selectors": ["description"]}])
    assert "description" not in made(document, cut(Tlp.RED))


@pytest.mark.parametrize("name", ["pattern", "pattern_type", "valid_from"])
def test_what_is_required_cannot_go(name: str) -> None:
    assert apply(indicator(), transform(redact=frozenset({name})), MAKING) == Refused("transform.required")
    document = indicator(granular_markings=[{"marking_ref": RED, "selectors": [name]}])
    assert apply(document, cut(Tlp.AMBER), MAKING) == Refused("transform.required")


def test_what_says_what_it_is_is_never_redacted() -> None:
    assert apply(indicator(), transform(redact=frozenset({"object_marking_refs", "id"})), MAKING) is None


def test_our_extension_goes_and_the_marks_that_only_it_said_stay() -> None:
    """It says again what was taken out, in MISP's words."""
    carried = {"extension_type": "property-extension", "event": str(uuid.UUID(int=7)), "attribute": {"value": "x"}}
    carried["attribute"] = {"value": "x", "Tag": [{"name": "PAP:RED"}, {"name": "tlp:amber"}]}
    document = indicator(name="n", extensions={misp.EXTENSION: carried})
    found = made(document, transform(redact=frozenset({"name"})))
    assert list(found["extensions"]) == [lineage.EXTENSION]
    assert marking.of_object(found) == marking.of_object(document).spread
    carried["attribute"]["Tag"].append({"name": 'iep2-policy:id="1"'})
    assert apply(document, transform(redact=frozenset({"name"})), MAKING) == Refused("transform.marking")


# --- names ----------------------------------------------------------------------------------------------------------


def test_the_producer_goes_from_wherever_it_shows() -> None:
    document = indicator(
        description="ZETA LABS, and zl: see HTTPS://WWW.Zeta.Example/1. Nothing of zlib.",
        labels=["zeta labs", "kept"],
        x_zeta_score=7,
        external_references=[
            {"source_name": "zeta", "url": "https://x.example"},
            {"source_name": "cve", "external_id": "CVE-2026-1001"},
            {"source_name": "cve", "description": "by ZL"},
        ],
        extensions={
            "extension-definition--11111111-1111-4111-8111-111111111111": {
                "extension_type": "property-extension", "team": "T",
            }
        },
    )  # fmt: skip
    found = made(document, transform(anonymous=True))
    assert found["description"] == "[…] and […] see […] Nothing of zlib."
    assert found["labels"] == ["kept"]
    assert found["external_references"] == [{"source_name": "cve", "external_id": "CVE-2026-1001"}]
    assert "x_zeta_score" not in found
    assert list(found["extensions"]) == [lineage.EXTENSION]
    assert found["created_by_ref"] == mint(MAKER)


def test_a_name_that_stands_often_in_one_word_costs_no_more_than_its_length() -> None:
    """Promise 6: a list of links without a space between them."""
    names = Names.of((), ["Some Partner"], ["https://partner.example"])
    begun = time.process_time()
    assert names.gone("of " + "https://partner.example/a," * 20_000 + " and") == "of […] and"
    assert time.process_time() - begun < 10


def test_a_name_in_what_cannot_lose_it_is_refused() -> None:
    document = indicator(pattern="[domain-name:value = 'mail.zeta.example']")
    assert apply(document, transform(anonymous=True), MAKING) == Refused("transform.required")


def test_an_observable_without_a_name_stays_what_it_is() -> None:
    document = {"type": "domain-name", "spec_version": "2.1", "value": "a.example"}
    document["id"] = "domain-name--ecb120bf-2694-4902-a737-62b74539a41b"
    assert apply(document, transform(anonymous=True), MAKING) is None


def test_a_sector_is_nobody() -> None:
    sector = {
        "type": "identity", "spec_version": "2.1", "id": "identity--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": "Energy",
        "identity_class": "class", "created_by_ref": MAKER,
    }  # fmt: skip
    assert made(sector, transform(anonymous=True))["name"] == "Energy"
    assert made({**sector, "identity_class": "organization"}, transform(anonymous=True))["name"] != "Energy"


def test_what_cannot_be_altered_is_refused() -> None:
    mark = {
        "type": "marking-definition", "spec_version": "2.1", "created": "2026-01-01T00:00:00.000Z",
        "id": "marking-definition--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37", "created_by_ref": MAKER,
        "definition_type": "statement", "definition": {"statement": "(c) Zeta Labs"},
    }  # fmt: skip
    assert apply(mark, transform(anonymous=True), MAKING) == Refused("transform.type")
    custom = {**indicator(), "type": "x-zeta-thing", "id": "x-zeta-thing--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"}
    assert apply(custom, transform(anonymous=True), MAKING) == Refused("transform.type")


# --- laws -----------------------------------------------------------------------------------------------------------

_words = st.sampled_from([
    "Zeta Labs", "zeta labs", "ZL", "ZETA\tLABS", "soc@zeta.example", "www.zeta.example", MAKER, MAKER[10:].upper(),
    "jeanne.tremblay@ville.example", "C:\\Users\\jdoe\\x", "10.1.2.3", "malware", "é", "ﬁ", "İ", ".", ",", "\n", "zl_",
])  # fmt: skip
_text = st.lists(_words, max_size=6).map(" ".join) | st.lists(_words, max_size=4).map("".join)
_marks = st.lists(
    st.fixed_dictionaries({
        "marking_ref": st.sampled_from([GREEN, AMBER, RED]),
        "selectors": st.lists(
            st.sampled_from(["description", "labels.[0]", "labels.[1]", "external_references.[0].source_name"]),
            min_size=1, max_size=3, unique=True,
        ),
    }),
    min_size=1, max_size=3,
)  # fmt: skip


def _reference(source: str) -> dict[str, str]:
    more = {"external_id": "CVE-2026-1001"} if source == "cve" else {"url": "https://x.example"}
    return {"source_name": source, **more}


_documents = st.fixed_dictionaries(
    {},
    optional={
        "name": _text,
        "description": _text,
        "labels": st.lists(_text, min_size=1, max_size=3),
        "external_references": st.lists(
            st.sampled_from(["cve", "zeta"]).map(_reference),
            min_size=1, max_size=2,
        ),
        "granular_markings": _marks,
        "x_misp": _text,
        "confidence": st.integers(0, 100),
    },
).map(lambda more: indicator(**more))  # fmt: skip
_transforms = st.builds(
    transform,
    redact=st.frozensets(st.sampled_from(["name", "description", "labels", "confidence"]), max_size=2),
    cut=st.none() | st.sampled_from(list(Tlp)).map(lambda level: Limit(ceiling=level, listed=False, pap=True)),
    anonymous=st.booleans(),
    personal=st.booleans(),
)


@settings(max_examples=500, deadline=None)
@given(document=_documents, wanted=_transforms)
def test_what_comes_out(document: dict[str, Any], wanted: Transform) -> None:
    """Valid, a new object, with every mark of what is left, and nothing of what had to go; the same every time."""
    before = json.dumps(document)
    found = apply(document, wanted, MAKING)
    assert json.dumps(document) == before
    assert found == apply(document, wanted, MAKING)
    if not isinstance(found, dict):
        assert found is None or found.code.startswith("transform.")
        found = None if isinstance(found, Refused) else document
    if found is None:
        return
    body = json.dumps(found, ensure_ascii=False).encode()
    stix.parse(body, stix20=False)
    if found is not document:
        assert found["id"] == mint(document["id"])
        assert found["created_by_ref"] == (mint(MAKER) if wanted.anonymous else NODE)
        assert lineage.tokens(found) == (MAKING.token,)
        assert found["modified"] == document["modified"]
    assert set(found["object_marking_refs"]) >= set(document["object_marking_refs"])
    assert not wanted.redact & found.keys()
    if wanted.anonymous:
        assert gate_names(body, NAMES.parts, NAMES.words)
        assert MAKER[10:].encode() not in body.lower()
        assert b"zeta labs" not in body.lower()
    if wanted.personal:
        assert personal.find(found) == ()
    if wanted.cut is not None:
        assert all(wanted.cut.allows(marking.of_ids([m["marking_ref"]])) for m in found.get("granular_markings", ()))


@settings(max_examples=300, deadline=None)
@given(document=_documents, wanted=_transforms)
def test_no_part_loses_a_mark(document: dict[str, Any], wanted: Transform) -> None:
    """Whatever is left of a property bears at least the marks that it had."""
    found = apply(document, wanted, MAKING)
    if isinstance(found, dict):
        for name in found.keys() & {"description", "labels", "external_references"}:
            one, other = _on(document, name), _on(found, name)
            kept = {each for each in one if wanted.cut is None or wanted.cut.allows(marking.of_ids([each]))}
            if found[name] == document[name]:
                assert kept <= other


def _on(document: Mapping[str, Any], name: str) -> set[str]:
    """The marks on a property or on a part of it."""
    return {
        mark["marking_ref"]
        for mark in document.get("granular_markings", ())
        if any(selector.split(".")[0] == name for selector in mark["selectors"])
    }


@given(text=_text)
def test_the_gate_and_the_transform_agree(text: str) -> None:
    """R25: whatever the one takes out, the other does not find any more."""
    body = json.dumps({"description": NAMES.gone(text)}).encode()
    assert gate_names(body, NAMES.parts, NAMES.words)


# --- the decision ---------------------------------------------------------------------------------------------------

_labels = st.builds(Label, tlp=st.sampled_from(list(Tlp)))
_subjects = st.builds(
    Subject,
    peer=st.just("circl"),
    type=st.just("indicator"),
    label=_labels,
    parts=st.none() | _labels,
    named=st.booleans(),
    personal=st.booleans(),
)
_clauses = st.fixed_dictionaries({
    "attribution": st.sampled_from(["named", "anonymous"]),
    "granular": st.sampled_from(["join", "remove"]),
    "personal": st.sampled_from(["allowed", "strip", "hold"]),
    "redact": st.frozensets(st.sampled_from(["name", "labels"])),
})  # fmt: skip
_PLAIN = {"attribution": "named", "granular": "join", "personal": "allowed", "redact": frozenset()}


def _decided(subject: Subject, clauses: Mapping[str, Any]) -> Decision:
    send, receive = Send(ceiling=Tlp.AMBER, **clauses), Receive(ceiling=Tlp.RED)
    given = [agreement("giver", ("circl",), receive=receive, send=Send(ceiling=Tlp.CLEAR, onward=True))]
    given.append(agreement("reader", ("ccc",), send=send))
    peers = {name: Peer(id=name, name=name) for name in ("ccc", "circl")}
    room = collection(("ccc",))
    rules = Rules(Terms(peers=peers, collections={room.id: room}, agreements=tuple(given), node_identity=NODE), NOW)
    (audience,) = rules.audiences
    return rules.decide(subject, audience)


@given(subject=_subjects, clauses=_clauses)
def test_a_clause_that_alters_never_widens(subject: Subject, clauses: dict[str, Any]) -> None:
    """Nothing goes as it is that would not go without the clauses; only without parts more may go, and then cut."""
    plain, found = _decided(subject, _PLAIN), _decided(subject, clauses)
    if found.released and not plain.released:
        assert found.transform is not None
        assert found.transform.cut is not None
        assert subject.parts is not None
        assert _decided(replace(subject, label=subject.parts), {**_PLAIN, "granular": "join"}).released
    if found.released:
        assert (found.transform is not None and found.transform.anonymous) == (
            subject.named and clauses["attribution"] == "anonymous"
        )
        assert not (subject.personal and clauses["personal"] == "hold")
        stripped = subject.personal and clauses["personal"] == "strip"
        assert (found.transform is not None and found.transform.personal) == stripped
