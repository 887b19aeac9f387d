"""Entities become one event: each uuid and value once, no label lost, deletions without values (misp.md 1.6, 2.3)."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from exchange.convert import Part
from exchange.convert.compose import Draft, Flavour, Frame, Times, distribution
from exchange.convert.part import attribute_body, tags
from exchange.model.marking import Label, Reach, Tlp

GREEN, RED = Label(tlp=Tlp.GREEN), Label(tlp=Tlp.RED)
NOW = Times(listed=1_000)


def frame(level: Tlp = Tlp.GREEN) -> Frame:
    return Frame(
        uuid="e0000000-0000-4000-8000-000000000000", info="i", date="2026-01-01", timestamp=2_000, threat_level_id="4",
        analysis="2", extends_uuid="", distribution=distribution(Label(tlp=level), "sync"), level=int(level),
        orgc={"uuid": "o", "name": "n"}, tags=tuple(tags(Label(tlp=level))),
    )  # fmt: skip


def draft(level: Tlp = Tlp.GREEN, refuse: bytes = b"never there") -> Draft:
    return Draft(
        frame(level), "sync", mint=lambda text: str(uuid.uuid5(uuid.NAMESPACE_URL, text)),
        passes=lambda piece: refuse not in piece,
    )  # fmt: skip


def own(number: int) -> str:
    return f"a{number:07}-0000-4000-8000-000000000000"


def attribute(number: int, value: str = "", label: Label = GREEN, **more: Any) -> Part:
    entity = {"type": "domain", "category": "Network activity", "value": value or f"n{number}.example", **more}
    body = attribute_body(entity, own(number), 900, tags(label))
    return Part(kind="attribute", event="", uuid=own(number), timestamp=900, body=body)


def made_object(*inner: Part, timestamp: int = 900) -> Part:
    attributes = [{**each.body, "object_relation": "domain"} for each in inner]
    body = {"uuid": own(99), "name": "domain-ip", "timestamp": str(timestamp), "distribution": "5", "deleted": False}
    whole = {**body, "Attribute": attributes, "ObjectReference": []}
    return Part(kind="object", event="", uuid=own(99), timestamp=timestamp, body=whole)


def read(made: Draft) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(b"".join(made.pieces()))["Event"]
    return found


@pytest.mark.parametrize(
    ("tlp", "reach", "sync", "push", "feed"),
    [
        (Tlp.CLEAR, Reach.ALL, 3, 3, 3),
        (Tlp.GREEN, Reach.ALL, 2, 1, 1),
        (Tlp.AMBER, Reach.ALL, 1, 0, 0),
        (Tlp.AMBER_STRICT, Reach.ALL, 1, 0, 0),
        (Tlp.RED, Reach.ALL, 1, 0, 0),
        (Tlp.CLEAR, Reach.CONNECTED, 2, 1, 1),
        (Tlp.CLEAR, Reach.COMMUNITY, 1, 1, 1),
        (Tlp.CLEAR, Reach.NODE, 0, 0, 0),
        (None, Reach.ALL, 1, 0, 0),
    ],
)
def test_distribution_is_made_of_the_label(tlp: Tlp | None, reach: Reach, sync: int, push: int, feed: int) -> None:
    """Never wider than the creator's distribution let it come here, and a sharing group (4) is never named."""
    label = Label(tlp=tlp, reach=reach)
    flavours: tuple[Flavour, ...] = ("sync", "push", "feed")
    assert [distribution(label, flavour) for flavour in flavours] == [sync, push, feed]


def test_what_is_said_twice_is_joined_wherever_it_stands() -> None:
    """Over a million bytes apart, in chunks that are packed already."""
    made = draft()
    for number in range(2_000):
        made.take(attribute(number, comment="x" * 500), GREEN, NOW)
    made.take(attribute(5_000, "n0.example", comment="never read", to_ids=True), RED, NOW)
    event = read(made)
    assert len([each for each in event["Attribute"] if not each["deleted"]]) == made.attributes == 2_000
    first = next(each for each in event["Attribute"] if each["uuid"] == own(0))
    assert (first["to_ids"], first["comment"], first["distribution"]) == (True, "x" * 500, "1")
    assert [tag["name"] for tag in first["Tag"]] == ["tlp:red"]
    assert made.lost == {"convert.joined": 1}


def test_tombstones_come_first_and_never_for_what_lives() -> None:
    made = draft()
    made.take(attribute(1), GREEN, NOW)
    made.take(attribute(2), GREEN, Times(listed=1_000, gone=1_500, closings=1))
    made.take(attribute(1, "other.example"), GREEN, Times(listed=1_000, gone=1_500, closings=1))
    stone, there = read(made)["Attribute"]
    assert stone == {
        "uuid": own(2), "type": "domain", "category": "Network activity", "deleted": True, "timestamp": "1501",
    }  # fmt: skip
    assert (there["uuid"], there["deleted"]) == (own(1), False)


def test_what_an_object_no_longer_holds_is_deleted_in_it() -> None:
    made = draft()
    made.recall(made_object(attribute(1), attribute(2)), 50)
    made.take(made_object(attribute(1), timestamp=950), GREEN, NOW)
    (there,) = read(made)["Object"]
    kept, stone = there["Attribute"]
    assert (kept["uuid"], stone["uuid"], stone["deleted"], "value" in stone) == (own(1), own(2), True, False)
    assert int(stone["timestamp"]) > 900
    assert made.attributes == 1


def test_an_object_that_is_gone_takes_its_attributes_with_it() -> None:
    made = draft()
    made.take(made_object(attribute(1)), GREEN, Times(listed=1_000, gone=1_500, closings=1))
    (stone,) = read(made)["Object"]
    assert stone["deleted"] is True
    assert [set(each) for each in stone["Attribute"]] == [
        {"uuid", "type", "category", "object_relation", "deleted", "timestamp"}
    ]
    assert b"example" not in b"".join(made.pieces())


def test_what_cannot_say_its_label_is_held() -> None:
    """A report has no tags, a tag of the event goes as far as the event; what says no TLP goes nowhere."""
    made = draft()
    words = {"uuid": own(7), "name": "n", "content": "secret", "deleted": False}
    made.take(Part(kind="report", event="", uuid=own(7), timestamp=1, body=words), RED, NOW)
    galaxy = {"Tag": [{"name": 'misp-galaxy:tool="secret"', "colour": "#0088cc", "exportable": True, "local": False}]}
    made.take(Part(kind="tag", event="", uuid=own(8), timestamp=1, body=galaxy), RED, NOW)
    made.take(attribute(9, "secret.example"), Label(), NOW)
    assert b"secret" not in b"".join(made.pieces())
    assert made.lost == {"convert.label_not_carried": 3}


def test_a_part_that_the_gate_refuses_is_left_out_and_named() -> None:
    """R25: the rest leaves."""
    made = draft(refuse=b"n1.example")
    made.take(attribute(1), GREEN, NOW)
    made.take(attribute(2), GREEN, NOW)
    assert [each["uuid"] for each in read(made)["Attribute"]] == [own(2)]
    assert made.stopped == [own(1)]


def test_a_wrong_uuid_is_minted_anew() -> None:
    made = draft()
    part = attribute(1)
    made.take(Part(kind="attribute", event="", uuid="x", timestamp=900, body=part.body), GREEN, NOW)
    (there,) = read(made)["Attribute"]
    assert uuid.UUID(there["uuid"])
    assert made.lost == {"convert.uuid": 1}


def test_what_comes_again_is_newer_than_its_end() -> None:
    """Within one second too, however often it comes and goes."""
    stamps = [900]
    for closings in range(1, 5):
        stamps.append(Times(listed=1_000, gone=1_000, closings=closings).stamp(900))
        stamps.append(Times(listed=1_000, closings=closings).stamp(900))
    assert stamps == sorted(set(stamps))


def test_an_object_is_never_older_than_what_is_in_it() -> None:
    """MISP looks at no attribute of an object that it knows unless the object itself is newer (misp.md 2.3)."""
    made = draft()
    made.take(made_object(attribute(1), timestamp=100), GREEN, NOW)
    (there,) = read(made)["Object"]
    assert (there["timestamp"], there["Attribute"][0]["timestamp"]) == ("900", "900")


def test_what_an_object_holds_again_is_newer_than_its_end() -> None:
    """And what changed in it under the same date is newer than it was; the rest keeps its creator's date."""
    made = draft()
    made.recall(made_object(attribute(1), attribute(2), attribute(3)), 950)
    made.recall(made_object(attribute(1), attribute(3)), 1_000)
    made.take(made_object(attribute(1), attribute(2), attribute(3, comment="anew")), GREEN, Times(listed=1_000))
    (there,) = read(made)["Object"]
    dates = {each["uuid"]: int(each["timestamp"]) for each in there["Attribute"]}
    assert dates == {own(1): 900, own(2): 1_001, own(3): 1_001}
    assert int(there["timestamp"]) == 1_001


def test_an_object_that_is_gone_takes_along_what_it_held_before() -> None:
    made = draft()
    made.recall(made_object(attribute(1), attribute(2)), 950)
    made.take(made_object(attribute(1)), GREEN, Times(listed=1_000, gone=1_500, closings=1))
    (stone,) = read(made)["Object"]
    assert {each["uuid"] for each in stone["Attribute"] if each["deleted"]} == {own(1), own(2)}
    assert int(stone["timestamp"]) > 1_500
