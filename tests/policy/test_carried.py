"""`carrying` by itself: what of the MISP entity goes along with an altered object, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.model import misp
from exchange.policy.carrying import carried, redacted

EVENT = "5c4e0000-0000-4000-8000-00000000a001"
BARE = {"extension_type": "property-extension", "event": EVENT}


def mint(stix_id: str) -> str:
    kind, _, rest = stix_id.partition("--")
    return f"{kind}--new-{rest}"


def document(kind: str | None = "attribute", entity: Any = None, **more: Any) -> dict[str, Any]:
    whole = {"uuid": "u", "type": "domain", "value": "a.example", "to_ids": True} if entity is None else entity
    said = BARE if kind is None else {**BARE, kind: whole}
    return {"type": "indicator", "id": "indicator--u", "extensions": {misp.EXTENSION: said}, **more}


def found(before: dict[str, Any], after: dict[str, Any], *, redact: set[str] | None = None, cut: bool = False) -> Any:
    return carried(before, after, mint, redact=redact or set(), cut=cut)


def test_what_has_no_entity_carries_none() -> None:
    """Neither before nor after: nothing is made up."""
    plain = {"type": "indicator", "id": "indicator--u"}
    assert found(plain, plain) is None
    assert found(document(), plain) is None
    assert found(plain, document()) is None
    assert found(document(kind=None), document(kind=None)) == BARE


def test_the_event_and_what_it_was_made_of_are_said_whatever_was_taken_out() -> None:
    """What stands beside a carrier, and what MISP has beside an event: no field of theirs is left that could tell."""
    beside = document(kind=None)
    beside["extensions"][misp.EXTENSION] = said = {**BARE, "kinds": ["type:md5"]}
    assert found(beside, beside) == said
    assert found(beside, beside, redact={"name"}, cut=True) == said
    for kind in sorted(misp.APART):
        assert found(document(kind), document(kind), redact={"name"}, cut=True) == BARE


def test_an_attribute_goes_without_its_uuid_and_is_no_indicator_once_it_is_another() -> None:
    """Its value decides: what was altered in it detects nothing any more."""
    same = found(document(), document())
    assert same == {**BARE, "attribute": {"type": "domain", "value": "a.example", "to_ids": True}}
    other = found(document(), document(entity={"uuid": "u", "value": "[…]", "to_ids": True}))
    assert other == {**BARE, "attribute": {"value": "[…]", "to_ids": False}}
    assert found(document(), document(entity=[])) == BARE


def test_only_an_observation_is_believed_by_a_digest() -> None:
    seen = document(type="observed-data", id="observed-data--u")
    assert found(seen, seen)["digest"] == misp.said(seen)
    assert "digest" not in found(document(), document())


@pytest.mark.parametrize("redact", ["description", "x_misp_comment", "labels", "confidence", "kill_chain_phases"])
def test_it_goes_where_misp_can_lose_what_was_redacted(redact: str) -> None:
    assert found(document(**{redact: 1}), document(), redact={redact}) is not None
    every = ["description", "x_misp_comment", "labels", "confidence", "kill_chain_phases"]
    assert found(document(**dict.fromkeys(every, 1)), document(), redact={*every}) is not None


def test_where_nobody_can_say_what_to_leave_out_nothing_goes() -> None:
    """Parts were cut, a sighting, or a property without a field of MISP."""
    assert found(document(), document(), cut=True) is None
    assert found(document("sighting"), document("sighting")) is None
    assert found(document(name="n"), document(), redact={"name"}) is None
    assert found(document(name="n"), document(), redact={"name", "labels"}) is None
    assert found(document(), document(), redact={"name"}) is not None


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ({"description"}, {"comment", "description"}), ({"x_misp_comment"}, {"comment"}), ({"labels"}, {"Tag"}),
        ({"confidence"}, {"Tag"}), ({"kill_chain_phases"}, {"Tag"}), ({"name"}, set()), (set(), set()),
        ({"labels", "x_misp_comment", "name"}, {"Tag", "comment"}),
    ],
)  # fmt: skip
def test_the_fields_of_misp_go_with_the_property(names: set[str], gone: set[str]) -> None:
    """At every depth, and nowhere else; what has no entity stays as it is."""
    whole = {"comment": "c", "description": "d", "Tag": [{"name": "t"}], "value": "v"}
    left = {name: value for name, value in whole.items() if name not in gone}
    entity = {**whole, "Attribute": [dict(whole), "x"], "deep": {"er": dict(whole)}}
    given = document("objects", [entity], other={"comment": "c"})
    less = redacted(given, names)
    assert less["extensions"][misp.EXTENSION] == {
        **BARE, "objects": [{**left, "Attribute": [left, "x"], "deep": {"er": left}}],
    }  # fmt: skip
    assert less["other"] == {"comment": "c"}
    beside = document("objects", [entity])
    beside["extensions"][misp.EXTENSION]["more"] = {"comment": "c"}
    assert redacted(beside, {"description"})["extensions"][misp.EXTENSION]["more"] == {"comment": "c"}
    assert (less is given) is (not gone)
    plain = {"type": "indicator", "comment": "c"}
    assert redacted(plain, names) is plain


def test_objects_go_under_new_uuids_and_what_is_another_is_no_indicator() -> None:
    """Every uuid of its own, and references within; what is elsewhere stays (R13); one with nothing left goes."""

    def objects(value: str) -> list[Any]:
        inner = [{"uuid": "i1", "value": value, "to_ids": True}, {"uuid": "I2", "value": "same", "to_ids": True}]
        refers = {
            "uuid": "r",
            "referenced_uuid": "far",
            "source_uuid": "u",
            "object_uuid": "U",
            "relationship_type": "i1",
        }
        within = {"uuid": "w", "referenced_uuid": "i1"}
        return [{"uuid": "u", "name": "i1", "Attribute": inner, "ObjectReference": [refers, "x", within]}]

    def as_object(entities: list[Any], number: str) -> dict[str, Any]:
        made = document("objects", entities, type="x-misp-object", id=f"x-misp-object--{number}")
        made["extensions"][misp.EXTENSION]["digest"] = misp.said(made)
        return made

    before = as_object(objects("a.example"), "u")
    empty: list[Any] = [{"uuid": "gone", "Attribute": []}, "x"]
    after = {**as_object([*empty, *objects("[…]"), {"uuid": "o", "Attribute": [{"uuid": "p"}]}], "n")}
    assert found(before, after) == {
        **BARE, "digest": misp.said(after), "objects": [
            {
                "uuid": "n", "name": "i1",
                "Attribute": [
                    {"uuid": "new-i1", "value": "[…]", "to_ids": False},
                    {"uuid": "new-i2", "value": "same", "to_ids": True},
                ],
                "ObjectReference": [
                    {
                        "uuid": "new-r", "referenced_uuid": "far", "source_uuid": "n", "object_uuid": "n",
                        "relationship_type": "i1",
                    },
                    {"uuid": "new-w", "referenced_uuid": "new-i1"},
                ],
            },
            {"uuid": "new-o", "Attribute": [{"uuid": "new-p"}]},
        ],
    }  # fmt: skip
    for odd in ("x", 7, {}):
        assert found(before, as_object(odd, "n")) == BARE
        assert found(as_object(odd, "u"), after) == BARE
