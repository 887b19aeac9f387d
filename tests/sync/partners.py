"""Partners in process: clients that bring and take what a test tells them, and the desk at which the work is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from exchange.model.envelope import Cursor, Outgoing, Page, Receipt
from exchange.model.party import Peer, Source, Target, Terms
from exchange.store import Store, accounts, listings, micros, sources, tables
from exchange.store.sources import Standing
from exchange.sync.pull import Run, Work, pull
from exchange.sync.push import push
from tests.world import World, page, terms

ALERTS = Source(peer="ccc", id="alertes", kind="taxii", every=900.0)
OTHER = Source(peer="circl", id="autres", kind="taxii", every=900.0)
MISP = Source(peer="circl", id="misp", kind="misp", every=900.0, orgs=frozenset({"*"}))
DEPOT = Target(peer="ccc", id="depot", kind="taxii", url="https://taxii.ccc.example/api1/", collection="c")

Step = Page | Exception | Callable[[], object]


def with_sources(given: Terms, *added: Source) -> Terms:
    """The same terms, their peers having these sources."""
    peers: dict[str, Peer] = dict(given.peers)
    for source in added:
        peers[source.peer] = replace(peers[source.peer], sources=(*peers[source.peer].sources, source))
    return replace(given, peers=peers)


class Giver:
    """Brings pages in turn; an exception is raised at its place, a function is called there."""

    def __init__(self, *steps: Step) -> None:
        self.steps: Sequence[Step] = steps
        self.cursors: list[dict[str, Any]] = []
        self.brought = 0

    def __call__(self) -> Giver:
        """The client, made when its turn comes."""
        return self

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """The pages from the cursor on."""
        self.cursors.append(dict(cursor))
        for step in self.steps[int(cursor.get("next", 0)) :]:
            if isinstance(step, Page):
                self.brought += 1
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                step()

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Nothing is pushed to a source."""
        raise AssertionError("pushed to a source")


def book(*contents: Sequence[Mapping[str, Any]]) -> list[Page]:
    """One page for each of `contents`; the cursor of a page is the number of the next one."""
    last = len(contents) - 1
    return [page(*objects, last=n == last, cursor={"next": n + 1}) for n, objects in enumerate(contents)]


Say = Callable[[Outgoing], str]


class Taker:
    """Takes what it is handed, and says of each object what `say` says; `raises` is raised after taking."""

    def __init__(self, say: Say = lambda _: "accepted", raises: Sequence[Exception | None] = ()) -> None:
        self.say, self.raises = say, list(raises)
        self.envelopes: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.during: Callable[[], object] = lambda: None
        self.status = ""
        """Where it can be asked about what it says now."""
        self.followed: list[str] = []
        """The statuses that came with what it was handed."""

    def __call__(self) -> Taker:
        """The client, made when its turn comes."""
        return self

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Nothing is pulled from a target."""
        raise AssertionError("pulled from a target")

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """One receipt for each, unless the answer is lost."""
        self.envelopes.append([item.id for item in objects])
        self.bodies += [item.body for item in objects]
        self.followed += [item.status for item in objects]
        self.during()
        lost = self.raises.pop(0) if self.raises else None
        if lost is not None:
            raise lost
        return [
            Receipt(
                id=item.id,
                version=item.version,
                outcome=self.say(item),  # type: ignore[arg-type]
                message="said",
                status=self.status,
            )
            for item in objects
        ]

    @property
    def taken(self) -> list[str]:
        """Every id handed over, in order, as often as it was."""
        return [stix_id for envelope in self.envelopes for stix_id in envelope]


class Desk:
    """A world with sources, and the workers of its schedule; the clock is the world's."""

    def __init__(self, store: Store, given: Terms | None = None, *added: Source) -> None:
        self.store = store
        self.world = World(store, with_sources(given or terms(), *(added or (ALERTS, OTHER, MISP))))
        self.stopping = False
        self.work = self.worker("first")

    def worker(self, owner: str) -> Work:
        """A worker of the daemon `owner`."""
        return Work(
            store=self.store,
            rules=lambda: self.world.rules,
            clock=lambda: self.world.now,
            owner=owner,
            stopping=lambda: self.stopping,
            draw=lambda: 0.0,
        )

    def pull(self, client: Callable[[], Any], source: Source = ALERTS, **more: Any) -> Run | None:
        """Pull from `source`."""
        return pull(more.pop("work", self.work), source, client, **more)

    def push(self, client: Callable[[], Any], **more: Any) -> Run | None:
        """Push to the depot."""
        return push(more.pop("work", self.work), DEPOT, client, **more)

    def brake(self, peer: str, direction: str) -> None:
        """Pull the brake."""
        with self.store.writing() as tx:
            accounts.pull_brake(tx, peer, direction, "marie", "drill", micros(self.world.now))

    def let_go(self, peer: str, direction: str) -> None:
        """Let the brake go."""
        with self.store.writing() as tx:
            accounts.let_go(tx, peer, direction)

    def standing(self, key: str = ALERTS.key) -> Standing:
        """Where a source or target stands."""
        with self.store.reading() as tx:
            return sources.standings(tx)[key]

    def cursor(self, key: str = ALERTS.key) -> Any:
        """The cursor as stored."""
        return json.loads(self.standing(key).cursor)

    def due_in(self, key: str = ALERTS.key) -> float:
        """Seconds from now until it is due."""
        return (self.standing(key).due - micros(self.world.now)) / 1_000_000

    def rows(self, table: Any) -> list[dict[str, Any]]:
        """Every row of a table."""
        with self.store.reading() as tx:
            return [dict(row) for row in tx.execute(select(table)).mappings()]

    def runs(self, key: str = ALERTS.key) -> list[tuple[str, dict[str, int]]]:
        """(outcome, counts) of the runs that are recorded, oldest first."""
        found = sorted((row for row in self.rows(tables.run) if row["key"] == key), key=lambda row: row["id"])
        return [(row["outcome"], json.loads(row["counts"])) for row in found]

    def ledger(self) -> list[tuple[str, str]]:
        """(id, outcome) in the order of the ledger."""
        return [(row["stix_id"], row["outcome"]) for row in sorted(self.rows(tables.ledger), key=lambda r: r["id"])]

    def outbox(self) -> list[str]:
        """The states of the outbox, in order."""
        return [row["state"] for row in sorted(self.rows(tables.outbox), key=lambda row: row["added"])]

    def pending(self) -> int:
        """How many parcels the overview counts as waiting."""
        with self.store.reading() as tx:
            return sum(listings.pending(tx).values())
