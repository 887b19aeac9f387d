"""What an envelope may hold (section 5.5), and how what is wrong in it is told."""

from __future__ import annotations

import json
import uuid

import pytest

from exchange.store import Store, quarantine
from tests.serve.house import WRITABLE, House, refused
from tests.world import indicator


def test_at_most_so_many_objects(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a reason and a row, however small it is; what is above the ceiling is refused as a whole."""
    monkeypatch.setattr("exchange.serve.posting.MOST", 1_000)
    monkeypatch.setattr("exchange.serve.posting._COUNTED", 4_000)
    many = b'{"objects":[' + b",".join([b"{}"] * 1_001) + b"]}"
    body = refused(house.post(WRITABLE, many), 422, "request.too_many_objects")
    assert "1000" in body["description"]
    refused(house.post(WRITABLE, many.replace(b"{}", b"1")), 422, "request.too_many_objects")
    refused(house.post(WRITABLE, many.replace(b"{},{}", b"NaN,{}", 1)), 422, "request.too_many_objects")
    for count in (100_000, 1_000_000):
        dense = b'{"objects":[' + b",".join([b"1"] * count) + b"]}"
        body = refused(house.post(WRITABLE, dense), 422, "request.too_many_objects")
        assert "1000" in body["description"]
    assert house.post(WRITABLE, many.replace(b"{},", b"", 1)).json["failure_count"] == 1_000
    numbers = json.dumps({"objects": [indicator() | {"x_list": [1] * 200_000}]}).replace(" ", "").encode()
    assert house.post(WRITABLE, numbers).json["success_count"] == 1, "many commas are not many objects"


def test_a_reason_is_short(house: House) -> None:
    """Whatever stands in the object: a reason quotes little of it."""
    wrong = [
        {"type": "\ud800" * 5000, "id": "x"},
        {"type": "indicator", "id": "\ud800" * 5000},
        indicator() | {"pattern_type": 7, "name": ["x" * 5000]},
        indicator() | {"pattern": "[" * 5000},
    ]
    for entry in house.post(WRITABLE, {"objects": wrong}).json["failures"]:
        assert len(entry["message"]) < 500, entry


def test_small_objects_fill_an_envelope(memory: Store) -> None:
    """Pitfall 31: a body of exactly the limit is not too large."""
    made = [
        {"type": "mutex", "id": f"mutex--{uuid.UUID(int=n, version=4)}", "name": "m",
         "object_marking_refs": indicator()["object_marking_refs"]}
        for n in range(40)
    ]  # fmt: skip
    body = json.dumps({"objects": made}, separators=(",", ":")).encode()
    house = House(memory, max_content_length=len(body))
    assert house.post(WRITABLE, body).json["success_count"] == 40


SOME = '"id":"indicator--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"'


@pytest.mark.parametrize(
    "bad",
    [
        '{"type":"indicator","id":"\\ud800","spec_version":"2.1"}',
        '{"type":"\\ud800","id":"x","spec_version":"2.1"}',
        f'{{"type":"indicator",{SOME},"spec_version":"\\ud800"}}',
        f'{{"type":"indicator",{SOME},"spec_version":"2.1","\\ud800":1,"\\ud800":2}}',
        f'{{"type":"indicator",{SOME},"spec_version":"2.1","created_by_ref":"\\udfff"}}',
    ],
)
def test_a_lone_surrogate_can_be_quoted(house: House, bad: str) -> None:
    """The reason spells it out, in the answer and in the quarantine: neither can hold what is no text."""
    answer = house.post(WRITABLE, b'{"objects":[' + bad.encode() + b"," + json.dumps(indicator()).encode() + b"]}")
    assert (answer.status_code, answer.json["success_count"], answer.json["failure_count"]) == (202, 1, 1)
    told = answer.json["failures"][0]["message"]
    assert "\\ud800" in told or "\\udfff" in told
    assert house.get(f"/api/status/{answer.json['id']}/", "circl").json == answer.json
    with house.store.reading() as tx:
        (row,) = quarantine.entries(tx)
    for value in row["fields"].values():
        assert str(value).encode()
