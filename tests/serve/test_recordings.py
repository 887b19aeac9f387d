"""What MISP itself sends when it pushes over TAXII, replayed: its headers, its addresses, its envelopes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store
from tests.serve.house import House, house_terms, ids
from tests.world import OPEN_WRITE, agreement

RECORDING = Path(__file__).parents[3] / "shared" / "data" / "misp-wire" / "taxii-push.jsonl"
THEIRS = {"/api1/": "/api/", "91a7b528-80eb-42ed-a74d-c6fbd5a26116": OPEN_WRITE}
"""The API root and the collection of the server that was recorded → ours."""
OURS = {"Host", "Content-Length", "Authorization"}


@pytest.mark.skipif(not RECORDING.exists(), reason="needs the recordings of MISP on the wire")
def test_a_push_of_misp(memory: Store) -> None:
    """Every request is answered with the status that MISP met when it was recorded, and every object is taken."""
    take, give = Receive(ceiling=Tlp.RED, unmarked=Tlp.GREEN), Send(ceiling=Tlp.RED, onward=True)
    given = house_terms(agreements=[agreement("x", "circl", "ccc", receive=take, send=give)])
    depot = replace(given.collections[OPEN_WRITE], ceiling=Tlp.RED)
    house = House(memory, replace(given, collections={**given.collections, OPEN_WRITE: depot}), max_content_length=3000)
    house.tick(hours=12)  # what was recorded is not from the future
    posted: list[str] = []
    for line in RECORDING.read_text(encoding="utf-8").splitlines():
        request: Mapping[str, Any] = json.loads(line)
        path = request["path"]
        for theirs, ours in THEIRS.items():
            path = path.replace(theirs, ours)
        path, _, query = path.partition("?")
        headers = {name: value for name, value in request["request_headers"].items() if name not in OURS}
        body = request.get("request_body", "").encode()
        answer = house.send(request["method"], path, "circl", headers=headers, body=body, query_string=query)
        assert answer.status_code == request["status"], answer.text
        if request["method"] == "POST":
            sent = json.loads(body)["objects"]
            assert (answer.json["success_count"], answer.json["failure_count"]) == (len(sent), 0), answer.text
            posted += [item["id"] for item in sent]
    assert set(ids(house.get(f"/api/collections/{OPEN_WRITE}/objects/", "ccc"))) == set(posted)
