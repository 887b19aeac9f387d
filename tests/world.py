"""A small world for tests: peers, an agreement or two, collections, and STIX objects made on demand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from exchange.model import stix
from exchange.model.envelope import Page
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Agreement, Collection, Peer, Receive, Send, Target, Terms
from exchange.policy import Rules
from exchange.store import Store, audiences, listings, micros, pages, statements, tables
from exchange.store.work import NOTICES
from exchange.sync.accept import Accepted, accept
from exchange.sync.terms import adopt

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
NODE = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
CCC_IDENTITY = "identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"
SHARED = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
FOLDED = "d94e2b71-8a06-4f5d-b3c8-1e70f6a2c549"
OPEN_WRITE = "5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"


def agreement(
    id_: str, *parties: str, receive: Receive | None = None, send: Send | None = None, **more: Any
) -> Agreement:
    """An agreement in force around NOW."""
    terms = {"start": date(2025, 1, 1), "end": date(2027, 12, 31), "purpose": "test", "title": id_, **more}
    return Agreement(id=id_, parties=parties, receive=receive, send=send, **terms)


def collection(id_: str, alias: str, readers: Iterable[str], **more: Any) -> Collection:
    """A collection that lists everything up to GREEN, if nothing else is said."""
    values: dict[str, Any] = {"title": {"en": alias}, "description": {}, "writers": (), "ceiling": Tlp.GREEN, **more}
    return Collection(id=id_, alias=alias, readers=tuple(readers), **values)


def terms(
    *, unmarked: Tlp | None = None, agreements: Iterable[Agreement] | None = None, **collections: Collection
) -> Terms:
    """Three partners under one agreement each way, and our own house."""
    depot = Target(peer="ccc", id="depot", kind="taxii", url="https://taxii.ccc.example/api1/", collection="c")
    peers = [
        Peer(id="ccc", name="CCC", identities=frozenset({CCC_IDENTITY}), targets=(depot,)),
        Peer(id="cert-ee", name="CERT-EE"),
        Peer(id="circl", name="CIRCL"),
        Peer(id="maison", name="CERT-QC", home=True, identities=frozenset({NODE})),
    ]
    if agreements is None:
        agreements = [
            agreement(
                "reseau", "ccc", "cert-ee", "circl",
                receive=Receive(ceiling=Tlp.AMBER, unmarked=unmarked), send=Send(ceiling=Tlp.GREEN),
            )
        ]  # fmt: skip
    made = {
        SHARED: collection(SHARED, "partenaires", ("ccc", "cert-ee", "circl")),
        FOLDED: collection(FOLDED, "faits", ("ccc", "cert-ee"), duplicates="fold"),
        **{c.id: c for c in collections.values()},
    }
    return Terms(
        peers={peer.id: peer for peer in peers}, collections=made, agreements=tuple(agreements), node_identity=NODE
    )


def indicator(
    value: str = "a.example", *, tlp: Tlp | None = Tlp.GREEN, id_: str = "", modified: datetime = NOW, **more: Any
) -> dict[str, Any]:
    """An indicator for one domain; the same value gives the same id."""
    made = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": id_ or f"indicator--{uuid.uuid5(uuid.NAMESPACE_DNS, value)}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "pattern": f"[domain-name:value = '{value}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        **more,
    }
    return marked(made, tlp)


def malware(name: str, *, tlp: Tlp | None = Tlp.GREEN, modified: datetime = NOW, **more: Any) -> dict[str, Any]:
    """A malware family; the same name gives the same id."""
    made = {
        "type": "malware",
        "spec_version": "2.1",
        "id": f"malware--{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "name": name,
        "is_family": True,
        **more,
    }
    return marked(made, tlp)


def relationship(source: Mapping[str, Any], target: Mapping[str, Any], *, tlp: Tlp | None = None) -> dict[str, Any]:
    """`source` indicates `target`."""
    made = {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.uuid5(uuid.NAMESPACE_URL, source['id'] + target['id'])}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "relationship_type": "indicates",
        "source_ref": source["id"],
        "target_ref": target["id"],
    }
    return marked(made, tlp)


def report(
    *members: Mapping[str, Any], tlp: Tlp | None = Tlp.GREEN, name: str = "r", modified: datetime = NOW
) -> dict[str, Any]:
    """A report that contains `members`."""
    made = {
        "type": "report",
        "spec_version": "2.1",
        "id": f"report--{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "name": name,
        "published": "2026-01-01T00:00:00Z",
        "object_refs": [member["id"] for member in members],
    }
    return marked(made, tlp)


def marked(made: dict[str, Any], tlp: Tlp | None) -> dict[str, Any]:
    """`made` with the TLP 2.0 marking of `tlp`; None: no mark."""
    return made if tlp is None else {**made, "object_marking_refs": [TLP2_ID[tlp]]}


def page(*objects: Mapping[str, Any], last: bool = True, **more: Any) -> Page:
    """A page of these objects."""
    return Page(objects=[stix.parse(json.dumps(item).encode()) for item in objects], last=last, **more)


class World:
    """A store that follows some terms, with the moves that tests make."""

    def __init__(self, store: Store, given: Terms | None = None, now: datetime = NOW) -> None:
        self.store, self.now = store, now
        self.follow(given or terms())

    def follow(self, given: Terms) -> int:
        """Adopt new terms; the number of listings that changed."""
        self.terms, self.rules = given, Rules(given, self.now)
        return adopt(self.store, self.rules, self.now)

    def pass_time(self, by: timedelta) -> None:
        """Move the clock, and let the terms of the day be adopted as the schedule does."""
        self.now += by
        self.follow(self.terms)

    def give(self, source: str, *objects: Mapping[str, Any], last: bool = True, **more: Any) -> Accepted:
        """Let `source` (PEER/SOURCE) bring these objects."""
        return accept(
            self.store, self.rules, page(*objects, last=last), source, source.partition("/")[0], self.now, **more
        )

    def listed(self, peer: str, channel: str = SHARED, *, recalls: bool = False, **query: Any) -> list[str]:
        """The ids that `peer` reads in a collection, in order; `recalls`: those of our recall notices too."""
        channel = channel if ":" in channel else f"collection:{channel}"
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, peer, channel)
            assert row is not None
            asked = pages.Query(now=micros(self.now), limit=10_000, **query)
            found = [each.stix_id for each in pages.index(tx, row.number, asked).entries]
            held = statements.held(tx, found)
            return [each for each in found if recalls or all(item.source != NOTICES for item in held[each])]

    def waiting(self) -> list[str]:
        """The ids that wait in the outbox of ccc/depot."""
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, "ccc", "target:ccc/depot")
            assert row is not None
            return [parcel.stix_id for parcel in listings.parcels(tx, row.key, micros(self.now), 10_000)]


def without_unmarked(given: Terms) -> Terms:
    """The same terms, but nothing is said about unmarked content."""
    return replace(
        given,
        agreements=tuple(
            replace(a, receive=replace(a.receive, unmarked=None)) if a.receive else a for a in given.agreements
        ),
    )


def emptied(store: Store) -> Store:
    """The same store, as at a first start: to make one anew costs more than most examples of a property."""
    with store.writing() as tx:
        for table in reversed(tables.metadata.sorted_tables):
            tx.execute(table.delete())
    return store
