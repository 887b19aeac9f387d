"""Does the double ask as a MISP does? Recorded servers answer it; its requests must be those that were recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lab.feed import feed
from lab.misp import connection, sightings
from lab.misp.calls import FailedError
from lab.misp.feeds import Feed, Fetch
from lab.misp.instance import POLICY_EVERYONE, Instance
from lab.misp.load import put
from lab.misp.people import Organisation
from lab.misp.pull import Pull
from lab.misp.push import Push
from lab.misp.servers import Server

from tests.misp import scenes
from tests.misp.recordings import CERT1, CERT2, MISP1, MISP2, Exchange, present, recording, viewed
from tests.misp.scenes import E1, E11, E12
from tests.misp.shelf import Shelf, otherwise, shelf

pytestmark = present


class Script:
    """One job after the other against a shelf; each must ask what was recorded for it."""

    def __init__(self, answers: Shelf, server: Server, clock: scenes.Clock) -> None:
        self._answers, self._server, self._clock = answers, server, clock

    def does(self, job: Callable[[], object], exchanges: Sequence[Exchange]) -> None:
        """Run the job at the recorded time."""
        for exchange in exchanges:
            if "/timestamp:" in exchange.path:
                since = exchange.path.split("/timestamp:")[1].split("/")[0]
                self._clock.at = int(since) + 90 * 86400
        self._answers.lay(exchanges)
        self._server.calls.clear()
        job()
        wrong = otherwise(self._server.calls, exchanges)
        assert not wrong, "\n".join(wrong[:30])


def misp2_anew() -> tuple[Instance, scenes.Clock]:
    clock = scenes.Clock(1795285371)
    return Instance(CERT2["name"], CERT2["uuid"], instance_uuid=MISP2, clock=clock), clock


def remote(url: str, of: dict[str, str], **ticked: bool) -> Server:
    return Server(url=url, key="k" * 40, remote=Organisation(uuid=of["uuid"], name=of["name"]), **ticked)


def test_misp2_pulls_and_looks_at_misp1() -> None:
    at, clock = misp2_anew()
    said = recording("sync-misp1")
    with shelf() as (answers, url):
        server = remote(url, CERT1)
        script = Script(answers, server, clock)
        pull = Pull(at, server)
        script.does(pull.run, said[0:12])
        levels = {uuid: event["distribution"] for uuid, event in at.events.items()}
        assert levels == {scenes.E1: "3", scenes.E2: "1", scenes.E3: "0", scenes.E5: "4"}
        stored = [(part["value"], part["distribution"]) for part in at.events[E1]["Attribute"]]
        assert stored == [("198.51.100.1", "5"), ("198.51.100.3", "1"), ("198.51.100.4", "0"), ("198.51.100.5", "5")]
        assert all(event["locked"] for event in at.events.values())
        _pushed_to_misp2(at)
        script.does(Pull(at, server).run, said[12:20])
        at.settings.sightings_policy = POLICY_EVERYONE
        _echoes(at, server, script, clock)
        script.does(Pull(at, server).run, said[29:35])
        script.does(lambda: connection.preview(at, server), said[35:36])
        script.does(lambda: _whatever(lambda: connection.preview_event(at, server, E1)), said[36:37])
        script.does(lambda: _whatever(lambda: connection.cached(at, server)), said[37:38])
        scenes.fifth_scene(at)
        script.does(Pull(at, server).run, said[38:44])
        script.does(lambda: Pull(at, server).run(E1), said[44:47])
        at.tags.pop('misp-galaxy:threat-actor="5c4e0000-0000-4000-8000-000000000901"', None)
        script.does(lambda: Pull(at, server).run("pull_relevant_clusters"), said[47:49])
        script.does(lambda: connection.filtering_rules(at, server), said[49:50])
        script.does(lambda: connection.remote_user(at, server), said[50:51])
        script.does(lambda: connection.tested(at, server), said[82:84])


def _whatever(job: Callable[[], object]) -> None:
    try:
        job()
    except FailedError:
        return


def _pushed_to_misp2(at: Instance) -> None:
    """What MISP1 had pushed in between."""
    for number in (7, 11):
        put(at, {**viewed(recording("sync-misp2")[number]), "locked": True, "published": True})


def _echoes(at: Instance, server: Server, script: Script, clock: scenes.Clock) -> None:
    """MISP2 got sightings from MISP1 by push, and so pushes them back: a push knows no server that it came from."""
    said, user = recording("sync-misp1"), at.user(CERT1["name"], CERT1["uuid"])
    for numbers, event in ((slice(20, 23), E11), (slice(23, 26), E11), (slice(26, 29), E1)):
        brought, clock.at = {20: (42, 1795285411), 23: (46, 1795285465), 26: (50, 1795285466)}[numbers.start]
        sightings.bulk_save(at, event, scenes.sightings_of(brought), user)
        uuid, source, new = at.sighted.pop()
        assert (uuid, source) == (event, "")
        script.does(lambda new=new, event=event: Push(at, server).sighted(at.events[event], new), said[numbers])


def test_misp2_pulls_many() -> None:
    at, clock = misp2_anew()
    said = recording("sync-misp1")
    with shelf() as (answers, url):
        server = remote(url, CERT1)
        script = Script(answers, server, clock)
        views = {exchange.path.split("/")[3] for exchange in said[54:73]}
        for row in said[53].said:
            if row["uuid"] not in views:  # the recording holds only some of the views
                put(at, scenes.framed(row) | {"locked": True})
        script.does(Pull(at, server).run, said[51:76])
        script.does(Pull(at, server).run, said[76:82])
        put(at, scenes.framed(said[86].said[0]) | {"locked": True})
        server.index = None
        script.does(Pull(at, server).run, said[84:90])


def test_misp1_pushes_to_misp2() -> None:
    at, _, clock = scenes.misp1()
    said = recording("sync-misp2")
    with shelf() as (answers, url):
        server = remote(url, CERT2)
        script = Script(answers, server, clock)
        put(at, scenes.as_held(said[3]))
        script.does(lambda: Push(at, server).published(at.events[E11]), said[0:4])
        put(at, scenes.as_held(said[7]))
        script.does(lambda: Push(at, server).published(at.events[E11]), said[4:8])
        script.does(lambda: Push(at, server).sighted(at.events[E11]), said[8:9])
        scenes.second_scene(at)
        script.does(lambda: Push(at, server).published(at.events[E12]), said[9:12])
        script.does(Push(at, server).run, said[12:21])
        script.does(Push(at, server).run, said[21:30])
        at.forget(E12)
        script.does(Push(at, server).run, said[30:39])
        at.settings.sightings_policy = POLICY_EVERYONE
        sight(at, 42)
        script.does(lambda: Push(at, server).sighted(at.events[E11]), said[39:43])
        sight(at, 46)
        script.does(lambda: Push(at, server).sighted(at.events[E11]), said[43:47])
        sight(at, 50)
        script.does(lambda: Push(at, server).sighted(at.events[E1]), said[47:51])
        at.events[E1]["sighting_timestamp"], at.events[E11]["sighting_timestamp"] = "1795285465", "1795285464"
        scenes.fifth_scene(at)
        script.does(lambda: Push(at, server).cluster(at.clusters[E11.replace("0011", "0901")]), said[51:53])
        script.does(Push(at, server).run, said[53:63])
        script.does(Pull(at, server).run, said[63:70])
        for exchange in said[70:73]:
            uuid = exchange.path.rpartition("/")[2]
            put(at, {**at.events[E1], "uuid": uuid, "id": None, "Attribute": [], "Object": []})
            script.does(lambda uuid=uuid: Push(at, server).sighted(at.events[uuid]), [exchange])
        script.does(lambda: connection.tested(at, server), said[73:75])


def sight(at: Instance, brought: int) -> None:
    """The sightings that exchange of sync-misp2 brought are made on MISP1."""
    sightings.add(at, scenes.sightings_of(brought), at.admin, numbered=True)


def test_misp1_and_a_minimal_peer() -> None:
    """A peer with the necessary endpoints alone: what is not there is passed over, sightings end the push."""
    at, _, clock = scenes.misp1()
    scenes.second_scene(at)
    at.forget(E12)
    scenes.sixth_scene(at)
    sight(at, 50)
    at.events[E1]["sighting_timestamp"] = "1795285465"
    said = recording("minimal-peer")
    for row in said[4].said:
        put(at, scenes.framed(row) | {"locked": True, "distribution": "0"})
    with shelf() as (answers, url):
        server = remote(url, {"uuid": "dddddddd-dddd-4ddd-8ddd-dddddddddddd", "name": "peer"})
        script = Script(answers, server, clock)
        script.does(lambda: connection.tested(at, server), said[0:2])
        script.does(Pull(at, server).run, said[2:8])
        script.does(Pull(at, server).run, said[8:14])
        push = Push(at, server)
        script.does(push.run, [*said[14:26], _whole_index(said), *said[27:31]])
        put(at, _of_push(said[33]))
        script.does(lambda: Push(at, server).published(at.events[FOR_FAKE]), said[31:34])
        seen = {"uuid": said[36].asked[0], "attribute_uuid": at.events[FOR_FAKE]["Attribute"][0]["uuid"]}
        sightings.add(at, [seen], at.admin)
        script.does(lambda: Push(at, server).sighted(at.events[FOR_FAKE]), said[34:37])


def _whole_index(said: Sequence[Exchange]) -> Exchange:
    """The recorded index is cut: what it said, and a row for each event that had been pushed to the peer."""
    pushed = [exchange.path.rpartition("/")[2] for exchange in said[:26] if exchange.method == "HEAD"]
    rows = [{**said[4].said[0], "uuid": uuid, "timestamp": "1795285410"} for uuid in pushed]
    return replace(said[26], body=json.dumps([*said[4].said, *rows]))


FOR_FAKE = "b621e53c-cee6-4f0d-b8bb-48dafda582aa"


def _of_push(exchange: Exchange) -> dict[str, object]:
    return {**scenes.as_held(exchange), "sighting_timestamp": "0"}


def test_a_misp_reads_a_feed(tmp_path: Path) -> None:
    """Headers of the free text are cut at ':', the manifest is conditional, events and hashes are not."""
    said = recording("feed")[:8]
    uuids = [exchange.path.strip("/").removesuffix(".json") for exchange in said[1:3]]
    events = [{**_of_feed(uuid), "timestamp": "1795285000"} for uuid in uuids]
    at = Instance(CERT1["name"], CERT1["uuid"], instance_uuid=MISP1)
    with feed(tmp_path, events) as running:
        row = Feed(url=running.url, headers="X-Feed-Key: a:b:c\nAuthorization: Basic <authkey>")
        assert Fetch(at, row).pull().green
        assert Fetch(at, row).pull().events == []
        running.publish({**events[0], "timestamp": "1795285001", "info": "newer"})
        assert Fetch(at, row).pull().events == [uuids[0]]
        assert Fetch(at, row).cache().green
        assert Fetch(at, row).pull().events == []
    assert [(call.method, call.path, call.status) for call in row.calls] == [(e.method, e.path, e.status) for e in said]
    for call, exchange in zip(row.calls, said, strict=True):
        theirs = {name: value for name, value in exchange.request_headers.items() if name != "Host"}
        assert call.headers.keys() == theirs.keys()
        plain = theirs.keys() - {
            "If-None-Match",
            "Authorization",
        }  # one is another server's, one is not in the recording
        assert {name: call.headers[name] for name in plain} == {name: theirs[name] for name in plain}
    assert not at.events[uuids[0]]["locked"]  # so that sync will never update it
    assert len(row.cache) == 2


def _of_feed(uuid: str) -> dict[str, object]:
    inside = {
        "type": "domain",
        "category": "Network activity",
        "value": f"{uuid[-1]}.example",
        "timestamp": "1795285000",
    }
    orgc = {"uuid": CERT2["uuid"], "name": CERT2["name"]}
    whole = {"uuid": uuid, "info": "of a feed", "date": "2026-11-21", "Orgc": orgc, "published": True}
    return {**whole, "Attribute": [{**inside, "uuid": uuid.replace("feed", "fa77")}]}
