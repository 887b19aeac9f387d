"""What operators do shows on the next page: a withdrawal, its end, and an approval of what was posted (R14, R31)."""

from __future__ import annotations

from typing import Any

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store
from exchange.sync import approving, withdrawing
from exchange.sync.approving import Said
from tests.serve.house import MANIFEST, OBJECTS, WRITABLE, House, house_terms
from tests.world import agreement, indicator


def take_out(house: House, made: dict[str, Any]) -> int:
    """An operator withdraws it; the number."""
    with house.store.reading() as tx:
        scope = withdrawing.named(tx, made["id"])
    return withdrawing.withdraw_from_all(
        house.store, house.world.rules, scope, who="marie", why="x", clock=lambda: house.world.now
    ).number  # fmt: skip


def ids(answer: Any) -> list[str]:
    """The ids of a page, without our notices."""
    return [each["id"] for each in answer.json.get("objects", ()) if each["type"] != "note"]


def test_r31_it_is_off_the_next_page_and_back_when_it_is_lifted(house: House) -> None:
    made, other = indicator("a.example"), indicator("b.example")
    house.give(made, other)
    tag = house.get(OBJECTS).headers["ETag"]
    number = take_out(house, made)
    answer = house.get(OBJECTS, headers={"If-None-Match": tag})
    assert answer.status_code == 200, "the tag of the page with it is no longer good"
    assert ids(answer) == [other["id"]]
    assert house.get(f"{OBJECTS}{made['id']}/").json.get("objects", []) == []
    world = house.world
    withdrawing.lift(house.store, world.rules, number, who="luc", why="y", clock=lambda: world.now)
    assert sorted(ids(house.get(OBJECTS))) == sorted([made["id"], other["id"]])


def test_r14_who_never_had_it_gets_the_same_bytes_and_headers(house: House) -> None:
    house.give(indicator("b.example"), indicator("a.example", tlp=Tlp.AMBER))
    before = [house.get(path) for path in (OBJECTS, MANIFEST)]
    take_out(house, indicator("a.example", tlp=Tlp.AMBER))
    after = [house.get(path) for path in (OBJECTS, MANIFEST)]
    assert [(each.content, dict(each.headers)) for each in after] == [
        (each.content, dict(each.headers)) for each in before
    ]


def test_r21_what_was_posted_above_the_ceiling_waits_for_a_person(memory: Store) -> None:
    """Pending while it waits, and a success that others read when it is let go."""
    less = agreement(
        "reseau", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.CLEAR), send=Send(ceiling=Tlp.GREEN)
    )  # fmt: skip
    house, made = House(memory, house_terms(agreements=[less])), indicator("a.example")
    answer = house.post(WRITABLE, {"objects": [made]})
    world, where = house.world, f"/api/status/{answer.json['id']}/"
    assert house.get(where, "circl").json["pending_count"] == 1
    assert ids(house.get(WRITABLE, "ccc")) == []
    said = Said(stix_id=made["id"], verdict="approved", who="marie", why="seen")
    assert approving.say(house.store, world.rules, said, lambda: world.now)
    found = house.get(where, "circl").json
    assert (found["pending_count"], found["success_count"]) == (0, 1)
    assert ids(house.get(WRITABLE, "ccc")) == [made["id"]]
