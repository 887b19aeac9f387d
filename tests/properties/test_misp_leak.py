"""What leaves equals the table, for every distribution, sharing group, tag and published state, over every transport.

The table (`border`) is written from misp.md 2.1 and the agreements, with no code of ours. MISP's own TAXII push sends
unpublished, org-only and sharing-group data; this is where ours is held to send none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from exchange import convert
from exchange.model.envelope import Page
from exchange.model.lights import PAP_ID, PFC_ID
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Peer, Receive, Send, Source, Target, Terms
from exchange.store import open_store
from exchange.sync.accept import accept
from exchange.sync.pull import Work
from exchange.sync.push import push
from tests.properties import border
from tests.properties.border import BY_NAME, GIVER, HOUSE, PARTIES, SECRETS, Case, marks_due
from tests.serve.house import House
from tests.sync.partners import Taker
from tests.world import agreement, collection

SOURCES = {
    internal: Source(peer=peer, id="misp", kind="misp", orgs=frozenset({"*"}), internal=internal)
    for internal, peer in ((False, GIVER), (True, HOUSE))
}
PARTNERS = [party for party in PARTIES if not party.home]
VALUE = re.compile(rb"\be\d+a[12]\.example")


def room(name: str) -> str:
    """The id of the collection that `name` alone reads."""
    return f"0c6b5f0a-6f2d-4c35-9a57-{[party.name for party in PARTIES].index(name):012d}"


def targets(name: str) -> tuple[Target, Target]:
    """Where the party is handed things: as STIX, and as events."""
    there = BY_NAME[name].server
    return (
        Target(peer=name, id="in", kind="taxii", url=there, collection="c"),
        Target(peer=name, id="misp", kind="misp", url=there),
    )


def leak_terms() -> Terms:
    """One room for each party; the giver's AMBER may go onward; nothing is said of unmarked content."""
    peers = [
        Peer(
            id=party.name,
            name=party.name,
            home=party.home,
            identities=frozenset({party.org}),
            pap=party.pap,
            targets=() if party.home else targets(party.name),
            sources=(SOURCES[True],) if party.home else (),
        )
        for party in PARTIES
    ]
    peers.append(Peer(id=GIVER, name=GIVER, sources=(SOURCES[False],)))
    sent = [
        agreement(party.name, party.name, send=Send(ceiling=Tlp(party.ceiling), pfc=party.pfc)) for party in PARTNERS
    ]
    given = agreement(GIVER, GIVER, receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.CLEAR, onward=True))
    rooms = {
        room(party.name): collection(room(party.name), f"salle-{party.name}", (party.name,), ceiling=Tlp.RED)
        for party in PARTIES
    }
    return Terms(
        peers={peer.id: peer for peer in peers},
        collections=rooms,
        agreements=(given, *sent),
        node_identity=f"identity--{BY_NAME[HOUSE].org}",
    )


def converted(case: Case, house: House) -> Iterator[Page]:
    """What a pull of the event brings."""
    yield from convert.pages(json.dumps({"Event": case.json()}).encode(), SOURCES[case.internal], now=house.world.now)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A node that has taken in every event."""
    store = open_store("sqlite://")
    made = House(store, leak_terms())
    for case in border.cases():
        source = SOURCES[case.internal]
        for page in converted(case, made):
            assert not page.rejected, page.rejected
            accept(store, made.world.rules, page, source.key, source.peer, made.world.now)
    for source in SOURCES.values():  # the end of the drain: containers are judged then (RULES R11)
        accept(store, made.world.rules, Page(last=True), source.key, source.peer, made.world.now)
    made.tick()
    yield made
    store.close()


def over_taxii(house: House, name: str) -> Iterator[bytes]:
    """Every object of the room, each by itself."""
    path: str | None = f"/api/collections/{room(name)}/objects/"
    query = ""
    while path is not None:
        answer = house.get(path, name, query_string=query)
        assert answer.status_code == 200, answer.text
        for item in answer.json.get("objects", []):
            yield json.dumps(item).encode()
        path, query = (path, f"next={answer.json['next']}") if answer.json.get("more") else (None, "")


def as_a_feed(house: House, name: str) -> Iterator[bytes]:
    """Every file of the feed: the manifest, the hashes, each event."""
    base = f"/feeds/{room(name)}/"
    manifest = house.get(f"{base}manifest.json", name)
    yield manifest.content
    yield house.get(f"{base}hashes.csv", name).content
    for identifier in manifest.json:
        yield house.get(f"{base}{identifier}.json", name).content


def handed_over(house: House, name: str) -> Iterator[bytes]:
    """Everything that a push hands to the target."""
    yield from _handed(house, targets(name)[0])


def handed_to_misp(house: House, name: str) -> Iterator[bytes]:
    """The bytes of every event that a push hands to the party's MISP."""
    yield from _handed(house, targets(name)[1])


def _handed(house: House, target: Target) -> Iterator[bytes]:
    taker = Taker()
    work = Work(
        store=house.store,
        rules=lambda: house.world.rules,
        clock=lambda: house.world.now,
        owner="leak",
        stopping=lambda: False,
        draw=lambda: 0.0,
        node="CERT-QC",
    )
    while True:
        before = len(taker.bodies)
        run = push(work, target, taker, forced=True)
        assert run is None or run.error is None, run
        if len(taker.bodies) == before:
            break
    yield from taker.bodies


def as_a_misp(house: House, name: str) -> Iterator[bytes]:
    """What a MISP pulls: the index, and every event in it with the parameters of a sync."""
    base, headers = f"/misp/salle-{name}", {"Authorization": house.secrets[name], "Accept": "application/json"}
    asked = {"minimal": 1, "published": 1}
    index = house.client.simulate_post(f"{base}/events/index", json=asked, headers=headers)
    assert index.status_code == 200, index.text
    yield index.content
    for row in index.json:
        answer = house.client.simulate_get(
            f"{base}/events/view/{row['uuid']}/deleted[]:0/deleted[]:1/excludeGalaxy:1/excludeLocalTags:1",
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
        yield answer.content


Transport = Callable[[House, str], Iterator[bytes]]
Handed = Callable[[House, str, str], Sequence[bytes]]
FETCHED: dict[str, Transport] = {"taxii": over_taxii, "feed": as_a_feed, "misp": as_a_misp}
PUSHED: dict[str, Transport] = {"taxii": handed_over, "misp": handed_to_misp}


@pytest.fixture(scope="module")
def handed() -> Handed:
    """What each push handed over: that happens once."""
    known: dict[tuple[str, str], Sequence[bytes]] = {}

    def hand_over(house: House, transport: str, name: str) -> Sequence[bytes]:
        if (transport, name) not in known:
            known[transport, name] = list(PUSHED[transport](house, name))
        return known[transport, name]

    return hand_over


def seen(pieces: Iterable[bytes]) -> set[str]:
    """The values in it; none of what nobody may see is."""
    found: set[str] = set()
    for piece in pieces:
        assert not [secret for secret in SECRETS if secret.encode() in piece]
        found |= {match.decode() for match in VALUE.findall(piece)}
    return found


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("transport", FETCHED)
def test_what_is_fetched_equals_the_table(house: House, transport: str, name: str) -> None:
    """R26: each reader sees exactly the attributes that the table gives it, whichever way it comes for them."""
    due, got = border.table()[name], seen(FETCHED[transport](house, name))
    assert sorted(got - due) == []
    assert sorted(due - got) == []


@pytest.mark.parametrize("name", [party.name for party in PARTNERS])
@pytest.mark.parametrize("transport", PUSHED)
def test_what_is_pushed_equals_the_table(house: House, handed: Handed, transport: str, name: str) -> None:
    """R26: a push goes no further than the servers of a sharing group, besides."""
    due, got = border.table(pushed=True)[name], seen(handed(house, transport, name))
    assert sorted(got - due) == []
    assert sorted(due - got) == []


def _ids(tags: set[str]) -> set[str]:
    """The marking ids of these tags: policy.md sections 2 and 5, and ours for PFC."""
    known = {level.tag: TLP2_ID[level] for level in Tlp}
    known |= {level.label: identifier for level, identifier in PAP_ID.items()}
    return {(known | {level.tag: identifier for level, identifier in PFC_ID.items()})[tag] for tag in tags}


def _due() -> dict[str, set[str]]:
    return {value: marks_due(case, bool(part)) for case in border.cases() for part, value in enumerate(case.values)}


@pytest.mark.parametrize("name", BY_NAME)
def test_every_mark_goes_along_over_taxii(house: House, name: str) -> None:
    """Whatever leaves says all the levels that restrict it, by their canonical ids, and no others."""
    due = _due()
    for piece in over_taxii(house, name):
        stix = json.loads(piece)
        if stix["type"] == "indicator":
            (value,) = VALUE.findall(piece.partition(b'"pattern"')[2].partition(b"]")[0])
            assert set(stix["object_marking_refs"]) == _ids(due[value.decode()]), value


def _events(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The MISP events among what was sent."""
    for piece in pieces:
        if piece.startswith(b'{"Event"'):
            yield json.loads(piece)["Event"]


EVENTS = [(way, name) for way in ("feed", "misp") for name in BY_NAME] + [("push", party.name) for party in PARTNERS]


def _events_of(house: House, handed: Handed, transport: str, name: str) -> Iterator[dict[str, Any]]:
    pieces = handed(house, "misp", name) if transport == "push" else FETCHED[transport](house, name)
    return _events(pieces)


@pytest.mark.parametrize(("transport", "name"), EVENTS)
def test_every_mark_goes_along_in_events(house: House, handed: Handed, transport: str, name: str) -> None:
    """The tags of an event and its attribute together say all the levels that restrict the attribute."""
    due = _due()
    for event in _events_of(house, handed, transport, name):
        for attribute in event["Attribute"]:
            if "value" in attribute and VALUE.fullmatch(attribute["value"].encode()):
                said = {tag["name"] for entity in (event, attribute) for tag in entity.get("Tag") or ()}
                assert due[attribute["value"]] <= said, attribute["value"]


# What a receiver makes of a distribution (misp.md 2.1): it downgrades what it pulls, and takes the rest as it stands.
PLAIN = {str(level): level for level in range(4)}
STORED = {"misp": {"3": 3, "2": 1, "1": 0, "0": 0}, "feed": PLAIN, "push": PLAIN}


@pytest.mark.parametrize("name", [party.name for party in PARTNERS])
@pytest.mark.parametrize("transport", STORED)
def test_no_receiver_is_let_give_it_to_more(house: House, handed: Handed, transport: str, name: str) -> None:
    """An attribute's distribution, or the event's where it inherits, is what its giver and its marks allow at most."""
    allowed = {
        value: border.farthest(case, bool(part)) for case in border.cases() for part, value in enumerate(case.values)
    }
    for event in _events_of(house, handed, transport, name):
        for attribute in event["Attribute"]:
            if "value" in attribute and VALUE.fullmatch(attribute["value"].encode()):
                own = str(attribute["distribution"])
                stored = STORED[transport][str(event["distribution"])]
                stored = stored if own == "5" else min(stored, STORED[transport][own])
                assert stored <= allowed[attribute["value"]], (attribute["value"], own, event["distribution"])


def test_the_table_tries_both_answers() -> None:
    """A table that never says yes, or never no, would prove nothing."""
    cases: list[Any] = list(border.cases())
    for pushed in (False, True):
        found = border.table(pushed=pushed)
        assert all(50 < len(values) < len(cases) for values in found.values())
