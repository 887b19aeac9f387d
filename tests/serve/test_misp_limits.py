"""What a MISP may ask for at most, in which shapes; and what of it the ledger says."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.errors import TooLarge
from exchange.serve.misp import body, events, pushed
from exchange.serve.misp.map import NAMED
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import CERT1, EVENT, Misp, attribute, event, house_of, refused

POSTED = [name for name, action in NAMED.items() if "POST" in action.methods]
ODD = (None, "x", 1, [], {}, [1], ["x"], [None], [[]], [{}], {"x": 1}, {"Sighting": "x"}, {"Sighting": [1]},
       {"Sighting": None}, {"Attribute": "x"}, {"Object": {"Attribute": 3}}, {"Attribute": [1]}, {"timestamp": "²"},
       {"Note": 1}, {"Note": {"Orgc": 1}}, {"Note": [1]}, {"uuid": [1], "tag": {}}, {"page": "²", "limit": "²"},
       {"publish_timestamp": "²"}, {"timestamp": [{}, []]}, {"Event": 1}, {"Event": {"uuid": [], "info": {}}},
       [{"GalaxyCluster": 1}], [{"Event": 1}], {"id": {}}, {"org": [[]], "tag": {}})  # fmt: skip


@pytest.fixture
def house(memory: Store) -> House:
    return house_of(memory)


@pytest.mark.parametrize("name", POSTED)
def test_an_odd_shape_is_answered_and_not_stumbled_over(house: House, name: str) -> None:
    Misp(house).push(event(attribute("a.example", 1)))
    path = {"attributes/edit": attribute("a.example", 1)["uuid"]}.get(name, EVENT)
    for who in ("circl", "ccc"):
        for given in ODD:
            answer = Misp(house, who).post(f"/{name}/{path}", given)
            assert answer.status_code < 500, (who, given, answer.text)


def bomb(size: int) -> bytes:
    return gzip.compress(b"[" + b"{}," * (size // 3) + b"{}]", 9)


@pytest.mark.parametrize("name", [n for n in POSTED if not NAMED[n].raw])
def test_a_body_costs_a_few_times_its_bytes(house: House, name: str) -> None:
    size = 3 << 20
    tracemalloc.start()
    answer = Misp(house).ask("POST", f"/{name}/{EVENT}", bomb(size), Content_Encoding="gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    refused(answer, 413)
    assert peak < 4 * size, f"{peak / size:.1f} times the body"


def test_a_small_question_is_small(house: House) -> None:
    assert len(json.dumps({"eventid": [EVENT] * 1_000})) < body.SMALL
    assert Misp(house, "ccc").post("/events/index", {"eventid": [EVENT] * 1_000}).status_code == 200
    refused(Misp(house, "ccc").post("/events/index", {"eventid": "x" * body.SMALL}), 413)
    many = [{"Event": {"uuid": EVENT, "timestamp": "1"}}] * 20_000
    assert Misp(house).post("/events/filterEventIdsForPush", many, pack=True).json == [EVENT]


def test_an_event_of_too_many_parts_is_refused_before_it_is_read() -> None:
    org, now = {"uuid": CERT1, "name": "CERT1"}, datetime(2026, 11, 21, tzinfo=UTC)
    opening = b'{"Event":{"info":"x","date":"2026-11-21","published":true,"timestamp":"1","Attribute":['
    raw = opening + b"{}," * 1_600_000 + b"{}]}}"
    tracemalloc.start()
    with pytest.raises(TooLarge):
        pushed.opened(raw, org, now)
    with pytest.raises(TooLarge):  # and what is no event where it should be
        pushed.opened(b'{"info":"x","Attribute":[' + b"{}," * 300_000 + b"{}]}", org, now)
    fewer = opening + b'{"Tag":[]},' * 200_000 + b"{}]}}"
    found = pushed.opened(fewer, org, now)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.org == org
    assert not found.empty
    assert peak < 40 << 20


def test_what_is_missing_is_added_and_the_rest_stays(house: House) -> None:
    whole = event(attribute("a.example"))
    del whole["published"]
    sighting = {"uuid": EVENT[:-1] + "9", "type": "0", "date_sighting": "1795258000", "source": "s"}
    raw = json.dumps({"Event": whole, "Sighting": [sighting]}).encode()
    found = pushed.opened(raw, {"uuid": CERT1, "name": "CERT1"}, datetime(2026, 11, 21, tzinfo=UTC))
    assert json.loads(found.raw) == {"Event": {**whole, "published": False}, "Sighting": [sighting]}


def test_a_second_large_event_is_told_to_come_later(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of(memory, max_content_length=4_000)
    go, there = threading.Event(), threading.Event()

    def waits(*_given: Any, **_named: Any) -> dict[str, bool]:
        there.set()
        go.wait(20)
        return {}

    monkeypatch.setattr(events, "take", waits)
    large = event(*[attribute(f"d{n}.example", n + 1) for n in range(40)])
    first = threading.Thread(target=Misp(house).post, args=("/events/add", {"Event": large}), kwargs={"pack": True})
    first.start()
    try:
        assert there.wait(10)
        answer = Misp(house).post("/events/add", {"Event": large}, pack=True)
    finally:
        go.set()
        first.join(20)
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("path", "given", "written"),
    [
        ("/events/index", {}, 1),
        ("/events/restSearch", {"metadata": 1}, 1),
        ("/events/index", {"minimal": 1}, 0),
        ("/events/index", {"eventinfo": "nothing of the kind"}, 0),
    ],
)
def test_r27_titles_are_in_the_ledger(house: House, path: str, given: dict[str, Any], written: int) -> None:
    Misp(house).push(event(attribute("a.example", 1), info="Name of an operation"))
    house.tick(seconds=3)
    before = len(house.reads())
    answer = Misp(house, "ccc").post(path, given)
    assert ("Name of an operation" in answer.text) == bool(written)
    assert len(house.reads()) == before + written


def test_a_bad_uuid_is_given_anew_and_the_event_is_taken(house: House) -> None:
    answer = Misp(house).post("/events/add", {"Event": {**event(attribute("x.example")), "uuid": "not-a-uuid"}})
    assert answer.status_code == 200, answer.text
    uuid = answer.json["Event"]["uuid"]
    again = Misp(house).post("/events/add", {"Event": {**event(attribute("x.example")), "uuid": "not-a-uuid"}})
    assert refused(again, 404)["name"].startswith("Event already exists")
    assert again.headers["location"].endswith(uuid)
    house.tick(seconds=3)
    assert Misp(house, "ccc").get(f"/events/view/{uuid}").status_code == 200
