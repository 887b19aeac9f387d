"""A node in memory on which a case is played, by the true doors: `accept` in, and out what a reader is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import orjson

from exchange.model.party import Terms
from exchange.policy import Rules
from exchange.store import Store, audiences, listings, micros, tables
from exchange.store.approvals import APPROVED
from exchange.store.audiences import NODE_SECRET
from exchange.sync.accept import accept
from exchange.sync.approving import Said, say
from exchange.sync.proof.record import Room
from exchange.sync.proof.words import SAID, Move, id_of, page, source_of, trail
from exchange.sync.terms import adopt

MOST = 10_000
BATCH = 500
"""Things that one page of a pull brings, as `accept` has them from our own clients."""
_AT_ONCE = 40


class Answer(NamedTuple):
    """What a reader is answered, to the last byte."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Reader(Protocol):
    """Asks the node as a peer's account."""

    def admit(self, peers: Sequence[str]) -> None:
        """Open an account for each of the peers, in a store that has none."""

    def ask(self, peer: str, path: str) -> Answer:
        """A GET of `path` (with its query) as the account of `peer`."""


Opener = Callable[[Store, Callable[[], Rules], Callable[[], datetime]], Reader]
"""Makes a reader for a store, its rules and its clock."""


class Stage:
    """One node that follows `terms` and whose clock stands still unless it is set. It is emptied for each case."""

    def __init__(self, store: Store, terms: Terms, opener: Opener, at: datetime) -> None:
        self.store, self.terms, self.at, self.rules = store, terms, at, Rules(terms, at)
        self._opener = opener
        self.reader = self._opened()
        self.stopped: list[tuple[str, str]] = []
        """(id, audience) that the second gate refused although it had been released."""

    def begin(self, at: datetime) -> None:
        """Forget everything; it is `at` now."""
        self.at, self.rules, self.stopped = at, Rules(self.terms, at), []
        _emptied(self.store)
        adopt(self.store, self.rules, at)
        self.reader = self._opened()
        self.reader.admit(sorted(self.terms.peers))

    def _opened(self) -> Reader:
        """A reader that remembers nothing: what a node keeps in memory is of a store that nobody empties."""
        return self._opener(self.store, lambda: self.rules, lambda: self.at)

    def ask(self, peer: str, path: str) -> Answer:
        """What the peer is answered."""
        return self.reader.ask(peer, path)

    def play(self, move: Move, kinds: Mapping[int, str]) -> None:
        """Let the move arrive, in pages; the last of them ends the drain where the move does."""
        things = move.things or ()
        for begin in range(0, max(len(things), 1), BATCH):
            last = move.last and begin + BATCH >= len(things)
            part = Move(giver=move.giver, things=things[begin : begin + BATCH], last=last, posted=move.posted)
            brought = page(part, kinds, self.at)
            done = accept(self.store, self.rules, brought, source_of(move), move.giver, self.at, posted=move.posted)
            self.stopped += done.stopped
        for word in move.words:
            kind = kinds.get(word.number)
            if kind is not None:
                said = Said(stix_id=id_of(word.number, kind), verdict=APPROVED, who=word.who, why="-", whom=word.whom)
                say(self.store, self.rules, said, lambda: self.at)

    def set_clock(self, at: datetime, *, adopted: bool) -> None:
        """It is `at` now; `adopted`: and the terms of that day are those that the store follows."""
        self.at, self.rules = at, Rules(self.terms, at)
        if adopted:
            adopt(self.store, self.rules, at)

    def seen(self, room: Room, kinds: Mapping[int, str]) -> Iterator[Mapping[str, Any]]:
        """Every object in every version that the members of the room can have, as it leaves."""
        if room.collection is None:
            yield from self._handed(room)
            return
        base, peer = f"/api/collections/{room.collection.id}/objects/", room.members[0]
        query: str | None = f"match[version]=all&limit={MOST}"
        while query is not None:
            answer = orjson.loads(self.ask(peer, f"{base}?{query}").body or b"{}")
            yield from answer.get("objects", ())
            after = answer.get("next") if answer.get("more") else None
            query = None if after is None else f"match[version]=all&limit={MOST}&next={after}"
        if room.collection.duplicates == "fold":  # what is folded can be had by its id (R23)
            ids = [id_of(number, kind) for number, kind in kinds.items()]
            for begin in range(0, len(ids), _AT_ONCE):
                named = ",".join(ids[begin : begin + _AT_ONCE])
                found = self.ask(peer, f"{base}?match[version]=all&match[id]={named}")
                yield from orjson.loads(found.body or b"{}").get("objects", ())

    def _handed(self, room: Room) -> Iterator[Mapping[str, Any]]:
        """What waits to be handed over to a push target."""
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, room.members[0], room.channel)
            if row is None:
                return
            after = -1
            while parcels := listings.parcels(tx, row.key, micros(self.at), MOST, after=after):
                yield from (orjson.loads(parcel.body) for parcel in parcels)
                after = parcels[-1].added


def said_of(item: Mapping[str, Any]) -> str:
    """The trail of the statement that a listed object is, or was made of; empty: it shows none."""
    if SAID in item:
        return trail(str(item[SAID]))
    return next((str(each) for each in item.get("labels", ()) if str(each).startswith("case-")), "")


def _emptied(store: Store) -> None:
    """The store as at a first start: to make one anew costs more than most cases."""
    with store.writing() as tx:
        for table in reversed(tables.metadata.sorted_tables):
            tx.execute(table.delete())
        audiences.set_note(tx, NODE_SECRET, "0" * 64)  # ids that are derived with it are compared between two plays
