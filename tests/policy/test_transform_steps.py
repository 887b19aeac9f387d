"""The steps of a transform one by one: what stays within a limit, what it is called, and what cannot be made."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from exchange.model import lineage, marking, misp
from exchange.model.lights import PFC_ID, Pap, Pfc
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.model.personal import Choice, Refusal
from exchange.policy import Making, Names, Refused, Transform, apply
from exchange.policy.transform import KEPT, Limit

NODE = "identity--00000000-0000-4000-8000-000000000000"
MAKER = "identity--0d9c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"
THING = "malware--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"
GREEN, AMBER, RED = (TLP2_ID[level] for level in (Tlp.GREEN, Tlp.AMBER, Tlp.RED))
LIMIT = Limit(ceiling=Tlp.AMBER, listed=True, pap=True)
HIDE, LESS, STRIP = (
    Transform(recipients="r", **clause)
    for clause in ({"anonymous": True}, {"redact": frozenset({"name"})}, {"personal": True})
)


def mint(stix_id: str) -> str:
    kind = stix_id.partition("--")[0]
    return f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, stix_id)}"


OTHER = "extension-definition--11111111-1111-4111-8111-111111111111"
TOOL = {"extension_type": "property-extension", "score": 1}
MAKING = Making(mint=mint, node=NODE, token="0a" * 32, names=Names(words=frozenset({"zeta labs"})))


def indicator(**more: Any) -> dict[str, Any]:
    return {
        "type": "indicator", "spec_version": "2.1", "id": "indicator--c1550b3d-85a8-45e1-bc49-dc835c1cdd9c",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-02T00:00:00.000Z", "created_by_ref": MAKER,
        "pattern": "[domain-name:value = 'a.example']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN], "name": "n", **more,
    }  # fmt: skip


def made(document: dict[str, Any], transform: Transform, making: Making = MAKING) -> dict[str, Any]:
    found = apply(document, transform, making)
    assert isinstance(found, dict), found
    return found


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "limit", "stays"),
    [
        (Label(), LIMIT, True),
        (Label(tlp=Tlp.AMBER), LIMIT, True),
        (Label(tlp=Tlp.AMBER_STRICT), LIMIT, False),
        (Label(unknown=frozenset("x")), LIMIT, False),
        (Label(iep=frozenset("x")), LIMIT, False),
        (Label(pfc=Pfc.AMBRE), LIMIT, True),
        (Label(pfc=Pfc.AMBRE), replace(LIMIT, listed=False), False),
        (Label(pfc=Pfc.VERT), LIMIT, True),
        (Label(pfc=Pfc.VERT), replace(LIMIT, listed=False), False),
        (Label(pfc=Pfc.LIBRE), replace(LIMIT, listed=False), True),
        (Label(pap=Pap.RED), LIMIT, True),
        (Label(tlp=Tlp.AMBER), replace(LIMIT, pap=False), True),
        (Label(pap=Pap.GREEN), replace(LIMIT, pap=False), True),
        (Label(pap=Pap.AMBER), replace(LIMIT, pap=False), False),
        (Label(pap=Pap.RED), replace(LIMIT, pap=False), False),
    ],
)
def test_what_stays_within_a_limit(label: Label, limit: Limit, stays: bool) -> None:
    """R12: every axis of the part's own mark; what nobody understands goes."""
    assert limit.allows(label) is stays


def test_other_limits_have_other_names() -> None:
    limits = [
        Limit(ceiling=level, listed=listed, pap=pap)
        for level in Tlp
        for listed in (True, False)
        for pap in (True, False)
    ]
    assert len({limit.name for limit in limits}) == len(limits)


# --- names of transforms ----------------------------------------------------------------------------------------------


def test_nothing_is_done_that_was_not_asked() -> None:
    plain = Transform(recipients="r")
    assert (plain.redact, plain.cut, plain.anonymous, plain.personal, plain.codes) == (
        frozenset(),
        None,
        False,
        False,
        (),
    )
    assert apply(indicator(), plain, MAKING) is None


def test_the_codes_say_what_is_done() -> None:
    """They stand in stores, in answers and in the manual."""
    everything = Transform(recipients="r", redact=frozenset({"a"}), cut=LIMIT, anonymous=True, personal=True)
    assert everything.codes == ("transform.anonymous", "transform.granular", "transform.personal", "transform.redact")
    assert (HIDE.codes, LESS.codes, STRIP.codes) == (
        ("transform.anonymous",), ("transform.redact",), ("transform.personal",),
    )  # fmt: skip


def test_other_transforms_have_other_names() -> None:
    """R15: the name begins with the class of recipients, and is stored."""
    transforms = [
        Transform(recipients=recipients, **clauses)
        for recipients in ("r", "s")
        for clauses in (
            {}, {"anonymous": True}, {"personal": True}, {"cut": LIMIT}, {"cut": replace(LIMIT, pap=False)},
            {"redact": frozenset({"a"})}, {"redact": frozenset({"a", "b"})}, {"redact": frozenset({"b"})},
            {"anonymous": True, "personal": True},
        )
    ]  # fmt: skip
    assert len({each.form for each in transforms}) == len(transforms)
    for each in transforms:
        recipients, digest = each.form.split(".")
        assert recipients == each.recipients
        assert len(digest) == 16


# --- what cannot be made ----------------------------------------------------------------------------------------------


def test_what_makes_an_object_what_it_is_is_never_redacted() -> None:
    names = (
        "type spec_version id created_by_ref created modified revoked object_marking_refs granular_markings extensions"
    )
    assert set(names.split()) == KEPT
    document = indicator(
        revoked=False, granular_markings=[{"marking_ref": GREEN, "selectors": ["name"]}], extensions={}
    )
    assert apply(document, Transform(recipients="r", redact=KEPT), MAKING) is None


@pytest.mark.parametrize("kind", ["marking-definition", "extension-definition", "language-content", "bundle"])
def test_what_defines_or_carries_others_is_never_altered(kind: str) -> None:
    document = indicator(type=kind, id=f"{kind}--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37")
    assert apply(document, LESS, MAKING) == Refused("transform.type")
    assert apply({name: value for name, value in document.items() if name != "name"}, LESS, MAKING) is None


def test_the_marks_that_everybody_knows_are_nobodys() -> None:
    """Their definitions go as they are."""
    mark = {"type": "marking-definition", "id": GREEN, "name": "TLP:GREEN", "created_by_ref": MAKER}
    assert apply(mark, LESS, MAKING) is None
    assert apply(mark, HIDE, MAKING) is None


def test_parts_that_cannot_be_found_or_are_not_there_are_refused() -> None:
    """A clause that removes parts is used only where there are some."""
    cut = Transform(recipients="r", cut=Limit(ceiling=Tlp.GREEN, listed=False, pap=True))
    assert apply(indicator(), cut, MAKING) == Refused("transform.selector")
    marks = [{"marking_ref": RED, "selectors": ["name", "labels.[3]"]}]
    assert apply(indicator(granular_markings=marks), cut, MAKING) == Refused("transform.selector")


def test_a_mark_on_a_letter_of_a_text_is_not_lost_with_the_text_left_as_it_is() -> None:
    """R12: no part goes without its mark; a selector that names no part of STIX is refused."""
    document = indicator(
        description="for few", granular_markings=[{"marking_ref": RED, "selectors": ["description.[0]"]}]
    )
    cut = Transform(recipients="r", cut=Limit(ceiling=Tlp.GREEN, listed=False, pap=True))
    assert apply(document, cut, MAKING) == Refused("transform.selector")
    kept = made(document, LESS)["granular_markings"]
    assert kept == [{"marking_ref": RED, "selectors": ["description"]}]


def test_what_has_been_through_too_many_nodes_is_refused() -> None:
    """R16: at most four tokens; a fifth would be one that is lost."""

    def through(count: int) -> dict[str, Any]:
        said = {"extension_type": "property-extension", "tokens": [f"{number}b" * 32 for number in range(count)]}
        return indicator(extensions={lineage.EXTENSION: said})

    assert len(lineage.tokens(made(through(3), LESS))) == 4
    assert apply(through(4), LESS, MAKING) == Refused("transform.lineage")


def test_what_only_tags_said_is_said_by_marks_or_it_is_refused() -> None:
    """Our MISP extension goes; the marks of its tags stay, each once, or it goes to nobody."""

    def carried(*tags: str, refs: list[str] | None = None) -> dict[str, Any]:
        said = {"extension_type": "property-extension", "event": str(uuid.UUID(int=7)),
                "attribute": {"value": "x", "Tag": [{"name": name} for name in tags]}}  # fmt: skip
        document = indicator(extensions={misp.EXTENSION: said, OTHER: TOOL})
        marked = {**document, "object_marking_refs": [GREEN] if refs is None else refs}
        return marked if marked["object_marking_refs"] else {k: v for k, v in marked.items() if v != []}

    def marks(document: dict[str, Any]) -> list[str]:
        found = made(document, LESS)
        assert found["extensions"].keys() == {OTHER, lineage.EXTENSION}
        return found.get("object_marking_refs", [])

    assert marks(carried()) == [GREEN]
    assert marks(carried("tlp:clear")) == [GREEN]
    assert marks(carried("tlp:green")) == [GREEN]
    assert marks(carried("tlp:amber", "pfc:vert")) == [GREEN, AMBER, PFC_ID[Pfc.VERT]]
    assert marks(carried("tlp:green", "pfc:vert")) == [GREEN, PFC_ID[Pfc.VERT]]
    assert marks(carried("tlp:red", refs=[])) == [RED]
    for odd in ("tlp:purple", 'iep2-policy:id="1"'):
        assert apply(carried("tlp:green", odd), LESS, MAKING) == Refused("transform.marking")


def test_a_name_that_stays_anywhere_refuses_it() -> None:
    """In an id, a mark, a reference that nothing could take out."""
    named = replace(MAKING, names=Names(parts=frozenset({THING[9:]})))
    document = indicator(
        type="report", id="report--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b38", published="2026-01-01T00:00:00Z",
        object_refs=[THING], description="d",
    )  # fmt: skip
    for name in ("pattern", "pattern_type", "valid_from"):
        del document[name]
    stays, less = replace(named, stays=frozenset({THING})), Transform(recipients="r", redact=frozenset({"description"}))
    assert not isinstance(apply(document, HIDE, stays), dict)
    assert isinstance(apply(document, HIDE, named), dict)
    assert isinstance(apply(document, less, stays), dict)
    mark = f"marking-definition--{THING[9:]}"
    assert apply(indicator(object_marking_refs=[mark]), HIDE, named) == Refused("transform.named")


def test_what_bears_a_mark_of_a_hidden_producers_own_goes_only_where_the_mark_does() -> None:
    """No mark ever goes, so nothing else could be done; also of the identity that would get a pseudonym."""
    mark = "marking-definition--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"
    stays = replace(MAKING, stays=frozenset({mark}))
    party = {
        "type": "identity", "spec_version": "2.1", "id": MAKER, "name": "Zeta Labs", "identity_class": "organization",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "object_marking_refs": [mark],
    }  # fmt: skip
    part = [{"marking_ref": mark, "selectors": ["name"]}]
    for document in (indicator(object_marking_refs=[GREEN, mark]), party, indicator(granular_markings=part)):
        assert apply(document, HIDE, MAKING) == Refused("transform.named")
        assert isinstance(apply(document, HIDE, stays), dict)
        known = replace(stays, names=Names(parts=frozenset({mark.partition("--")[2]})))
        if document is not party:
            assert apply(document, HIDE, known) == Refused("transform.named")
            assert isinstance(apply(document, LESS, known), dict)


def test_a_custom_object_has_its_name_in_any_property() -> None:
    """So it goes as it is, or not at all."""
    custom = indicator(type="x-thing", id="x-thing--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37")
    assert apply(custom, HIDE, MAKING) == Refused("transform.type")
    nobody = {name: value for name, value in custom.items() if name != "created_by_ref"}
    assert apply(nobody, HIDE, MAKING) is None


# --- what is made -----------------------------------------------------------------------------------------------------


def test_the_new_object_is_ours_and_says_so() -> None:
    """R6, R15, R16: id, creator, lineage; everything else as it was."""
    document = indicator(extensions={OTHER: TOOL}, spec_version="2.0")
    said = {"extension_type": "property-extension", "tokens": [MAKING.token]}
    expected = {
        **{name: value for name, value in document.items() if name != "name"}, "id": mint(document["id"]),
        "spec_version": "2.1", "created_by_ref": NODE, "extensions": {OTHER: TOOL, lineage.EXTENSION: said},
    }  # fmt: skip
    assert made(document, LESS) == expected
    nobody = {name: value for name, value in document.items() if name != "created_by_ref"}
    assert "created_by_ref" not in made(nobody, LESS)


@pytest.mark.parametrize(("stays", "creator"), [((), mint(MAKER)), ((MAKER,), NODE)])
def test_a_hidden_producers_pseudonym_is_the_creator(stays: tuple[str, ...], creator: str) -> None:
    """Unless these recipients know the creator anyway: then what we altered is ours."""
    document = indicator(description="by Zeta Labs")
    assert made(document, HIDE, replace(MAKING, stays=frozenset(stays)))["created_by_ref"] == creator


def test_references_to_what_they_have_under_a_new_id_follow() -> None:
    """R15: only those; a producer may be named where nothing hides it."""
    minted = replace(MAKING, minted=frozenset({THING}))
    other = "tool--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"
    document = {
        "type": "relationship", "spec_version": "2.1", "id": "relationship--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "relationship_type": "uses",
        "source_ref": THING, "target_ref": other, "name": "Zeta Labs", "description": "by Zeta Labs",
    }  # fmt: skip
    found = made(document, LESS, minted)
    assert (found["source_ref"], found["target_ref"]) == (mint(THING), other)
    assert found["description"] == "by Zeta Labs"
    assert made(document, LESS)["source_ref"] == THING


def test_personal_information_is_taken_out_and_its_marks_follow() -> None:
    document = indicator(
        description="seen by jeanne.tremblay@ville.example today", labels=["a"],
        granular_markings=[{"marking_ref": AMBER, "selectors": ["description", "labels.[0]"]}],
    )  # fmt: skip
    found = made(document, STRIP)
    assert "jeanne" not in str(found)
    assert found["granular_markings"] == document["granular_markings"]
    assert apply(indicator(), STRIP, MAKING) is None
    assert marking.of_object(found) == marking.of_object(document)


def test_a_victims_mailbox_is_refused_and_any_other_goes() -> None:
    """By the word of another object of its source; its own says nothing."""
    found = {
        "type": "email-addr",
        "id": "email-addr--8c4cd2f6-56f4-5f0e-9f0e-0b8f5ac1a0f1",
        "value": "bob@ville.example",
    }
    assert apply(found, STRIP, MAKING) is None
    assert apply(found, replace(STRIP, victim=True), MAKING) == Refused("transform.personal_stays")
    assert apply(found, Transform(recipients="r", victim=True), MAKING) is None
    allowed = replace(MAKING, choice=Choice(allowed=("ville.example",)))
    assert apply(found, replace(STRIP, victim=True), allowed) is None


def test_personal_information_stays_where_no_clause_says_otherwise() -> None:
    """What is altered for another reason keeps it."""
    document = indicator(description="seen by jeanne.tremblay@ville.example today")
    assert made(document, LESS)["description"] == document["description"]


def test_where_nothing_personal_is_found_nothing_is_altered() -> None:
    """Not even a selector that names nothing."""
    marks = [{"marking_ref": GREEN, "selectors": ["labels.[4]", "name"]}]
    assert apply(indicator(labels=["a"], granular_markings=marks), STRIP, MAKING) is None


@pytest.mark.parametrize(
    "less",
    [
        dict,
        lambda document: {**document, "description": "seen by paul.roy@ville.example"},
        lambda document: Refusal(code="x", path="y"),
    ],
    ids=["found again", "another", "refused"],
)
def test_personal_information_that_cannot_be_taken_out_refuses_it(less: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found again after that goes to nobody."""
    monkeypatch.setattr("exchange.model.personal.strip", lambda document, found: less(document))
    document = indicator(description="seen by jeanne.tremblay@ville.example today")
    assert apply(document, STRIP, MAKING) == Refused("transform.personal_stays")
    both = replace(STRIP, anonymous=True)
    assert apply(document, both, MAKING) == Refused("transform.personal_stays")


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00.000Z", "2016-12-31T23:59:60.000Z"])
def test_an_identity_of_a_date_that_cannot_be_moved_gets_no_pseudonym(date: str) -> None:
    party = {"type": "identity", "spec_version": "2.1", "id": MAKER, "name": "x", "created": date, "modified": date}
    assert apply(party, HIDE, MAKING) == Refused("transform.required")


def test_nothing_is_assumed_in_making() -> None:
    making = Making(mint=mint, node=NODE, token="0a" * 32)
    assert (making.stays, making.minted, making.names) == (frozenset(), frozenset(), Names())
    assert made(indicator(description="Zeta Labs"), LESS, making)["description"] == "Zeta Labs"


def test_an_event_would_tell_whose_it_is() -> None:
    """R13: what hides its producer carries nothing of MISP; what only takes something out does."""
    said = {"extension_type": "property-extension", "event": str(uuid.UUID(int=7)),
            "attribute": {"type": "domain", "value": "a.example", "category": "Other"}}  # fmt: skip
    document = indicator(description="by Zeta Labs", extensions={misp.EXTENSION: said})
    assert misp.EXTENSION not in made(document, HIDE)["extensions"]
    assert misp.EXTENSION not in made(document, replace(HIDE, redact=frozenset({"description"})))["extensions"]
    assert misp.EXTENSION in made(document, Transform(recipients="r", redact=frozenset({"description"})))["extensions"]


@pytest.mark.parametrize(("stays", "goes"), [("jeanne.tremblay@ville.example", False), ("other@bad.example", True)])
def test_what_was_taken_out_in_one_place_stands_in_no_other(stays: str, goes: bool) -> None:
    """In any case, at any depth, among other words."""
    document = indicator(
        description="sent to jeanne.tremblay@ville.example on Monday",
        pattern=f"[file:name = 'x {stays.upper()} y']",
    )
    assert isinstance(apply(document, STRIP, MAKING), dict) is goes


def sent_to(*listed: Any, **more: Any) -> dict[str, Any]:
    """A message that says by the headers of it who got it, and a property that is not read for persons."""
    headers = {"Delivered-To": list(listed), "X-Mailer": "m"}
    return {
        "type": "email-message", "spec_version": "2.1", "id": f"email-message--{THING[9:]}", "is_multipart": False,
        "additional_header_fields": headers, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("who", "name", "goes"),
    [
        (["jdoe7"], "re: JDOE7", False), (["jd7"], "re: jd7", True), (["jdoe7"], "re: jdoe8", True),
        (["x", ["JDOE7 "]], "jdoe7.eml", False), ([{"a": "jdoe7"}, 7], "a jdoe7", False), ([7, None], "None 7", True),
    ],
)  # fmt: skip
def test_all_in_a_list_that_was_taken_out_stands_in_no_other_place(who: list[Any], name: str, goes: bool) -> None:
    """A word of five letters stands in another text by chance no more; of a shorter one nothing can be said."""
    found = apply(sent_to(*who, subject=name), STRIP, MAKING)
    assert isinstance(found, dict) is goes, found
    listed = apply(sent_to(*who, x_names=["first", name]), STRIP, MAKING)
    assert isinstance(listed, dict) is goes
    if isinstance(found, dict):
        assert found["additional_header_fields"] == {"X-Mailer": "m"}


def test_what_holds_too_much_to_be_compared_is_refused() -> None:
    """Promise 6: each word that went is looked for in all that stays; one value may hold any number of words."""
    words = [f"victim{n:06d}" for n in range(4_000)]
    much = indicator(description="x" * 200_000, x_mail={"event_creator_email": words})
    assert apply(much, Transform(recipients="r", personal=True), MAKING) == Refused("transform.personal_stays")
    few = indicator(description="x" * 200_000, x_mail={"event_creator_email": words[:100]})
    assert isinstance(apply(few, Transform(recipients="r", personal=True), MAKING), dict)
