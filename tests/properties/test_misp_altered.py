"""Whatever an event says of who was attacked: no byte of it leaves over MISP, and what changed has another uuid (R26).

Seconds by default; `make soak` draws a hundred times as many.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.store import open_store
from tests.serve.house import House
from tests.serve.test_misp_altered import OBJECT, VICTIM, thing, under
from tests.serve.test_misp_hidden import pages
from tests.serve.wire import EVENT, Misp, attribute, event, house_of

MANY = 100 if os.environ.get("EXCHANGE_SOAK") else 1
PLAIN, TELLING = "seen on Monday", f"sent to {VICTIM} on Monday"
WORDS = st.sampled_from(["", PLAIN, TELLING])
KINDS = st.sampled_from([
    ("domain", "Network activity", "a{}.example"), ("ip-src", "Network activity", "192.0.2.{}"),
    ("text", "Other", "note {}"), ("text", "Other", "poste{}.ville.local fell"), ("comment", "Other", "call {}"),
    ("text", "Other", "sent to victime{}@ville.example"), ("other", "Other", "victime{}@ville.example"),
    ("target-email", "Targeting data", "victime{}@ville.example"),
    ("email-dst", "Payload delivery", "victime{}@ville.example"), ("domain", "Targeting data", "victime{}.example"),
])  # fmt: skip
ATTRIBUTES = st.lists(st.tuples(KINDS, st.booleans(), WORDS), min_size=1, max_size=4)
SECRETS = (VICTIM, ".ville.local", "victime")
"""What tells of who was attacked, as it is written above."""


def made(number: int, drawn: Any, **more: Any) -> dict[str, Any]:
    """An attribute."""
    (kind, category, value), to_ids, comment = drawn
    return attribute(value.format(number), number, type=kind, category=category, to_ids=to_ids, comment=comment, **more)


def personal(each: dict[str, Any]) -> bool:
    """Whether its words have to be altered."""
    return any(secret in f"{each['value']} {each['comment']}" for secret in SECRETS)


@settings(max_examples=5 * MANY, deadline=None, suppress_health_check=[*HealthCheck])
@given(outside=ATTRIBUTES, inside=ATTRIBUTES, info=WORDS, comment=WORDS)
def test_nothing_of_who_was_attacked_leaves(outside: Any, inside: Any, info: str, comment: str) -> None:
    store = open_store("sqlite://")
    try:
        _tried(house_of(store, under(personal="strip")), outside, inside, info, comment)
    finally:
        store.close()


def _tried(house: House, outside: Any, inside: Any, info: str, comment: str) -> None:
    plain = [made(number, drawn) for number, drawn in enumerate(outside, 1)]
    inner = [made(number, drawn, object_relation="text") for number, drawn in enumerate(inside, 0x20)]
    told = event(*plain, info=f"E1 {info}", Object=[thing(*inner, comment=comment)])
    assert Misp(house).push(told).status_code == 200
    house.tick(seconds=5)
    found = pages(house, "ccc")
    for secret in SECRETS:
        assert [(name, _around(text, secret)) for name, text in found.items() if secret in text] == []
    for row in Misp(house, "ccc").post("/events/index", {}).json:
        seen = Misp(house, "ccc").get(f"/events/view/{row['uuid']}").json["Event"]
        assert (seen["uuid"] == EVENT) == (info != TELLING)
        _as_due(seen, plain, altered_object=comment == TELLING or any(map(personal, inner)))


def _around(text: str, secret: str) -> str:
    """Where it stands."""
    at = text.index(secret)
    return text[max(0, at - 400) : at + 200]


def _as_due(seen: dict[str, Any], plain: list[dict[str, Any]], *, altered_object: bool) -> None:
    """What is as it was has its uuid, and nothing else has one that was given; what is cut blocks nothing."""
    given = {each["uuid"]: each for each in plain}
    for each in seen["Attribute"]:
        same = given.get(each["uuid"])
        if same is not None:
            assert not personal(same) and (each["value"], each["comment"]) == (same["value"], same["comment"])
        elif each["value"] not in {other["value"] for other in plain}:
            assert each["to_ids"] is False
    assert {uuid for uuid, each in given.items() if not personal(each)} <= {each["uuid"] for each in seen["Attribute"]}
    assert all((each["uuid"] != OBJECT) == altered_object for each in seen["Object"])
