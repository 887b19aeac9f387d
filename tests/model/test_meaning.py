"""What a source's own marking-definition says: IEP 2.0 in STIX, mere texts, and all else stays unknown (R12)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.model.marking import Label, Pap, Tlp
from exchange.model.meaning import IEP, of_definition

ID = "marking-definition--33333333-3333-4333-8333-333333333333"
FRAME = {"type": "marking-definition", "spec_version": "2.1", "id": ID, "created": "2026-01-01T00:00:00.000Z"}
UNKNOWN = Label(unknown=frozenset({ID}))
TEXT = Label(unknown=frozenset({ID}), texts=frozenset({ID}))


def policy(**words: Any) -> dict[str, Any]:
    said = {"extension_type": "property-extension", "iep_id": ID[-36:], "iep_version": "2.0", **words}
    return {**FRAME, "extensions": {IEP: said}}


def text(said: Any, **more: Any) -> dict[str, Any]:
    return {**FRAME, "definition_type": "statement", "definition": {"statement": said}, **more}


def test_a_policy_comes_to_its_axes() -> None:
    made = policy(
        description="for members", start_date="2026-01-01T00:00:00Z", end_date=None, tlp="amber",
        encrypt_in_transit="must", permitted_actions="internally-visible-actions", provider_attribution="must-not",
        unmodified_resale="must-not", affected_party_notifications="may",
    )  # fmt: skip
    assert of_definition(made) == Label(
        tlp=Tlp.AMBER, pap=Pap.RED, encrypted=True, unnamed=True, limited=True,
        since=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    "made",
    [
        policy(iep_version="3.0"),
        policy(iep_version=None),
        policy(sharing_scope="members"),
        policy(tlp="purple"),
        policy(end_date="soon"),
        policy() | {"x_own": 1},
        policy() | {"definition_type": "statement", "definition": {"statement": "(c) X"}},
        {**FRAME, "extensions": {IEP: "x"}},
        {**FRAME, "extensions": {IEP: {"iep_version": "2.0"}, "extension-definition--x": {}}},
        FRAME,
        {**FRAME, "extensions": {"extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce": {"a": 1}}},
        text("TLP:AMBER+STRICT"),
        text("tlp red, please"),
        text("(c) X", name="PAP:RED"),
        text("(c) X", x_opencti_definition="TLP:AMBER+STRICT"),
        text("Distribution: TLP:RED"),
        text(None),
        text(["(c) X"]),
        {**FRAME, "definition_type": "own", "definition": {"statement": "(c) X"}},
        {**FRAME, "definition_type": "statement", "definition": {"statement": "(c) X", "more": 1}},
    ],
)
def test_what_is_not_understood_whole_stays_unknown(made: dict[str, Any]) -> None:
    found = of_definition(made)
    assert found.unknown == UNKNOWN.unknown or (found.iep and not found.unknown)
    assert not found.texts


def test_a_mere_text_is_told_from_a_level() -> None:
    assert of_definition(text("Copyright 2026, CERT")) == TEXT
    assert of_definition(text("Copyright 2026, CERT", name="notice")) == TEXT
