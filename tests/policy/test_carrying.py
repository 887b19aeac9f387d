"""What an altered object carries of its MISP entity: altered as it was, under other uuids, and no truer than before."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import convert
from exchange.model import misp
from exchange.model.lineage import EXTENSION as LINEAGE
from exchange.model.marking import Label, Tlp
from exchange.policy import Making, Refused, Transform, apply

NODE = "identity--0b6d2f0e-5a52-4c83-9f2c-6a3e8c3b4a10"
EVENT = "5c4e0000-0000-4000-8000-00000000a001"
OWN = "5c4e0000-0000-4000-8000-00000000b001"
INNER = "5c4e0000-0000-4000-8000-00000000b002"
WORDS = "sent to jeanne.tremblay@ville.example on Monday"
MAKING = Making(
    mint=lambda stix_id: f"{stix_id.partition('--')[0]}--ffff{stix_id.partition('--')[2][4:]}",
    node=NODE,
    token="a" * 64,
)
STRIP = Transform(recipients="c" * 32, personal=True)


def altered(document: dict[str, Any], transform: Transform = STRIP) -> dict[str, Any]:
    """What goes in place of it."""
    made = apply(document, transform, MAKING)
    assert isinstance(made, dict), made
    return made


def carrying(kind: str, whole: Any, **more: Any) -> dict[str, Any]:
    """An object with a MISP entity, whose digest is true."""
    made = {
        "type": "x-misp-object", "spec_version": "2.1", "id": f"x-misp-object--{OWN}",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "x_misp_name": "email",
        "x_misp_comment": WORDS,
    }  # fmt: skip
    made |= more
    extension = {"extension_type": "property-extension", "event": EVENT, kind: whole, "digest": misp.said(made)}
    return {**made, "extensions": {misp.EXTENSION: extension}}


def thing(**more: Any) -> dict[str, Any]:
    """A MISP object."""
    inner = {"uuid": INNER, "type": "text", "category": "Other", "value": "Facture", "to_ids": True, "comment": WORDS}
    return {"uuid": OWN, "name": "email", "comment": WORDS, "Attribute": [inner], **more}


def test_an_object_is_carried_under_new_uuids() -> None:
    refers = {"uuid": INNER, "referenced_uuid": EVENT, "source_uuid": OWN, "relationship_type": "related-to"}
    made = altered(carrying("objects", [thing(ObjectReference=[refers])]))
    (part,) = convert.parts(made, Label(tlp=Tlp.GREEN))[0]
    assert part.uuid == f"ffff{OWN[4:]}"
    (inner,) = part.body["Attribute"]
    assert (inner["uuid"], inner["value"], inner["to_ids"]) == (f"ffff{INNER[4:]}", "Facture", True)
    assert "tremblay" not in str(made)
    (reference,) = part.body["ObjectReference"]
    assert (reference["referenced_uuid"], reference["source_uuid"]) == (EVENT, part.uuid)


def test_nothing_untrue_becomes_true() -> None:
    """A digest that did not hold is not renewed: the object alone speaks."""
    untrue = carrying("objects", [thing()])
    untrue["x_misp_name"] = "file"
    made = altered(untrue)
    assert set(made["extensions"][misp.EXTENSION]) == {"extension_type", "event"}


@pytest.mark.parametrize("whole", [["x"], [{}], [thing(Attribute=["x"])], [thing(uuid=["x"])], "x", {"uuid": 1}])
def test_whatever_stands_in_it_is_no_failure(whole: Any) -> None:
    made = altered(carrying("objects", whole))
    assert made["id"] == f"x-misp-object--ffff{OWN[4:]}"
    assert "objects" not in made["extensions"][misp.EXTENSION]


@pytest.mark.parametrize("kind", sorted(misp.APART))
def test_what_is_said_beside_an_event_says_nothing_over_misp(kind: str) -> None:
    """It is altered as a STIX object; as a remark of MISP it would say what was taken out of it."""
    note = {"type": "note", "id": f"note--{OWN}", "content": WORDS, "object_refs": [NODE]}
    made = altered(carrying(kind, {"uuid": INNER, "note": "short", "object_uuid": EVENT}, **note))
    assert convert.parts(made, Label(tlp=Tlp.GREEN)) == ([], [])


OBSERVED = {
    "type": "observed-data", "spec_version": "2.1", "id": f"observed-data--{OWN}",
    "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "number_observed": 1,
    "first_observed": "2026-01-01T00:00:00Z", "last_observed": "2026-01-01T00:00:00Z",
    "object_refs": ["domain-name--6f1d2c0b-0a5e-5f0e-9a53-4b1f0c7d9e21"],
    "extensions": {
        misp.EXTENSION: {
            "extension_type": "property-extension", "event": EVENT,
            "attribute": {
                "type": "domain", "category": "Network activity", "value": "a.example", "to_ids": False,
                "comment": WORDS,
            },
        },
    },
}  # fmt: skip


def values(made: dict[str, Any]) -> list[str]:
    """What it says over MISP."""
    return [part.body["value"] for part in convert.parts(made, Label(tlp=Tlp.GREEN))[0]]


def test_an_altered_observation_is_believed_by_its_digest() -> None:
    """Its observables have ids of the original. Without tokens, or with other observables, nobody believes it."""
    made = altered(OBSERVED)
    assert values(made) == ["a.example"]
    assert values({**made, "object_refs": ["url--6f1d2c0b-0a5e-5f0e-9a53-4b1f0c7d9e21"]}) == []
    bare = {name: value for name, value in made["extensions"].items() if name != LINEAGE}
    assert values({**made, "extensions": bare}) == []
    assert values(OBSERVED) == []


@pytest.mark.parametrize("redact", [{"description"}, {"x_misp_comment"}, {"description", "labels"}])
def test_redacting_takes_the_field_of_misp_along(redact: set[str]) -> None:
    """Also where the object has no such property."""
    made = altered(OBSERVED, Transform(recipients="c" * 32, redact=frozenset(redact)))
    assert WORDS not in str(made)
    assert misp.carried(made) is not None


def test_what_a_label_says_to_be_a_victims_stands_in_no_pattern() -> None:
    """MISP says of a mailbox that it was the target; the pattern beside it looks like any other."""
    victim = {"uuid": INNER, "type": "target-email", "category": "Targeting data", "value": "roy@ville.example"}
    plain = {"uuid": EVENT, "type": "text", "category": "Other", "value": "Facture", "to_ids": False}
    indicator = {
        "type": "indicator", "id": f"indicator--{OWN}", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        "pattern": "[email-addr:value = 'roy@ville.example']",
    }  # fmt: skip
    entity = thing(Attribute=[victim, plain])
    assert apply(carrying("objects", [entity], **indicator), STRIP, MAKING) == Refused("transform.personal_stays")
    other = {**indicator, "pattern": "[email-addr:value = 'phisher@bad.example']"}
    made = altered(carrying("objects", [entity], **other))
    assert [each["value"] for each in made["extensions"][misp.EXTENSION]["objects"][0]["Attribute"]] == ["Facture"]
