"""Whatever a MISP does when it is read or written to: nothing lost, nothing doubled, and the operator is told."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.errors import PeerError
from exchange.i18n import LANGUAGES, knows
from exchange.model.envelope import Outgoing, Receipt
from exchange.model.marking import Tlp
from exchange.model.party import Credentials, Target
from exchange.peers import Limits, client_for
from exchange.store import Store, open_store, sources, tables
from exchange.sync.pull import LEASE, Run
from tests.hostile.room import Client, Killed, readable
from tests.peers.doubles import NOW, PEER, Asked, Running, Told, Waits, serving
from tests.peers.instance import STAMP, Answering, Instance, attribute, event, refusal, said, uuid
from tests.sync.partners import MISP, Desk
from tests.world import emptied, terms

KEY = "k3y" + "x" * 37
COUNT = 12
LIMITS = {"connect": 5.0, "read": 5.0, "total": 5.0, "size": 512 * 1024, "tries": 3}
Ways = Mapping[str, Told | Answering]
HTML = Told(200, b"<html><h1>Sign in</h1></html>", {"Content-Type": "text/html"})
CUT = Told(200, b'[{"uuid": "5c4e', {"Content-Length": "9999", "Connection": "close"})
ECHO = Told(500, f"<p>{KEY}</p>".encode())
ODD: dict[str, Told] = {
    "a page of HTML": HTML,
    "a cut body": CUT,
    "nothing": Told(200),
    "a number": said(7),
    "a list of lists": said([[[]]]),
    "a map of maps": said({"a": {"b": {}}}),
    "null": said(None),
    "brackets without end": Told(200, b"[" * 200_000),
    "a bomb": Told(200, gzip.compress(b" " * 8_000_000), {"Content-Encoding": "gzip"}),
    "a lone surrogate": Told(200, b'[{"uuid": "\\ud800"}]'),
    "bytes that are no text": Told(200, b"\xff\xfe\x00"),
    "500 that repeats our key": ECHO,
    "a redirect elsewhere": Told(302, headers={"Location": f"https://{KEY}@evil.example/{KEY}"}),
}
BESIDE = ("/shadow_attributes/", "/sightings/", "/analyst_data/", "/galaxy_clusters/")


@dataclass
class Room:
    """One node, and one MISP that it reads."""

    desk: Desk
    misp: Instance
    site: Running
    waits: Waits = field(default_factory=Waits)

    def pull(self) -> Run:
        """The pull that is due."""
        source = replace(MISP, url=self.site.url)
        run = self.desk.pull(self.client, source, forced=True)
        assert run is not None
        return run

    def client(self) -> Any:
        """Our client."""
        limits, world = Limits(**LIMITS), self.desk.world
        return client_for(PEER, "misp", Credentials(key=KEY), clock=lambda: world.now, wait=self.waits, limits=limits)

    def held(self) -> Counter[str]:
        """What the node holds of the events' attributes."""
        rows = self.desk.rows(tables.statement)
        return Counter(row["stix_id"] for row in rows if row["stix_id"].startswith("indicator--"))

    def expected(self) -> Counter[str]:
        """Every attribute once."""
        return Counter(f"indicator--{a['uuid']}" for e in self.misp.events.values() for a in e["Attribute"])

    def told(self) -> dict[str, Any]:
        """Code → fields of the remarks and of what was set aside."""
        with self.desk.store.reading() as tx:
            remarks = {row["code"]: dict(row["fields"]) for row in sources.passed_over(tx, MISP.key)}
        return remarks | {row["code"]: json.loads(row["fields"]) for row in self.desk.rows(tables.quarantine)}


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """A store in memory, emptied for each case."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


@pytest.fixture
def room(shared: Store) -> Iterator[Room]:
    """The MISP has COUNT events, with something beside each."""
    emptied(shared)
    org = {"uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f", "name": "CIRCL"}
    misp = Instance(sighted={uuid(n): STAMP - 5 for n in range(COUNT)})
    for n in range(COUNT):
        tags = [{"name": "tlp:green"}]
        more = {"distribution": "3", "analysis": "2", "threat_level_id": "2", "Orgc": org, "Object": [], "Tag": tags}
        misp.put(event(n, STAMP - 1000 + n, published=True, Attribute=[attribute(1000 + n)], **more))
    misp.proposals = [{"uuid": uuid(2000), "event_uuid": uuid(1), "timestamp": "5", "type": "domain", "value": "x"}]
    misp.analyst = {"Note": {uuid(3000): {"uuid": uuid(3000), "modified": "x", "object_uuid": uuid(2)}}}
    with serving(misp) as site:
        yield Room(Desk(shared, terms(unmarked=Tlp.GREEN)), misp, site)


def ends_in_order(room: Room, run: Run) -> None:
    """It ended, said why in both languages, held nothing twice, waited little and kept our key to itself."""
    if run.error is not None:
        readable(run.error.code, dict(run.error.fields) | {"peer": PEER.id})
    for code in room.told():
        assert all(knows(code, language) for language in LANGUAGES), code
    assert set(room.held().values()) <= {1}
    assert sum(room.waits.seconds) < 120
    for table in tables.metadata.sorted_tables:
        assert not any(KEY in str(row) for row in room.desk.rows(table))
    assert KEY not in str(run.error)


def recovers(room: Room, *, mended: str = "") -> None:
    """The instance behaves again and has one event more; of what was `mended` there are two versions."""
    room.misp.broken.clear()
    room.misp.put({**room.misp.events[uuid(0)], **event(900, STAMP - 1), "Attribute": [attribute(1900)]})
    room.desk.world.now += LEASE + timedelta(seconds=1)
    run = room.pull()
    assert (run.outcome, run.error) == ("complete", None)
    held = room.held()
    if mended and held[mended] == 2:
        held[mended] = 1
    assert held == room.expected()


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("prefix", BESIDE)
def test_what_is_beside_the_events_holds_none_of_them_back(prefix: str, what: str, room: Room) -> None:
    room.misp.broken = {prefix: ODD[what]}
    run = room.pull()
    assert (run.outcome, run.error) == ("complete", None)
    assert room.held() == room.expected()
    ends_in_order(room, run)
    recovers(room)


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("prefix", ["/servers/getVersion", "/events/index"])
def test_without_version_or_index_the_pull_fails_and_says_why(prefix: str, what: str, room: Room) -> None:
    room.misp.broken = {prefix: ODD[what]}
    run = room.pull()
    empty = prefix == "/events/index" and what == "a list of lists"
    assert run.outcome == ("complete" if empty else "failed")
    ends_in_order(room, run)
    recovers(room)


@pytest.mark.parametrize("what", ODD)
def test_an_event_that_is_none_is_set_aside_or_stops_the_pull_before_the_next(what: str, room: Room) -> None:
    room.misp.broken = {f"/events/view/{uuid(5)}": ODD[what]}
    run = room.pull()
    came = len(room.held())
    assert came == (COUNT - 1 if run.outcome == "complete" else 5)
    ends_in_order(room, run)
    room.misp.put({**room.misp.events[uuid(5)], "timestamp": str(STAMP - 2)})
    recovers(room)


@pytest.mark.parametrize("most", [0, 1, 5, COUNT])
def test_killed_between_two_events_it_goes_on_where_it_was(most: int, room: Room) -> None:
    source = replace(MISP, url=room.site.url)
    with pytest.raises(Killed):
        room.desk.pull(lambda: Client(room.client(), most), source, forced=True)
    assert len(room.held()) == most
    room.misp.calls.clear()
    recovers(room)
    assert len([call for call in room.misp.calls if "/events/view/" in call]) == COUNT - most + 1
    assert set(room.held().values()) == {1}


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "attributes that are a text": lambda e: e.update(Attribute="none"),
    "an attribute that is a number": lambda e: e.update(Attribute=[7]),
    "tags that are a map": lambda e: e.update(Tag={"name": "tlp:red"}),
    "an info that is a list": lambda e: e.update(info=[]),
    "a creator that is a text": lambda e: e.update(Orgc="CIRCL"),
    "a timestamp that is a map": lambda e: e.update(timestamp={}),
    "another uuid": lambda e: e.update(uuid=uuid(77)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_shape_inside_one_event_is_that_event_s_own(what: str, room: Room) -> None:
    given = json.loads(json.dumps(room.misp.events[uuid(5)]))
    WRONG[what](given)
    room.misp.broken = {f"/events/view/{uuid(5)}": said({"Event": given})}
    run = room.pull()
    assert (run.outcome, run.error) == ("complete", None)
    assert len(room.held()) >= COUNT - 1
    ends_in_order(room, run)
    room.misp.put({**room.misp.events[uuid(5)], "timestamp": str(STAMP - 2)})
    recovers(room, mended=f"indicator--{uuid(1005)}")


def test_beside_one_event_stands_nothing_that_is_told_of_another(room: Room) -> None:
    """An instance may answer with sightings, notes and proposals of whatever it likes."""
    lies = [
        {"Sighting": {"uuid": uuid(700), "event_uuid": uuid(900)}},
        {"Sighting": [1]},
        7,
        {"Sighting": {"uuid": "x"}},
    ]
    room.misp.broken = {"/sightings/": said({"response": lies})}
    run = room.pull()
    assert run.outcome == "complete"
    assert not any(b"Sighting" in row["raw"] for row in room.desk.rows(tables.document))


# Pushes


def outgoing(number: int) -> Outgoing:
    body = {"Event": event(number, STAMP - 100, published=True, Attribute=[attribute(1000 + number)])}
    return Outgoing(id=uuid(number), version=str(STAMP - 100), body=json.dumps(body).encode())


def push(misp: Instance, url: str) -> tuple[list[Receipt], PeerError | None]:
    target = Target(peer=PEER.id, id="depot", kind="misp", url=url, collection="")  # type: ignore[arg-type]
    writer = client_for(PEER, "misp", Credentials(key=KEY), clock=lambda: NOW, wait=Waits(), limits=Limits(**LIMITS))
    try:
        return list(writer.push(target, [outgoing(n) for n in range(COUNT)])), None
    except PeerError as error:
        return [], error


def one(prefix: str, number: int, told: Told) -> Ways:
    """This answer, and only to the event with this number."""

    def answer(asked: Asked) -> Told | None:
        body = gzip.decompress(asked.body) if asked.headers.get("Content-Encoding") == "gzip" else asked.body
        return told if uuid(number).encode() in body else None

    return {prefix: answer}


PUSHES: dict[str, Ways] = {
    **{f"{what} from add": {"/events/add": told} for what, told in ODD.items()},
    **{f"{what} for one event": one("/events/add", 5, told) for what, told in ODD.items()},
    **{f"{what} from the filter": {"/events/filterEventIdsForPush": told} for what, told in ODD.items()},
    **{f"{what} from view": {"/events/view/": told} for what, told in ODD.items()},
    **{f"{code} from add": {"/events/add": Told(code)} for code in (400, 401, 403, 404, 405, 413, 422, 429, 502, 503)},
    "a blocklist for one": one("/events/add", 5, refusal("Event blocked by event blocklist.")),
    "a filter that wants nothing": {"/events/filterEventIdsForPush": said([])},
    "a filter that wants others": {"/events/filterEventIdsForPush": said([uuid(900)])},
    "404 with a place that leads elsewhere": {
        "/events/add": Told(404, headers={"Location": "https://evil.example/events/7"})
    },
    "counts that are texts": {"/events/add": said({"Event": {"attribute_count": "many"}})},
    "counts without end": {"/events/add": said({"Event": {"attribute_count": 10**30}})},
}


@pytest.mark.parametrize("way", PUSHES)
def test_a_push_ends_and_nothing_counts_as_taken_that_is_not_there(way: str) -> None:
    misp = Instance(broken=dict(PUSHES[way]))
    with serving(misp) as site:
        receipts, error = push(misp, site.url)
        assert (error is None) == (len(receipts) == COUNT)
        assert KEY not in f"{receipts} {error}"
        assert {asked.path for asked in site.asked if "evil" in asked.path} == set()
        assert len(site.asked) < 12 * COUNT
        if error is not None:
            readable(error.code, dict(error.fields))
        lies = "counts" in way  # the answer is well-formed: that must do
        taken = {receipt.id for receipt in receipts if receipt.outcome == "accepted"}
        assert lies or taken <= misp.events.keys()
        refused = {receipt.id for receipt in receipts if receipt.outcome == "refused"}
        misp.broken.clear()
        receipts, error = push(misp, site.url)
        assert error is None
        assert {receipt.outcome for receipt in receipts} == {"accepted"}
    assert misp.events.keys() == {uuid(n) for n in range(COUNT)}
    assert lies or not taken & refused
