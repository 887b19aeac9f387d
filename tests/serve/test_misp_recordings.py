"""What real MISP 2.5.1 servers sent to a peer, replayed against us: status, headers and shape are what they met there.

Some answers differ because we are another server, with other content; each such difference is named in a table here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result

from exchange.model.marking import Tlp
from exchange.model.party import ANYBODY, Receive, Send, Source
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import BASE, Misp, house_of, misp_terms
from tests.world import OPEN_WRITE, agreement

WIRE = Path(__file__).parents[3] / "shared" / "data" / "misp-wire"
pytestmark = pytest.mark.skipif(not WIRE.exists(), reason="needs the recordings of MISP on the wire")
OURS = {"Host", "Content-Length", "Authorization", "Content-Encoding", "If-None-Match"}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONTENT = re.compile(r"/events/view/|/galaxy_clusters/view/|/analyst_data/index/|/events/[0-9a-f-]{36}$")
"""Addresses of single things, which were or were not there when they were recorded."""


def recorded(name: str) -> Iterator[dict[str, Any]]:
    for line in (WIRE / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def content(each: Mapping[str, Any]) -> Any:
    """The JSON of a recorded answer; None: none was recorded, or not to its end."""
    try:
        return json.loads(each.get("response_body") or "null")
    except json.JSONDecodeError:
        return None


def whole(each: Mapping[str, Any]) -> bool:
    """Whether what was sent has been recorded to its end."""
    try:
        json.loads(each.get("request_body") or "null")
    except json.JSONDecodeError:
        return False
    return True


def node(store: Store) -> House:
    """A node that takes from circl what anybody created, and whose agreements let it all be read."""
    take, give = Receive(ceiling=Tlp.RED, unmarked=Tlp.GREEN), Send(ceiling=Tlp.RED, onward=True)
    given = misp_terms()
    source = Source(peer="circl", id="m", kind="misp", url="https://misp.circl.example", orgs=frozenset({ANYBODY}))
    peers = {**given.peers, "circl": replace(given.peers["circl"], sources=(source,))}
    depot = replace(given.collections[OPEN_WRITE], ceiling=Tlp.RED)
    given = replace(
        given,
        peers=peers,
        collections={**given.collections, OPEN_WRITE: depot},
        agreements=(agreement("x", "circl", "ccc", receive=take, send=give),),
    )
    house = house_of(store, given)
    house.world.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    house.world.follow(given)
    return house


def seeded(house: House) -> dict[str, int]:
    """Give the node every event that was seen on the wire, as its creator's MISP would push it; uuid → timestamp."""
    newest: dict[str, dict[str, Any]] = {}
    for name in ("sync-misp1.jsonl", "pull-first.jsonl"):
        for each in recorded(name):
            if "/events/view/" in each["path"] and each["method"] == "GET" and each["status"] == 200:
                event = (content(each) or {}).get("Event")
                if event is not None:
                    newest[event["uuid"]] = event
    for event in newest.values():
        answer = Misp(house).push({**event, "distribution": "3", "locked": 1})
        assert answer.status_code in (200, 403), answer.text
    house.tick(seconds=2)
    return {uuid: int(event["timestamp"]) for uuid, event in newest.items()}


def ask(house: House, request: Mapping[str, Any], who: str = "circl") -> Result:
    headers = {name: value for name, value in request["request_headers"].items() if name not in OURS}
    headers = {name: value for name, value in headers.items() if name != "Accept-Encoding"}
    body = request.get("request_body")
    pack = request["request_headers"].get("Content-Encoding") == "gzip"
    return Misp(house, who).ask(
        request["method"], request["path"], None if body is None else body.encode(), pack=pack, **headers
    )


LEFT_OUT = {
    "user_id", "org_id", "id", "local", "orgc_id", "Galaxy", "SharingGroup", "proposal_email_lock", "sharing_group_id",
    "GalaxyCluster", "event_id", "object_id", "attribute_id", "disable_correlation", "event_creator_email",
    "RelatedEvent", "CryptographicKey", "ShadowAttribute", "Sighting", "Note", "first_seen", "last_seen",
    "object_relation", "publish_timestamp", "locked", "protected", "Object", "EventReport", "Org", "Tag", "data",
    "galaxy_id", "tag_count", "tag_id", "_canEdit", "org_uuid", "note_type", "value", "comment", "deleted",
    "description", "extends_uuid", "is_galaxy", "hide_tag", "is_custom_galaxy", "local_only", "relationship_type",
    "numerical_value",
}  # fmt: skip
"""Numbers and states of another server's database, and what one event has and another has not."""


def missing(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """The names that MISP's answer has and ours has not."""
    if [] in (theirs, ours):
        return []  # PHP's empty map is a list
    if isinstance(theirs, list):
        both = isinstance(ours, list)
        return missing(theirs[0], ours[0], f"{path}[]") if both and theirs and ours else [] if both else [path or "/"]
    if not isinstance(theirs, dict) or path == ".Note":
        return []
    if not isinstance(ours, dict):
        return [path or "/"]
    found = [f"{path}.{name}" for name in theirs.keys() - ours.keys() - LEFT_OUT]
    for name in theirs.keys() & ours.keys():
        found += missing(theirs[name], ours[name], f"{path}.{name}")
    return found


OTHERWISE = {
    # (method, path without uuids) → status there and here, and why
    ("POST", "/attributes/restSearch.json"): (500, 200),  # MISP's own answer failed that day
    ("POST", "/events/index"): (304, 200),  # the tag was of another content; test_misp_pull asks again with ours
}


_WRITING = re.compile(r"push|/add|/edit|bulkSave", re.I)


def comparable(each: Mapping[str, Any], known: Mapping[str, int]) -> bool:
    """A question whose recorded answer we should have too: of what is there, and not cut off in the recording."""
    if _WRITING.search(each["path"]) or each["method"] == "HEAD" or each["status"] == 404 or not whole(each):
        return False
    return not _CONTENT.search(each["path"]) or set(_UUID.findall(each["path"])) <= known.keys()


def differences(each: Mapping[str, Any], answer: Result) -> Iterator[str]:
    """What is otherwise in our answer than in MISP's, and should not be."""
    path = _UUID.sub("U", each["path"])
    there, here = OTHERWISE.get((each["method"], path), (0, 0))
    want = here if each["status"] == there else each["status"]
    if answer.status_code != want:
        yield f"{each['method']} {path}: {want} there, {answer.status_code} here: {answer.text}"
        return
    for header in ("X-Result-Count", "ETag"):
        if header in (each.get("response_headers") or {}) and "sightings" not in path:
            yield from () if header.lower() in answer.headers else (f"{path}: no {header}",)
    theirs = content(each)
    if theirs is not None and each["status"] == want == 200 and not path.startswith("/users/"):
        yield from (f"{path}: {name}" for name in missing(theirs, answer.json))


def test_what_a_misp_asks_of_a_server_it_pulls_from(memory: Store) -> None:
    """Every request of both pulls and of the preview has MISP's status, and all names of MISP's answer."""
    house = node(memory)
    known = seeded(house)
    asked, wrong = 0, set[str]()
    for name in ("pull-first.jsonl", "sync-misp1.jsonl", "sync-misp2.jsonl", "minimal-peer.jsonl"):
        for each in recorded(name):
            if comparable(each, known):
                asked += 1
                wrong |= set(differences(each, ask(house, each)))
    assert not wrong, "\n".join(sorted(wrong))
    assert asked > 100


def test_what_a_misp_pushes(memory: Store) -> None:
    """In order, into an empty node: each request gets the status that the receiving MISP gave, and the same counts."""
    house = node(memory)
    pushes = 0
    for each in recorded("sync-misp2.jsonl"):
        path = each["path"]
        if not re.search(r"/events/(add|edit)|bulkSave|pushCluster|pushAnalyst|filterEventIds", path):
            continue
        uuids = _UUID.findall(path)
        if "bulkSave" in path and Misp(house).head(f"/events/view/{uuids[0]}") == 404:
            continue  # it came by a pull
        answer = ask(house, each)
        pushes += 1
        assert answer.status_code == each["status"], f"{path}: {answer.text}"
        theirs, ours = json.loads(each["response_body"]), answer.json
        if "/events/add" in path or "/events/edit" in path:
            if each["status"] == 403:
                assert ours["errors"] == theirs["errors"]
                continue
            for name in ("uuid", "timestamp", "info", "date", "threat_level_id", "analysis", "attribute_count"):
                assert ours["Event"][name] == theirs["Event"][name], name
            assert ours["Event"]["Orgc"]["uuid"] == theirs["Event"]["Orgc"]["uuid"]
            assert not [each for each in missing(theirs, ours) if "Galaxy" not in each]
        elif "bulkSave" in path:
            assert ours == theirs
        elif "pushCluster" in path or "pushAnalyst" in path:
            assert ours["success"] is theirs["success"]
            assert ours["message"] == theirs["message"]
    assert pushes > 8


def test_the_address_is_the_one_that_misp_puts_together() -> None:
    """MISP appends its paths to the base URL as it stands, without a slash at its end."""
    assert not BASE.endswith("/")
