"""Two nodes that speak only MISP to each other: each pulls from the other and pushes to it, until nothing is left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lab.web import site

from exchange.model.envelope import Document, Page, PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Agreement, Collection, Credentials, Peer, Receive, Send, Source, Target, Terms
from exchange.peers import client_for
from exchange.policy import Rules
from exchange.serve import Site, application
from exchange.store import Store, accounts, micros, open_store, statements, tables
from exchange.store.accounts import new_secret
from exchange.sync.accept import accept
from exchange.sync.explain import explain
from exchange.sync.pull import Run, Work, pull
from exchange.sync.pull import pages as converted
from exchange.sync.push import push
from exchange.sync.terms import adopt
from tests.world import indicator, page, report

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(days=2)
IDENTITIES = {
    "quebec": "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17",
    "estonie": "identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11",
}
COLLECTION = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
HOME = Source(peer="maison", id="fichiers", kind="file", internal=True)
EVENT = "8a0c2f64-5d0e-4a39-b1b5-0f1d3a7e9c20"


class Clock:
    """The time of both."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Node:
    """One of the two: its store, its door, and its account at the other."""

    name: str
    other: str
    store: Store
    clock: Clock
    url: str = ""
    key: str = ""
    """The other's, for our door."""
    terms: Terms = field(init=False)
    rules: Rules = field(init=False)

    def follow(self, url: str) -> None:
        """Adopt the terms, the other's door being at `url`."""
        source = Source(peer=self.other, id="misp", kind="misp", url=url, orgs=frozenset({"*"}), every=60.0)
        target = Target(peer=self.other, id="misp", kind="misp", url=url)
        peers = {
            self.other: Peer(
                id=self.other, name=self.other, identities=frozenset({IDENTITIES[self.other]}), sources=(source,),
                targets=(target,),
            ),
            "maison": Peer(
                id="maison", name=self.name, home=True, identities=frozenset({IDENTITIES[self.name]}), sources=(HOME,)
            ),
        }  # fmt: skip
        shared = Collection(
            id=COLLECTION, alias="commun", title={"en": "c"}, description={}, readers=(self.other,),
            writers=(self.other,), ceiling=Tlp.AMBER,
        )  # fmt: skip
        both = Agreement(
            id="entente", title="e", parties=(self.other,), start=date(2025, 1, 1), end=date(2027, 12, 31), purpose="p",
            receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN),
        )  # fmt: skip
        self.terms = Terms(
            peers=peers, collections={COLLECTION: shared}, agreements=(both,), node_identity=IDENTITIES[self.name]
        )
        self.rules = Rules(self.terms, self.clock())
        adopt(self.store, self.rules, self.clock())

    def open_door(self) -> Any:
        """The application that the other finds at our address."""
        with self.store.writing() as tx:
            self.key, digest = new_secret()
            accounts.open_account(tx, self.other, self.other, digest, micros(self.clock()))
        return application(
            Site(store=self.store, rules=lambda: self.rules, clock=self.clock, public_url="http://node.test",
                 title=self.name)
        )  # fmt: skip

    def give(self, *objects: Mapping[str, Any]) -> None:
        """Our own house brings STIX."""
        accept(self.store, self.rules, page(*objects), HOME.key, "maison", self.clock())

    def file(self, event: Mapping[str, Any]) -> None:
        """Our own house brings a MISP event."""
        document = Document(kind="misp-event", id=event["uuid"], version="", raw=json.dumps({"Event": event}).encode())
        for each in converted(Page(document=document, last=True), HOME, self.clock()):
            accept(self.store, self.rules, each, HOME.key, "maison", self.clock())

    def work(self) -> Work:
        """A worker of ours."""
        return Work(
            store=self.store, rules=lambda: self.rules, clock=self.clock, owner="w", stopping=lambda: False,
            draw=lambda: 0.0, node=self.name,
        )  # fmt: skip

    def turn(self, there: Node) -> list[Run]:
        """Pull from the other and push to it."""
        peer = self.terms.peers[self.other]

        def client() -> PeerClient:
            return client_for(peer, "misp", Credentials(key=there.key), clock=self.clock, wait=lambda seconds: False)

        runs = [
            pull(self.work(), peer.sources[0], client, forced=True),
            push(self.work(), peer.targets[0], client, forced=True),
        ]
        return [run for run in runs if run is not None]

    def rows(self) -> dict[str, int]:
        """How much stands in each table that a change of content would make longer."""
        kept = (tables.statement, tables.listing, tables.outbox, tables.ledger, tables.quarantine, tables.withdrawal)
        with self.store.reading() as tx:
            return {table.name: len(tx.execute(table.select()).all()) for table in kept}

    def says(self) -> dict[str, Any]:
        """Id → the newest that it holds of it, whoever said it."""
        newest: dict[str, tuple[str, int]] = {}
        with self.store.reading() as tx:
            for row in tx.execute(tables.statement.select().where(~tables.statement.c.touch)):
                newest[row.stix_id] = max(newest.get(row.stix_id, ("", 0)), (row.version, row.seq))
            bodies = statements.bodies(tx, [seq for _, seq in newest.values()])
        return {stix_id: json.loads(bodies[seq]) for stix_id, (_, seq) in newest.items()}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Both, each knowing where the other's door is."""
    clock = Clock()
    with ExitStack() as stack:
        nodes = [
            Node(name, other, open_store(f"sqlite:///{tmp_path}/{name}.db"), clock)
            for name, other in (("quebec", "estonie"), ("estonie", "quebec"))
        ]
        for node in nodes:
            stack.callback(node.store.close)
            node.follow("http://127.0.0.1:9/")
            node.url = stack.enter_context(site(node.open_door())).url + "misp/commun"
        first, second = nodes
        first.follow(second.url)
        second.follow(first.url)
        yield first, second


def rounds(first: Node, second: Node, most: int = 6) -> int:
    """Let both take turns until nothing changes any more; how many rounds that took."""
    for number in range(most):
        before = first.rows(), second.rows()
        for node, there in ((first, second), (second, first)):
            first.clock.now += timedelta(minutes=2)
            for run in node.turn(there):
                assert run.error is None, run
        if (first.rows(), second.rows()) == before:
            return number
    raise AssertionError("they never come to rest")


def attribute(number: int, **more: Any) -> dict[str, Any]:
    """An attribute of the event."""
    return {
        "uuid": f"{EVENT[:-2]}{number:02}", "type": "domain", "category": "Network activity",
        "value": f"m{number}.example", "to_ids": True, "distribution": "5", "timestamp": str(int(BEGAN.timestamp())),
        "comment": f"seen {number}", "deleted": False, **more,
    }  # fmt: skip


def event(at: datetime, *attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A MISP event of our own house."""
    return {
        "uuid": EVENT, "info": "campagne", "date": "2026-11-19", "threat_level_id": "2", "analysis": "1",
        "timestamp": str(int(at.timestamp())), "published": True, "distribution": "3",
        "Orgc": {"uuid": IDENTITIES["quebec"].partition("--")[2], "name": "CERT-QC"},
        "Tag": [{"name": "tlp:green", "colour": "#33ff00"}], "Attribute": list(attributes),
    }  # fmt: skip


def values(node: Node, known: str) -> dict[str, Any]:
    """Pattern → object, of the indicators that `node` holds."""
    held = (item for item in node.says().values() if item["type"] == "indicator")
    return {item["pattern"]: item for item in held if known in str(item)}


def reasons(node: Node, entity: Mapping[str, Any]) -> set[str]:
    """Why nobody may have what was made of this attribute, by every source of `node`."""
    told = explain(node.store, node.rules, entity["uuid"], node.clock())
    return {reason for item in told.statements for answer in item.answers for reason in answer.reasons}


def test_what_either_has_both_have_and_then_nothing_is_written(pair: tuple[Node, Node]) -> None:
    """STIX of one, a MISP event of the other: after a few rounds they are the same, and at rest."""
    first, second = pair
    first.file(event(BEGAN, attribute(1), attribute(2)))
    member = indicator("s.example", modified=BEGAN, created_by_ref=IDENTITIES["estonie"])
    whole = {**report(member, name="rapport", modified=BEGAN), "created_by_ref": IDENTITIES["estonie"]}
    second.give(member, whole)
    assert rounds(first, second) <= 3
    assert {"[domain-name:value = 'm1.example']", "[domain-name:value = 's.example']"} <= values(first, "").keys()
    assert values(first, "m1.example").keys() == values(second, "m1.example").keys()
    mine, theirs = values(first, "m1.example"), values(second, "m1.example")
    assert mine == theirs, "an attribute is the same bytes over a hop"
    assert rounds(first, second) == 0


def test_a_change_and_a_deletion_go_over(pair: tuple[Node, Node]) -> None:
    """A tag alone, then a soft deletion, then its restoration."""
    first, second = pair
    first.file(event(BEGAN, attribute(1), attribute(2)))
    rounds(first, second)
    tag = {"name": 'estimative-language:confidence="high"', "colour": "#001122"}
    first.file(event(BEGAN + timedelta(hours=1), attribute(1, Tag=[tag]), attribute(2)))
    rounds(first, second)
    assert "estimative-language" in str(values(second, "m1.example"))
    first.file(event(BEGAN + timedelta(hours=2), attribute(1, Tag=[tag]), attribute(2, deleted=True)))
    rounds(first, second)
    assert reasons(second, attribute(2)) == {"withdrawn.at_source"}
    assert "withdrawn.at_source" not in reasons(second, attribute(1))
    assert rounds(first, second) == 0
    first.file(event(BEGAN + timedelta(hours=3), attribute(1, Tag=[tag]), attribute(2)))
    rounds(first, second)
    assert "withdrawn.at_source" not in reasons(second, attribute(2))
    assert rounds(first, second) == 0
