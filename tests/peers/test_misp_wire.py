"""Our client against what real MISP 2.5.1 servers answered, and beside what a real MISP asked of them."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles import Asked, Told, client, serving, source, target

from exchange.model.envelope import Outgoing
from exchange.model.party import Credentials

WIRE = Path(__file__).parents[3] / "shared" / "data" / "misp-wire"
AFTER = datetime(2026, 11, 22, tzinfo=UTC)
"""The day after the recordings."""
pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings are not here")
OURS = ("/servers/getVersion", "/events/", "/sightings/", "/analyst_data/", "/galaxy_clusters/", "/shadow_attributes/")


def recorded(name):
    return [json.loads(line) for line in (WIRE / name).read_text("utf-8").splitlines()]


def call(method, path):
    """A call by name: MISP writes the moment of the pull into one address, and into another what it lacks."""
    path = re.sub(r"timestamp:[0-9]+", "timestamp:T", path)
    return f"{method} {re.sub(r'(uuid[^/]+/?)+$', 'uuids', path)}"


class Recorded:
    """Answers as the recorded server did: to the same question in turn, to the last of them for ever."""

    def __init__(self, exchanges):
        self.answers = defaultdict(list)
        for exchange in exchanges:
            headers = {n: v for n, v in exchange.get("response_headers", {}).items() if n in ("ETag", "Location")}
            body = (exchange.get("response_body") or "").encode()
            told = Told(exchange["status"], body, {"Content-Type": "application/json", **headers})
            self.answers[call(exchange["method"], exchange["path"])].append(told)
        self.unknown = []

    def __call__(self, asked: Asked) -> Told:
        found = self.answers.get(call(asked.method, asked.path))
        if not found:
            self.unknown.append(call(asked.method, asked.path))
            return Told(404, b'{"name": "Not Found"}')
        return found.pop(0) if len(found) > 1 else found[0]


def body_of(asked: Asked):
    raw = gzip.decompress(asked.body) if asked.headers.get("Content-Encoding") == "gzip" else asked.body
    return json.loads(raw) if raw else None


def pull(site, cursor=None):
    reader = client("misp", credentials=Credentials(key="k" * 40), clock=lambda: AFTER)
    return list(reader.pull(source(site.url, kind="misp"), cursor or {}))


def test_a_first_pull_asks_what_a_misp_asks_and_keeps_what_came():
    exchanges = recorded("pull-first.jsonl")
    with serving(Recorded(exchanges)) as site:
        pages = pull(site)
        mine = {call(a.method, a.path): body_of(a) for a in site.asked}
    theirs = {call(e["method"], e["path"]): json.loads(e.get("request_body") or "null") for e in exchanges}
    assert mine == theirs
    kept = {page.document.id: page.document.raw for page in pages if page.document}
    views = {e["path"].split("/")[3]: e["response_body"] for e in exchanges if "/events/view/" in e["path"]}
    assert kept.keys() == views.keys()
    for uuid, raw in kept.items():
        event, sent = json.loads(raw)["Event"], json.loads(views[uuid])["Event"]
        assert event == sent
        assert views[uuid][9:-3].encode() in raw
    proposals = [each for raw in kept.values() for each in json.loads(raw).get("ShadowAttribute", ())]
    assert [each["value"] for each in proposals] == ["192.0.2.77"]
    assert {skipped.code for page in pages for skipped in page.skipped} == {"misp.elsewhere"}  # notes on hidden events


@pytest.mark.parametrize("name", ["sync-misp1.jsonl", "sync-misp2.jsonl"])
def test_whatever_was_recorded_can_be_pulled_twice(name):
    """Not every event of these recordings was viewed: those are not shown, and no reason to stop."""
    exchanges = [e for e in recorded(name) if e["status"] != 304 and e["path"].startswith(OURS)]
    server = Recorded(exchanges)
    with serving(server) as site:
        pages = pull(site)
        again = pull(site, json.loads(json.dumps(pages[-1].cursor)))
    assert pages[-1].last
    assert not [bad for page in pages for bad in page.rejected]
    listed = {row["uuid"] for e in exchanges if e["path"] == "/events/index" for row in json.loads(e["response_body"])}
    said = [page.document.id for page in pages if page.document]
    said += [skipped.id for page in pages for skipped in page.skipped if skipped.code == "misp.gone"]
    assert set(said) <= listed
    assert len(said) == len(set(said))
    assert again[-1].last
    # All that was asked without having been recorded: events that nobody viewed, and what is beside them.
    assert all(re.search("/events/view/|/sightings/|/analyst_data/|/shadow", unknown) for unknown in server.unknown)


def pushes(name):
    return [e for e in recorded(name) if e["method"] == "POST" and re.match("/events/(add|edit)", e["path"])]


@pytest.mark.parametrize("number", range(7))
def test_an_event_is_pushed_as_a_misp_pushed_it_and_its_answer_is_understood(number):
    """What went over the wire from one MISP to another goes again from us, and means the same to us."""
    exchange = pushes("sync-misp2.jsonl")[number]
    event = json.loads(exchange["request_body"])["Event"]
    everything = recorded("sync-misp2.jsonl")
    at = next(n for n, e in enumerate(everything) if e == exchange)
    there = next(e for e in reversed(everything[:at]) if e["method"] == "HEAD" and event["uuid"] in e["path"])
    version = next(e for e in everything if e["path"] == "/servers/getVersion")
    wanted = {"method": "POST", "path": "/events/filterEventIdsForPush", "status": 200}
    wanted["response_body"] = json.dumps([event["uuid"]])
    with serving(Recorded([version, wanted, there, exchange])) as site:
        sent = Outgoing(id=event["uuid"], version=event["timestamp"], body=json.dumps({"Event": event}).encode())
        writer = client("misp", credentials=Credentials(key="k" * 40))
        (receipt,) = writer.push(target(site.url, "misp"), [sent])
        made = site.asked[-1]
    expected = ("accepted", "") if exchange["status"] == 200 else ("refused", "peer.empty_event")
    assert (receipt.outcome, receipt.message) == expected
    assert (made.method, made.path) == (exchange["method"], exchange["path"])
    given = body_of(made)["Event"]
    kept = {name for name, value in event.items() if value not in ([], None)}
    assert {name: given[name] for name in kept & given.keys()} == {name: event[name] for name in kept & given.keys()}
    assert kept - given.keys() <= {"id", "user_id", "attribute_count", "org_id", "orgc_id"}
    assert given["locked"] == 1
    encoding = exchange["request_headers"].get("Content-Encoding")
    assert made.headers.get("Content-Encoding") == encoding or len(exchange["request_body"]) < 1100


def test_sightings_are_pushed_as_a_misp_pushed_them():
    exchanges = recorded("sync-misp2.jsonl")
    bulk = next(e for e in exchanges if "/bulkSaveSightings/" in e["path"])
    rows = json.loads(bulk["request_body"])
    uuid = bulk["path"].rpartition("/")[2]
    at = exchanges.index(bulk)
    version = next(e for e in exchanges if e["path"] == "/servers/getVersion")
    nothing = {"method": "POST", "path": "/events/filterEventIdsForPush", "status": 200, "response_body": "[]"}
    index = {"method": "POST", "path": "/events/index", "status": 200}
    index["response_body"] = json.dumps([{"uuid": uuid, "timestamp": "1795285410", "published": True}])
    event = {"uuid": uuid, "info": "E11", "timestamp": "1795285410", "Sighting": rows}
    with serving(Recorded([version, nothing, index, exchanges[at - 1], bulk])) as site:
        sent = Outgoing(id=uuid, version="1795285410", body=json.dumps({"Event": event}).encode())
        writer = client("misp", credentials=Credentials(key="k" * 40))
        (receipt,) = writer.push(target(site.url, "misp"), [sent])
        asked = {call(a.method, a.path): body_of(a) for a in site.asked}
    assert (receipt.outcome, receipt.message) == ("accepted", "peer.already_there")
    assert asked[call("POST", bulk["path"])] == rows
    assert asked[call("POST", exchanges[at - 1]["path"])] == [row["uuid"] for row in rows]
