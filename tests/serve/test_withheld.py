"""While reading is refused, no answer tells what a GET would not (R14, R19, R31)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.store import Store, accounts, open_store
from exchange.store.tables import audience
from tests.serve.house import WRITABLE, House
from tests.world import indicator, marked


def status(house: House, answer: Any) -> Any:
    return house.get(f"/api/status/{answer.json['id']}/", "circl")


def paused(house: House) -> None:
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", "out", "op", "why", 1)


def deciding(house: House) -> None:
    with house.store.writing() as tx:
        tx.execute(audience.update().values(open=False))


SHUT = (paused, deciding)
"""Two of the ways in which reading is refused for a while."""


def observable(value: str) -> dict[str, Any]:
    """An object without a version of its own."""
    id_ = f"domain-name--{uuid.uuid5(uuid.NAMESPACE_DNS, value)}"
    return marked({"type": "domain-name", "spec_version": "2.1", "id": id_, "value": value}, Tlp.GREEN)


@pytest.mark.parametrize("shut", SHUT)
def test_r14_a_post_tells_no_more_than_a_get_would(memory: Store, shut: Callable[[House], None]) -> None:
    """While reading is refused, no answer shows since when another's object is listed."""
    other = open_store("sqlite://")
    try:
        answers = []
        for n, house in enumerate((House(memory), House(other))):
            if n:
                house.give(observable("a.example"), source="cert-ee/feed")
            shut(house)
            house.tick(hours=1)
            assert house.get(WRITABLE, "circl").status_code in (403, 503)
            posted = house.post(WRITABLE, {"objects": [observable("a.example")]})
            answers.append([answer.json | {"id": ""} for answer in (posted, status(house, posted))])
        assert answers[0] == answers[1]
    finally:
        other.close()


def test_r14_a_status_tells_no_more_than_a_get_would(memory: Store) -> None:
    """The same when reading is shut between the POST and the look at its status."""
    other = open_store("sqlite://")
    try:
        answers = []
        for n, house in enumerate((House(memory), House(other))):
            posted = house.post(WRITABLE, {"objects": [indicator("a.example", tlp=None)]})
            assert posted.json["pending_count"] == 1
            if n:
                house.give(indicator("a.example"), source="cert-ee/feed")
            paused(house)
            answers.append(status(house, posted).json | {"id": ""})
        assert answers[0] == answers[1]
    finally:
        other.close()
